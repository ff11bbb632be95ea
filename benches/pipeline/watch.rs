//! A reader beside a pipeline: hears of commits over HTTP, when each came and which events it covers, and asks for lists.
//!
//! A pipe is read in order and epochs are cut from it in order, so the first commits whose records add up to a number cover as many
//! events, where nobody else sends any.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::process::Client;

/// How long nothing may come before it is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// When a commit came, and how many events are committed with it.
pub type Seen = (Instant, u64);

/// Who hears.
pub struct Watch {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    shown: Arc<Shown>,
}

#[derive(Default)]
struct Shared {
    commits: Mutex<Vec<Seen>>,
    came: Condvar,
}

/// What lists that were asked for were.
#[derive(Debug, Default)]
pub struct Shown {
    /// The member's own, or what stands in where the model knows nothing of what the member likes.
    pub own: AtomicU64,
    /// What stands in where the server had no time, which says nothing of what is committed.
    pub late: AtomicU64,
}

impl Watch {
    /// Begins to listen; `event` says which member did something to which item, by its number.
    pub fn begin(host: &str, event: fn(u64) -> (String, String)) -> Watch {
        let (shared, shown) = (Arc::<Shared>::default(), Arc::<Shown>::default());
        let (ask, to_ask) = sync_channel::<(u64, u64)>(1);
        let reader = std::thread::spawn({
            let (mut client, shown) = (Client::connect(host).unwrap(), shown.clone());
            move || {
                for (epoch, number) in to_ask {
                    let (member, item) = event(number);
                    let own = is_readable(&mut client, epoch, &member, &item);
                    let count = if own { &shown.own } else { &shown.late };
                    count.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        });
        let listener = std::thread::spawn({
            let (client, shared) = (Client::connect(host).unwrap(), shared.clone());
            move || client.listen("/v1/changes", |told| shared.hear(told, &ask))
        });
        // The server counts a listener from its first answer on, which came when the thread is in its loop.
        std::thread::sleep(Duration::from_millis(200));
        Watch { shared, threads: vec![listener, reader], shown }
    }

    /// How many commits have come.
    pub fn commits(&self) -> usize {
        self.shared.commits.lock().unwrap().len()
    }

    /// Waits until so many events are committed; gives back the commits after the first so many.
    pub fn wait_for(&self, events: u64, after: usize) -> Vec<Seen> {
        let mut commits = self.shared.commits.lock().unwrap();
        while commits.last().is_none_or(|(_, covered)| *covered < events) {
            let (now, waited) = self.shared.came.wait_timeout(commits, PATIENCE).unwrap();
            commits = now;
            assert!(!waited.timed_out(), "of {events} events some were not committed");
        }
        commits[after..].to_vec()
    }

    /// When the server has ended: which lists it showed.
    pub fn end(self) -> Arc<Shown> {
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        self.shown
    }
}

impl Shared {
    fn hear(&self, told: &str, ask: &SyncSender<(u64, u64)>) {
        let now = Instant::now();
        // An event named `missed` is a number alone, after which nothing adds up.
        let told: Value = serde_json::from_str(told).unwrap();
        let [Some(epoch), Some(records)] = ["epoch", "records"].map(|field| told[field].as_u64()) else {
            panic!("the reader was too slow and missed commits: {told}");
        };
        let mut commits = self.commits.lock().unwrap();
        let covered = commits.last().map_or(0, |(_, covered)| *covered) + records;
        if records > 0 {
            commits.push((now, covered));
            // Whoever asks for lists is at it, or takes this one.
            let _ = ask.try_send((epoch, covered - 1));
        }
        drop(commits);
        self.came.notify_all();
    }
}

/// The member's list is of the epoch or a later one, and does not show what was played. Whether it is what is stored.
fn is_readable(client: &mut Client, epoch: u64, member: &str, item: &str) -> bool {
    let path = format!("/v1/members/{member}/lists/top_picks?limit=100&deadline_ms=1000");
    let (status, list) = client.get(&path);
    assert_eq!(status, 200, "{list}");
    let answer: Value = serde_json::from_str(&list).unwrap();
    if answer["source"] != "nearline" && answer["reason"] != "no positive signal for an item of the model" {
        return false;
    }
    assert!(answer["epoch"].as_u64() >= Some(epoch), "epoch {epoch} is told of and cannot be read: {list}");
    let items = answer["items"].as_array().unwrap();
    assert!(items.iter().all(|entry| entry["item"] != item), "{item} was played and is listed: {list}");
    true
}
