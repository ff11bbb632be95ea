//! The members: where they are, what they like, and how a sitting in front of the screen goes.

use std::collections::BTreeSet;

use super::chance::{Chance, Weighted};
use super::titles::{CRIME, GENRES, SCIENCE_FICTION, THRILLER};
use super::{BEGIN, DAY_MS, DAYS, END, Event, Shelves, TODAY, Title};

/// Countries and how many members in a hundred are there.
pub const COUNTRIES: [(&str, u64); 10] = [
    ("US", 30),
    ("GB", 13),
    ("DE", 12),
    ("BR", 10),
    ("IN", 9),
    ("FR", 8),
    ("JP", 6),
    ("ES", 5),
    ("NL", 4),
    ("KE", 3),
];
const DEVICES: [&str; 4] = ["tv", "phone", "tablet", "web"];
/// How many sittings in a hundred begin in each hour of the day: few at night, most in the evening.
const HOURS: [u64; 24] = [3, 2, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 4, 5, 6, 8, 10, 11, 10, 7, 5];

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watcher {
    /// `m1`, `m2` and so on.
    pub id: String,
    /// Where the member is.
    pub country: &'static str,
    /// What the member watches on most of the time.
    device: &'static str,
    /// Genres and how many choices in a hundred fall on each; the rest falls anywhere.
    tastes: Vec<(usize, u64)>,
}

impl Watcher {
    /// The names of the genres that the member likes, the most liked first.
    pub fn tastes(&self) -> impl Iterator<Item = &'static str> {
        self.tastes.iter().map(|(genre, _)| GENRES[*genre].name)
    }

    fn likes(&self, title: &Title) -> bool {
        self.tastes.iter().any(|(genre, _)| title.genres[0] == *genre)
    }

    /// The genre that the member is in the mood for.
    fn mood(&self, chance: &mut Chance) -> usize {
        let mut point = chance.below(100);
        for (genre, share) in &self.tastes {
            if point < *share {
                return *genre;
            }
            point -= share;
        }
        chance.below(GENRES.len() as u64) as usize
    }
}

/// A place in [`COUNTRIES`].
pub fn country(chance: &mut Chance) -> usize {
    Weighted::new(COUNTRIES.map(|(_, share)| share)).draw(chance)
}

/// Invents members. The first likes crime and thrillers, the last science fiction: the story is about them.
pub fn members(count: usize, chance: &mut Chance) -> Vec<Watcher> {
    let mut members: Vec<Watcher> = (1..=count)
        .map(|number| Watcher {
            id: format!("m{number}"),
            country: COUNTRIES[country(chance)].0,
            device: DEVICES[Weighted::new([50, 25, 10, 15]).draw(chance)],
            tastes: tastes(chance),
        })
        .collect();
    members[0].tastes = vec![(CRIME, 60), (THRILLER, 35)];
    members[count - 1].tastes = vec![(SCIENCE_FICTION, 90)];
    members
}

/// A favourite genre, one that is near it, and sometimes a third from anywhere.
fn tastes(chance: &mut Chance) -> Vec<(usize, u64)> {
    let favourite = chance.below(GENRES.len() as u64) as usize;
    let mut tastes = vec![(favourite, chance.within(40, 60)), (*chance.one_of(&GENRES[favourite].near), 22)];
    let third = chance.below(GENRES.len() as u64) as usize;
    if tastes.iter().all(|(genre, _)| *genre != third) {
        tastes.push((third, 10));
    }
    tastes
}

/// Makes events, one sitting after the other.
pub struct Behaviour<'a> {
    /// What has happened so far, in no order.
    pub events: Vec<Event>,
    items: &'a [Title],
    shelves: &'a Shelves,
    members: &'a [Watcher],
    activity: Weighted,
    hours: Weighted,
    sittings: usize,
    /// What each member has touched: nobody starts a thing twice.
    seen: Vec<BTreeSet<usize>>,
}

impl<'a> Behaviour<'a> {
    pub fn new(items: &'a [Title], shelves: &'a Shelves, members: &'a [Watcher]) -> Self {
        // The last member has no past.
        let others = members.len() - 1;
        Behaviour {
            events: Vec::new(),
            items,
            shelves,
            members,
            activity: Weighted::falling(others, others / 8 + 1),
            hours: Weighted::new(HOURS),
            sittings: 0,
            seen: vec![BTreeSet::new(); members.len()],
        }
    }

