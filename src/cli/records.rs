//! `check` and `export`: what would be taken, and what was.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::args::SourceArgs;
use super::{Context, Failure, pipe, show};
use crate::digests::to_hex;
use crate::engine::ingest::TombstoneBody;
use crate::engine::recover::{self, Standing};
use crate::records::{Record, Tombstone, write_json};
use crate::sources::{self, SourceError};
use crate::stores::Store;
use crate::stores::rocks::RocksStore;

/// How many rejected lines `check` shows for each reason.
const SHOWN: u64 = 3;

/// `nearline check`.
pub fn check(context: &Context, given: SourceArgs) -> Result<(), Failure> {
    let mut names = given.sources.clone();
    if names.is_empty() {
        names.push("-".into());
    }
    let options = pipe::source_options(&context.config, &given, false, Arc::new(AtomicBool::new(false)))?;
    let mut reasons: BTreeMap<&'static str, (u64, Vec<String>)> = BTreeMap::new();
    let (mut taken, mut rejected) = (0_u64, 0_u64);
    // What is wrong with one source is no reason to say nothing of the others.
    let mut broken: Vec<SourceError> = Vec::new();
    let mut opened = Vec::new();
    for name in &names {
        match sources::open(std::slice::from_ref(name), &options, &|_| None) {
            Ok(sources) => opened.extend(sources),
            Err(error) => broken.push(error),
        }
    }
    for mut source in opened {
        loop {
            let batch = match source.next() {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(error) => {
                    broken.push(error);
                    continue;
                }
            };
            taken += batch.len() as u64;
            for line in &batch.rejected {
                rejected += 1;
                let (count, examples) = reasons.entry(line.reason.as_str()).or_default();
                *count += 1;
                if *count <= SHOWN {
                    // A message of a topic is no line.
                    let (what, number) =
                        if line.line == 0 { ("offset", line.offset) } else { ("line", line.line) };
                    examples.push(format!("{}, {what} {number}: {}", batch.source, line.detail));
                }
            }
        }
    }
    if context.json {
        let counts: BTreeMap<_, _> = reasons.iter().map(|(reason, (count, _))| (reason, count)).collect();
        let said: Vec<String> = broken.iter().map(SourceError::to_string).collect();
        show::json(
            &serde_json::json!({"accepted": taken, "rejected": rejected, "reasons": counts, "broken": said}),
        )?;
    } else {
        let mut text = format!(
            "{} records would be taken, {} lines rejected\n",
            show::count(taken),
            show::count(rejected)
        );
        for (reason, (count, examples)) in &reasons {
            text += &format!("{} {reason}\n", show::count(*count));
            text.extend(examples.iter().map(|example| format!("  {example}\n")));
        }
        text.extend(broken.iter().map(|error| format!("{error}\n")));
        show::text(&text)?;
    }
    if let Some(error) = broken.into_iter().next() {
        return Err(error.into());
    }
    if rejected == 0 {
        Ok(())
    } else {
        Err(Failure::No(format!("{} lines would be rejected", show::count(rejected))))
    }
}

/// `nearline export`.
pub fn export(context: &Context, without_key: bool) -> Result<(), Failure> {
    let store = RocksStore::open_reader(context.folder.path())?;
    let standing = Standing::of(&store)?;
    if let Some(part) = &standing.part {
        let (process, processes) = (part.share.process, part.share.processes);
        show::aside(format!(
            "of the members of process {process} of {processes} alone: export the other parts too"
        ));
    }
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let mut line = Vec::new();
    if !without_key {
        export_key(context, &standing, &store, &mut out)?;
    }
    recover::records::<Failure>(&store, &standing, &mut |batch| {
        for (record, _) in batch.records() {
            line.clear();
            write_json(&record, &mut line);
            out.write_all(&line)?;
        }
        Ok(())
    })?;
    Ok(out.flush()?)
}

/// The key and the tombstones: without the key nobody could tell whom they keep out.
fn export_key(
    context: &Context,
    standing: &Standing,
    store: &dyn Store,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let key = context.folder.key(standing.key.as_deref())?;
    let mut tombstones = Vec::new();
    recover::tombstones(store, &mut |digest, tombstone| {
        tombstones.push((digest, tombstone));
        Ok(())
    })?;
    let mut line = Vec::new();
    let mut write = |record: &Record<'_>, out: &mut dyn Write| -> io::Result<()> {
        line.clear();
        write_json(record, &mut line);
        out.write_all(&line)
    };
    write(&Record::Key(&to_hex(key.bytes())), out)?;
    for (digest, tombstone) in tombstones {
        let body = serde_json::to_string(&TombstoneBody::new(&tombstone, &key)).map_err(io::Error::other)?;
        write(&Record::Tombstone(Tombstone { member: &to_hex(&digest), body: &body }), out)?;
    }
    Ok(())
}
