//! The registers of x86-64: AVX-512's, and pairs of AVX2's.

use std::arch::x86_64::*;

use super::{LANES, Lanes, Vector};

/// One register of sixteen.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512);

/// Two registers of eight.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256, __m256);

/// The mask of lanes `first` to `last` − 1.
#[inline(always)]
fn mask(first: usize, last: usize) -> u32 {
    (1 << last) - (1 << first)
}

/// Eight rows of eight for columns.
#[inline(always)]
fn square(rows: &mut [__m256; 8]) {
    // SAFETY: called by `Avx2` alone, see below.
    unsafe {
        let mut a = *rows;
        for i in 0..4 {
            a[2 * i] = _mm256_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
            a[2 * i + 1] = _mm256_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
        }
        let mut b = a;
        for i in 0..2 {
            b[4 * i] = _mm256_shuffle_ps::<0x44>(a[4 * i], a[4 * i + 2]);
            b[4 * i + 1] = _mm256_shuffle_ps::<0xee>(a[4 * i], a[4 * i + 2]);
            b[4 * i + 2] = _mm256_shuffle_ps::<0x44>(a[4 * i + 1], a[4 * i + 3]);
            b[4 * i + 3] = _mm256_shuffle_ps::<0xee>(a[4 * i + 1], a[4 * i + 3]);
        }
        for j in 0..4 {
            rows[j] = _mm256_permute2f128_ps::<0x20>(b[j], b[4 + j]);
            rows[4 + j] = _mm256_permute2f128_ps::<0x31>(b[j], b[4 + j]);
        }
    }
}

// SAFETY of every block below: the type is named by kernels of its level alone, so the processor has the
// instructions; a load or store covers the sixteen numbers of `Lanes`, or the upper eight, and no more.
impl Vector for Avx512 {
    type Real = f32;
    type Half = __m256;
    const HELD: usize = 16;

    #[inline(always)]
    fn load(from: &Lanes<f32>) -> Self {
        // SAFETY: see above.
        Avx512(unsafe { _mm512_load_ps(from.0.as_ptr()) })
    }
    #[inline(always)]
    fn store(self, to: &mut Lanes<f32>) {
        // SAFETY: see above.
        unsafe { _mm512_store_ps(to.0.as_mut_ptr(), self.0) }
    }
    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: see above.
        Avx512(unsafe { _mm512_set1_ps(x) })
    }
    #[inline(always)]
    fn fma(self, x: Self, y: Self) -> Self {
        // SAFETY: see above.
        Avx512(unsafe { _mm512_fmadd_ps(x.0, y.0, self.0) })
    }
    #[inline(always)]
    fn times(self, y: Self) -> Self {
        // SAFETY: see above.
        Avx512(unsafe { _mm512_mul_ps(self.0, y.0) })
    }
    #[inline(always)]
    fn over(self, y: Self) -> Self {
        // SAFETY: see above.
        Avx512(unsafe { _mm512_div_ps(self.0, y.0) })
    }
    #[inline(always)]
    fn lane(self, i: usize) -> Self {
        // SAFETY: see above.
        Avx512(unsafe { _mm512_permutexvar_ps(_mm512_set1_epi32(i as i32), self.0) })
    }
    #[inline(always)]
    fn with(self, other: Self, first: usize, last: usize) -> Self {
        // SAFETY: see above.
        Avx512(unsafe { _mm512_mask_mov_ps(self.0, mask(first, last) as u16, other.0) })
    }
    /// Pairs of neighbours, then of quarters, halves of halves, halves: four rounds of sixteen shuffles.
    #[inline(always)]
    fn transpose(tile: &mut [Self; LANES]) {
        // SAFETY: see above.
        unsafe {
            let mut a = [_mm512_setzero_ps(); LANES];
            for i in 0..8 {
                a[2 * i] = _mm512_unpacklo_ps(tile[2 * i].0, tile[2 * i + 1].0);
                a[2 * i + 1] = _mm512_unpackhi_ps(tile[2 * i].0, tile[2 * i + 1].0);
            }
            let mut b = a;
            for i in 0..4 {
                b[4 * i] = _mm512_shuffle_ps::<0x44>(a[4 * i], a[4 * i + 2]);
                b[4 * i + 1] = _mm512_shuffle_ps::<0xee>(a[4 * i], a[4 * i + 2]);
                b[4 * i + 2] = _mm512_shuffle_ps::<0x44>(a[4 * i + 1], a[4 * i + 3]);
                b[4 * i + 3] = _mm512_shuffle_ps::<0xee>(a[4 * i + 1], a[4 * i + 3]);
            }
            // b[4 i + j] holds, in its quarter c, column 4 c + j of rows 4 i to 4 i + 3.
            for j in 0..4 {
                let low = _mm512_shuffle_f32x4::<0x88>(b[j], b[4 + j]);
                let odd = _mm512_shuffle_f32x4::<0xdd>(b[j], b[4 + j]);
                let low2 = _mm512_shuffle_f32x4::<0x88>(b[8 + j], b[12 + j]);
                let odd2 = _mm512_shuffle_f32x4::<0xdd>(b[8 + j], b[12 + j]);
                tile[j] = Avx512(_mm512_shuffle_f32x4::<0x88>(low, low2));
                tile[4 + j] = Avx512(_mm512_shuffle_f32x4::<0x88>(odd, odd2));
                tile[8 + j] = Avx512(_mm512_shuffle_f32x4::<0xdd>(low, low2));
                tile[12 + j] = Avx512(_mm512_shuffle_f32x4::<0xdd>(odd, odd2));
            }
        }
    }

    #[inline(always)]
    fn reaching(self, bar: f32) -> u32 {
        // SAFETY: see above.
        u32::from(unsafe { _mm512_cmp_ps_mask::<_CMP_GE_OQ>(self.0, _mm512_set1_ps(bar)) })
    }
    #[inline(always)]
    fn load_half(from: &Lanes<f32>) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_load_ps(from.0.as_ptr().add(LANES / 2)) }
    }
    #[inline(always)]
    fn store_half(half: __m256, to: &mut Lanes<f32>) {
        // SAFETY: see above.
        unsafe { _mm256_store_ps(to.0.as_mut_ptr().add(LANES / 2), half) }
    }
    #[inline(always)]
    fn fma_half(half: __m256, x: f32, y: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_fmadd_ps(_mm256_set1_ps(x), y, half) }
    }
}

