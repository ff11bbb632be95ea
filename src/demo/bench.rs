//! A large log in no time, for measurements: `bench_log` writes as fast as a disk takes it.

use std::io::{self, Write};

use super::chance::{Chance, Weighted};
use super::people::COUNTRIES;

/// The first instant of the log, 2026-05-02T00:00:00Z, in milliseconds since 1970.
const BEGIN: i64 = 1_777_680_000_000;
const DAY_MS: i64 = 86_400_000;
const DAYS: i64 = 30;
/// Members and items fall into so many groups; three events in four stay within their group.
const GROUPS: usize = 16;

/// How large the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BenchSize {
    /// How many events, all different.
    pub events: usize,
    /// How many members, each with at least one event where there are as many.
    pub members: usize,
    /// How many items, some very popular and most not.
    pub items: usize,
}

impl BenchSize {
    /// The size that docs/benchmarks.md speaks of.
    pub const FULL: BenchSize = BenchSize { events: 2_000_000, members: 138_000, items: 26_000 };
}

/// Writes a log of 30 days as JSON Lines in the order of time, about 120 bytes a line. The same size and seed give
/// the same bytes.
pub fn bench_log(out: &mut impl Write, size: BenchSize, seed: u64) -> io::Result<()> {
    let mut log = Log::new(size, seed);
    let mut lines = Vec::with_capacity(1 << 17);
    for number in 0..size.events {
        log.line(number, &mut lines);
        if lines.len() > (1 << 17) - 512 {
            out.write_all(&lines)?;
            lines.clear();
        }
    }
    out.write_all(&lines)?;
    out.flush()
}

/// The same log with so many in a thousand of its events taken out again, each `behind` events after it came.
pub fn bench_log_retracted(
    out: &mut impl Write,
    size: BenchSize,
    seed: u64,
    per_mille: u64,
    behind: usize,
) -> io::Result<()> {
    let (mut log, mut again) = (Log::new(size, seed), Log::new(size, seed));
    let mut chosen = Chance::new(seed ^ 0x7265_7472_6163_7473);
    let mut lines = Vec::with_capacity(1 << 17);
    let mut line = Vec::new();
    for number in 0..size.events {
        log.line(number, &mut lines);
        if number >= behind {
            line.clear();
            again.line(number - behind, &mut line);
            if chosen.per_mille(per_mille) {
                lines.extend_from_slice(b"{\"type\":\"retract\",");
                lines.extend_from_slice(&line[1..]);
            }
        }
        if lines.len() > (1 << 17) - 1024 {
            out.write_all(&lines)?;
            lines.clear();
        }
    }
    out.write_all(&lines)?;
    out.flush()
}

struct Log {
    size: BenchSize,
    chance: Chance,
    /// Which member has which place in the order of activity, and likewise for items.
    members: Vec<u32>,
    items: Vec<u32>,
    activity: Weighted,
    popularity: Weighted,
    countries: Weighted,
    /// Milliseconds between two events.
    step: i64,
    /// The day that `date` was written for.
    day: i64,
    date: String,
}

impl Log {
    fn new(size: BenchSize, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        Log {
            size,
            members: chance.shuffled(size.members),
            items: chance.shuffled(size.items),
            activity: Weighted::falling(size.members, size.members / 70 + 1),
            popularity: Weighted::falling(size.items, size.items / 500 + 1),
            countries: Weighted::new(COUNTRIES.map(|(_, share)| share)),
            chance,
            step: DAYS * DAY_MS / size.events.max(1) as i64,
            day: -1,
            date: String::new(),
        }
    }

    fn line(&mut self, number: usize, out: &mut Vec<u8>) {
        let chance = &mut self.chance;
        // Every so often it is the turn of the next member in the table, so that none is left out.
        let turn = (self.size.events / self.size.members).max(1);
        let place = if number.is_multiple_of(turn) && number / turn < self.size.members {
            number / turn
        } else {
            self.activity.draw(chance)
        };
        let mut item = self.popularity.draw(chance);
        if chance.per_mille(750) {
            let own = item - item % GROUPS + place % GROUPS;
            item = if own < self.size.items { own } else { item };
        }
        let country = COUNTRIES[self.countries.draw(&mut Chance::new(place as u64))].0;
        let (kind, valued) = match chance.below(100) {
            0..90 => ("play", true),
            90..94 => ("like", false),
            94..96 => ("list_add", false),
            96..98 => ("click", false),
            _ => ("impression", false),
        };
        let value = chance.within(1, 100);
        let at = BEGIN + number as i64 * self.step + chance.below(self.step.max(1) as u64) as i64;

        out.extend_from_slice(b"{\"member\":\"m");
        decimal(u64::from(self.members[place]) + 1, 1, out);
        out.extend_from_slice(b"\",\"item\":\"i");
        decimal(u64::from(self.items[item]) + 1, 1, out);
        out.extend_from_slice(b"\",\"kind\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'"');
        if valued {
            out.extend_from_slice(b",\"value\":");
            decimal(value / 100, 1, out);
            out.push(b'.');
            decimal(value % 100, 2, out);
        }
        out.extend_from_slice(b",\"at\":\"");
        self.instant(at, out);
        out.extend_from_slice(b"\",\"context\":{\"country\":\"");
        out.extend_from_slice(country.as_bytes());
        out.extend_from_slice(b"\"}}\n");
    }

    fn instant(&mut self, at: i64, out: &mut Vec<u8>) {
        let (day, ms) = (at.div_euclid(DAY_MS), at.rem_euclid(DAY_MS) as u64);
        if day != self.day {
            let midnight =
                jiff::Timestamp::from_millisecond(day * DAY_MS).expect("the log lies in this century");
            self.date = midnight.strftime("%Y-%m-%dT").to_string();
            self.day = day;
        }
        out.extend_from_slice(self.date.as_bytes());
        decimal(ms / 3_600_000, 2, out);
        out.push(b':');
        decimal(ms / 60_000 % 60, 2, out);
        out.push(b':');
        decimal(ms / 1_000 % 60, 2, out);
        out.push(b'.');
        decimal(ms % 1_000, 3, out);
        out.push(b'Z');
    }
}

/// Writes a number with at least so many digits.
fn decimal(mut number: u64, digits: usize, out: &mut Vec<u8>) {
    let mut buffer = [b'0'; 20];
    let mut at = buffer.len();
    while number > 0 || buffer.len() - at < digits {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&buffer[at..]);
}
