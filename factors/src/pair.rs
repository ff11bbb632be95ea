//! One weighted pair of a row and the factor it meets, as a solve sees it. It carries no member: whose pair it
//! is, is known by the slice it stands in.

/// What one signal adds to the normal equations: `a y yᵀ` to the matrix and `b y` to the right side, `y` being
/// the factor of `item`.
///
/// Pairs stand in ascending order of `item`, without duplicates, wherever a slice of them is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Index of the item's row in the item factors.
    pub item: u32,
    /// Weight of the squared error.
    pub a: f32,
    /// Weight times target.
    pub b: f32,
}

impl Pair {
    /// Target 1 with weight `w` > 0: `(w, w)`.
    pub fn preferred(item: u32, w: f32) -> Self {
        Pair { item, a: w, b: w }
    }

    /// Target 0 with weight `w` > 0: `(w, 0)`.
    pub fn disliked(item: u32, w: f32) -> Self {
        Pair { item, a: w, b: 0.0 }
    }

    /// A transformed signal: preferred where `w` is positive, else disliked with weight `|w|`.
    pub fn from_signed(item: u32, w: f32) -> Self {
        if w > 0.0 { Self::preferred(item, w) } else { Self::disliked(item, w.abs()) }
    }
}
