//! The config as meant: checked, in the units the code works with. It is made from what is written and no other way.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::time::Duration;

use nearline_dataflows::kinds::{KindRule, Kinds, MICROS, Seen};
use nearline_dataflows::types::Kind;

use super::span::Span;
use super::written::{self, Threshold, Written};

/// The largest absolute weight of a kind. With values up to 10⁹ an event's weight then fits 64 bits.
pub const MAX_WEIGHT: f64 = 1_000.0;
/// The largest absolute value, threshold or floor: that of an event.
const MAX_VALUE: f64 = 1_000_000_000.0;
/// How many kinds there may be.
pub const MAX_KINDS: usize = 1_000;
/// The longest list.
pub const MAX_LIST: u32 = 10_000;

/// A config that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What each kind of event means. Meaning.
    pub kinds: KindTable,
    /// What the lists are made by. Meaning.
    pub lists: Lists,
    /// How records become epochs.
    pub run: Run,
    /// How the store uses memory.
    pub store: Store,
    /// What `nearline train` uses where the command line says nothing.
    pub train: Train,
    /// The tables of `[maps]`, by name, as written: the column maps of logs check them.
    pub maps: toml::Table,
}

/// A key and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}`: {problem}", key.join("."))]
pub struct KeyError {
    /// The key, after the tables it lies in.
    pub key: Vec<String>,
    /// What is wrong, and what is wanted.
    pub problem: String,
}

impl KeyError {
    /// An error about the key with this path.
    pub fn new(key: &[&str], problem: impl Into<String>) -> Self {
        KeyError { key: key.iter().map(|name| (*name).to_owned()).collect(), problem: problem.into() }
    }
}

/// The kinds by number: names and rules in one order, that of the names as bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct KindTable {
    /// The names, sorted.
    pub names: Vec<String>,
    /// The rules, in the order of the names.
    pub kinds: Kinds,
}

impl KindTable {
    /// The number of the kind with this name, where one is configured.
    pub fn number(&self, name: &str) -> Option<Kind> {
        self.names.binary_search_by(|own| own.as_str().cmp(name)).ok().map(|at| Kind(at as u16))
    }

    /// The name of a configured kind.
    pub fn name(&self, kind: Kind) -> Option<&str> {
        self.names.get(kind.index()).map(String::as_str)
    }

    /// Names and rules.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &KindRule)> {
        self.names.iter().map(String::as_str).zip(self.kinds.rules())
    }
}

/// What the lists are made by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lists {
    /// How many items a list holds at most: K.
    pub length: usize,
    /// After how many hours an event counts half for `trending`.
    pub half_life_hours: u32,
    /// What `continue_watching` takes for begun and not finished.
    pub continue_watching: ContinueWatching,
}

/// What `continue_watching` takes for begun and not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContinueWatching {
    /// The kind whose value is the part watched.
    pub kind: Kind,
    /// The least value that counts as begun, in millionths.
    pub from: i64,
    /// The value from which an item counts as finished, in millionths.
    pub below: i64,
}

/// How records become epochs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The longest that a record waits for its epoch to close.
    pub epoch: Duration,
    /// How many records close an epoch.
    pub epoch_records: usize,
    /// How many threads the graph runs on; none: as many as there are cores.
    pub workers: Option<NonZero<usize>>,
    /// How far ahead of the clock an event may be when it arrives.
    pub max_ahead: Span,
}

impl Run {
    /// How many threads the graph runs on here.
    pub fn threads(&self) -> usize {
        self.workers.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get)
    }
}

/// How the store uses memory, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// For blocks read back from disk.
    pub block_cache: usize,
    /// For entries not yet written to a file of their own.
    pub write_buffer: usize,
}

