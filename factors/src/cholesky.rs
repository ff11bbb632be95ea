//! Solving one system by Cholesky's method, in a fixed order of operations. Of our own and not a library's,
//! because a library picks its path by shape and processor, and then a factor would depend on them.

use crate::lanes::{LANES, Lanes, Real, panels};
use crate::level::{Level, kernel};
use crate::system::System;

/// Rows that take up the finished rows above them together.
const TOGETHER: usize = 4;

/// Solves the system in place: afterwards `right` is the solution and the matrix is the factor U of
/// A = UᵀU. False, with neither of use, where a pivot is lost to rounding, not positive or not finite, or the
/// solution is not finite.
pub(crate) fn solve<T: Real>(level: Level, system: &mut System<T>) -> bool {
    factorise(level, system) && {
        substitute(level, system);
        system.right.iter().all(|lanes| lanes.0.iter().all(|x| x.finite()))
    }
}

kernel! {
    fn factorise<T>(system: &mut System<T>) -> bool
        = factorise_body::<T>, factorise_body::<T>, factorise_body::<T>;
}

kernel! {
    fn substitute<T>(system: &mut System<T>) = substitute_body::<T>, substitute_body::<T>, substitute_body::<T>;
}

/// Golub and Van Loan, Matrix Computations (4th ed.), section 4.2: row i of U is row i of A less the products
/// of the rows k < i above, k ascending, over the root of its pivot.
#[inline(always)]
fn factorise_body<T: Real>(system: &mut System<T>) -> bool {
    let panels = panels(system.rank);
    // Until its pivot is known, a row's place in `inverse` keeps its diagonal element.
    for (i, diagonal) in system.inverse.iter_mut().enumerate() {
        *diagonal = system.matrix[i * panels + i / LANES].0[i % LANES];
    }
    let mut first = 0;
    while first < system.rank {
        let (above, below) = system.matrix.split_at_mut(first * panels);
        for panel in first / LANES..panels {
            subtract_rows_above(above, below, panels, first, panel);
        }
        let last = (first + TOGETHER).min(system.rank);
        for i in first..last {
            if !finish_row(&mut system.matrix, &mut system.inverse, panels, first, i) {
                return false;
            }
        }
        first = last;
    }
    true
}

/// Takes the products of all rows above from one panel of `TOGETHER` rows.
#[inline(always)]
fn subtract_rows_above<T: Real>(
    above: &[Lanes<T>],
    below: &mut [Lanes<T>],
    panels: usize,
    first: usize,
    panel: usize,
) {
    let mut held = [Lanes::ZERO; TOGETHER];
    for (r, lanes) in held.iter_mut().enumerate() {
        *lanes = below[r * panels + panel];
    }
    for row in above.chunks_exact(panels) {
        let (y, x) = (&row[panel], &row[first / LANES]);
        for (r, lanes) in held.iter_mut().enumerate() {
            lanes.add_product(-x.0[first % LANES + r], y);
        }
    }
    for (r, lanes) in held.iter().enumerate() {
        below[r * panels + panel] = *lanes;
    }
}

/// Takes the rows of its own group from row `i`, divides it by the root of its pivot and clears what stands
/// left of the diagonal. False where the pivot is no good.
#[inline(always)]
fn finish_row<T: Real>(
    matrix: &mut [Lanes<T>],
    inverse: &mut [T],
    panels: usize,
    first: usize,
    i: usize,
) -> bool {
    let (own, lane) = (i / LANES, i % LANES);
    let (above, rest) = matrix.split_at_mut(i * panels);
    let row = &mut rest[..panels];
    for k in first..i {
        let upper = &above[k * panels..][..panels];
        let x = -upper[own].0[lane];
        for panel in own..panels {
            row[panel].add_product(x, &upper[panel]);
        }
    }
    let pivot = row[own].0[lane];
    if !(pivot > inverse[i] * T::LOST_PIVOT && pivot.finite()) {
        return false;
    }
    let over = T::ONE / pivot.root();
    inverse[i] = over;
    for panel in &mut row[own..] {
        *panel = panel.scaled(over);
    }
    row[own].0[..lane].fill(T::ZERO);
    true
}

/// Uᵀz = b from the first row down, each z taken from the rows below in ascending order, then Ux = z from the
/// last row up. There a row's sum over columns runs in sixteen lanes, added by [`Lanes::sum`], at every level.
#[inline(always)]
fn substitute_body<T: Real>(system: &mut System<T>) {
    let panels = panels(system.rank);
    for panel in 0..panels {
        let (finished, rest) = system.right.split_at_mut(panel);
        let column = system.matrix[panel..].iter().step_by(panels);
        rest[0] = forward(rest[0], finished, column, &system.inverse[panel * LANES..]);
    }
    for (i, &over) in system.inverse.iter().enumerate().rev() {
        let row = &system.matrix[i * panels..][..panels];
        let mut own = row[i / LANES];
        own.0[i % LANES] = T::ZERO;
        let mut sum = Lanes::ZERO;
        for (u, x) in row.iter().zip(&system.right).skip(i / LANES + 1) {
            sum.add_products(u, x);
        }
        sum.add_products(&own, &system.right[i / LANES]);
        let z = &mut system.right[i / LANES].0[i % LANES];
        *z = (*z + -sum.sum()) * over;
    }
}

/// One panel of z: takes the finished panels from `b`, then solves its own rows, whose pivots `inverse` begins
/// with. `column` is U's panel of columns, from the first row down.
#[inline(always)]
fn forward<'a, T: Real + 'a>(
    b: Lanes<T>,
    finished: &[Lanes<T>],
    mut column: impl Iterator<Item = &'a Lanes<T>>,
    inverse: &[T],
) -> Lanes<T> {
    let mut held = b;
    for z in finished {
        for (&z, u) in z.0.iter().zip(&mut column) {
            held.add_product(-z, u);
        }
    }
    for (lane, (&over, u)) in inverse.iter().take(LANES).zip(column).enumerate() {
        let z = held.0[lane] * over;
        held.add_product(-z, u);
        held.0[lane] = z;
    }
    held
}
