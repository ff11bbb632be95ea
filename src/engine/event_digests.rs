//! Digests of events that the graph keeps without them: made of the names that their numbers stand for.

use std::sync::{Arc, PoisonError, RwLock};

use nearline_dataflows::types::{Digest, Digests, Event, Member};

use crate::dictionary::{Names, PlaceTable};
use crate::digests::DigestKey;
use crate::records;

/// Makes digests of a pipeline's events.
pub struct EventDigests {
    /// The folder's key. An import may replace it as long as there is no event.
    pub key: Arc<RwLock<DigestKey>>,
    /// The ids of members.
    pub members: Arc<Names>,
    /// The ids of items.
    pub items: Arc<Names>,
    /// The names of kinds.
    pub kinds: Arc<Names>,
    /// Contexts.
    pub places: Arc<PlaceTable>,
}

impl Digests for EventDigests {
    fn digest(&self, member: Member, event: &Event) -> Digest {
        let key = self.key.read().unwrap_or_else(PoisonError::into_inner);
        key.event_of(&records::Event {
            member: &self.members[member.index()],
            item: &self.items[event.item.index()],
            kind: &self.kinds[event.kind().index()],
            at: event.at(),
            value: event.value,
            id: None,
            context: self.places.context(event.place).expect("the fields say all of it"),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nearline_dataflows::types::{Action, Op};
    use proptest::prelude::*;

    use super::*;
    use crate::engine::ingest::Ingest;
    use crate::records::Record;
    use crate::sources::Batch;

    const CONTEXTS: [&str; 4] = [
        "",
        r#"{"country":"DE"}"#,
        r#"{"country":"DE","device":"tv"}"#,
        r#"{"list":"top_picks","position":3}"#,
    ];

    fn any_event() -> impl Strategy<Value = (usize, usize, i64, i64, Option<u8>, usize)> {
        let id = prop_oneof![3 => Just(None), 1 => any::<u8>().prop_map(Some)];
        (0..4_usize, 0..5_usize, 0..1_i64 << 42, any::<i64>(), id, 0..CONTEXTS.len() + 1)
    }

    proptest! {
        /// Also where the key was imported before there was any event.
        #[test]
        fn a_digest_that_is_made_again_is_the_one_that_the_record_has(
            events in prop::collection::vec(any_event(), 1..30),
            import in any::<bool>(),
        ) {
            let mut ingest = Ingest::new(DigestKey::new([1; 32]), &["play".into()], 2, true);
            let digests = ingest.look_ups(None).digests;
            let long = format!("{{\"session\":\"{}\"}}", "s".repeat(200));
            let mut batch = Batch::new("log".into());
            let key = DigestKey::new(if import { [2; 32] } else { [1; 32] });
            if import {
                batch.push(&Record::Key(&"02".repeat(32)));
            }
            for (member, kind, at, value, id, context) in &events {
                let id = id.map(|id| id.to_string());
                batch.push(&Record::Event(records::Event {
                    member: &format!("m{member}"),
                    item: &format!("i{member}{kind}"),
                    kind: ["play", "rate", "click", "seen", "hide"][*kind],
                    at: *at,
                    value: *value,
                    id: id.as_deref(),
                    context: CONTEXTS.get(*context).copied().unwrap_or(&long),
                }));
            }
            let batch = Arc::new(batch);
            ingest.take(&batch, 0, usize::MAX);
            prop_assert!(ingest.refused.is_empty());
            let mut made = 0;
            for Op { member, seq, action } in ingest.feeds.iter().flat_map(|feed| &feed.ops) {
                let Action::Add(event) = action else { unreachable!("{action:?}") };
                let (.., id, context) = &events[*seq as usize];
                let says_all = id.is_none() && *context < CONTEXTS.len();
                prop_assert_eq!(event.says_all(), says_all);
                prop_assert_eq!(event.digest, key.event(ingest.records.bytes(&ingest.records.slots[*seq as usize])));
                if says_all {
                    made += 1;
                    let mut without = *event;
                    without.digest = [0, 0];
                    prop_assert_eq!(without.digest_of(*member, &*digests), event.digest);
                }
            }
            prop_assert_eq!(made, events.iter().filter(|event| event.4.is_none() && event.5 < CONTEXTS.len()).count());
        }
    }
}
