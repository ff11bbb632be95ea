//! `clusters` and `cluster_popularity`: which cluster of taste a member belongs to, and of how many members of a cluster an
//! item is among what they like.
//!
//! A member belongs to the cluster whose centre is nearest to the member's factor (`lists.rs` says which that is); without
//! a factor, or where its model is not the one that the centres were made with, to none. What a member likes are the
//! items with a positive signal that the member does not hide, whether the model knows them or not. For each cluster and
//! item the second view counts the members of the cluster who like the item.
//!
//! Work is by changed member: the first operator keeps each member's cluster and liked items and sends the difference,
//! summed up by epoch before it is exchanged. A member whose factor moves to another cluster moves with all liked items;
//! a retraction or a forget takes out what its events put in. Counts are integers, so no order matters. Both views are kept
//! for the live line-up and for the one that stands by, and change places with them.
//!
//! New centres come with the factors of all members, which the store has ([`Known`]), and with their histories' sums, so
//! that nobody is folded in anew: every member is looked for among the new centres in that one epoch.
//!
//! ```
//! use nearline_dataflows::clusters::Centres;
//! use nearline_factors::Factors;
//!
//! let centres = Factors::new(2, vec![1.0, 0.0, 0.0, 1.0])?;
//! let centres = Centres::new("centres".into(), "model".into(), centres);
//! // A long factor and a short one of one direction are in one cluster; of equally near centres it is the first.
//! assert_eq!(centres.nearest(&[0.1, 0.9, 1.0, 9.0, 3.0, 3.0]), [1, 1, 0]);
//! # Ok::<(), nearline_factors::FactorsError>(())
//! ```

use std::collections::BTreeMap;
use std::rc::Rc;

use nearline_factors::Factors;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::operator::Operator;

use crate::lists::Made;
use crate::members::{Control, Role, Touched};
use crate::placed::{Placed, Places, Side};
use crate::profile::ItemState;
use crate::spread::Spread;
use crate::types::{Epoch, Item, Member};

/// Centres of clusters, for the members of one model.
pub struct Centres {
    /// Their version: a hash of their content.
    pub version: String,
    /// The version of the model whose members' factors they are centres of.
    pub model: String,
    centres: nearline_factors::Centres,
}

impl Centres {
    /// Centres of a version, made with a model of a version.
    pub fn new(version: String, model: String, centres: Factors) -> Self {
        Centres { version, model, centres: nearline_factors::Centres::new(centres) }
    }

    /// The cluster of each of some factors, one after the other.
    pub fn nearest(&self, factors: &[f32]) -> Vec<u32> {
        self.centres.nearest(factors)
    }

    /// The centres themselves.
    pub fn factors(&self) -> &Factors {
        self.centres.factors()
    }
}

impl std::fmt::Debug for Centres {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "centres {} of model {}", self.version, self.model)
    }
}

/// A member's factor, as the store has it, made with the model that the epoch's centres were made with.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Known {
    /// Whose.
    pub member: Member,
    /// Whether it is of the line-up that stands by.
    pub standby: bool,
    /// The factor.
    pub factor: Box<[f32]>,
}

/// A cluster and an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct ClusterItem {
    /// The cluster's number among its centres.
    pub cluster: u32,
    /// The item.
    pub item: Item,
}

/// Where a member belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Belongs {
    /// The cluster's number among its centres.
    pub cluster: u32,
    /// How many items the member likes: how much is known of the member's taste.
    pub liked: u32,
}

/// Of whom that changed, under which line-up: where the member belongs then, none where to no cluster.
pub type Moved = (Role, Member, Option<Belongs>);

/// Of how many members of a cluster an item is among what they like then, under which line-up.
pub type Counted = (Role, ClusterItem, u32);

/// By how much a count changed; whether it is one of the line-up that stands by.
type CountChange = (bool, ClusterItem, i32);

/// What a member likes, in the order of the items' numbers.
pub fn liked(states: &[ItemState]) -> Box<[Item]> {
    states.iter().filter(|state| state.signal > 0 && !state.hidden).map(|state| state.item).collect()
}

/// What the operators are made of: everything of one worker.
pub struct ClusterInputs<'scope> {
    /// Changed members, and all of them where centres are new.
    pub touched: StreamVec<'scope, Epoch, Rc<Touched>>,
    /// Their factors' clusters.
    pub made: StreamVec<'scope, Epoch, Rc<Made>>,
    /// What the engine tells.
    pub controls: StreamVec<'scope, Epoch, Control>,
    /// Factors that the store has, with new centres.
    pub known: StreamVec<'scope, Epoch, Known>,
}

