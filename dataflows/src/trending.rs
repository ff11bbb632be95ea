//! `trending`: the items that are acted on most, the newest hours counting most.
//!
//! score(item) = Σ count(item, kind, h) · D[H(now) − h] over kinds of positive weight and hours h, where D is a
//! table of powers of the half-life in 32-bit fixed point: integers throughout, so no order of sums matters.
//! Items whose score is zero do not trend. Equal scores are ordered by item id. `now` may move back, so counts of
//! all hours are kept.

use std::collections::BTreeMap;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::operator::Operator;

use crate::histories::Newest;
use crate::kinds::Kinds;
use crate::popularity::Counted;
use crate::types::{Epoch, Hour, Ids, Item, hour_of};

/// One entry: score in units of 2⁻³² events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Trend {
    /// Which item.
    pub item: Item,
    /// Its score, in units of 2⁻³² events.
    pub score: u128,
}

/// D: by hours of age, what an event counts, in units of 2⁻³². Ends where it would be zero.
pub fn decay_table(half_life_hours: u32) -> Vec<u64> {
    let decay = |age: u32| libm::round(libm::exp2(32.0 - f64::from(age) / f64::from(half_life_hours))) as u64;
    (0..).map(decay).take_while(|share| *share > 0).collect()
}

/// What the view is made with.
#[derive(Clone)]
pub struct TrendingOptions {
    /// Which kinds count.
    pub kinds: Kinds,
    /// After how many hours an event counts half.
    pub half_life_hours: u32,
    /// How many entries the list has.
    pub length: usize,
    /// For ties.
    pub ids: Ids,
}

/// Builds the operator: the whole list, on the first worker, in each epoch that changed it.
pub fn trending<'scope>(
    counts: StreamVec<'scope, Epoch, Counted>,
    now: StreamVec<'scope, Epoch, Option<Newest>>,
    options: TrendingOptions,
) -> StreamVec<'scope, Epoch, Vec<Trend>> {
    let kinds = options.kinds.clone();
    let changes = counts.unary::<CapacityContainerBuilder<Vec<Change>>, _, _, _>(
        Pipeline,
        "trending counts",
        move |_, _| {
            move |input, output| {
                input.for_each(|capability, data| {
                    let counted = data.drain(..).filter(|counted| kinds.trends(counted.cell.kind));
                    let changes = counted.map(|Counted { cell, diff, .. }| (cell.hour, cell.item, diff));
                    output.session(&capability).give_iterator(changes);
                });
            }
        },
    );
    let exchange = Exchange::new(|_: &Change| 0);
    changes.binary_frontier(now, exchange, Pipeline, "trending", |_, _| {
        let mut board = Board::new(options);
        let mut sent = Vec::new();
        // Invariant: what arrived for epochs that are not over yet.
        let mut pending: BTreeMap<Epoch, Pending> = BTreeMap::new();
        move |(changes, changes_frontier), (now, now_frontier), output| {
            changes.for_each(|capability, data| {
                let Some(capability) = capability.retain_least(0) else { return };
                let entry =
                    pending.entry(*capability.time()).or_insert_with(|| Pending::new(capability.clone()));
                entry.changes.append(data);
            });
            now.for_each(|capability, data| {
                let Some(capability) = capability.retain_least(0) else { return };
                let entry =
                    pending.entry(*capability.time()).or_insert_with(|| Pending::new(capability.clone()));
                entry.now = data.pop();
            });
            while let Some(mut entry) = pending.first_entry() {
                if changes_frontier.less_equal(entry.key()) || now_frontier.less_equal(entry.key()) {
                    // Nothing of an epoch before it can come, so what there is need not be kept: at the end of a bulk load
                    // these are the changes of all counts.
                    let next =
                        !changes_frontier.less_than(entry.key()) && !now_frontier.less_than(entry.key());
                    if next && entry.get().changes.len() >= MANY {
                        board.apply(std::mem::take(&mut entry.get_mut().changes), None);
                    }
                    break;
                }
                let Pending { changes, now, capability } = entry.remove();
                board.apply(changes, now);
                let top = board.top();
                if top != sent {
                    sent.clone_from(&top);
                    output.session(&capability).give(top);
                }
            }
        }
    })
}

/// How many changes of one epoch are kept at most before they are put on the board.
const MANY: usize = 1 << 17;

