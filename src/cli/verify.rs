//! `nearline verify`: whether the views are what the records say, of a pipeline of one process or of several.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::line_up::LineUp;
use super::{Context, Failure, opening, show};
use crate::engine::verify::{self, Verdict};
use crate::engine::{Engine, EngineOptions};
use crate::processes::Placement;
use crate::processes::parts::{Opened, Parts, PartsError};
use crate::stores::Store;

impl From<PartsError> for Failure {
    fn from(error: PartsError) -> Self {
        match error {
            PartsError::Store(error) => error.into(),
            PartsError::NotOne(why) => Failure::Use(why),
            PartsError::Epochs(_) => Failure::No(error.to_string()),
        }
    }
}

/// What is said of it.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    verdict: Verdict,
    #[serde(flatten)]
    pipeline: Option<OfPipeline>,
}

/// What is said besides of a pipeline of several processes.
#[derive(Serialize)]
struct OfPipeline {
    pipeline: String,
    processes: usize,
    #[serde(flatten)]
    placement: Placement,
}

/// `nearline verify`. All stores of a pipeline are read as one: what one engine makes of all records is held against
/// what they have together, and each entry has its place in one of them, or in all.
pub fn verify(context: &Context, folders: Vec<PathBuf>, workers: Option<usize>) -> Result<(), Failure> {
    let folders = if folders.is_empty() { vec![context.folder.path().to_owned()] } else { folders };
    let parts = Parts::open(&folders)?;
    for part in &parts.parts {
        is_ready(context, part)?;
    }
    let mut answer = Answer { verdict: compare(context, &parts, workers)?, pipeline: None };
    if let Some(pipeline) = parts.pipeline.clone() {
        let processes = parts.parts.len();
        let placement = Placement::of(&parts.union(), processes)?;
        answer.verdict.equal &= placement.count() == 0;
        answer.pipeline = Some(OfPipeline { pipeline, processes, placement });
    }
    say(context, &answer)
}

/// Refuses a folder whose views are not what they will be, or were made with another config.
fn is_ready(context: &Context, part: &Opened) -> Result<(), Failure> {
    if part.standing.pending {
        let mut message =
            "the views lag behind the records: a bulk load or a rebuild is under way or was broken off; \
                           start `nearline run` to make them good"
                .to_owned();
        if part.standing.part.is_some() {
            message = format!("{}: {message}", part.folder.path().display());
        }
        return Err(Failure::No(message));
    }
    Ok(part.standing.made_with(context.config.meaning_hash())?)
}

/// Makes the views anew, and compares.
fn compare(context: &Context, parts: &Parts, workers: Option<usize>) -> Result<Verdict, Failure> {
    let Opened { folder, standing, .. } = parts.first();
    let stored: Arc<dyn Store> = match &parts.parts[..] {
        [only] => only.store.clone(),
        _ => Arc::new(parts.union()),
    };
    verify::verify(&stored, &standing.missing_views(), standing.epoch, &mut |remade| {
        let live = LineUp::stored(folder, &standing.lists)?.given(None, &context.config);
        let options = EngineOptions {
            key: folder.key(standing.key.as_deref())?,
            rebuild: true,
            centres: opening::centres_in_use(folder, standing).map(|centres| centres.centres),
            ..opening::engine_options(&context.config, Some(live), workers)
        };
        Ok(Engine::start(stored.clone(), remade, options)?.finish().map(drop)?)
    })
}

fn say(context: &Context, answer: &Answer) -> Result<(), Failure> {
    let Answer { verdict, pipeline } = answer;
    if context.json {
        show::json(answer)?;
    } else {
        let entries = show::count(verdict.entries);
        let among = pipeline
            .as_ref()
            .map(|of| format!(" in the stores of {} processes", of.processes))
            .unwrap_or_default();
        show::text(&format!("{}  epoch {}, {entries} entries{among}", verdict.stored, verdict.epoch))?;
    }
    if verdict.equal {
        return Ok(());
    }
    let list = |lines: &[String]| lines.iter().map(|line| format!("\n  {line}")).collect::<String>();
    let mut said = Vec::new();
    if verdict.differing > 0 || verdict.stored != verdict.recomputed {
        said.push(format!(
            "{} entries differ from what the records say, whose digest is {}{}",
            show::count(verdict.differing),
            verdict.recomputed,
            list(&verdict.examples)
        ));
    }
    if let Some(OfPipeline { placement, .. }) = pipeline.as_ref().filter(|of| of.placement.count() > 0) {
        said.push(format!(
            "{} entries are not where they belong{}",
            show::count(placement.count()),
            list(&placement.misplacements)
        ));
    }
    Err(Failure::No(said.join("\n")))
}
