//! The graph against the oracle: every view at every epoch, at 1, 2 and 3 workers and as two processes, however epochs are
//! cut.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use nearline_dataflows::clusters::{Centres, Known};
use nearline_dataflows::graph::{self, Delta, Meaning, Sink};
use nearline_dataflows::histories::RecordEffect;
use nearline_dataflows::kinds::{KindRule, Kinds, MICROS, Seen};
use nearline_dataflows::line_up::{LineUp, Making};
use nearline_dataflows::members::{Control, Role};
use nearline_dataflows::model::Model;
use nearline_dataflows::oracle::{self, Using, Views};
use nearline_dataflows::performance::ListCell;
use nearline_dataflows::transform::Transform;
use nearline_dataflows::types::{
    Action, Assignment, Country, Digest, Digests, Epoch, Event, HOUR_MS, Item, ItemIds, ItemVersion, Kind,
    List, LookUps, Member, Op, Place, Placement, Placements, Variant,
};
use nearline_factors::{Factors, ItemSide, Regularisation};
use proptest::prelude::*;

const MEMBERS: u32 = 5;
const ITEMS: u32 = 9;

/// Items whose ids sort the other way round than their numbers, so that ties show.
struct Ids(Vec<String>);

impl ItemIds for Ids {
    fn id(&self, item: Item) -> &[u8] {
        self.0[item.index()].as_bytes()
    }
}

fn ids() -> Arc<Ids> {
    Arc::new(Ids((0..ITEMS).map(|item| format!("item-{}", ITEMS - item)).collect()))
}

/// Places in and outside of lists; two of them differ in nothing but the country, and two in nothing but the list.
struct Places;

const PLACES: u32 = 7;

impl Placements for Places {
    fn placement(&self, place: Place) -> Placement {
        let (country, list, variant, position) = match place.among_its_like() {
            0 => (0, 0, 0, 0),
            1 => (1, 0, 0, 0),
            2 => (0, 1, 1, 3),
            3 => (1, 1, 1, 3),
            4 => (1, 1, 0, 0),
            5 => (1, 1, 0, 1000),
            _ => (1, 2, 1, 3),
        };
        Placement { country: Country(country), list: List(list), variant: Variant(variant), position }
    }
}

/// To which of two variants each member belongs.
type Assigned = [usize; MEMBERS as usize];

struct Dealt(Assigned);

impl Assignment for Dealt {
    fn variant(&self, member: Member) -> usize {
        self.0[member.index()]
    }
}

/// Digests as [`event`] makes them.
struct OfFields;

impl Digests for OfFields {
    fn digest(&self, member: Member, event: &Event) -> Digest {
        assert!(event.says_all(), "{event:?}");
        let fields = [event.item.0.into(), event.kind().0.into(), event.at(), event.value, event.id as i64];
        fields.iter().fold([7, u64::from(member.0)], |digest: Digest, field| {
            [
                digest[0].wrapping_mul(31).wrapping_add(*field as u64),
                digest[1].wrapping_mul(37) ^ *field as u64,
            ]
        })
    }
}

fn look_ups(assigned: Assigned) -> LookUps {
    let assignment = Arc::new(Dealt(assigned));
    LookUps { ids: ids(), placements: Arc::new(Places), assignment, digests: Arc::new(OfFields) }
}

fn meaning() -> Meaning {
    let rule = |weight, seen| KindRule { weight, seen, ..KindRule::COUNTED };
    let play = KindRule { times_value: true, counts_from: Some(20_000), ..rule(MICROS, Seen::Yes) };
    let buy = KindRule { times_value: true, floor: Some(0), ..rule(MICROS, Seen::WhilePositive) };
    let dislike = rule(-3 * MICROS, Seen::Yes);
    let hide = KindRule { hides: true, ..KindRule::COUNTED };
    let kinds = Kinds::new(vec![play, buy, dislike, hide], Some(Kind(0)));
    Meaning { kinds, length: 4, half_life_hours: 2, begun_from: 20_000, begun_below: 950_000, basket: 3 }
}

