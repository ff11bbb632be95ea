//! `nearline get`: a member's list, and what to show where there is none.
//!
//! Lists are looked for on *rungs*, one below the other. Each gives a list or says why it has none; what it gives is as
//! long as was asked for while enough items are eligible. This is the one place that says which rungs a list has and
//! what is on them: commands and pages take the first that has something, and the server tries them one by one, each
//! in its time.

use super::algorithms::{self, Algorithm, New, Popular, Together};
use super::catalogue::CatalogueEntry;
use super::filters::Wanted;
use super::list::{Because, Entry, Found, ListAnswer, ListName, ListQuery, Moment, Rung};
use super::rank::{NoList, RankQuery};
use super::{Serving, ServingError};
use crate::stores::{StoreError, Table, formats};

impl ListName {
    /// The rungs that the list is looked for on, the best first.
    pub fn rungs(self) -> &'static [Rung] {
        match self {
            ListName::Trending => &[Rung::Trending],
            ListName::TopPicks => &[Rung::Nearline, Rung::Offline, Rung::Trending],
            _ => &[Rung::Nearline, Rung::Trending],
        }
    }
}

impl Serving<'_> {
    /// A member's list from the first rung that has it. `now_ms` is the wall clock, for the age.
    pub fn list(&self, member: &str, query: &ListQuery, now_ms: i64) -> Result<ListAnswer, ServingError> {
        let found = self.first_of(query.list.rungs(), member, query, now_ms)?;
        let found = found.unwrap_or_else(|why| Found { reason: Some(why), ..Found::none() });
        Ok(self.answer(member, query.list.as_str(), found, now_ms))
    }

    /// What the first of some rungs has that has anything, with the reason why the best of them has none.
    pub fn first_of(
        &self,
        rungs: &[Rung],
        member: &str,
        query: &ListQuery,
        now_ms: i64,
    ) -> Result<Result<Found, NoList>, ServingError> {
        let mut reason = None;
        for rung in rungs {
            match self.on_rung(*rung, member, query, now_ms)? {
                Ok(found) => return Ok(Ok(Found { reason: reason.or(found.reason), ..found })),
                Err(why) => reason = reason.or(Some(why)),
            }
        }
        Ok(Err(reason.unwrap_or_default()))
    }

    /// What a rung has, or why it has nothing. `now_ms` is the wall clock, for the age of what a batch job has made.
    pub fn on_rung(
        &self,
        rung: Rung,
        member: &str,
        query: &ListQuery,
        now_ms: i64,
    ) -> Result<Result<Found, NoList>, ServingError> {
        match (rung, query.list) {
            (Rung::Online, _) => self.online(member, &RankQuery::of(query)),
            (Rung::Nearline, ListName::BecauseYouWatched) => self.similar_to_newest(member, query),
            (Rung::Nearline, ListName::ContinueWatching) => self.continue_watching(member, query),
            (Rung::Nearline, ListName::TopPicks) => self.picks_or_like_you(member, query),
            (Rung::Nearline, ListName::PopularWithPeopleLikeYou) => self.like_you(member, query),
            (Rung::Nearline, ListName::WatchedTogether) => self.made(&Together, member, query),
            (Rung::Nearline, ListName::New) => self.made(&New, member, query),
            (Rung::Trending, _) | (Rung::Nearline, ListName::Trending) => {
                let made = self.rank(&Popular, member, &RankQuery::of(query))?;
                Ok(made.map(|entries| Found { entries, source: Rung::Trending, ..Found::none() }))
            }
            (Rung::Offline, _) => self.offline(member, query, now_ms),
        }
    }

    /// A list made now, by the algorithm of the member's variant.
    pub fn online(&self, member: &str, query: &RankQuery) -> Result<Result<Found, NoList>, ServingError> {
        let algorithm = algorithms::of(self.making(member).algorithm);
        let made = self.rank(algorithm, member, query)?;
        let found = |entries| {
            let found = self.found(member, entries, Rung::Online);
            if algorithm.needs_model() { found } else { Found { model: None, ..found } }
        };
        Ok(made.map(found))
    }

    /// A list that is made from what is kept fresh, without a model.
    fn made(
        &self,
        algorithm: &dyn Algorithm,
        member: &str,
        query: &ListQuery,
    ) -> Result<Result<Found, NoList>, ServingError> {
        let made = self.rank(algorithm, member, &RankQuery::of(query))?;
        Ok(made.map(|entries| Found { entries, source: Rung::Nearline, ..Found::none() }))
    }

    /// What was found as an answer of this epoch.
    pub fn answer(&self, member: &str, list: &'static str, found: Found, now_ms: i64) -> ListAnswer {
        let of = found.of.unwrap_or(Moment { epoch: self.standing.epoch, as_of: self.standing.now });
        ListAnswer {
            member: member.to_owned(),
            list,
            because: found.because,
            items: found.entries,
            source: found.source,
            reason: found.reason,
            epoch: of.epoch,
            as_of: of.as_of,
            age_ms: of.as_of.map(|as_of| now_ms - as_of),
            model: found.model,
            variant: self.making(member).variant.filter(|_| !member.is_empty()).map(str::to_owned),
        }
    }

    /// `because_you_watched`, or why there is none.
    fn similar_to_newest(
        &self,
        member: &str,
        query: &ListQuery,
    ) -> Result<Result<Found, NoList>, ServingError> {
        self.standing.made_with(self.config().meaning_hash())?;
        let past = self.past(member)?;
        if past.events.is_empty() {
            return Ok(Err("unknown member".into()));
        }
        Ok(match self.because(member, &past, query)? {
            Ok((item, entries)) => {
                let title = self.title(&item)?;
                let because = Some(Because { item, title });
                Ok(Found { because, ..self.found(member, entries, Rung::Nearline) })
            }
            Err(reason) => Err(reason.into()),
        })
    }

    /// The stored `continue_watching`, or why there is none.
    fn continue_watching(
        &self,
        member: &str,
        query: &ListQuery,
    ) -> Result<Result<Found, NoList>, ServingError> {
        let key = member.as_bytes();
        if self.standing.pending {
            return Ok(Err(PENDING.into()));
        }
        let Some(value) = self.tables.get(Table::ContinueWatching, key)? else {
            let unknown = self.past(member)?.events.is_empty();
            let nothing = || self.found(member, Vec::new(), Rung::Nearline);
            return Ok(if unknown { Err("unknown member".into()) } else { Ok(nothing()) });
        };
        let begun = formats::decode_begun(key, &value)?.into_iter();
        let begun = begun.map(|(item, _, value)| (item, value as f64 / 1e6));
        let entries = self.entries(begun, &query.wanted, query.offset, query.limit)?;
        Ok(Ok(self.found(member, entries, Rung::Nearline)))
    }

    /// `top_picks`; what is popular with people like the member where little is known of the member's taste, or the model
    /// has nothing left to list.
    fn picks_or_like_you(
        &self,
        member: &str,
        query: &ListQuery,
    ) -> Result<Result<Found, NoList>, ServingError> {
        if self.knows_little(member)? {
            let found =
                self.like_you_instead(member, query, "little is known of the member's taste".into())?;
            if found.is_ok() {
                return Ok(found);
            }
        }
        match self.top_picks(member, query)? {
            Err(why) if self.standing.centres.is_some() => self.like_you_instead(member, query, why),
            picks => Ok(picks),
        }
    }

    /// The stored `top_picks`; a longer one that is made now where too little of it is left; one that is made now where
    /// the algorithm of the member's variant keeps none; or why there is none.
    fn top_picks(&self, member: &str, query: &ListQuery) -> Result<Result<Found, NoList>, ServingError> {
        let key = member.as_bytes();
        if self.standing.pending {
            return Ok(Err(PENDING.into()));
        }
        let making = self.making(member);
        if !making.algorithm.is_kept() {
            let made = self.online(member, &RankQuery::of(query))?;
            let nothing = |found: &Found| found.entries.is_empty() && query.offset == 0 && query.limit > 0;
            return Ok(match made {
                _ if self.past(member)?.events.is_empty() => Err("unknown member".into()),
                Ok(found) if nothing(&found) => Err("no item is left to list".into()),
                made => made,
            });
        }
        let Some(value) = self.tables.get(Table::TopPicks, key)? else {
            return Ok(Err(match () {
                () if self.past(member)?.events.is_empty() => "unknown member",
                () if making.model.is_none() => return self.without_model(member, query),
                () if self.tables.get(Table::Factors, key)?.is_some() => "no item is left to list",
                () => "no positive signal for an item of the model",
            }
            .into()));
        };
        let stored = formats::decode_scored(key, &value)?;
        let whole = stored.len() < self.config().lists.length;
        let stored = stored.into_iter().map(|(item, score)| (item, f64::from(score)));
        let entries = self.entries(stored, &query.wanted, query.offset, query.limit)?;
        if entries.len() < query.limit
            && !whole
            && let Ok(longer) = self.online(member, &RankQuery::of(query))?
        {
            return Ok(Ok(longer));
        }
        Ok(Ok(self.found(member, entries, Rung::Nearline)))
    }

    /// What is seen together with what the member has seen, in the place of a model's list.
    fn without_model(&self, member: &str, query: &ListQuery) -> Result<Result<Found, NoList>, ServingError> {
        let why = NoList::from("no model");
        let head =
            RankQuery { offset: 0, limit: query.offset.saturating_add(query.limit), ..RankQuery::of(query) };
        let Ok(entries) = self.rank(&Together, member, &head)? else { return Ok(Err(why)) };
        let entries = self.filled_up(entries, member, query)?;
        Ok(Ok(Found { entries, source: Rung::Nearline, reason: Some(why), ..Found::none() }))
    }

    /// A list from its head on, and below it what is trending where it is too short; the part that was asked for. So a
    /// list that stands in for another is as long as that one would be.
    pub(super) fn filled_up(
        &self,
        mut entries: Vec<Entry>,
        member: &str,
        query: &ListQuery,
    ) -> Result<Vec<Entry>, ServingError> {
        let missing = query.offset.saturating_add(query.limit).saturating_sub(entries.len());
        if missing > 0 {
            let mut wanted = query.wanted.clone();
            wanted.exclude.extend(entries.iter().map(|entry| entry.item.clone()));
            let more = RankQuery { wanted, limit: missing, ..RankQuery::default() };
            entries.extend(self.rank(&Popular, member, &more)?.unwrap_or_default());
        }
        entries.drain(..query.offset.min(entries.len()));
        Ok(entries)
    }

    /// Entries made with a member's model.
    pub(super) fn found(&self, member: &str, entries: Vec<Entry>, source: Rung) -> Found {
        let model = self.making(member).model.map(str::to_owned);
        Found { entries, source, model, ..Found::none() }
    }

    /// Of scored items those that are wanted and not withdrawn, `limit` of them from `offset` on, with their titles.
    pub(super) fn entries<S: AsRef<str> + Into<String>>(
        &self,
        scored: impl IntoIterator<Item = (S, f64)>,
        wanted: &Wanted,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let (mut entries, mut passed) = (Vec::new(), 0);
        let kept = self.kept_catalogue();
        for (item, score) in scored {
            if entries.len() == limit {
                break;
            }
            let known = match &kept {
                Some(kept) => kept.get(item.as_ref()),
                None => CatalogueEntry::read(self.tables, item.as_ref())?,
            };
            if !wanted.takes(item.as_ref(), &known) {
                continue;
            }
            if passed < offset {
                passed += 1;
                continue;
            }
            entries.push(Entry { item: item.into(), score, title: known.title, genres: known.genres });
        }
        Ok(entries)
    }
}

/// Why there are no lists inside a bulk load.
pub(super) const PENDING: &str = "the lists are being made anew";

impl Found {
    /// Nothing, from the lowest rung.
    pub fn none() -> Self {
        Found {
            because: None,
            entries: Vec::new(),
            source: Rung::Trending,
            model: None,
            reason: None,
            of: None,
        }
    }
}