/// Builds the operators: who moved, and the counts that an epoch changed, each once; zero where no member of the cluster
/// likes the item any more.
pub fn clusters(
    inputs: ClusterInputs<'_>,
    spread: Spread,
) -> (StreamVec<'_, Epoch, Moved>, StreamVec<'_, Epoch, Counted>) {
    let controls = inputs.controls.clone();
    let (moved, changes) = places(inputs);
    (moved, counts(changes, controls, spread))
}

/// What arrived for one epoch that is not over yet.
#[derive(Default)]
struct Pending {
    controls: Vec<Control>,
    known: Vec<Known>,
    /// By line-up: the live one, the one that stands by.
    liked: [Vec<(Member, Box<[Item]>)>; 2],
    nearest: [Vec<(Member, Option<u32>)>; 2],
    capabilities: Vec<Capability<Epoch>>,
}

fn place(role: Role) -> usize {
    usize::from(role == Role::Standby)
}

/// Keeps where members belong and what they like.
fn places(inputs: ClusterInputs<'_>) -> (StreamVec<'_, Epoch, Moved>, StreamVec<'_, Epoch, CountChange>) {
    let mut builder = OperatorBuilder::new("clusters".to_owned(), inputs.touched.scope());
    let mut touched_in = builder.new_input(inputs.touched, Pipeline);
    let mut made_in = builder.new_input(inputs.made, Pipeline);
    let mut controls_in = builder.new_input(inputs.controls, Pipeline);
    let mut known_in = builder.new_input(inputs.known, Pipeline);
    let (moved_out, moved) = builder.new_output();
    let (changes_out, changes) = builder.new_output();
    let mut moved_out = OutputBuilder::<_, CapacityContainerBuilder<Vec<Moved>>>::from(moved_out);
    let mut changes_out = OutputBuilder::<_, CapacityContainerBuilder<Vec<CountChange>>>::from(changes_out);
    builder.build(move |capabilities| {
        drop(capabilities);
        // Invariant: what arrived for epochs that are not over yet.
        let mut pending: BTreeMap<Epoch, Pending> = BTreeMap::new();
        let mut places = Places::default();
        move |frontiers| {
            macro_rules! stash {
                ($input:ident, |$entry:ident, $data:ident| $take:expr) => {
                    $input.for_each(|capability, $data| {
                        let epoch = *capability.least().expect("a message has a time");
                        let $entry = pending.entry(epoch).or_insert_with(|| Pending {
                            capabilities: (0..2).filter_map(|port| capability.retain_least(port)).collect(),
                            ..Pending::default()
                        });
                        $take
                    });
                };
            }
            stash!(controls_in, |entry, data| entry.controls.append(data));
            stash!(known_in, |entry, data| entry.known.append(data));
            stash!(touched_in, |entry, data| for batch in data.drain(..) {
                // Whoever belongs nowhere likes nothing that counts.
                if batch.centres.is_some() {
                    let liked = batch.members.iter().map(|(member, states)| (*member, liked(states)));
                    entry.liked[place(batch.role)].extend(liked);
                }
            });
            stash!(made_in, |entry, data| for batch in data.drain(..) {
                let nearest = batch.lists.iter().map(|made| (made.member, made.cluster));
                entry.nearest[place(batch.role)].extend(nearest);
            });
            let (mut moved_out, mut changes_out) = (moved_out.activate(), changes_out.activate());
            while let Some(entry) = pending.first_entry() {
                if frontiers.iter().any(|frontier| frontier.less_equal(entry.key())) {
                    break;
                }
                let mut epoch = entry.remove();
                let capabilities = std::mem::take(&mut epoch.capabilities);
                let (moved, changes) = close(&mut places, epoch);
                let [to_moved, to_changes] = &capabilities[..] else { continue };
                moved_out.session(to_moved).give_iterator(moved.into_iter());
                changes_out.session(to_changes).give_iterator(changes.into_iter());
            }
        }
    });
    (moved, changes)
}