/// How a model is trained (DESIGN.md section 5).
#[derive(Debug, Clone, PartialEq)]
pub struct Train {
    /// The length of a factor.
    pub rank: usize,
    /// How often members and items are solved in turn.
    pub iterations: usize,
    /// The weight of every pair of a member and an item.
    pub alpha0: f32,
    /// How strongly factors are held small; above zero.
    pub lambda: f32,
    /// The power of the number of pairs in that.
    pub nu: f32,
    /// Where the first item factors are drawn from.
    pub seed: u64,
    /// How a signal becomes a weight.
    pub transform: Transform,
}

/// How the absolute value of a signal becomes a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transform {
    /// As it is.
    Linear,
    /// The natural logarithm of one more than it.
    Log1p,
    /// As it is, and at most this, in millionths.
    Cap(i64),
}

impl Train {
    /// Checks what the command line may have changed; errors name the key as in the file.
    pub fn check(&self) -> Result<(), KeyError> {
        let refuse = |key: &str, wanted: &str| Err(KeyError::new(&["train", key], wanted));
        match self {
            Train { rank, .. } if !(1..=1024).contains(rank) => refuse("rank", "must be from 1 to 1024"),
            Train { iterations, .. } if !(1..=1000).contains(iterations) => {
                refuse("iterations", "must be from 1 to 1000")
            }
            Train { alpha0, .. } if !(0.0..=1e6).contains(alpha0) => {
                refuse("alpha0", "must be from 0 to 1000000")
            }
            Train { lambda, .. } if !(*lambda > 0.0 && *lambda <= 1e6) => {
                refuse("lambda", "must be above 0 and at most 1000000")
            }
            Train { nu, .. } if !(0.0..=2.0).contains(nu) => refuse("nu", "must be from 0 to 2"),
            Train { transform: Transform::Cap(cap), .. } if *cap <= 0 => {
                refuse("transform", "a cap must be above 0")
            }
            _ => Ok(()),
        }
    }
}

impl Config {
    /// BLAKE3 of the part of the config that has meaning, in a canonical text.
    ///
    /// Two configs with one hash give the same views. The text is made of what was meant, so comments, order,
    /// and keys that say what is the default anyway change nothing.
    pub fn meaning_hash(&self) -> [u8; 32] {
        *blake3::hash(self.meaning().as_bytes()).as_bytes()
    }

    fn meaning(&self) -> String {
        let Lists { length, half_life_hours, continue_watching: watching } = &self.lists;
        let quoted = |name: &str| serde_json::Value::from(name).to_string();
        let watched = quoted(self.kinds.name(watching.kind).expect("the kind was looked up in this table"));
        let mut text = format!(
            "nearline meaning 1\nlength {length}\nhalf_life_hours {half_life_hours}\n\
             continue_watching {watched} {} {}\n",
            watching.from, watching.below
        );
        for (name, rule) in self.kinds.iter() {
            let KindRule { weight, times_value, counts_from, floor, seen, hides } = rule;
            let optional = |value: &Option<i64>| value.map_or("none".to_owned(), |value| value.to_string());
            let (name, counts_from, floor) = (quoted(name), optional(counts_from), optional(floor));
            let seen = match seen {
                Seen::No => "no",
                Seen::Yes => "yes",
                Seen::WhilePositive => "while_positive",
            };
            text += &format!(
                "kind {name} weight {weight} times_value {times_value} counts_from {counts_from} floor {floor} \
                 seen {seen} hides {hides}\n"
            );
        }
        text
    }
}

impl TryFrom<Written> for Config {
    type Error = KeyError;

    fn try_from(written: Written) -> Result<Self, KeyError> {
        let scale = micros(&["rating_scale"], written.rating_scale, MAX_VALUE)?;
        if scale <= 0 {
            return Err(KeyError::new(&["rating_scale"], "must be above 0"));
        }
        let (kinds, continue_watching) = kinds(written.kinds, scale, &written.lists.continue_watching)?;
        let written::Lists { length, half_life_hours, .. } = written.lists;
        let config = Config {
            kinds,
            lists: Lists {
                length: within(&["lists", "length"], length.into(), 1, MAX_LIST.into())? as usize,
                half_life_hours: within(&["lists", "half_life_hours"], half_life_hours.into(), 1, 8_760)?
                    as u32,
                continue_watching,
            },
            run: run(&written.run)?,
            store: store(&written.store)?,
            train: train(&written.train)?,
            maps: written.maps,
        };
        config.train.check()?;
        Ok(config)
    }
}

