//! Algorithms that plug in: ways to make a list from the model, the data and a member's signals.
//!
//! Every list that is made when it is read comes from one of them, whoever asks: a rung, a row of a page, a batch job. To
//! add one, write a file with an [`Algorithm`] and name it in [`ALL`].
//!
//! What a list holds depends on the three inputs alone, and equal scores are in the order of the items' ids.

mod factors;
mod new;
mod people_like_you;
mod popular;
mod together;

pub use factors::Factors;
pub use new::New;
pub use people_like_you::PeopleLikeYou;
pub use popular::Popular;
pub use together::Together;

use super::list::Entry;
use super::member::Past;
use super::models::ServedModel;
use super::rank::{NoList, RankQuery};
use super::{Serving, ServingError, Takes};
use crate::variants;

/// What a list is made of.
pub struct Inputs<'a> {
    /// The model: item factors, weights of kinds. None where there is none, or the algorithm needs none.
    pub model: Option<&'a ServedModel>,
    /// The data: the catalogue and the aggregates, at one moment of the store.
    pub data: &'a Serving<'a>,
    /// The signals: the member's live events and their sums, with those of a session.
    pub signals: &'a Past,
    /// Whose they are.
    pub member: &'a str,
}

/// A way to make a list.
pub trait Algorithm: Send + Sync {
    /// What people call it by.
    fn name(&self) -> &'static str;

    /// Whether there is nothing without a model.
    fn needs_model(&self) -> bool {
        false
    }

    /// How long it takes to make a list with this model.
    fn takes(&self, model: Option<&ServedModel>) -> Takes {
        let _ = model;
        Takes::Long
    }

    /// Told before lists of very many members are made from one moment.
    fn prepare(&self, data: &Serving<'_>) -> Result<(), ServingError> {
        let _ = data;
        Ok(())
    }

    /// Ranks what is wanted, best first, without what the member has seen, hides or dislikes and what is withdrawn; or
    /// says why there is nothing to rank. Items are left out by filters before the list is cut to its length, so that
    /// it is short only where no more are eligible.
    fn rank(
        &self,
        inputs: &Inputs<'_>,
        query: &RankQuery,
    ) -> Result<Result<Vec<Entry>, NoList>, ServingError>;
}

/// All of them.
pub static ALL: &[&dyn Algorithm] = &[&Factors, &Together, &PeopleLikeYou, &Popular, &New];

/// The one that a variant names.
pub fn of(algorithm: variants::Algorithm) -> &'static dyn Algorithm {
    match algorithm {
        variants::Algorithm::Factors => &Factors,
        variants::Algorithm::Popular => &Popular,
        variants::Algorithm::Together => &Together,
    }
}

/// One by its name.
pub fn named(name: &str) -> Option<&'static dyn Algorithm> {
    ALL.iter().copied().find(|algorithm| algorithm.name() == name)
}

#[cfg(test)]
mod tests {
    use super::{ALL, named};

    #[test]
    fn every_algorithm_has_a_name_of_its_own_and_is_found_by_it() {
        let names: std::collections::BTreeSet<&str> = ALL.iter().map(|algorithm| algorithm.name()).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(names.iter().all(|name| named(name).is_some_and(|found| found.name() == *name)));
        assert!(named("nothing of the kind").is_none());
    }
}
