//! A system in f64, made and solved from the factors as they are: for what must be known well, and where f32 lost a
//! pivot. Slow, and in the way of no solve that went well.

use crate::ahead::Ahead;
use crate::cholesky::{self, Workspace};
use crate::factors::Factors;
use crate::lanes::{LANES, Lanes};
use crate::level::Level;
use crate::pair::Pair;
use crate::regularisation::Regularisation;
use crate::triangle::{Triangle, add_rows};

/// The matrix `alpha0 YᵀY + Σ a y yᵀ + ridge I` of one row.
pub(crate) struct Exact<'a> {
    level: Level,
    factors: &'a Factors,
    matrix: Triangle<f64>,
}

impl<'a> Exact<'a> {
    pub(crate) fn new(
        level: Level,
        factors: &'a Factors,
        gram: &Triangle<f64>,
        regularisation: Regularisation,
        pairs: &[Pair],
    ) -> Self {
        let mut matrix = gram.clone();
        let alpha0 = f64::from(regularisation.alpha0);
        matrix.tiles.iter_mut().flatten().for_each(|lanes| *lanes = lanes.scaled(alpha0));
        let ridge = regularisation.ridge(pairs.len(), factors.rows());
        for k in 0..matrix.panels * LANES {
            *matrix.diagonal(k) = if k < factors.rank() { *matrix.diagonal(k) + ridge } else { 1.0 };
        }
        let mut row = Vec::with_capacity(matrix.panels);
        for pair in pairs {
            let root = f64::from(pair.a).sqrt();
            row.clear();
            row.extend(groups(factors.row(pair.item as usize)).map(|lanes| lanes.scaled(root)));
            add_rows(level, &mut matrix, &row, &Ahead::NONE);
        }
        Exact { level, factors, matrix }
    }

    /// The solution for the right side `Σ b y`; none where even f64 finds the matrix singular.
    pub(crate) fn factor(self, pairs: &[Pair]) -> Option<Vec<f64>> {
        let mut right = vec![Lanes::ZERO; self.matrix.panels];
        for pair in pairs {
            let row = groups::<f64>(self.factors.row(pair.item as usize));
            for (to, y) in right.iter_mut().zip(row) {
                to.add_product(f64::from(pair.b), &y);
            }
        }
        self.solve(right)
    }

    /// The solution for another right side.
    pub(crate) fn reach(self, vector: &[f32]) -> Option<Vec<f64>> {
        self.solve(groups(vector).collect())
    }

    fn solve(mut self, mut right: Vec<Lanes<f64>>) -> Option<Vec<f64>> {
        let solved = cholesky::solve(self.level, &mut self.matrix, &mut right, &mut Workspace::new());
        solved.then(|| right.iter().flat_map(|lanes| lanes.0).take(self.factors.rank()).collect())
    }
}

fn groups<T: crate::lanes::Real>(row: &[f32]) -> impl Iterator<Item = Lanes<T>> + use<'_, T> {
    row.chunks(LANES).map(Lanes::load)
}
