//! The ladder: a list from the first rung that has it in time.
//!
//! Rungs are tried from the freshest down, each within a share of the time that is left, and each behind a breaker: what
//! failed again and again is not waited for. The floor needs no store: it is what was trending a moment ago, in memory.
//! So there is an answer inside the deadline whatever stalls; it names the rung that it is from, and why it is not from
//! the one above.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::super::encoded::Encoded;
use super::super::filters::Wanted;
use super::super::list::{Found, ListAnswer, ListName, ListQuery, RANKED, Rung};
use super::super::page::{PageAnswer, PageQuery, Row};
use super::super::rank::{NoList, RankQuery};
use super::super::{Reader, Serving, ServingError};
use super::breaker::Breaker;
use super::feed::Floor;
use super::metrics::Metrics;
use super::now_ms;
use super::turns::Turns;
use crate::traces;

/// How much of a deadline is kept for sending the answer: a tenth, and no more than this.
const SENDING: Duration = Duration::from_millis(10);
/// How much of the time that is left a rung may take, in percent: the ones below need some too.
const SHARE: u32 = 60;

/// The part of that for which a rung waits for others to be read: who waits longer comes too late, with all behind.
const QUEUE: u32 = 3;

/// Why a rung is passed over that would come too late.
const TOO_MUCH: &str = "more is asked for than can be read in time";

/// The same of a page, below which there is the floor alone.
const PAGE_SHARE: u32 = 80;

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub member: String,
    pub what: What,
    pub deadline: Deadline,
    /// How old the newest event that an answer covers may be, unless nothing fresher is there.
    pub max_age: Option<Duration>,
}

/// A list that is kept, or items to rank.
#[derive(Debug, Clone)]
pub(super) enum What {
    List(ListQuery),
    Rank(RankQuery),
}

impl What {
    fn name(&self) -> &'static str {
        match self {
            What::List(query) => query.list.as_str(),
            What::Rank(_) => RANKED,
        }
    }

    /// Whether a rung reads it as it is, and does not make it.
    fn is_kept(&self, rung: Rung) -> bool {
        let list = match self {
            What::List(query) => query.list,
            // What stands in for a ranking.
            What::Rank(_) => ListName::TopPicks,
        };
        let kept = matches!(list, ListName::TopPicks | ListName::ContinueWatching | ListName::Trending);
        kept && rung != Rung::Online
    }

    /// The list that stands in where it cannot be had.
    fn as_list(&self) -> ListQuery {
        match self {
            What::List(query) => query.clone(),
            What::Rank(RankQuery { wanted, offset, limit, .. }) => {
                let list = ListName::TopPicks;
                ListQuery { list, offset: *offset, limit: *limit, wanted: wanted.clone() }
            }
        }
    }
}

/// By when an answer must be there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    /// So long from now on, less what it takes to send it.
    pub fn within(time: Duration) -> Self {
        Deadline(Instant::now() + time - (time / 10).min(SENDING))
    }

    /// What is left.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// The rungs, and how they have done of late.
pub(super) struct Ladder {
    breakers: [Breaker; 4],
    /// Reads of the store that may be under way: what waits for a disk must not take all threads.
    reads: Arc<Semaphore>,
    /// When one came to its end last.
    last_read: Arc<Mutex<Instant>>,
    /// Who waits to have a list made on the threads that answer.
    turns: Turns,
    metrics: Arc<Metrics>,
}

/// Why there is nothing on a rung.
enum Miss {
    /// It has none, and that is no fault.
    NoList(NoList),
    /// It came too late, or failed.
    Fault(NoList),
}

impl Ladder {
    /// With so many reads of the store at a time.
    pub fn new(reads: usize, metrics: Arc<Metrics>) -> Self {
        let (reads, last_read) = (Arc::new(Semaphore::new(reads)), Arc::new(Mutex::new(Instant::now())));
        let turns = Turns::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
        Ladder { breakers: Default::default(), reads, last_read, turns, metrics }
    }

