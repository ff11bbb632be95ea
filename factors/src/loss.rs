//! The objective that training lowers, summed in f64. For people and tests to look at: no factor depends on it.

use crate::ahead::fetch_row;
use crate::descent::AHEAD;
use crate::factors::Factors;
use crate::lanes::{LANES, Lanes};
use crate::level::{Level, kernel};
use crate::matrix::Matrix;
use crate::parallel::for_each;
use crate::regularisation::Regularisation;
use crate::side::Side;
use crate::vector::Vector;
#[cfg(target_arch = "x86_64")]
use crate::vector::{Avx2, Avx512};

/// Members whose errors are summed together, in order.
const BLOCK: usize = 256;

/// Σ_S w (x·y − t)² + alpha0 Σ_all (x·y)² + Σ_u lambda (n_u + alpha0 N_items)^nu ‖x_u‖² + the same for items.
///
/// S are the pairs of `matrix`, with w = |weight| and t = 1 where the weight is positive, else 0. (Of a matrix of
/// confidences it is the loss of Hu, Koren and Volinsky, equation 3, but for the constant Σ c over disliked pairs.) The sum over
/// all pairs is the sum of the products of the two Gram matrices' elements (Hu, Koren, Volinsky 2008, section 4).
///
/// # Panics
///
/// Where the factors' rows do not match the matrix, or their ranks differ.
pub fn loss(matrix: &Matrix, members: &Factors, items: &Factors, regularisation: Regularisation) -> f64 {
    let level = Level::best();
    let member_side = Side::new(level, members, regularisation, 1);
    let item_side = Side::new(level, items, regularisation, 1);
    let columns = column_counts(matrix);
    Loss { matrix, columns: &columns, threads: 1 }.of((members, &member_side), (items, &item_side))
}

/// How many pairs each item has.
pub(crate) fn column_counts(matrix: &Matrix) -> Vec<usize> {
    let mut counts = vec![0; matrix.items()];
    for member in 0..matrix.members() {
        for &(item, _) in matrix.row(member) {
            counts[item as usize] += 1;
        }
    }
    counts
}

/// What stays the same from one evaluation to the next.
pub(crate) struct Loss<'a> {
    pub(crate) matrix: &'a Matrix,
    pub(crate) columns: &'a [usize],
    pub(crate) threads: usize,
}

impl Loss<'_> {
    /// The loss of these factors, each with its side.
    pub(crate) fn of(
        &self,
        (members, member_side): (&Factors, &Side),
        (items, item_side): (&Factors, &Side),
    ) -> f64 {
        assert_eq!((members.rows(), items.rows()), (self.matrix.members(), self.matrix.items()));
        assert_eq!(members.rank(), items.rank());
        let regularisation = item_side.regularisation;
        let rows = |member: usize| self.matrix.row(member).len();
        self.errors(item_side.level, members, items)
            + f64::from(regularisation.alpha0) * all_pairs(item_side, member_side, items.rank())
            + ridges(members, |member| regularisation.ridge(rows(member), items.rows()))
            + ridges(items, |item| regularisation.ridge(self.columns[item], members.rows()))
    }

    fn errors(&self, level: Level, members: &Factors, items: &Factors) -> f64 {
        let mut sums = vec![0.0; members.rows().div_ceil(BLOCK)];
        for_each(
            self.threads,
            &mut sums,
            || (),
            |(), block, sum| {
                for member in block * BLOCK..((block + 1) * BLOCK).min(members.rows()) {
                    *sum += row_error(level, self.matrix, member, members.row(member), items);
                }
            },
        );
        sums.iter().sum()
    }
}

fn all_pairs(items: &Side, members: &Side, rank: usize) -> f64 {
    let mut sum = 0.0;
    for i in 0..rank {
        for j in i..rank {
            let product = items.gram.element(i, j) * members.gram.element(i, j);
            // What stands above the diagonal stands below it as well.
            sum += if i == j { product } else { 2.0 * product };
        }
    }
    sum
}

fn ridges(factors: &Factors, ridge: impl Fn(usize) -> f64) -> f64 {
    let squares = |row: usize| factors.row(row).iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    (0..factors.rows()).map(|row| ridge(row) * squares(row)).sum()
}

kernel! {
    /// Σ a (x·y)² − 2 b (x·y) + b over one member's pairs; x·y in f32, sixteen lanes added at the end.
    fn row_error(matrix: &Matrix, row: usize, member: &[f32], items: &Factors) -> f64
        = row_error_body::<Avx512>, row_error_body::<Avx2>, row_error_body::<Lanes<f32>>;
}

#[inline(always)]
fn row_error_body<V: Vector<Real = f32>>(
    matrix: &Matrix,
    row: usize,
    member: &[f32],
    items: &Factors,
) -> f64 {
    let entries = matrix.row(row);
    let mut sum = 0.0;
    for (group, some) in entries.chunks(LANES).enumerate() {
        for (item, _) in entries.iter().skip((group + AHEAD) * LANES).take(LANES) {
            fetch_row(items.row(*item as usize));
        }
        let mut tile = [V::zero(); LANES];
        for (first, x) in member.chunks(LANES).enumerate().map(|(panel, x)| (panel * LANES, Lanes::load(x))) {
            let x = V::load(&x);
            for (sum, (item, _)) in tile.iter_mut().zip(some) {
                *sum = sum.fma(x, V::load(&Lanes::load(&items.row(*item as usize)[first..])));
            }
        }
        let mut scores = Lanes::ZERO;
        V::sums(tile).store(&mut scores);
        for (&entry, score) in some.iter().zip(scores.0) {
            let (pair, score) = (matrix.pair(entry), f64::from(score));
            sum += f64::from(pair.a) * score * score + f64::from(pair.b) * (1.0 - 2.0 * score);
        }
    }
    sum
}
