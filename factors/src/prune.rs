//! Selecting by way of the sketch: a first pass keeps, for each member, the items whose score may be among the best
//! k, by bounds that hold for certain; these alone are then scored. The list is that of the full scan to the bit.
//!
//! For a member x = x̂ + δ and an item y = ŷ + ε, hats being what eight bits hold, `x·y = x̂·ŷ + δ·y + x̂·ε`, so by
//! Cauchy and Schwarz x·y is within `|δ||y| + |x̂||ε|` of the product of integers `x̂·ŷ`. The rounding of the score's
//! chain, at most rank · 2⁻²⁴ |x||y| (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1),
//! and that of the bounds themselves are added to it.

use crate::ahead::fetch;
use crate::bitmap::Bitmap;
use crate::keeper::Excluded;
use crate::lanes::{LANES, Lanes};
use crate::level::Level;
use crate::sketch::{QUAD, Quads, Rounded, Sketch, above, rounded};

/// One member's search.
pub(crate) struct Query<'a> {
    /// The member's bytes, four to a number.
    steps: Vec<i32>,
    /// −128 times their sum: what the items' 128 add to a product.
    start: i32,
    scale: f32,
    inverse: f32,
    /// What an item's norm and rest are multiplied by in the bound.
    by_norm: f32,
    by_rest: f32,
    /// The member's norm, or a little more.
    norm: f32,
    /// The k-th greatest of the lower bounds so far; an item that cannot reach it is not among the best.
    bar: f32,
    k: usize,
    lower: Vec<f32>,
    candidates: Vec<(f32, u32)>,
    excluded: Excluded<'a>,
}

impl<'a> Query<'a> {
    /// The search for a member's best `k`; none where the sketch cannot bound its scores.
    pub(crate) fn new(factor: &[f32], excluded: &'a [u32], k: usize, quads: usize) -> Option<Self> {
        let Rounded { steps, scale, norm, kept, rest } = rounded(factor)?;
        if norm == 0.0 {
            return None;
        }
        let mut bytes = vec![0i8; quads * QUAD];
        bytes[..steps.len()].copy_from_slice(&steps);
        let quad = |quad: &[i8; QUAD]| i32::from_le_bytes(quad.map(|step| step as u8));
        let sum: i32 = steps.iter().map(|&step| i32::from(step)).sum();
        // Chains, products and bounds are rounded fewer than rank + 64 times in all.
        let rounding = (factor.len() + 64) as f64 * f64::from(f32::EPSILON);
        Some(Query {
            steps: bytes.as_chunks::<QUAD>().0.iter().map(quad).collect(),
            start: -128 * sum,
            scale,
            inverse: 1.0 / scale,
            by_norm: above((rest + rounding * norm) * 1.0001),
            by_rest: above(kept * 1.0001),
            norm: above(norm * 1.0001),
            bar: f32::NEG_INFINITY,
            k,
            lower: Vec::with_capacity(2 * k),
            candidates: Vec::with_capacity(4 * k),
            excluded: Excluded::new(excluded),
        })
    }

    /// Whether an item of this norm, or of a smaller one, may still reach the bar.
    #[inline(always)]
    fn may_reach(&self, most_norm: f32) -> bool {
        self.norm * most_norm >= self.bar
    }

    /// Takes those of the sixteen items from `first` on whose bit is set in `reaching`.
    #[inline(never)]
    fn offer_all(
        &mut self,
        sketch: &Sketch,
        first: usize,
        mut reaching: u32,
        products: &[i32; LANES],
        available: &Bitmap,
    ) {
        while reaching != 0 {
            let l = reaching.trailing_zeros() as usize;
            reaching &= reaching - 1;
            self.offer(sketch, first + l, products[l], available);
        }
    }

    /// Takes an item whose product with the member, in steps, is `product`.
    fn offer(&mut self, sketch: &Sketch, place: usize, product: i32, available: &Bitmap) {
        let Some(&item) = sketch.items.get(place) else { return };
        let (bounds, l) = (&sketch.bounds[place / LANES], place % LANES);
        let about = product as f32 * bounds.scale.0[l] * self.scale;
        let error = self.by_norm * bounds.norm.0[l] + self.by_rest * bounds.rest.0[l];
        let most = about + error;
        if most < self.bar || !available.contains(item) || self.excluded.contains(item) {
            return;
        }
        self.candidates.push((most, item));
        self.lower.push(about - error);
        if self.lower.len() == 2 * self.k {
            self.raise();
        }
    }