    /// An answer inside the deadline.
    pub async fn answer(&self, reader: &Arc<Reader>, floor: &Floor, ask: Ask) -> ListAnswer {
        let ask = Arc::new(ask);
        let mut reason: Option<NoList> = None;
        let rungs: &[Rung] = match &ask.what {
            What::List(query) => query.list.rungs(),
            What::Rank(_) => &[Rung::Online, Rung::Nearline, Rung::Offline, Rung::Trending],
        };
        for &rung in rungs {
            let began = Instant::now();
            let tried = self.try_rung(rung, reader, &ask).await;
            let outcome = match &tried {
                Ok(_) => "answered",
                Err(Miss::NoList(why) | Miss::Fault(why)) => why,
            };
            traces::part(rung.as_str(), began, outcome);
            match tried {
                Ok(mut answer) => {
                    answer.reason = reason.or(answer.reason);
                    self.metrics.answered(answer.source, answer.reason.as_deref(), answer.variant.as_deref());
                    return answer;
                }
                // The reason why the best rung has none is the one that is told.
                Err(Miss::NoList(why) | Miss::Fault(why)) => {
                    reason.get_or_insert(why);
                }
            }
        }
        let answer = from_floor(floor, &ask, reason.unwrap_or_default());
        self.metrics.answered(answer.source, Some("floor"), answer.variant.as_deref());
        answer
    }

    /// A kept list that is in memory as it is asked for, as the bytes of its answer; none where there is more to do.
    pub fn encoded(&self, reader: &Reader, ask: &Ask) -> Option<Vec<u8>> {
        let (What::List(query), None) = (&ask.what, ask.max_age) else { return None };
        let (breaker, began) = (&self.breakers[Rung::Nearline as usize], Instant::now());
        if !breaker.is_closed() {
            return None;
        }
        let read = reader.read_in_memory(|serving| serving.encoded(&ask.member, query, now_ms()));
        let Encoded { json, variant } = read?.ok()??;
        breaker.succeeded();
        traces::part(Rung::Nearline.as_str(), began, "answered");
        self.metrics.answered(Rung::Nearline, None, variant.as_deref());
        Some(json)
    }

    async fn try_rung(&self, rung: Rung, reader: &Arc<Reader>, ask: &Arc<Ask>) -> Result<ListAnswer, Miss> {
        let breaker = &self.breakers[rung as usize];
        if !breaker.lets_through(Instant::now()) {
            return Err(Miss::Fault(format!("the {} rung failed a moment ago", rung.as_str()).into()));
        }
        let budget = ask.deadline.left() * SHARE / 100;
        let at_once = match &ask.what {
            what if what.is_kept(rung) => reader.read_in_memory(|serving| on_rung(rung, serving, ask)),
            What::Rank(_) if rung == Rung::Online => {
                let Some(turn) = self.turns.within(budget / QUEUE).await else {
                    return Err(Miss::NoList(TOO_MUCH.into()));
                };
                let began = Instant::now();
                let made = reader.read_cached(|serving| on_rung(rung, serving, ask));
                if made.is_some() {
                    turn.used(began);
                }
                made
            }
            _ => None,
        };
        // What is in memory is there before another thread would have heard of it.
        if let Some(Ok(tried)) = at_once {
            breaker.succeeded();
            return tried.map_err(Miss::NoList);
        }
        let (reader, asked) = (reader.clone(), ask.clone());
        let read = move || reader.read_further(|serving| on_rung(rung, serving, &asked));
        let read = self.read(budget, read).await;
        let busy = matches!(read, Err(NotRead::Busy));
        let outcome = match read {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(why))) => Err(Miss::NoList(why)),
            Ok(Err(error)) => {
                tracing::warn!(%error, rung = rung.as_str(), "a rung failed");
                Err(Miss::Fault(format!("the {} rung failed", rung.as_str()).into()))
            }
            Err(NotRead::Busy) => Err(Miss::NoList(TOO_MUCH.into())),
            Err(NotRead::TooLate) => {
                let (rung, budget) = (rung.as_str(), budget.as_millis());
                Err(Miss::Fault(format!("the {rung} rung had no answer within {budget} ms").into()))
            }
        };
        match &outcome {
            Err(Miss::Fault(_)) => {
                self.metrics.faulted(rung);
                breaker.failed(Instant::now());
            }
            // It was not tried.
            Err(Miss::NoList(_)) if busy => {}
            _ => breaker.succeeded(),
        }
        outcome
    }

    /// A page inside the deadline: its rows, or what was trending a moment ago.
    pub async fn page(
        &self,
        reader: &Arc<Reader>,
        floor: &Floor,
        asked: PageQuery,
        deadline: Deadline,
    ) -> PageAnswer {
        let breaker = &self.breakers[Rung::Nearline as usize];
        let (mut reason, mut busy) = ("the nearline rung failed a moment ago".to_owned(), false);
        if breaker.lets_through(Instant::now()) {
            let (reader, own, budget) = (reader.clone(), asked.clone(), deadline.left() * PAGE_SHARE / 100);
            match self.read(budget, move || reader.read_further(|serving| serving.page(&own, now_ms()))).await
            {
                Ok(Ok(page)) => {
                    breaker.succeeded();
                    let variant = page.variant.as_deref();
                    page.rows
                        .iter()
                        .for_each(|row| self.metrics.answered(row.source, row.reason.as_deref(), variant));
                    return page;
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a page failed");
                    reason = "the page failed".to_owned();
                }
                Err(why) => {
                    reason = format!("the page was not there within {} ms", budget.as_millis());
                    busy = why == NotRead::Busy;
                }
            }
            if !busy {
                self.metrics.faulted(Rung::Nearline);
                breaker.failed(Instant::now());
            }
        }
        let list = ListName::Trending;
        let wanted = Wanted { country: asked.country, ..Wanted::default() };
        let what = What::List(ListQuery { list, offset: 0, limit: asked.limit, wanted });
        let ask = Ask { member: asked.member, what, deadline, max_age: None };
        let from = from_floor(floor, &ask, reason.into());
        self.metrics.answered(Rung::Trending, Some("floor"), from.variant.as_deref());
        let found = Found { entries: from.items, reason: from.reason, ..Found::none() };
        PageAnswer {
            member: from.member,
            rows: vec![Row::new(list, found)],
            epoch: from.epoch,
            as_of: from.as_of,
            age_ms: from.age_ms,
            model: None,
            variant: from.variant,
        }
    }

    /// Reads on a thread where it may wait for a disk, for so long at most.
    pub async fn read<T: Send + 'static>(
        &self,
        budget: Duration,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotRead> {
        let began = Instant::now();
        let free = tokio::time::timeout(budget / QUEUE, self.reads.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = free else {
            // While others come to their end there is too much to do; while none does, something is stuck.
            let last = *self.last_read.lock().unwrap_or_else(PoisonError::into_inner);
            return Err(if last >= began { NotRead::Busy } else { NotRead::TooLate });
        };
        let last_read = self.last_read.clone();
        let work = tokio::task::spawn_blocking(move || {
            let done = read();
            *last_read.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            drop(permit);
            done
        });
        match tokio::time::timeout(budget.saturating_sub(began.elapsed()), work).await {
            Ok(Ok(done)) => Ok(done),
            _ => Err(NotRead::TooLate),
        }
    }
}