// SAFETY: as above.
impl Vector for Avx2 {
    type Real = f32;
    type Half = __m256;
    const HELD: usize = 4;

    #[inline(always)]
    fn load(from: &Lanes<f32>) -> Self {
        // SAFETY: see above.
        unsafe { Avx2(_mm256_load_ps(from.0.as_ptr()), _mm256_load_ps(from.0.as_ptr().add(LANES / 2))) }
    }
    #[inline(always)]
    fn store(self, to: &mut Lanes<f32>) {
        // SAFETY: see above.
        unsafe {
            _mm256_store_ps(to.0.as_mut_ptr(), self.0);
            _mm256_store_ps(to.0.as_mut_ptr().add(LANES / 2), self.1);
        }
    }
    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: see above.
        let all = unsafe { _mm256_set1_ps(x) };
        Avx2(all, all)
    }
    #[inline(always)]
    fn fma(self, x: Self, y: Self) -> Self {
        // SAFETY: see above.
        unsafe { Avx2(_mm256_fmadd_ps(x.0, y.0, self.0), _mm256_fmadd_ps(x.1, y.1, self.1)) }
    }
    #[inline(always)]
    fn times(self, y: Self) -> Self {
        // SAFETY: see above.
        unsafe { Avx2(_mm256_mul_ps(self.0, y.0), _mm256_mul_ps(self.1, y.1)) }
    }
    #[inline(always)]
    fn over(self, y: Self) -> Self {
        // SAFETY: see above.
        unsafe { Avx2(_mm256_div_ps(self.0, y.0), _mm256_div_ps(self.1, y.1)) }
    }
    #[inline(always)]
    fn lane(self, i: usize) -> Self {
        let half = if i < LANES / 2 { self.0 } else { self.1 };
        // SAFETY: see above.
        let all = unsafe { _mm256_permutevar8x32_ps(half, _mm256_set1_epi32((i % (LANES / 2)) as i32)) };
        Avx2(all, all)
    }
    #[inline(always)]
    fn with(self, other: Self, first: usize, last: usize) -> Self {
        let mask = mask(first, last) as i32;
        // A lane is taken where its top bit is set.
        // SAFETY: see above.
        unsafe {
            let up = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24);
            let low = _mm256_sllv_epi32(_mm256_set1_epi32(mask), up);
            let high = _mm256_sllv_epi32(_mm256_set1_epi32(mask >> (LANES / 2)), up);
            Avx2(
                _mm256_blendv_ps(self.0, other.0, _mm256_castsi256_ps(low)),
                _mm256_blendv_ps(self.1, other.1, _mm256_castsi256_ps(high)),
            )
        }
    }
    /// Four squares of eight, each turned around, the two off the diagonal changed for one another.
    #[inline(always)]
    fn transpose(tile: &mut [Self; LANES]) {
        const HALF: usize = LANES / 2;
        let old = *tile;
        let mut squares = [[old[0].0; HALF]; 4];
        for r in 0..HALF {
            squares[0][r] = old[r].0;
            squares[1][r] = old[HALF + r].0;
            squares[2][r] = old[r].1;
            squares[3][r] = old[HALF + r].1;
        }
        for rows in &mut squares {
            square(rows);
        }
        for r in 0..HALF {
            tile[r] = Avx2(squares[0][r], squares[1][r]);
            tile[HALF + r] = Avx2(squares[2][r], squares[3][r]);
        }
    }

    #[inline(always)]
    fn reaching(self, bar: f32) -> u32 {
        // SAFETY: see above.
        unsafe {
            let bar = _mm256_set1_ps(bar);
            let (low, high) =
                (_mm256_cmp_ps::<_CMP_GE_OQ>(self.0, bar), _mm256_cmp_ps::<_CMP_GE_OQ>(self.1, bar));
            // Eight bits each.
            (_mm256_movemask_ps(low) | _mm256_movemask_ps(high) << 8) as u32
        }
    }
    #[inline(always)]
    fn load_half(from: &Lanes<f32>) -> __m256 {
        Avx512::load_half(from)
    }
    #[inline(always)]
    fn store_half(half: __m256, to: &mut Lanes<f32>) {
        Avx512::store_half(half, to);
    }
    #[inline(always)]
    fn fma_half(half: __m256, x: f32, y: __m256) -> __m256 {
        Avx512::fma_half(half, x, y)
    }
}

