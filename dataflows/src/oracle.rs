//! The oracle: the views by their definitions, slowly, from the whole set of records at once.
//!
//! No epochs, no increments, no shared code with the views but for the vocabulary and the numeric core. Tests hold
//! the graph against it at every epoch.

use std::collections::{BTreeMap, BTreeSet};

use nearline_factors::{Pair, Scratch};

use crate::clusters::Centres;
use crate::graph::Meaning;
use crate::kinds::{KindRule, Seen};
use crate::line_up::LineUp;
use crate::members::Cell;
use crate::model::Model;
use crate::performance::ListCell;
use crate::progress::Begun;
use crate::trending::{Trend, decay_table};
use crate::types::{
    Action, DAY_MS, Event, Item, ItemIds, ItemVersion, List, LookUps, Member, Op, Placements, hour_of,
};

/// All views.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Views {
    /// Counts that are not zero.
    pub popularity: BTreeMap<Cell, i64>,
    /// Counts of events that name a list, where they are not zero.
    pub performance: BTreeMap<ListCell, u64>,
    /// Of how many members the basket holds two items; of an item with itself, the item. Never zero.
    pub together: BTreeMap<(Item, Item), u32>,
    /// The newest `at`.
    pub now: Option<i64>,
    /// The trending list.
    pub trending: Vec<Trend>,
    /// What members have begun, where that is anything.
    pub progress: BTreeMap<Member, Vec<Begun>>,
    /// Factors (as bits) and lists of the members that have one.
    pub lists: BTreeMap<Member, (Vec<u32>, Vec<(Item, u32)>)>,
    /// Which cluster members belong to and how many items they like, of those who belong to one.
    pub clusters: BTreeMap<Member, (u32, u32)>,
    /// Of how many members of a cluster an item is among what they like. Never zero.
    pub cluster_popularity: BTreeMap<(u32, Item), u32>,
    /// The version of each item that holds.
    pub items: BTreeMap<Item, (i64, Vec<u8>)>,
}

/// live = events − retracted − forgotten, as a set.
pub fn live(ops: &[Op]) -> BTreeMap<Member, BTreeSet<Event>> {
    let mut live: BTreeMap<Member, BTreeSet<Event>> = BTreeMap::new();
    for op in ops {
        if let Action::Add(event) = op.action {
            let gone = ops.iter().any(|other| match other.action {
                Action::Trim(at) => event.at() <= at,
                _ if other.member != op.member => false,
                Action::Forget(at) => event.at() <= at,
                Action::RetractId(id) => event.id == id,
                Action::Retract(Event { digest, .. }) | Action::RetractDigest(digest, _) => {
                    event.digest == digest
                }
                Action::Add(_) => false,
            });
            if !gone {
                live.entry(op.member).or_default().insert(event);
            }
        }
    }
    live
}

/// What lists and clusters are made with.
#[derive(Clone, Copy)]
pub struct Using<'a> {
    /// The models.
    pub line_up: &'a LineUp,
    /// The centres of clusters.
    pub centres: Option<&'a Centres>,
}

