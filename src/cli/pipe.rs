//! `run` and `replay`: pipe sources into the engine.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::{ListenArgs, PipeArgs, ReplayArgs, RunArgs, SourceArgs};
use super::line_up::Change;
use super::opening::{Opening, adopting, open_engine};
use super::processes::Joining;
use super::server::Server;
use super::subscriptions::Following;
use super::{Context, Failure, cluster, commands, erase, jobs, now_ms, show};
use crate::archive::Archiver;
use crate::config::Config;
use crate::config::columns::ColumnMap;
use crate::engine::committed::Counts;
use crate::engine::{EngineError, Handle, socket};
use crate::mirrors::Keeper;
use crate::sources::kafka::{self, Committed, Reporter, Start};
use crate::sources::{self, Batch, Offset, Source};
use crate::stores::Table;

/// How often a pipeline whose sources have ended looks whether it is to end too.
const LOOK: Duration = Duration::from_millis(50);
/// How often a long load says how far it is where there is no terminal to draw a bar on.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// `nearline run`.
pub fn run(context: &Context, args: RunArgs) -> Result<(), Failure> {
    let mut config = context.config.clone();
    if let Some(ms) = args.epoch_ms {
        config.run.epoch = Duration::from_millis(ms.max(1));
    }
    if let Some(records) = args.epoch_records {
        config.run.epoch_records = records.max(1);
    }
    let how = How {
        bulk: false,
        follow: args.follow,
        from: args.from,
        listen: Some(&args.listen),
        centres: args.centres.as_deref(),
    };
    pipe(context, &config, &args.pipe, &how)
}

/// `nearline replay`.
pub fn replay(context: &Context, args: ReplayArgs) -> Result<(), Failure> {
    let ReplayArgs { pipe: args, from } = args;
    if args.sources.sources.is_empty() {
        return Err(Failure::Use("replay needs at least one log: `nearline replay events.jsonl`".into()));
    }
    pipe(
        context,
        &context.config,
        &args,
        &How { bulk: true, follow: false, from, listen: None, centres: None },
    )
}

/// How sources are piped in.
struct How<'a> {
    /// Whether lists are left to the end.
    bulk: bool,
    /// Whether to go on when sources are at their end.
    follow: bool,
    /// Where topics begin.
    from: Option<Start>,
    /// Where to answer over HTTP.
    listen: Option<&'a ListenArgs>,
    /// Centres of clusters to find members among.
    centres: Option<&'a Path>,
}

impl How<'_> {
    /// Whether the pipeline goes on until it is interrupted.
    fn goes_on(&self) -> bool {
        self.follow || self.listen.is_some_and(|given| given.listen.is_some())
    }
}

