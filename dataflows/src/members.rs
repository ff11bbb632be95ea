//! `members`: the live events of every member, kept once; what changed, and who is to be refreshed.
//!
//! The one stateful operator that holds the events (see `histories.rs`). At the end of each epoch it applies the
//! epoch's records as a set and sends out
//! * the events that became live or ceased to be, by cell, for the views that count,
//! * those of them that name a list, summed up by cell,
//! * the members that changed, each with the sums of its history, in batches for the lists,
//! * for the store, which records were refused and which events are gone,
//! * the newest `at` of this worker's live events.
//!
//! Batches carry the model and the catalogue's unavailable items of their epoch, one model each, so that what follows
//! is a function of a batch alone. A large refresh is sent in slices: the operator keeps its capability, gives the
//! others a turn and goes on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use differential_dataflow::consolidation::consolidate;
use nearline_factors::Bitmap;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::{OutputBuilder, OutputBuilderSession};
use timely::scheduling::Activator;

use crate::catalogue::Availability;
use crate::clusters::Centres;
use crate::histories::{Applied, Histories, Newest, RecordEffect};
use crate::kinds::Kinds;
use crate::line_up::{InUse, LineUp, Lined};
use crate::model::Model;
use crate::performance::{ListCell, ListChange};
use crate::profile::{ItemState, profile};
use crate::types::{Country, Epoch, Event, Hour, Item, Kind, LookUps, Member, Op, Placement, hour_of};

/// How many members a batch holds at most: enough that the item factors are read once for many members, few
/// enough that their histories' sums stay small.
const BATCH: usize = 1024;

/// What the engine tells a worker about an epoch.
#[derive(Clone, Debug)]
pub enum Control {
    /// From this epoch on lists are made with this line-up; where it has no model there are none.
    Live(LineUp),
    /// From this epoch on changed members are also refreshed with this line-up, beside the live one; or no longer.
    Standby(Option<LineUp>),
    /// In this epoch the members of these numbers, the end excluded, are refreshed with the standby line-up alone.
    Build(Member, Member),
    /// From this epoch on the standby line-up is the live one, and the other way round.
    Turn,
    /// Changed members are refreshed in this epoch, those that were put off included: what an epoch with records
    /// does anyhow.
    Now,
    /// Changed members are refreshed in a later epoch, not in this one; what cells count and what is newest is told then.
    Later,
    /// Changed members need no refresh: the store has their lists, and what is sent of them only brings back what
    /// operators keep.
    Clean,
    /// Every member is refreshed in this epoch.
    All,
    /// From this epoch on members whose model these centres were made with belong to the nearest; without centres nobody
    /// belongs anywhere. All members are sent in this epoch as known, with the sums of their histories; their factors come
    /// from the store.
    Centres(Option<Arc<Centres>>),
}

/// One live event, as the views that count see it. In the order of its fields.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Cell {
    /// What was done.
    pub kind: Kind,
    /// The UTC hour of the event.
    pub hour: Hour,
    /// What was acted on.
    pub item: Item,
    /// Where.
    pub country: Country,
}

impl Cell {
    /// The cell of an event that happened there.
    pub fn of(event: &Event, placement: Placement) -> Self {
        let (hour, kind) = (hour_of(event.at()), event.kind());
        Cell { item: event.item, hour, country: placement.country, kind }
    }
}

/// By how much the live events of a cell changed.
pub type CellChange = (Cell, i32);

/// Which of two sets of lists: each is made with one line-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one that answers are read from.
    Live,
    /// The one beside it: it is being built, or was live before and could be again.
    Standby,
}

/// Members to be refreshed, and what they are refreshed with.
#[derive(Debug)]
pub struct Touched {
    /// Each member with the sums of its live events.
    pub members: Vec<(Member, Vec<ItemState>)>,
    /// Which lists are made.
    pub role: Role,
    /// The model that they are made with: that of all these members.
    pub model: Option<Arc<Model>>,
    /// Whether these members have a factor and `top_picks` of it.
    pub kept: bool,
    /// By the model's index: items that may be listed.
    pub available: Rc<Bitmap>,
    /// The centres of clusters, where they were made with this model.
    pub centres: Option<Arc<Centres>>,
    /// Whether the store has all that is made for them.
    pub known: bool,
}

