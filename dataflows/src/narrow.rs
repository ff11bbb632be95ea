//! An event in sixteen bytes: what most live events are kept as.
//!
//! One number, the most significant part first, so that the order of the numbers is that of item, then time:
//!
//! ```text
//! item 32 | at 43 | kind 8 | scale 2 | value 27 | place 16
//! ```
//!
//! A value is a whole number of millionths, thousandths or ones, whichever is the coarsest that it is whole in. An event fits
//! where its fields say all of it, so that its digest can be made of them again, and where they are no longer than that;
//! others are kept as they are.

use crate::kinds::MICROS;
use crate::types::{Event, Item, Kind, Place};

const KIND_BITS: u32 = 8;
const SCALE_BITS: u32 = 2;
const VALUE_BITS: u32 = 27;
const PLACE_BITS: u32 = 16;

const VALUE: u32 = PLACE_BITS;
const SCALE: u32 = VALUE + VALUE_BITS;
const KIND: u32 = SCALE + SCALE_BITS;
const AT: u32 = KIND + KIND_BITS;
const ITEM: u32 = 96;

/// Of how many millionths a value is counted, the coarsest first.
const SCALES: [i64; 3] = [MICROS, MICROS / 1000, 1];

/// An event whose fields say all of it. Of one member, two that are equal are the same event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Narrow(u128);

impl Narrow {
    /// The event, where it fits.
    pub fn of(event: &Event) -> Option<Narrow> {
        let (at, kind, place) = (event.at() as u64, event.kind().0, event.place.0);
        if !event.says_all() || kind >> KIND_BITS != 0 || place >> PLACE_BITS != 0 || at >> (ITEM - AT) != 0 {
            return None;
        }
        let (scale, value) = scaled(event.value)?;
        Some(Narrow(
            u128::from(event.item.0) << ITEM
                | u128::from(at) << AT
                | u128::from(kind) << KIND
                | u128::from(scale) << SCALE
                | u128::from(value) << VALUE
                | u128::from(place),
        ))
    }

    /// What it was acted on.
    pub fn item(self) -> Item {
        Item((self.0 >> ITEM) as u32)
    }

    /// When, in milliseconds since 1970.
    pub fn at(self) -> i64 {
        self.bits(AT, ITEM - AT) as i64
    }

    /// The event, without its digest.
    pub fn event(self) -> Event {
        // The sign is the uppermost bit of the value.
        let value = (self.bits(VALUE, VALUE_BITS) << (64 - VALUE_BITS)) as i64 >> (64 - VALUE_BITS);
        let value = value * SCALES[self.bits(SCALE, SCALE_BITS) as usize];
        let kind = Kind(self.bits(KIND, KIND_BITS) as u16);
        let mut event = Event::new(self.item(), kind, self.at(), value);
        event.place = Place(self.bits(0, PLACE_BITS) as u32);
        event
    }

    fn bits(self, from: u32, count: u32) -> u64 {
        (self.0 >> from) as u64 & ((1 << count) - 1)
    }
}

/// The coarsest scale that a value is whole in, and its number there; nothing where that is too long.
fn scaled(value: i64) -> Option<(u8, u32)> {
    let scale = SCALES.iter().position(|scale| value % scale == 0)?;
    let number = value / SCALES[scale];
    let fits = (-(1 << (VALUE_BITS - 1))..1 << (VALUE_BITS - 1)).contains(&number);
    fits.then_some((scale as u8, number as u32 & ((1 << VALUE_BITS) - 1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The last millisecond of 2200.
    const LAST: i64 = 7_289_654_399_999;

    fn any_event() -> impl Strategy<Value = Event> {
        let value = prop_oneof![
            -3..1_000_003_i64,
            (-70_000_000..70_000_000_i64).prop_map(|whole| whole * MICROS),
            (-70_000_000..70_000_000_i64).prop_map(|part| part * 1000),
            -70_000_000..70_000_000_i64,
            any::<i64>(),
        ];
        let place = prop_oneof![3 => 0..65_536_u32, 1 => any::<u32>()];
        let kind = prop_oneof![3 => 0..256_u16, 1 => any::<u16>()];
        let id = prop_oneof![4 => Just(0_u64), 1 => any::<u64>()];
        (any::<u32>(), kind, 0..=LAST, value, place, id).prop_map(|(item, kind, at, value, place, id)| {
            let mut event = Event::new(Item(item), Kind(kind), at, value);
            (event.place, event.id) = (Place(place), id);
            event
        })
    }

    proptest! {
        #[test]
        fn what_fits_comes_out_again_and_in_order(one in any_event(), other in any_event()) {
            let all = [one, other].map(|event| Narrow::of(&event));
            for (event, narrow) in [one, other].iter().zip(all) {
                if let Some(narrow) = narrow {
                    prop_assert_eq!(narrow.event(), *event);
                    prop_assert_eq!((narrow.item(), narrow.at()), (event.item, event.at()));
                }
            }
            if let [Some(first), Some(second)] = all {
                let order = (one.item, one.at(), one.kind()).cmp(&(other.item, other.at(), other.kind()));
                prop_assert_eq!(first.cmp(&second).then(order), order.then(first.cmp(&second)));
                prop_assert_eq!(first == second, one == other);
            }
        }
    }

    #[test]
    fn what_is_common_fits_and_what_is_too_long_or_says_less_than_all_does_not() {
        let of = |value, change: &dyn Fn(&mut Event)| {
            let mut event = Event::new(Item(u32::MAX), Kind(255), LAST, value);
            change(&mut event);
            Narrow::of(&event).is_some()
        };
        // Parts of a whole, ratings, prices, seconds and milliseconds of hours.
        for value in [0, 693_412, -MICROS, 9_500_000, 1_234_990_000, 36_000 * MICROS, 36_000_000 * MICROS] {
            assert!(of(value, &|_| ()), "{value}");
        }
        assert!(!of(i64::MAX, &|_| ()) && !of(i64::MIN, &|_| ()) && !of(67_108_865, &|_| ()));
        assert!(!of(0, &|event| event.id = 1));
        assert!(!of(0, &|event| event.place = Place(65_536)));
        assert!(!of(0, &|event| event.place = Place::saying_less(3)));
        assert!(!of(0, &|event| *event = Event::new(event.item, Kind(256), event.at(), 0)));
    }
}