/// Says at its end that all are to stop.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Pipes sources in until they end, or a signal says so.
fn pipe(context: &Context, config: &Config, args: &PipeArgs, how: &How<'_>) -> Result<(), Failure> {
    let given = &args.sources;
    let stop = Arc::new(AtomicBool::new(false));
    let mut options = source_options(config, given, how.follow, stop.clone())?;
    (options.share, options.own_files) = (args.processes.share(), args.processes.own_files);
    let is_topic = |name: &String| name.starts_with(kafka::SCHEME);
    if how.from.is_some() && !given.sources.iter().any(is_topic) {
        return Err(Failure::Use("--from is for topics: files are read from where reading ended".into()));
    }
    let jobs = if how.goes_on() { Some(Arc::new(jobs::scheduler(context)?)) } else { None };
    let joining = Joining::of(&args.processes, config, &stop)?;
    if joining.is_some() && how.centres.is_some() {
        return Err(Failure::Use("--centres is for a pipeline of one process".into()));
    }
    if joining.is_some() {
        // It may wait long for the others.
        stop_on_signal(stop.clone())?;
    }
    // Before the records are read back, which may take minutes: whoever asks is told so.
    let server = how.listen.map(|given| Server::start(given, config)).transpose()?.flatten();
    let joining = joining.map(|joining| joining.answering(server.as_ref().map(Server::url)));
    let opening = Opening {
        change: Change { renew: true, ..Change::model(args.model.as_deref()) },
        workers: args.workers,
        bulk: how.bulk,
        observer: server.as_ref().map(Server::observer),
        joining: joining.as_ref(),
    };
    let mut opened = open_engine(&context.folder, config, opening)?;
    // Dropped before it: where something fails below, the other processes are told to end, and not waited for.
    let _stops = Stops(&stop);
    if let Some(centres) = how.centres {
        cluster::take(&context.folder, &opened.engine.handle(), Some(centres))?;
    }
    let store = opened.store.clone();
    // A bulk load leaves its files as they are. What is committed live lies in files across all others, and is looked up in them.
    if !how.bulk {
        store.loads_over();
    }
    let read_with = given.map.as_deref().map_or_else(String::new, |map| config.map_text(map));
    let known = |source: &str| -> Option<Offset> {
        let value = store.get(Table::Offsets, source.as_bytes()).ok().flatten()?;
        let offset: Offset = serde_json::from_slice(&value).ok()?;
        // Of a topic there is no map.
        let same = !matches!(&offset, Offset::Log(log) if log.map != read_with);
        same.then_some(offset)
    };
    let committed = store.clone();
    options.kafka.committed = Committed(Arc::new(move |source| {
        let value = committed.get(Table::Offsets, source.as_bytes()).ok().flatten()?;
        serde_json::from_slice(&value).ok()
    }));
    (options.kafka.endless, options.kafka.from) = (!how.bulk, how.from);
    options.kafka.again = how.bulk;
    let mut names = given.sources.clone();
    if names.is_empty() && !how.goes_on() {
        names.push("-".into());
    }
    let sources = sources::open(&names, &options, &known)?;
    let reporter = Reporter::start(&options.kafka.lags, &options.kafka.committed)?;
    let max_ahead = config.run.max_ahead.ms();
    let latest_at: socket::LatestAt = Arc::new(move || now_ms() + max_ahead);
    let (handle, adopt) = (opened.engine.handle(), adopting(context, config, &opened.store));
    // A bulk load takes nothing over: its lists are made at its end.
    let board = jobs.as_ref().map(|jobs| jobs.board());
    let follow = || Following::start(context, config, &opened, adopt.clone(), latest_at.clone(), board);
    let following = if how.bulk { None } else { Some(follow()?) };
    let bells = following.as_ref().map(Following::bells).unwrap_or_default();
    let about = (&context.folder, config.clone());
    let commands = commands::of(&opened, about, handle.clone(), bells, jobs.clone());
    let served = socket::Served { handle, latest_at, adopt, commands };
    if let Some(server) = &server {
        opened.joined.take().map_or(Ok(()), |joined| server.joins(joined))?;
        let told = (&options.kafka.lags, opened.archive.as_ref(), opened.mirrors.as_ref());
        server.ready(context, config, &opened.store, &served, told, following.as_ref())?;
        board.into_iter().for_each(|board| server.does_jobs(board));
    }
    // Before anybody is told that it runs, and interrupts it.
    if joining.is_none() {
        stop_on_signal(stop.clone())?;
    }
    let socket = socket::serve(&context.folder.socket(), served).map_err(|error| {
        Failure::Failed(format!("the socket of the data folder cannot be served: {error}"))
    })?;
    // Jobs ask through the socket.
    jobs.as_ref().map_or(Ok(()), |jobs| jobs.begin())?;
    let archiver = opened.archive.clone().map(Archiver::start).transpose()?;
    let keep = |mirrors| Keeper::start(mirrors, &opened.engine.handle());
    let keeper = opened.mirrors.clone().map(keep).transpose()?;
    let erasing = erase::make_good(&opened.eraser);
    let bar = progress(&names, &sources, how.bulk);
    let started = Instant::now();
    let pumped = pump(sources, &opened.engine.handle(), &read_with, &bar, &stop);
    while how.goes_on()
        && !stop.load(Ordering::Relaxed)
        && opened.engine.handle().committed().failure().is_none()
    {
        std::thread::sleep(LOOK);
    }
    // Jobs, which may wait for an answer, end first. Requests come to their end before the pipeline does, and so does a batch.
    if let Some(jobs) = &jobs {
        jobs.stop();
    }
    drop(server);
    if let Some(following) = &following {
        following.stop();
    }
    opened.batches.stop();
    if !stop.load(Ordering::Relaxed) {
        opened.engine.handle().settle(&stop)?;
    }
    let ended = opened.engine.finish();
    drop(following);
    bar.finish_and_clear();
    // What was committed last is told Kafka too.
    drop(reporter);
    let (epoch, counts) = ended?;
    pumped?;
    if !stop.load(Ordering::Relaxed) {
        erase::at_end(&opened.eraser, erasing)?;
    }
    summary(context, epoch, &counts, &opened.before, started.elapsed())?;
    let mirrored = mirror_the_rest(keeper);
    let archived = archive_the_rest(archiver);
    // Commands that are under way are heard out. Of what is interrupted an erasure may be, too.
    drop(socket);
    if !stop.load(Ordering::Relaxed) {
        store.rest();
    }
    archived.and(mirrored)
}

