//! Scoring and choosing in one pass: the scores of a few members for a few items live in registers and are
//! compared at once with each member's bar, so the matrix of scores is never written.

use crate::ahead::fetch;
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

/// Groups of lanes that a cache can be hoped to hold, 8 MB; of more, they are fetched ahead.
const FAR: usize = 1 << 17;

/// Item factors laid out for scoring, by falling norm, so that bars are high early on: tile t holds the items at
/// 16t … 16t + 15 of that order as `rank` groups of lanes, group k being their k-th numbers.
pub(crate) struct Tiles {
    rank: usize,
    /// The items in this order.
    order: Vec<u32>,
    lanes: Vec<Lanes<f32>>,
}

impl Tiles {
    pub(crate) fn new(items: &Factors) -> Self {
        let rank = items.rank();
        let mut lanes = vec![Lanes::ZERO; panels(items.rows()).next_multiple_of(TILES) * rank];
        let order = items.by_norm();
        for (place, &item) in order.iter().enumerate() {
            let tile = &mut lanes[place / LANES * rank..][..rank];
            for (to, &from) in tile.iter_mut().zip(items.row(item as usize)) {
                to.0[place % LANES] = from;
            }
        }
        Tiles { rank, order, lanes }
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
    // Where one member goes through the items alone, nothing else hides the wait for memory.
    let far = M == 1 && tiles.lanes.len() > FAR;
    for (number, some) in tiles.lanes.chunks_exact(W * rank).enumerate() {
        let soon = if far { tiles.lanes.get((number + 1) * W * rank..) } else { None };
        for (block, keepers) in blocks.chunks_exact(rank).zip(keepers.chunks_mut(M)) {
            let scores = score::<V, M, W>(some, block, soon.unwrap_or_default());
            for (t, scores) in scores.iter().enumerate() {
                let first = ((number * W + t) * LANES).min(tiles.order.len());
                let items = &tiles.order[first..(first + LANES).min(tiles.order.len())];
                for (keeper, scores) in keepers.iter_mut().zip(scores) {
                    let reaching = scores.reaching(keeper.bar);
                    if reaching != 0 {
                        let mut lanes = Lanes::ZERO;
                        scores.store(&mut lanes);
                        keeper.offer(items, reaching, &lanes, available);
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
    soon: &[Lanes<f32>],
) -> [[V; M]; W] {
    let rank = block.len();
    let mut scores = [[V::zero(); M]; W];
    for k in 0..rank {
        for t in 0..W {
            let y = V::load(&tiles[t * rank + k]);
            soon.get(t * rank + k).into_iter().for_each(fetch);
            for m in 0..M {
                scores[t][m] = scores[t][m].fma(V::splat(block[k][m]), y);
            }
        }
    }
    scores
}
