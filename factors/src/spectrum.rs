//! Eigenvalues and eigenvectors of a symmetric matrix: the basis in which a Gram matrix, whatever ridge is added
//! to it, is a diagonal. In f64 and always in the same order of operations, as all that follows from it is stored.

use crate::level::Level;
use crate::strips::{Mirror, Rotation, Strips, Update};

/// A symmetric matrix as `Vᵀ diag(values) V`.
#[derive(Clone, Debug)]
pub(crate) struct Spectrum {
    /// The greatest first.
    pub(crate) values: Vec<f64>,
    /// One eigenvector a row, of length 1, in the order of the values: `rank * rank` numbers.
    pub(crate) vectors: Vec<f64>,
}

/// Steps of QL iteration for one eigenvalue before it is taken as it is; three are usual.
const STEPS: usize = 64;

/// Rotations that are put together before rows are turned by them.
const TOGETHER: usize = 8192;

/// Below this rank more threads than one take longer.
const SHARED_OUT: usize = 512;

impl Spectrum {
    /// Of the symmetric matrix with these elements: Householder's reduction to three diagonals, then QL with
    /// implicit shifts (Golub and Van Loan, Matrix Computations, 4th ed., sections 8.3.1 and 8.3.5; Wilkinson and
    /// Reinsch 1971, contribution II/3).
    ///
    /// Eigenvectors have no part in either, so they are turned afterwards, strip by strip; the same bits on every
    /// number of threads.
    pub(crate) fn of(
        level: Level,
        threads: usize,
        rank: usize,
        element: impl Fn(usize, usize) -> f64,
    ) -> Self {
        Self::by((level, if rank < SHARED_OUT { 1 } else { threads }), rank, element)
    }

    fn by(by: (Level, usize), rank: usize, element: impl Fn(usize, usize) -> f64) -> Self {
        let Reduced { mut values, mut beside, mirrors } = reduce(by, rank, &mut Strips::new(rank, element));
        let mut vectors = Strips::new(rank, |i, j| f64::from(u8::from(i == j)));
        vectors.mirror(by, &mirrors);
        iterate(&mut values, &mut beside, &mut |rotations| vectors.rotate(by, rotations));
        sorted(&values, &vectors)
    }
}

/// A matrix of three diagonals, and the mirrors H that take the matrix it was made of to it, `… H₁ H₀ A H₀ H₁ …`.
struct Reduced {
    values: Vec<f64>,
    beside: Vec<f64>,
    mirrors: Vec<Mirror>,
}

/// Turns a matrix into one of three diagonals. What is left of `matrix` has no meaning.
fn reduce(by: (Level, usize), rank: usize, matrix: &mut Strips) -> Reduced {
    let (mut values, mut beside) = (vec![0.0; rank], vec![0.0; rank]);
    let mut mirrors: Vec<Mirror> = Vec::with_capacity(rank);
    let (mut row, mut x, mut p, mut w) = (vec![0.0; rank], vec![0.0; rank], vec![0.0; rank], vec![0.0; rank]);
    // Whether the rows are still to be turned by the last mirror: that is done on the way to the next one's product.
    let mut due = false;
    for k in 0..rank {
        matrix.copy_row(k, &mut row);
        let update = mirrors.last().filter(|_| due).map(|mirror| Update { v: &mirror.v, w: &w });
        if let Some(Update { v, w }) = &update {
            add(&mut row[k..], -v[k], &w[k..]);
            add(&mut row[k..], -w[k], &v[k..]);
        }
        values[k] = row[k];
        let Some(&head) = row.get(k + 1) else { break };
        let found = mirror(k, &row);
        beside[k] = found.as_ref().map_or(head, |(_, end)| *end);
        x.fill(0.0);
        if let Some((Mirror { beta, v, .. }, _)) = &found {
            x.iter_mut().zip(v).for_each(|(x, v)| *x = beta * v);
        }
        if due || found.is_some() {
            matrix.turn_and_multiply(by, k + 1, update, &x, &mut p);
        }
        due = found.is_some();
        let Some((found, _)) = found else { continue };
        // A ← H A H = A − v wᵀ − w vᵀ with w = p − (beta ÷ 2)(pᵀ v) v and p = beta A v.
        let v = &found.v[k + 1..];
        let half: f64 = 0.5 * found.beta * p[k + 1..].iter().zip(v).map(|(x, y)| x * y).sum::<f64>();
        w[..=k].fill(0.0);
        w[k + 1..].copy_from_slice(&p[k + 1..]);
        add(&mut w[k + 1..], -half, v);
        mirrors.push(found);
    }
    Reduced { values, beside, mirrors }
}

