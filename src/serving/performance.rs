//! `nearline performance`: how the lists that members were shown did, by day, list, variant and position.
//!
//! Sums of counts when they are read. Counts only: what rate is made of them is for whoever shows them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use nearline_dataflows::types::{DAY_MS, Day, day_of};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Serving, ServingError};
use crate::stores::{StoreError, Table, formats};

/// So many days are all there can be.
pub const MAX_DAYS: u32 = 100_000;

/// What rows are summed up by, beside the list; not by day then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Nothing else.
    List,
    /// The position in the list.
    Position,
    /// The variant that made the list.
    Variant,
}

/// What to sum up.
#[derive(Debug, Clone)]
pub struct PerformanceQuery {
    /// How many UTC days back from now, the present one included.
    pub days: u32,
    /// Only of this list.
    pub list: Option<String>,
    /// By what; each day, list, variant and position by itself unless given.
    pub by: Option<By>,
}

/// How many events there are of one day, list, variant and position, as far as rows are told apart by these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PerformanceRow {
    /// The UTC day, as `2026-01-02`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// The list.
    pub list: String,
    /// The position; none where events named none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u16>,
    /// The variant; none where events named none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Events of the kind `impression`.
    pub impressions: u64,
    /// Events of the kind `click`.
    pub clicks: u64,
    /// Events of the kind `play`.
    pub plays: u64,
    /// Events of each kind, these three included.
    pub events: BTreeMap<String, u64>,
}

/// The rows, and how fresh they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PerformanceAnswer {
    /// Over how many days.
    pub days: u32,
    /// Of which list, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// By what they were summed up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// By day, list, variant and position, in this order.
    pub rows: Vec<PerformanceRow>,
    /// The epoch that they are read from.
    pub epoch: u64,
    /// The newest event that they cover, in milliseconds since 1970.
    pub as_of: Option<i64>,
    /// Whether counts lag behind the records, inside a bulk load or a rebuild; or are not there yet, in a folder of an
    /// earlier format that nobody has opened for writing since.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub views_pending: bool,
}

/// What a row is told apart by, in the order of rows.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct RowKey {
    day: Option<Day>,
    list: String,
    variant: String,
    position: u16,
}

impl RowKey {
    fn of(cell: &formats::ListKey<'_>, by: Option<By>) -> Self {
        let all = by.is_none();
        let variant = if all || by == Some(By::Variant) { cell.variant } else { "" };
        let position = if all || by == Some(By::Position) { cell.position } else { 0 };
        let day = all.then_some(cell.day);
        RowKey { day, list: cell.list.to_owned(), variant: variant.to_owned(), position }
    }

    fn row(self, events: BTreeMap<String, u64>) -> PerformanceRow {
        let of = |kind: &str| events.get(kind).copied().unwrap_or(0);
        PerformanceRow {
            day: self.day.map(date),
            list: self.list,
            position: Some(self.position).filter(|position| *position > 0),
            variant: Some(self.variant).filter(|variant| !variant.is_empty()),
            impressions: of("impression"),
            clicks: of("click"),
            plays: of("play"),
            events,
        }
    }
}

impl Serving<'_> {
    /// Sums up what is counted of lists.
    pub fn performance(&self, query: &PerformanceQuery) -> Result<PerformanceAnswer, ServingError> {
        let mut rows: BTreeMap<RowKey, BTreeMap<String, u64>> = BTreeMap::new();
        let now = self.standing.now.map_or(0, day_of);
        self.listed((now + 1).saturating_sub(query.days), &mut |cell, count| {
            if query.list.as_ref().is_none_or(|list| list == cell.list) {
                let events = rows.entry(RowKey::of(cell, query.by)).or_default();
                *events.entry(cell.kind.to_owned()).or_default() += count;
            }
        })?;
        Ok(PerformanceAnswer {
            days: query.days,
            list: query.list.clone(),
            by: query.by,
            rows: rows.into_iter().map(|(key, events)| key.row(events)).collect(),
            epoch: self.standing.epoch,
            as_of: self.standing.now,
            views_pending: self.standing.pending || self.lacks(Table::Performance),
        })
    }

    /// Shows the counts of lists from a day on; no live event is later than now.
    pub(super) fn listed(
        &self,
        from: Day,
        show: &mut dyn FnMut(&formats::ListKey<'_>, u64),
    ) -> Result<(), StoreError> {
        let mut damage = None;
        self.tables.scan(Table::Performance, &[], &formats::day_prefix(from), &mut |key, value| {
            let count = formats::decode_count(Table::Performance, key, value);
            match count.and_then(|count| Ok((formats::decode_list_key(key)?, count))) {
                Ok((cell, count)) => {
                    show(&cell, count);
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    damage = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        damage.map_or(Ok(()), Err)
    }
}

/// A day as it is written.
fn date(day: Day) -> String {
    let midnight = jiff::Timestamp::from_millisecond(i64::from(day) * DAY_MS);
    midnight.map_or_else(|_| day.to_string(), |at| at.strftime("%Y-%m-%d").to_string())
}
