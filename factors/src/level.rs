//! Which instructions the kernels run on, and how one body becomes a kernel for each.
//!
//! Every kernel is written once, with `f32::mul_add`, which rounds once wherever it runs. Compiled for AVX-512, for
//! AVX2 with FMA and for any processor it is the same arithmetic in the same order, so the results agree bit for
//! bit; only the speed differs.

/// A set of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Any processor.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, VL, DQ, BW, with FMA.
    Avx512,
}

impl Level {
    /// The best level of this processor.
    pub fn detect() -> Self {
        [Level::Avx512, Level::Avx2].into_iter().find(|level| level.available()).unwrap_or(Level::Portable)
    }

    /// Whether this processor has it.
    pub fn available(self) -> bool {
        match self {
            Level::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                Level::Avx2.available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }
}

/// Defines a kernel `fn name(level, args…) -> R` from an `#[inline(always)]` body of the same arguments.
macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident = $body:path, ($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)?) => {
        $(#[$doc])*
        pub(crate) fn $name(level: $crate::level::Level, $($arg: $type),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                fn avx512($($arg: $type),*) $(-> $ret)? {
                    $body($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $type),*) $(-> $ret)? {
                    $body($($arg),*)
                }
                match level {
                    // SAFETY: a `Level` other than portable is only made where `Level::available` said that the
                    // processor has the instructions; every constructor of the crate checks it.
                    $crate::level::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::level::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::level::Level::Portable => {}
                }
            }
            let _ = level;
            $body($($arg),*)
        }
    };
}
pub(crate) use kernel;
