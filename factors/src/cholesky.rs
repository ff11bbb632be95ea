//! Solving one system by Cholesky's method without roots, in a fixed order of operations. Of our own and not a
//! library's, because a library picks its path by shape and processor, and then a factor would depend on them.

use crate::lanes::{LANES, Lanes, Real};
use crate::level::kernel;
use crate::triangle::{Tile, Triangle, add_products, place, zero_tile};
use crate::vector::Vector;

/// Workspace for solving.
#[derive(Clone, Debug)]
pub(crate) struct Workspace<T> {
    /// One over each pivot.
    inverse: Vec<Lanes<T>>,
    /// Tiles of one column above the row of tiles at work, each row times −1 ÷ its pivot.
    scaled: Vec<Tile<T>>,
}

impl<T: Real> Workspace<T> {
    pub(crate) fn new() -> Self {
        Workspace { inverse: Vec::new(), scaled: Vec::new() }
    }
}

/// Repeats a step for sixteen literals, so that what the steps hold stays in registers.
macro_rules! sixteen {
    ($step:ident: $($r:literal)*) => { $( $step!($r); )* };
}

kernel! {
    /// Solves `A x = right` in place, for the A of `triangle`, which becomes U of A = Uᵀ D⁻¹ U with D the
    /// diagonal of U. False, with neither of use, where a pivot is lost to rounding, not positive or not finite,
    /// or the solution is not finite. Rows past the rank must have been given a one on the diagonal.
    fn solve<T>(triangle: &mut Triangle<T>, right: &mut [Lanes<T>], workspace: &mut Workspace<T>) -> bool
        = solve_body::<T::Avx512>, solve_body::<T::Avx2>, solve_body::<Lanes<T>>;
}

#[inline(always)]
fn solve_body<V: Vector>(
    triangle: &mut Triangle<V::Real>,
    right: &mut [Lanes<V::Real>],
    workspace: &mut Workspace<V::Real>,
) -> bool {
    workspace.inverse.resize(triangle.panels, Lanes::ZERO);
    workspace.scaled.resize(triangle.panels, zero_tile());
    if !factorise::<V>(triangle, right, workspace) {
        return false;
    }
    substitute::<V>(triangle, right, &workspace.inverse);
    right.iter().all(|lanes| lanes.0.iter().all(|x| x.finite()))
}

/// Golub and Van Loan, Matrix Computations (4th ed.), sections 4.1 and 4.2: row i of U is row i of A less the
/// products of the rows k < i above over their pivots, k ascending. The right side goes along as one more column.
#[inline(always)]
fn factorise<V: Vector>(
    triangle: &mut Triangle<V::Real>,
    right: &mut [Lanes<V::Real>],
    workspace: &mut Workspace<V::Real>,
) -> bool {
    let panels = triangle.panels;
    let Workspace { inverse, scaled } = workspace;
    for p in 0..panels {
        for (above, to) in scaled[..p].iter_mut().enumerate() {
            scale::<V>(&triangle.tiles[place(panels, above, p)], &inverse[above], to);
        }
        let (done, rest) = triangle.tiles.split_at_mut(place(panels, p, p));
        let mut least = Lanes::ZERO;
        for (i, row) in rest[0].iter().enumerate() {
            least.0[i] = row.0[i] * V::Real::LOST_PIVOT;
        }
        subtract::<V>(&mut rest[0], &scaled[..p], done, (panels, p));
        let mut own = zero_tile();
        let pivots = finish_diagonal::<V>(&mut rest[0], &mut own, &mut right[p], &mut inverse[p]);
        if !(0..LANES).all(|i| pivots.0[i] > least.0[i]) {
            return false;
        }
        let negative = V::load(&right[p]).times(V::load(&inverse[p])).times(V::splat(-V::Real::ONE));
        for q in p + 1..panels {
            let tile = &mut rest[q - p];
            subtract::<V>(tile, &scaled[..p], done, (panels, q));
            finish_tile::<V>(tile, &own, negative, &mut right[q]);
        }
    }
    true
}

/// Takes the products of all rows above from a tile of column `q`.
#[inline(always)]
fn subtract<V: Vector>(
    tile: &mut Tile<V::Real>,
    scaled: &[Tile<V::Real>],
    done: &[Tile<V::Real>],
    (panels, q): (usize, usize),
) {
    for (above, scaled) in scaled.iter().enumerate() {
        add_products::<V>(tile, scaled.iter().zip(&done[place(panels, above, q)]));
    }
}

