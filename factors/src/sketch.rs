//! Item factors in eight bits, for a first pass that reads a quarter of the bytes and multiplies four times as many
//! numbers at once. It only says how large a score may be at most and at least; what is returned is scored by the one
//! score function.
//!
//! Items stand in the order of their norms, the greatest first, so that a pass can end where no item left may reach
//! the bar (Teflioudi, Gemulla: Exact and Approximate Maximum Inner Product Search with LEMP, TODS 2016, section 3).

use crate::factors::Factors;
use crate::lanes::{LANES, Lanes};

/// Numbers of one item that are multiplied at once.
pub(crate) const QUAD: usize = 4;

/// Tiles are padded to a multiple of this many, the most that a pass takes at once.
const TILES: usize = 8;

/// Norms that are neither zero nor within these bounds are left to the full scan, where nothing can overflow or
/// vanish unseen.
const LEAST: f64 = 1e-12;
const MOST: f64 = 1e12;

/// One quad of each of sixteen items, as bytes: a number and 128.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Quads(pub(crate) [u8; QUAD * LANES]);

/// What bounds the scores of sixteen items.
pub(crate) struct Bounds {
    /// What one step of an item's bytes is worth; 0 past the end.
    pub(crate) scale: Lanes<f32>,
    /// The items' norms, or a little more.
    pub(crate) norm: Lanes<f32>,
    /// The norms of what the bytes leave out, or a little more.
    pub(crate) rest: Lanes<f32>,
    /// The greatest of the norms.
    pub(crate) most_norm: f32,
    /// The greatest of the rests.
    pub(crate) most_rest: f32,
}

/// Item factors in eight bits.
pub(crate) struct Sketch {
    /// Quads of one item.
    pub(crate) quads: usize,
    /// Tile t holds `quads` of them.
    pub(crate) tiles: Vec<Quads>,
    /// One a tile.
    pub(crate) bounds: Vec<Bounds>,
    /// The items in this order.
    pub(crate) items: Vec<u32>,
}

/// A factor in eight bits: the numbers, what a step is worth, and the norms of the factor, of the steps and of the
/// rest.
pub(crate) struct Rounded {
    pub(crate) steps: Vec<i8>,
    pub(crate) scale: f32,
    pub(crate) norm: f64,
    pub(crate) kept: f64,
    pub(crate) rest: f64,
}

/// `factor` in eight bits; none where its norm is out of bounds.
pub(crate) fn rounded(factor: &[f32]) -> Option<Rounded> {
    let square = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|x| x * x).sum::<f64>().sqrt();
    let norm = square(&mut factor.iter().map(|&x| f64::from(x)));
    if norm == 0.0 {
        return Some(Rounded { steps: vec![0; factor.len()], scale: 0.0, norm, kept: 0.0, rest: 0.0 });
    }
    if !(LEAST..=MOST).contains(&norm) {
        return None;
    }
    let most = factor.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let scale = most / 127.0;
    let steps: Vec<i8> =
        factor.iter().map(|x| (x / scale).round_ties_even().clamp(-127.0, 127.0) as i8).collect();
    let step = |step: &i8| f64::from(*step) * f64::from(scale);
    let kept = square(&mut steps.iter().map(step));
    let rest = square(&mut factor.iter().zip(&steps).map(|(&x, s)| f64::from(x) - step(s)));
    Some(Rounded { steps, scale, norm, kept, rest })
}

/// The next f32 above, or the number itself where it is zero.
pub(crate) fn above(x: f64) -> f32 {
    if x == 0.0 { 0.0 } else { (x as f32).next_up() }
}

impl Sketch {
    /// None where a norm is out of bounds, or the rank is so great that a product of steps is no exact f32.
    pub(crate) fn new(items: &Factors) -> Option<Self> {
        if items.rank() > 1024 {
            return None;
        }
        let rounded: Vec<Rounded> =
            items.as_slice().chunks_exact(items.rank()).map(rounded).collect::<Option<_>>()?;
        let order = items.by_norm();
        let quads = items.rank().div_ceil(QUAD);
        let count = items.rows().div_ceil(LANES).next_multiple_of(TILES);
        let mut tiles = vec![Quads([128; QUAD * LANES]); count * quads];
        let mut bounds = Vec::with_capacity(count);
        for tile in 0..count {
            let own = order.iter().skip(tile * LANES).take(LANES);
            let mut bound = Bounds {
                scale: Lanes::ZERO,
                norm: Lanes::ZERO,
                rest: Lanes::ZERO,
                most_norm: 0.0,
                most_rest: 0.0,
            };
            for (l, &item) in own.enumerate() {
                let Rounded { steps, scale, norm, rest, .. } = &rounded[item as usize];
                for (k, step) in steps.iter().enumerate() {
                    let quad = &mut tiles[tile * quads + k / QUAD];
                    quad.0[l * QUAD + k % QUAD] = (i16::from(*step) + 128) as u8;
                }
                (bound.scale.0[l], bound.norm.0[l], bound.rest.0[l]) = (*scale, above(*norm), above(*rest));
                bound.most_norm = bound.most_norm.max(above(*norm));
                bound.most_rest = bound.most_rest.max(above(*rest));
            }
            bounds.push(bound);
        }
        Some(Sketch { quads, tiles, bounds, items: order })
    }
}
