//! The normal equations of one row: a symmetric matrix and a right side, summed pair by pair. Knows nothing of
//! where the pairs come from; solving is in `cholesky`.

use crate::lanes::{LANES, Lanes, Real, panels};
use crate::level::{Level, kernel};
use crate::pair::Pair;

/// How many pairs are gathered before the matrix takes them up: they and the matrix then fit the first cache.
/// No sum depends on it, since each element's chain goes on where it stood.
const GATHERED: usize = 32;

/// The matrix, right side and workspace for one row, in `T`.
///
/// The matrix is row-major with rows padded to whole [`Lanes`]; element (i, j) counts where j >= i. Rows and
/// columns past the rank are zero.
pub(crate) struct System<T> {
    pub(crate) rank: usize,
    /// `panels * LANES` rows of `panels` groups.
    pub(crate) matrix: Vec<Lanes<T>>,
    /// `panels` groups: the right side, and the solution after solving.
    pub(crate) right: Vec<Lanes<T>>,
    /// One over each pivot's root.
    pub(crate) inverse: Vec<T>,
    gathered: Vec<Lanes<T>>,
    weighted: Vec<Lanes<T>>,
}

impl<T: Real> System<T> {
    pub(crate) fn new(rank: usize) -> Self {
        let panels = panels(rank);
        System {
            rank,
            matrix: vec![Lanes::ZERO; panels * LANES * panels],
            right: vec![Lanes::ZERO; panels],
            inverse: vec![T::ZERO; rank],
            gathered: vec![Lanes::ZERO; panels * GATHERED],
            weighted: vec![Lanes::ZERO; panels * GATHERED],
        }
    }

    /// Sets the matrix to `start`, of the same layout, and the right side to zero.
    pub(crate) fn begin(&mut self, start: &[Lanes<T>]) {
        self.matrix.copy_from_slice(start);
        self.right.fill(Lanes::ZERO);
    }

    /// Adds `a y yᵀ` to the matrix and `b y` to the right side for each pair, in order: every element is one
    /// chain of fused multiply-adds, `a y` rounded first. `rows` holds the `y`, row-major.
    pub(crate) fn add_pairs(&mut self, level: Level, rows: &[f32], pairs: &[Pair]) {
        add_pairs(level, self, rows, pairs);
    }

    /// Adds `ridge` to the diagonal.
    pub(crate) fn add_diagonal(&mut self, ridge: T) {
        let panels = panels(self.rank);
        for i in 0..self.rank {
            let element = &mut self.matrix[i * panels + i / LANES].0[i % LANES];
            *element = *element + ridge;
        }
    }
}

kernel! {
    fn add_pairs<T>(system: &mut System<T>, rows: &[f32], pairs: &[Pair])
        = add_pairs_body::<T, 2>, add_pairs_body::<T, 1>, add_pairs_body::<T, 1>;
}

#[inline(always)]
fn add_pairs_body<T: Real, const FOURS: usize>(system: &mut System<T>, rows: &[f32], pairs: &[Pair]) {
    let panels = panels(system.rank);
    for some in pairs.chunks(GATHERED) {
        gather(system, rows, some);
        for column in 0..panels {
            let right = &system.weighted[column * GATHERED..][..some.len()];
            for row in 0..=column {
                let left = &system.gathered[row * GATHERED..][..some.len()];
                for first in (0..LANES).step_by(4 * FOURS) {
                    let at = (row * LANES + first) * panels + column;
                    add_tile::<T, FOURS>(&mut system.matrix[at..], panels, left, right, first);
                }
            }
        }
    }
}

/// Copies the rows of `some` pairs side by side, plain and times `a`, and adds them to the right side.
#[inline(always)]
fn gather<T: Real>(system: &mut System<T>, rows: &[f32], some: &[Pair]) {
    let rank = system.rank;
    for (p, pair) in some.iter().enumerate() {
        let row = &rows[pair.item as usize * rank..][..rank];
        let (a, b) = (T::from_f32(pair.a), T::from_f32(pair.b));
        for (panel, part) in row.chunks(LANES).enumerate() {
            let y = Lanes::load(part);
            system.right[panel].add_product(b, &y);
            system.weighted[panel * GATHERED + p] = y.scaled(a);
            system.gathered[panel * GATHERED + p] = y;
        }
    }
}

/// Adds the products of `4 * FOURS` rows and sixteen columns, held in registers over all gathered pairs. Two
/// short loops instead of one long one: LLVM unrolls them whole, and only then keeps what is held in registers.
#[inline(always)]
fn add_tile<T: Real, const FOURS: usize>(
    matrix: &mut [Lanes<T>],
    stride: usize,
    left: &[Lanes<T>],
    right: &[Lanes<T>],
    first: usize,
) {
    let mut held = [[Lanes::ZERO; 4]; FOURS];
    for (f, four) in held.iter_mut().enumerate() {
        for (r, lanes) in four.iter_mut().enumerate() {
            *lanes = matrix[(f * 4 + r) * stride];
        }
    }
    for (x, y) in left.iter().zip(right) {
        for (f, four) in held.iter_mut().enumerate() {
            for (r, lanes) in four.iter_mut().enumerate() {
                lanes.add_product(x.0[first + f * 4 + r], y);
            }
        }
    }
    for (f, four) in held.iter().enumerate() {
        for (r, lanes) in four.iter().enumerate() {
            matrix[(f * 4 + r) * stride] = *lanes;
        }
    }
}
