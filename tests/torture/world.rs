//! What is fed: records drawn from a seed, and what is live after any of them, by the plainest reading of the rules.

use std::collections::{BTreeMap, BTreeSet};

/// Numbers that look random, and are the same for the same seed.
pub struct Chance(u64);

impl Chance {
    /// The numbers of one part of what a seed decides; each part has its own, so that none depends on another's timing.
    pub fn new(seed: u64, part: u64) -> Chance {
        let mut chance =
            Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ part.wrapping_mul(0xd1b5_4a32_d192_ed03));
        for _ in 0..4 {
            chance.below(2);
        }
        chance
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }

    pub fn within(&mut self, from: usize, end: usize) -> usize {
        from + self.below(end - from)
    }

    pub fn per_cent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// From `low` to `high`, small ones as often as large ones.
    pub fn of_any_size(&mut self, low: usize, high: usize) -> usize {
        let share = self.below(10_001) as f64 / 10_000.0;
        (low as f64 * (high as f64 / low as f64).powf(share)) as usize
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for place in (1..list.len()).rev() {
            list.swap(place, self.below(place + 1));
        }
    }
}

/// A line and what it is.
pub struct Record {
    /// As `nearline export` would write it, without its line end.
    pub line: String,
    pub what: What,
}

pub enum What {
    Event {
        member: usize,
        at: i64,
        id: Option<String>,
    },
    /// Of the event with this line.
    Retract(String),
    RetractId {
        member: usize,
        id: String,
    },
    Forget {
        member: usize,
        at: i64,
    },
    Trim {
        at: i64,
    },
    Item,
    /// What cannot be taken.
    Broken,
}

/// A world: names and records.
pub struct World {
    pub members: Vec<String>,
    pub records: Vec<Record>,
}

const BEGIN: i64 = 1_709_251_200_000;
const HOUR: i64 = 3_600_000;
const KINDS: [&str; 9] = ["play", "play", "buy", "rate", "like", "dislike", "hide", "browse", "of-my-own"];
const VALUES: [&str; 8] = ["1", "0.5", "0.01", "0", "-1", "3.5", "0.949999", "-2.000001"];
const CONTEXTS: [&str; 6] = [
    "",
    r#","context":{"country":"US"}"#,
    r#","context":{"country":"DE","device":"tv"}"#,
    r#","context":{"position":3}"#,
    r#","context":{"country":"US","list":"top_picks","position":3,"variant":"a"}"#,
    r#","context":{"list":"trending","position":1}"#,
];
const BROKEN: [&str; 5] =
    ["", "nonsense", r#"{"member":"m1"}"#, r#"{"member":"","item":"i1","kind":"play","at":1}"#, "[1,2"];

impl World {
    /// A world of so many records.
    pub fn new(seed: u64, size: usize) -> World {
        let mut chance = Chance::new(seed, 0);
        let most = if size > 50_000 { 3_000 } else { 60.min(size / 20).max(4) };
        let members = chance.within(3, most);
        let mut members: Vec<String> = (0..members).map(|number| format!("m{number}")).collect();
        members.push("mé".into());
        let items = chance.within(5, 80);
        let hours = *chance.pick(&[5_i64, 60, 2_000]);
        let mut records: Vec<Record> = Vec::with_capacity(size);
        while records.len() < size {
            let record = match chance.below(1_000) {
                0..845 => event(&mut chance, members.len(), &members, items, hours),
                845..900 => retract(&mut chance, &records, &members),
                900..920 => retract_id(&mut chance, &records, &members),
                // So few that most of what there is stays.
                920..924 => forget(&mut chance, &members, BEGIN + hours * HOUR / 3),
                924 => trim(BEGIN + hours * HOUR / 50),
                925..985 => item(&mut chance, items),
                _ => Record { line: (*chance.pick(&BROKEN)).to_owned(), what: What::Broken },
            };
            records.push(record);
        }
        // A retraction may be of what never came, and what it names may come after it.
        let share = size / chance.within(2, 8);
        for _ in 0..share {
            let (a, b) = (chance.below(size), chance.below(size));
            records.swap(a, b);
        }
        World { members, records }
    }

    /// What no record of these takes out, of the events among them.
    pub fn live<'w>(&'w self, of: &[usize], forgotten: &BTreeMap<usize, i64>) -> BTreeSet<&'w str> {
        let gone = self.gone(of, forgotten);
        of.iter()
            .map(|index| &self.records[*index])
            .filter(|record| gone.leaves(record))
            .map(|r| &*r.line)
            .collect()
    }

    /// What these records take out.
    pub fn gone(&self, of: &[usize], forgotten: &BTreeMap<usize, i64>) -> Gone<'_> {
        let mut gone = Gone { trimmed: -1, forgotten: forgotten.clone(), ..Gone::default() };
        for index in of {
            match &self.records[*index].what {
                What::Retract(event) => drop(gone.events.insert(event)),
                What::RetractId { member, id } => drop(gone.ids.insert((*member, id))),
                What::Forget { member, at } => {
                    let known = gone.forgotten.entry(*member).or_insert(-1);
                    *known = (*known).max(*at);
                }
                What::Trim { at } => gone.trimmed = gone.trimmed.max(*at),
                What::Event { .. } | What::Item | What::Broken => {}
            }
        }
        gone
    }
}