/// The streams out of `members`.
pub struct Streams<'scope> {
    /// Changes of the live events.
    pub changes: StreamVec<'scope, Epoch, CellChange>,
    /// Changes of those that name a list.
    pub listed: StreamVec<'scope, Epoch, ListChange>,
    /// Members to refresh.
    pub touched: StreamVec<'scope, Epoch, Rc<Touched>>,
    /// For the store.
    pub effects: StreamVec<'scope, Epoch, RecordEffect>,
    /// The worker's number and its newest live event.
    pub newest: StreamVec<'scope, Epoch, (usize, Option<Newest>)>,
}

/// What arrived for one epoch that is not over yet.
struct Pending {
    ops: Vec<Op>,
    controls: Vec<Control>,
    availability: Vec<Availability>,
    capabilities: Vec<Capability<Epoch>>,
}

/// Builds the operator. Records of a member come to the worker that the member belongs to: whoever feeds the graph deals them
/// out, whole vectors of them, which here are taken as they are.
pub fn members<'scope>(
    ops: StreamVec<'scope, Epoch, Op>,
    controls: StreamVec<'scope, Epoch, Control>,
    availability: StreamVec<'scope, Epoch, Availability>,
    kinds: Kinds,
    look_ups: LookUps,
) -> Streams<'scope> {
    let scope = ops.scope();
    let worker = scope.index();
    let mut builder = OperatorBuilder::new("members".to_owned(), scope);
    let activator = scope.activator_for(builder.operator_info().address);
    let mut ops_in = builder.new_input(ops, Pipeline);
    let mut controls_in = builder.new_input(controls, Pipeline);
    let mut availability_in = builder.new_input(availability, Pipeline);
    let (changes_out, changes) = builder.new_output();
    let (touched_out, touched) = builder.new_output();
    let (effects_out, effects) = builder.new_output();
    let (newest_out, newest) = builder.new_output();
    let (listed_out, listed) = builder.new_output();
    let mut outputs = Outputs {
        changes: OutputBuilder::from(changes_out),
        touched: OutputBuilder::from(touched_out),
        effects: OutputBuilder::from(effects_out),
        newest: OutputBuilder::from(newest_out),
        listed: OutputBuilder::from(listed_out),
    };

    builder.build(move |capabilities| {
        drop(capabilities);
        // Invariant: holds a capability for each epoch with input that has not been sent out in full.
        let mut pending: BTreeMap<Epoch, Pending> = BTreeMap::new();
        let mut state = State::new(worker, kinds, look_ups, activator);
        move |frontiers| {
            macro_rules! stash {
                ($input:ident, $field:ident) => {
                    $input.for_each(|capability, data| {
                        let epoch = *capability.least().expect("a message has a time");
                        let entry = pending.entry(epoch).or_insert_with(|| Pending {
                            ops: Vec::new(),
                            controls: Vec::new(),
                            availability: Vec::new(),
                            capabilities: (0..5).filter_map(|port| capability.retain_least(port)).collect(),
                        });
                        if entry.$field.is_empty() {
                            entry.$field = std::mem::take(data);
                        } else {
                            entry.$field.append(data);
                        }
                    });
                };
            }
            stash!(ops_in, ops);
            stash!(controls_in, controls);
            stash!(availability_in, availability);

            let mut outputs = outputs.activate();
            if state.send_slice(&mut outputs) {
                return;
            }
            while let Some(entry) = pending.first_entry() {
                if frontiers.iter().any(|frontier| frontier.less_equal(entry.key())) {
                    break;
                }
                state.close_epoch(entry.remove(), &mut outputs);
                if state.send_slice(&mut outputs) {
                    break;
                }
            }
        }
    });
    Streams { changes, listed, touched, effects, newest }
}

type Builder<D> = CapacityContainerBuilder<Vec<D>>;

struct Outputs {
    changes: OutputBuilder<Epoch, Builder<CellChange>>,
    touched: OutputBuilder<Epoch, Builder<Rc<Touched>>>,
    effects: OutputBuilder<Epoch, Builder<RecordEffect>>,
    newest: OutputBuilder<Epoch, Builder<(usize, Option<Newest>)>>,
    listed: OutputBuilder<Epoch, Builder<ListChange>>,
}

struct ActiveOutputs<'a> {
    changes: OutputBuilderSession<'a, Epoch, Builder<CellChange>>,
    touched: OutputBuilderSession<'a, Epoch, Builder<Rc<Touched>>>,
    effects: OutputBuilderSession<'a, Epoch, Builder<RecordEffect>>,
    newest: OutputBuilderSession<'a, Epoch, Builder<(usize, Option<Newest>)>>,
    listed: OutputBuilderSession<'a, Epoch, Builder<ListChange>>,
}

