//! The pairs of a small log, worked out by hand.

use super::*;
use crate::config::Config;
use crate::offline::test_log::log;

#[test]
fn items_and_members_are_in_the_order_of_their_ids_and_only_those_with_a_signal() {
    let config = Config::default();
    let events = [
        ("bob", "i9", "like", 1, 1.0),
        ("bob", "i10", "dislike", 2, 1.0),
        ("ann", "i9", "play", 1, 0.5),
        // Counted, and no signal: neither the member nor the item is in the data.
        ("cy", "i1", "impression", 1, 1.0),
        // Bought and given back.
        ("ann", "i2", "buy", 1, 2.0),
        ("ann", "i2", "buy", 2, -2.0),
    ];
    let live = log(&config, &events);
    let data = Dataset::new(&live, &config.kinds.kinds, Transform::Linear, |_, _| true);
    let names =
        |items: &[Item]| items.iter().map(|item| live.items.name(item.0).to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&data.items), ["i10", "i9"]);
    let members: Vec<&str> = data.members.iter().map(|member| live.members.name(member.0)).collect();
    assert_eq!(members, ["ann", "bob"]);
    assert_eq!(data.offsets, [0, 1, 3]);
    assert_eq!(data.pairs_of(0), [Pair::from_signed(1, 0.5)]);
    assert_eq!(data.pairs_of(1), [Pair::from_signed(0, -3.0), Pair::from_signed(1, 2.0)]);
    assert_eq!(data.events, 6);
}

#[test]
fn the_transform_and_the_choice_of_events_are_heeded() {
    let config = Config::default();
    let live = log(
        &config,
        &[("ann", "a", "like", 1, 1.0), ("ann", "a", "like", 2, 1.0), ("ann", "b", "like", 3, 1.0)],
    );
    let cap = Transform::Cap { at: 3_000_000 };
    let data = Dataset::new(&live, &config.kinds.kinds, cap, |_, event| event.at() < 3);
    assert_eq!(data.entries, [(0, 3.0)]);
    assert_eq!((data.items.len(), data.events), (1, 2));
}
