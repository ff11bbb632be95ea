//! The protocol `time`: what happened before the split trains, and each later moment asks for a list.
//!
//! Every moment's items are looked for in the list that the member had just before it. Only the nearline column
//! takes in what the member did since the split; in all columns what was seen since is left out.

use nearline_dataflows::types::{Event, Item, Member};

use super::lists::{Lists, Shown, by_popularity};
use super::moments::{Moment, moments};
use super::report::{Group, Report, Tallies, Tested, Trained};
use super::{EvaluateError, Split, Stage};
use crate::config::{KindTable, Train};
use crate::offline::dataset::Dataset;
use crate::offline::live::LiveSet;
use crate::offline::train::{train_on, transform};

pub(super) fn evaluate(
    live: &LiveSet,
    table: &KindTable,
    split: Split,
    options: &Train,
    progress: &mut dyn FnMut(Stage),
) -> Result<Report, EvaluateError> {
    let split = split_at(live, split)?;
    something_trains(live, split)?;
    let data = Dataset::new(live, &table.kinds, transform(options.transform), |_, event| event.at() < split);
    let (model, _) = train_on(live, &data, table, options, &mut |done| progress(Stage::Training(done)))?;
    let number = |id: &str| Item(live.items.get(id).expect("the model was trained on these items"));
    let popular = by_popularity(live, &table.kinds, |_, event| event.at() < split);
    let lists = Lists::new(model.for_graph(table, number), table.kinds.clone(), popular);

    let mut found = Found::default();
    let members = live.members_by_id();
    let each = |member: &Member| test(&lists, &live.events(*member), &table.kinds, split);
    super::spread::spread(&members, &each, &mut |part: Found, done| {
        found.merge(part);
        progress(Stage::Testing { done, of: members.len() });
    });
    if found.tested.members == 0 {
        let at = text_of(split);
        let why = format!(
            "from the split ({at}) on no member has a first event of positive weight for any item; choose an earlier split"
        );
        return Err(EvaluateError::NothingToFind(why));
    }
    Ok(Report {
        protocol: "time".into(),
        split_at: Some(text_of(split)),
        trained: Trained::new(options, model.manifest.counts),
        tested: found.tested,
        rows: found.rows(lists.items_in_model()),
    })
}

/// The first moment of the test part.
pub(in crate::offline) fn split_at(live: &LiveSet, split: Split) -> Result<i64, EvaluateError> {
    let part = match split {
        Split::At(at) => return Ok(at),
        Split::Quantile(part) if (0.0..=1.0).contains(&part) => part,
        Split::Quantile(part) => return Err(EvaluateError::Split(part)),
    };
    let mut times: Vec<i64> = live
        .members_by_id()
        .into_iter()
        .flat_map(|member| live.events(member))
        .map(|event| event.at())
        .collect();
    if times.is_empty() {
        return Err(EvaluateError::NothingToFind("there is no live event".into()));
    }
    let place = ((times.len() as f64 * part) as usize).min(times.len() - 1);
    Ok(*times.select_nth_unstable(place).1)
}

/// Refuses a split that nothing comes before, as where all events bear one time.
pub(in crate::offline) fn something_trains(live: &LiveSet, split: i64) -> Result<(), EvaluateError> {
    let trains = |member: Member| live.events(member).iter().any(|event| event.at() < split);
    if live.members_by_id().into_iter().any(trains) {
        return Ok(());
    }
    let at = text_of(split);
    let why = format!(
        "no event comes before the split ({at}); choose a later one, or look at held-out members instead"
    );
    Err(EvaluateError::NothingToFind(why))
}

/// A moment as people write it.
pub(super) fn text_of(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}

/// What was found, of one member or of many.
#[derive(Default)]
struct Found {
    tested: Tested,
    known: Tallies,
    /// Members without a frozen list: `nearline` is what their own events give them.
    others: Tallies,
}

fn test(lists: &Lists, events: &[Event], kinds: &nearline_dataflows::kinds::Kinds, split: i64) -> Found {
    let mut found = Found::default();
    found.tested.events = events.iter().filter(|event| event.at() >= split).count() as u64;
    let moments = moments(events, kinds, split);
    if moments.is_empty() {
        return found;
    }
    let before: Vec<Event> = events.iter().filter(|event| event.at() < split).copied().collect();
    let frozen = lists.factor(&before);
    found.count(lists, &moments, frozen.is_some());
    let tallies = if frozen.is_some() { &mut found.known } else { &mut found.others };
    lists.show(&moments, frozen.as_deref(), |moment, shown| {
        let Shown { nearline, frozen, popularity } = shown;
        tallies.nearline.add(nearline.as_ref().unwrap_or(&popularity), &moment.relevant);
        tallies.frozen.add(frozen.as_ref().unwrap_or(&popularity), &moment.relevant);
        tallies.popularity.add(&popularity, &moment.relevant);
    });
    tallies.each(|tally| tally.end_member());
    found
}

impl Found {
    fn count(&mut self, lists: &Lists, moments: &[Moment], known: bool) {
        let tested = &mut self.tested;
        tested.members = 1;
        tested.known = usize::from(known);
        tested.others = usize::from(!known);
        tested.moments = moments.len();
        let relevant = || moments.iter().flat_map(|moment| &moment.relevant);
        tested.relevant = relevant().count();
        tested.not_in_model = relevant().filter(|item| !lists.knows(**item)).count();
    }

    fn merge(&mut self, other: Found) {
        self.tested.add(&other.tested);
        self.known.merge(other.known);
        self.others.merge(other.others);
    }

    fn rows(self, items: usize) -> Vec<super::Row> {
        let known = self.known.row(Group::Known, true, items);
        let from_events = self.others.row(Group::OthersFromTheirEvents, true, items);
        // One and the same list in every column: what these members gain is not counted as a gain of freshness.
        let popularity = || self.others.popularity.clone();
        let others = Tallies { nearline: popularity(), frozen: popularity(), popularity: popularity() };
        let others_row = others.row(Group::Others, true, items);
        let mut all = self.known;
        all.merge(others);
        vec![all.row(Group::All, true, items), known, others_row, from_events]
    }
}