/// A model of all items but two, with two items alike so that scores tie; the other has other items and weights.
fn model(other: bool) -> Model {
    let rank = if other { 2 } else { 3 };
    let first = if other { 2 } else { 0 };
    let mut items: Vec<Item> = (first..first + ITEMS - 2).map(Item).collect();
    let ids = ids();
    items.sort_by(|a, b| ids.order(*a, *b));
    let mut rows: Vec<f32> =
        (0..items.len() * rank).map(|place| ((place * 7 % 11) as f32 - 4.0) / 5.0).collect();
    rows.copy_within(0..rank, rank);
    let factors = Factors::new(rank, rows).expect("the rows are whole");
    let regularisation = Regularisation::new(0.1, 0.05, 1.0).expect("each is in its range");
    let mut weights = meaning().kinds.rules().to_vec();
    weights[if other { 1 } else { 0 }].weight = 2 * MICROS;
    Model::new(version(other), ItemSide::new(factors, regularisation), weights, Transform::Log1p, items)
}

fn version(other: bool) -> String {
    if other { "other".into() } else { "one".into() }
}

/// Centres of three clusters for either model, of which two are alike so that products tie; or others.
fn centres((other, moved): (bool, bool)) -> Arc<Centres> {
    let mut rows = match (other, moved) {
        (false, false) => vec![0.8, 0.6, 0.0, 0.0, 0.8, 0.6, 0.8, 0.6, 0.0],
        (false, true) => vec![-0.6, 0.0, 0.8, 0.0, -0.8, 0.6, 0.6, 0.8, 0.0],
        (true, _) => vec![0.6, 0.8, -0.6, 0.8, 0.6, -0.8],
    };
    if other && moved {
        rows.reverse();
    }
    let centres = Factors::new(if other { 2 } else { 3 }, rows).expect("the rows are whole");
    Arc::new(Centres::new(format!("{other} {moved}"), version(other), centres))
}

/// What goes into one epoch.
#[derive(Clone, Debug, Default)]
struct Cut {
    ops: Vec<Op>,
    versions: Vec<ItemVersion>,
    controls: Vec<Step>,
    /// Factors that the store has, where there are new centres.
    known: Vec<Known>,
}

/// What lists are made with: nothing; the first model or the other for all; or two variants, each with a model, and
/// whether its lists are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lining {
    None,
    One(bool),
    Two([(bool, bool); 2]),
}

impl Lining {
    fn line_up(self, models: &[Arc<Model>; 2]) -> LineUp {
        let model = |other: bool| Some(models[usize::from(other)].clone());
        match self {
            Lining::None => LineUp::one(None),
            Lining::One(other) => LineUp::one(model(other)),
            Lining::Two(variants) => {
                let making = |(other, kept)| Making { model: model(other), kept };
                LineUp::new(variants.into_iter().map(making).collect())
            }
        }
    }
}

fn models() -> [Arc<Model>; 2] {
    [Arc::new(model(false)), Arc::new(model(true))]
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Take(Lining),
    Standby(Lining),
    DropStandby,
    Build(u32, u32),
    Turn,
    Now,
    Later,
    All,
    Centres(Option<(bool, bool)>),
}

type Taken = Arc<Mutex<Vec<(Epoch, Delta)>>>;

struct Collect(Taken);

impl Sink for Collect {
    fn take(&self, epoch: Epoch, delta: Delta) {
        self.0.lock().expect("no test panicked").push((epoch, delta));
    }
}

/// Four workers stand for two processes.
fn processes(workers: usize) -> usize {
    if workers == 4 { 2 } else { 1 }
}

