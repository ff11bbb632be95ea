//! The numbers that are searched for, where they are looked for at first, and what a step away from a point is.

use std::collections::BTreeMap;

use super::settings::Settings;
use super::shape::Shape;
use crate::config::{MAX_WEIGHT, Transform};

/// One number that is searched for.
#[derive(Debug, Clone, PartialEq)]
pub enum Dimension {
    /// The mean ridge, in mean weights: lambda, whatever alpha0 and nu are.
    Ridge,
    /// alpha0, in mean weights.
    Alpha0,
    /// nu.
    Nu,
    /// One of these ranks.
    Rank(Vec<usize>),
    /// One of these transforms.
    Transform(Vec<Transform>),
    /// The weight of a kind; its sign stays.
    Weight(String),
}

/// A point of the space: a number for every dimension; of a choice, its place in the list.
pub type Point = Vec<f64>;

/// Where the mean ridge is looked for at first, in mean weights.
const RIDGES: (f64, f64) = (0.01, 30.0);
/// Where alpha0 is looked for at first, in mean weights.
const ALPHA0S: (f64, f64) = (0.003, 3.0);
/// Where nu is looked for at first.
const NUS: (f64, f64) = (0.0, 1.0);
/// How far below and above its own the weight of a kind is looked for at first.
const WEIGHTS: (f64, f64) = (0.125, 8.0);

/// What is searched, and how a point of it becomes settings.
#[derive(Debug, Clone)]
pub struct Space {
    /// The numbers that are searched for.
    pub dimensions: Vec<Dimension>,
    base: Settings,
    /// The shape of the log under each transform.
    shapes: Vec<(Transform, Shape)>,
}

impl Space {
    /// The space around `base`. `shapes` are those of the log under every transform that is searched, and that of `base`.
    pub fn new(dimensions: Vec<Dimension>, base: Settings, shapes: Vec<(Transform, Shape)>) -> Self {
        Space { dimensions, base, shapes }
    }

    /// What the search begins from.
    pub fn base_settings(&self) -> &Settings {
        &self.base
    }

    /// The point that this is.
    pub fn base(&self) -> Point {
        let shape = self.shape(self.base.transform);
        let Settings { alpha0, lambda, nu, .. } = self.base;
        let number = |dimension: &Dimension| match dimension {
            Dimension::Ridge => lambda * shape.mean_size(alpha0, nu) / shape.weight,
            Dimension::Alpha0 => alpha0 / shape.weight,
            Dimension::Nu => nu,
            Dimension::Rank(ranks) => place(ranks, &self.base.rank),
            Dimension::Transform(transforms) => place(transforms, &self.base.transform),
            Dimension::Weight(kind) => self.base.weights[kind],
        };
        self.dimensions.iter().map(number).collect()
    }

    /// The point at a place in the unit cube.
    pub fn at(&self, unit: &[f64]) -> Point {
        let number = |(dimension, &unit): (&Dimension, &f64)| {
            let log = |(low, high): (f64, f64)| low * libm::pow(high / low, unit);
            match dimension {
                Dimension::Ridge => log(RIDGES),
                Dimension::Alpha0 => log(ALPHA0S),
                Dimension::Nu => NUS.0 + (NUS.1 - NUS.0) * unit,
                Dimension::Rank(ranks) => (unit * ranks.len() as f64).floor(),
                Dimension::Transform(transforms) => (unit * transforms.len() as f64).floor(),
                Dimension::Weight(kind) => self.base.weights[kind] * log(WEIGHTS),
            }
        };
        self.dimensions.iter().zip(unit).map(number).collect()
    }

    /// The point a step away along one dimension, up or down; `size` is 1 at first and smaller later. None where there is
    /// no such point.
    pub fn step(&self, from: &Point, dimension: usize, up: bool, size: f64) -> Option<Point> {
        let sign = if up { 1.0 } else { -1.0 };
        let mut to = from.clone();
        let number = &mut to[dimension];
        match &self.dimensions[dimension] {
            Dimension::Nu => *number = (*number + sign * 0.2 * size).clamp(0.0, 2.0),
            Dimension::Rank(choices) => *number = within(*number + sign, choices.len())?,
            Dimension::Transform(choices) => *number = within(*number + sign, choices.len())?,
            Dimension::Weight(_) => {
                *number = (*number * libm::exp2(sign * size)).clamp(-MAX_WEIGHT, MAX_WEIGHT);
            }
            Dimension::Ridge | Dimension::Alpha0 => *number *= libm::exp2(sign * size),
        }
        Some(to)
    }

    /// What a point stands for, in numbers of three digits.
    pub fn settings(&self, point: &Point) -> Settings {
        let mut settings = self.base.clone();
        let mut ridge = None;
        // The transform first: the mean weight depends on it.
        for (dimension, number) in self.dimensions.iter().zip(point) {
            if let Dimension::Transform(transforms) = dimension {
                settings.transform = transforms[*number as usize];
            }
        }
        let shape = self.shape(settings.transform);
        let mut weights = BTreeMap::new();
        for (dimension, number) in self.dimensions.iter().zip(point) {
            match dimension {
                Dimension::Ridge => ridge = Some(number * shape.weight),
                Dimension::Alpha0 => settings.alpha0 = three_digits(number * shape.weight).min(1e6),
                Dimension::Nu => settings.nu = (number * 100.0).round() / 100.0,
                Dimension::Rank(ranks) => settings.rank = ranks[*number as usize],
                Dimension::Weight(kind) => {
                    weights.insert(kind.clone(), three_digits(*number));
                }
                Dimension::Transform(_) => {}
            }
        }
        settings.weights.extend(weights);
        if let Some(ridge) = ridge {
            let lambda = ridge / shape.mean_size(settings.alpha0, settings.nu);
            settings.lambda = three_digits(lambda).clamp(1e-12, 1e6);
        }
        settings
    }

    fn shape(&self, transform: Transform) -> &Shape {
        let found = self.shapes.iter().find(|(own, _)| *own == transform);
        &found.expect("the shape is known under every transform that is searched").1
    }
}

fn place<T: PartialEq>(choices: &[T], choice: &T) -> f64 {
    let place = choices.iter().position(|own| own == choice);
    place.expect("what the search begins from is among the choices") as f64
}

fn within(place: f64, choices: usize) -> Option<f64> {
    (0.0..choices as f64).contains(&place).then_some(place)
}

/// Rounded to three digits, as a person would write it.
fn three_digits(number: f64) -> f64 {
    format!("{number:.2e}").parse().expect("a number that was written can be read")
}