impl Outputs {
    fn activate(&mut self) -> ActiveOutputs<'_> {
        ActiveOutputs {
            changes: self.changes.activate(),
            touched: self.touched.activate(),
            effects: self.effects.activate(),
            newest: self.newest.activate(),
            listed: self.listed.activate(),
        }
    }
}

/// The order of the capabilities in [`Pending`].
const CHANGES: usize = 0;
const TOUCHED: usize = 1;
const EFFECTS: usize = 2;
const NEWEST: usize = 3;
const LISTED: usize = 4;

/// Members still to be sent at the epoch of the capability.
struct Sending {
    capability: Capability<Epoch>,
    /// To be refreshed with every line-up in use.
    changed: VecDeque<Member>,
    /// To be refreshed with the standby line-up.
    built: VecDeque<Member>,
    /// Not to be refreshed: the store has what is made for them.
    known: VecDeque<Member>,
    /// Whether what is known is sent of the standby line-up as well.
    known_beside: bool,
}

/// All that the operator keeps.
struct State {
    worker: usize,
    configured: Kinds,
    look_ups: LookUps,
    live: Lined,
    standby: Option<Lined>,
    centres: Option<Arc<Centres>>,
    withdrawn: BTreeSet<Item>,
    histories: Histories,
    newest_sent: Option<Newest>,
    /// Members that changed and have not been refreshed since.
    dirty: Vec<Member>,
    /// Whether every member is to be refreshed at the next chance.
    all_dirty: bool,
    sending: Option<Sending>,
    activator: Activator,
}

impl State {
    fn new(worker: usize, kinds: Kinds, look_ups: LookUps, activator: Activator) -> Self {
        State {
            worker,
            live: Lined::new(LineUp::one(None), &kinds, &BTreeSet::new()),
            configured: kinds,
            standby: None,
            centres: None,
            withdrawn: BTreeSet::new(),
            histories: Histories::new(look_ups.digests.clone()),
            look_ups,
            newest_sent: None,
            dirty: Vec::new(),
            all_dirty: false,
            sending: None,
            activator,
        }
    }

    /// Applies all that arrived for an epoch and sends what changed, but for the lists, which follow in slices.
    fn close_epoch(&mut self, mut pending: Pending, outputs: &mut ActiveOutputs<'_>) {
        self.take_availability(&pending.availability);
        let (mut later, mut clean, mut centred, mut built) = (false, false, false, Vec::new());
        for control in pending.controls.drain(..) {
            match control {
                Control::Live(line_up) => {
                    self.live = Lined::new(line_up, &self.configured, &self.withdrawn);
                    self.all_dirty = true;
                }
                Control::Standby(line_up) => {
                    let lined = |line_up| Lined::new(line_up, &self.configured, &self.withdrawn);
                    self.standby = line_up.map(lined);
                }
                Control::Build(from, to) => built.push((from, to)),
                Control::Turn => {
                    if let Some(standby) = &mut self.standby {
                        std::mem::swap(&mut self.live, standby);
                    }
                }
                Control::Now => {}
                Control::Later => later = true,
                Control::Clean => clean = true,
                Control::All => self.all_dirty = true,
                Control::Centres(centres) => {
                    centred = centres.is_some();
                    self.centres = centres;
                }
            }
        }
        let applied = self.histories.apply(&mut pending.ops);
        self.send_changes(&applied, &pending.capabilities, outputs);
        if !later {
            self.send_newest(&pending.capabilities[NEWEST], outputs);
        }
        self.dirty.extend(applied.changed);
        let mut known = VecDeque::new();
        if clean {
            self.all_dirty = false;
            known = self.take_dirty();
        }
        if centred {
            known = self.histories.members().collect();
        }
        let changed = if later { VecDeque::new() } else { self.take_dirty() };
        let built: VecDeque<Member> =
            built.into_iter().flat_map(|(from, to)| self.histories.between(from, to)).collect();
        if !changed.is_empty() || !built.is_empty() || !known.is_empty() {
            let capability = pending.capabilities.swap_remove(TOUCHED);
            self.sending = Some(Sending { capability, changed, built, known, known_beside: centred });
        }
    }

