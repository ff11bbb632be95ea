//! Clusters of members by their factors: k-means on the sphere.
//!
//! Every factor counts at length 1, and the distance of two is 1 − cos of their angle, half the squared distance of their
//! ends (Dhillon, Modha: Concept Decompositions for Large Sparse Text Data, Machine Learning 42, 2001). Starts are drawn
//! as k-means++ says (Arthur, Vassilvitskii, SODA 2007), from a seed; then members go to the nearest centre and centres to
//! the mean of their members, until nothing moves. A centre that lost all its members goes to the member who is farthest
//! from any.
//!
//! The result is a function of the factors, in their order, and the options but for the threads: these share out rows,
//! of which each has its nearest centre by itself, and what is summed up is summed in the order of the rows.

use std::ops::ControlFlow;

use crate::centres::Centres;
use crate::factors::Factors;
use crate::keeper::Scored;
use crate::level::Level;
use crate::parallel::for_blocks;
use crate::start::SplitMix64;

/// Rows that a thread takes at a time.
const BLOCK: usize = 1024;
/// Members closer than this to a centre are not worth another: twins, but for rounding.
const TWINS: f64 = 1e-6;

/// How clusters are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterOptions {
    /// How many clusters there are to be, at most.
    pub clusters: usize,
    /// How often centres move at most.
    pub iterations: usize,
    /// What the starts are drawn from.
    pub seed: u64,
    /// On how many threads; changes nothing else.
    pub threads: usize,
}

/// Clusters.
#[derive(Clone, Debug, PartialEq)]
pub struct Clustered {
    /// A centre a row, of length 1. Fewer than asked for where members have no more directions.
    pub centres: Factors,
    /// How many members are nearest to each.
    pub members: Vec<u64>,
    /// The sum of 1 − cos over all members with the starts, and after each time that centres moved.
    pub inertia: Vec<f64>,
}

/// Why there are no clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterError {
    /// Fewer than one was asked for.
    NoClusters,
    /// No member has a factor that points anywhere.
    NoMembers,
    /// Whoever watched broke it off.
    Stopped,
}

impl std::fmt::Display for ClusterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoClusters => "no clusters were asked for: ask for 1 or more",
            Self::NoMembers => "no member has a factor other than zero: there is nothing to cluster",
            Self::Stopped => "clustering was broken off",
        })
    }
}

impl std::error::Error for ClusterError {}

/// Makes clusters of members. `watch` is told how often centres have moved and what the inertia is, and may break off.
///
/// # Errors
///
/// Where none are asked for, no member has a factor other than zero, or `watch` breaks off.
pub fn cluster(
    members: &Factors,
    options: &ClusterOptions,
    watch: &mut dyn FnMut(usize, f64) -> ControlFlow<()>,
) -> Result<Clustered, ClusterError> {
    cluster_with_level(members, options, watch, Level::best())
}

/// [`cluster`] with a forced instruction set, for tests that compare them.
#[doc(hidden)]
pub fn cluster_with_level(
    members: &Factors,
    options: &ClusterOptions,
    watch: &mut dyn FnMut(usize, f64) -> ControlFlow<()>,
    level: Level,
) -> Result<Clustered, ClusterError> {
    if options.clusters == 0 {
        return Err(ClusterError::NoClusters);
    }
    let rows = Rows { units: directions(members), level, threads: options.threads };
    if rows.units.rows() == 0 {
        return Err(ClusterError::NoMembers);
    }
    let mut centres = rows.starts(options.clusters, options.seed);
    let mut nearest = rows.nearest(&centres);
    let mut inertia = vec![sum_up(&nearest)];
    for moved in 0..options.iterations {
        if watch(moved, *inertia.last().unwrap_or(&0.0)).is_break() {
            return Err(ClusterError::Stopped);
        }
        let next = rows.means(&centres, &nearest);
        if next == centres {
            break;
        }
        centres = next;
        nearest = rows.nearest(&centres);
        inertia.push(sum_up(&nearest));
    }
    let mut counts = vec![0; centres.rows()];
    nearest.iter().for_each(|best| counts[best.item as usize] += 1);
    Ok(Clustered { centres, members: counts, inertia })
}

/// Every factor that points somewhere, at length 1.
fn directions(members: &Factors) -> Factors {
    let units = members.units();
    let some = |row: &&[f32]| row.iter().any(|x| *x != 0.0);
    let rows: Vec<f32> =
        units.as_slice().chunks_exact(units.rank()).filter(some).flatten().copied().collect();
    Factors::new(units.rank(), rows).expect("units are finite")
}

