//! An invented world to try Nearline on: titles, members with tastes, and what they did. It needs no download.
//!
//! A world follows from its seed and size alone, on every machine, to the byte. Members have two or three genres
//! that they like; they finish what fits and leave what does not, so that a model has something to learn. Popularity
//! is skewed as in real logs. All events lie in the 90 days before [`END`]; those of the last day are kept apart, to be
//! piped in live. This module knows nothing of the pipeline: it writes records as anyone's program would.

mod bench;
mod chance;
mod people;
mod story;
mod titles;
mod write;

use std::collections::BTreeSet;

pub use bench::{BenchSize, bench_log, bench_log_retracted};
use chance::{Chance, Weighted};
use people::Behaviour;
pub use people::Watcher;
pub use story::Story;
use titles::GENRES;

/// When the world ends: 2026-06-01T00:00:00Z, in milliseconds since 1970. All events are before it.
pub const END: i64 = 1_780_272_000_000;
/// The first instant of the last day, from which on events are today's.
pub const TODAY: i64 = END - DAY_MS;
const DAY_MS: i64 = 86_400_000;
/// The days of the world.
const DAYS: i64 = 90;
const BEGIN: i64 = END - DAYS * DAY_MS;

/// How much of a world to invent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorldSize {
    /// How many members, at least 2: the last of them does nothing before today.
    pub members: usize,
    /// How many titles, at least 100.
    pub items: usize,
    /// How many events, those of today included.
    pub events: usize,
}

impl WorldSize {
    /// What `nearline demo` shows: made, trained on and run within seconds.
    pub const DEMO: WorldSize = WorldSize { members: 2_000, items: 1_200, events: 60_000 };
}

/// One title of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title {
    /// `i1`, `i2` and so on.
    pub id: String,
    /// Its title; no other has the same.
    pub title: String,
    /// Places in [`GENRES`]; the first is the main one.
    genres: Vec<usize>,
    /// Where it was made.
    pub country: &'static str,
    /// When it came into the catalogue, in milliseconds since 1970: nothing happens to it before.
    pub at: i64,
    /// Whether it has been taken out of the catalogue.
    pub withdrawn: bool,
}

impl Title {
    /// The names of its genres, the main one first.
    pub fn genres(&self) -> impl Iterator<Item = &'static str> {
        self.genres.iter().map(|genre| GENRES[*genre].name)
    }
}

/// One thing that a member did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Who, as a place in [`World::members`].
    pub member: usize,
    /// To what, as a place in [`World::items`].
    pub item: usize,
    /// What: a name of a kind.
    pub kind: &'static str,
    /// The part watched, in hundredths, where that is said.
    pub hundredths: Option<u32>,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// The number in its id, from 1 in the order of time.
    pub id: usize,
    /// On what.
    pub device: &'static str,
    /// The position in `top_picks` at which the item was shown, for impressions and what comes of them.
    pub position: Option<u32>,
}

/// An invented catalogue, its members and their events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// The titles.
    pub items: Vec<Title>,
    /// The members.
    pub members: Vec<Watcher>,
    /// Everything that happened, in the order of time.
    pub events: Vec<Event>,
    /// What happens today to two members, to look at.
    pub story: Story,
}

impl World {
    /// Invents a world. Sizes that are too small are raised to the least that works.
    pub fn new(seed: u64, size: WorldSize) -> World {
        let size = WorldSize { members: size.members.max(2), items: size.items.max(100), ..size };
        let mut chance = Chance::new(seed);
        let items = titles(size.items, &mut chance);
        let shelves = Shelves::new(&items);
        let members = people::members(size.members, &mut chance);
        let story = Story::tell(&shelves, &members);
        let mut behaviour = Behaviour::new(&items, &shelves, &members);
        behaviour.happens(&story.events);
        while behaviour.events.len() < size.events {
            behaviour.session(&mut chance);
        }
        let mut events = behaviour.events;
        events.truncate(size.events.max(story.events.len()));
        // Stable, so events of one millisecond stay in the order in which they were made.
        events.sort_by_key(|event| event.at);
        events.iter_mut().zip(1..).for_each(|(event, id)| event.id = id);
        let story = story.found_in(&events);
        World { items, members, events, story }
    }

    /// What happened before today.
    pub fn history(&self) -> &[Event] {
        self.events.split_at(self.today_starts()).0
    }

    /// What happens today.
    pub fn today(&self) -> &[Event] {
        self.events.split_at(self.today_starts()).1
    }

    fn today_starts(&self) -> usize {
        self.events.partition_point(|event| event.at < TODAY)
    }
}

/// The titles by main genre, the most popular first, with their chances.
struct Shelves {
    by_genre: Vec<Vec<usize>>,
    chances: Vec<Weighted>,
}

impl Shelves {
    fn new(items: &[Title]) -> Self {
        let mut by_genre = vec![Vec::new(); GENRES.len()];
        for (item, title) in items.iter().enumerate() {
            by_genre[title.genres[0]].push(item);
        }
        let chances = by_genre.iter().map(|shelf| Weighted::falling(shelf.len(), 1)).collect();
        Shelves { by_genre, chances }
    }

    /// A title of the genre that is in the catalogue by then and that `seen` does not hold; a few are tried.
    fn pick(
        &self,
        genre: usize,
        items: &[Title],
        at: i64,
        seen: &BTreeSet<usize>,
        chance: &mut Chance,
    ) -> Option<usize> {
        (0..8)
            .map(|_| self.by_genre[genre][self.chances[genre].draw(chance)])
            .find(|item| items[*item].at <= at && !seen.contains(item))
    }
}

fn titles(count: usize, chance: &mut Chance) -> Vec<Title> {
    // The first ones of a genre are its most popular: numbers in ids are dealt apart from that.
    let ids = chance.shuffled(count);
    let mut taken = BTreeSet::new();
    (0..count)
        .map(|item| {
            let main = item % GENRES.len();
            let near = GENRES[main].near;
            let mut genres = vec![main, near[chance.below(2) as usize]];
            if chance.per_mille(350) {
                genres.push(near[2]);
            }
            // One in twelve came in the last three weeks; the others were there before the world began.
            let new = item >= GENRES.len() && chance.per_mille(80);
            let age = if new { chance.within(1, 21) } else { chance.within(DAYS as u64 + 1, 3_000) };
            Title {
                id: format!("i{}", ids[item] + 1),
                title: titles::title(&GENRES[main], chance, &mut taken),
                genres,
                country: people::COUNTRIES[people::country(chance)].0,
                at: END - age as i64 * DAY_MS,
                withdrawn: item >= 10 * GENRES.len() && chance.per_mille(10),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
