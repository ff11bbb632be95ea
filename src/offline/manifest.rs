//! What a model says of itself: `manifest.json`, its types and its JSON Schema.
//!
//! Weights, thresholds and caps are held in millionths inside and written as decimals.

use std::collections::BTreeMap;

use nearline_dataflows::kinds::{KindRule, MICROS, Seen};
use nearline_dataflows::transform::Transform as Meant;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{KindTable, MAX_RANK};

/// The format that this program writes, and the only one it reads.
pub const FORMAT: u32 = 1;

/// The manifest of a model, `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format of the model's folder.
    pub format: u32,
    /// BLAKE3, as 64 hexadecimal digits, of what the lists follow from: item ids, factors, rank, alpha0, lambda,
    /// nu, kinds and transform.
    pub version: String,
    /// The length of a factor.
    pub rank: usize,
    /// The weight of every pair of a member and an item, whether there was an event or not.
    pub alpha0: f32,
    /// How strongly factors are held small.
    pub lambda: f32,
    /// The power of the number of pairs in that.
    pub nu: f32,
    /// What an event of each kind weighs, by the kind's name.
    pub kinds: BTreeMap<String, Kind>,
    /// How a signal becomes a weight.
    pub transform: Transform,
    /// What the model was trained on.
    pub counts: Counts,
    /// When the model was trained, RFC 3339 in UTC.
    pub trained_at: String,
    /// The loss after the last iteration; none where it is not known.
    pub loss: Option<f64>,
}

/// What an event of a kind weighs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// Evidence for the item; negative is evidence against it.
    pub weight: f64,
    /// Whether the weight is multiplied by the event's value.
    pub times_value: bool,
    /// Values from 0 to below this carry no weight.
    pub counts_from: Option<f64>,
    /// The least that a member's weights of this kind for one item add up to.
    pub floor: Option<f64>,
}

/// How the size of a signal becomes a weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// As it is.
    Linear,
    /// The natural logarithm of one more than it.
    Log1p,
    /// As it is, and at most this.
    Cap(f64),
}

/// What a model was trained on; zeros where that is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Members with at least one pair.
    pub members: u64,
    /// Items in the model.
    pub items: u64,
    /// Pairs of a member and an item with a signal other than zero.
    pub pairs: u64,
    /// Live events.
    pub events: u64,
}

impl Kind {
    /// As written, from a rule.
    pub fn of(rule: &KindRule) -> Self {
        Kind {
            weight: written(rule.weight),
            times_value: rule.times_value,
            counts_from: rule.counts_from.map(written),
            floor: rule.floor.map(written),
        }
    }

    /// As meant. What marks an item seen or hidden is not the model's to say.
    pub fn rule(&self) -> KindRule {
        KindRule {
            weight: micros(self.weight),
            times_value: self.times_value,
            counts_from: self.counts_from.map(micros),
            floor: self.floor.map(micros),
            seen: Seen::No,
            hides: false,
        }
    }
}

impl From<Meant> for Transform {
    fn from(meant: Meant) -> Self {
        match meant {
            Meant::Linear => Transform::Linear,
            Meant::Log1p => Transform::Log1p,
            Meant::Cap { at } => Transform::Cap(written(at)),
        }
    }
}

impl From<Transform> for Meant {
    fn from(transform: Transform) -> Self {
        match transform {
            Transform::Linear => Meant::Linear,
            Transform::Log1p => Meant::Log1p,
            Transform::Cap(at) => Meant::Cap { at: micros(at) },
        }
    }
}

impl Manifest {
    /// The kinds of a table, as a manifest holds them.
    pub fn kinds_of(table: &KindTable) -> BTreeMap<String, Kind> {
        table.iter().map(|(name, rule)| (name.to_owned(), Kind::of(rule))).collect()
    }

    /// The weights of the configured kinds under this model, by the kind's number. A kind that the model does not
    /// know weighs nothing.
    pub fn weights(&self, table: &KindTable) -> Vec<KindRule> {
        let rule = |name: &str| self.kinds.get(name).map_or(KindRule::COUNTED, Kind::rule);
        table.iter().map(|(name, _)| rule(name)).collect()
    }

    /// What is wrong with the numbers, where anything is.
    pub fn problem(&self) -> Option<String> {
        let finite = |kind: &Kind| {
            [Some(kind.weight), kind.counts_from, kind.floor].into_iter().flatten().all(|n| n.abs() <= 1e9)
        };
        match self {
            Manifest { rank, .. } if !(1..=MAX_RANK).contains(rank) => {
                Some(format!("`rank` must be from 1 to {MAX_RANK}, and is {rank}"))
            }
            Manifest { alpha0, .. } if !(0.0..=1e6).contains(alpha0) => {
                Some(format!("`alpha0` must be from 0 to 1000000, and is {alpha0}"))
            }
            Manifest { lambda, .. } if !(*lambda > 0.0 && *lambda <= 1e6) => {
                Some(format!("`lambda` must be above 0 and at most 1000000, and is {lambda}"))
            }
            Manifest { nu, .. } if !(0.0..=2.0).contains(nu) => {
                Some(format!("`nu` must be from 0 to 2, and is {nu}"))
            }
            Manifest { transform: Transform::Cap(cap), .. } if !(*cap > 0.0 && *cap <= 1e9) => {
                Some(format!("the cap of `transform` must be above 0 and at most 10⁹, and is {cap}"))
            }
            Manifest { kinds, .. } => kinds
                .iter()
                .find(|(_, kind)| !finite(kind))
                .map(|(name, _)| format!("a number of the kind `{name}` is not between -10⁹ and 10⁹")),
        }
    }
}

/// The JSON Schema of `manifest.json`.
pub fn schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(Manifest)).expect("a schema is JSON")
}

fn written(micros: i64) -> f64 {
    micros as f64 / MICROS as f64
}

fn micros(written: f64) -> i64 {
    (written * MICROS as f64).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millionths_come_back_from_the_decimals_they_are_written_as() {
        for micros_in in [0, 1, -1, 333_333, -3_000_000, 999_999_999_999_999, 1_000_000_000_000_000] {
            let text = serde_json::to_string(&written(micros_in)).unwrap();
            assert_eq!(micros(serde_json::from_str(&text).unwrap()), micros_in, "written as {text}");
        }
    }

    #[test]
    fn the_schema_is_the_one_checked_in() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/model.schema.json");
        if std::env::var_os("NEARLINE_REWRITE").is_some() {
            std::fs::write(path, serde_json::to_string_pretty(&schema()).unwrap() + "\n").unwrap();
        }
        let checked_in: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(checked_in == schema(), "{path} differs from the types: NEARLINE_REWRITE=1 rewrites it");
    }
}
