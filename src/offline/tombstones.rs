//! What an export says of forgotten members: digests that keep their old events out.

use std::collections::HashMap;

use nearline_dataflows::types::{Action, Digest};
use serde::Deserialize;

use crate::digests::{DigestKey, hex};
use crate::records::Tombstone;

/// What may not come back, by the keyed digest of the member.
#[derive(Default)]
pub struct Tombstones(HashMap<[u8; 16], Vec<Action>>);

/// The body of a tombstone, as `nearline export` writes it.
#[derive(Deserialize)]
struct Body {
    events: Vec<(String, i64)>,
    forget: i64,
    ids: Vec<String>,
    /// The fingerprint of the key that the digests were made with.
    key: Option<String>,
}

impl Tombstones {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes one in; says whether it can be read and was made under `key`.
    pub fn take(&mut self, tombstone: &Tombstone<'_>, key: &DigestKey) -> bool {
        let Some((member, actions)) = parse(tombstone, key) else { return false };
        self.0.entry(member).or_default().extend(actions);
        true
    }

    /// What may not come back of the member with this digest.
    pub fn of(&self, member: &[u8; 16]) -> impl Iterator<Item = Action> {
        self.0.get(member).into_iter().flatten().copied()
    }
}

fn parse(tombstone: &Tombstone<'_>, key: &DigestKey) -> Option<([u8; 16], Vec<Action>)> {
    let member = hex(tombstone.member)?;
    let body: Body = serde_json::from_str(tombstone.body).ok()?;
    if body.key.is_some_and(|made_under| made_under != key.fingerprint()) {
        return None;
    }
    let mut actions = Vec::with_capacity(1 + body.ids.len() + body.events.len());
    if body.forget >= 0 {
        actions.push(Action::Forget(body.forget));
    }
    for id in &body.ids {
        actions.push(Action::RetractId(u64::from_be_bytes(hex(id)?)));
    }
    for (digest, at) in &body.events {
        actions.push(Action::RetractDigest(halves(digest)?, *at));
    }
    Some((member, actions))
}

fn halves(digest: &str) -> Option<Digest> {
    let number = u128::from_be_bytes(hex(digest)?);
    Some([(number >> 64) as u64, number as u64])
}
