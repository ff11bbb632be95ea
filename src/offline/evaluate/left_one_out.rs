//! The protocol `ncf`: one item of each member, ranked by score among others that were drawn for it beforehand.

use std::path::Path;

use super::comparison::{Cases, Comparison, Pairing, compare};
use super::fitted::Fitted;
use super::formats::ncf::{Trial, files, read_train, read_trials};
use super::formats::{Numbers, folded, training};
use super::metrics::{Hits, Measure, place_among};
use super::report::Trained;
use super::{EvaluateError, Stage};
use crate::config::Train;

/// What NCF reports (He et al. 2017, section 4.1).
const MEASURES: [Measure; 2] = [Measure::HitRate(10), Measure::Ndcg(10)];

/// One member's test, by the items' numbers; an item that training never saw has none.
struct Case {
    folded: Vec<(u32, f32)>,
    item: Option<u32>,
    others: Vec<Option<u32>>,
}

/// Measures a folder of NCF's files, or those whose names begin so.
pub fn evaluate_ncf(
    given: &Path,
    options: &Train,
    progress: &mut dyn FnMut(Stage),
) -> Result<Comparison, EvaluateError> {
    let [train, test, negative] = files(given)?;
    let (train, trials) = (read_train(&train)?, read_trials(&test, &negative)?);
    let (numbers, training) = training(&train);
    let case = |trial: &Trial| {
        let own =
            train.binary_search_by_key(&trial.member, |row| row.member).map(|place| &train[place].items[..]);
        numbered(&numbers, own.unwrap_or_default(), trial)
    };
    let cases: Vec<Case> = trials.iter().map(case).collect();
    let events = training.entries.len() as u64;
    let fitted = Fitted::train(training, events, options, progress)?;
    let hits = |some: &[Case]| some.iter().map(|case| Some(ranked(&fitted, case))).collect();
    let figures = compare(&cases, &MEASURES, &hits, progress);
    let trained = Trained::new(options, fitted.trained());
    Ok(Comparison { protocol: "ncf".into(), trained, tested: counted(&cases), figures })
}

fn numbered(numbers: &Numbers, own: &[u32], trial: &Trial) -> Case {
    Case {
        folded: folded(numbers, own),
        item: numbers.of(trial.item),
        others: trial.others.iter().map(|other| numbers.of(*other)).collect(),
    }
}

/// Where the item stands by score, and by how many members have it.
fn ranked(fitted: &Fitted, Case { folded, item, others }: &Case) -> Pairing {
    let by_count = |item: &Option<u32>| fitted.count(*item);
    let popularity = place_among(by_count(item), others.iter().map(by_count));
    let nearline = fitted.factor(folded).map_or(popularity, |factor| {
        let score = |item: &Option<u32>| fitted.score(&factor, *item);
        place_among(score(item), others.iter().map(score))
    });
    Pairing { nearline: Hits::of_one(Some(nearline)), popularity: Hits::of_one(Some(popularity)) }
}

fn counted(cases: &[Case]) -> Cases {
    let is_folded = |case: &&Case| {
        case.item.is_some_and(|item| case.folded.binary_search_by_key(&item, |(item, _)| *item).is_ok())
    };
    Cases {
        members: cases.len(),
        wanted: cases.len(),
        without_signal: cases.iter().filter(|case| case.folded.is_empty()).count(),
        not_in_model: cases.iter().filter(|case| case.item.is_none()).count(),
        folded_in: cases.iter().filter(is_folded).count(),
        ..Cases::default()
    }
}
