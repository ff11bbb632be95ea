//! Clusters, and which is nearest.

use std::ops::ControlFlow;

use nearline_factors::{
    Centres, ClusterError, ClusterOptions, Clustered, Factors, Level, cluster, cluster_with_level,
};
use proptest::prelude::*;

use crate::data::{Random, bits, factors};

fn options(clusters: usize) -> ClusterOptions {
    ClusterOptions { clusters, iterations: 20, seed: 7, threads: 1 }
}

fn made(members: &Factors, options: &ClusterOptions) -> Clustered {
    cluster(members, options, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

/// Members around directions far from each other, of all lengths; member m is of direction m % `directions`.
fn planted(directions: usize, members: usize, rank: usize) -> Factors {
    let mut random = Random(5);
    let mut rows = Vec::new();
    for member in 0..members {
        let length = 0.01 + 10.0 * random.uniform();
        for k in 0..rank {
            let around = 0.1 * (random.uniform() - 0.5);
            let there = if k == member % directions { 1.0 } else { 0.0 };
            rows.push(((there + around) * length) as f32);
        }
    }
    Factors::new(rank, rows).unwrap()
}

/// The slow way: one chain over k, and the first of equals.
fn naive(member: &[f32], centres: &Factors) -> u32 {
    let product = |centre: usize| {
        member.iter().zip(centres.row(centre)).fold(0.0_f32, |sum, (x, y)| x.mul_add(*y, sum))
    };
    let mut best = 0;
    for centre in 1..centres.rows() {
        if product(centre) > product(best) {
            best = centre;
        }
    }
    best as u32
}

#[test]
fn members_of_one_direction_are_one_cluster_however_long_their_factors_are() {
    let members = planted(5, 400, 8);
    let Clustered { centres, members: counts, inertia } = made(&members, &options(5));
    assert_eq!(counts, [80; 5]);
    let nearest = Centres::new(centres).nearest(members.as_slice());
    for (member, cluster) in nearest.iter().enumerate() {
        assert_eq!(*cluster, nearest[member % 5], "member {member}");
    }
    assert!(inertia.last().unwrap() / 400.0 < 0.02, "{inertia:?}");
}

#[test]
fn no_more_clusters_are_made_than_members_have_directions() {
    let rows = [[1.0, 0.0], [5.0, 0.0], [0.0, 3.0], [0.0, 0.0]].concat();
    let made = made(&Factors::new(2, rows).unwrap(), &options(4));
    assert_eq!(made.centres.rows(), 2);
    let mut counts = made.members;
    counts.sort_unstable();
    // A factor of zeros points nowhere, and is not counted.
    assert_eq!(counts, [1, 2]);
}

#[test]
fn where_nothing_points_anywhere_there_are_no_clusters() {
    let none = |rows: Vec<f32>, clusters| {
        let members = Factors::new(2, rows).unwrap();
        cluster(&members, &options(clusters), &mut |_, _| ControlFlow::Continue(())).unwrap_err()
    };
    assert_eq!(none(vec![0.0; 6], 2), ClusterError::NoMembers);
    assert_eq!(none(Vec::new(), 2), ClusterError::NoMembers);
    assert_eq!(none(vec![1.0, 2.0], 0), ClusterError::NoClusters);
    let members = Factors::new(2, vec![1.0, 2.0]).unwrap();
    let stopped = cluster(&members, &options(1), &mut |_, _| ControlFlow::Break(()));
    assert_eq!(stopped.unwrap_err(), ClusterError::Stopped);
}

#[test]
fn all_levels_agree_on_clusters_and_on_who_is_nearest() {
    for (rows, rank, clusters) in [(50, 1, 2), (700, 7, 5), (1500, 33, 40)] {
        let members = factors(rank as u64, rows, rank);
        let results = Level::all().into_iter().map(|level| {
            let go_on = &mut |_: usize, _: f64| ControlFlow::Continue(());
            let made = cluster_with_level(&members, &options(clusters), go_on, level).unwrap();
            let centres = Centres::with_level(made.centres.clone(), level);
            (bits(made.centres.as_slice()), made.members, centres.nearest(members.as_slice()))
        });
        let results: Vec<_> = results.collect();
        assert!(results.iter().all(|result| result == results.last().unwrap()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_nearest_is_the_first_of_the_greatest_products_alone_and_in_any_batch(
        (members, centres, rank, seed) in (1..90_usize, 1..40_usize, 1..40_usize, any::<u64>()),
    ) {
        let members = factors(seed, members, rank);
        let mut rows = factors(seed ^ 1, centres, rank).as_slice().to_vec();
        // Two alike, so that products tie.
        rows.copy_within(..rank, (centres - 1) * rank);
        let centres = Centres::new(Factors::new(rank, rows).unwrap());
        let together = centres.nearest(members.as_slice());
        for (member, cluster) in together.iter().enumerate() {
            prop_assert_eq!(*cluster, naive(members.row(member), centres.factors()));
            prop_assert_eq!(centres.nearest(members.row(member)), vec![*cluster]);
        }
    }

    #[test]
    fn clusters_depend_on_no_thread_and_get_no_worse(
        (members, clusters, rank, seed) in (1..3000_usize, 1..20_usize, 1..12_usize, any::<u64>()),
        threads in 2..5_usize,
    ) {
        let factors = factors(seed, members, rank);
        let options = ClusterOptions { clusters, iterations: 8, seed, threads: 1 };
        let alone = made(&factors, &options);
        prop_assert_eq!(&alone, &made(&factors, &ClusterOptions { threads, ..options }));
        prop_assert_eq!(alone.members.iter().sum::<u64>(), members as u64);
        for two in alone.inertia.windows(2) {
            prop_assert!(two[1] <= two[0] * (1.0 + 1e-5) + 1e-5, "{:?}", alone.inertia);
        }
        for centre in 0..alone.centres.rows() {
            let length: f64 = alone.centres.row(centre).iter().map(|x| f64::from(*x).powi(2)).sum();
            prop_assert!((length - 1.0).abs() < 1e-5, "{}", length);
        }
        let nearest = Centres::new(alone.centres.clone()).nearest(factors.as_slice());
        let mut counts = vec![0; alone.centres.rows()];
        nearest.iter().for_each(|cluster| counts[*cluster as usize] += 1);
        // The members' own lengths change nothing but where two centres are equally near.
        let apart: u64 = counts.iter().zip(&alone.members).map(|(a, b): (&u64, &u64)| a.abs_diff(*b)).sum();
        prop_assert!(apart <= 2 + members as u64 / 100, "{} of {}", apart, members);
    }
}
