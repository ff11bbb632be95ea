//! The timely workers: threads that run the graph, fed by epoch, and tell the committer what changed.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::Thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, unbounded};
use nearline_dataflows::graph::{self, Delta, Inputs, Meaning, Sink};
use nearline_dataflows::members::Control;
use nearline_dataflows::types::{Epoch, LookUps};
use timely::WorkerConfig;
use timely::communication::WorkerGuards;
use timely::communication::allocator::zero_copy::initialize::{
    CommsGuard, initialize_networking_from_sockets,
};
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use timely::dataflow::operators::probe;
use timely::worker::Worker;

use super::committed::Committed;
use super::ingest::WorkerFeed;
use super::messages::ToCommit;
use super::observer::Observer;
use super::peers::{self, Ends, Errand, Errands, Peers, Together, Watch};
use super::{EngineError, times};
use crate::failpoints::reach;

/// How many epochs may wait at a worker while it works on another.
const WAITING: usize = 1;
/// How often it is looked whether connections have closed.
const LOOK: Duration = Duration::from_millis(2);
/// How long an idle worker sleeps where nobody wakes it.
const IDLE: Duration = Duration::from_secs(1);

/// What a worker is told.
pub struct Feed {
    /// The epoch it belongs to.
    pub epoch: Epoch,
    /// Records and items.
    pub feed: WorkerFeed,
    /// What else the epoch means for the worker.
    pub controls: Vec<Control>,
}

/// What every worker builds its part of the graph with.
#[derive(Clone)]
pub struct Graph {
    /// The meaning of the config.
    pub meaning: Meaning,
    /// What the graph looks up by number.
    pub look_ups: LookUps,
    /// Where what changes goes.
    pub to_commit: Sender<ToCommit>,
    /// Told how long operators work.
    pub observer: Option<Arc<dyn Observer>>,
}

/// The running workers.
pub struct Workers {
    feeds: Vec<(Sender<Feed>, Thread)>,
    guards: Option<WorkerGuards<()>>,
    /// The threads of the connections to other processes, and what happens to these.
    connections: Option<(CommsGuard, Arc<Watch>)>,
}

/// What one worker has of the other processes.
struct Beyond {
    ends: Option<Ends>,
    errands: Receiver<Errand>,
    watch: Arc<Watch>,
    committed: Arc<Committed>,
}

impl Workers {
    /// Starts `count` workers.
    pub fn start(count: usize, graph: Graph) -> Result<Self, EngineError> {
        let process = timely::CommunicationConfig::Process(count);
        let (builders, others) = process.try_build().map_err(EngineError::Workers)?;
        Self::start_on(builders, others, (0, 1), graph, |_| None)
    }

    /// Starts `count` workers of a graph that other processes have workers of too.
    pub fn start_with(
        peers: &mut Peers,
        count: usize,
        graph: Graph,
        committed: &Arc<Committed>,
    ) -> Result<(Self, Together), EngineError> {
        let failed = |error: std::io::Error| EngineError::Workers(error.to_string());
        let hooks = timely::communication::Hooks::default();
        let threads = ProcessBuilder::new_typed_vector(count, hooks.refill.clone(), hooks.spill.clone());
        let links = std::mem::take(&mut peers.links);
        let (process, processes) = (peers.share.process, peers.share.processes);
        let (builders, connections) =
            initialize_networking_from_sockets(threads, links, process, count, hooks).map_err(failed)?;
        let builders = builders.into_iter().map(AllocatorBuilder::Tcp).collect();
        let (arrive, arrivals) = unbounded();
        let (errand, errands) = unbounded();
        let (watch, start) = (peers.watch.clone(), peers.agreed.epoch);
        watch.tells(committed, arrive.clone());
        let (watching, committing) = (watch.clone(), committed.clone());
        let beyond = move |worker: &mut Worker| {
            let is_first = worker.index().is_multiple_of(count);
            let ends = peers::build(worker, start, is_first, arrive.clone());
            let (errands, watch) = (errands.clone(), watching.clone());
            Some(Beyond { ends, errands, watch, committed: committing.clone() })
        };
        let mut workers = Self::start_on(builders, Box::new(()), (process, processes), graph, beyond)?;
        watch.wakes(workers.feeds.iter().map(|(_, thread)| thread.clone()).collect());
        workers.connections = Some((connections, watch));
        let errands = Errands::new(errand, workers.feeds[0].1.clone());
        committed.with_others(errands.clone());
        let together = Together::new(peers, errands, arrivals, committed.clone());
        Ok((workers, together))
    }

    fn start_on(
        builders: Vec<AllocatorBuilder>,
        others: Box<dyn std::any::Any + Send>,
        (process, processes): (usize, usize),
        graph: Graph,
        beyond: impl Fn(&mut Worker) -> Option<Beyond> + Send + Sync + 'static,
    ) -> Result<Self, EngineError> {
        let count = builders.len();
        let mut senders = Vec::with_capacity(count);
        let mut receivers = Vec::with_capacity(count);
        for _ in 0..count {
            let (sender, receiver) = bounded::<Feed>(WAITING);
            senders.push(sender);
            receivers.push(receiver);
        }
        let (hello, hellos) = bounded(count);
        let guards =
            timely::execute::execute_from(builders, others, WorkerConfig::default(), move |worker| {
                let index = worker.index() - process * count;
                let Graph { meaning, look_ups, to_commit, observer } = graph.clone();
                if let Some(observer) = &observer {
                    times::observe(worker, observer.clone());
                }
                let sink = Rc::new(ToCommitter { worker: index, to_commit: to_commit.clone() });
                let (inputs, probe) = worker.dataflow::<Epoch, _, _>(|scope| {
                    graph::build(scope, processes, &meaning, look_ups, sink)
                });
                let beyond = beyond(worker);
                // Nobody listens any more where the engine gave up; the feed is closed then.
                let _ = hello.send((index, std::thread::current()));
                run(worker, &receivers[index], (inputs, &probe), &to_commit, beyond);
            })
            .map_err(EngineError::Workers)?;
        let mut threads: Vec<(usize, Thread)> = hellos.iter().take(count).collect();
        threads.sort_by_key(|(index, _)| *index);
        let feeds = senders.into_iter().zip(threads.into_iter().map(|(_, thread)| thread)).collect();
        Ok(Workers { feeds, guards: Some(guards), connections: None })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.feeds.len()
    }