/// Runs the graph over the cuts; what came out, by epoch.
fn run(workers: usize, assigned: Assigned, cuts: Vec<Cut>) -> BTreeMap<Epoch, Vec<Delta>> {
    let taken: Taken = Taken::default();
    let out = taken.clone();
    let models = models();
    let processes = processes(workers);
    timely::execute(timely::Config::process(workers), move |worker| {
        let index = worker.index();
        let sink = Rc::new(Collect(out.clone()));
        let (mut inputs, probe) = worker.dataflow::<Epoch, _, _>(|scope| {
            graph::build(scope, processes, &meaning(), look_ups(assigned), sink)
        });
        for (epoch, cut) in cuts.iter().enumerate() {
            for op in &cut.ops {
                if matches!(op.action, Action::Trim(_)) || op.member.index() % workers == index {
                    inputs.ops.send(*op);
                }
            }
            if index.is_multiple_of(workers / processes) {
                cut.versions.iter().for_each(|version| inputs.items.send(version.clone()));
            }
            for known in cut.known.iter().filter(|known| known.member.index() % workers == index) {
                inputs.known.send(known.clone());
            }
            for step in &cut.controls {
                inputs.controls.send(match step {
                    Step::Centres(given) => Control::Centres(given.map(centres)),
                    Step::Take(lining) => Control::Live(lining.line_up(&models)),
                    Step::Standby(lining) => Control::Standby(Some(lining.line_up(&models))),
                    Step::DropStandby => Control::Standby(None),
                    Step::Build(from, to) => Control::Build(Member(*from), Member(*to)),
                    Step::Turn => Control::Turn,
                    Step::Now => Control::Now,
                    Step::Later => Control::Later,
                    Step::All => Control::All,
                });
            }
            inputs.advance_to(epoch as Epoch + 1);
            // Every other epoch is left open while the next is fed, as the engine does.
            while epoch % 2 == 1 && probe.less_than(&(epoch as Epoch + 1)) {
                worker.step();
            }
        }
    })
    .expect("workers start");
    let mut by_epoch: BTreeMap<Epoch, Vec<Delta>> = BTreeMap::new();
    for (epoch, delta) in std::mem::take(&mut *taken.lock().expect("no test panicked")) {
        by_epoch.entry(epoch).or_default().push(delta);
    }
    by_epoch
}

/// What a store holds: the views, and the lists of the standby model.
#[derive(Default)]
struct Stored {
    views: Views,
    standby: Views,
    /// Whose events, by their digests.
    events: BTreeSet<(Member, Digest)>,
}

/// Keeps an epoch's events as a store does: those that were not refused, and no longer those that are gone.
fn keep_events(stored: &mut BTreeSet<(Member, Digest)>, ops: &[Op], deltas: &[Delta]) {
    let mut effects: Vec<&RecordEffect> = Vec::new();
    for delta in deltas {
        if let Delta::Records(of_delta) = delta {
            effects.extend(of_delta);
        }
    }
    let refused = |seq| effects.contains(&&RecordEffect::Refused(seq));
    for op in ops {
        if let Action::Add(event) = op.action
            && !refused(op.seq)
        {
            assert!(stored.insert((op.member, event.digest)), "{op:?} is kept twice");
        }
    }
    for effect in effects {
        if let RecordEffect::Removed(member, digest) = effect {
            assert!(stored.remove(&(*member, *digest)), "{effect:?}, which is not kept");
        }
    }
}

/// Applies an epoch's changes as a store does.
fn apply(stored: &mut Stored, deltas: &[Delta]) {
    for delta in deltas {
        let views = match delta {
            Delta::Progress(Role::Standby, _) | Delta::Lists(Role::Standby, _) => &mut stored.standby,
            _ => &mut stored.views,
        };
        let of = |role: Role| if role == Role::Live { 0 } else { 1 };
        match delta {
            Delta::Records(_) => {}
            Delta::Popularity(counts) => {
                for counted in counts {
                    if counted.count > 0 {
                        views.popularity.insert(counted.cell, i64::from(counted.count));
                    } else {
                        views.popularity.remove(&counted.cell);
                    }
                }
            }
            Delta::Performance(counts) => {
                for (cell, count) in counts {
                    if *count > 0 {
                        views.performance.insert(*cell, *count);
                    } else {
                        views.performance.remove(cell);
                    }
                }
            }
            Delta::Together(counts) => {
                for (pair, count) in counts {
                    if *count > 0 {
                        views.together.insert(pair.items(), *count);
                    } else {
                        views.together.remove(&pair.items());
                    }
                }
            }
            Delta::Clusters(moved) => {
                let sides = [&mut stored.views, &mut stored.standby];
                for (role, member, belongs) in moved {
                    let clusters = &mut sides[of(*role)].clusters;
                    let belongs = belongs.map(|belongs| (belongs.cluster, belongs.liked));
                    assert_ne!(clusters.get(member).copied(), belongs, "who stays is not told of");
                    match belongs {
                        Some(belongs) => clusters.insert(*member, belongs),
                        None => clusters.remove(member),
                    };
                }
            }
            Delta::ClusterPopularity(counts) => {
                let sides = [&mut stored.views, &mut stored.standby];
                for (role, of_cluster, count) in counts {
                    let key = (of_cluster.cluster, of_cluster.item);
                    let counted = &mut sides[of(*role)].cluster_popularity;
                    if *count > 0 {
                        counted.insert(key, *count)
                    } else {
                        counted.remove(&key)
                    };
                }
            }
            Delta::Trending(list) => views.trending.clone_from(list),
            Delta::Now(now) => views.now = now.map(|newest| newest.at),
            Delta::Items(versions) => {
                for version in versions {
                    views.items.insert(version.item, (version.at, version.body.clone()));
                }
            }
            Delta::Progress(_, lists) => {
                for (member, list) in lists {
                    if list.is_empty() {
                        views.progress.remove(member);
                    } else {
                        views.progress.insert(*member, list.clone());
                    }
                }
            }
            Delta::Lists(_, lists) => {
                for made in lists {
                    let Some(factor) = &made.factor else {
                        views.lists.remove(&made.member);
                        continue;
                    };
                    let bits = factor.iter().map(|number| number.to_bits()).collect();
                    let picks = made.top_picks.iter().map(|(item, score)| (*item, score.to_bits())).collect();
                    views.lists.insert(made.member, (bits, picks));
                }
            }
        }
    }
}

