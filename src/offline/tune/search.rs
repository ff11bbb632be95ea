//! Which point is tried next: first where the search began, then points spread over the whole space, then steps from the
//! best one along one dimension after the other.
//!
//! The points that come are a function of the seed and of how good those before were, and not of how many there will be:
//! a search of ten trials is the beginning of one of a hundred.

use super::settings::Settings;
use super::space::{Point, Space};

/// Steps begin at this size,
const FIRST_STEP: f64 = 1.0;
/// are this much smaller whenever none of them was better,
const SMALLER: f64 = 0.5;
/// and the search has settled where they would be smaller than this.
const LAST_STEP: f64 = 0.2;

/// A search under way.
pub struct Search {
    space: Space,
    /// Where in the unit cube the spread begins, and how far it goes on each time.
    spread: Vec<(f64, f64)>,
    tried: Vec<Settings>,
    /// The point that is being tried, and whether it is a step from the best one.
    current: Option<(Point, bool)>,
    best: Option<(f64, Point)>,
    /// How many points were taken from the spread so far.
    spread_out: usize,
    steps: Steps,
}

/// Where the steps from the best point have come.
struct Steps {
    size: f64,
    dimension: usize,
    up: bool,
    /// How many steps in a row were no better: after one in every direction they become smaller.
    in_vain: usize,
}

impl Search {
    /// A search from the base of a space.
    pub fn new(space: Space, seed: u64) -> Self {
        let spread = spread(space.dimensions.len(), seed);
        let steps = Steps { size: FIRST_STEP, dimension: 0, up: true, in_vain: 0 };
        Search { space, spread, tried: Vec::new(), current: None, best: None, spread_out: 0, steps }
    }

    /// What to try next; none where the search has settled. Nothing is tried twice.
    pub fn next(&mut self) -> Option<Settings> {
        if self.tried.is_empty() {
            // As written, to the digit, and not rounded.
            self.current = Some((self.space.base(), false));
            self.tried.push(self.space.base_settings().clone());
            return self.tried.last().cloned();
        }
        loop {
            let (point, stepped) = self.next_point()?;
            let settings = self.space.settings(&point);
            if !self.tried.contains(&settings) {
                self.tried.push(settings.clone());
                self.current = Some((point, stepped));
                return Some(settings);
            }
            if stepped {
                self.steps.turn(self.space.dimensions.len());
            }
        }
    }

    /// How good that was; none where nothing came of it. Whether it is the best so far.
    pub fn tell(&mut self, figure: Option<f64>) -> bool {
        let Some((point, stepped)) = self.current.take() else { return false };
        let better = figure.filter(|figure| self.best.as_ref().is_none_or(|(best, _)| figure > best));
        match better {
            Some(figure) => {
                self.best = Some((figure, point));
                // A step that was better is gone on with, in the same direction.
                self.steps.in_vain = 0;
            }
            None if stepped => self.steps.turn(self.space.dimensions.len()),
            None => {}
        }
        better.is_some()
    }

    fn next_point(&mut self) -> Option<(Point, bool)> {
        let dimensions = self.space.dimensions.len();
        if dimensions == 0 {
            return None;
        }
        if self.spread_out < 8 + 2 * dimensions {
            self.spread_out += 1;
            let along = self.spread_out as f64;
            let unit: Vec<f64> = self.spread.iter().map(|(from, by)| (from + along * by).fract()).collect();
            return Some((self.space.at(&unit), false));
        }
        let best = self.best.as_ref().map_or_else(|| self.space.base(), |(_, best)| best.clone());
        loop {
            if self.steps.in_vain >= 2 * dimensions {
                self.steps.size *= SMALLER;
                self.steps.in_vain = 0;
            }
            if self.steps.size < LAST_STEP {
                return None;
            }
            let Steps { size, dimension, up, .. } = self.steps;
            match self.space.step(&best, dimension, up, size) {
                Some(point) => return Some((point, true)),
                None => self.steps.turn(dimensions),
            }
        }
    }
}

impl Steps {
    /// That was in vain: the other direction, then the next dimension.
    fn turn(&mut self, dimensions: usize) {
        self.in_vain += 1;
        if !self.up {
            self.dimension = (self.dimension + 1) % dimensions;
        }
        self.up = !self.up;
    }
}

/// For each dimension a beginning drawn by the seed and a stride: multiples of powers of the generalised golden ratio
/// cover a cube evenly, however many are taken (Roberts: The unreasonable effectiveness of quasirandom sequences, 2018).
fn spread(dimensions: usize, seed: u64) -> Vec<(f64, f64)> {
    // The root of x^(d + 1) = x + 1 above 1.
    let mut golden = 2f64;
    for _ in 0..64 {
        golden = libm::pow(1.0 + golden, 1.0 / (dimensions as f64 + 1.0));
    }
    let drawn = |dimension: usize| {
        let bytes = blake3::hash(&[seed.to_be_bytes(), (dimension as u64).to_be_bytes()].concat());
        let number = bytes.as_bytes()[..6].iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        number as f64 / (1u64 << 48) as f64
    };
    let stride = |dimension: usize| libm::pow(1.0 / golden, dimension as f64 + 1.0);
    (0..dimensions).map(|dimension| (drawn(dimension), stride(dimension))).collect()
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
