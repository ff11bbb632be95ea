//! A square matrix cut into strips of columns. What is done to whole rows is done to each strip by itself: a strip stays
//! in a cache, strips are shared out among threads, and since no number of one meets a number of another, no bit
//! depends on either. In f64, one product and one sum at a time.

use crate::level::{Level, kernel};
use crate::parallel::for_each;

/// Columns of a strip. With 2,048 rows one has 256 kB.
pub(crate) const WIDTH: usize = 16;

/// Of fewer rows a pass takes less time than another thread takes to begin.
const SHARED_OUT: usize = 1024;

/// The part of a row that lies in one strip.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Row([f64; WIDTH]);

const ZERO: Row = Row([0.0; WIDTH]);

/// A matrix of as many rows as columns, padded with zeros to whole strips.
pub(crate) struct Strips {
    strips: Vec<Strip>,
}

struct Strip {
    rows: Vec<Row>,
    /// What [`Strips::turn_and_multiply`] found.
    product: Row,
}

/// `I − beta v vᵀ`; the numbers of v up to the `zeros`-th are zero.
pub(crate) struct Mirror {
    pub(crate) beta: f64,
    pub(crate) v: Vec<f64>,
    pub(crate) zeros: usize,
}

/// Rows i and i + 1 become `c x − s y` and `s x + c y`.
pub(crate) struct Rotation {
    pub(crate) i: usize,
    pub(crate) c: f64,
    pub(crate) s: f64,
}

/// `A − v wᵀ − w vᵀ`.
pub(crate) struct Update<'a> {
    pub(crate) v: &'a [f64],
    pub(crate) w: &'a [f64],
}

impl Strips {
    pub(crate) fn new(rank: usize, element: impl Fn(usize, usize) -> f64) -> Self {
        let strip = |first: usize| {
            let mut rows = vec![ZERO; rank];
            for (i, row) in rows.iter_mut().enumerate() {
                (first..rank.min(first + WIDTH)).for_each(|j| row.0[j - first] = element(i, j));
            }
            Strip { rows, product: ZERO }
        };
        Strips { strips: (0..rank).step_by(WIDTH).map(strip).collect() }
    }

    /// Row i, without the padding where `to` ends before it.
    pub(crate) fn copy_row(&self, i: usize, to: &mut [f64]) {
        for (to, strip) in to.chunks_mut(WIDTH).zip(&self.strips) {
            to.copy_from_slice(&strip.rows[i].0[..to.len()]);
        }
    }

    /// Updates the rows and columns from `from` on, and then multiplies those rows with `x`, added up in order, into
    /// `product`: one pass for both, as it is the reading that takes the time.
    pub(crate) fn turn_and_multiply(
        &mut self,
        (level, threads): (Level, usize),
        from: usize,
        update: Option<Update<'_>>,
        x: &[f64],
        product: &mut [f64],
    ) {
        let strips = &mut self.strips[from / WIDTH..];
        let threads = if strips.len() * WIDTH < SHARED_OUT { 1 } else { threads };
        let first = from / WIDTH * WIDTH;
        for_each(
            threads,
            strips,
            || (),
            |(), number, strip| {
                let columns = first + number * WIDTH;
                let update = update.as_ref().map(|Update { v, w }| Two {
                    v,
                    w,
                    own: [own(v, columns), own(w, columns)],
                });
                strip.product = ZERO;
                pass(level, &mut strip.rows[from..], from, update, x, &mut strip.product);
            },
        );
        for (to, strip) in product[first..].chunks_mut(WIDTH).zip(strips) {
            to.copy_from_slice(&strip.product.0[..to.len()]);
        }
    }

    /// `H A` for each mirror H in turn.
    pub(crate) fn mirror(&mut self, (level, threads): (Level, usize), mirrors: &[Mirror]) {
        for_each(threads, &mut self.strips, || (), |(), _, strip| mirror(level, &mut strip.rows, mirrors));
    }

    /// All rotations in turn.
    pub(crate) fn rotate(&mut self, (level, threads): (Level, usize), rotations: &[Rotation]) {
        for_each(threads, &mut self.strips, || (), |(), _, strip| rotate(level, &mut strip.rows, rotations));
    }
}

/// An update as one strip sees it: both vectors, and their numbers in its columns.
pub(crate) struct Two<'a> {
    v: &'a [f64],
    w: &'a [f64],
    own: [Row; 2],
}

/// The numbers of a vector from `first` on.
fn own(vector: &[f64], first: usize) -> Row {
    let mut own = ZERO;
    own.0.iter_mut().zip(&vector[first..]).for_each(|(to, x)| *to = *x);
    own
}

/// `to += by x`, rounded twice.
#[inline(always)]
fn add(to: &mut Row, by: f64, x: &Row) {
    for l in 0..WIDTH {
        to.0[l] += by * x.0[l];
    }
}

kernel! {
    fn pass(rows: &mut [Row], from: usize, update: Option<Two<'_>>, x: &[f64], product: &mut Row)
        = pass_body, pass_body, pass_body;
}

#[inline(always)]
fn pass_body(rows: &mut [Row], from: usize, update: Option<Two<'_>>, x: &[f64], product: &mut Row) {
    let mut sum = ZERO;
    for (row, i) in rows.iter_mut().zip(from..) {
        let mut held = *row;
        if let Some(Two { v, w, own: [own_v, own_w] }) = &update {
            add(&mut held, -v[i], own_w);
            add(&mut held, -w[i], own_v);
            *row = held;
        }
        add(&mut sum, x[i], &held);
    }
    *product = sum;
}

kernel! {
    fn mirror(rows: &mut [Row], mirrors: &[Mirror]) = mirror_body, mirror_body, mirror_body;
}

#[inline(always)]
fn mirror_body(rows: &mut [Row], mirrors: &[Mirror]) {
    for Mirror { beta, v, zeros } in mirrors {
        let (rows, v) = (&mut rows[*zeros..], &v[*zeros..]);
        let mut along = ZERO;
        for (row, v) in rows.iter().zip(v) {
            add(&mut along, beta * v, row);
        }
        for (row, v) in rows.iter_mut().zip(v) {
            add(row, -v, &along);
        }
    }
}

kernel! {
    fn rotate(rows: &mut [Row], rotations: &[Rotation]) = rotate_body, rotate_body, rotate_body;
}

#[inline(always)]
fn rotate_body(rows: &mut [Row], rotations: &[Rotation]) {
    for &Rotation { i, c, s } in rotations {
        let [first, second] = &mut rows[i..i + 2] else { continue };
        for l in 0..WIDTH {
            let (x, y) = (first.0[l], second.0[l]);
            first.0[l] = c * x - s * y;
            second.0[l] = s * x + c * y;
        }
    }
}
