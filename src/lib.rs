//! Nearline turns a log of member events into fresh recommendation lists, one set per member.
//!
//! Data flows one way: [`sources`] → [`engine`] → `nearline_dataflows` → [`stores`] → [`serving`], with [`offline`]
//! beside them and the command line ([`cli`]) on top. ARCHITECTURE.md is the map.

pub mod archive;
pub mod backups;
pub mod batch;
#[cfg(feature = "cassandra")]
mod cassandra;
pub mod cli;
pub mod config;
pub mod demo;
pub mod dictionary;
pub mod digests;
pub mod engine;
pub mod erasure;
mod failpoints;
pub mod folder;
#[doc(hidden)]
pub mod fuzzing;
pub mod jobs;
pub mod mirrors;
pub mod offline;
pub mod planning;
pub mod processes;
pub mod publications;
#[cfg(feature = "query")]
pub mod query;
pub mod records;
pub mod repositories;
pub mod serving;
mod short_ids;
pub mod sources;
pub mod stores;
pub mod traces;
pub mod variants;