/// By how much the count of an hour and an item changed.
type Change = (Hour, Item, i32);

/// What arrived for one epoch.
struct Pending {
    changes: Vec<Change>,
    now: Option<Option<Newest>>,
    capability: Capability<Epoch>,
}

impl Pending {
    fn new(capability: Capability<Epoch>) -> Self {
        Pending { changes: Vec::new(), now: None, capability }
    }
}

/// Counts by hour and item, and the scores at the present hour.
struct Board {
    options: TrendingOptions,
    decay: Vec<u64>,
    /// By hour, then sorted by item; no count is zero. Four billion events of one hour would not fit any memory.
    counts: BTreeMap<Hour, Vec<(Item, u32)>>,
    hour: Option<Hour>,
    /// By item number. Invariant: the scores of `counts` at `hour`.
    scores: Vec<i128>,
}

impl Board {
    fn new(options: TrendingOptions) -> Self {
        let decay = decay_table(options.half_life_hours);
        Board { options, decay, counts: BTreeMap::new(), hour: None, scores: Vec::new() }
    }

    /// Applies an epoch's changes of counts, and of `now` where it changed.
    fn apply(&mut self, mut changes: Vec<Change>, now: Option<Option<Newest>>) {
        changes.sort_unstable_by_key(|(hour, item, _)| (*hour, *item));
        for of_hour in changes.chunk_by(|a, b| a.0 == b.0) {
            let hour = of_hour[0].0;
            let counts = self.counts.entry(hour).or_default();
            merge(counts, of_hour);
            if counts.is_empty() {
                self.counts.remove(&hour);
            }
        }
        let hour = now.map_or(self.hour, |now| now.map(|newest| hour_of(newest.at)));
        if hour == self.hour {
            for &(hour, item, change) in &changes {
                self.score(hour, item, change.into());
            }
        } else {
            self.hour = hour;
            self.score_all();
        }
    }

    fn score(&mut self, hour: Hour, item: Item, count: i64) {
        let age = self.hour.and_then(|now| now.checked_sub(hour));
        let share = age.and_then(|age| self.decay.get(age as usize)).copied().unwrap_or(0);
        if self.scores.len() <= item.index() {
            self.scores.resize(item.index() + 1, 0);
        }
        self.scores[item.index()] += i128::from(count) * i128::from(share);
    }

    fn score_all(&mut self) {
        self.scores.fill(0);
        let Some(now) = self.hour else { return };
        let oldest = now.saturating_sub(self.decay.len() as u32);
        let counts = std::mem::take(&mut self.counts);
        for (hour, of_hour) in counts.range(oldest..=now) {
            for &(item, count) in of_hour {
                self.score(*hour, item, i64::from(count));
            }
        }
        self.counts = counts;
    }

    /// The best items, best first.
    fn top(&self) -> Vec<Trend> {
        let trend =
            |(number, score): (usize, &i128)| Trend { item: Item(number as u32), score: *score as u128 };
        let order =
            |a: &Trend, b: &Trend| b.score.cmp(&a.score).then_with(|| self.options.ids.order(a.item, b.item));
        let positive = self.scores.iter().enumerate().filter(|(_, score)| **score > 0);
        let mut all: Vec<Trend> = positive.map(trend).collect();
        if all.len() > self.options.length && self.options.length > 0 {
            all.select_nth_unstable_by(self.options.length - 1, order);
        }
        all.truncate(self.options.length);
        all.sort_unstable_by(order);
        all
    }
}

/// Adds sorted changes of one hour, of which several may name one item, to its sorted counts.
fn merge(counts: &mut Vec<(Item, u32)>, changes: &[Change]) {
    let old = std::mem::take(counts);
    counts.reserve_exact(old.len() + changes.len());
    let mut old = old.into_iter().peekable();
    for of_item in changes.chunk_by(|a, b| a.1 == b.1) {
        let item = of_item[0].1;
        let mut count: i64 = of_item.iter().map(|(_, _, change)| i64::from(*change)).sum();
        while let Some(entry) = old.next_if(|(known, _)| *known < item) {
            counts.push(entry);
        }
        if let Some((_, known)) = old.next_if(|(known, _)| *known == item) {
            count += i64::from(known);
        }
        if let Ok(count @ 1..) = u32::try_from(count) {
            counts.push((item, count));
        }
    }
    counts.extend(old);
    counts.shrink_to_fit();
}
