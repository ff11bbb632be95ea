//! The timely workers: threads that run the graph, fed by epoch, and tell the committer what changed.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::Thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use nearline_dataflows::graph::{self, Delta, Inputs, Meaning, Sink};
use nearline_dataflows::members::Control;
use nearline_dataflows::types::{Epoch, LookUps};
use timely::WorkerConfig;
use timely::communication::WorkerGuards;
use timely::dataflow::operators::probe;

use super::ingest::WorkerFeed;
use super::messages::ToCommit;
use super::observer::Observer;
use super::{EngineError, times};

/// How many epochs may wait at a worker while it works on another.
const WAITING: usize = 1;
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

/// The running workers.
pub struct Workers {
    feeds: Vec<(Sender<Feed>, Thread)>,
    guards: Option<WorkerGuards<()>>,
}

impl Workers {
    /// Starts `count` workers; what changes goes to `to_commit`.
    pub fn start(
        count: usize,
        meaning: Meaning,
        look_ups: LookUps,
        to_commit: Sender<ToCommit>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Self, EngineError> {
        let mut senders = Vec::with_capacity(count);
        let mut receivers = Vec::with_capacity(count);
        for _ in 0..count {
            let (sender, receiver) = bounded::<Feed>(WAITING);
            senders.push(sender);
            receivers.push(receiver);
        }
        let (hello, hellos) = bounded(count);
        let config = timely::Config {
            communication: timely::CommunicationConfig::Process(count),
            worker: WorkerConfig::default(),
        };
        let guards = timely::execute(config, move |worker| {
            let index = worker.index();
            if let Some(observer) = &observer {
                times::observe(worker, observer.clone());
            }
            let sink = Rc::new(ToCommitter { worker: index, to_commit: to_commit.clone() });
            let (inputs, probe) =
                worker.dataflow::<Epoch, _, _>(|scope| graph::build(scope, &meaning, look_ups.clone(), sink));
            // Nobody listens any more where the engine gave up; the feed is closed then.
            let _ = hello.send((index, std::thread::current()));
            run(worker, &receivers[index], inputs, &probe, &to_commit);
        })
        .map_err(EngineError::Workers)?;
        let mut threads: Vec<(usize, Thread)> = hellos.iter().take(count).collect();
        threads.sort_by_key(|(index, _)| *index);
        let feeds = senders.into_iter().zip(threads.into_iter().map(|(_, thread)| thread)).collect();
        Ok(Workers { feeds, guards: Some(guards) })
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
        for (sender, thread) in self.feeds.drain(..) {
            drop(sender);
            thread.unpark();
        }
        drop(self.guards.take());
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
    worker: &mut timely::worker::Worker,
    feed: &Receiver<Feed>,
    mut inputs: Inputs,
    probe: &probe::Handle<Epoch>,
    to_commit: &Sender<ToCommit>,
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
        let wait = if feed.is_empty() && !closed { Some(IDLE) } else { Some(Duration::ZERO) };
        worker.step_or_park(wait);
        while let Some(epoch) = open.front().filter(|epoch| !probe.less_equal(*epoch)) {
            let _ = to_commit.send(ToCommit::Done { worker: worker.index(), epoch: *epoch });
            open.pop_front();
        }
    }
}
