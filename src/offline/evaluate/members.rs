//! The protocol `members`: a model meets members that it was not trained on.
//!
//! A fifth of the members is held out. Of each one's items a fifth, drawn by a hash, is to be found in the list that
//! the events on the other items give: whether folding in works, apart from any drift over time.

use nearline_dataflows::profile::profile;
use nearline_dataflows::types::{Event, Item, Member};

use super::lists::{Lists, by_popularity};
use super::moments::Moment;
use super::report::{Group, Report, Tallies, Tested, Trained};
use super::{EvaluateError, Stage};
use crate::config::{KindTable, Train};
use crate::offline::dataset::Dataset;
use crate::offline::live::LiveSet;
use crate::offline::train::{train_on, transform};

/// One member in so many is held out, and one item in so many of theirs is to be found.
pub(in crate::offline) const ONE_IN: u64 = 5;

pub(super) fn evaluate(
    live: &LiveSet,
    table: &KindTable,
    seed: u64,
    options: &Train,
    progress: &mut dyn FnMut(Stage),
) -> Result<Report, EvaluateError> {
    let held_out = |member: Member| hash(seed, live.members.name(member.0), "").is_multiple_of(ONE_IN);
    let keep = |member: Member, _: &Event| !held_out(member);
    let data = Dataset::new(live, &table.kinds, transform(options.transform), keep);
    let (model, _) = train_on(live, &data, table, options, &mut |done| progress(Stage::Training(done)))?;
    let number = |id: &str| Item(live.items.get(id).expect("the model was trained on these items"));
    let popular = by_popularity(live, &table.kinds, keep);
    let lists = Lists::new(model.for_graph(table, number), table.kinds.clone(), popular);

    let members: Vec<Member> = live.members_by_id().into_iter().filter(|member| held_out(*member)).collect();
    let mut found = Found::default();
    let each = |member: &Member| test(&lists, live, *member, table, seed);
    super::spread::spread(&members, &each, &mut |part: Found, done| {
        found.tested.add(&part.tested);
        found.tallies.merge(part.tallies);
        progress(Stage::Testing { done, of: members.len() });
    });
    if found.tested.members == 0 {
        let why = format!(
            "of {} members held out none has two items with one of positive weight to be found; more members are needed",
            members.len()
        );
        return Err(EvaluateError::NothingToFind(why));
    }
    Ok(Report {
        protocol: "members".into(),
        split_at: None,
        trained: Trained::new(options, model.manifest.counts),
        tested: found.tested,
        rows: vec![found.tallies.row(Group::HeldOut, false, lists.items_in_model())],
    })
}

#[derive(Default)]
struct Found {
    tested: Tested,
    tallies: Tallies,
}

fn test(lists: &Lists, live: &LiveSet, member: Member, table: &KindTable, seed: u64) -> Found {
    let mut found = Found::default();
    let Some(moment) = divide(live, member, table, seed) else { return found };
    let held = live.events(member).len() - moment.before.len();
    found.tested = Tested {
        events: held as u64,
        members: 1,
        others: 1,
        moments: 1,
        relevant: moment.relevant.len(),
        not_in_model: moment.relevant.iter().filter(|item| !lists.knows(**item)).count(),
        ..Tested::default()
    };
    let tallies = &mut found.tallies;
    lists.show(&[moment], None, |moment, shown| {
        tallies.nearline.add(shown.nearline.as_ref().unwrap_or(&shown.popularity), &moment.relevant);
        tallies.popularity.add(&shown.popularity, &moment.relevant);
    });
    tallies.each(|tally| tally.end_member());
    found
}

/// A member's items, divided: the fifth with the smallest hashes, at least one, is held back.
pub(in crate::offline) fn divide(
    live: &LiveSet,
    member: Member,
    table: &KindTable,
    seed: u64,
) -> Option<Moment> {
    let events = live.events(member);
    let mut items: Vec<Item> =
        events.chunk_by(|a, b| a.item == b.item).map(|of_item| of_item[0].item).collect();
    if items.len() < 2 {
        return None;
    }
    let name = live.members.name(member.0);
    items.sort_by_cached_key(|item| hash(seed, name, live.items.name(item.0)));
    let held = &items[..items.len().div_ceil(ONE_IN as usize)];
    let (back, before): (Vec<Event>, Vec<Event>) =
        events.iter().partition(|event| held.contains(&event.item));
    let states = profile(&back, &table.kinds);
    let liked = states.iter().filter(|state| state.signal > 0 && !state.hidden);
    let relevant: Vec<Item> = liked.map(|state| state.item).collect();
    (!relevant.is_empty()).then_some(Moment { before, relevant })
}

/// A number that depends on the seed and the ids alone.
pub(in crate::offline) fn hash(seed: u64, member: &str, item: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_be_bytes()).update(&(member.len() as u16).to_be_bytes());
    hasher.update(member.as_bytes()).update(item.as_bytes());
    let bytes = hasher.finalize();
    bytes.as_bytes()[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
