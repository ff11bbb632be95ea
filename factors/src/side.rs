//! One side of the model as the other side's solves see it: the one function that makes a factor, shared by
//! training and fold-in. It holds no factors, only what is derived from them.

use crate::basis::{Basis, Turned};
use crate::cholesky::Workspace;
use crate::descent::{self, Descent};
use crate::dual::Dual;
use crate::exact::Exact;
use crate::factors::Factors;
use crate::gram::gram;
use crate::lanes::{LANES, Lanes};
use crate::level::Level;
use crate::pair::Pair;
use crate::parallel::for_each;
use crate::primal::{BLOCK, Sum};
use crate::regularisation::Regularisation;
use crate::triangle::Triangle;

/// What is derived from a table of factors for solving against it.
pub(crate) struct Side {
    pub(crate) level: Level,
    pub(crate) regularisation: Regularisation,
    /// YᵀY.
    pub(crate) gram: Triangle<f64>,
    pub(crate) basis: Basis,
}

/// Workspace for solving, kept between calls to spare allocations; it carries nothing from one to the next.
pub struct Scratch {
    sum: Sum,
    dual: Dual,
    workspace: Workspace<f32>,
    turned: Turned,
    descent: Descent,
    /// Factors on their way down, in the basis.
    solutions: Vec<Lanes<f32>>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    /// Workspace that grows when first used.
    pub fn new() -> Self {
        Scratch {
            sum: Sum::new(),
            dual: Dual::new(),
            workspace: Workspace::new(),
            turned: Turned::default(),
            descent: Descent::new(),
            solutions: Vec::new(),
        }
    }
}

impl Side {
    pub(crate) fn new(
        level: Level,
        factors: &Factors,
        regularisation: Regularisation,
        threads: usize,
    ) -> Self {
        let gram = gram(level, factors, threads);
        let basis = Basis::new(level, factors, &gram, regularisation, threads);
        Side { level, regularisation, gram, basis }
    }

    /// The factor of a row with these pairs: the solution of `(alpha0 YᵀY + Σ a y yᵀ + ridge I) x = Σ b y`, or
    /// zeros where no pair asks for anything. In f32; where that loses a pivot, in f64 with every sum made
    /// anew; where that fails as well, `out` is zeros.
    ///
    /// `next` are pairs of the row to come, which are fetched meanwhile.
    pub(crate) fn factor(
        &self,
        factors: &Factors,
        (pairs, next): (&[Pair], &[Pair]),
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        if pairs.iter().all(|pair| pair.b == 0.0) {
            out.fill(0.0);
        } else if pairs.len() < self.basis.rank {
            let Scratch { dual, workspace, turned, .. } = scratch;
            let solution = dual.solve(self.level, &self.basis, (pairs, next), workspace);
            self.finish(solution, turned, factors, pairs, out);
        } else {
            let Scratch { sum, workspace, turned, .. } = scratch;
            sum.of(self.level, &self.basis, (pairs, next));
            let ridge = self.regularisation.ridge(pairs.len(), factors.rows());
            let solution = sum.solve(self.level, &self.basis, ridge, workspace);
            self.finish(solution, turned, factors, pairs, out);
        }
    }

    /// Brings the factors of some rows from where they are near to what [`factor`](Self::factor) makes of their pairs,
    /// and says in `near` which. `pairs` are those of all the rows, so many of each as `lengths` says.
    pub(crate) fn improve(
        &self,
        factors: &Factors,
        (mut pairs, lengths): (&[Pair], &[usize]),
        scratch: &mut Scratch,
        near: &mut Vec<bool>,
        out: &mut [f32],
    ) {
        let (panels, Scratch { turned, descent, solutions, .. }) = (self.basis.panels, scratch);
        solutions.resize(lengths.len() * panels, Lanes::ZERO);
        self.basis.turn_in(self.level, out, solutions);
        near.clear();
        for (&length, solution) in lengths.iter().zip(solutions.chunks_exact_mut(panels)) {
            let own;
            (own, pairs) = pairs.split_at(length);
            let serves = length <= descent::MOST_PAIRS && own.iter().any(|pair| pair.b != 0.0);
            let next = &pairs[..pairs.len().min(descent::AHEAD * LANES)];
            let ridge = self.regularisation.ridge(length, factors.rows());
            near.push(serves && descent.improve(self.level, &self.basis, ridge, (own, next), solution));
        }
        self.basis.turn_back(self.level, solutions, turned, out);
    }

    /// [`factor`](Self::factor) of one row whose pairs are shared out among threads: the same to the bit.
    pub(crate) fn factor_of_many(&self, factors: &Factors, pairs: &[Pair], threads: usize, out: &mut [f32]) {
        let mut scratch = Scratch::new();
        if pairs.len() <= BLOCK || pairs.len() < self.basis.rank || pairs.iter().all(|pair| pair.b == 0.0) {
            return self.factor(factors, (pairs, &[]), &mut scratch, out);
        }
        let Scratch { sum, workspace, turned, .. } = &mut scratch;
        let mut sums = vec![Sum::new(); threads];
        for (wave, some) in pairs.chunks(BLOCK * threads).enumerate() {
            let sums = &mut sums[..some.len().div_ceil(BLOCK)];
            for_each(
                threads,
                sums,
                || (),
                |(), number, sum| {
                    let own = some.chunks(BLOCK).nth(number).unwrap_or(&[]);
                    sum.of_block(self.level, &self.basis, (own, &[]));
                },
            );
            for (number, block) in sums.iter().enumerate() {
                if wave == 0 && number == 0 { sum.clone_from(block) } else { sum.add(block) }
            }
        }
        let ridge = self.regularisation.ridge(pairs.len(), factors.rows());
        let solution = sum.solve(self.level, &self.basis, ridge, workspace);
        self.finish(solution, turned, factors, pairs, out);
    }

    fn finish(
        &self,
        solution: Option<&[Lanes<f32>]>,
        turned: &mut Turned,
        factors: &Factors,
        pairs: &[Pair],
        out: &mut [f32],
    ) {
        if let Some(solution) = solution {
            self.basis.turn_back(self.level, solution, turned, out);
            if out.iter().all(|x| x.is_finite()) {
                return;
            }
        }
        match self.exact(factors, pairs).factor(pairs) {
            Some(solution) => out.iter_mut().zip(solution).for_each(|(to, x)| *to = x as f32),
            None => out.fill(0.0),
        }
        if !out.iter().all(|x| x.is_finite()) {
            out.fill(0.0);
        }
    }

    /// The solution of `(alpha0 YᵀY + Σ a y yᵀ + ridge I) x = vector`, in f64 throughout: what is multiplied by large
    /// weights afterwards must be known well. Zeros where even f64 finds the matrix singular.
    pub(crate) fn reach(&self, factors: &Factors, pairs: &[Pair], vector: &[f32]) -> Vec<f64> {
        self.exact(factors, pairs).reach(vector).unwrap_or_else(|| vec![0.0; factors.rank()])
    }

    fn exact<'a>(&self, factors: &'a Factors, pairs: &[Pair]) -> Exact<'a> {
        Exact::new(self.level, factors, &self.gram, self.regularisation, pairs)
    }
}
