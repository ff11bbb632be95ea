//! A symmetric matrix as the tiles of its upper triangle, and the sum of products that every system is made of.
//! Knows nothing of where its rows come from; solving is in `cholesky`.

use crate::ahead::Ahead;
use crate::lanes::{LANES, Lanes, Real, panels};
use crate::level::kernel;
use crate::vector::Vector;

/// Sixteen rows of sixteen numbers.
pub(crate) type Tile<T> = [Lanes<T>; LANES];

/// A tile of zeros.
pub(crate) const fn zero_tile<T: Real>() -> Tile<T> {
    [Lanes::ZERO; LANES]
}

/// The upper triangle of a symmetric matrix, tile by tile, the tiles of one row of tiles after the other.
///
/// What stands below the diagonal in the tiles on it has no meaning.
#[derive(Clone, Debug)]
pub(crate) struct Triangle<T> {
    pub(crate) panels: usize,
    pub(crate) tiles: Vec<Tile<T>>,
}

/// The place of tile (p, q), q >= p, among those of a triangle of `panels` panels.
#[inline(always)]
pub(crate) fn place(panels: usize, p: usize, q: usize) -> usize {
    p * (2 * panels - p - 1) / 2 + q
}

impl<T: Real> Triangle<T> {
    /// Zeros, for `rank` rows and columns.
    pub(crate) fn new(rank: usize) -> Self {
        let panels = panels(rank);
        Triangle { panels, tiles: vec![zero_tile(); panels * (panels + 1) / 2] }
    }

    /// Makes it zeros for `rank` rows and columns; allocates only to grow.
    pub(crate) fn reset(&mut self, rank: usize) {
        self.panels = panels(rank);
        self.tiles.clear();
        self.tiles.resize(self.panels * (self.panels + 1) / 2, zero_tile());
    }

    /// Element (i, j), in any order of the two.
    pub(crate) fn element(&self, i: usize, j: usize) -> T {
        let (i, j) = (i.min(j), i.max(j));
        self.tiles[place(self.panels, i / LANES, j / LANES)][i % LANES].0[j % LANES]
    }

    /// Element (i, i).
    #[inline(always)]
    pub(crate) fn diagonal(&mut self, i: usize) -> &mut T {
        let at = place(self.panels, i / LANES, i / LANES);
        &mut self.tiles[at][i % LANES].0[i % LANES]
    }

    /// Adds another of the same size, element by element.
    pub(crate) fn add(&mut self, other: &Triangle<T>) {
        for (to, from) in self.tiles.iter_mut().flatten().zip(other.tiles.iter().flatten()) {
            to.add_product(T::ONE, from);
        }
    }
}

kernel! {
    /// Adds `y yᵀ` for each row y of `rows`, `panels` groups each, in order: every element is one chain of fused
    /// multiply-adds.
    fn add_rows<T>(triangle: &mut Triangle<T>, rows: &[Lanes<T>], ahead: &Ahead<'_>)
        = add_rows_body::<T::Avx512>, add_rows_body::<T::Avx2>, add_rows_body::<Lanes<T>>;
}

#[inline(always)]
fn add_rows_body<V: Vector>(triangle: &mut Triangle<V::Real>, rows: &[Lanes<V::Real>], ahead: &Ahead<'_>) {
    let panels = triangle.panels;
    let (mut soon, each) = ahead.shared_out(triangle.tiles.len());
    let mut tiles = triangle.tiles.iter_mut();
    for p in 0..panels {
        for q in p..panels {
            let Some(tile) = tiles.next() else { return };
            soon = ahead.fetch(soon, each);
            let products = rows.chunks_exact(panels).map(|row| (&row[p], &row[q]));
            if p == q {
                add_square::<V>(tile, products);
            } else {
                add_products::<V>(tile, products);
            }
        }
    }
}

/// Adds `xᵀ y` for each pair of groups, [`HELD`](Vector::HELD) rows of the tile held in registers over all of them.
#[inline(always)]
pub(crate) fn add_products<'a, V: Vector>(
    tile: &mut Tile<V::Real>,
    products: impl Iterator<Item = (&'a Lanes<V::Real>, &'a Lanes<V::Real>)> + Clone,
) where
    V::Real: 'a,
{
    for first in (0..LANES).step_by(V::HELD) {
        let mut held = [V::zero(); LANES];
        for (held, row) in held[..V::HELD].iter_mut().zip(&tile[first..]) {
            *held = V::load(row);
        }
        for (x, y) in products.clone() {
            let y = V::load(y);
            for (r, held) in held[..V::HELD].iter_mut().enumerate() {
                *held = held.fma(V::splat(x.0[first + r]), y);
            }
        }
        for (held, row) in held[..V::HELD].iter().zip(&mut tile[first..]) {
            held.store(row);
        }
    }
}

/// Half a tile's rows or columns.
const HALF: usize = LANES / 2;

/// Adds `yᵀ y` for each group to a tile on the diagonal, all but its lower left quarter.
#[inline(always)]
fn add_square<'a, V: Vector>(
    tile: &mut Tile<V::Real>,
    groups: impl Iterator<Item = (&'a Lanes<V::Real>, &'a Lanes<V::Real>)>,
) where
    V::Real: 'a,
{
    let mut upper = [V::zero(); HALF];
    let mut lower = [V::load_half(&tile[HALF]); HALF];
    for r in 0..HALF {
        upper[r] = V::load(&tile[r]);
        lower[r] = V::load_half(&tile[HALF + r]);
    }
    for (x, _) in groups {
        let (y, half) = (V::load(x), V::load_half(x));
        for r in 0..HALF {
            upper[r] = upper[r].fma(V::splat(x.0[r]), y);
            lower[r] = V::fma_half(lower[r], x.0[HALF + r], half);
        }
    }
    for r in 0..HALF {
        upper[r].store(&mut tile[r]);
        V::store_half(lower[r], &mut tile[HALF + r]);
    }
}
