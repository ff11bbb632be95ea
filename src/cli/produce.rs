//! `produce`: a log sent to a topic.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::args::ProduceArgs;
use super::pipe::{self, Say};
use super::{Context, Failure, show};
use crate::sources::kafka::{self, Delivered, KafkaError, Producer};
use crate::sources::{self, SourceError};

/// How many lines that were not sent are shown.
const SHOWN: u64 = 3;

/// `nearline produce`.
pub fn produce(context: &Context, args: &ProduceArgs) -> Result<(), Failure> {
    let given = &args.sources;
    if given.sources.is_empty() {
        let wanted =
            "produce needs at least one log: `nearline produce events.jsonl --to kafka://HOST:PORT/TOPIC`";
        return Err(Failure::Use(wanted.into()));
    }
    if !args.to.starts_with(kafka::SCHEME) {
        let to = &args.to;
        return Err(Failure::Use(format!("--to {to} is no topic: give kafka://HOST:PORT/TOPIC")));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let options = pipe::source_options(&context.config, given, false, stop.clone())?;
    let sources = sources::open(&given.sources, &options, &|_| None)?;
    let mut producer = Producer::open(&args.to, &options.kafka).map_err(failed)?;
    pipe::stop_on_signal(stop.clone())?;
    let size: u64 = given.sources.iter().map(|name| pipe::size_of(Path::new(name))).sum();
    let messages: u64 = sources.iter().map(|source| source.total()).sum();
    let bar = pipe::bar(size + messages, "{bar:30} {percent} %  {msg}  {eta} left");
    let (say, started) = (Say::new(&bar), Instant::now());
    let mut rejected = 0;
    let mut broken = None;
    for mut source in sources {
        while !stop.load(Ordering::Relaxed) {
            match source.next() {
                Ok(None) => break,
                Ok(Some(batch)) => {
                    for line in &batch.rejected {
                        rejected += 1;
                        if rejected <= SHOWN {
                            let (name, line, why) = (&batch.source, line.line, &line.detail);
                            show::aside(format_args!("not sent: {name}, line {line}: {why}"));
                        }
                    }
                    for (record, _) in batch.records() {
                        producer.send(&record).map_err(failed)?;
                    }
                    say.batch(&batch);
                }
                Err(error) => {
                    tracing::error!(source = source.name(), %error, "a part of the log cannot be read");
                    broken.get_or_insert(error);
                }
            }
        }
    }
    let Delivered { records, left_out } = producer.finish().map_err(failed)?;
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    if context.json {
        show::json(&serde_json::json!({
            "records": records, "rejected": rejected, "left_out": left_out, "seconds": seconds,
        }))?;
    } else {
        let rate = show::count((records as f64 / seconds.max(1e-9)) as u64);
        let mut text = format!("{} records are in {} ({rate}/s)", show::count(records), args.to);
        if left_out > 0 {
            let count = show::count(left_out);
            text += &format!(
                "\n{count} were left out: the key and the tombstones of an export go from folder to folder only"
            );
        }
        show::aside(&text);
    }
    if let Some(error) = broken {
        return Err(error.into());
    }
    if stop.load(Ordering::Relaxed) {
        return Err(Failure::Interrupted(
            "interrupted: the log was not sent to its end; send it again".into(),
        ));
    }
    if rejected > 0 {
        let count = show::count(rejected);
        return Err(Failure::No(format!(
            "{count} lines were rejected and not sent; `nearline check` says why"
        )));
    }
    Ok(())
}

fn failed(error: KafkaError) -> Failure {
    SourceError::from(error).into()
}