/// Which line-up stands by, and of which members its lists were built.
#[derive(Clone, Copy)]
struct Standby {
    lining: Lining,
    built: [bool; MEMBERS as usize],
}

/// Gives each cut with new centres the factors that the store has then. As with the engine there is one set of centres an
/// epoch, and none in an epoch in which line-ups change places or before which lists lag.
fn with_known(assigned: Assigned, cuts: &[Cut]) -> Vec<Cut> {
    let (look_ups, meaning, models) = (look_ups(assigned), meaning(), models());
    let (mut ops, mut versions, mut lag) = (Vec::new(), Vec::new(), false);
    let (mut live, mut standby) = (Lining::None, None);
    let mut cuts = cuts.to_vec();
    for cut in &mut cuts {
        let turns = |step: &Step| matches!(step, Step::Turn | Step::Standby(_) | Step::DropStandby);
        let mut takes = usize::from(!lag && !cut.controls.iter().any(turns));
        cut.controls.retain(|step| match step {
            Step::Centres(_) => std::mem::take(&mut takes) > 0,
            _ => true,
        });
        let given = cut.controls.iter().find_map(|step| match step {
            Step::Centres(given) => *given,
            _ => None,
        });
        let factors = |lining: Lining, built: [bool; MEMBERS as usize], beside: bool| {
            let line_up = lining.line_up(&models);
            let using = Using { line_up: &line_up, centres: None };
            let views = oracle::views(&ops, &versions, &meaning, using, &look_ups);
            let model = given.map(|(other, _)| version(other));
            let fits = |member: Member| {
                let making = match line_up.makings() {
                    [alone] => alone,
                    several => &several[assigned[member.index()]],
                };
                making.model.as_ref().map(|model| &model.version) == model.as_ref()
            };
            let known = views.lists.into_iter().filter(|(member, _)| built[member.index()] && fits(*member));
            let known = known.map(|(member, (bits, _))| {
                let factor = bits.into_iter().map(f32::from_bits).collect();
                Known { member, standby: beside, factor }
            });
            known.collect::<Vec<_>>()
        };
        if given.is_some() {
            cut.known = factors(live, [true; MEMBERS as usize], false);
            if let Some(Standby { lining, built }) = standby {
                cut.known.extend(factors(lining, built, true));
            }
        }
        cut.controls.iter().for_each(|step| follow(step, &mut live, &mut standby));
        ops.extend_from_slice(&cut.ops);
        versions.extend_from_slice(&cut.versions);
        lag = cut.controls.iter().any(|step| matches!(step, Step::Later));
    }
    cuts
}

