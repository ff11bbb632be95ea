//! What a training starts from: a checkpoint may be gone on from by the very same training alone.

use std::collections::BTreeMap;

use nearline_factors::ARITHMETIC;
use serde::{Deserialize, Serialize};

use super::dataset::Dataset;
use super::live::LiveSet;
use super::manifest::{Kind, Manifest, Transform};
use super::train::transform;
use crate::config::{KindTable, Train};

/// All that the factors follow from, but for the number of iterations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Which arithmetic computed the factors.
    pub arithmetic: u32,
    /// BLAKE3 of members, items and the weights of their pairs.
    pub pairs: String,
    /// The length of a factor.
    pub rank: usize,
    /// The weight of every pair.
    pub alpha0: f32,
    /// The strength of regularisation.
    pub lambda: f32,
    /// Its power of the number of pairs.
    pub nu: f32,
    /// Where the first factors came from.
    pub seed: u64,
    /// What an event of each kind weighs.
    pub kinds: BTreeMap<String, Kind>,
    /// How a signal becomes a weight.
    pub transform: Transform,
}

impl Origin {
    /// What training on these pairs with these options starts from.
    pub fn new(live: &LiveSet, data: &Dataset, table: &KindTable, options: &Train) -> Self {
        let Train { rank, alpha0, lambda, nu, seed, .. } = *options;
        Origin {
            arithmetic: ARITHMETIC,
            pairs: hash_of_pairs(live, data),
            rank,
            alpha0,
            lambda,
            nu,
            seed,
            kinds: Manifest::kinds_of(table),
            transform: transform(options.transform).into(),
        }
    }

    /// In what another origin differs from this one, in words; none where it does not.
    pub(super) fn difference(&self, now: &Origin) -> Option<String> {
        let words = |what: &str, was: &dyn std::fmt::Display, is: &dyn std::fmt::Display| {
            Some(format!("it was made with {what} {was}, and now it is {is}"))
        };
        match () {
            () if self == now => None,
            () if self.arithmetic != now.arithmetic => {
                Some("it was made by a release of Nearline that computes other bits".into())
            }
            () if self.rank != now.rank => words("rank", &self.rank, &now.rank),
            () if self.alpha0 != now.alpha0 => words("alpha0", &self.alpha0, &now.alpha0),
            () if self.lambda != now.lambda => words("lambda", &self.lambda, &now.lambda),
            () if self.nu != now.nu => words("nu", &self.nu, &now.nu),
            () if self.seed != now.seed => words("seed", &self.seed, &now.seed),
            () if self.transform != now.transform => {
                Some("it was made with another `transform` in the config".into())
            }
            () if self.kinds != now.kinds => {
                let differs = |(name, _): &(&String, &Kind)| self.kinds.get(*name) != now.kinds.get(*name);
                let either = self.kinds.iter().chain(&now.kinds);
                let name = either.into_iter().find(differs).map_or("", |(name, _)| name);
                Some(format!("it was made with other numbers for the kind `{name}` in the config"))
            }
            () => Some("it was made from another log: other members, items or events".into()),
        }
    }
}

/// BLAKE3 of all that the pairs are: who, what, and how much (docs/formats.md).
fn hash_of_pairs(live: &LiveSet, data: &Dataset) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut names = |count: usize, names: &mut dyn Iterator<Item = &str>| {
        hasher.update(&(count as u64).to_le_bytes());
        for name in names {
            hasher.update(&(name.len() as u16).to_le_bytes()).update(name.as_bytes());
        }
    };
    names(data.members.len(), &mut data.members.iter().map(|member| live.members.name(member.0)));
    names(data.items.len(), &mut data.items.iter().map(|item| live.items.name(item.0)));
    let mut bytes = Vec::new();
    for row in data.offsets.windows(2) {
        bytes.clear();
        bytes.extend(((row[1] - row[0]) as u64).to_le_bytes());
        for (item, weight) in &data.entries[row[0]..row[1]] {
            bytes.extend(item.to_le_bytes());
            bytes.extend(weight.to_bits().to_le_bytes());
        }
        hasher.update(&bytes);
    }
    hasher.finalize().to_hex().to_string()
}