    /// Takes events that are made elsewhere.
    pub fn happens(&mut self, events: &[Event]) {
        for event in events {
            self.seen[event.member].insert(event.item);
            self.events.push(event.clone());
        }
    }

    /// A member sits down, some time in the 90 days, and looks for something to watch.
    pub fn session(&mut self, chance: &mut Chance) {
        // Everybody has a first sitting before anybody has many. The first member is the least active: a short past
        // makes the turn that the story tells a sharp one.
        let others = self.members.len() - 1;
        let member =
            if self.sittings < others { self.sittings } else { others - 1 - self.activity.draw(chance) };
        self.sittings += 1;
        let hour = self.hours.draw(chance) as i64;
        let at = BEGIN + chance.below(DAYS as u64) as i64 * DAY_MS + hour * 3_600_000;
        let at = at + chance.below(3_000_000) as i64;
        // What the first member does today is told by the story alone.
        if member == 0 && at >= TODAY - DAY_MS {
            return;
        }
        let watcher = &self.members[member];
        let genre = watcher.mood(chance);
        let Some(item) = self.shelves.pick(genre, self.items, at, &self.seen[member], chance) else { return };
        let device = if chance.per_mille(750) { watcher.device } else { *chance.one_of(&DEVICES) };
        let event = Event { member, item, kind: "play", hundredths: None, at, id: 0, device, position: None };
        self.seen[member].insert(item);
        self.watch(event, watcher.likes(&self.items[item]), chance);
        if chance.per_mille(60) {
            self.note_for_later(member, genre, at, device, chance);
        }
    }

    /// How it goes with one title: perhaps shown and clicked before, watched, perhaps liked or disliked after.
    fn watch(&mut self, play: Event, fits: bool, chance: &mut Chance) {
        let event = |kind, at| Event { kind, at, hundredths: None, ..play.clone() };
        // Where in a list it was shown, and then whether it was come to from there.
        let mut position = None;
        if chance.per_mille(60) {
            position = Some(chance.within(1, 20) as u32);
            self.events.push(Event { position, ..event("impression", play.at - 21_000) });
        }
        if chance.per_mille(50) {
            self.events.push(Event { position, ..event("click", play.at - 8_000) });
        } else {
            position = None;
        }
        let part = part_watched(fits, chance);
        self.events.push(Event { hundredths: Some(part), position, ..play.clone() });
        let after = play.at + 60_000 + i64::from(part) * 60_000;
        let resumed = play.at + DAY_MS + chance.below(7_200_000) as i64;
        if (25..95).contains(&part) && chance.per_mille(500) && before_story(&play, resumed) {
            let part = chance.within(95, 100) as u32;
            self.events.push(Event { hundredths: Some(part), at: resumed, ..play.clone() });
        }
        if !before_story(&play, after) {
            return;
        }
        match (fits, part) {
            (true, 80..) if chance.per_mille(150) => self.events.push(event("like", after)),
            (false, ..=30) if chance.per_mille(60) => self.events.push(event("dislike", after)),
            (false, ..=30) if chance.per_mille(20) => self.events.push(event("hide", after)),
            _ => {}
        }
    }

    /// Puts another title of the genre on the member's list, and leaves it unwatched.
    fn note_for_later(
        &mut self,
        member: usize,
        genre: usize,
        at: i64,
        device: &'static str,
        chance: &mut Chance,
    ) {
        if let Some(item) = self.shelves.pick(genre, self.items, at, &self.seen[member], chance) {
            let at = at - 30_000;
            let event =
                Event { member, item, kind: "list_add", hundredths: None, at, id: 0, device, position: None };
            self.events.push(event);
        }
    }
}

/// Whether a consequence of `play` at this time is still in the world, and out of the story's way.
fn before_story(play: &Event, at: i64) -> bool {
    at < if play.member == 0 { TODAY } else { END }
}

/// In hundredths. What fits is mostly finished, what does not is mostly left.
fn part_watched(fits: bool, chance: &mut Chance) -> u32 {
    let (finished, middle) = if fits { (72, 90) } else { (18, 40) };
    let (least, most) = match chance.below(100) {
        point if point < finished => (95, 100),
        point if point < middle => (25, 94),
        _ => (1, 24),
    };
    chance.within(least, most) as u32
}