/// The views of a set of records.
pub fn views(
    ops: &[Op],
    versions: &[ItemVersion],
    meaning: &Meaning,
    Using { line_up, centres }: Using<'_>,
    LookUps { ids, placements, assignment, .. }: &LookUps,
) -> Views {
    let live = live(ops);
    let mut views = Views::default();
    for version in versions {
        let held = views.items.entry(version.item).or_default();
        *held = held.clone().max((version.at, version.body.clone()));
    }
    let withdrawn = |item: Item| {
        let held = views.items.get(&item);
        versions.iter().any(|version| {
            version.withdrawn && version.item == item && held == Some(&(version.at, version.body.clone()))
        })
    };
    for event in live.values().flatten() {
        let country = placements.placement(event.place).country;
        let cell = Cell { item: event.item, hour: hour_of(event.at()), country, kind: event.kind() };
        *views.popularity.entry(cell).or_default() += 1;
        views.now = views.now.max(Some(event.at()));
    }
    views.performance = performance(live.values().flatten(), &**placements);
    let ids = &**ids;
    views.trending = trending(&views, meaning, ids);
    for (member, events) in &live {
        let making = match line_up.makings() {
            [alone] => alone,
            several => &several[assignment.variant(*member)],
        };
        let model = making.model.as_deref();
        let items: BTreeSet<Item> = events.iter().map(|event| event.item).collect();
        let of = |item: Item| {
            let of_item: Vec<Event> = events.iter().filter(|event| event.item == item).copied().collect();
            Sums::new(&of_item, meaning, model)
        };
        let sums: Vec<(Item, Sums)> = items.into_iter().map(|item| (item, of(item))).collect();
        let basket = basket(&sums, events, meaning, ids);
        for one in &basket {
            for other in basket.iter().filter(|other| *other >= one) {
                *views.together.entry((*one, *other)).or_default() += 1;
            }
        }
        let begun = begun(&sums, meaning, ids);
        if !begun.is_empty() {
            views.progress.insert(*member, begun);
        }
        let kept = model.filter(|_| making.kept);
        let Some(model) = kept else { continue };
        let Some(list) = top_picks(&sums, model, &withdrawn, meaning.length) else { continue };
        if let Some(centres) = centres.filter(|centres| centres.model == model.version) {
            let cluster = nearest(&list.0, centres);
            let liked = || sums.iter().filter(|(_, sums)| sums.signal > 0 && !sums.hidden);
            views.clusters.insert(*member, (cluster, liked().count() as u32));
            for (item, _) in liked() {
                *views.cluster_popularity.entry((cluster, *item)).or_default() += 1;
            }
        }
        views.lists.insert(*member, list);
    }
    views
}

/// The first of the centres whose product with a factor is greatest.
fn nearest(factor: &[u32], centres: &Centres) -> u32 {
    let rows = centres.factors();
    let product = |centre: usize| {
        let pairs = factor.iter().zip(rows.row(centre));
        pairs.fold(0.0_f32, |sum, (x, y)| f32::from_bits(*x).mul_add(*y, sum))
    };
    let mut best = 0;
    for centre in 1..rows.rows() {
        if product(centre) > product(best) {
            best = centre;
        }
    }
    best as u32
}

fn performance<'a>(
    live: impl Iterator<Item = &'a Event>,
    placements: &dyn Placements,
) -> BTreeMap<ListCell, u64> {
    let mut counts = BTreeMap::new();
    for event in live {
        let placement = placements.placement(event.place);
        if placement.list != List(0) {
            let cell = ListCell {
                day: (event.at() / DAY_MS) as u32,
                list: placement.list,
                variant: placement.variant,
                position: placement.position,
                kind: event.kind(),
            };
            *counts.entry(cell).or_default() += 1;
        }
    }
    counts
}

fn trending(views: &Views, meaning: &Meaning, ids: &dyn ItemIds) -> Vec<Trend> {
    let decay = decay_table(meaning.half_life_hours);
    let mut scores: BTreeMap<Item, u128> = BTreeMap::new();
    for (cell, count) in &views.popularity {
        let age = hour_of(views.now.unwrap_or(0)) - cell.hour;
        let share = decay.get(age as usize).copied().unwrap_or(0);
        if meaning.kinds.rule(cell.kind).weight > 0 {
            *scores.entry(cell.item).or_default() += *count as u128 * u128::from(share);
        }
    }
    let mut list: Vec<Trend> = scores.into_iter().map(|(item, score)| Trend { item, score }).collect();
    list.retain(|entry| entry.score > 0);
    list.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| ids.id(a.item).cmp(ids.id(b.item))));
    list.truncate(meaning.length);
    list
}

/// What a member's events say of one item.
struct Sums {
    signal: i128,
    seen: bool,
    hidden: bool,
    newest: Option<(i64, i64)>,
}

