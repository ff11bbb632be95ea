//! Sixteen numbers in registers. A kernel that needs to say what is held in registers, or to move numbers between
//! lanes, is written once against [`Vector`] and built for each instruction set; all its operations are exact or
//! rounded once, lane by lane, so the instruction sets agree to the bit.

use crate::lanes::{LANES, Lanes, Real};

/// Sixteen lanes of one number each, and half as many.
///
/// The types of an instruction set are named by the kernels of that level alone (see [`kernel`](crate::level::kernel)),
/// which run only where the processor has it: that is what makes the `unsafe` in their operations sound.
pub(crate) trait Vector: Copy {
    type Real: Real;
    /// Lanes 8 to 15.
    type Half: Copy;
    /// How many of them the registers hold beside what else a kernel needs; divides [`LANES`].
    const HELD: usize;

    fn load(from: &Lanes<Self::Real>) -> Self;
    fn store(self, to: &mut Lanes<Self::Real>);
    fn splat(x: Self::Real) -> Self;
    /// `x * y + self`.
    fn fma(self, x: Self, y: Self) -> Self;
    fn times(self, y: Self) -> Self;
    /// `self / y`.
    fn over(self, y: Self) -> Self;
    /// Lane `i` in every lane.
    fn lane(self, i: usize) -> Self;
    /// Lanes `first` to `last` − 1 of `other`, the rest of `self`.
    fn with(self, other: Self, first: usize, last: usize) -> Self;
    /// Rows for columns.
    fn transpose(tile: &mut [Self; LANES]);
    /// Which lanes are at or above `bar`: a bit each.
    fn reaching(self, bar: Self::Real) -> u32;

    fn load_half(from: &Lanes<Self::Real>) -> Self::Half;
    fn store_half(half: Self::Half, to: &mut Lanes<Self::Real>);
    /// `x * y + half`, x in every lane.
    fn fma_half(half: Self::Half, x: Self::Real, y: Self::Half) -> Self::Half;

    #[inline(always)]
    fn zero() -> Self {
        Self::splat(Self::Real::ZERO)
    }

    /// The sum of the lanes of each row: rows for columns, then four chains of columns, then those.
    #[inline(always)]
    fn sums(mut tile: [Self; LANES]) -> Self {
        Self::transpose(&mut tile);
        let one = Self::splat(Self::Real::ONE);
        let mut chains = [tile[0], tile[1], tile[2], tile[3]];
        for i in 4..LANES {
            chains[i % 4] = chains[i % 4].fma(one, tile[i]);
        }
        let (x, y) = (chains[0].fma(one, chains[1]), chains[2].fma(one, chains[3]));
        x.fma(one, y)
    }

    /// Sixteen groups.
    #[inline(always)]
    fn load_tile(from: &[Lanes<Self::Real>; LANES]) -> [Self; LANES] {
        let mut tile = [Self::zero(); LANES];
        for r in 0..LANES {
            tile[r] = Self::load(&from[r]);
        }
        tile
    }
}

impl<T: Real> Vector for Lanes<T> {
    type Real = T;
    type Half = [T; LANES / 2];
    const HELD: usize = 4;

    #[inline(always)]
    fn load(from: &Lanes<T>) -> Self {
        *from
    }
    #[inline(always)]
    fn store(self, to: &mut Lanes<T>) {
        *to = self;
    }
    #[inline(always)]
    fn splat(x: T) -> Self {
        Lanes([x; LANES])
    }
    #[inline(always)]
    fn fma(self, x: Self, y: Self) -> Self {
        Lanes(std::array::from_fn(|l| x.0[l].fma(y.0[l], self.0[l])))
    }
    #[inline(always)]
    fn times(self, y: Self) -> Self {
        Lanes(std::array::from_fn(|l| self.0[l] * y.0[l]))
    }
    #[inline(always)]
    fn over(self, y: Self) -> Self {
        Lanes(std::array::from_fn(|l| self.0[l] / y.0[l]))
    }
    #[inline(always)]
    fn lane(self, i: usize) -> Self {
        Self::splat(self.0[i])
    }
    #[inline(always)]
    fn with(self, other: Self, first: usize, last: usize) -> Self {
        Lanes(std::array::from_fn(|l| if (first..last).contains(&l) { other.0[l] } else { self.0[l] }))
    }
    #[inline(always)]
    fn transpose(tile: &mut [Self; LANES]) {
        let from = *tile;
        for (r, row) in tile.iter_mut().enumerate() {
            *row = Lanes(std::array::from_fn(|l| from[l].0[r]));
        }
    }

    #[inline(always)]
    fn reaching(self, bar: T) -> u32 {
        (0..LANES).map(|l| u32::from(self.0[l] >= bar) << l).sum()
    }

    #[inline(always)]
    fn load_half(from: &Lanes<T>) -> Self::Half {
        std::array::from_fn(|l| from.0[LANES / 2 + l])
    }
    #[inline(always)]
    fn store_half(half: Self::Half, to: &mut Lanes<T>) {
        to.0[LANES / 2..].copy_from_slice(&half);
    }
    #[inline(always)]
    fn fma_half(half: Self::Half, x: T, y: Self::Half) -> Self::Half {
        std::array::from_fn(|l| x.fma(y[l], half[l]))
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx2Double, Avx512, Avx512Double};

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "instructions of one level, named by kernels of that level alone")]
mod x86;
