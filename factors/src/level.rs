//! Which instructions a kernel may use, found out once at run time, and the macro that builds each kernel for
//! all of them. It never changes a result: the levels agree to the bit, and tests force each of them.

/// An instruction set that this processor was seen to have. Only this module makes one, so holding a `Level`
/// is the proof that its instructions may run.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(pub(crate) Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Level {
    /// Every level this processor has, the best first; the last is always the portable one.
    pub fn all() -> Vec<Level> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
            {
                levels.push(Level(Kind::Avx512));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Level(Kind::Avx2));
            }
        }
        levels.push(Level(Kind::Portable));
        levels
    }

    /// Whether this level has the instruction that multiplies bytes by fours and adds them up.
    pub(crate) fn multiplies_bytes(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => is_x86_feature_detected!("avx512vnni"),
            _ => false,
        }
    }

    /// The best level this processor has.
    pub fn best() -> Level {
        Self::all().first().copied().unwrap_or(Level(Kind::Portable))
    }
}

/// Defines a safe function that runs a kernel body at a [`Level`]. The bodies after `=` are, in order, for
/// AVX-512, for AVX2 with FMA and for any processor: `#[inline(always)]` functions that may differ in a const
/// generic (how much is held in registers) and in nothing else.
macro_rules! kernel {
    ($(#[$meta:meta])* fn $name:ident $(<$t:ident>)? ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?
     = $avx512:expr, $avx2:expr, $portable:expr;) => {
        $(#[$meta])*
        pub(crate) fn $name $(<$t: crate::lanes::Real>)? (
            level: crate::level::Level, $($arg: $ty),*
        ) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
                fn avx512 $(<$t: crate::lanes::Real>)? ($($arg: $ty),*) $(-> $ret)? {
                    $avx512($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2 $(<$t: crate::lanes::Real>)? ($($arg: $ty),*) $(-> $ret)? {
                    $avx2($($arg),*)
                }
                match level.0 {
                    // SAFETY: a level of this kind is made only by `Level::all`, after the processor was
                    // seen to have each of the features that the function enables.
                    crate::level::Kind::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    crate::level::Kind::Avx2 => return unsafe { avx2($($arg),*) },
                    crate::level::Kind::Portable => {}
                }
            }
            let _ = level;
            $portable($($arg),*)
        }
    };
}

pub(crate) use kernel;
