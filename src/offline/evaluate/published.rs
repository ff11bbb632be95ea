//! The protocols `lightgcn` and `strong`: each member's list over all items but those it is made from, and some items
//! to be found in it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::comparison::{Cases, Comparison, Pairing, compare};
use super::fitted::{Fitted, Pairs};
use super::formats::{InputError, Row, folded, lightgcn, mult_vae, training};
use super::metrics::{Hits, Measure};
use super::report::Trained;
use super::{EvaluateError, Part, Stage};
use crate::config::Train;

/// What LightGCN reports (He et al. 2020, section 4.1.2).
const LIGHTGCN: [Measure; 2] = [Measure::RecallOfAll(20), Measure::Ndcg(20)];

/// What Mult-VAE and iALS report (Liang et al. 2018, section 4.2; Rendle et al. 2022, section 4.1).
const STRONG: [Measure; 3] = [Measure::Recall(20), Measure::Recall(50), Measure::Ndcg(100)];

/// One member's test.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// What its list is made from, and without: items with signed weights, ascending.
    pub folded: Vec<(u32, f32)>,
    /// What is to be found: items of the model, each once.
    pub wanted: Vec<u32>,
    /// How many more items are to be found that training never saw.
    pub not_in_model: usize,
}

/// Measures lists that are made from one file against those of another, both in LightGCN's format.
pub fn evaluate_lightgcn(
    train: &Path,
    test: &Path,
    options: &Train,
    progress: &mut dyn FnMut(Stage),
) -> Result<Comparison, EvaluateError> {
    let (train, test) = (lightgcn::read(train)?, lightgcn::read(test)?);
    let (numbers, training) = training(&train);
    let of_train: HashMap<u32, &Row> = train.iter().map(|row| (row.member, row)).collect();
    let case = |row: &Row| {
        let (wanted, not_in_model) = numbers.of_all(&row.items);
        let own = of_train.get(&row.member).map_or(&[][..], |row| &row.items);
        Case { folded: folded(&numbers, own), wanted, not_in_model }
    };
    let cases = test.iter().map(case).collect();
    let events = training.entries.len() as u64;
    let found = Fitted::train(training, events, options, progress)?;
    Ok(measured("lightgcn", (&found, cases), &LIGHTGCN, options, progress))
}

/// Measures strong generalisation on the files of Mult-VAE and iALS.
pub fn evaluate_strong(
    folder: &Path,
    part: Part,
    options: &Train,
    progress: &mut dyn FnMut(Stage),
) -> Result<Comparison, EvaluateError> {
    let name = match part {
        Part::Validation => "validation",
        Part::Test => "test",
    };
    let train = mult_vae::read(&folder.join("train.csv"))?;
    let [(given_path, given), (test_path, test)] = read_both(folder, name)?;
    let trained_on = |row: &&Row| train.binary_search_by_key(&row.member, |row| row.member).is_ok();
    for (path, rows) in [(&given_path, &given), (&test_path, &test)] {
        if let Some(Row { line, member, .. }) = rows.iter().find(trained_on) {
            let problem =
                format!("member {member} is in train.csv too; held-out members must be in one of them only");
            return Err(InputError::line(path, *line, problem).into());
        }
    }
    let (numbers, training) = training(&train);
    let case = |row: &Row| {
        let (wanted, not_in_model) = numbers.of_all(&row.items);
        let own =
            given.binary_search_by_key(&row.member, |row| row.member).map(|place| &given[place].items[..]);
        Case { folded: folded(&numbers, own.unwrap_or_default()), wanted, not_in_model }
    };
    let cases = test.iter().map(case).collect();
    let mut found = strong((training, None), cases, options, progress)?;
    let to_find = |row: &&Row| test.binary_search_by_key(&row.member, |row| row.member).is_ok();
    found.tested.empty += given.len() - given.iter().filter(to_find).count();
    Ok(found)
}

/// The two files of held-out members: what is folded in, and what is to be found.
fn read_both(folder: &Path, name: &str) -> Result<[(PathBuf, Vec<Row>); 2], InputError> {
    let read = |part: &str| {
        let path = folder.join(format!("{name}_{part}.csv"));
        let rows = mult_vae::read(&path)?;
        Ok((path, rows))
    };
    Ok([read("tr")?, read("te")?])
}

/// The protocol `strong` on whatever was split. `events` are those that the pairs came from, where there are any.
pub(super) fn strong(
    (training, events): (Pairs, Option<u64>),
    cases: Vec<Case>,
    options: &Train,
    progress: &mut dyn FnMut(Stage),
) -> Result<Comparison, EvaluateError> {
    let events = events.unwrap_or(training.entries.len() as u64);
    let fitted = Fitted::train(training, events, options, progress)?;
    Ok(measured("strong", (&fitted, cases), &STRONG, options, progress))
}

fn measured(
    protocol: &str,
    (fitted, cases): (&Fitted, Vec<Case>),
    measures: &[Measure],
    options: &Train,
    progress: &mut dyn FnMut(Stage),
) -> Comparison {
    let deepest = measures.iter().map(|measure| measure.depth()).max().unwrap_or(0);
    let figures = compare(&cases, measures, &|some: &[Case]| hits(fitted, some, deepest), progress);
    Comparison {
        protocol: protocol.into(),
        trained: Trained::new(options, fitted.trained()),
        tested: counted(&cases),
        figures,
    }
}

fn hits(fitted: &Fitted, cases: &[Case], k: usize) -> Vec<Option<Pairing>> {
    let folded: Vec<&[(u32, f32)]> = cases.iter().map(|case| &case.folded[..]).collect();
    let lists = fitted.lists(&folded, k);
    let pairing = |(case, list): (&Case, Option<Vec<u32>>)| {
        let popular = fitted.popularity(&case.folded, k);
        let found = |list: &[u32]| Hits::with_missing(list, &case.wanted, case.not_in_model);
        Some(Pairing { nearline: found(list.as_ref().unwrap_or(&popular))?, popularity: found(&popular)? })
    };
    cases.iter().zip(lists).map(pairing).collect()
}

fn counted(cases: &[Case]) -> Cases {
    let mut counted = Cases::default();
    for Case { folded, wanted, not_in_model } in cases {
        if wanted.len() + not_in_model == 0 {
            counted.empty += 1;
            continue;
        }
        counted.members += 1;
        counted.without_signal += usize::from(folded.iter().all(|(_, weight)| *weight <= 0.0));
        counted.wanted += wanted.len() + not_in_model;
        counted.not_in_model += not_in_model;
        let is_folded = |item: &&u32| folded.binary_search_by_key(*item, |(item, _)| *item).is_ok();
        counted.folded_in += wanted.iter().filter(is_folded).count();
    }
    counted
}