    fn raise(&mut self) {
        if self.lower.len() >= self.k {
            let (_, &mut last, _) = self.lower.select_nth_unstable_by(self.k - 1, |x, y| y.total_cmp(x));
            self.lower.truncate(self.k);
            self.bar = last;
        }
    }

    /// The candidates, all of the best among them.
    pub(crate) fn finish(mut self) -> Vec<u32> {
        self.raise();
        let reaching = self.candidates.into_iter().filter(|(most, _)| *most >= self.bar);
        reaching.map(|(_, item)| item).collect()
    }
}

/// How many rounds of a pass items are fetched ahead.
const AHEAD: usize = 1;

/// Members whose products are held in registers together, and tiles. The product divides [`LANES`].
const MANY: usize = 8;
const FEW: usize = 4;

/// Shows all items to all queries, until none of them may be reached any more.
pub(crate) fn pass(level: Level, sketch: &Sketch, queries: &mut [Query<'_>], available: &Bitmap) {
    #[cfg(target_arch = "x86_64")]
    if level.multiplies_bytes() {
        // SAFETY: the level says that the processor has the instructions.
        #[expect(unsafe_code, reason = "instructions that the level was seen to have")]
        return unsafe {
            match queries.len() {
                1 => x86::pass::<1, 8>(sketch, queries, available),
                2..=FEW => x86::pass::<FEW, 4>(sketch, queries, available),
                _ => x86::pass::<MANY, 2>(sketch, queries, available),
            }
        };
    }
    let _ = level;
    pass_body::<[i32; LANES], FEW, 2>(sketch, queries, available);
}

/// Sixteen sums of products, one an item.
trait Products: Copy {
    fn start(with: i32) -> Self;
    /// Adds the products of one quad of each item with one quad of a member.
    fn add(self, items: &Quads, steps: i32) -> Self;
    /// Which of them, times `scale`, are at or above the threshold: a bit each.
    fn reaching(self, scale: &Lanes<f32>, threshold: f32) -> u32;
    fn all(self) -> [i32; LANES];
}

impl Products for [i32; LANES] {
    #[inline(always)]
    fn start(with: i32) -> Self {
        [with; LANES]
    }
    #[inline(always)]
    fn add(mut self, items: &Quads, steps: i32) -> Self {
        for (l, sum) in self.iter_mut().enumerate() {
            for (k, step) in steps.to_le_bytes().into_iter().enumerate() {
                *sum += i32::from(items.0[l * QUAD + k]) * i32::from(step as i8);
            }
        }
        self
    }
    #[inline(always)]
    fn reaching(self, scale: &Lanes<f32>, threshold: f32) -> u32 {
        let reaches = |l: usize| u32::from(self[l] as f32 * scale.0[l] >= threshold) << l;
        (0..LANES).map(reaches).sum()
    }
    #[inline(always)]
    fn all(self) -> [i32; LANES] {
        self
    }
}

/// What a pass keeps at hand of `M` queries.
struct Block<const M: usize> {
    /// For each quad, that of every member.
    steps: Vec<[i32; M]>,
    start: [i32; M],
    bar: [f32; M],
    by_norm: [f32; M],
    by_rest: [f32; M],
    inverse: [f32; M],
}

impl<const M: usize> Block<M> {
    /// Members past the end of `queries` have a bar that nothing reaches.
    fn new(queries: &[Query<'_>], quads: usize) -> Self {
        let mut block = Block {
            steps: vec![[0; M]; quads],
            start: [0; M],
            bar: [f32::INFINITY; M],
            by_norm: [0.0; M],
            by_rest: [0.0; M],
            inverse: [1.0; M],
        };
        for (m, query) in queries.iter().enumerate() {
            for (to, from) in block.steps.iter_mut().zip(&query.steps) {
                to[m] = *from;
            }
            block.start[m] = query.start;
            block.bar[m] = query.bar;
            block.by_norm[m] = query.by_norm;
            block.by_rest[m] = query.by_rest;
            block.inverse[m] = query.inverse;
        }
        block
    }

    /// For each member, what no product of steps below may reach the bar with, steps being in the items' scale.
    #[inline(always)]
    fn thresholds(&self, most_norm: f32, most_rest: f32) -> [f32; M] {
        let mut thresholds = [0.0; M];
        for (m, threshold) in thresholds.iter_mut().enumerate() {
            let bound = self.by_norm[m] * most_norm + self.by_rest[m] * most_rest;
            let about = (self.bar[m] - bound) * self.inverse[m];
            // What these few operations round.
            *threshold = about - about.abs() * 1e-5 - bound * self.inverse[m] * 1e-5;
        }
        thresholds
    }
}

#[inline(always)]
fn pass_body<P: Products, const M: usize, const W: usize>(
    sketch: &Sketch,
    queries: &mut [Query<'_>],
    available: &Bitmap,
) {
    let quads = sketch.quads;
    let mut blocks: Vec<Block<M>> = queries.chunks(M).map(|queries| Block::new(queries, quads)).collect();
    for (number, tiles) in sketch.tiles.chunks_exact(W * quads).enumerate() {
        // The wait for the items is most of the time where few members go through very many of them.
        let soon = sketch.tiles.get((number + AHEAD) * W * quads..).unwrap_or_default();
        soon.iter().take(W * quads).for_each(fetch);
        let bounds = &sketch.bounds[number * W..][..W];
        let mut any = false;
        for (block, queries) in blocks.iter_mut().zip(queries.chunks_mut(M)) {
            if !queries.iter().any(|query| query.may_reach(bounds[0].most_norm)) {
                continue;
            }
            any = true;
            let mut sums = [block.start.map(P::start); W];
            for (k, steps) in block.steps.iter().enumerate() {
                for w in 0..W {
                    for m in 0..M {
                        sums[w][m] = sums[w][m].add(&tiles[w * quads + k], steps[m]);
                    }
                }
            }
            for w in 0..W {
                let thresholds = block.thresholds(bounds[w].most_norm, bounds[w].most_rest);
                for m in 0..M {
                    let reaching = sums[w][m].reaching(&bounds[w].scale, thresholds[m]);
                    if reaching != 0 {
                        let query = &mut queries[m];
                        query.offer_all(
                            sketch,
                            (number * W + w) * LANES,
                            reaching,
                            &sums[w][m].all(),
                            available,
                        );
                        block.bar[m] = query.bar;
                    }
                }
            }
        }
        if !any {
            break;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    #![expect(unsafe_code, reason = "instructions that the caller's level was seen to have")]

    use std::arch::x86_64::*;

    use super::{Bitmap, LANES, Lanes, Products, Quads, Query, Sketch, pass_body};

    /// [`super::pass`] where the processor multiplies bytes by fours.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512vnni")]
    pub(super) fn pass<const M: usize, const W: usize>(
        sketch: &Sketch,
        queries: &mut [Query<'_>],
        available: &Bitmap,
    ) {
        pass_body::<Bytes, M, W>(sketch, queries, available);
    }

    /// Named by [`pass`] alone.
    #[derive(Clone, Copy)]
    struct Bytes(__m512i);

    // SAFETY of every block: `pass` alone names the type, and it runs only where the processor has the instructions;
    // a load reads the 64 bytes of `Quads` or `Lanes`.
    impl Products for Bytes {
        #[inline(always)]
        fn start(with: i32) -> Self {
            // SAFETY: see above.
            Bytes(unsafe { _mm512_set1_epi32(with) })
        }
        #[inline(always)]
        fn add(self, items: &Quads, steps: i32) -> Self {
            // SAFETY: see above.
            unsafe {
                let items = _mm512_load_si512(items.0.as_ptr().cast());
                Bytes(_mm512_dpbusd_epi32(self.0, items, _mm512_set1_epi32(steps)))
            }
        }
        #[inline(always)]
        fn reaching(self, scale: &Lanes<f32>, threshold: f32) -> u32 {
            // SAFETY: see above.
            unsafe {
                let products = _mm512_mul_ps(_mm512_cvtepi32_ps(self.0), _mm512_load_ps(scale.0.as_ptr()));
                u32::from(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(products, _mm512_set1_ps(threshold)))
            }
        }
        #[inline(always)]
        fn all(self) -> [i32; LANES] {
            let mut all = [0; LANES];
            // SAFETY: see above.
            unsafe { _mm512_storeu_si512(all.as_mut_ptr().cast(), self.0) }
            all
        }
    }
}
