//! Variants: lists of several ways of making them side by side, each for a share of the members.
//!
//! Which variant a member belongs to follows from the member's id, the name of the experiment and the shares, and from
//! nothing else: weighted rendezvous hashing. Every variant draws a number for the member, by BLAKE3 of experiment, variant
//! and member, stretched by its share; the greatest wins. So another experiment splits anew, and where shares change, no
//! member moves but from a variant whose share fell to one whose share grew. (Thaler and Ravishankar 1998, "Using
//! name-based mappings to increase hit rates"; the weights as in Schindelhauer and Schomaker 2005, "Weighted distributed
//! hash tables", the logarithmic method.)
//!
//! [`MadeWith`] is what a store says its lists are made with. Answers ask it, so that each is of the variant, and the
//! model, that held in the commit that it reads.

use std::collections::BTreeSet;
use std::sync::Arc;

use nearline_dataflows::types::{Assignment, Member};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::dictionary::Names;

/// How the `top_picks` of a variant's members are made.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// By a model's factors, kept fresh event by event.
    #[default]
    Factors,
    /// What is trending, without what the member has seen, hides or dislikes; made when it is read.
    Popular,
    /// What others have seen who have seen the same; made when it is read.
    Together,
}

impl Algorithm {
    /// The algorithm's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Factors => "factors",
            Algorithm::Popular => "popular",
            Algorithm::Together => "together",
        }
    }

    /// Whether lists are kept, and not made when they are read.
    pub fn is_kept(self) -> bool {
        self == Algorithm::Factors
    }
}

/// One of the ways side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// Its weight beside the others, in millionths; members of a variant without weight are there none.
    pub share: i64,
    /// How its lists are made.
    pub algorithm: Algorithm,
    /// The version of its own model; none where it is the live one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// The variants of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variants {
    /// The name of the experiment.
    pub experiment: String,
    /// A hash of the part of the config that these follow from: a promotion holds as long as it stays.
    pub section: String,
    /// The one that every member belongs to, where that was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted: Option<String>,
    /// All of them, by name. Never empty, and some have a share.
    pub variants: Vec<Variant>,
}

impl Variants {
    /// The place of a member's variant, whatever was promoted.
    pub fn place(&self, member: &str) -> usize {
        if let [_] = &self.variants[..] {
            return 0;
        }
        let (mut place, mut greatest) = (0, f64::NEG_INFINITY);
        for (at, variant) in self.variants.iter().enumerate().filter(|(_, variant)| variant.share > 0) {
            let drawn = variant.share as f64 / -libm::log(self.draw(variant, member));
            if drawn > greatest {
                (place, greatest) = (at, drawn);
            }
        }
        place
    }

    /// A number between 0 and 1, both excluded, as if by chance.
    fn draw(&self, variant: &Variant, member: &str) -> f64 {
        let mut hasher = blake3::Hasher::new();
        // Names hold no zero byte, and the member's id comes last: what is hashed says where each ends.
        for part in [self.experiment.as_str(), &variant.name] {
            hasher.update(part.as_bytes()).update(&[0]);
        }
        hasher.update(member.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        // 52 bits and a half: exact, and neither 0 nor 1.
        ((u64::from_le_bytes(first) >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// A variant by its name.
    pub fn get(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.name == name)
    }

    /// The variant that a member belongs to.
    pub fn of(&self, member: &str) -> &Variant {
        let promoted = self.promoted.as_ref().and_then(|name| self.get(name));
        promoted.unwrap_or_else(|| &self.variants[self.place(member)])
    }

    /// The part of the members that a variant has, whatever was promoted.
    pub fn part(&self, variant: &Variant) -> f64 {
        let all: i64 = self.variants.iter().map(|variant| variant.share).sum();
        variant.share as f64 / all.max(1) as f64
    }
}

/// What the lists of a store are made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MadeWith {
    /// The version of the live model.
    pub model: Option<String>,
    /// The variants, where there are some.
    pub variants: Option<Variants>,
}

/// What one member's lists are made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Making<'a> {
    /// The variant that the member belongs to.
    pub variant: Option<&'a str>,
    /// How `top_picks` are made.
    pub algorithm: Algorithm,
    /// The version of the model: of the factors, and of what kinds weigh.
    pub model: Option<&'a str>,
}

impl MadeWith {
    /// One model for all members, or none.
    pub fn one(model: Option<String>) -> Self {
        MadeWith { model, variants: None }
    }

    /// Whether there is neither a model nor a variant.
    pub fn is_nothing(&self) -> bool {
        *self == MadeWith::default()
    }

    /// What a member's lists are made with.
    pub fn of(&self, member: &str) -> Making<'_> {
        match &self.variants {
            None => self.live(),
            Some(variants) => self.of_variant(variants.of(member)),
        }
    }

    /// What the lists of a variant's members are made with.
    pub fn of_variant<'a>(&'a self, variant: &'a Variant) -> Making<'a> {
        Making {
            variant: Some(&variant.name),
            algorithm: variant.algorithm,
            model: variant.model.as_deref().or(self.model.as_deref()),
        }
    }

