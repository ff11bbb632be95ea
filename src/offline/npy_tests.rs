//! Arrays as numpy writes them: `fixtures/npy` was made by `make.py` there.

use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn fixture(name: &str) -> Vec<u8> {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/src/offline/fixtures/npy");
    std::fs::read(PathBuf::from(here).join(name)).unwrap()
}

fn error(bytes: &[u8]) -> String {
    let error = read(&mut &*bytes).unwrap_err();
    format!("{error}; {}", error.remedy())
}

/// A file with this dictionary and these bytes behind it.
fn file(dictionary: &str, numbers: &[u8]) -> Vec<u8> {
    [b"\x93NUMPY\x01\x00", &(dictionary.len() as u16).to_le_bytes()[..], dictionary.as_bytes(), numbers]
        .concat()
}

#[test]
fn arrays_of_numpy_are_read_in_either_order_and_precision_and_every_version() {
    let expected = [1.5, -2.0, 0.25, 7.0, -0.0, 1e-40_f32].map(f32::to_bits);
    for name in ["c-f4", "c-f8", "fortran-f4", "fortran-f8", "version-2", "version-3"] {
        let array = read(&mut fixture(&format!("{name}.npy")).as_slice()).unwrap();
        assert_eq!((array.rows, array.rank), (2, 3), "{name}");
        assert_eq!(array.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), expected, "{name}");
    }
}

#[test]
fn half_precision_is_read_exactly() {
    let expected = [1.5, -2.0, 2.0_f32.powi(-24), 65504.0, -0.0, 0.099_975_586].map(f32::to_bits);
    for name in ["c-f2.npy", "fortran-f2.npy"] {
        let array = read(&mut fixture(name).as_slice()).unwrap();
        assert_eq!((array.rows, array.rank), (2, 3), "{name}");
        assert_eq!(array.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), expected, "{name}");
    }
}

#[test]
fn what_is_written_is_what_numpy_writes_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.npy");
    write(&path, &[1.5, -2.0, 0.25, 7.0, -0.0, 1e-40], 3).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), fixture("c-f4.npy"));
}

#[test]
fn an_array_of_more_numbers_than_are_read_at_a_time_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.npy");
    let values: Vec<f32> = (0..CHUNK + 34).map(|number| number as f32 / 7.0).collect();
    write(&path, &values, 10).unwrap();
    let array = read(&mut File::open(&path).unwrap()).unwrap();
    assert_eq!(array, Array { rows: (CHUNK + 34) / 10, rank: 10, values });
}

#[test]
fn other_numbers_are_refused_with_the_way_to_save_them() {
    for (name, words) in [
        ("integers", "it holds integers ('<i4')"),
        ("complex", "it holds complex numbers ('<c8')"),
        ("big-endian", "it holds big-endian numbers ('>f4')"),
        ("objects", "it holds Python objects ('|O')"),
        ("fields", "it holds rows of named fields"),
    ] {
        let said = error(&fixture(&format!("refused-{name}.npy")));
        assert!(said.starts_with(words), "{name}: {said}");
        assert!(said.ends_with("`numpy.save(file, array.astype('<f4'))`"), "{name}: {said}");
    }
}

#[test]
fn an_array_that_is_no_table_of_factors_is_refused_with_its_dimensions() {
    for (name, words) in [
        ("no-dimension", "it is an array of dimension 0,"),
        ("one-dimension", "it is an array of dimension 1,"),
        ("three-dimensions", "it is an array of dimension 3,"),
        ("rank-0", "its rows are 0 long"),
    ] {
        let said = error(&fixture(&format!("refused-{name}.npy")));
        assert!(said.starts_with(words) && said.contains("`array.T`"), "{name}: {said}");
    }
    let wide = file("{'descr':'<f4','fortran_order':False,'shape':(3,2049)}", &[]);
    assert!(error(&wide).starts_with("its rows are 2049 long, and the rank is from 1 to 2048"));
}

#[test]
fn a_file_that_is_cut_off_anywhere_or_goes_on_is_refused() {
    let whole = fixture("c-f4.npy");
    for length in 0..whole.len() {
        let said = error(&whole[..length]);
        let expected = match length {
            0..8 => "it does not begin as a .npy file",
            8..128 => "its header is damaged: the file ends in it",
            _ => "it is cut off: its header says 6 numbers, and there are",
        };
        assert!(said.starts_with(expected), "{length}: {said}");
    }
    assert!(error(&[&whole[..], &[0]].concat()).starts_with("there is something behind its numbers"));
    assert!(error(b"PK\x03\x04 an archive").contains("not as text or .npz"));
    assert!(error(b"\x93NUMPY\x04\x00____").starts_with("it has version 4.0"));
}

#[test]
fn a_head_that_claims_more_than_there_is_takes_no_memory() {
    for shape in ["(4294967295, 1024)", "(18446744073709551615, 1024)", "(99999999999999999999, 1)"] {
        error(&file(&format!("{{'descr':'<f8','fortran_order':True,'shape':{shape}}}"), &[0; 9]));
    }
    error(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{");
}

#[test]
fn the_dictionary_is_read_as_python_writes_it_and_nothing_else_is() {
    let numbers = [0; 8];
    for good in [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }   \n",
        "{\"shape\":(1L,2L),\"fortran_order\":True,\"descr\":\"<f4\"}",
        " { 'fortran_order' :\tFalse , 'descr' : '<f4','shape' : ( 1 , 2 , ) } \0",
    ] {
        read(&mut &*file(good, &numbers)).unwrap_or_else(|error| panic!("{good}: {error}"));
    }
    for bad in [
        "",
        "{}",
        "[]",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (1, 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [1, 2]}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), 'more': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)} {",
        "{'descr': '<f4, 'fortran_order': False, 'shape': (1, 2)}",
        &"{".repeat(60_000),
    ] {
        let said = error(&file(bad, &numbers));
        assert!(said.starts_with("its header is damaged"), "{bad}: {said}");
    }
}

#[test]
fn a_double_that_single_precision_cannot_hold_is_infinite() {
    let numbers = [1e39_f64, -1e39, 1e-50].map(f64::to_le_bytes).concat();
    let array = read(&mut &*file("{'descr':'<f8','fortran_order':False,'shape':(1,3)}", &numbers)).unwrap();
    assert_eq!(array.values, [f32::INFINITY, f32::NEG_INFINITY, 0.0]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = read(&mut &*bytes);
        let _ = read(&mut &*[b"\x93NUMPY\x01\x00", &bytes[..]].concat());
    }

    #[test]
    fn no_damage_to_an_array_makes_it_panic(place in 0..152_usize, byte: u8, cut in 0..153_usize) {
        let mut bytes = fixture("fortran-f8.npy");
        let place = place.min(bytes.len() - 1);
        bytes[place] = byte;
        let _ = read(&mut &bytes[..cut.min(bytes.len())]);
        let _ = read(&mut &*bytes);
    }

    #[test]
    fn no_dictionary_makes_it_panic(
        words in vec(prop::sample::select(WORDS), 0..24),
        numbers in vec(any::<u8>(), 0..64),
    ) {
        let _ = read(&mut &*file(&words.concat(), &numbers));
    }
}

/// What dictionaries are put together from.
const WORDS: &[&str] = &[
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ",",
    ":",
    " ",
    "'",
    "\"",
    "'descr'",
    "'fortran_order'",
    "'shape'",
    "'<f2'",
    "'<f4'",
    "'<f8'",
    "True",
    "False",
    "1",
    "2",
    "1024",
    "18446744073709551615",
    "-",
    "L",
    "\n",
    "é",
    "\0",
];
