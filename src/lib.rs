//! Nearline turns a log of member events into fresh recommendation lists, one set per member.
//!
//! Data flows one way: [`sources`] → `engine` → `nearline_dataflows` → `stores` → `serving`, with `offline` and
//! publications beside them and the command line on top. ARCHITECTURE.md is the map.

pub mod dictionary;
pub mod digests;
pub mod offline;
pub mod records;
pub mod sources;
