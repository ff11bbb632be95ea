//! The head of a `.npy` file: which numbers follow, in which order, and how many.
//!
//! It is a Python dictionary of three known keys, and no more than that is read here: nothing is nested, nothing
//! calls itself, and what it claims is checked before anything is allocated for it. The crates that read `.npy` take
//! any Python literal; with the parser of the best kept of them (npyz 0.9.1) sixteen braces take minutes.

use std::io::Read;

use super::npy::NpyError;
use crate::config::MAX_RANK;

/// What every `.npy` file begins with.
pub const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// A head longer than this is not that of a plain array.
const MAX_HEAD: usize = 65_536;

/// The numbers that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// Half precision, little-endian: what some libraries train in on a GPU.
    F2,
    /// Single precision, little-endian.
    F4,
    /// Double precision, little-endian.
    F8,
}

/// What the head says of an array of items × rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The type of its numbers.
    pub number: Number,
    /// Whether it lies column by column.
    pub fortran: bool,
    /// How many rows it has.
    pub rows: usize,
    /// How many numbers a row has.
    pub rank: usize,
}

impl Header {
    /// Reads the head of a file, up to where its numbers begin.
    pub fn read(input: &mut impl Read) -> Result<Header, NpyError> {
        let mut first = Vec::with_capacity(8);
        input.take(8).read_to_end(&mut first)?;
        let Some([major, minor]) = first.strip_prefix(MAGIC) else {
            return Err(NpyError::NotNpy);
        };
        let mut length = [0; 4];
        let bytes = match (major, minor) {
            (1, 0) => 2,
            (2 | 3, 0) => 4,
            _ => return Err(NpyError::Version(*major, *minor)),
        };
        let broken_off = |_| NpyError::Header("the file ends in it");
        input.read_exact(&mut length[..bytes]).map_err(broken_off)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_HEAD {
            return Err(NpyError::Header("it is longer than that of any plain array"));
        }
        let mut text = vec![0; length];
        input.read_exact(&mut text).map_err(broken_off)?;
        Written::parse(&text)?.meant()
    }

    /// The head of an array of single precision, row by row: what numpy itself would write.
    pub fn written(rows: usize, rank: usize) -> Vec<u8> {
        let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {rank}), }}");
        // The numbers begin at a multiple of 64 bytes, behind blanks and a line feed.
        let blanks = 63 - (MAGIC.len() + 4 + text.len()) % 64;
        let length = (text.len() + blanks + 1) as u16;
        let mut head = [MAGIC, &[1, 0][..], &length.to_le_bytes(), text.as_bytes()].concat();
        head.resize(head.len() + blanks, b' ');
        head.push(b'\n');
        head
    }
}

/// The dictionary, as written.
#[derive(Debug, Default)]
struct Written {
    descr: Option<String>,
    fortran: Option<bool>,
    shape: Option<Vec<usize>>,
}

impl Written {
    fn parse(text: &[u8]) -> Result<Written, NpyError> {
        let mut cursor = Cursor { rest: text };
        let mut written = Written::default();
        cursor.expect(b'{')?;
        while !cursor.take(b'}') {
            let key = cursor.quoted()?;
            cursor.expect(b':')?;
            let again = match key.as_str() {
                "descr" => written.descr.replace(cursor.descr()?).is_some(),
                "fortran_order" => written.fortran.replace(cursor.truth()?).is_some(),
                "shape" => written.shape.replace(cursor.shape()?).is_some(),
                _ => return Err(NpyError::Header("it has a key that numpy does not write")),
            };
            if again {
                return Err(NpyError::Header("it has a key twice"));
            }
            if !cursor.take(b',') {
                cursor.expect(b'}')?;
                break;
            }
        }
        cursor.end().map(|()| written)
    }