/// Applies all that arrived for an epoch: first what the engine tells, then what the store knew, then what is made.
fn close(places: &mut Places, pending: Pending) -> (Vec<Moved>, Vec<CountChange>) {
    let Pending { controls, known, liked, nearest, .. } = pending;
    for control in controls {
        match control {
            Control::Turn => places.sides.swap(0, 1),
            // Its tables are cleared: nothing is told of what goes.
            Control::Standby(_) => places.sides[1] = Side::default(),
            Control::Centres(new) => {
                places.sides.iter_mut().for_each(Side::empty);
                places.centres = new;
            }
            _ => {}
        }
    }
    if let Some(centres) = &places.centres {
        for one in known {
            let cluster = centres.nearest(&one.factor).first().copied();
            places.sides[usize::from(one.standby)].change(one.member).cluster = Some(cluster);
        }
    }
    for ((side, liked), nearest) in places.sides.iter_mut().zip(liked).zip(nearest) {
        liked.into_iter().for_each(|(member, liked)| side.change(member).liked = Some(liked));
        nearest.into_iter().for_each(|(member, cluster)| side.change(member).cluster = Some(cluster));
    }
    let (mut all_moved, mut changes) = (Vec::new(), Vec::new());
    for (role, side) in [Role::Live, Role::Standby].into_iter().zip(&mut places.sides) {
        let Placed { moved, counts } = side.apply();
        changes.extend(counts.into_iter().map(|(item, diff)| (role == Role::Standby, item, diff)));
        all_moved.extend(moved.into_iter().map(|(member, belongs)| (role, member, belongs)));
    }
    (all_moved, changes)
}

/// What the counts are then. The worker that a count belongs to keeps it.
fn counts<'scope>(
    changes: StreamVec<'scope, Epoch, CountChange>,
    controls: StreamVec<'scope, Epoch, Control>,
    spread: Spread,
) -> StreamVec<'scope, Epoch, Counted> {
    let by_item = Exchange::new(move |(_, of, _): &CountChange| spread.by_item(of.item, of));
    type Builder = CapacityContainerBuilder<Vec<Counted>>;
    changes.binary_frontier::<_, Builder, _, _, _, _>(
        controls,
        by_item,
        Pipeline,
        "cluster_popularity",
        |_, _| {
            // By line-up. No count is zero.
            let mut sides: [BTreeMap<ClusterItem, u32>; 2] = Default::default();
            // Invariant: what arrived for epochs that are not over yet.
            let mut pending: BTreeMap<Epoch, Summing> = BTreeMap::new();
            move |(changes, changes_frontier), (controls, controls_frontier), output| {
                changes.for_each(|capability, data| {
                    let Some(capability) = capability.retain_least(0) else { return };
                    let entry =
                        pending.entry(*capability.time()).or_insert_with(|| Summing::new(capability.clone()));
                    for (standby, item, diff) in data.drain(..) {
                        *entry.sums.entry((standby, item)).or_insert(0) += diff;
                    }
                });
                controls.for_each(|capability, data| {
                    let Some(capability) = capability.retain_least(0) else { return };
                    let entry =
                        pending.entry(*capability.time()).or_insert_with(|| Summing::new(capability.clone()));
                    entry.controls.append(data);
                });
                while let Some(entry) = pending.first_entry() {
                    if changes_frontier.less_equal(entry.key()) || controls_frontier.less_equal(entry.key()) {
                        break;
                    }
                    let Summing { controls, sums, capability } = entry.remove();
                    for control in controls {
                        match control {
                            Control::Turn => sides.swap(0, 1),
                            Control::Standby(_) => sides[1].clear(),
                            _ => {}
                        }
                    }
                    let changed = sums.into_iter().filter(|(_, diff)| *diff != 0);
                    let counted = changed.map(|((standby, item), diff)| {
                        let role = if standby { Role::Standby } else { Role::Live };
                        (role, item, count(&mut sides[usize::from(standby)], item, diff))
                    });
                    output.session(&capability).give_iterator(counted);
                }
            }
        },
    )
}

/// What arrived for one epoch at the counts.
struct Summing {
    controls: Vec<Control>,
    sums: BTreeMap<(bool, ClusterItem), i32>,
    capability: Capability<Epoch>,
}

impl Summing {
    fn new(capability: Capability<Epoch>) -> Self {
        Summing { controls: Vec::new(), sums: BTreeMap::new(), capability }
    }
}

/// Adds to a count; says what it is then.
fn count(counts: &mut BTreeMap<ClusterItem, u32>, item: ClusterItem, diff: i32) -> u32 {
    let count = counts.entry(item).or_insert(0);
    *count = count.wrapping_add_signed(diff);
    let now = *count;
    if now == 0 {
        counts.remove(&item);
    }
    now
}