/// `v = x ± |x| e`, of which `H = I − beta v vᵀ` takes the row x behind the k-th number to `∓|x| e`; and that end. None
/// where there is nothing to be done.
fn mirror(k: usize, row: &[f64]) -> Option<(Mirror, f64)> {
    let square: f64 = row[k + 1..].iter().map(|x| x * x).sum();
    let head = row[k + 1];
    let norm = square.sqrt();
    if square - head * head <= 0.0 || !norm.is_finite() {
        return None;
    }
    let end = if head > 0.0 { -norm } else { norm };
    let mut v = row.to_vec();
    v[..=k].fill(0.0);
    v[k + 1] = head - end;
    Some((Mirror { beta: 1.0 / (norm * (norm + head.abs())), v, zeros: k + 1 }, end))
}

/// Adds `x * y` to `to`.
fn add(to: &mut [f64], x: f64, y: &[f64]) {
    for (to, y) in to.iter_mut().zip(y) {
        *to += x * y;
    }
}

/// QL iteration until nothing stands beside the diagonal. What turns the rows of eigenvectors is handed to `turn`.
fn iterate(values: &mut [f64], beside: &mut [f64], turn: &mut dyn FnMut(&[Rotation])) {
    let (rank, mut rotations) = (values.len(), Vec::with_capacity(2 * TOGETHER));
    for l in 0..rank {
        for _ in 0..STEPS {
            let small =
                |m: &usize| beside[*m].abs() <= f64::EPSILON * (values[*m].abs() + values[*m + 1].abs());
            let m = (l..rank - 1).find(small).unwrap_or(rank - 1);
            if m == l {
                break;
            }
            step((l, m), values, beside, &mut rotations);
            if rotations.len() >= TOGETHER {
                turn(&rotations);
                rotations.clear();
            }
        }
    }
    turn(&rotations);
}

/// One sweep of rotations from row m up to row l.
fn step((l, m): (usize, usize), values: &mut [f64], beside: &mut [f64], rotations: &mut Vec<Rotation>) {
    let shift = (values[l + 1] - values[l]) / (2.0 * beside[l]);
    let root = (shift * shift + 1.0).sqrt();
    let mut g = values[m] - values[l] + beside[l] / (shift + if shift < 0.0 { -root } else { root });
    let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
    for i in (l..m).rev() {
        let (f, b) = (s * beside[i], c * beside[i]);
        let root = (f * f + g * g).sqrt();
        beside[i + 1] = root;
        if root == 0.0 {
            values[i + 1] -= p;
            beside[m] = 0.0;
            return;
        }
        (s, c) = (f / root, g / root);
        g = values[i + 1] - p;
        let r = (values[i] - g) * s + 2.0 * c * b;
        p = s * r;
        values[i + 1] = g + p;
        g = c * r - b;
        rotations.push(Rotation { i, c, s });
    }
    values[l] -= p;
    beside[l] = g;
    beside[m] = 0.0;
}

fn sorted(values: &[f64], vectors: &Strips) -> Spectrum {
    let rank = values.len();
    let mut order: Vec<usize> = (0..rank).collect();
    order.sort_by(|&i, &j| values[j].total_cmp(&values[i]));
    let mut sorted = vec![0.0; rank * rank];
    for (to, &i) in sorted.chunks_exact_mut(rank).zip(&order) {
        vectors.copy_row(i, to);
    }
    Spectrum { values: order.iter().map(|&i| values[i]).collect(), vectors: sorted }
}

#[cfg(test)]
#[path = "spectrum_tests.rs"]
mod tests;