    fn meant(self) -> Result<Header, NpyError> {
        let Written { descr: Some(descr), fortran: Some(fortran), shape: Some(shape) } = self else {
            return Err(NpyError::Header("`descr`, `fortran_order` or `shape` is missing"));
        };
        let number = match descr.as_str() {
            "<f2" => Number::F2,
            "<f4" => Number::F4,
            "<f8" => Number::F8,
            _ => return Err(NpyError::Numbers { what: what(&descr), descr }),
        };
        let [rows, rank] = shape[..] else {
            return Err(NpyError::Dimensions(shape.len()));
        };
        if !(1..=MAX_RANK).contains(&rank) {
            return Err(NpyError::Rank(rank));
        }
        if rows.checked_mul(rank).is_none_or(|count| count > isize::MAX as usize / size_of::<f64>()) {
            return Err(NpyError::Header("it claims more numbers than there can be"));
        }
        Ok(Header { number, fortran, rows, rank })
    }
}

/// What the numbers are that are not read.
fn what(descr: &str) -> &'static str {
    match (descr.get(..1), descr.get(1..2)) {
        (Some("["), _) => "rows of named fields",
        (_, Some("i" | "u")) => "integers",
        (_, Some("c")) => "complex numbers",
        (_, Some("O")) => "Python objects",
        (_, Some("b" | "?")) => "truth values",
        (_, Some("S" | "a" | "U")) => "texts",
        (_, Some("m" | "M")) => "times",
        (Some(">"), Some("f")) => "big-endian numbers",
        (_, Some("f")) => "numbers of another precision",
        _ => "something else than numbers",
    }
}

/// A place in the text of the dictionary. Blanks before a token are passed over.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, wanted: u8) -> bool {
        self.rest = self.rest.trim_ascii_start();
        let rest = self.rest.strip_prefix(&[wanted]);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, wanted: u8) -> Result<(), NpyError> {
        if self.take(wanted) { Ok(()) } else { Err(NpyError::Header("it is not the dictionary of numpy")) }
    }

    fn end(&self) -> Result<(), NpyError> {
        let blank = self.rest.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0);
        if blank { Ok(()) } else { Err(NpyError::Header("there is something behind its dictionary")) }
    }

    /// As long as bytes are of a sort.
    fn run(&mut self, of: impl Fn(&u8) -> bool) -> &'a [u8] {
        let length = self.rest.iter().position(|byte| !of(byte)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(length);
        self.rest = rest;
        run
    }

    fn quoted(&mut self) -> Result<String, NpyError> {
        let quote = if self.take(b'"') { b'"' } else { b'\'' };
        if quote == b'\'' {
            self.expect(quote)?;
        }
        let text = self.run(|byte| *byte != quote);
        // A quote that is not there, or a blank before it, is no word of numpy's.
        self.expect(quote)?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// A type; that of named fields is a list, which is not looked into.
    fn descr(&mut self) -> Result<String, NpyError> {
        if self.take(b'[') {
            let descr = "[…]".to_owned();
            return Err(NpyError::Numbers { what: what(&descr), descr });
        }
        self.quoted()
    }

    fn truth(&mut self) -> Result<bool, NpyError> {
        self.rest = self.rest.trim_ascii_start();
        match self.run(u8::is_ascii_alphabetic) {
            b"True" => Ok(true),
            b"False" => Ok(false),
            _ => Err(NpyError::Header("`fortran_order` is neither True nor False")),
        }
    }

    fn shape(&mut self) -> Result<Vec<usize>, NpyError> {
        let wrong = || NpyError::Header("`shape` is not a tuple of sizes");
        if !self.take(b'(') {
            return Err(wrong());
        }
        let mut shape = Vec::new();
        while !self.take(b')') {
            self.rest = self.rest.trim_ascii_start();
            let digits = str::from_utf8(self.run(u8::is_ascii_digit)).unwrap_or_default();
            shape.push(digits.parse().map_err(|_| wrong())?);
            // Python 2 marked long integers so.
            self.take(b'L');
            if !self.take(b',') && !self.rest.starts_with(b")") {
                return Err(wrong());
            }
        }
        Ok(shape)
    }
}
