//! `nearline forget`: erase a member, with a receipt.

use serde::Serialize;

use super::{Context, Failure, member_id, now_ms, opening, show};
use crate::digests::to_hex;
use crate::engine::socket;
use crate::records::{Record, write_json};
use crate::stores::{Store, Table};

/// What was erased.
#[derive(Serialize)]
struct Receipt {
    /// The keyed digest of the member's id: what is left of the member.
    member_digest: String,
    /// Everything up to this moment is forgotten, in milliseconds since 1970.
    at: i64,
    /// The epoch from which on the member is gone.
    epoch: u64,
    /// Live events that were erased.
    events: u64,
    /// Lists that were erased.
    lists: u64,
}

/// `nearline forget`.
pub fn forget(context: &Context, member: &str) -> Result<(), Failure> {
    member_id(member)?;
    let serving = context.serving()?;
    let past = serving.past(member)?;
    let newest = past.events.iter().map(|event| event.at).max();
    let at = newest.map_or(now_ms(), |newest| newest.max(now_ms()));
    let mut lists = 0;
    for table in [Table::TopPicks, Table::ContinueWatching] {
        lists += u64::from(serving.store.get(table, member.as_bytes())?.is_some());
    }
    let made_with = serving.standing.made_with(context.config.meaning_hash());
    let key = context.folder.key(serving.standing.key.as_deref())?;
    drop(serving);

    let mut line = Vec::new();
    write_json(&Record::Forget { member, at }, &mut line);
    let line = String::from_utf8_lossy(&line).into_owned();
    let answer = match socket::send(&context.folder.socket(), &line)? {
        Some(answer) => answer,
        None => {
            // Opened with another config, the folder would have every list made anew on the way.
            made_with?;
            let opened = opening::open_engine(&context.folder, &context.config, None, None, false)?;
            let answer = socket::submit(&line, &opened.engine.handle(), i64::MAX);
            opened.engine.finish()?;
            answer
        }
    };
    if let Some(error) = answer.error {
        return Err(Failure::Failed(error));
    }
    if let Some(rejected) = answer.rejected.first() {
        return Err(Failure::Failed(format!("the forget was not taken: {rejected}")));
    }
    let member_digest = to_hex(&key.member(member));
    let receipt = Receipt { member_digest, at, epoch: answer.epoch, events: past.events.len() as u64, lists };
    if context.json {
        return show::json(&receipt);
    }
    show::text(&format!(
        "forgotten up to {}: {} events and {} lists, from epoch {} on\nwhat is left is a keyed digest: {}",
        show::time(receipt.at),
        show::count(receipt.events),
        receipt.lists,
        receipt.epoch,
        receipt.member_digest
    ))
}