    /// Feeds a worker; waits where it is behind.
    pub fn feed(&self, worker: usize, feed: Feed) -> Result<(), EngineError> {
        let (sender, thread) = &self.feeds[worker];
        sender.send(feed).map_err(|_| EngineError::Stopped)?;
        thread.unpark();
        Ok(())
    }

    /// Lets the workers end once they are through with what they were fed.
    pub fn finish(mut self) {
        if let Some((_, watch)) = self.connections.as_ref().filter(|(_, watch)| !watch.is_ending()) {
            watch.leave();
        }
        for (sender, thread) in self.feeds.drain(..) {
            drop(sender);
            thread.unpark();
        }
        drop(self.guards.take());
        match self.connections.take() {
            // Its threads wait for processes that are gone; the program ends without them.
            Some((connections, watch)) if watch.is_lost() => std::mem::forget(connections),
            Some((connections, watch)) => {
                let closing = std::thread::spawn(move || drop(connections));
                // One that is gone by now never closes its end; all is on disk.
                while !closing.is_finished() && !watch.is_lost() {
                    std::thread::sleep(LOOK);
                }
            }
            None => {}
        }
    }
}

struct ToCommitter {
    worker: usize,
    to_commit: Sender<ToCommit>,
}

impl Sink for ToCommitter {
    fn take(&self, epoch: Epoch, delta: Delta) {
        // The committer has stopped on an error, which the engine reports; nothing is lost by saying no more.
        let _ = self.to_commit.send(ToCommit::Delta { worker: self.worker, epoch, delta });
    }
}

fn run(
    worker: &mut Worker,
    feed: &Receiver<Feed>,
    (mut inputs, probe): (Inputs, &probe::Handle<Epoch>),
    to_commit: &Sender<ToCommit>,
    mut beyond: Option<Beyond>,
) {
    // Invariant: epochs that were fed and have not come out whole, oldest first.
    let mut open: VecDeque<Epoch> = VecDeque::new();
    let mut closed = false;
    while !closed || !open.is_empty() {
        match feed.try_recv() {
            Ok(mut feed) => {
                inputs.advance_to(feed.epoch);
                inputs.ops.send_batch(&mut feed.feed.ops);
                inputs.items.send_batch(&mut feed.feed.items);
                inputs.known.send_batch(&mut feed.feed.known);
                inputs.controls.send_batch(&mut feed.controls);
                inputs.advance_to(feed.epoch + 1);
                open.push_back(feed.epoch);
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => closed = true,
        }
        let errands = beyond.as_mut().is_some_and(Beyond::run_errands);
        let wait = if feed.is_empty() && !closed && !errands { Some(IDLE) } else { Some(Duration::ZERO) };
        worker.step_or_park(wait);
        while let Some(epoch) = open.front().filter(|epoch| !probe.less_equal(*epoch)) {
            let _ = to_commit.send(ToCommit::Done { worker: worker.index(), epoch: *epoch });
            open.pop_front();
        }
        if let Some(beyond) = &mut beyond {
            beyond.tell_how_far_all_are(to_commit);
            if beyond.watch.is_lost() {
                break;
            }
        }
    }
    let Some(Beyond { watch, ends, .. }) = beyond else { return };
    if !watch.is_ending() {
        // Closed inputs would tell the others that all is on disk here.
        return let_go(worker);
    }
    drop((inputs, ends));
    // Until the others have come to their end too, or one is gone: what waits for it would wait for ever.
    while worker.has_dataflows() {
        if watch.is_lost() {
            return let_go(worker);
        }
        worker.step_or_park(Some(IDLE));
    }
}

/// Drops what waits for other processes, without another step.
fn let_go(worker: &mut Worker) {
    worker.installed_dataflows().into_iter().for_each(|dataflow| worker.drop_dataflow(dataflow));
}

impl Beyond {
    /// Does what this process sends the others; whether there was something.
    fn run_errands(&mut self) -> bool {
        let Some(ends) = &mut self.ends else { return false };
        let errands: Vec<Errand> = self.errands.try_iter().collect();
        let any = !errands.is_empty();
        errands.into_iter().for_each(|errand| ends.run(errand));
        any
    }

    fn tell_how_far_all_are(&mut self, to_commit: &Sender<ToCommit>) {
        if let Some(epoch) = self.ends.as_mut().and_then(Ends::stored_by_all) {
            reach("stored-by-all");
            // Before whoever waits for the epoch learns that it is committed, and asks for what goes with it.
            let _ = to_commit.send(ToCommit::StoredByAll(epoch));
            self.committed.stored_by_all(epoch);
        }
    }
}