    fn send_changes(
        &mut self,
        applied: &Applied,
        capabilities: &[Capability<Epoch>],
        outputs: &mut ActiveOutputs<'_>,
    ) {
        let placements = &*self.look_ups.placements;
        let mut listed: Vec<ListChange> = Vec::new();
        let mut change_of = |event: &Event, diff: i32| {
            let placement = placements.placement(event.place);
            listed.extend(ListCell::of(event, placement).map(|cell| (cell, diff as isize)));
            (Cell::of(event, placement), diff)
        };
        let added = applied.added.iter().map(|(_, event)| (event, 1));
        let removed = applied.removed.iter().map(|(_, event)| (event, -1));
        let changes = added.chain(removed).map(|(event, diff)| change_of(event, diff));
        outputs.changes.session(&capabilities[CHANGES]).give_iterator(changes);
        consolidate(&mut listed);
        if !listed.is_empty() {
            outputs.listed.session(&capabilities[LISTED]).give_iterator(listed.into_iter());
        }
        outputs.effects.session(&capabilities[EFFECTS]).give_iterator(applied.effects.iter().cloned());
    }

    /// Tells of the newest event, where it is another one. What puts lists off puts it off too: with each hour that *now*
    /// moves on, all of the scores of `trending` change.
    fn send_newest(&mut self, capability: &Capability<Epoch>, outputs: &mut ActiveOutputs<'_>) {
        if self.histories.newest() != self.newest_sent {
            self.newest_sent = self.histories.newest();
            let newest = self.newest_sent.map(|newest| Newest { worker: self.worker, ..newest });
            outputs.newest.session(capability).give((self.worker, newest));
        }
    }

    /// Sends one batch of the members to refresh; says whether more are left, and asks for another turn then.
    fn send_slice(&mut self, outputs: &mut ActiveOutputs<'_>) -> bool {
        let Some(mut sending) = self.sending.take() else { return false };
        let Sending { capability, changed, built, known, known_beside } = &mut sending;
        let slice = |members: &mut VecDeque<Member>| -> Vec<Member> {
            members.drain(..members.len().min(BATCH)).collect()
        };
        if !known.is_empty() {
            let members = slice(known);
            let mut send = |role, lined| {
                for touched in self.touched(role, lined, &members) {
                    outputs.touched.session(capability).give(Rc::new(Touched { known: true, ..touched }));
                }
            };
            send(Role::Live, &self.live);
            if let Some(standby) = self.standby.as_ref().filter(|_| *known_beside) {
                send(Role::Standby, standby);
            }
        } else {
            let of_live = !changed.is_empty();
            let members = slice(if of_live { changed } else { built });
            let mut send = |role, lined| {
                for touched in self.touched(role, lined, &members) {
                    outputs.touched.session(capability).give(Rc::new(touched));
                }
            };
            if of_live {
                send(Role::Live, &self.live);
            }
            if let Some(standby) = &self.standby {
                send(Role::Standby, standby);
            }
        }
        if changed.is_empty() && built.is_empty() && known.is_empty() {
            return false;
        }
        self.sending = Some(sending);
        self.activator.activate();
        true
    }

    /// Members by what their lists are made with, a batch for each.
    fn touched(&self, role: Role, lined: &Lined, members: &[Member]) -> Vec<Touched> {
        let batch = |(InUse { model, kept, kinds, available }, members): (&InUse, Vec<Member>)| {
            let sums = |member| (member, profile(self.histories.get(member).events(), kinds));
            Touched {
                members: members.into_iter().map(sums).collect(),
                role,
                model: model.clone(),
                kept: *kept,
                available: available.clone(),
                centres: self.centres_of(model.as_deref()).filter(|_| *kept).cloned(),
                known: false,
            }
        };
        lined.deal(members, &*self.look_ups.assignment).into_iter().map(batch).collect()
    }

    /// The centres, where they were made with a model.
    fn centres_of(&self, model: Option<&Model>) -> Option<&Arc<Centres>> {
        self.centres.as_ref().filter(|centres| model.is_some_and(|model| model.version == centres.model))
    }

    /// The members to refresh, each once, in order. A member whose last event is gone is among them.
    fn take_dirty(&mut self) -> VecDeque<Member> {
        if std::mem::take(&mut self.all_dirty) {
            self.dirty.extend(self.histories.members());
        }
        self.dirty.sort_unstable();
        self.dirty.dedup();
        std::mem::take(&mut self.dirty).into()
    }

    fn take_availability(&mut self, changes: &[Availability]) {
        for change in changes {
            if change.withdrawn {
                self.withdrawn.insert(change.item);
            } else {
                self.withdrawn.remove(&change.item);
            }
        }
        let listed = |change: &Availability| {
            self.live.lists(change.item)
                || self.standby.as_ref().is_some_and(|lined| lined.lists(change.item))
        };
        if changes.iter().any(listed) {
            self.all_dirty = true;
            self.live.mark_available(&self.withdrawn);
            if let Some(standby) = &mut self.standby {
                standby.mark_available(&self.withdrawn);
            }
        }
    }
}