/// Brings mirrors to where the store is.
fn mirror_the_rest(keeper: Option<Keeper>) -> Result<(), Failure> {
    let Some(keeper) = keeper else { return Ok(()) };
    keeper.finish().map_err(|error| {
        let said = "; all records are committed, and what is not mirrored yet waits in the store: the next start goes on, \
                    and so does `nearline mirrors ship`";
        Failure::from(error).with(said)
    })
}

/// Archives what waits, also where the process was interrupted.
fn archive_the_rest(archiver: Option<Archiver>) -> Result<(), Failure> {
    let Some(archiver) = archiver else { return Ok(()) };
    archiver.finish().map(drop).map_err(|error| {
        let said = "; all records are committed, and what is not archived yet waits in the store: the next start goes on, \
                    and so does `nearline archive ship`";
        Failure::from(error).with(said)
    })
}

/// How sources are opened.
pub fn source_options(
    config: &Config,
    given: &SourceArgs,
    follow: bool,
    stop: Arc<AtomicBool>,
) -> Result<sources::Options, Failure> {
    let map = given.map.as_deref().map(|map| ColumnMap::named(map, &config.maps)).transpose();
    let map = map.map_err(|error| Failure::Use(error.to_string()))?;
    Ok(sources::Options {
        threads: config.run.threads(),
        follow,
        map,
        max_ahead_ms: config.run.max_ahead.ms(),
        stop,
        kafka: kafka::Options {
            settings: config.kafka.settings.clone(),
            wait: config.kafka.wait,
            ..kafka::Options::default()
        },
        access: config.access.clone(),
        ..sources::Options::default()
    })
}

/// Sends all batches of all sources to the engine, each source on a thread of its own. What is wrong with one
/// stops no other; the first error is the answer when all have ended.
fn pump(
    sources: Vec<Box<dyn Source>>,
    handle: &Handle,
    read_with: &str,
    bar: &ProgressBar,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let say = Say::new(bar);
    let done = AtomicBool::new(false);
    let outcomes: Vec<Result<(), Failure>> = std::thread::scope(|scope| {
        // A pipe that nobody writes to would keep a process alive that commits nothing any more.
        let watch = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if handle.committed().failure().is_some() {
                    stop.store(true, Ordering::Relaxed);
                }
                std::thread::park_timeout(LOOK);
            }
        });
        let start = |source| scope.spawn(|| pump_one(source, handle, read_with, &say, stop));
        let pumps: Vec<_> = sources.into_iter().map(start).collect();
        let panicked = |_| Err(Failure::Failed("a thread that reads a source ended before its time".into()));
        let outcomes = pumps.into_iter().map(|pump| pump.join().unwrap_or_else(panicked)).collect();
        done.store(true, Ordering::Relaxed);
        watch.thread().unpark();
        outcomes
    });
    outcomes.into_iter().collect()
}

