//! Sixteen numbers side by side: the unit in which every kernel is written, so that a compiler turns it into
//! one AVX-512 register, two AVX2 registers or a plain loop, with the same bits. Not a vector library: it has
//! the three operations that the kernels need.

use std::ops::{Add, AddAssign, Div, Mul, Neg};

use crate::vector::Vector;

/// How many numbers stand side by side, whatever the processor: part of the meaning of every blocked sum.
pub(crate) const LANES: usize = 16;

/// What the kernels ask of `f32` and `f64`; one text serves both.
pub(crate) trait Real:
    Copy
    + PartialOrd
    + AddAssign
    + Send
    + Sync
    + Add<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// What holds sixteen of them in registers, for each instruction set.
    #[cfg(target_arch = "x86_64")]
    type Avx512: Vector<Real = Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx2: Vector<Real = Self>;
    const ZERO: Self;
    const ONE: Self;
    /// A Cholesky pivot smaller than this share of its diagonal element counts as lost to rounding.
    const LOST_PIVOT: Self;
    fn from_f32(value: f32) -> Self;
    /// `self * y + z`, rounded once.
    fn fma(self, y: Self, z: Self) -> Self;
    fn finite(self) -> bool;
}

macro_rules! real {
    ($real:ty, $avx512:ty, $avx2:ty, $lost_pivot:expr) => {
        impl Real for $real {
            #[cfg(target_arch = "x86_64")]
            type Avx512 = $avx512;
            #[cfg(target_arch = "x86_64")]
            type Avx2 = $avx2;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const LOST_PIVOT: Self = $lost_pivot;
            #[inline(always)]
            fn from_f32(value: f32) -> Self {
                value as $real
            }
            #[inline(always)]
            fn fma(self, y: Self, z: Self) -> Self {
                self.mul_add(y, z)
            }
            #[inline(always)]
            fn finite(self) -> bool {
                self.is_finite()
            }
        }
    };
}

// 2^-16 leaves about 2^-8 of a lost direction to rounding at worst. The f64 path is the last resort and takes
// whatever is positive.
real!(f32, crate::vector::Avx512, crate::vector::Avx2, 1.0 / 65_536.0);
real!(f64, crate::vector::Avx512Double, crate::vector::Avx2Double, 0.0);

/// Sixteen numbers, aligned to a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Lanes<T>(pub(crate) [T; LANES]);

impl<T: Real> Lanes<T> {
    pub(crate) const ZERO: Self = Lanes([T::ZERO; LANES]);

    /// Takes the first numbers of `row`, sixteen at most, and zeros after its end.
    #[inline(always)]
    pub(crate) fn load(row: &[f32]) -> Self {
        let mut lanes = Self::ZERO;
        if let Some(whole) = row.first_chunk::<LANES>() {
            for (lane, &value) in lanes.0.iter_mut().zip(whole) {
                *lane = T::from_f32(value);
            }
        } else {
            for (lane, &value) in lanes.0.iter_mut().zip(row) {
                *lane = T::from_f32(value);
            }
        }
        lanes
    }

    /// `x * y + self` in every lane, each rounded once.
    #[inline(always)]
    pub(crate) fn add_product(&mut self, x: T, y: &Self) {
        for l in 0..LANES {
            self.0[l] = x.fma(y.0[l], self.0[l]);
        }
    }

    /// `x * y + self`, lane by lane.
    #[inline(always)]
    pub(crate) fn add_products(&mut self, x: &Self, y: &Self) {
        for l in 0..LANES {
            self.0[l] = x.0[l].fma(y.0[l], self.0[l]);
        }
    }

    /// Every lane times `x`.
    #[inline(always)]
    pub(crate) fn scaled(&self, x: T) -> Self {
        let mut lanes = *self;
        for l in 0..LANES {
            lanes.0[l] = lanes.0[l] * x;
        }
        lanes
    }

    /// The sum of the lanes: halves added, then quarters, down to one; always this tree.
    #[inline(always)]
    pub(crate) fn sum(&self) -> T {
        let mut lanes = self.0;
        let mut half = LANES / 2;
        while half > 0 {
            for l in 0..half {
                lanes[l] += lanes[l + half];
            }
            half /= 2;
        }
        lanes[0]
    }
}

/// How many groups of sixteen hold `rank` numbers.
pub(crate) fn panels(rank: usize) -> usize {
    rank.div_ceil(LANES)
}
