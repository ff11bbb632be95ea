//! Scoring and choosing in one pass: the scores of a few members for a few items live in registers and are
//! compared at once with each member's bar, so the matrix of scores is never written.

use crate::bitmap::Bitmap;
use crate::factors::Factors;
use crate::keeper::{Keeper, Scored};
use crate::lanes::{LANES, Lanes, panels};
use crate::level::{Level, kernel};
use crate::vector::Vector;
#[cfg(target_arch = "x86_64")]
use crate::vector::{Avx2, Avx512};

/// Members whose scores are held in registers together, where there is more than one.
const TOGETHER: usize = 4;

/// Members that go through all items in one pass: their factors stay in the first cache.
const GROUP: usize = 64;

/// Tiles are padded to a multiple of this many, the most a kernel takes at once.
const TILES: usize = 8;

/// Item factors laid out for scoring: tile t holds items 16t … 16t + 15 as `rank` groups of lanes, group k being
/// their k-th numbers.
pub(crate) struct Tiles {
    rank: usize,
    lanes: Vec<Lanes<f32>>,
}

impl Tiles {
    pub(crate) fn new(items: &Factors) -> Self {
        let rank = items.rank();
        let mut lanes = vec![Lanes::ZERO; panels(items.rows()).next_multiple_of(TILES) * rank];
        for (item, row) in items.as_slice().chunks_exact(rank).enumerate() {
            let tile = &mut lanes[item / LANES * rank..][..rank];
            for (to, &from) in tile.iter_mut().zip(row) {
                to.0[item % LANES] = from;
            }
        }
        Tiles { rank, lanes }
    }

    /// The best `k` for each row of `members`, as [`ItemSide::select`](crate::ItemSide::select) says.
    /// `k` at least 1.
    pub(crate) fn select(
        &self,
        level: Level,
        members: &[f32],
        excluded: &[&[u32]],
        available: &Bitmap,
        k: usize,
        out: &mut [Vec<Scored>],
    ) {
        let groups = members.chunks(GROUP * self.rank).zip(excluded.chunks(GROUP));
        for ((members, excluded), lists) in groups.zip(out.chunks_mut(GROUP)) {
            let mut keepers: Vec<Keeper<'_>> = excluded.iter().map(|items| Keeper::new(k, items)).collect();
            if keepers.len() == 1 {
                pass_one(level, self, &side_by_side(members, self.rank), &mut keepers, available);
            } else {
                pass(level, self, &side_by_side(members, self.rank), &mut keepers, available);
            }
            for (keeper, list) in keepers.into_iter().zip(lists) {
                keeper.finish(list);
            }
        }
    }
}

/// Blocks of `M` members as `rank` groups of their k-th numbers; zeros where the last block is short.
fn side_by_side<const M: usize>(members: &[f32], rank: usize) -> Vec<[f32; M]> {
    let count = members.len() / rank;
    let mut blocks = vec![[0.0; M]; count.div_ceil(M) * rank];
    for (m, member) in members.chunks_exact(rank).enumerate() {
        for (to, &from) in blocks[m / M * rank..].iter_mut().zip(member) {
            to[m % M] = from;
        }
    }
    blocks
}

kernel! {
    fn pass(tiles: &Tiles, blocks: &[[f32; TOGETHER]], keepers: &mut [Keeper<'_>], available: &Bitmap)
        = pass_body::<Avx512, TOGETHER, 4>, pass_body::<Avx2, TOGETHER, 1>, pass_body::<Lanes<f32>, TOGETHER, 1>;
}

kernel! {
    fn pass_one(tiles: &Tiles, blocks: &[[f32; 1]], keepers: &mut [Keeper<'_>], available: &Bitmap)
        = pass_body::<Avx512, 1, 8>, pass_body::<Avx2, 1, 4>, pass_body::<Lanes<f32>, 1, 4>;
}

/// Shows all items to all keepers, `W` tiles at a time. `W` divides [`TILES`].
#[inline(always)]
fn pass_body<V: Vector<Real = f32>, const M: usize, const W: usize>(
    tiles: &Tiles,
    blocks: &[[f32; M]],
    keepers: &mut [Keeper<'_>],
    available: &Bitmap,
) {
    let rank = tiles.rank;
    for (number, some) in tiles.lanes.chunks_exact(W * rank).enumerate() {
        for (block, keepers) in blocks.chunks_exact(rank).zip(keepers.chunks_mut(M)) {
            let scores = score::<V, M, W>(some, block);
            for (t, scores) in scores.iter().enumerate() {
                let first = ((number * W + t) * LANES) as u32;
                for (keeper, scores) in keepers.iter_mut().zip(scores) {
                    if scores.reaches(keeper.bar) {
                        let mut lanes = Lanes::ZERO;
                        scores.store(&mut lanes);
                        keeper.offer(first, &lanes, available);
                    }
                }
            }
        }
    }
}

/// The scores of `W` tiles for one block of members: for each, one chain over k from zero.
#[inline(always)]
fn score<V: Vector<Real = f32>, const M: usize, const W: usize>(
    tiles: &[Lanes<f32>],
    block: &[[f32; M]],
) -> [[V; M]; W] {
    let rank = block.len();
    let mut scores = [[V::zero(); M]; W];
    for k in 0..rank {
        for t in 0..W {
            let y = V::load(&tiles[t * rank + k]);
            for m in 0..M {
                scores[t][m] = scores[t][m].fma(V::splat(block[k][m]), y);
            }
        }
    }
    scores
}
