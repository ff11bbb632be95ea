//! A set of item indexes, one bit each. Of fixed length; it says nothing of why an item is in it.

/// Which of the items 0 … length − 1 are in a set, such as the available ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    length: usize,
    words: Vec<u64>,
}

impl Bitmap {
    /// The set of none of `length` items.
    pub fn empty(length: usize) -> Self {
        Bitmap { length, words: vec![0; length.div_ceil(64)] }
    }

    /// The set of all of `length` items.
    pub fn full(length: usize) -> Self {
        let mut words = vec![u64::MAX; length.div_ceil(64)];
        if let (Some(last), rest @ 1..) = (words.last_mut(), length % 64) {
            *last = (1 << rest) - 1;
        }
        Bitmap { length, words }
    }

    /// Puts `item` in the set or takes it out.
    ///
    /// # Panics
    ///
    /// Where `item` is not below [`len`](Self::len).
    pub fn set(&mut self, item: u32, present: bool) {
        assert!((item as usize) < self.length, "item {item} in a bitmap of {}", self.length);
        let (word, bit) = (&mut self.words[item as usize / 64], 1 << (item % 64));
        if present {
            *word |= bit;
        } else {
            *word &= !bit;
        }
    }

    /// Whether `item` is in the set; past the end nothing is.
    pub fn contains(&self, item: u32) -> bool {
        self.words.get(item as usize / 64).is_some_and(|word| word >> (item % 64) & 1 == 1)
    }

    /// The items in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            let next = |word: &u64| (*word != 0).then(|| *word & (*word - 1));
            let bits = std::iter::successors((word != 0).then_some(word), move |word| {
                next(word).filter(|rest| *rest != 0)
            });
            bits.map(move |rest| at as u32 * 64 + rest.trailing_zeros())
        })
    }

    /// Leaves in the set only what is in `other` too; past the end of `other` nothing is. For filters: the items
    /// of a genre that are available in a country.
    pub fn intersect(&mut self, other: &Bitmap) {
        for (at, word) in self.words.iter_mut().enumerate() {
            *word &= other.words.get(at).copied().unwrap_or(0);
        }
    }

    /// Adds to the set what is in `other`, as far as it can hold it. For filters: the items of one genre or another.
    pub fn unite(&mut self, other: &Bitmap) {
        let room = Bitmap::full(self.length);
        for ((word, other), room) in self.words.iter_mut().zip(&other.words).zip(&room.words) {
            *word |= other & room;
        }
    }

    /// How many items the set could hold.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether the set could hold no item at all.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many items are in the set.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }
}
