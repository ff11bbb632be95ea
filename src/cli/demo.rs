//! `nearline demo`: an invented world, end to end, and two members whose lists change as they watch.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::args::SourceArgs;
use super::line_up::Change;
use super::opening::{self, Opening};
use super::{Context, Failure, ask, now_ms, pipe, show};
use crate::config::Config;
use crate::demo::{BenchSize, Event, World, WorldSize, bench_log as write_bench_log, bench_log_retracted};
use crate::engine::recover::{self, Standing};
use crate::engine::socket;
use crate::folder::Folder;
use crate::offline::live::Gatherer;
use crate::offline::train as training;
use crate::serving::Reader;
use crate::serving::list::{ListName, ListQuery};
use crate::sources;
use crate::stores::rocks::RocksStore;

/// How many items of a list are shown.
const SHOWN: usize = 8;

/// `nearline demo`.
pub fn demo(context: &Context, write: Option<PathBuf>, seed: u64) -> Result<(), Failure> {
    let world = World::new(seed, WorldSize::DEMO);
    if let Some(folder) = write {
        world.write(&folder)?;
        return show::text(&format!("wrote {}; its README.txt says what to do next", folder.display()));
    }
    let place = fresh_folder()?;
    // A world that is invented is not archived with what has happened.
    let config = Config { archive: None, mirrors: Vec::new(), jobs: Vec::new(), ..context.config.clone() };
    let context = &Context { folder: context.folder.clone(), config, config_file: None, json: context.json };
    let mut demo = Demo { context, world, folder: Folder::new(place.join("data")), logs: place.join("logs") };
    demo.load()?;
    demo.train()?;
    demo.watch()
}

/// The demo's folder, empty; what an earlier demo left there goes.
fn fresh_folder() -> Result<PathBuf, Failure> {
    let place = std::env::temp_dir().join("nearline-demo");
    if place.join("data").join("store").exists() {
        std::fs::remove_dir_all(&place)?;
    }
    std::fs::create_dir_all(&place)?;
    Ok(place)
}

struct Demo<'a> {
    context: &'a Context,
    world: World,
    folder: Folder,
    logs: PathBuf,
}

impl Demo<'_> {
    /// Writes the logs and replays what happened before today.
    fn load(&mut self) -> Result<(), Failure> {
        show::text(&format!(
            "An invented world: {} titles, {} members, {} events over 90 days.",
            show::count(self.world.items.len() as u64),
            show::count(self.world.members.len() as u64),
            show::count(self.world.events.len() as u64),
        ))?;
        self.world.write(&self.logs)?;
        let started = Instant::now();
        let opened = opening::open_engine(
            &self.folder,
            &self.context.config,
            Opening { bulk: true, ..Opening::default() },
        )?;
        let given = SourceArgs { sources: Vec::new(), map: None };
        let options = pipe::source_options(&self.context.config, &given, false, Default::default())?;
        let logs = ["catalogue.jsonl", "events.jsonl"].map(|log| self.logs.join(log).display().to_string());
        for mut source in sources::open(&logs, &options, &|_| None)? {
            while let Some(batch) = source.next()? {
                opened.engine.handle().send(batch)?;
            }
        }
        let (_, counts) = opened.engine.finish()?;
        let took = started.elapsed().as_secs_f64();
        show::text(&format!("Replayed {} records in {took:.1} s.", show::count(counts.accepted)))
    }

    /// Trains a model from the records in the store.
    fn train(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        let config = &self.context.config;
        let store = RocksStore::open_reader(self.folder.path())?;
        let standing = Standing::of(&store)?;
        let mut gatherer = Gatherer::new(
            config.kinds.names.iter().map(String::as_str),
            self.folder.key(standing.key.as_deref())?,
        );
        recover::records::<Failure>(&store, &standing, &mut |batch| {
            gatherer.take(&batch);
            Ok(())
        })?;
        let live = gatherer.finish();
        let model = training(&live, &config.kinds, &config.train, &mut |_| {});
        let model = model.map_err(|error| Failure::Failed(error.to_string()))?;
        model.save(&self.model()).map_err(|error| Failure::Failed(error.to_string()))?;
        show::text(&format!(
            "Trained a model of rank {} on {} items in {:.1} s.",
            model.manifest.rank,
            show::count(model.manifest.counts.items),
            started.elapsed().as_secs_f64()
        ))
    }

    fn model(&self) -> PathBuf {
        self.logs.with_file_name("model")
    }

    /// Pipes today's story in, event by event, and shows the lists before and after.
    fn watch(&mut self) -> Result<(), Failure> {
        let opened = opening::open_engine(
            &self.folder,
            &self.context.config,
            Opening { change: Change::model(Some(&self.model())), ..Opening::default() },
        )?;
        opened.engine.handle().settle(&Default::default())?;
        let handle = opened.engine.handle();
        let story = self.world.story.clone();
        for member in [story.turned, story.newcomer] {
            let id = self.world.members[member].id.clone();
            show::text(&format!("\nBefore today, {id} gets:"))?;
            self.show_list(&id)?;
            show::text(&format!("\nToday {id} watches:"))?;
            for event in story.events.iter().filter(|event| event.member == member) {
                let started = Instant::now();
                let answer = socket::submit(&self.world.event_record(event), &handle, now_ms());
                if let Some(error) = answer.error {
                    return Err(Failure::Failed(error));
                }
                let took = started.elapsed().as_secs_f64() * 1e3;
                show::text(&format!(
                    "  {}  list current {took:.1} ms later, epoch {}",
                    self.told(event),
                    answer.epoch
                ))?;
            }
            show::text(&format!("\nNow {id} gets:"))?;
            self.show_list(&id)?;
        }
        opened.engine.finish()?;
        let id = &self.world.members[story.turned].id;
        show::text(&format!(
            "\nEverything is in {0}; go on from here:\n  nearline --data {0} get {id} --list continue_watching\n  \
             nearline --data {0} history {id} --limit 5\n  nearline --data {0} popular --window 24h\n  \
             nearline --data {0} verify",
            self.folder.path().display()
        ))
    }

    fn told(&self, event: &Event) -> String {
        let title = &self.world.items[event.item];
        let genres: Vec<_> = title.genres().collect();
        format!("{:<5} {:<34} {:<26}", event.kind, title.title, genres.join(", "))
    }

    fn show_list(&self, member: &str) -> Result<(), Failure> {
        let reader = Reader::open(&self.folder, self.context.config.clone())?;
        let query = ListQuery::first(ListName::TopPicks, SHOWN);
        let answer = reader.read(|serving| serving.list(member, &query, now_ms()))?;
        let mut text = ask::list_head(&answer);
        let row = |(place, entry): (usize, &crate::serving::list::Entry)| {
            let title = self.world.items.iter().find(|title| title.id == entry.item);
            let genres: Vec<&str> = title.map_or_else(Vec::new, |title| title.genres().collect());
            let name = entry.title.as_deref().unwrap_or(&entry.item).to_owned();
            vec![format!("{:>3}", place + 1), name, genres.join(", ")]
        };
        text += &show::table(&["", "title", "genres"], &[0], answer.items.iter().enumerate().map(row));
        show::text(&text)
    }
}

/// `nearline bench-log`.
pub fn bench_log(out: &Path, size: BenchSize, seed: u64, retract: u64, behind: usize) -> Result<(), Failure> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(out)?);
    if retract > 0 {
        bench_log_retracted(&mut file, size, seed, retract, behind)?;
    } else {
        write_bench_log(&mut file, size, seed)?;
    }
    Ok(file.flush()?)
}