/// What is taken out.
#[derive(Default)]
pub struct Gone<'w> {
    events: BTreeSet<&'w str>,
    ids: BTreeSet<(usize, &'w str)>,
    forgotten: BTreeMap<usize, i64>,
    trimmed: i64,
}

impl Gone<'_> {
    /// Whether a record is an event that is not taken out.
    pub fn leaves(&self, record: &Record) -> bool {
        let What::Event { member, at, id } = &record.what else { return false };
        *at > self.trimmed
            && self.forgotten.get(member).is_none_or(|until| at > until)
            && !self.events.contains(&*record.line)
            && id.as_ref().is_none_or(|id| !self.ids.contains(&(*member, id)))
    }
}

fn event(chance: &mut Chance, count: usize, members: &[String], items: usize, hours: i64) -> Record {
    let member = chance.below(count);
    // Some have an id of their own, some share one, some have none.
    let id = match chance.below(4) {
        0 => None,
        1 => Some(format!("shared-{}", chance.below(40))),
        _ => Some(format!("e{}", chance.below(1_000_000))),
    };
    let at = BEGIN + chance.below(hours as usize) as i64 * HOUR + chance.below(HOUR as usize) as i64;
    let mut line = format!(
        r#"{{"member":"{}","item":"i{}","kind":"{}","value":{},"at":{at}"#,
        members[member],
        chance.below(items),
        chance.pick(&KINDS),
        chance.pick(&VALUES),
    );
    if let Some(id) = &id {
        line += &format!(r#","id":"{id}""#);
    }
    line += *chance.pick(&CONTEXTS);
    line.push('}');
    Record { line, what: What::Event { member, at, id } }
}

/// An event among the records so far; none where there is none near a place.
fn any_event<'r>(chance: &mut Chance, records: &'r [Record]) -> Option<&'r Record> {
    let from = chance.below(records.len().max(1));
    records.iter().skip(from).find(|record| matches!(record.what, What::Event { .. }))
}

fn retract(chance: &mut Chance, records: &[Record], members: &[String]) -> Record {
    let event = match any_event(chance, records) {
        Some(event) => event.line.clone(),
        None => format!(r#"{{"member":"{}","item":"i0","kind":"play","value":1,"at":{BEGIN}}}"#, members[0]),
    };
    Record { line: format!(r#"{{"type":"retract",{}"#, &event[1..]), what: What::Retract(event) }
}

fn retract_id(chance: &mut Chance, records: &[Record], members: &[String]) -> Record {
    let known = any_event(chance, records).and_then(|record| match &record.what {
        What::Event { member, id: Some(id), .. } => Some((*member, id.clone())),
        _ => None,
    });
    let (member, id) = known.unwrap_or((0, "shared-0".into()));
    let line = format!(r#"{{"type":"retract","member":"{}","id":"{id}"}}"#, members[member]);
    Record { line, what: What::RetractId { member, id } }
}

fn forget(chance: &mut Chance, members: &[String], at: i64) -> Record {
    let member = chance.below(members.len());
    let line = format!(r#"{{"type":"forget","member":"{}","at":{at}}}"#, members[member]);
    Record { line, what: What::Forget { member, at } }
}

fn trim(at: i64) -> Record {
    Record { line: format!(r#"{{"type":"trim","at":{at}}}"#), what: What::Trim { at } }
}

fn item(chance: &mut Chance, items: usize) -> Record {
    let line = format!(
        r#"{{"type":"item","item":"i{}","at":{},"title":"{}","withdrawn":{}}}"#,
        chance.below(items),
        BEGIN + chance.below(50) as i64,
        chance.below(5),
        chance.per_cent(15),
    );
    Record { line, what: What::Item }
}
