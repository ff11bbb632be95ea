//! The lists that are compared, made from a model, from a frozen factor, and from popularity.
//!
//! Signals, fold-in and selection are the graph's own. Every list leaves out what the member has seen, hidden or
//! disliked by that moment: also the frozen one, which so gets the better of a list that is really not touched.

use nearline_dataflows::kinds::Kinds;
use nearline_dataflows::model::Model;
use nearline_dataflows::profile::{ItemState, profile};
use nearline_dataflows::signals::{Signals, signals};
use nearline_dataflows::types::{Event, Item, Member};
use nearline_factors::{Bitmap, Scored};

use super::metrics::DEPTH;
use super::moments::Moment;
use crate::offline::live::LiveSet;

/// Lists are made for so many moments at once.
const AT_ONCE: usize = 128;

/// Makes factors and lists of a model, from signals.
pub struct Picks {
    model: Model,
    available: Bitmap,
}

/// Makes the lists.
pub struct Lists {
    picks: Picks,
    kinds: Kinds,
    /// The most popular items first.
    popular: Vec<Item>,
}

/// The lists of one moment.
#[derive(Debug)]
pub struct Shown {
    /// From a factor of all events before; none without a positive signal.
    pub nearline: Option<Vec<Item>>,
    /// From the frozen factor, where there is one.
    pub frozen: Option<Vec<Item>>,
    /// The most popular items.
    pub popularity: Vec<Item>,
}

impl Picks {
    /// Of a model whose every item may be listed.
    pub fn new(model: Model) -> Self {
        let available = Bitmap::full(model.items().len());
        Picks { model, available }
    }

    /// Whether an item is in the model.
    pub fn knows(&self, item: Item) -> bool {
        self.model.index_of(item).is_some()
    }

    /// What a profile says under the model.
    pub fn signals(&self, states: &[ItemState]) -> Signals {
        signals(states, &self.model)
    }

    /// The members' factors, one behind the other.
    pub fn fold_in(&self, members: &[&Signals]) -> Vec<f32> {
        let mut offsets = vec![0];
        let mut pairs = Vec::new();
        for signals in members {
            pairs.extend_from_slice(&signals.pairs);
            offsets.push(pairs.len());
        }
        let mut factors = Vec::new();
        self.model.side.fold_in_batch(&offsets, &pairs, &mut factors);
        factors
    }

    /// The best `k` items for each factor, without those that the member's signals exclude.
    pub fn select(&self, factors: &[f32], members: &[&Signals], k: usize) -> Vec<Vec<Item>> {
        let excluded: Vec<&[u32]> = members.iter().map(|signals| signals.excluded.as_slice()).collect();
        let mut selected: Vec<Vec<Scored>> = Vec::new();
        self.model.side.select(factors, &excluded, &self.available, k, &mut selected);
        let item = |entry: &Scored| self.model.items()[entry.item as usize];
        selected.iter().map(|list| list.iter().map(item).collect()).collect()
    }
}

impl Lists {
    /// Lists of a model, and of the items in the order of their popularity.
    pub fn new(model: Model, kinds: Kinds, popular: Vec<Item>) -> Self {
        Lists { picks: Picks::new(model), kinds, popular }
    }

    /// How many items the model has.
    pub fn items_in_model(&self) -> usize {
        self.picks.model.items().len()
    }

    /// Whether an item is in the model.
    pub fn knows(&self, item: Item) -> bool {
        self.picks.knows(item)
    }

    /// The factor that these events give; none without a positive signal.
    pub fn factor(&self, events: &[Event]) -> Option<Vec<f32>> {
        let signals = self.picks.signals(&profile(events, &self.kinds));
        signals.positive.then(|| self.picks.fold_in(&[&signals]))
    }

    /// Shows each moment's lists to `take`, in the order of the moments.
    pub fn show(&self, moments: &[Moment], frozen: Option<&[f32]>, mut take: impl FnMut(&Moment, Shown)) {
        for some in moments.chunks(AT_ONCE) {
            let states: Vec<Vec<ItemState>> =
                some.iter().map(|moment| profile(&moment.before, &self.kinds)).collect();
            let signals: Vec<Signals> = states.iter().map(|states| self.picks.signals(states)).collect();
            let known: Vec<&Signals> = signals.iter().filter(|signals| signals.positive).collect();
            let mut nearline = self.picks.select(&self.picks.fold_in(&known), &known, DEPTH).into_iter();
            let every: Vec<&Signals> = signals.iter().collect();
            let mut stale = frozen.map(|factor| {
                let factors = factor.repeat(every.len());
                self.picks.select(&factors, &every, DEPTH).into_iter()
            });
            for ((moment, states), signals) in some.iter().zip(&states).zip(&signals) {
                let shown = Shown {
                    nearline: if signals.positive { nearline.next() } else { None },
                    frozen: stale.as_mut().and_then(Iterator::next),
                    popularity: self.popularity(states),
                };
                take(moment, shown);
            }
        }
    }

    fn popularity(&self, states: &[ItemState]) -> Vec<Item> {
        self.popular.iter().copied().filter(|item| !left_out(states, *item)).take(DEPTH).collect()
    }
}

/// Whether a member of this profile may not be shown an item: seen, hidden or disliked.
pub fn left_out(states: &[ItemState], item: Item) -> bool {
    let place = states.binary_search_by_key(&item, |state| state.item);
    place.is_ok_and(|place| states[place].seen || states[place].never_listed())
}

/// Items by how many events of positive weight they have, most first, ties by id. `keep` picks the events.
pub fn by_popularity(live: &LiveSet, kinds: &Kinds, keep: impl Fn(Member, &Event) -> bool) -> Vec<Item> {
    let mut counts = vec![0u64; live.items.len()];
    for member in live.members_by_id() {
        let counted = |event: &&Event| keep(member, event) && kinds.weight_of(event) > 0;
        live.events(member).iter().filter(counted).for_each(|event| counts[event.item.index()] += 1);
    }
    let mut items: Vec<Item> =
        (0..counts.len() as u32).map(Item).filter(|item| counts[item.index()] > 0).collect();
    let id = |item: &Item| live.items.name(item.0).as_bytes();
    items.sort_unstable_by(|a, b| counts[b.index()].cmp(&counts[a.index()]).then_with(|| id(a).cmp(id(b))));
    items
}