fn run(written: &written::Run) -> Result<Run, KeyError> {
    Ok(Run {
        epoch: Duration::from_millis(within(&["run", "epoch_ms"], written.epoch_ms, 1, 60_000)?),
        epoch_records: within(&["run", "epoch_records"], written.epoch_records, 1, 1 << 24)? as usize,
        workers: NonZero::new(within(&["run", "workers"], written.workers.into(), 0, 1_024)? as usize),
        max_ahead: written.max_ahead,
    })
}

fn store(written: &written::Store) -> Result<Store, KeyError> {
    let bytes =
        |key, megabytes: u32| Ok(within(&["store", key], megabytes.into(), 1, 1 << 20)? as usize * 1_000_000);
    Ok(Store {
        block_cache: bytes("block_cache_mb", written.block_cache_mb)?,
        write_buffer: bytes("write_buffer_mb", written.write_buffer_mb)?,
    })
}

fn train(written: &written::Train) -> Result<Train, KeyError> {
    Ok(Train {
        rank: written.rank as usize,
        iterations: written.iterations as usize,
        alpha0: written.alpha0 as f32,
        lambda: written.lambda as f32,
        nu: written.nu as f32,
        seed: written.seed,
        transform: match written.transform {
            written::Transform::Linear => Transform::Linear,
            written::Transform::Log1p => Transform::Log1p,
            written::Transform::Cap(cap) => Transform::Cap(micros(&["train", "transform"], cap, MAX_VALUE)?),
        },
    })
}

/// The default kinds (DESIGN.md section 4), with what is written laid over them.
fn kinds(
    written: BTreeMap<String, written::Kind>,
    scale: i64,
    watching: &written::ContinueWatching,
) -> Result<(KindTable, ContinueWatching), KeyError> {
    let mut rules = default_kinds(scale);
    for (name, kind) in written {
        let rule = rules.remove(&name).unwrap_or(KindRule::COUNTED);
        if !(1..=256).contains(&name.len()) {
            return Err(KeyError::new(&["kinds", &name], "the name of a kind must have 1 to 256 bytes"));
        }
        let rule = lay_over(rule, &name, &kind, scale)?;
        rules.insert(name, rule);
    }
    if rules.len() > MAX_KINDS {
        return Err(KeyError::new(&["kinds"], format!("there may be at most {MAX_KINDS} kinds")));
    }
    let (names, rules): (Vec<_>, Vec<_>) = rules.into_iter().unzip();
    let key = |name| ["lists", "continue_watching", name];
    let progress = names.binary_search(&watching.kind).map_err(|_| {
        KeyError::new(
            &key("kind"),
            format!("there is no kind `{}`; the kinds are {}", watching.kind, names.join(", ")),
        )
    })?;
    let progress = Kind(progress as u16);
    let from = micros(&key("from"), watching.from, MAX_VALUE)?;
    let below = micros(&key("below"), watching.below, MAX_VALUE)?;
    if !(0..below).contains(&from) {
        return Err(KeyError::new(&key("from"), "must be at least 0 and less than `below`"));
    }
    let table = KindTable { names, kinds: Kinds::new(rules, Some(progress)) };
    Ok((table, ContinueWatching { kind: progress, from, below }))
}