/// Defines sixteen numbers of f64 as several registers. Moving between lanes goes through memory: the few
/// solves in f64 do not mind.
macro_rules! double {
    ($(#[$meta:meta])* $name:ident: $count:literal of $register:ty, $width:literal, held $held:literal;
     $load:ident $store:ident $splat:ident $fma:ident $mul:ident $div:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name([$register; $count]);

        // SAFETY: as above.
        impl Vector for $name {
            type Real = f64;
            type Half = [$register; $count / 2];
            const HELD: usize = $held;

            #[inline(always)]
            fn load(from: &Lanes<f64>) -> Self {
                let mut all = Self::splat(0.0);
                for (i, register) in all.0.iter_mut().enumerate() {
                    // SAFETY: see above.
                    *register = unsafe { $load(from.0.as_ptr().add(i * $width)) };
                }
                all
            }
            #[inline(always)]
            fn store(self, to: &mut Lanes<f64>) {
                for (i, register) in self.0.into_iter().enumerate() {
                    // SAFETY: see above.
                    unsafe { $store(to.0.as_mut_ptr().add(i * $width), register) }
                }
            }
            #[inline(always)]
            fn splat(x: f64) -> Self {
                // SAFETY: see above.
                $name([unsafe { $splat(x) }; $count])
            }
            #[inline(always)]
            fn fma(mut self, x: Self, y: Self) -> Self {
                for i in 0..$count {
                    // SAFETY: see above.
                    self.0[i] = unsafe { $fma(x.0[i], y.0[i], self.0[i]) };
                }
                self
            }
            #[inline(always)]
            fn times(mut self, y: Self) -> Self {
                for i in 0..$count {
                    // SAFETY: see above.
                    self.0[i] = unsafe { $mul(self.0[i], y.0[i]) };
                }
                self
            }
            #[inline(always)]
            fn over(mut self, y: Self) -> Self {
                for i in 0..$count {
                    // SAFETY: see above.
                    self.0[i] = unsafe { $div(self.0[i], y.0[i]) };
                }
                self
            }
            #[inline(always)]
            fn lane(self, i: usize) -> Self {
                Self::splat(self.lanes().0[i])
            }
            #[inline(always)]
            fn with(self, other: Self, first: usize, last: usize) -> Self {
                let (mut lanes, other) = (self.lanes(), other.lanes());
                for l in first..last {
                    lanes.0[l] = other.0[l];
                }
                Self::load(&lanes)
            }
            #[inline(always)]
            fn transpose(tile: &mut [Self; LANES]) {
                let mut turned = [Lanes::ZERO; LANES];
                for r in 0..LANES {
                    let row = tile[r].lanes();
                    for l in 0..LANES {
                        turned[l].0[r] = row.0[l];
                    }
                }
                for r in 0..LANES {
                    tile[r] = Self::load(&turned[r]);
                }
            }

            #[inline(always)]
            fn reaching(self, bar: f64) -> u32 {
                self.lanes().reaching(bar)
            }
            #[inline(always)]
            fn load_half(from: &Lanes<f64>) -> Self::Half {
                let all = Self::load(from);
                let mut half = [all.0[0]; $count / 2];
                for i in 0..$count / 2 {
                    half[i] = all.0[$count / 2 + i];
                }
                half
            }
            #[inline(always)]
            fn store_half(half: Self::Half, to: &mut Lanes<f64>) {
                for (i, register) in half.into_iter().enumerate() {
                    // SAFETY: see above.
                    unsafe { $store(to.0.as_mut_ptr().add(LANES / 2 + i * $width), register) }
                }
            }
            #[inline(always)]
            fn fma_half(mut half: Self::Half, x: f64, y: Self::Half) -> Self::Half {
                for i in 0..$count / 2 {
                    // SAFETY: see above.
                    half[i] = unsafe { $fma($splat(x), y[i], half[i]) };
                }
                half
            }
        }

        impl $name {
            #[inline(always)]
            fn lanes(self) -> Lanes<f64> {
                let mut lanes = Lanes::ZERO;
                self.store(&mut lanes);
                lanes
            }
        }
    };
}

double! {
    /// Two registers of eight.
    Avx512Double: 2 of __m512d, 8, held 8;
    _mm512_load_pd _mm512_store_pd _mm512_set1_pd _mm512_fmadd_pd _mm512_mul_pd _mm512_div_pd
}

double! {
    /// Four registers of four.
    Avx2Double: 4 of __m256d, 4, held 2;
    _mm256_load_pd _mm256_store_pd _mm256_set1_pd _mm256_fmadd_pd _mm256_mul_pd _mm256_div_pd
}
