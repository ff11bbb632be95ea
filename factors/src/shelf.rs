//! A table of factors to choose from: the one score function, and the best items for a factor by whichever way is
//! quickest. All ways give the same list, to the bit.

use std::sync::OnceLock;

use crate::ahead::fetch_row;
use crate::bitmap::Bitmap;
use crate::factors::Factors;
use crate::keeper::{Scored, best, entry};
use crate::lanes::{LANES, Lanes};
use crate::level::{Level, kernel};
use crate::prune::{self, Query};
use crate::scan::Tiles;
use crate::sketch::Sketch;
use crate::vector::Vector;
#[cfg(target_arch = "x86_64")]
use crate::vector::{Avx2, Avx512};

/// Members that go through all items in one pass.
const GROUP: usize = 64;

/// Where fewer than one item in so many is available, those are scored one by one.
const FEW: usize = 16;

/// A list of more than one item in so many leaves a first pass little to leave out.
const LONG: usize = 8;

/// How lists are selected; they are the same.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The quickest.
    Best,
    /// Every item scored.
    Full,
    /// A first pass in eight bits, at whatever level.
    Pruned,
}

/// What members are to be served from a table.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    /// Row-major.
    pub(crate) members: &'a [f32],
    /// One slice a member, ascending.
    pub(crate) excluded: &'a [&'a [u32]],
    pub(crate) available: &'a Bitmap,
    pub(crate) k: usize,
}

pub(crate) struct Shelf {
    level: Level,
    items: Factors,
    tiles: OnceLock<Tiles>,
    sketch: OnceLock<Option<Sketch>>,
}

impl Shelf {
    pub(crate) fn new(level: Level, items: Factors) -> Self {
        Shelf { level, items, tiles: OnceLock::new(), sketch: OnceLock::new() }
    }

    pub(crate) fn items(&self) -> &Factors {
        &self.items
    }

    /// The score of one item: one chain of fused multiply-adds over k, from zero.
    pub(crate) fn score(&self, member: &[f32], item: u32) -> f32 {
        // Adding zero makes −0 into 0, as in a list.
        score_one(self.level, member, self.items.row(item as usize)) + 0.0
    }

    /// The best of each member, as [`ItemSide::select`](crate::ItemSide::select) says.
    pub(crate) fn select(&self, way: Way, request: Request<'_>, out: &mut [Vec<Scored>]) {
        let (rows, rank) = (self.items.rows(), self.items.rank());
        let k = request.k.min(rows);
        if k == 0 {
            return out.iter_mut().for_each(Vec::clear);
        }
        // Tiles are padded with what is no item.
        let clipped = (request.available.len() > rows).then(|| {
            let mut clipped = Bitmap::full(rows);
            clipped.intersect(request.available);
            clipped
        });
        let request = Request { k, available: clipped.as_ref().unwrap_or(request.available), ..request };
        if way == Way::Best && request.available.count() < rows / FEW {
            return self.one_by_one(request, out);
        }
        let prune = way == Way::Pruned || (self.level.multiplies_bytes() && k < rows / LONG);
        let sketch =
            (prune && way != Way::Full).then(|| self.sketch.get_or_init(|| Sketch::new(&self.items)));
        let Some(sketch) = sketch.and_then(Option::as_ref) else { return self.scan(request, out) };
        let groups = request.members.chunks(GROUP * rank).zip(request.excluded.chunks(GROUP));
        for ((members, excluded), out) in groups.zip(out.chunks_mut(GROUP)) {
            self.prune(sketch, Request { members, excluded, ..request }, out);
        }
    }

    fn scan(&self, request: Request<'_>, out: &mut [Vec<Scored>]) {
        let Request { members, excluded, available, k } = request;
        let tiles = self.tiles.get_or_init(|| Tiles::new(&self.items));
        tiles.select(self.level, members, excluded, available, k, out);
    }

    fn prune(&self, sketch: &Sketch, request: Request<'_>, out: &mut [Vec<Scored>]) {
        let (rank, Request { members, excluded, available, k }) = (self.items.rank(), request);
        let (mut places, mut queries) = (Vec::new(), Vec::new());
        for (place, (member, excluded)) in members.chunks_exact(rank).zip(excluded).enumerate() {
            match Query::new(member, excluded, k, sketch.quads) {
                Some(query) => {
                    places.push(place);
                    queries.push(query);
                }
                None => self.scan(
                    Request { members: member, excluded: &[excluded], ..request },
                    &mut out[place..=place],
                ),
            }
        }
        prune::pass(self.level, sketch, &mut queries, available);
        for (place, query) in places.into_iter().zip(queries) {
            self.score_all(&members[place * rank..][..rank], &query.finish(), k, &mut out[place]);
        }
    }

    fn one_by_one(&self, request: Request<'_>, out: &mut [Vec<Scored>]) {
        let Request { members, excluded, available, k } = request;
        let items: Vec<u32> =
            available.iter().take_while(|item| (*item as usize) < self.items.rows()).collect();
        let mut own = Vec::new();
        for ((member, excluded), list) in members.chunks_exact(self.items.rank()).zip(excluded).zip(out) {
            own.clear();
            own.extend(items.iter().filter(|item| excluded.binary_search(item).is_err()));
            self.score_all(member, &own, k, list);
        }
    }

    /// The best `k` of some items, each scored.
    fn score_all(&self, member: &[f32], items: &[u32], k: usize, list: &mut Vec<Scored>) {
        for &item in items {
            fetch_row(self.items.row(item as usize));
        }
        let mut entries = Vec::with_capacity(items.len());
        let mut scores = Lanes::ZERO;
        for some in items.chunks(LANES) {
            score_some(self.level, member, &self.items, some, &mut scores);
            let scored = some.iter().zip(scores.0).filter(|(_, score)| !score.is_nan());
            entries.extend(scored.map(|(&item, score)| entry(item, score)));
        }
        best(&mut entries, k, list);
    }
}

kernel! {
    fn score_one(member: &[f32], item: &[f32]) -> f32 = score_one_body, score_one_body, score_one_body;
}

#[inline(always)]
fn score_one_body(member: &[f32], item: &[f32]) -> f32 {
    let mut sum = 0.0f32;
    for (x, y) in member.iter().zip(item) {
        sum = x.mul_add(*y, sum);
    }
    sum
}

kernel! {
    /// The scores of up to sixteen items, each the chain of [`score_one`].
    fn score_some(member: &[f32], items: &Factors, some: &[u32], scores: &mut Lanes<f32>)
        = score_some_body::<Avx512>, score_some_body::<Avx2>, score_some_body::<Lanes<f32>>;
}

#[inline(always)]
fn score_some_body<V: Vector<Real = f32>>(
    member: &[f32],
    items: &Factors,
    some: &[u32],
    scores: &mut Lanes<f32>,
) {
    let mut sums = V::zero();
    for (panel, part) in member.chunks(LANES).enumerate() {
        let mut tile = [V::zero(); LANES];
        for (to, &item) in tile.iter_mut().zip(some) {
            *to = V::load(&Lanes::load(&items.row(item as usize)[panel * LANES..]));
        }
        V::transpose(&mut tile);
        for (x, y) in part.iter().zip(tile) {
            sums = sums.fma(V::splat(*x), y);
        }
    }
    sums.store(scores);
}
