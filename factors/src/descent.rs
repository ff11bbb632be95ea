//! Conjugate gradients from where a row's factor was: what one half-step of training needs, for a fraction of an exact
//! solve's work where ranks are large. A stored factor is never made by it.
//!
//! The system is that of [`Side::factor`](crate::side::Side::factor), never formed: a step multiplies it by one
//! direction, a pass over the pairs' rows. In the basis of the Gram matrix's eigenvectors its diagonal is most of it,
//! so dividing by the diagonal leaves few steps to go (Golub and Van Loan, Matrix Computations, 4th ed., section 11.5).
//! Few steps from a warm start are known to train as well as exact solves (Takács, Pilászy, Tikk: Applications of the
//! Conjugate Gradient Method for Implicit Feedback Collaborative Filtering, RecSys 2011).

use crate::ahead::Ahead;
use crate::basis::Basis;
use crate::lanes::{LANES, Lanes};
use crate::level::{Level, kernel};
use crate::pair::Pair;
use crate::vector::Vector;
#[cfg(target_arch = "x86_64")]
use crate::vector::{Avx2, Avx512};

/// By how much a descent shortens the residual, in the norm of the inverse diagonal, where all weights are alike. Where
/// the least is a fraction of the greatest, the pairs of the greatest make up most of the residual, and it must become
/// shorter by the root of that fraction before the others count: else lists are worse than by exact solves.
const SHORTER: f32 = 0.001;

/// Single precision shortens it no further than this.
const SHORTEST: f32 = 0.00001;

/// Steps after which a row is left to the exact solve.
const MOST_STEPS: usize = 24;

/// Rows of more pairs are left to the exact solve: they would not stay in a cache from one step to the next.
pub(crate) const MOST_PAIRS: usize = 8192;

/// How many groups of sixteen rows are fetched ahead.
pub(crate) const AHEAD: usize = 2;

/// Panels of a sum that are held in registers together.
const HELD: usize = 8;

/// One row's system and how far it has come; kept to spare allocations.
pub(crate) struct Descent {
    /// The pairs' rows in the basis, padded to sixteen with zeros.
    rows: Vec<Lanes<f32>>,
    /// The pairs' a and b, as many.
    a: Vec<Lanes<f32>>,
    b: Vec<Lanes<f32>>,
    /// `alpha0 YᵀY + ridge I`, and one over the whole system's diagonal.
    shared: Vec<Lanes<f32>>,
    inverse: Vec<Lanes<f32>>,
    residual: Vec<Lanes<f32>>,
    direction: Vec<Lanes<f32>>,
    product: Vec<Lanes<f32>>,
}

impl Descent {
    pub(crate) fn new() -> Self {
        Descent {
            rows: Vec::new(),
            a: Vec::new(),
            b: Vec::new(),
            shared: Vec::new(),
            inverse: Vec::new(),
            residual: Vec::new(),
            direction: Vec::new(),
            product: Vec::new(),
        }
    }

    /// Brings `solution`, a row's factor in the basis, near the solution for these pairs; false where it does not
    /// come near. `next` are pairs to come.
    pub(crate) fn improve(
        &mut self,
        level: Level,
        basis: &Basis,
        ridge: f64,
        (pairs, next): (&[Pair], &[Pair]),
        solution: &mut [Lanes<f32>],
    ) -> bool {
        self.reset(basis.panels, pairs);
        for (k, value) in basis.values.iter().enumerate() {
            self.shared[k / LANES].0[k % LANES] = (value + ridge) as f32;
        }
        let near = descend(level, basis, (pairs, next), self, solution);
        near && solution.iter().flat_map(|lanes| lanes.0).all(f32::is_finite)
    }

    fn reset(&mut self, panels: usize, pairs: &[Pair]) {
        let groups = pairs.len().div_ceil(LANES);
        // What it held is written over.
        if self.rows.len() < groups * LANES * panels {
            self.rows.resize(groups * LANES * panels, Lanes::ZERO);
        }
        for (numbers, length) in [(&mut self.a, groups), (&mut self.b, groups), (&mut self.product, panels)] {
            numbers.clear();
            numbers.resize(length, Lanes::ZERO);
        }
        for sum in [&mut self.inverse, &mut self.residual, &mut self.direction] {
            sum.clear();
            sum.resize(panels, Lanes::ZERO);
        }
        // Ones past the rank, to divide by.
        self.shared.clear();
        self.shared.resize(panels, Lanes([1.0; LANES]));
        for (i, pair) in pairs.iter().enumerate() {
            self.a[i / LANES].0[i % LANES] = pair.a;
            self.b[i / LANES].0[i % LANES] = pair.b;
        }
    }
}