/// Which line-ups are in use after a step.
fn follow(step: &Step, live: &mut Lining, standby: &mut Option<Standby>) {
    match step {
        Step::Take(lining) => *live = *lining,
        Step::Standby(lining) => {
            *standby = Some(Standby { lining: *lining, built: [false; MEMBERS as usize] });
        }
        Step::DropStandby => *standby = None,
        Step::Turn => {
            if let Some(standby) = standby {
                std::mem::swap(live, &mut standby.lining);
                standby.built = [true; MEMBERS as usize];
            }
        }
        Step::Build(from, to) => {
            if let Some(standby) = standby {
                (*from..*to).for_each(|member| standby.built[member as usize] = true);
            }
        }
        Step::Now | Step::Later | Step::All | Step::Centres(_) => {}
    }
}

/// Holds every epoch of the graph against the oracle.
fn check(workers: usize, assigned: Assigned, cuts: &[Cut]) {
    let mut cuts = with_known(assigned, cuts);
    for cut in &mut cuts {
        cut.ops.iter_mut().zip(0..).for_each(|(op, seq)| op.seq = seq);
    }
    let cuts = &cuts[..];
    let made = run(workers, assigned, cuts.to_vec());
    let (look_ups, meaning, models) = (look_ups(assigned), meaning(), models());
    let mut stored = Stored::default();
    let (mut ops, mut versions) = (Vec::new(), Vec::new());
    let mut live = Lining::None;
    let mut standby: Option<Standby> = None;
    let (mut lag, mut using): (bool, Option<Arc<Centres>>) = (false, None);
    for (epoch, cut) in cuts.iter().enumerate() {
        for step in &cut.controls {
            match step {
                Step::Standby(_) | Step::DropStandby => stored.standby = Views::default(),
                // Only a set that is whole may take over; the graph itself turns whatever there is.
                Step::Turn if standby.is_some() => {
                    let Stored { views, standby, .. } = &mut stored;
                    std::mem::swap(&mut views.lists, &mut standby.lists);
                    std::mem::swap(&mut views.progress, &mut standby.progress);
                    std::mem::swap(&mut views.clusters, &mut standby.clusters);
                    std::mem::swap(&mut views.cluster_popularity, &mut standby.cluster_popularity);
                }
                Step::Centres(given) => using = given.map(centres),
                _ => {}
            }
            follow(step, &mut live, &mut standby);
        }
        ops.extend_from_slice(&cut.ops);
        let deltas = made.get(&(epoch as Epoch)).map_or(&[][..], Vec::as_slice);
        apply(&mut stored, deltas);
        keep_events(&mut stored.events, &cut.ops, deltas);
        let digest = |(member, events): (Member, BTreeSet<Event>)| {
            events.into_iter().map(move |event| (member, event.digest))
        };
        let events = oracle::live(&ops).into_iter().flat_map(digest);
        assert_eq!(stored.events, events.collect(), "at epoch {epoch} with {workers} workers");
        versions.extend_from_slice(&cut.versions);
        lag = cut.controls.iter().any(|step| matches!(step, Step::Later));
        let with = |lining: Lining| {
            let using = Using { line_up: &lining.line_up(&models), centres: using.as_deref() };
            oracle::views(&ops, &versions, &meaning, using, &look_ups)
        };
        let mut wanted = with(live);
        if lag {
            // Lists and counts may lag behind the records; the next epoch that is not put off makes it good.
            wanted.popularity.clone_from(&stored.views.popularity);
            wanted.now = stored.views.now;
            wanted.trending.clone_from(&stored.views.trending);
            wanted.lists.clone_from(&stored.views.lists);
            wanted.progress.clone_from(&stored.views.progress);
            wanted.together.clone_from(&stored.views.together);
            wanted.clusters.clone_from(&stored.views.clusters);
            wanted.cluster_popularity.clone_from(&stored.views.cluster_popularity);
        }
        assert_eq!(stored.views, wanted, "at epoch {epoch} with {workers} workers");
        let Some(standby) = standby.filter(|_| !lag) else { continue };
        let wanted = with(standby.lining);
        for member in (0..MEMBERS).filter(|member| standby.built[*member as usize]).map(Member) {
            let of = |views: &Views| {
                let cluster = views.clusters.get(&member).copied();
                (views.lists.get(&member).cloned(), views.progress.get(&member).cloned(), cluster)
            };
            assert_eq!(
                of(&stored.standby),
                of(&wanted),
                "standby {member:?} at epoch {epoch}, {workers} workers"
            );
        }
        if standby.built == [true; MEMBERS as usize] {
            let beside = &stored.standby.cluster_popularity;
            assert_eq!(*beside, wanted.cluster_popularity, "standby at epoch {epoch}, {workers} workers");
        }
    }
    assert!(!lag, "the last epoch must not be put off");
}

