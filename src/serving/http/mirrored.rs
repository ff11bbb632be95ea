//! Lists from a mirror: for servers that scale without a folder (`nearline serve --from`).
//!
//! A mirror holds lists and says how fresh they are, and holds nothing else: no catalogue for filters and titles, no histories
//! to rank from. Whoever has no list there gets what is trending, with the reason.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::ladder::Deadline;
use super::now_ms;
use super::problem::Problem;
use crate::config;
use crate::mirrors::entries::{About, Body, Item, Key};
use crate::mirrors::{self, MirrorError, Target};
use crate::serving::list::{Entry, ListAnswer, ListName, ListQuery, Rung};

/// How often it is looked whether an epoch has come that somebody waits for.
const LOOK: Duration = Duration::from_millis(5);
/// So many connections are kept for the next request.
const KEPT: usize = 64;

/// What is read from.
pub struct Mirrored {
    config: config::Mirror,
    /// Connections that nobody uses right now.
    idle: Mutex<Vec<Box<dyn Target>>>,
}

/// What was found.
struct Found {
    about: About,
    list: Option<(Option<String>, Vec<Item>)>,
    trending: Option<Vec<Item>>,
}

impl Mirrored {
    /// Of a mirror. Whether there is one, and whether it can be read, is seen at once.
    pub fn open(config: config::Mirror) -> Result<Arc<Mirrored>, MirrorError> {
        let target = mirrors::open(&config)?;
        Ok(Arc::new(Mirrored { config, idle: Mutex::new(vec![target]) }))
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.config.url
    }

    /// What the mirror says of itself.
    pub(super) async fn about(self: &Arc<Self>, patience: Duration) -> Result<About, Problem> {
        Ok(self.found(patience, ListName::Trending, String::new()).await?.about)
    }

    /// A member's list, or what is trending where the mirror has none.
    pub(super) async fn list(
        self: &Arc<Self>,
        member: String,
        query: &ListQuery,
        (after, deadline): (Option<u64>, Deadline),
    ) -> Result<ListAnswer, Problem> {
        if query.wanted != crate::serving::filters::Wanted::default() {
            return Err(Problem::bad_request(
                "a mirror holds no catalogue, so that nothing can be filtered here: ask a server over the folder",
            ));
        }
        let kept = matches!(query.list, ListName::TopPicks | ListName::ContinueWatching | ListName::Trending);
        if !kept {
            return Err(Problem::not_found(format!(
                "a mirror holds top_picks, continue_watching and trending, and {} is made from the folder: ask a server over it",
                query.list.as_str()
            )));
        }
        let mut found = self.found(deadline.left(), query.list, member.clone()).await?;
        let mut late = None;
        while let Some(after) = after.filter(|after| *after > found.about.epoch) {
            if deadline.left() < LOOK * 4 {
                late = Some(format!("epoch {after} cannot be read yet"));
                break;
            }
            tokio::time::sleep(LOOK).await;
            found = self.found(deadline.left(), query.list, member.clone()).await?;
        }
        Ok(answer(member, query, found, late))
    }

    /// Reads what an answer may need, on a thread that may wait.
    async fn found(
        self: &Arc<Self>,
        patience: Duration,
        list: ListName,
        member: String,
    ) -> Result<Found, Problem> {
        let this = self.clone();
        let read = tokio::task::spawn_blocking(move || this.read(list, &member));
        match tokio::time::timeout(patience, read).await {
            Ok(Ok(Ok(found))) => Ok(found),
            Ok(Ok(Err(error))) => Err(Problem::too_late(format!("{error}; ask again"))),
            Ok(Err(error)) => Err(Problem::failed(error.to_string())),
            Err(_) => Err(Problem::too_late("the mirror did not answer in time; ask again")),
        }
    }

    fn read(&self, list: ListName, member: &str) -> Result<Found, MirrorError> {
        // A connection that was kept may have ended since: then a new one has the word.
        if let Some(kept) = self.take()
            && let Ok(found) = self.read_from(kept, list, member)
        {
            return Ok(found);
        }
        self.read_from(mirrors::open(&self.config)?, list, member)
    }

    fn read_from(
        &self,
        mut target: Box<dyn Target>,
        list: ListName,
        member: &str,
    ) -> Result<Found, MirrorError> {
        let trending = Key::list(ListName::Trending.as_str(), "");
        let member = if list == ListName::Trending { "" } else { member };
        let mut bodies = target.get(&[Key::About, Key::list(list.as_str(), member)])?;
        let wanted = bodies.pop().flatten().and_then(items);
        let about = match bodies.pop().flatten() {
            Some(Body::About(text)) => serde_json::from_str(&text).ok(),
            _ => None,
        };
        let trending = match &wanted {
            Some(_) => None,
            None => target.get(&[trending])?.pop().flatten().and_then(items).map(|(_, items)| items),
        };
        self.give_back(target);
        let about = about.unwrap_or(About { epoch: 0, as_of: None, whole: false });
        Ok(Found { about, list: wanted, trending })
    }

    fn take(&self) -> Option<Box<dyn Target>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give_back(&self, target: Box<dyn Target>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(target);
        }
    }
}

fn items(body: Body) -> Option<(Option<String>, Vec<Item>)> {
    let Body::List { model, items } = body else { return None };
    Some((model, serde_json::from_str(&items).ok()?))
}

fn answer(member: String, query: &ListQuery, found: Found, late: Option<String>) -> ListAnswer {
    let Found { about, list, trending } = found;
    let is_trending = query.list == ListName::Trending;
    let reason = match &list {
        _ if !about.whole => Some("the mirror is being filled".to_owned()),
        None if !is_trending => Some("the mirror has no such list of this member".to_owned()),
        _ => None,
    };
    let source = if list.is_some() && !is_trending { Rung::Nearline } else { Rung::Trending };
    let (model, items) = list.unwrap_or_else(|| (None, trending.unwrap_or_default()));
    let entry = |Item { item, score, .. }| Entry { item, score, title: None, genres: [].into() };
    ListAnswer {
        member,
        list: query.list.as_str(),
        because: None,
        items: items.into_iter().skip(query.offset).take(query.limit).map(entry).collect(),
        source,
        reason: late.or(reason).map(Into::into),
        epoch: about.epoch,
        as_of: about.as_of,
        age_ms: about.as_of.map(|as_of| now_ms() - as_of),
        model,
        variant: None,
    }
}
