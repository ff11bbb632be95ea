//! What is live does not depend on how the records came.

use proptest::prelude::*;

use super::*;
use crate::records::{Event as Written, Tombstone};

fn event<'a>(member: &'a str, item: &'a str, at: i64, id: Option<&'a str>) -> Written<'a> {
    Written { member, item, kind: "play", at, value: 1_000_000, id, context: "" }
}

fn gather(records: &[Record<'_>], per_batch: usize) -> LiveSet {
    let batches = records.chunks(per_batch).map(|records| {
        let mut batch = Batch::new("test".into());
        records.iter().for_each(|record| batch.push(record));
        batch
    });
    LiveSet::gather(["play"], batches)
}

/// Members, items and times of what is live, in the order of ids.
fn told(live: &LiveSet) -> Vec<(String, Vec<(String, i64)>)> {
    let of = |member: Member| {
        let mut events: Vec<_> = live
            .events(member)
            .iter()
            .map(|event| (live.items.name(event.item.0).to_owned(), event.at()))
            .collect();
        events.sort();
        (live.members.name(member.0).to_owned(), events)
    };
    live.members_by_id().into_iter().map(of).collect()
}

const MEMBERS: [&str; 3] = ["ann", "bob", "cy"];
const ITEMS: [&str; 3] = ["i1", "i2", "i3"];
const IDS: [Option<&str>; 3] = [None, Some("e1"), Some("e2")];

fn any_record() -> impl Strategy<Value = Record<'static>> {
    let any = (0..3usize, 0..3usize, 0..6i64, 0..3usize);
    (0..12, any).prop_map(|(what, (member, item, at, id))| {
        let (member, written) = (MEMBERS[member], event(MEMBERS[member], ITEMS[item], at, IDS[id]));
        match what {
            0..7 => Record::Event(written),
            7..9 => Record::Retract(written),
            9 => Record::RetractId { member, id: "e1" },
            10 => Record::Forget { member, at: at - 3 },
            _ => Record::Trim { at: at - 5 },
        }
    })
}

/// What is live by the definition: events − retracted − forgotten, looked up in the whole set.
fn by_definition(records: &[Record<'_>]) -> Vec<(String, Vec<(String, i64)>)> {
    let gone = |written: &Written<'_>| {
        records.iter().any(|record| match record {
            Record::Retract(retracted) => retracted == written,
            Record::RetractId { member, id } => *member == written.member && Some(*id) == written.id,
            Record::Forget { member, at } => *member == written.member && written.at <= *at,
            Record::Trim { at } => written.at <= *at,
            _ => false,
        })
    };
    let mut seen = std::collections::HashSet::new();
    let mut members = std::collections::BTreeMap::<String, Vec<(String, i64)>>::new();
    for record in records {
        if let Record::Event(written) = record
            && !gone(written)
            && seen.insert(*written)
        {
            members.entry(written.member.into()).or_default().push((written.item.into(), written.at));
        }
    }
    members.values_mut().for_each(|events| events.sort());
    members.into_iter().collect()
}

proptest! {
    #[test]
    fn any_order_cut_and_duplication_leaves_what_the_definition_says(
        records in prop::collection::vec(any_record(), 0..40),
        seed in any::<u64>(),
        per_batch in 1..9usize,
    ) {
        let mut shuffled: Vec<Record<'_>> = records.iter().chain(&records[..records.len() / 2]).copied().collect();
        let mut state = seed | 1;
        for place in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(place, (state >> 33) as usize % (place + 1));
        }
        let expected = by_definition(&records);
        prop_assert_eq!(told(&gather(&records, 1_000)), expected.clone());
        prop_assert_eq!(told(&gather(&shuffled, per_batch)), expected);
    }
}

#[test]
fn the_newest_version_of_an_item_holds_and_at_equal_times_the_greater() {
    let version = |at, body, withdrawn| Record::Item(ItemVersion { item: "i", at, body, withdrawn });
    let mut versions = [
        version(5, r#"{"title":"B"}"#, true),
        version(5, r#"{"title":"A"}"#, false),
        version(4, r#"{"title":"C"}"#, false),
    ];
    for _ in 0..2 {
        let live = gather(&versions, 1);
        let entry = &live.catalogue()[&Item(live.items.get("i").unwrap())];
        assert_eq!((&*entry.body, entry.withdrawn), (r#"{"title":"B"}"#, true));
        versions.reverse();
    }
}

#[test]
fn a_tombstone_keeps_old_events_out_wherever_it_stands() {
    let key = DigestKey::new([7; 32]);
    let member = hex_of(&key.member("ann"));
    let body = format!(r#"{{"events":[],"forget":10,"ids":[],"key":"{}"}}"#, key.fingerprint());
    let of_another = r#"{"events":[],"forget":99,"ids":[],"key":"0000000000000000"}"#;
    let key_text = hex_of(key.bytes());
    let tombstone = Record::Tombstone(Tombstone { member: &member, body: &body });
    let foreign = Record::Tombstone(Tombstone { member: &member, body: of_another });
    let (old, new) =
        (Record::Event(event("ann", "i1", 10, None)), Record::Event(event("ann", "i2", 11, None)));
    for records in [[tombstone, old, new, foreign], [old, foreign, new, tombstone]] {
        let live = gather(&[&[Record::Key(&key_text)][..], &records].concat(), 2);
        assert_eq!(told(&live), [("ann".to_owned(), vec![("i2".to_owned(), 11)])]);
        assert_eq!(live.refused(), 1, "the tombstone of another folder");
    }
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
