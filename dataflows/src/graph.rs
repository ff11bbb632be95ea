//! The graph: the only place where views meet. It reads as the picture in ARCHITECTURE.md.
//!
//! ```text
//! records ─→ members ─┬─→ popularity ─→ trending
//!                     ├─→ now ────────────┘
//!                     ├─→ performance
//!                     ├─→ together
//!                     ├─→ lists: continue_watching, factors, top_picks
//!                     └─→ clusters ←─ factors
//! catalogue, models, centres ─→ members (inputs like any other)
//! ```
//!
//! What changed comes out of a [`Sink`] by epoch; the probe tells when an epoch has come out whole.

use std::rc::Rc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::vec::Input;
use timely::dataflow::operators::{Probe, probe};
use timely::dataflow::{InputHandleVec, Scope, StreamVec};

use crate::catalogue::catalogue;
use crate::clusters::{ClusterInputs, Counted, Known, Moved, clusters};
use crate::histories::{Newest, RecordEffect};
use crate::kinds::Kinds;
use crate::lists::{Made, MemberLists, lists};
use crate::members::{Control, Role, Touched, members};
use crate::now::now;
use crate::performance::{ListCell, performance};
use crate::popularity::{self, popularity};
use crate::progress::{Begun, ProgressOptions, continue_watching};
use crate::spread::Spread;
use crate::together::{ItemPair, TogetherOptions, together};
use crate::trending::{Trend, TrendingOptions, trending};
use crate::types::{Epoch, ItemVersion, LookUps, Member, Op};

/// The part of the config that has meaning.
#[derive(Clone)]
pub struct Meaning {
    /// What each kind means.
    pub kinds: Kinds,
    /// How many entries a list has at most.
    pub length: usize,
    /// After how many hours an event counts half in `trending`.
    pub half_life_hours: u32,
    /// From which part watched, in millionths, an item is being watched.
    pub begun_from: i64,
    /// From which part watched, in millionths, an item is finished.
    pub begun_below: i64,
    /// How many items a member's basket holds at most in `together`; 0 turns it off.
    pub basket: usize,
}

/// A change of what the store keeps, in one epoch.
#[derive(Clone, Debug)]
pub enum Delta {
    /// What became of the epoch's records.
    Records(Vec<RecordEffect>),
    /// What cells count now; zero where nothing is counted any more. Each worker tells its own cells, in order.
    Popularity(Vec<popularity::Counted>),
    /// What cells of lists count now; zero where nothing is counted any more.
    Performance(Vec<(ListCell, u64)>),
    /// How many baskets hold pairs of items now; zero where none does any more.
    Together(Vec<(ItemPair, u32)>),
    /// The whole list.
    Trending(Vec<Trend>),
    /// The newest live event.
    Now(Option<Newest>),
    /// Versions of items that took over.
    Items(Vec<ItemVersion>),
    /// Members' lists of what they have begun; empty where there is none.
    Progress(Role, Vec<(Member, Vec<Begun>)>),
    /// Members' factors and lists under the line-up that has this role in the epoch.
    Lists(Role, Vec<MemberLists>),
    /// Which clusters members belong to now, of those who moved.
    Clusters(Vec<Moved>),
    /// How many members of a cluster like an item now; zero where none does any more.
    ClusterPopularity(Vec<Counted>),
}

/// Where the changes of one worker go.
pub trait Sink: 'static {
    /// Takes a change of an epoch. Changes of one epoch come in any order; those of different epochs may mix.
    fn take(&self, epoch: Epoch, delta: Delta);
}

/// What goes into one worker's part of the graph.
pub struct Inputs {
    /// Records of members.
    pub ops: InputHandleVec<Epoch, Op>,
    /// Versions of items.
    pub items: InputHandleVec<Epoch, ItemVersion>,
    /// What the engine tells this worker.
    pub controls: InputHandleVec<Epoch, Control>,
    /// Factors of this worker's members, with new centres.
    pub known: InputHandleVec<Epoch, Known>,
}

impl Inputs {
    /// Closes all epochs before `epoch`.
    pub fn advance_to(&mut self, epoch: Epoch) {
        self.ops.advance_to(epoch);
        self.items.advance_to(epoch);
        self.controls.advance_to(epoch);
        self.known.advance_to(epoch);
    }
}

