//! The kinds as meant: the defaults, with what is written laid over them, by number.

use std::collections::BTreeMap;

use nearline_dataflows::kinds::{KindRule, Kinds, MICROS, Seen};
use nearline_dataflows::types::Kind;

use super::meant::ContinueWatching;
use super::number::{KeyError, MAX_VALUE, micros};
use super::written::{self, Threshold};

/// The largest absolute weight of a kind. With values up to 10⁹ an event's weight then fits 64 bits.
pub const MAX_WEIGHT: f64 = 1_000.0;
/// How many kinds there may be.
pub const MAX_KINDS: usize = 1_000;

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

/// The default kinds (DESIGN.md section 4), with what is written laid over them.
pub(super) fn kinds(
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
