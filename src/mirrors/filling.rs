//! A mirror filled from the store: all of its views, some thousand entries at a time, and then whatever the store has not
//! taken out of the server.

use std::ops::ControlFlow;

use super::MirrorError;
use super::entries::{self, Entry, Key};
use super::mirror::Mirror;
use super::state::Filling;
use super::targets::Target;
use crate::digests::{of_hex, to_hex};
use crate::engine::recover::Standing;
use crate::failpoints::reach;
use crate::stores::mirrored::View;
use crate::stores::{StoreError, Tables};

/// So many entries are read at one moment.
const AT_ONCE: usize = 4_096;

/// Goes on from where the filling is; says where it is then, or nothing where the mirror is full.
pub(super) fn go_on(
    mirror: &Mirror,
    at: Filling,
    target: &mut dyn Target,
) -> Result<Option<Filling>, MirrorError> {
    let Some(view) = mirror.config.views.get(at.view) else {
        sweep(mirror, target)?;
        reach("mirror-swept");
        return Ok(None);
    };
    let from = of_hex(&at.from);
    let mut read = Ok((Vec::new(), None));
    mirror.store.at_one_moment(&mut |tables| read = page(tables, *view, &from))?;
    let (entries, next) = read?;
    target.write(&entries)?;
    reach("mirror-filled");
    let written = at.written + entries.len() as u64;
    Ok(Some(match next {
        Some(key) => Filling { from: to_hex(&key), written, ..at },
        None => Filling { view: at.view + 1, from: String::new(), written },
    }))
}

/// Entries of a view from a key on, and the key of the next, if there are more.
fn page(tables: &dyn Tables, view: View, from: &[u8]) -> Result<(Vec<Entry>, Option<Vec<u8>>), StoreError> {
    let standing = Standing::of(tables)?;
    let (mut entries, mut next, mut failed) = (Vec::new(), None, None);
    let mut show = |key: &[u8], value: &[u8]| {
        if View::of(view.table(), key) != Some(view) {
            return ControlFlow::Continue(());
        }
        if entries.len() == AT_ONCE {
            next = Some(key.to_vec());
            return ControlFlow::Break(());
        }
        match entries::entry(&standing, view, key, Some(value)) {
            Ok(entry) => entries.push(entry),
            Err(error) => failed = Some(error),
        }
        if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    tables.scan(view.table(), view.prefix(), from, &mut show)?;
    failed.map_or(Ok((entries, next)), Err)
}

/// Takes out of the server what the store has not, or what is of no view of the mirror.
fn sweep(mirror: &Mirror, target: &mut dyn Target) -> Result<(), MirrorError> {
    let (mut some, mut beyond) = (Vec::new(), Vec::new());
    target.each(&mut |key, _| {
        if key != Key::About {
            some.push(key);
        }
        if some.len() >= AT_ONCE {
            missing(mirror, &mut some, &mut beyond)?;
        }
        Ok(())
    })?;
    missing(mirror, &mut some, &mut beyond)?;
    for some in beyond.chunks(AT_ONCE) {
        target.write(some)?;
    }
    target.tidy()
}

/// Moves the keys of entries that the store has not over to those that are to go.
fn missing(mirror: &Mirror, some: &mut Vec<Key>, beyond: &mut Vec<Entry>) -> Result<(), MirrorError> {
    let mut outcome = Ok(());
    let mut look = |tables: &dyn Tables| -> Result<(), StoreError> {
        let standing = Standing::of(tables)?;
        for key in some.drain(..) {
            if entries::wanted(tables, &standing, &mirror.config.views, &key)?.is_none() {
                beyond.push(Entry { key, body: None });
            }
        }
        Ok(())
    };
    mirror.store.at_one_moment(&mut |tables| outcome = look(tables))?;
    Ok(outcome?)
}