fn default_kinds(scale: i64) -> BTreeMap<String, KindRule> {
    let counted = KindRule::COUNTED;
    let weighing = |weight: i64, seen| KindRule { weight, seen, ..counted };
    let play = KindRule { times_value: true, counts_from: Some(MICROS / 50), ..weighing(MICROS, Seen::Yes) };
    let buy = KindRule { times_value: true, floor: Some(0), ..weighing(MICROS, Seen::WhilePositive) };
    let rate = KindRule { counts_from: Some(part_of(70 * MICROS, scale)), ..weighing(MICROS, Seen::Yes) };
    let kinds = [
        ("browse", counted),
        ("buy", buy),
        ("click", weighing(MICROS / 10, Seen::No)),
        ("dislike", weighing(-3 * MICROS, Seen::Yes)),
        ("hide", KindRule { hides: true, ..counted }),
        ("impression", counted),
        ("like", weighing(2 * MICROS, Seen::No)),
        ("list_add", weighing(MICROS, Seen::No)),
        ("play", play),
        ("rate", rate),
    ];
    kinds.into_iter().map(|(name, rule)| (name.to_owned(), rule)).collect()
}

fn lay_over(rule: KindRule, name: &str, kind: &written::Kind, scale: i64) -> Result<KindRule, KeyError> {
    let optional = |key: &str, written: &Option<Threshold>, default: Option<i64>| match written {
        None => Ok(default),
        Some(written) => threshold(&["kinds", name, key], written, scale),
    };
    let rule = KindRule {
        weight: match kind.weight {
            None => rule.weight,
            Some(weight) => micros(&["kinds", name, "weight"], weight, MAX_WEIGHT)?,
        },
        times_value: kind.times_value.unwrap_or(rule.times_value),
        counts_from: optional("counts_from", &kind.counts_from, rule.counts_from)?,
        floor: optional("floor", &kind.floor, rule.floor)?,
        seen: kind.seen.map_or(rule.seen, |seen| match seen {
            written::Seen::No => Seen::No,
            written::Seen::Yes => Seen::Yes,
            written::Seen::WhilePositive => Seen::WhilePositive,
        }),
        hides: kind.hides.unwrap_or(rule.hides),
    };
    if rule.counts_from.is_some_and(|least| least < 0) {
        return Err(KeyError::new(
            &["kinds", name, "counts_from"],
            "must be at least 0: it does not hold for negative values",
        ));
    }
    Ok(rule)
}

/// A number or a percentage of the rating scale, in millionths; none for "none".
fn threshold(key: &[&str], written: &Threshold, scale: i64) -> Result<Option<i64>, KeyError> {
    let text = match written {
        Threshold::Number(number) => return micros(key, *number, MAX_VALUE).map(Some),
        Threshold::Text(text) if text == "none" => return Ok(None),
        Threshold::Text(text) => text,
    };
    let percent = text.strip_suffix('%').and_then(|number| number.trim_end().parse::<f64>().ok());
    let Some(percent) = percent else {
        let wanted = "must be a number, a percentage of `rating_scale` such as \"70%\", or \"none\"";
        return Err(KeyError::new(key, wanted));
    };
    Ok(Some(part_of(micros(key, percent, 100.0)?, scale)))
}

/// So many percent, in millionths, of the scale; rounded half to even.
fn part_of(percent: i64, scale: i64) -> i64 {
    let unit = 100 * i128::from(MICROS);
    let product = i128::from(percent) * i128::from(scale);
    let (quotient, rest) = (product.div_euclid(unit), product.rem_euclid(unit));
    let up = 2 * rest > unit || (2 * rest == unit && quotient % 2 != 0);
    (quotient + i128::from(up)) as i64
}

/// A decimal of at most six places, in millionths.
fn micros(key: &[&str], number: f64, most: f64) -> Result<i64, KeyError> {
    if !(-most..=most).contains(&number) {
        return Err(KeyError::new(key, format!("must be from -{most} to {most}, and is {number}")));
    }
    let micros = (number * MICROS as f64).round();
    // A decimal of six places is the double nearest to it, and so is the quotient here, which is rounded once.
    if micros / MICROS as f64 != number {
        return Err(KeyError::new(key, format!("may have six decimal places at most, and is {number}")));
    }
    Ok(micros as i64)
}

fn within(key: &[&str], number: u64, least: u64, most: u64) -> Result<u64, KeyError> {
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(KeyError::new(key, format!("must be from {least} to {most}, and is {number}")))
}