fn pump_one(
    mut source: Box<dyn Source>,
    handle: &Handle,
    read_with: &str,
    say: &Say<'_>,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let mut outcome = Ok(());
    while !stop.load(Ordering::Relaxed) {
        match source.next() {
            Ok(None) => break,
            Ok(Some(mut batch)) => {
                if let Some(Offset::Log(offset)) = &mut batch.offset {
                    read_with.clone_into(&mut offset.map);
                }
                say.batch(&batch);
                handle.send(batch)?;
            }
            Err(error) => {
                tracing::error!(source = source.name(), %error, "a part of the source cannot be read");
                outcome = outcome.and(Err(error.into()));
            }
        }
    }
    outcome
}

/// Says how far a load is: on the bar, or line by line where none can be drawn.
pub(super) struct Say<'a> {
    bar: &'a ProgressBar,
    plain: bool,
    /// Records so far, and when a line was last said.
    state: Mutex<(u64, Instant)>,
    started: Instant,
}

impl<'a> Say<'a> {
    pub(super) fn new(bar: &'a ProgressBar) -> Self {
        let now = Instant::now();
        let plain = bar.is_hidden() && bar.length().is_some();
        Say { bar, plain, state: Mutex::new((0, now)), started: now }
    }

    pub(super) fn batch(&self, batch: &Batch) {
        self.bar.inc(batch.bytes_read);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += batch.len() as u64;
        let rate = state.0 as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        let text = format!("{} records, {}/s", show::count(state.0), show::count(rate as u64));
        if !self.bar.is_hidden() {
            self.bar.set_message(text);
        } else if self.plain && state.1.elapsed() >= SAY_EVERY {
            show::aside(&text);
            state.1 = Instant::now();
        }
    }
}

/// A bar over the bytes of the files that are named and the messages of topics, for a bulk load on a terminal.
fn progress(names: &[String], sources: &[Box<dyn Source>], bulk: bool) -> ProgressBar {
    if !bulk {
        return ProgressBar::hidden();
    }
    let size = |name: &String| size_of(Path::new(name));
    let messages: u64 = sources.iter().map(|source| source.total()).sum();
    let template = match messages {
        0 => "{bar:30} {bytes} of {total_bytes}  {msg}  {eta} left",
        _ => "{bar:30} {percent} %  {msg}  {eta} left",
    };
    bar(names.iter().map(size).sum::<u64>() + messages, template)
}

/// A bar, where there is a terminal to draw it on.
pub(super) fn bar(total: u64, template: &str) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

pub(super) fn size_of(path: &Path) -> u64 {
    let Ok(meta) = std::fs::metadata(path) else { return 0 };
    if meta.is_file() {
        return meta.len();
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .filter(|meta| meta.is_file())
        .map(|meta| meta.len())
        .sum()
}

/// The first interrupt or terminate lets what was begun be put in order; a second one ends at once.
pub(super) fn stop_on_signal(stop: Arc<AtomicBool>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if stop.swap(true, Ordering::Relaxed) {
                    std::process::exit(130);
                }
            }
        });
    })?;
    Ok(())
}

fn summary(
    context: &Context,
    epoch: u64,
    counts: &Counts,
    before: &Counts,
    took: Duration,
) -> Result<(), Failure> {
    let accepted = counts.accepted - before.accepted;
    let rejected = counts.rejected - before.rejected;
    let without_effect = counts.without_effect - before.without_effect;
    let seconds = took.as_secs_f64();
    if context.json {
        return show::json(&serde_json::json!({
            "epoch": epoch, "accepted": accepted, "without_effect": without_effect, "rejected": rejected,
            "live_events": counts.live_events, "seconds": seconds,
        }));
    }
    let mut text = format!(
        "{} records in {seconds:.1} s ({}/s), {} without effect; {} live events; epoch {epoch}",
        show::count(accepted),
        show::count((accepted as f64 / seconds.max(1e-9)) as u64),
        show::count(without_effect),
        show::count(counts.live_events),
    );
    if rejected > 0 {
        let log = context.folder.rejected();
        text += &format!("\n{} lines were rejected; they are in {}", show::count(rejected), log.display());
    }
    show::aside(&text);
    Ok(())
}

impl From<EngineError> for std::io::Error {
    fn from(error: EngineError) -> Self {
        std::io::Error::other(error.to_string())
    }
}
