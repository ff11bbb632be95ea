//! Seeded chance: xoshiro256++ and draws from it, the same on every machine.
//!
//! Integers, divisions and comparisons only: nothing here asks a mathematical library, whose last digit may differ.

/// A generator of random numbers (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021).
#[derive(Debug, Clone)]
pub struct Chance([u64; 4]);

impl Chance {
    /// The generator that this seed gives.
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        Chance([(); 4].map(|()| split_mix(&mut state)))
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number from 0 to below `end`, which is above 0. The bias is below `end` / 2⁶⁴.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// A number from `least` to `most`.
    pub fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// True so many times in a thousand.
    pub fn per_mille(&mut self, times: u64) -> bool {
        self.below(1000) < times
    }

    /// One of a list that is not empty.
    pub fn one_of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
    }

    /// The numbers from 0 to below `end`, shuffled.
    pub fn shuffled(&mut self, end: usize) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..end as u32).collect();
        for last in (1..end).rev() {
            numbers.swap(last, self.below(last as u64 + 1) as usize);
        }
        numbers
    }
}

/// The next number of the sequence that seeds the generator.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Draws places in a table, each as often as its weight says.
#[derive(Debug, Clone)]
pub struct Weighted {
    /// Sums of the weights up to and including each place.
    sums: Vec<u64>,
}

impl Weighted {
    /// A table of these weights, whose sum is above 0.
    pub fn new(weights: impl IntoIterator<Item = u64>) -> Self {
        let add = |sum: &mut u64, weight| {
            *sum += weight;
            Some(*sum)
        };
        Weighted { sums: weights.into_iter().scan(0, add).collect() }
    }

    /// Weights that fall as 1 / (place + `flat`), as Zipf's law has it: the first `flat` places are about as likely
    /// as each other.
    pub fn falling(places: usize, flat: usize) -> Self {
        Self::new((1..=places as u64).map(|place| (1 << 40) / (place + flat as u64)))
    }

    /// A place.
    pub fn draw(&self, chance: &mut Chance) -> usize {
        let point = chance.below(*self.sums.last().expect("a table is not empty"));
        self.sums.partition_point(|sum| *sum <= point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_published_generator() {
        // SplitMix64 from 1234567, from the reference of its authors.
        let mut state = 1_234_567;
        assert_eq!(split_mix(&mut state), 6_457_827_717_110_365_317);
        assert_eq!(split_mix(&mut state), 3_203_168_211_198_807_973);
        // xoshiro256++ from the state 1, 2, 3, 4.
        let mut chance = Chance([1, 2, 3, 4]);
        assert_eq!(
            [chance.bits(), chance.bits(), chance.bits()],
            [41_943_041, 58_720_359, 3_588_806_011_781_223]
        );
    }

    #[test]
    fn a_table_is_drawn_from_by_weight() {
        let (table, mut chance) = (Weighted::new([1, 0, 3]), Chance::new(1));
        let mut drawn = [0; 3];
        for _ in 0..4000 {
            drawn[table.draw(&mut chance)] += 1;
        }
        assert!(drawn[1] == 0 && (900..1100).contains(&drawn[0]), "{drawn:?}");
    }

    #[test]
    fn shuffling_keeps_every_number() {
        let mut numbers = Chance::new(3).shuffled(100);
        assert_ne!(numbers, (0..100).collect::<Vec<u32>>());
        numbers.sort_unstable();
        assert_eq!(numbers, (0..100).collect::<Vec<u32>>());
    }
}
