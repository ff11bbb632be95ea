//! Where the members of one worker belong, for `clusters.rs`: cluster and liked items of each, and what an epoch's changes
//! make of the counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clusters::{Belongs, Centres, ClusterItem};
use crate::types::{Item, Member};

/// All that is kept of one worker's members.
#[derive(Default)]
pub(crate) struct Places {
    /// Under the live line-up, and under the one that stands by.
    pub(crate) sides: [Side; 2],
    /// The centres in use.
    pub(crate) centres: Option<Arc<Centres>>,
}

/// Where members belong under one line-up.
#[derive(Default)]
pub(crate) struct Side {
    /// By member number; those of other workers, and who belongs nowhere, like nothing.
    members: Vec<Place>,
    /// How many belong somewhere.
    belong: usize,
    /// What the epoch makes of some of them.
    changes: BTreeMap<Member, Change>,
}

/// Where one member belongs, and what the member likes; nothing where that is nowhere.
#[derive(Clone, Default)]
struct Place {
    cluster: Option<u32>,
    liked: Box<[Item]>,
}

/// What an epoch says of a member; what it does not say stays.
#[derive(Default)]
pub(crate) struct Change {
    /// To which cluster the member belongs; none where to none.
    pub(crate) cluster: Option<Option<u32>>,
    /// What the member likes, in order.
    pub(crate) liked: Option<Box<[Item]>>,
}

/// What came of an epoch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Members that belong elsewhere now, or like more or fewer items.
    pub(crate) moved: Vec<(Member, Option<Belongs>)>,
    /// By how much counts changed, each once; none by zero.
    pub(crate) counts: Vec<(ClusterItem, i32)>,
}

impl Side {
    /// What the open epoch says of a member.
    pub(crate) fn change(&mut self, member: Member) -> &mut Change {
        self.changes.entry(member).or_default()
    }

    /// From the open epoch on nobody belongs anywhere but where it says so.
    pub(crate) fn empty(&mut self) {
        for (number, _) in self.members.iter().enumerate().filter(|(_, place)| place.cluster.is_some()) {
            self.changes.entry(Member(number as u32)).or_default().cluster = Some(None);
        }
    }

    /// Closes the epoch.
    pub(crate) fn apply(&mut self) -> Placed {
        let mut placed = Placed::default();
        for (member, change) in std::mem::take(&mut self.changes) {
            self.put(member, change, &mut placed);
        }
        sum_up(&mut placed.counts);
        if self.belong == 0 {
            self.members = Vec::new();
        }
        placed
    }

    fn put(&mut self, member: Member, change: Change, placed: &mut Placed) {
        let none = Place::default();
        let old = self.members.get(member.index()).unwrap_or(&none);
        let cluster = change.cluster.unwrap_or(old.cluster);
        let liked = match cluster {
            Some(_) => change.liked.unwrap_or_else(|| old.liked.clone()),
            None => Box::default(),
        };
        if cluster == old.cluster && liked == old.liked {
            return;
        }
        let same = cluster == old.cluster;
        let mut count = |cluster: Option<u32>, from: &[Item], but: &[Item], diff| {
            let Some(cluster) = cluster else { return };
            // Whoever stays in a cluster changes what came and went alone.
            let changed = from.iter().filter(|item| !same || but.binary_search(item).is_err());
            placed.counts.extend(changed.map(|item| (ClusterItem { cluster, item: *item }, diff)));
        };
        count(old.cluster, &old.liked, &liked, -1);
        count(cluster, &liked, &old.liked, 1);
        if !same || liked.len() != old.liked.len() {
            let belongs = cluster.map(|cluster| Belongs { cluster, liked: liked.len() as u32 });
            placed.moved.push((member, belongs));
        }
        self.belong = self.belong + usize::from(cluster.is_some()) - usize::from(old.cluster.is_some());
        if self.members.len() <= member.index() {
            self.members.resize(member.index() + 1, none);
        }
        self.members[member.index()] = Place { cluster, liked };
    }
}

/// One change of each count, in order; none of zero.
fn sum_up(counts: &mut Vec<(ClusterItem, i32)>) {
    counts.sort_unstable_by_key(|(item, _)| *item);
    counts.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    counts.retain(|(_, diff)| *diff != 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(numbers: &[u32]) -> Option<Box<[Item]>> {
        Some(numbers.iter().copied().map(Item).collect())
    }

    fn of(cluster: u32, item: u32) -> ClusterItem {
        ClusterItem { cluster, item: Item(item) }
    }

    #[test]
    fn a_member_that_moves_takes_all_liked_items_along_and_one_that_stays_what_changed() {
        let mut side = Side::default();
        *side.change(Member(3)) = Change { cluster: Some(Some(1)), liked: items(&[1, 2]) };
        assert_eq!(side.apply().counts, [(of(1, 1), 1), (of(1, 2), 1)]);
        *side.change(Member(3)) = Change { cluster: Some(Some(1)), liked: items(&[2, 5]) };
        let stayed = Placed { moved: Vec::new(), counts: vec![(of(1, 1), -1), (of(1, 5), 1)] };
        assert_eq!(side.apply(), stayed);
        // What the member likes is as it was.
        *side.change(Member(3)) = Change { cluster: Some(Some(0)), liked: None };
        let counts = vec![(of(0, 2), 1), (of(0, 5), 1), (of(1, 2), -1), (of(1, 5), -1)];
        let moved = vec![(Member(3), Some(Belongs { cluster: 0, liked: 2 }))];
        assert_eq!(side.apply(), Placed { moved, counts });
        *side.change(Member(3)) = Change { cluster: None, liked: items(&[2]) };
        let moved = vec![(Member(3), Some(Belongs { cluster: 0, liked: 1 }))];
        assert_eq!(side.apply(), Placed { moved, counts: vec![(of(0, 5), -1)] });
        *side.change(Member(3)) = Change { cluster: Some(None), liked: items(&[2]) };
        let counts = vec![(of(0, 2), -1)];
        assert_eq!(side.apply(), Placed { moved: vec![(Member(3), None)], counts });
    }

    #[test]
    fn new_centres_change_nothing_of_a_member_who_stays_where_he_was() {
        let mut side = Side::default();
        for member in 0..2 {
            *side.change(Member(member)) = Change { cluster: Some(Some(member)), liked: items(&[7]) };
        }
        side.apply();
        side.empty();
        *side.change(Member(1)) = Change { cluster: Some(Some(1)), liked: items(&[7]) };
        let left = Placed { moved: vec![(Member(0), None)], counts: vec![(of(0, 7), -1)] };
        assert_eq!(side.apply(), left);
        side.empty();
        assert_eq!(side.apply().moved, [(Member(1), None)]);
        assert!(side.members.is_empty());
    }
}
