//! Parts read as one show what one store with all of it shows.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::stores::formats::{RecordKind, TombstoneValue};
use crate::stores::memory::MemoryStore;

type Entry = (Table, Vec<u8>, Vec<u8>);

fn put(store: &dyn Store, (table, key, value): &Entry) {
    let mut change = store.begin();
    change.put(*table, key, value);
    change.commit(true).unwrap();
}

/// Deals entries out to parts as a pipeline keeps them; `any` says where what may be anywhere is.
fn dealt(entries: &[Entry], processes: usize, any: usize) -> (MemoryStore, Union<Arc<dyn Store>>) {
    let whole = MemoryStore::default();
    let parts: Vec<Arc<dyn Store>> =
        (0..processes).map(|_| Arc::new(MemoryStore::default()) as Arc<dyn Store>).collect();
    let share = Share { process: 0, processes };
    for (number, entry) in entries.iter().enumerate() {
        put(&whole, entry);
        let (table, key, _) = entry;
        match Keeping::of(*table) {
            Keeping::Owner => put(&*parts[share.owner(member_of(*table, key).unwrap())], entry),
            Keeping::One => put(&*parts[(key.len() + any) % processes], entry),
            Keeping::All => parts.iter().for_each(|part| put(&**part, entry)),
            Keeping::Some => {
                (0..=(number + any) % processes).for_each(|part| put(&*parts[part], entry));
            }
            Keeping::Own => {}
        }
    }
    (whole, Union::new(parts))
}