/// Why nothing was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotRead {
    /// Others were read all the while.
    Busy,
    /// There was no answer in time.
    TooLate,
}

/// What a rung has at one moment of the store.
fn on_rung(rung: Rung, serving: &Serving<'_>, ask: &Ask) -> Result<Result<ListAnswer, NoList>, ServingError> {
    let (member, now) = (ask.member.as_str(), now_ms());
    let found = match (rung, &ask.what) {
        (Rung::Online, What::Rank(query)) => serving.online(member, query)?,
        (_, what) => serving.on_rung(rung, member, &what.as_list(), now)?,
    };
    let too_old = |age: Duration| {
        let covered = serving.standing.now.is_some_and(|newest| now - newest <= age.as_millis() as i64);
        let fresh = matches!(rung, Rung::Online | Rung::Nearline);
        (fresh && !covered).then(|| format!("the newest event is older than {} ms", age.as_millis()).into())
    };
    Ok(match (found, ask.max_age.and_then(too_old)) {
        (Ok(_), Some(why)) => Err(why),
        (Ok(found), None) => Ok(serving.answer(member, ask.what.name(), found, now)),
        (Err(why), _) => Err(why),
    })
}

/// What was trending a moment ago. Nothing of the member is known here.
fn from_floor(floor: &Floor, ask: &Ask, reason: NoList) -> ListAnswer {
    let ListQuery { offset, limit, wanted, .. } = ask.what.as_list();
    let takes = |entry: &&super::super::list::Entry| {
        let known =
            super::super::catalogue::CatalogueEntry { genres: entry.genres.clone(), ..Default::default() };
        wanted.takes(&entry.item, &known)
    };
    let entries: Vec<_> = floor.entries.iter().filter(takes).skip(offset).take(limit).cloned().collect();
    ListAnswer {
        member: ask.member.clone(),
        list: ask.what.name(),
        because: None,
        items: entries,
        source: Rung::Trending,
        reason: Some(format!("{reason}; what the member has seen or hides is not left out").into()),
        epoch: floor.epoch,
        as_of: floor.as_of,
        age_ms: floor.as_of.map(|as_of| now_ms() - as_of),
        model: None,
        variant: floor.lists.of(&ask.member).variant.filter(|_| !ask.member.is_empty()).map(str::to_owned),
    }
}
