//! What a trial is trained with: the numbers of `[train]` and the weights of kinds that a search may change.

use std::collections::BTreeMap;

use nearline_dataflows::kinds::{KindRule, MICROS};
use serde::Serialize;

use crate::config::{KindTable, Train, Transform};

/// Numbers as they are written in a config, so that what is saved is what was tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// The length of a factor.
    pub rank: usize,
    /// How often members and items are solved in turn.
    pub iterations: usize,
    /// The weight of every pair.
    pub alpha0: f64,
    /// How strongly factors are held small.
    pub lambda: f64,
    /// Its power of the number of pairs.
    pub nu: f64,
    /// How a signal becomes a weight.
    #[serde(serialize_with = "by_name")]
    pub transform: Transform,
    /// What an event weighs, by kind: of those kinds whose weight is searched for.
    pub weights: BTreeMap<String, f64>,
}

impl Settings {
    /// Those of a config, with the weights of the kinds named.
    pub fn of<'a>(train: &Train, table: &KindTable, kinds: impl IntoIterator<Item = &'a str>) -> Self {
        let weight = |name: &str| {
            let rule =
                table.iter().find(|(own, _)| *own == name).map_or(KindRule::COUNTED, |(_, rule)| *rule);
            (name.to_owned(), rule.weight as f64 / MICROS as f64)
        };
        Settings {
            rank: train.rank,
            iterations: train.iterations,
            alpha0: decimal(train.alpha0),
            lambda: decimal(train.lambda),
            nu: decimal(train.nu),
            transform: train.transform,
            weights: kinds.into_iter().map(weight).collect(),
        }
    }

    /// How to train with these; the seed stays.
    pub fn train(&self, base: &Train) -> Train {
        Train {
            rank: self.rank,
            iterations: self.iterations,
            alpha0: self.alpha0 as f32,
            lambda: self.lambda as f32,
            nu: self.nu as f32,
            seed: base.seed,
            transform: self.transform,
        }
    }

    /// The kinds with these weights; all else of them stays.
    pub fn table(&self, base: &KindTable) -> KindTable {
        let weighed = |(name, rule): (&str, &KindRule)| match self.weights.get(name) {
            Some(weight) => KindRule { weight: (weight * MICROS as f64).round() as i64, ..*rule },
            None => *rule,
        };
        let rules: Vec<KindRule> = base.iter().map(weighed).collect();
        KindTable { names: base.names.clone(), kinds: base.kinds.weighted_by(&rules) }
    }
}

/// The decimal that a number of single precision is written as.
fn decimal(number: f32) -> f64 {
    number.to_string().parse().expect("a number that was written can be read")
}

fn by_name<S: serde::Serializer>(transform: &Transform, to: S) -> Result<S::Ok, S::Error> {
    use crate::offline::manifest::Transform as Written;
    Written::from(crate::offline::train::transform(*transform)).serialize(to)
}
