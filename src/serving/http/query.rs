//! What requests say of themselves: parameters, checked, with errors that name the parameter.

use std::time::Duration;

use serde::Deserialize;
use utoipa::IntoParams;

use super::super::filters::Wanted;
use super::super::list::{ListName, ListQuery};
use super::Options;
use super::ladder::Deadline;
use super::problem::Problem;
use crate::config::MAX_LIST;
use crate::records::MAX_ID;

/// Parameters of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// How many items at most.
    #[param(minimum = 0, maximum = 10000)]
    pub limit: Option<u32>,
    /// How many items to leave out at the head.
    #[param(minimum = 0, maximum = 10000)]
    pub offset: Option<u32>,
    /// Only items of this genre, or of one of these, parted by commas.
    pub genre: Option<String>,
    /// Only items that may be shown in this country.
    pub country: Option<String>,
    /// None of these items, parted by commas.
    pub exclude: Option<String>,
    /// Wait until this epoch can be read, as long as the deadline lets.
    pub after: Option<u64>,
    /// How long the answer may take, in milliseconds.
    #[param(minimum = 1, maximum = 60000)]
    pub deadline_ms: Option<u64>,
    /// How old the newest event that a list covers may be, in milliseconds; else there is what is trending.
    pub max_age_ms: Option<u64>,
}

/// How many items there are where a request does not say.
const LIMIT: u32 = 20;

impl ListParams {
    pub fn limit(&self) -> Result<usize, Problem> {
        within("limit", self.limit, LIMIT, MAX_LIST)
    }

    pub fn offset(&self) -> Result<usize, Problem> {
        within("offset", self.offset, 0, MAX_LIST)
    }

    /// What is asked for of a list.
    pub fn list(&self, list: ListName) -> Result<ListQuery, Problem> {
        Ok(ListQuery { list, offset: self.offset()?, limit: self.limit()?, wanted: self.wanted() })
    }

    pub fn wanted(&self) -> Wanted {
        Wanted {
            genres: parted(self.genre.as_deref()),
            country: self.country.clone().filter(|country| !country.is_empty()),
            exclude: parted(self.exclude.as_deref()),
            candidates: None,
        }
    }

    pub fn deadline(&self, options: &Options) -> Result<Deadline, Problem> {
        deadline(self.deadline_ms, options)
    }

    pub fn after(&self) -> Result<Option<u64>, Problem> {
        natural("after", self.after)
    }

    pub fn max_age(&self) -> Result<Option<Duration>, Problem> {
        Ok(natural("max_age_ms", self.max_age_ms)?.map(Duration::from_millis))
    }
}

/// A deadline, from the moment of the request on.
pub(super) fn deadline(ms: Option<u64>, options: &Options) -> Result<Deadline, Problem> {
    match ms {
        None => Ok(Deadline::within(options.deadline)),
        Some(ms @ 1..=60_000) => Ok(Deadline::within(Duration::from_millis(ms))),
        Some(_) => Err(Problem::bad_request("deadline_ms must be from 1 to 60000")),
    }
}

/// A number that is at most `most`.
pub(super) fn within(name: &str, given: Option<u32>, default: u32, most: u32) -> Result<usize, Problem> {
    match given.unwrap_or(default) {
        number if number <= most => Ok(number as usize),
        _ => Err(Problem::bad_request(format!("{name} must be from 0 to {most}"))),
    }
}

/// A number of the size that the description knows: no more than 63 bits.
pub(super) fn natural(name: &str, given: Option<u64>) -> Result<Option<u64>, Problem> {
    match given {
        Some(number) if i64::try_from(number).is_err() => {
            Err(Problem::bad_request(format!("{name} must be below 2^63")))
        }
        given => Ok(given),
    }
}

/// Texts parted by commas.
pub(super) fn parted(text: Option<&str>) -> Vec<String> {
    text.into_iter()
        .flat_map(|text| text.split(','))
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// An id, as records have them.
pub(super) fn id(what: &str, id: &str) -> Result<(), Problem> {
    if (1..=MAX_ID).contains(&id.len()) {
        return Ok(());
    }
    Err(Problem::bad_request(format!("the id of {what} must have 1 to {MAX_ID} bytes")))
}

/// A list by its name.
pub(super) fn list(name: &str) -> Result<ListName, Problem> {
    let found = ListName::ALL.into_iter().find(|list| list.as_str() == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = ListName::ALL.iter().map(|list| list.as_str()).collect();
        Problem::not_found(format!("there is no list {name:?}; the lists are {}", names.join(", ")))
    })
}