/// The beginning of an hour, counted from one that is four hours before the end of a day.
fn begin(hour: i64) -> i64 {
    (hour + 20) * HOUR_MS
}

fn event(member: u32, item: u32, kind: u16, hour: i64, value: i64, id: u64) -> Op {
    let mut event = Event::new(Item(item), Kind(kind), begin(hour) + 17 * i64::from(item), value);
    // A function of the other fields, so that a retraction by fields names the same place.
    event.place = Place((3 * item + u32::from(kind) + id as u32) % PLACES);
    event.digest = OfFields.digest(Member(member), &event);
    if id > 0 {
        event.id = id;
        event.digest[0] = event.digest[0].wrapping_mul(31).wrapping_add(id);
    }
    // Some are kept narrow, and some are not.
    if item == 3 {
        event.place = Place::saying_less(event.place.0);
    }
    op(member, Action::Add(event))
}

fn op(member: u32, action: Action) -> Op {
    Op { member: Member(member), seq: 0, action }
}

fn any_event() -> impl Strategy<Value = Op> {
    let values = prop::sample::select(vec![0, 10_000, 20_000, 500_000, 949_999, 950_000, MICROS, -MICROS]);
    (0..MEMBERS, 0..ITEMS, 0..5_u16, 0..8_i64, values, 0..3_u64)
        .prop_map(|(member, item, kind, hour, value, id)| event(member, item, kind, hour, value, id))
}

fn any_op() -> impl Strategy<Value = Op> {
    let retract = any_event().prop_map(|added| match added.action {
        Action::Add(event) => Op { action: Action::Retract(event), ..added },
        other => Op { action: other, ..added },
    });
    prop_oneof![
        20 => any_event(),
        6 => retract,
        1 => any_event().prop_map(|added| match added.action {
            Action::Add(event) => Op { action: Action::RetractDigest(event.digest, event.at()), ..added },
            other => Op { action: other, ..added },
        }),
        1 => (0..MEMBERS, 1..3_u64).prop_map(|(member, id)| op(member, Action::RetractId(id))),
        1 => (0..MEMBERS, 0..8_i64).prop_map(|(member, hour)| op(member, Action::Forget(begin(hour) + 50))),
        1 => (0..3_i64).prop_map(|hour| op(0, Action::Trim(begin(hour) + 20))),
    ]
}

fn any_lining() -> impl Strategy<Value = Lining> {
    let variant = || (any::<bool>(), prop::bool::weighted(0.8));
    prop_oneof![
        1 => any::<bool>().prop_map(Lining::One),
        1 => (variant(), variant()).prop_map(|(a, b)| Lining::Two([a, b])),
    ]
}

fn any_assigned() -> impl Strategy<Value = Assigned> {
    prop::array::uniform5(0..2_usize)
}