kernel! {
    fn descend(basis: &Basis, pairs: (&[Pair], &[Pair]), descent: &mut Descent, solution: &mut [Lanes<f32>]) -> bool
        = descend_body::<Avx512>, descend_body::<Avx2>, descend_body::<Lanes<f32>>;
}

#[inline(always)]
fn descend_body<V: Vector<Real = f32>>(
    basis: &Basis,
    pairs: (&[Pair], &[Pair]),
    d: &mut Descent,
    solution: &mut [Lanes<f32>],
) -> bool {
    begin::<V>(basis, pairs, d, solution);
    let (mut before, mut size) = (f32::INFINITY, self::size::<V>(d));
    let enough = size * (SHORTER * SHORTER * evenness(pairs.0)).max(SHORTEST * SHORTEST);
    if size == 0.0 {
        return true;
    }
    for _ in 0..MOST_STEPS {
        turn_to::<V>(d, size / before);
        multiply::<V>(d);
        let by = size / dot::<V>(&d.direction, &d.product);
        add::<V>(solution, by, &d.direction);
        add::<V>(&mut d.residual, -by, &d.product);
        (before, size) = (size, self::size::<V>(d));
        if size <= enough {
            return true;
        }
        if size.is_nan() {
            return false;
        }
    }
    false
}

/// The least of the pairs' weights as a part of the greatest.
#[inline(always)]
fn evenness(pairs: &[Pair]) -> f32 {
    let (mut least, mut most) = (f32::INFINITY, 0.0f32);
    for pair in pairs.iter().filter(|pair| pair.a > 0.0) {
        (least, most) = (least.min(pair.a), most.max(pair.a));
    }
    if most > 0.0 { least / most } else { 1.0 }
}

/// Gathers the rows, and makes the residual `Σ b z − A x` and one over the diagonal of A.
#[inline(always)]
fn begin<V: Vector<Real = f32>>(
    basis: &Basis,
    (pairs, next): (&[Pair], &[Pair]),
    d: &mut Descent,
    solution: &[Lanes<f32>],
) {
    let panels = solution.len();
    for (group, rows) in d.rows.chunks_exact_mut(LANES * panels).take(d.a.len()).enumerate() {
        let (_, from) = pairs.split_at(group * LANES);
        let (own, later) = from.split_at(from.len().min(LANES));
        let mut to = rows.chunks_exact_mut(panels);
        for (pair, to) in own.iter().zip(&mut to) {
            for (to, z) in to.iter_mut().zip(basis.row(pair.item)) {
                V::load(z).store(to);
            }
        }
        to.for_each(|to| to.fill(Lanes::ZERO));
        match later.get((AHEAD - 1) * LANES..) {
            Some(soon) => Ahead::of(basis, &soon[..soon.len().min(LANES)]).fetch(0, LANES),
            None => Ahead::of(basis, next).fetch(0, next.len()),
        };
        let scores = dots::<V>(rows, solution);
        let (a, b) = (&d.a[group], V::load(&d.b[group]));
        let mut errors = Lanes::ZERO;
        b.fma(V::load(a).times(V::splat(-1.0)), scores).store(&mut errors);
        add_rows::<V>(rows, &errors, &mut d.residual);
        add_squares::<V>(rows, a, &mut d.inverse);
    }
    let (one, minus) = (V::splat(1.0), V::splat(-1.0));
    for (p, x) in solution.iter().enumerate() {
        let shared = V::load(&d.shared[p]);
        V::load(&d.residual[p]).fma(shared.times(minus), V::load(x)).store(&mut d.residual[p]);
        one.over(V::load(&d.inverse[p]).fma(one, shared)).store(&mut d.inverse[p]);
    }
}

/// The residual's square in the norm of the inverse diagonal.
#[inline(always)]
fn size<V: Vector<Real = f32>>(d: &Descent) -> f32 {
    let mut sum = V::zero();
    for (r, inverse) in d.residual.iter().zip(&d.inverse) {
        let r = V::load(r);
        sum = sum.fma(r, r.times(V::load(inverse)));
    }
    total(sum)
}

