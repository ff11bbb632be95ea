//! What is looked at, what trains, and where training stops.

use std::ops::ControlFlow;

use super::*;
use crate::config::Config;
use crate::offline::dataset::Dataset;
use crate::offline::stopping::{Best, Sign, best};
use crate::offline::test_log::{Line, log};
use crate::offline::train::transform;
use crate::offline::training::Training;

/// Forty members, each with ten likes at the times 0 to 9.
fn live(config: &Config) -> LiveSet {
    let mut lines: Vec<(String, String, i64)> = Vec::new();
    for member in 0..40 {
        for step in 0..10 {
            let item = (member * 7 + step * (1 + member % 3)) % 25;
            lines.push((format!("m{member:02}"), format!("i{item:02}"), step));
        }
    }
    let lines: Vec<Line<'_>> =
        lines.iter().map(|(member, item, at)| (member.as_str(), item.as_str(), "like", *at, 1.0)).collect();
    log(config, &lines)
}

fn times(validation: &Validation<'_>, trains: bool) -> Vec<i64> {
    let mut times: Vec<i64> = Vec::new();
    for member in validation.live.members_by_id() {
        let events = validation.live.events(member);
        times.extend(events.iter().filter(|event| validation.trains(member, event) == trains).map(Event::at));
    }
    times.sort_unstable();
    times.dedup();
    times
}

#[test]
fn by_time_the_newest_fifth_is_held_back_and_neither_trains_nor_is_to_be_found() {
    let config = Config::default();
    let live = live(&config);
    let part = |look| Validation::new(&live, &config.kinds, Protocol::default(), look).unwrap();
    let trial = part(Look::HoldingBack);
    assert_eq!(trial.part, Part::Time { split: 6, until: 8 });
    assert_eq!(times(&trial, true), [0, 1, 2, 3, 4, 5]);
    for member in &trial.members {
        assert!(trial.moments(*member).iter().flat_map(|moment| &moment.before).all(|event| event.at() < 8));
    }
    assert_eq!(times(&part(Look::Last), true), (0..8).collect::<Vec<_>>());
    assert_eq!(part(Look::All).part, part(Look::Last).part);
}

#[test]
fn by_members_those_held_back_and_those_tested_differ_and_neither_trains() {
    let config = Config::default();
    let live = live(&config);
    let part = |look| Validation::new(&live, &config.kinds, Protocol::Members { seed: 1 }, look).unwrap();
    let (trial, last) = (part(Look::HoldingBack), part(Look::Last));
    assert!(!trial.members.is_empty() && !last.members.is_empty());
    for member in trial.live.members_by_id() {
        let trains = |of: &Validation<'_>| of.trains(member, &live.events(member)[0]);
        let (held, tested) = (last.members.contains(&member), trial.members.contains(&member));
        assert!(!(held && tested) && (trains(&trial) || held || tested), "{member:?}");
        assert!(!tested || (trains(&last) && !trains(&trial)));
        assert!(!held || !trains(&last) && !trains(&trial));
    }
}

#[test]
fn a_log_of_one_moment_has_nothing_before_the_split_and_says_so() {
    let config = Config::default();
    let live = log(&config, &[("m1", "i1", "like", 9, 1.0), ("m1", "i2", "like", 9, 1.0)]);
    for look in [Look::All, Look::HoldingBack, Look::Last] {
        let error = Validation::new(&live, &config.kinds, Protocol::default(), look).err().unwrap();
        assert!(
            error.to_string().contains("no event comes before the split (1970-01-01T00:00:00.009Z)"),
            "{error}"
        );
    }
}

#[test]
fn of_too_many_members_those_with_something_to_be_found_are_tested() {
    let config = Config::default();
    let names: Vec<String> = (0..MOST_TESTED + 700).map(|member| format!("m{member}")).collect();
    let mut lines: Vec<Line<'_>> = names.iter().map(|name| (name.as_str(), "i0", "browse", 9, 1.0)).collect();
    for name in &names[..300] {
        lines.extend([(name.as_str(), "i1", "like", 0, 1.0), (name.as_str(), "i2", "like", 9, 1.0)]);
    }
    let live = log(&config, &lines);
    let validation = Validation::new(&live, &config.kinds, Protocol::default(), Look::All).unwrap();
    assert_eq!(validation.members(), 300);
}

fn search(live: &LiveSet, config: &Config, patience: Option<usize>) -> (Best, Vec<f64>) {
    let validation = Validation::new(live, &config.kinds, Protocol::default(), Look::All).unwrap();
    let keep = |member, event: &_| validation.trains(member, event);
    let data = Dataset::new(live, &config.kinds.kinds, transform(config.train.transform), keep);
    let training = Training::new(live, &data, &config.kinds, &config.train).unwrap();
    let mut told = Vec::new();
    let best = best(&training, (&validation, &config.kinds), patience, &mut |sign| {
        told.extend(if let Sign::Measured(figure) = sign { Some(figure) } else { None });
        ControlFlow::Continue(())
    });
    (best.unwrap(), told)
}

#[test]
fn training_stops_after_so_many_iterations_without_a_gain_and_the_best_one_is_kept() {
    let mut config = Config::default();
    (config.train.rank, config.train.iterations) = (6, 30);
    let live = live(&config);
    let (_, all) = search(&live, &config, Some(30));
    for patience in 1..4 {
        let (best, told) = search(&live, &config, Some(patience));
        assert_eq!(told, all[..told.len()], "the same figures, up to where it stopped");
        let figure = told[best.iterations - 1];
        assert!(told[..best.iterations - 1].iter().all(|before| *before < figure), "{told:?}");
        assert!(told[best.iterations..].iter().all(|after| *after <= figure), "{told:?}");
        assert!(told.len() == best.iterations + patience || told.len() == 30);
        assert_eq!(best.tally.ndcg_20(Weighing::Lists).mean, figure);
    }
    let (last, told) = search(&live, &config, None);
    assert_eq!((last.iterations, told), (30, vec![all[29]]));
}