fn shown(tables: &dyn Tables, table: Table, prefix: &[u8], from: &[u8], most: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut show = |key: &[u8], value: &[u8]| {
        entries.push((table, key.to_vec(), value.to_vec()));
        if entries.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    tables.scan(table, prefix, from, &mut show).unwrap();
    entries
}

/// A key of a table about this id, and a value that can be there.
fn entry(table: Table, id: &str, number: u8) -> Entry {
    let mut key = Vec::new();
    let value = match table {
        Table::Tombstones => {
            formats::encode_tombstone(&TombstoneValue { forget: 7, ..TombstoneValue::default() })
        }
        Table::Offsets => format!(r#"{{"next":{},"last":""}}"#, id.len()).into_bytes(),
        _ => [id.as_bytes(), &[table as u8]].concat(),
    };
    match table {
        Table::Records => formats::record_key(id, RecordKind::RetractId, &[number], &mut key),
        Table::BatchLists => formats::batch_key(u64::from(number % 2), id, &mut key),
        Table::Tombstones => key.extend_from_slice(blake3::hash(id.as_bytes()).as_bytes()[..16].as_ref()),
        Table::Popularity => {
            let hour = u32::from(number % 3);
            formats::cell_key(&formats::CellKey { kind: "k", hour, item: id, country: "" }, &mut key);
        }
        _ => key.extend_from_slice(id.as_bytes()),
    }
    (table, key, value)
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let tables: Vec<Table> =
        Table::ALL.into_iter().filter(|table| Keeping::of(*table) != Keeping::Own).collect();
    let one = (prop::sample::select(tables), "[a-c]{1,4}|é", 0..5_u8);
    prop::collection::vec(one.prop_map(|(table, id, number)| entry(table, &id, number)), 0..400)
}

proptest! {
    #[test]
    fn parts_show_what_one_store_with_all_of_it_shows(
        entries in entries(), processes in 1..5_usize, any: u8, prefix in "[a-c]{0,2}", from in "[a-c]{0,3}",
        most in prop_oneof![Just(usize::MAX), 1..40_usize], nearest in 0..5_usize,
    ) {
        let (whole, union) = dealt(&entries, processes, usize::from(any));
        let union = union.nearest(nearest % processes);
        for table in Table::ALL {
            let keys = entries.iter().filter(|(of, ..)| *of == table).map(|(_, key, _)| key.clone());
            let mut keys: Vec<Vec<u8>> = keys.collect();
            keys.push(b"nothing".to_vec());
            for key in &keys {
                prop_assert_eq!(union.get(table, key).unwrap(), whole.get(table, key).unwrap(), "{:?}", table);
            }
            let (all, some) = (keys[0].as_slice(), keys[0].get(..3).unwrap_or_default());
            for prefix in [&[], prefix.as_bytes(), all, some] {
                for from in [&[], from.as_bytes(), all] {
                    let of = |tables: &dyn Tables| shown(tables, table, prefix, from, most);
                    prop_assert_eq!(of(&union), of(&whole), "{:?} {:?} {:?}", table, prefix, from);
                }
            }
        }
        let mut moment = None;
        union.at_one_moment(&mut |tables| moment = Some(shown(tables, Table::Records, &[], &[], most))).unwrap();
        prop_assert_eq!(moment, Some(shown(&whole, Table::Records, &[], &[], most)));
    }
}

/// Two parts with a value each.
fn two(table: Table, key: &[u8], values: [&[u8]; 2]) -> Union<Arc<dyn Store>> {
    let parts = values.map(|value| {
        let part = MemoryStore::default();
        put(&part, &(table, key.to_vec(), value.to_vec()));
        Arc::new(part) as Arc<dyn Store>
    });
    Union::new(parts.into())
}

/// What is under a key, asked for and come upon.
fn both(union: &Union<Arc<dyn Store>>, table: Table, key: &[u8]) -> Option<Vec<u8>> {
    let got = union.get(table, key).unwrap();
    let come_upon = shown(union, table, &[], &[], usize::MAX).into_iter().find(|(_, of, _)| of == key);
    assert_eq!(come_upon.map(|(.., value)| value), got);
    got
}

#[test]
fn what_parts_say_of_themselves_is_put_together() {
    let counts = two(
        Table::Meta,
        meta::COUNTS,
        [br#"{"live_events":3,"accepted":5}"#, br#"{"live_events":4,"members":2}"#],
    );
    let sum: Counts = serde_json::from_slice(&both(&counts, Table::Meta, meta::COUNTS).unwrap()).unwrap();
    assert_eq!(sum, Counts { live_events: 7, accepted: 5, members: 2, ..Counts::default() });

    let epochs = two(Table::Meta, meta::EPOCH, [&300_u64.to_be_bytes(), &7_u64.to_be_bytes()]);
    assert_eq!(both(&epochs, Table::Meta, meta::EPOCH).unwrap(), 7_u64.to_be_bytes());
    assert_eq!(both(&two(Table::Meta, meta::PART, [b"{}", b"{}"]), Table::Meta, meta::PART), None);
    let damaged = two(Table::Meta, meta::COUNTS, [b"{}", b"nonsense"]);
    assert!(damaged.get(Table::Meta, meta::COUNTS).is_err());
    assert!(damaged.scan(Table::Meta, &[], &[], &mut |_, _| ControlFlow::Continue(())).is_err());
}

#[test]
fn a_tombstone_is_what_any_part_remembers_and_a_source_is_as_far_as_the_furthest() {
    let tombstone = |forget, ids: &[u64]| {
        formats::encode_tombstone(&TombstoneValue { forget, ids: ids.to_vec(), events: Vec::new() })
    };
    let union = two(Table::Tombstones, &[7; 16], [&tombstone(3, &[1, 2]), &tombstone(5, &[2, 4])]);
    assert_eq!(both(&union, Table::Tombstones, &[7; 16]).unwrap(), tombstone(5, &[1, 2, 4]));
    let offsets = two(Table::Offsets, b"t", [br#"{"next":9,"last":""}"#, br#"{"next":10,"last":""}"#]);
    assert_eq!(both(&offsets, Table::Offsets, b"t").unwrap(), br#"{"next":10,"last":""}"#);
}

#[test]
fn an_entry_where_it_does_not_belong_is_not_shown() {
    let member =
        (0..).map(|number| format!("m{number}")).find(|member| crate::processes::hash(member) % 2 == 1);
    let member = member.unwrap();
    let union = two(Table::TopPicks, member.as_bytes(), [b"stray", b"owner's"]);
    assert_eq!(both(&union, Table::TopPicks, member.as_bytes()).unwrap(), b"owner's");
    put(&*union.parts[0], &(Table::Factors, member.clone().into_bytes(), b"stray".to_vec()));
    assert_eq!(both(&union, Table::Factors, member.as_bytes()), None);
}

#[test]
fn stores_that_are_read_as_one_are_not_written_to() {
    let union = two(Table::Items, b"i", [b"1", b"1"]);
    assert!(matches!(union.begin().commit(true), Err(StoreError::ReadOnly)));
    assert!(matches!(union.clear(Table::Items), Err(StoreError::ReadOnly)));
}