/// The distance of a member at length 1 from a centre, from their product.
fn distance(product: f32) -> f64 {
    (1.0 - f64::from(product)).max(0.0)
}

fn sum_up(nearest: &[Scored]) -> f64 {
    nearest.iter().fold(0.0, |sum, best| sum + distance(best.score))
}

/// The members, at length 1.
struct Rows {
    units: Factors,
    level: Level,
    threads: usize,
}

impl Rows {
    /// Of each row the nearest centre.
    fn nearest(&self, centres: &Factors) -> Vec<Scored> {
        let centres = Centres::with_level(centres.clone(), self.level);
        let mut nearest = vec![Scored { item: 0, score: 0.0 }; self.units.rows()];
        let rank = self.units.rank();
        let find = |(): &mut (), number: usize, block: &mut [Scored]| {
            let rows = &self.units.as_slice()[number * BLOCK * rank..][..block.len() * rank];
            block.copy_from_slice(&centres.scored(rows));
        };
        // A watcher that never breaks: the answer carries nothing.
        let all = (&mut nearest[..], BLOCK);
        let _ = for_blocks(self.threads, all, || (), find, &mut |_| ControlFlow::Continue(()));
        nearest
    }

    /// Starts of k-means++: the first by chance, each other by chance in proportion to the distance from those before.
    fn starts(&self, clusters: usize, seed: u64) -> Factors {
        let mut random = SplitMix64(seed);
        let rank = self.units.rank();
        let mut far = vec![1.0_f64; self.units.rows()];
        let mut starts = Vec::new();
        while starts.len() < clusters * rank {
            let all = far.iter().fold(0.0, |sum, distance| sum + distance);
            if all <= 0.0 {
                break;
            }
            let row = self.units.row(draw(&far, random.uniform() * all));
            starts.extend_from_slice(row);
            let one = Factors::new(rank, row.to_vec()).expect("units are finite");
            for (far, best) in far.iter_mut().zip(self.nearest(&one)) {
                let near = distance(best.score);
                // The first was drawn with all alike.
                *far = if starts.len() == rank { near } else { far.min(near) };
                if *far < TWINS {
                    *far = 0.0;
                }
            }
        }
        Factors::new(rank, starts).expect("units are finite")
    }

    /// The mean directions of the members that are nearest to each centre, summed in the order of the rows.
    fn means(&self, centres: &Factors, nearest: &[Scored]) -> Factors {
        let rank = self.units.rank();
        let mut sums = vec![0.0_f64; centres.rows() * rank];
        let mut counts = vec![0_u64; centres.rows()];
        for (row, best) in self.units.as_slice().chunks_exact(rank).zip(nearest) {
            let cluster = best.item as usize;
            counts[cluster] += 1;
            let sum = &mut sums[cluster * rank..][..rank];
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        let mut means = centres.as_slice().to_vec();
        let lost: Vec<usize> = (0..centres.rows()).filter(|cluster| counts[*cluster] == 0).collect();
        for (mean, sum) in means.chunks_exact_mut(rank).zip(sums.chunks_exact(rank)) {
            let length = sum.iter().fold(0.0, |squares, x| squares + x * x).sqrt();
            // Members that cancel out leave the centre where it is.
            if length > 0.0 {
                mean.iter_mut().zip(sum).for_each(|(mean, x)| *mean = (x / length) as f32);
            }
        }
        if !lost.is_empty() {
            let mut farthest: Vec<usize> = (0..nearest.len()).collect();
            farthest.sort_by(|a, b| nearest[*a].score.total_cmp(&nearest[*b].score));
            for (cluster, row) in lost.into_iter().zip(farthest) {
                if distance(nearest[row].score) >= TWINS {
                    means[cluster * rank..][..rank].copy_from_slice(self.units.row(row));
                }
            }
        }
        Factors::new(rank, means).expect("means of units are finite")
    }
}

/// The row at which the sum of the weights, in the order of the rows, passes a number.
fn draw(weights: &[f64], up_to: f64) -> usize {
    let mut sum = 0.0;
    for (row, weight) in weights.iter().enumerate() {
        sum += weight;
        if sum > up_to {
            return row;
        }
    }
    // A product may round up to the whole sum.
    weights.iter().rposition(|weight| *weight > 0.0).unwrap_or(0)
}