impl Sums {
    fn new(events: &[Event], meaning: &Meaning, model: Option<&Model>) -> Self {
        let mut sums = Sums { signal: 0, seen: false, hidden: false, newest: None };
        let kinds: BTreeSet<_> = events.iter().map(Event::kind).collect();
        for kind in kinds {
            let configured = meaning.kinds.rule(kind);
            let weights = match model {
                Some(model) if kind.index() < model.weights.len() => &model.weights[kind.index()],
                Some(_) => &KindRule::COUNTED,
                None => configured,
            };
            let of_kind = || events.iter().filter(|event| event.kind() == kind);
            let sum: i128 = of_kind().map(|event| i128::from(weights.weight_of(event.value))).sum();
            sums.signal += weights.floor.map_or(sum, |floor| sum.max(floor.into()));
            sums.hidden |= configured.hides;
            sums.seen |= match configured.seen {
                Seen::No => false,
                Seen::Yes => true,
                Seen::WhilePositive => of_kind().map(|event| i128::from(event.value)).sum::<i128>() > 0,
            };
            if meaning.kinds.is_progress(kind) {
                sums.newest = of_kind().map(|event| (event.at(), event.value)).max();
            }
        }
        sums
    }
}

/// The items that a member has seen and does not hide, the newest of them.
fn basket(
    sums: &[(Item, Sums)],
    events: &BTreeSet<Event>,
    meaning: &Meaning,
    ids: &dyn ItemIds,
) -> Vec<Item> {
    let marks = |event: &&Event| meaning.kinds.rule(event.kind()).seen != Seen::No;
    let newest =
        |item: Item| events.iter().filter(marks).filter(|event| event.item == item).map(Event::at).max();
    let mut items: Vec<Item> =
        sums.iter().filter(|(_, sums)| sums.seen && !sums.hidden).map(|(item, _)| *item).collect();
    items.sort_by_key(|item| ids.id(*item));
    items.sort_by_key(|item| std::cmp::Reverse(newest(*item)));
    items.truncate(meaning.basket);
    items
}

fn begun(sums: &[(Item, Sums)], meaning: &Meaning, ids: &dyn ItemIds) -> Vec<Begun> {
    let mut list = Vec::new();
    for (item, sums) in sums {
        if let Some((at, value)) = sums.newest
            && value >= meaning.begun_from
            && value < meaning.begun_below
            && !sums.hidden
            && sums.signal >= 0
        {
            list.push(Begun { item: *item, at, value });
        }
    }
    list.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| ids.id(a.item).cmp(ids.id(b.item))));
    list.truncate(meaning.length);
    list
}

fn top_picks(
    sums: &[(Item, Sums)],
    model: &Model,
    withdrawn: &dyn Fn(Item) -> bool,
    length: usize,
) -> Option<(Vec<u32>, Vec<(Item, u32)>)> {
    let mut pairs: Vec<Pair> = Vec::new();
    for (item, sums) in sums {
        if let Some(index) = model.index_of(*item)
            && sums.signal != 0
        {
            pairs.push(Pair::from_signed(index, model.transform.weight(sums.signal)));
        }
    }
    pairs.sort_by_key(|pair| pair.item);
    pairs.iter().any(|pair| pair.b > 0.0).then_some(())?;
    let mut factor = vec![0.0; model.side.items().rank()];
    model.side.fold_in(&pairs, &mut Scratch::new(), &mut factor);
    let excluded = |item: Item| {
        let own = sums.iter().find(|(of, _)| *of == item);
        own.is_some_and(|(_, sums)| sums.seen || sums.hidden || sums.signal < 0) || withdrawn(item)
    };
    let mut list: Vec<(u32, f32)> = (0..model.items().len() as u32)
        .filter(|index| !excluded(model.items()[*index as usize]))
        .map(|index| (index, model.side.score(&factor, index)))
        .collect();
    list.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    list.truncate(length);
    let bits = factor.iter().map(|number| number.to_bits()).collect();
    Some((
        bits,
        list.into_iter().map(|(index, score)| (model.items()[index as usize], score.to_bits())).collect(),
    ))
}
