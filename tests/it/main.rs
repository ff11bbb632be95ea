//! Whole-product tests, in one binary: the program as a person types it, and the library as one whole.
//!
//! What a single module does is tested beside it; here is only what takes several of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod archive;
mod backups;
mod bad_input;
mod batch;
mod cases;
mod cli;
mod clusters;
mod crashes;
mod damage;
mod erasure;
mod evaluate;
mod failures;
mod faults;
#[cfg(feature = "hdfs")]
mod hdfs;
mod http;
mod jobs;
mod kafka;
mod ladder;
mod marks;
mod memory;
mod mirrors;
mod models;
mod parts;
mod parts_http;
mod performance;
mod processes;
mod publications;
#[cfg(feature = "query")]
mod query;
mod readme;
mod real_data;
mod retraction;
mod running;
mod sets;
mod similar;
mod support;
mod takeover;
mod together;
mod traces;
mod training;
mod tuning;
mod upgrade;
mod variants;