    /// The live model, for what is no member's.
    pub fn live(&self) -> Making<'_> {
        Making { variant: None, algorithm: Algorithm::Factors, model: self.model.as_deref() }
    }

    /// The variant that every member belongs to, where that was decided.
    pub fn promoted(&self) -> Option<&str> {
        self.variants.as_ref()?.promoted.as_deref()
    }

    /// The entries of the graph's line-up: one for each variant, or one for all members.
    pub fn line_up(&self) -> Vec<Making<'_>> {
        match &self.variants {
            None => vec![self.live()],
            Some(variants) => match variants.promoted.as_ref().and_then(|name| variants.get(name)) {
                Some(promoted) => vec![self.of_variant(promoted)],
                None => variants.variants.iter().map(|variant| self.of_variant(variant)).collect(),
            },
        }
    }

    /// The versions of all models.
    pub fn models(&self) -> BTreeSet<&str> {
        let own = self.variants.iter().flat_map(|variants| &variants.variants);
        own.filter_map(|variant| variant.model.as_deref()).chain(self.model.as_deref()).collect()
    }
}

impl std::fmt::Display for MadeWith {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.promoted(), &self.model) {
            (Some(variant), _) => write!(out, "variant {variant}"),
            (None, Some(model)) => write!(out, "model {model}"),
            (None, None) => out.write_str("no model"),
        }
    }
}

/// Which variants members belong to, by number, as the graph asks for it.
pub struct Assigned {
    /// The members' ids.
    pub members: Arc<Names>,
    /// The variants; none where every member is of the same.
    pub variants: Option<Variants>,
}

impl Assignment for Assigned {
    fn variant(&self, member: Member) -> usize {
        let member = self.members.get(member.index());
        self.variants.as_ref().zip(member).map_or(0, |(variants, member)| variants.place(member))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variants(experiment: &str, shares: &[(&str, i64)]) -> Variants {
        let variant = |(name, share): &(&str, i64)| Variant {
            name: (*name).to_owned(),
            share: *share,
            algorithm: Algorithm::Factors,
            model: None,
        };
        let variants = shares.iter().map(variant).collect();
        Variants { experiment: experiment.into(), section: String::new(), promoted: None, variants }
    }

    fn split(variants: &Variants) -> Vec<&str> {
        (0..20_000).map(|member| variants.of(&format!("m{member}")).name.as_str()).collect()
    }

    fn count(split: &[&str], name: &str) -> usize {
        split.iter().filter(|own| **own == name).count()
    }

    #[test]
    fn members_stay_where_they_are_in_every_release() {
        let variants = variants("first", &[("a", 1), ("b", 1), ("c", 2)]);
        let places: Vec<usize> = (0..24).map(|member| variants.place(&format!("m{member}"))).collect();
        let before = [1, 2, 2, 0, 2, 0, 2, 1, 2, 2, 2, 0, 1, 2, 2, 2, 2, 0, 2, 1, 2, 0, 2, 2];
        assert_eq!(places, before, "another split makes what an experiment has found worthless");
    }

    #[test]
    fn each_variant_has_about_its_share() {
        for shares in [&[("a", 50), ("b", 50)][..], &[("a", 5), ("b", 90), ("c", 5)], &[("a", 1), ("b", 0)]] {
            let variants = variants("first", shares);
            let split = split(&variants);
            for variant in &variants.variants {
                let wanted = variants.part(variant) * 20_000.0;
                let counted = count(&split, &variant.name) as f64;
                // Five standard deviations of a binomial count.
                let most = 5.0 * (wanted * (1.0 - variants.part(variant))).sqrt();
                assert!((counted - wanted).abs() <= most, "{shares:?}: {counted} of {wanted}");
            }
        }
    }

    #[test]
    fn where_a_share_grows_nobody_moves_but_to_it() {
        let before = variants("first", &[("a", 30), ("b", 30), ("c", 30)]);
        for shares in [&[("a", 30), ("b", 60), ("c", 30)][..], &[("a", 30), ("b", 30), ("b2", 30), ("c", 30)]]
        {
            let after = variants("first", shares);
            let grown = if shares.len() == 4 { "b2" } else { "b" };
            let moved: Vec<_> = split(&before)
                .into_iter()
                .zip(split(&after))
                .filter(|(a, b)| a != b)
                .map(|(_, b)| b.to_owned())
                .collect();
            assert!(moved.len() > 2_000, "{} moved", moved.len());
            assert!(moved.iter().all(|to| to == grown), "{shares:?}");
        }
    }

    #[test]
    fn twice_the_shares_are_the_same_shares() {
        let once = variants("first", &[("a", 1), ("b", 3)]);
        let twice = variants("first", &[("a", 2), ("b", 6)]);
        assert_eq!(split(&once), split(&twice));
    }

    #[test]
    fn another_experiment_splits_anew() {
        let (first, second) =
            (variants("first", &[("a", 1), ("b", 1)]), variants("second", &[("a", 1), ("b", 1)]));
        let (first, second) = (split(&first), split(&second));
        let same = first.iter().zip(&second).filter(|(a, b)| a == b).count();
        assert!((9_500..10_500).contains(&same), "{same} of 20,000 are where they were");
    }

    #[test]
    fn what_is_promoted_has_every_member_and_its_name_decides() {
        let mut made_with =
            MadeWith { model: Some("live".into()), variants: Some(variants("x", &[("a", 1), ("b", 1)])) };
        let own = made_with.variants.as_mut().unwrap();
        own.variants[1].model = Some("own".into());
        assert_eq!(
            made_with.line_up().iter().map(|making| making.model).collect::<Vec<_>>(),
            [Some("live"), Some("own")]
        );
        assert_eq!(made_with.models().into_iter().collect::<Vec<_>>(), ["live", "own"]);
        made_with.variants.as_mut().unwrap().promoted = Some("b".into());
        assert_eq!(made_with.line_up().len(), 1);
        for member in 0..100 {
            assert_eq!(made_with.of(&format!("m{member}")).variant, Some("b"));
        }
    }
}
