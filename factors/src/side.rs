//! One side of the model as the other side's solves see it: the one function that makes a factor, shared by
//! training, fold-in and explanation. It holds no factors, only what is derived from them.

use crate::cholesky;
use crate::factors::Factors;
use crate::gram::gram;
use crate::lanes::{LANES, Lanes, Real};
use crate::level::Level;
use crate::pair::Pair;
use crate::regularisation::Regularisation;
use crate::system::System;

/// What is derived from a table of factors for solving against it.
pub(crate) struct Side {
    pub(crate) level: Level,
    pub(crate) regularisation: Regularisation,
    /// YᵀY, laid out as [`System::matrix`].
    pub(crate) gram: Vec<Lanes<f64>>,
    /// alpha0 YᵀY, rounded once: where every f32 matrix starts.
    start: Vec<Lanes<f32>>,
}

/// Workspace for solving, kept between calls to spare allocations; it carries nothing from one to the next.
#[derive(Default)]
pub struct Scratch {
    single: Option<System<f32>>,
    double: Option<System<f64>>,
}

impl Scratch {
    /// Workspace that grows when first used.
    pub fn new() -> Self {
        Self::default()
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
        let start = weighted(&gram, regularisation.alpha0);
        Side { level, regularisation, gram, start }
    }

    /// Solves `(alpha0 YᵀY + Σ a y yᵀ + ridge I) x = Σ b y` into `out`. In f32; where that loses a pivot, in
    /// f64 with every sum made anew; where that fails as well, `out` is zeros.
    fn solve(&self, factors: &Factors, pairs: &[Pair], scratch: &mut Scratch, out: &mut [f32]) {
        let system = fitting(&mut scratch.single, factors.rank());
        system.begin(&self.start);
        if self.attempt(factors, pairs, system, out) {
            return;
        }
        let system = fitting(&mut scratch.double, factors.rank());
        system.begin(&weighted(&self.gram, self.regularisation.alpha0));
        if !self.attempt(factors, pairs, system, out) {
            out.fill(0.0);
        }
    }

    fn attempt<T: Real>(
        &self,
        factors: &Factors,
        pairs: &[Pair],
        system: &mut System<T>,
        out: &mut [f32],
    ) -> bool {
        self.fill(factors, pairs, system);
        if !cholesky::solve(self.level, system) {
            return false;
        }
        for (to, from) in out.chunks_mut(LANES).zip(&system.right) {
            for (to, from) in to.iter_mut().zip(&from.0) {
                *to = from.to_f32();
            }
        }
        out.iter().all(|x| x.is_finite())
    }

    fn fill<T: Real>(&self, factors: &Factors, pairs: &[Pair], system: &mut System<T>) {
        system.add_pairs(self.level, factors.as_slice(), pairs);
        system.add_diagonal(T::from_f64(self.regularisation.ridge(pairs.len(), factors.rows())));
    }

    /// The solution of `(alpha0 YᵀY + Σ a y yᵀ + ridge I) x = vector`, in f64 throughout: what is multiplied by large
    /// weights afterwards must be known well. Zeros where even f64 finds the matrix singular.
    pub(crate) fn reach(&self, factors: &Factors, pairs: &[Pair], vector: &[f32]) -> Vec<f64> {
        let mut system = System::<f64>::new(factors.rank());
        system.begin(&weighted(&self.gram, self.regularisation.alpha0));
        self.fill(factors, pairs, &mut system);
        for (to, part) in system.right.iter_mut().zip(vector.chunks(LANES)) {
            *to = Lanes::load(part);
        }
        if !cholesky::solve(self.level, &mut system) {
            return vec![0.0; factors.rank()];
        }
        system.right.iter().flat_map(|lanes| lanes.0).take(factors.rank()).collect()
    }

    /// The factor of a row with these pairs: the solution, or zeros where no pair asks for anything.
    pub(crate) fn factor(&self, factors: &Factors, pairs: &[Pair], scratch: &mut Scratch, out: &mut [f32]) {
        if pairs.iter().all(|pair| pair.b == 0.0) {
            out.fill(0.0);
        } else {
            self.solve(factors, pairs, scratch, out);
        }
    }
}

/// The Gram matrix times alpha0, in f64, rounded to `T`.
fn weighted<T: Real>(gram: &[Lanes<f64>], alpha0: f32) -> Vec<Lanes<T>> {
    let weigh = |lanes: &Lanes<f64>| Lanes(lanes.0.map(|x| T::from_f64(f64::from(alpha0) * x)));
    gram.iter().map(weigh).collect()
}

/// The system in `place`, made anew where its rank is another.
fn fitting<T: Real>(place: &mut Option<System<T>>, rank: usize) -> &mut System<T> {
    if place.as_ref().is_some_and(|system| system.rank != rank) {
        *place = None;
    }
    place.get_or_insert_with(|| System::new(rank))
}