/// Wires one worker's part of the graph, whose workers are of so many processes.
pub fn build(
    scope: Scope<'_, Epoch>,
    processes: usize,
    meaning: &Meaning,
    look_ups: LookUps,
    sink: Rc<dyn Sink>,
) -> (Inputs, probe::Handle<Epoch>) {
    let (ops_in, ops) = scope.new_input();
    let (items_in, versions) = scope.new_input();
    let (controls_in, controls) = scope.new_input();
    let (known_in, known) = scope.new_input();
    let probe = probe::Handle::new();
    let length = meaning.length;
    let ids = look_ups.ids.clone();
    let spread = Spread::of(&scope, processes, ids.clone());
    let progress =
        ProgressOptions { from: meaning.begun_from, below: meaning.begun_below, length, ids: ids.clone() };
    let trends = TrendingOptions {
        kinds: meaning.kinds.clone(),
        half_life_hours: meaning.half_life_hours,
        length,
        ids: ids.clone(),
    };
    let baskets = TogetherOptions { basket: meaning.basket, ids };

    let (items, availability) = catalogue(versions, spread.clone());
    let members = members(ops, controls.clone(), availability, meaning.kinds.clone(), look_ups);
    let now = now(members.newest);
    let counts = popularity(members.changes, controls.clone(), spread.clone());
    let trending = trending(counts.clone(), now.clone(), trends);
    let performance = performance(members.listed, spread.clone());
    let together = together(members.touched.clone(), controls.clone(), baskets, spread.clone());

    let watching = for_touched(members.touched.clone(), "continue_watching", move |touched| {
        let list = |(member, states): &(Member, Vec<_>)| (*member, continue_watching(states, &progress));
        Delta::Progress(touched.role, touched.members.iter().map(list).collect())
    });
    let picks = for_touched(members.touched.clone(), "top_picks", move |touched| {
        Rc::new(Made { role: touched.role, lists: lists(touched, length) })
    });
    let touched = members.touched;
    let (moved, liked) =
        clusters(ClusterInputs { touched, made: picks.clone(), controls, known }, spread.clone());

    let now = spread.to_every_process(now, "now everywhere");
    let trending = spread.to_every_process(trending, "trending everywhere");
    let out = Outlet { sink, probe: probe.clone() };
    out.deliver(members.effects, "records out", |data| Delta::Records(std::mem::take(data)));
    out.deliver(counts, "popularity out", |data| Delta::Popularity(std::mem::take(data)));
    out.deliver(performance, "performance out", |data| Delta::Performance(std::mem::take(data)));
    out.deliver(together, "together out", |data| Delta::Together(std::mem::take(data)));
    out.deliver(items, "items out", |data| Delta::Items(std::mem::take(data)));
    out.deliver(now, "now out", |data| Delta::Now(data.pop().flatten()));
    out.deliver(trending, "trending out", |data| Delta::Trending(data.pop().unwrap_or_default()));
    let none = || Delta::Lists(Role::Live, Vec::new());
    out.deliver(watching, "continue_watching out", move |data| data.pop().unwrap_or_else(none));
    out.deliver(picks, "top_picks out", move |data| data.pop().map_or_else(none, made_lists));
    out.deliver(moved, "clusters out", |data| Delta::Clusters(std::mem::take(data)));
    out.deliver(liked, "cluster_popularity out", |data| Delta::ClusterPopularity(std::mem::take(data)));
    (Inputs { ops: ops_in, items: items_in, controls: controls_in, known: known_in }, probe)
}

/// The lists that were made for a batch; clusters have taken what they need, or have it still.
fn made_lists(made: Rc<Made>) -> Delta {
    let Made { role, lists } = Rc::unwrap_or_clone(made);
    Delta::Lists(role, lists)
}

/// What is made of each batch of members, each in a container of its own.
fn for_touched<'scope, D: Clone + 'static>(
    touched: StreamVec<'scope, Epoch, Rc<Touched>>,
    name: &str,
    make: impl Fn(&Touched) -> D + 'static,
) -> StreamVec<'scope, Epoch, D> {
    touched.unary::<CapacityContainerBuilder<Vec<D>>, _, _, _>(Pipeline, name, move |_, _| {
        move |input, output| {
            input.for_each(|capability, data| {
                for batch in data.drain(..).filter(|batch| !batch.known) {
                    output.session(&capability).give_container(&mut vec![make(&batch)]);
                }
            });
        }
    })
}

/// The way out of one worker's part.
struct Outlet {
    sink: Rc<dyn Sink>,
    probe: probe::Handle<Epoch>,
}

impl Outlet {
    fn deliver<'scope, D: Clone + 'static>(
        &self,
        stream: StreamVec<'scope, Epoch, D>,
        name: &str,
        wrap: impl Fn(&mut Vec<D>) -> Delta + 'static,
    ) {
        let sink = self.sink.clone();
        stream
            .unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(Pipeline, name, move |_, _| {
                move |input, _output| {
                    input.for_each(|capability, data| {
                        if let Some(epoch) = capability.least() {
                            sink.take(*epoch, wrap(data));
                        }
                    });
                }
            })
            .probe_with(&self.probe);
    }
}