/// The next direction, and what the shared part of the system makes of it.
#[inline(always)]
fn turn_to<V: Vector<Real = f32>>(d: &mut Descent, keeping: f32) {
    for p in 0..d.direction.len() {
        let steep = V::load(&d.residual[p]).times(V::load(&d.inverse[p]));
        let direction = steep.fma(V::splat(keeping), V::load(&d.direction[p]));
        direction.store(&mut d.direction[p]);
        direction.times(V::load(&d.shared[p])).store(&mut d.product[p]);
    }
}

/// Adds what the pairs make of the direction to the product.
#[inline(always)]
fn multiply<V: Vector<Real = f32>>(d: &mut Descent) {
    let panels = d.direction.len();
    for (rows, a) in d.rows.chunks_exact(LANES * panels).zip(&d.a) {
        let mut along = Lanes::ZERO;
        dots::<V>(rows, &d.direction).times(V::load(a)).store(&mut along);
        add_rows::<V>(rows, &along, &mut d.product);
    }
}

#[inline(always)]
fn dot<V: Vector<Real = f32>>(x: &[Lanes<f32>], y: &[Lanes<f32>]) -> f32 {
    let mut sum = V::zero();
    for (x, y) in x.iter().zip(y) {
        sum = sum.fma(V::load(x), V::load(y));
    }
    total(sum)
}

#[inline(always)]
fn total<V: Vector<Real = f32>>(sum: V) -> f32 {
    let mut lanes = Lanes::ZERO;
    sum.store(&mut lanes);
    lanes.sum()
}

/// `to += by x`.
#[inline(always)]
fn add<V: Vector<Real = f32>>(to: &mut [Lanes<f32>], by: f32, x: &[Lanes<f32>]) {
    for (to, x) in to.iter_mut().zip(x) {
        V::load(to).fma(V::splat(by), V::load(x)).store(to);
    }
}

/// The products of sixteen rows with `x`: for each, a chain over the panels, then its lanes in a fixed tree.
#[inline(always)]
fn dots<V: Vector<Real = f32>>(rows: &[Lanes<f32>], x: &[Lanes<f32>]) -> V {
    let panels = x.len();
    let mut tile = [V::zero(); LANES];
    for (p, x) in x.iter().enumerate() {
        let x = V::load(x);
        for r in 0..LANES {
            tile[r] = tile[r].fma(x, V::load(&rows[r * panels + p]));
        }
    }
    V::sums(tile)
}

/// Adds each of sixteen rows times its number in `by`.
#[inline(always)]
fn add_rows<V: Vector<Real = f32>>(rows: &[Lanes<f32>], by: &Lanes<f32>, to: &mut [Lanes<f32>]) {
    let mut first = 0;
    while first + HELD <= to.len() {
        add_rows_at::<V, HELD>(rows, by, to, first);
        first += HELD;
    }
    while first < to.len() {
        add_rows_at::<V, 1>(rows, by, to, first);
        first += 1;
    }
}

#[inline(always)]
fn add_rows_at<V: Vector<Real = f32>, const H: usize>(
    rows: &[Lanes<f32>],
    by: &Lanes<f32>,
    to: &mut [Lanes<f32>],
    first: usize,
) {
    let mut held = [V::zero(); H];
    for h in 0..H {
        held[h] = V::load(&to[first + h]);
    }
    for (row, by) in rows.chunks_exact(to.len()).zip(by.0) {
        for h in 0..H {
            held[h] = held[h].fma(V::splat(by), V::load(&row[first + h]));
        }
    }
    for h in 0..H {
        held[h].store(&mut to[first + h]);
    }
}

/// Adds the squares of each of sixteen rows' numbers times its a.
#[inline(always)]
fn add_squares<V: Vector<Real = f32>>(rows: &[Lanes<f32>], a: &Lanes<f32>, to: &mut [Lanes<f32>]) {
    let panels = to.len();
    for (p, to) in to.iter_mut().enumerate() {
        let mut held = V::load(to);
        for (row, a) in rows.chunks_exact(panels).zip(a.0) {
            let z = V::load(&row[p]);
            held = held.fma(z.times(V::splat(a)), z);
        }
        held.store(to);
    }
}