/// Each row of a tile times −1 ÷ its pivot.
#[inline(always)]
fn scale<V: Vector>(tile: &Tile<V::Real>, inverse: &Lanes<V::Real>, to: &mut Tile<V::Real>) {
    for i in 0..LANES {
        V::load(&tile[i]).times(V::splat(-inverse.0[i])).store(&mut to[i]);
    }
}

/// Finishes the rows of a tile on the diagonal, of which `own` becomes each row times −1 ÷ its pivot, and the
/// right side's part beside it. Returns the pivots.
#[inline(always)]
fn finish_diagonal<V: Vector>(
    tile: &mut Tile<V::Real>,
    own: &mut Tile<V::Real>,
    right: &mut Lanes<V::Real>,
    inverse: &mut Lanes<V::Real>,
) -> Lanes<V::Real> {
    let mut held: [V; LANES] = V::load_tile(tile);
    let mut z = V::load(right);
    let (mut pivots, mut overs) = (V::zero(), V::zero());
    let minus = V::splat(-V::Real::ONE);
    macro_rules! step {
        ($r:literal) => {
            let row = held[$r];
            let pivot = row.lane($r);
            let over = minus.over(pivot);
            let scaled = row.times(over);
            pivots = pivots.with(pivot, $r, $r + 1);
            overs = overs.with(over, $r, $r + 1);
            scaled.store(&mut own[$r]);
            row.store(&mut tile[$r]);
            for s in LANES.min($r + 1)..LANES {
                held[s] = held[s].fma(scaled.lane(s), row);
            }
            z = z.with(z.fma(z.lane($r), scaled), $r + 1, LANES);
        };
    }
    sixteen!(step: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    z.store(right);
    overs.times(minus).store(inverse);
    let mut found = Lanes::ZERO;
    pivots.store(&mut found);
    found
}

/// Takes from each row of a tile the rows above it within the tile, and the tile from the right side's part that
/// stands beside it; `negative` is −z ÷ pivot of the tile's rows.
#[inline(always)]
fn finish_tile<V: Vector>(
    tile: &mut Tile<V::Real>,
    own: &Tile<V::Real>,
    negative: V,
    right: &mut Lanes<V::Real>,
) {
    let mut held: [V; LANES] = V::load_tile(tile);
    let mut z = V::load(right);
    macro_rules! step {
        ($r:literal) => {
            let row = held[$r];
            for s in LANES.min($r + 1)..LANES {
                held[s] = held[s].fma(V::splat(own[$r].0[s]), row);
            }
            z = z.fma(negative.lane($r), row);
            row.store(&mut tile[$r]);
        };
    }
    sixteen!(step: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    z.store(right);
}

/// `D⁻¹ U x = D⁻¹ z` from the last panel up; within a row, the panels to the right lane by lane, then the lanes
/// in order, then its own panel from the last column down.
#[inline(always)]
fn substitute<V: Vector>(
    triangle: &Triangle<V::Real>,
    right: &mut [Lanes<V::Real>],
    inverse: &[Lanes<V::Real>],
) {
    let panels = triangle.panels;
    let minus = V::splat(-V::Real::ONE);
    for p in (0..panels).rev() {
        let tiles = &triangle.tiles[place(panels, p, p)..][..panels - p];
        let mut y = V::load(&right[p]);
        if p + 1 < panels {
            let mut sums = [V::zero(); LANES];
            for (tile, x) in tiles[1..].iter().zip(&right[p + 1..]) {
                let x = V::load(x);
                for r in 0..LANES {
                    sums[r] = sums[r].fma(x, V::load(&tile[r]));
                }
            }
            V::transpose(&mut sums);
            for sum in sums {
                y = y.fma(minus, sum);
            }
        }
        let mut columns: [V; LANES] = V::load_tile(&tiles[0]);
        V::transpose(&mut columns);
        let over = V::load(&inverse[p]);
        let negative = over.times(minus);
        macro_rules! step {
            ($r:literal) => {
                let x = y.times(negative).lane(15 - $r);
                y = y.with(y.fma(x, columns[15 - $r]), 0, 15 - $r);
            };
        }
        sixteen!(step: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        y.times(over).store(&mut right[p]);
    }
}