fn any_cut() -> impl Strategy<Value = Cut> {
    let version = (0..ITEMS, 0..3_i64, 0..2_u8, any::<bool>()).prop_map(|(item, at, body, withdrawn)| {
        ItemVersion { item: Item(item), at, body: vec![body, u8::from(withdrawn)], withdrawn }
    });
    let step = prop_oneof![
        4 => any_lining().prop_map(Step::Take),
        1 => Just(Step::Take(Lining::None)),
        2 => Just(Step::Later),
        1 => Just(Step::All),
        1 => Just(Step::DropStandby),
        4 => prop::option::weighted(0.8, any::<(bool, bool)>()).prop_map(Step::Centres),
    ];
    (
        prop::collection::vec(any_op(), 0..12),
        prop::collection::vec(version, 0..2),
        prop::collection::vec(step, 0..3),
    )
        .prop_map(|(mut ops, versions, controls)| {
            ops.iter_mut().enumerate().for_each(|(seq, op)| op.seq = seq as u32);
            let mut controls: Vec<Step> = controls;
            controls.push(Step::Now);
            Cut { ops, versions, controls, known: Vec::new() }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_view_equals_the_oracle_at_every_epoch(
        mut cuts in prop::collection::vec(any_cut(), 1..10),
        assigned in any_assigned(),
        workers in 1..5_usize,
    ) {
        cuts.push(Cut::default());
        cuts.last_mut().expect("one was pushed").controls.push(Step::All);
        check(workers, assigned, &cuts);
    }

    #[test]
    fn a_line_up_built_beside_another_takes_over_whole_and_is_fresh_all_the_while(
        cuts in prop::collection::vec(any_cut(), 8..12),
        sizes in prop::collection::vec(1..4_u32, MEMBERS as usize),
        (live, standby) in (any_lining(), any_lining()),
        clustered in prop::collection::vec((0..11_usize, any::<(bool, bool)>()), 0..4),
        assigned in any_assigned(),
        workers in 1..5_usize,
    ) {
        let mut cuts: Vec<Cut> = cuts
            .into_iter()
            .map(|cut| Cut { controls: vec![Step::Now], ..cut })
            .collect();
        cuts[0].controls.push(Step::Take(live));
        cuts[1].controls.push(Step::Standby(standby));
        // The members in slices, with epochs of records in between.
        let (mut from, mut place) = (0, 2);
        for size in sizes {
            let to = (from + size).min(MEMBERS);
            cuts.insert(place, Cut { controls: vec![Step::Build(from, to)], ..Cut::default() });
            (from, place) = (to, place + 2);
            if from == MEMBERS { break }
        }
        cuts.insert(place, Cut { controls: vec![Step::Turn], ..Cut::default() });
        for (place, given) in clustered {
            cuts[place].controls.push(Step::Centres(Some(given)));
        }
        // And back again, at once.
        cuts.last_mut().expect("there are some").controls.push(Step::Turn);
        check(workers, assigned, &cuts);
    }

    #[test]
    fn any_order_duplication_and_cut_ends_in_the_same_views(
        mut ops in prop::collection::vec(any_op(), 1..60),
        sizes in prop::collection::vec(1..20_usize, 1..8),
        workers in 1..5_usize,
        seed in any::<u64>(),
    ) {
        let first = end_of(1, vec![ops.clone()]);
        let again = ops.len() / 3;
        ops.extend_from_within(..again);
        shuffle(&mut ops, seed);
        let mut cuts = Vec::new();
        for size in sizes.iter().cycle() {
            if ops.is_empty() { break }
            cuts.push(ops.drain(..ops.len().min(*size)).collect::<Vec<_>>());
        }
        prop_assert_eq!(first, end_of(workers, cuts));
    }
}

fn shuffle<T>(list: &mut [T], mut seed: u64) {
    for place in (1..list.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        list.swap(place, (seed >> 33) as usize % (place + 1));
    }
}

/// The views after all epochs, with two models side by side from the first on.
fn end_of(workers: usize, epochs: Vec<Vec<Op>>) -> Views {
    let mut cuts: Vec<Cut> = epochs.into_iter().map(|ops| Cut { ops, ..Cut::default() }).collect();
    cuts[0].controls.push(Step::Take(Lining::Two([(false, true), (true, true)])));
    cuts[0].controls.push(Step::Centres(Some((true, false))));
    for cut in &mut cuts {
        cut.ops.iter_mut().enumerate().for_each(|(seq, op)| op.seq = seq as u32);
    }
    let mut stored = Stored::default();
    run(workers, [0, 1, 1, 0, 1], cuts).values().for_each(|deltas| apply(&mut stored, deltas));
    stored.views
}

/// The effects that the graph reports for the store, over all epochs.
fn effects(cuts: Vec<Cut>) -> Vec<RecordEffect> {
    let made = run(1, [0; MEMBERS as usize], cuts);
    made.into_values()
        .flatten()
        .filter_map(|delta| match delta {
            Delta::Records(effects) => Some(effects),
            _ => None,
        })
        .flatten()
        .collect()
}

#[test]
fn a_record_sent_twice_is_refused_the_second_time_in_one_epoch_and_in_another() {
    let once = event(1, 2, 0, 3, MICROS, 0);
    let cut = |seqs: &[u32]| Cut {
        ops: seqs.iter().map(|seq| Op { seq: *seq, ..once }).collect(),
        ..Cut::default()
    };
    let refused = effects(vec![cut(&[0, 1]), cut(&[0])]);
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused.iter().all(|effect| matches!(effect, RecordEffect::Refused(_))));
}

#[test]
fn an_event_that_was_retracted_before_it_came_is_refused() {
    let added = event(1, 2, 0, 3, MICROS, 9);
    let retracted = op(1, Action::RetractId(9));
    let cut = |op: Op| Cut { ops: vec![op], ..Cut::default() };
    assert_eq!(effects(vec![cut(retracted), cut(added)]), [RecordEffect::Refused(0)]);
}

#[test]
fn a_forget_leaves_later_retractions_and_retractions_by_id_and_no_other() {
    let early = event(1, 2, 0, 1, MICROS, 0);
    let late = event(1, 3, 0, 5, MICROS, 0);
    let as_retraction = |added: Op| match added.action {
        Action::Add(event) => Op { action: Action::Retract(event), ..added },
        _ => added,
    };
    let ops = vec![as_retraction(early), as_retraction(late), op(1, Action::RetractId(9))];
    let forget = op(1, Action::Forget(begin(3)));
    let cuts = vec![Cut { ops, ..Cut::default() }, Cut { ops: vec![forget], ..Cut::default() }];
    let [RecordEffect::Forgot(_, gone)] = &effects(cuts)[..] else { panic!("one forget") };
    assert_eq!((gone.forgotten, gone.ids.as_slice(), gone.events.len()), (begin(3), &[9][..], 1));
}

/// The counts of lists that come out of each epoch, sorted.
fn listed(cuts: Vec<Cut>, workers: usize) -> Vec<Vec<(ListCell, u64)>> {
    let mut made = run(workers, [0; MEMBERS as usize], cuts.clone());
    let of = |epoch: usize| {
        let deltas = made.remove(&(epoch as Epoch)).unwrap_or_default();
        let counts = deltas.into_iter().filter_map(|delta| match delta {
            Delta::Performance(counts) => Some(counts),
            _ => None,
        });
        let mut counts: Vec<_> = counts.flatten().collect();
        counts.sort_unstable();
        counts
    };
    (0..cuts.len()).map(of).collect()
}

#[test]
fn events_of_two_countries_on_one_list_are_one_count_that_goes_with_the_last_of_them() {
    let on = |place: u32, member: u32, hour: i64| {
        let mut added = event(member, 0, 0, hour, MICROS, 0);
        if let Action::Add(event) = &mut added.action {
            event.place = Place(place);
        }
        added
    };
    let retracted = |added: Op| match added.action {
        Action::Add(event) => Op { action: Action::Retract(event), ..added },
        _ => added,
    };
    let cut = |ops: Vec<Op>| Cut { ops, ..Cut::default() };
    let cell = |day: u32| ListCell { day, list: List(1), variant: Variant(1), position: 3, kind: Kind(0) };
    for workers in 1..5 {
        // Hour 3 is the last of a day. The first of these names no list.
        let cuts = vec![
            cut(vec![on(1, 0, 3), on(2, 0, 3), on(3, 1, 3), on(3, 2, 4)]),
            cut(vec![retracted(on(2, 0, 3)), on(2, 3, 4)]),
            cut(vec![retracted(on(3, 2, 4)), on(3, 4, 4)]),
            cut(vec![op(1, Action::Forget(begin(4) - 1)), op(0, Action::RetractId(5))]),
        ];
        let counted = listed(cuts, workers);
        assert_eq!(counted[0], [(cell(0), 2), (cell(1), 1)], "{workers} workers");
        assert_eq!(counted[1], [(cell(0), 1), (cell(1), 2)], "{workers} workers");
        // One came and one went.
        assert_eq!(counted[2], [], "{workers} workers");
        assert_eq!(counted[3], [(cell(0), 0)], "{workers} workers");
    }
}
