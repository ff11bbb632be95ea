//! Scoring and choosing in one pass: the scores of a few members for a few items live in registers and are
//! compared at once with each member's bar, so the matrix of scores is never written.

use crate::bitmap::Bitmap;
use crate::factors::Factors;
use crate::keeper::{Keeper, Scored};
use crate::lanes::{LANES, Lanes, panels};
use crate::level::{Level, kernel};

/// Members whose scores are held in registers together.
const TOGETHER: usize = 4;

/// Members that go through all items in one pass: their factors stay in the first cache.
const GROUP: usize = 64;

/// Tiles are padded to a multiple of this many, the most a kernel takes at once.
const TILES: usize = 2;

/// Item factors laid out for scoring: tile t holds items 16t … 16t + 15 as `rank` groups of lanes, group k being
/// their k-th numbers.
pub(crate) struct Tiles {
    rank: usize,
    rows: usize,
    lanes: Vec<Lanes<f32>>,
}

impl Tiles {
    pub(crate) fn new(items: &Factors) -> Self {
        let (rank, rows) = (items.rank(), items.rows());
        let mut lanes = vec![Lanes::ZERO; panels(rows).next_multiple_of(TILES) * rank];
        for (item, row) in items.as_slice().chunks_exact(rank).enumerate() {
            let tile = &mut lanes[item / LANES * rank..][..rank];
            for (to, &from) in tile.iter_mut().zip(row) {
                to.0[item % LANES] = from;
            }
        }
        Tiles { rank, rows, lanes }
    }

    /// The best `k` for each row of `members`, as [`ItemSide::select`](crate::ItemSide::select) says.
    pub(crate) fn select(
        &self,
        level: Level,
        members: &[f32],
        excluded: &[&[u32]],
        available: &Bitmap,
        k: usize,
        out: &mut [Vec<Scored>],
    ) {
        let k = k.min(self.rows);
        if k == 0 {
            out.iter_mut().for_each(Vec::clear);
            return;
        }
        let groups = members.chunks(GROUP * self.rank).zip(excluded.chunks(GROUP));
        for ((members, excluded), lists) in groups.zip(out.chunks_mut(GROUP)) {
            let mut keepers: Vec<Keeper<'_>> = excluded.iter().map(|items| Keeper::new(k, items)).collect();
            pass(level, self, &side_by_side(members, self.rank), &mut keepers, available);
            for (keeper, list) in keepers.into_iter().zip(lists) {
                keeper.finish(list);
            }
        }
    }
}

/// Blocks of `TOGETHER` members as `rank` groups of their k-th numbers; zeros where the last block is short.
fn side_by_side(members: &[f32], rank: usize) -> Vec<[f32; TOGETHER]> {
    let count = members.len() / rank;
    let mut blocks = vec![[0.0; TOGETHER]; count.div_ceil(TOGETHER) * rank];
    for (m, member) in members.chunks_exact(rank).enumerate() {
        for (to, &from) in blocks[m / TOGETHER * rank..].iter_mut().zip(member) {
            to[m % TOGETHER] = from;
        }
    }
    blocks
}

kernel! {
    fn pass(tiles: &Tiles, blocks: &[[f32; TOGETHER]], keepers: &mut [Keeper<'_>], available: &Bitmap)
        = pass_body::<2>, pass_body::<1>, pass_body::<1>;
}

/// Shows all items to all keepers, `WIDTH` tiles at a time. `WIDTH` divides [`TILES`].
#[inline(always)]
fn pass_body<const WIDTH: usize>(
    tiles: &Tiles,
    blocks: &[[f32; TOGETHER]],
    keepers: &mut [Keeper<'_>],
    available: &Bitmap,
) {
    let rank = tiles.rank;
    for (number, some) in tiles.lanes.chunks_exact(WIDTH * rank).enumerate() {
        for (block, keepers) in blocks.chunks_exact(rank).zip(keepers.chunks_mut(TOGETHER)) {
            let scores = score::<WIDTH>(some, block);
            for (t, scores) in scores.iter().enumerate() {
                let first = ((number * WIDTH + t) * LANES) as u32;
                for (keeper, scores) in keepers.iter_mut().zip(scores) {
                    if reaches(scores, keeper.bar) {
                        keeper.offer(first, scores, available);
                    }
                }
            }
        }
    }
}

/// The scores of `WIDTH` tiles for one block of members: for each, one chain over k from zero.
#[inline(always)]
fn score<const WIDTH: usize>(
    tiles: &[Lanes<f32>],
    block: &[[f32; TOGETHER]],
) -> [[Lanes<f32>; TOGETHER]; WIDTH] {
    let rank = block.len();
    let mut scores = [[Lanes::ZERO; TOGETHER]; WIDTH];
    let mut tile = [&tiles[..rank]; WIDTH];
    for t in 1..WIDTH {
        tile[t] = &tiles[t * rank..][..rank];
    }
    for k in 0..rank {
        for t in 0..WIDTH {
            for m in 0..TOGETHER {
                scores[t][m].add_product(block[k][m], &tile[t][k]);
            }
        }
    }
    scores
}

/// Whether any score is at or above the bar.
#[inline(always)]
fn reaches(scores: &Lanes<f32>, bar: f32) -> bool {
    let mut any = false;
    for l in 0..LANES {
        any |= scores.0[l] >= bar;
    }
    any
}
