//! The invented world: the same from a seed, and as believable as it claims.

use std::collections::{BTreeMap, BTreeSet};

use super::{BEGIN, BenchSize, END, GENRES, TODAY, World, WorldSize, bench_log};

fn world() -> World {
    World::new(1, WorldSize::DEMO)
}

#[test]
fn a_world_follows_from_its_seed() {
    let small = WorldSize { members: 50, items: 120, events: 900 };
    assert_eq!(World::new(5, small), World::new(5, small));
    assert_ne!(World::new(5, small).events, World::new(6, small).events);
}

#[test]
fn the_world_of_seed_one_is_the_same_on_every_machine() {
    let world = world();
    let mut text = Vec::new();
    world.write_catalogue(&mut text).unwrap();
    world.write_events(&world.events, &mut text).unwrap();
    assert_eq!(
        blake3::hash(&text).to_hex().as_str(),
        "049e23f7e26a145291bb0d8b497052979eeab627a5126c4f9ee7fea15480e49c"
    );
}

#[test]
fn a_world_has_the_size_asked_for_and_lies_before_its_end() {
    let world = world();
    assert_eq!(world.items.len(), WorldSize::DEMO.items);
    assert_eq!(world.members.len(), WorldSize::DEMO.members);
    assert_eq!(world.events.len(), WorldSize::DEMO.events);
    assert!(world.events.is_sorted_by_key(|event| event.at));
    let day = 86_400_000;
    assert!(world.events.iter().all(|event| (BEGIN - day..END).contains(&event.at)));
    assert!(world.events.iter().all(|event| world.items[event.item].at <= event.at + day));
    assert_eq!(world.history().len() + world.today().len(), world.events.len());
    assert!(world.today().len() > 300, "{}", world.today().len());
    assert!(world.history().iter().all(|event| event.at < TODAY));
}

#[test]
fn titles_and_records_are_unique() {
    let world = world();
    let titles: BTreeSet<_> = world.items.iter().map(|title| &title.title).collect();
    assert_eq!(titles.len(), world.items.len());
    let ids: BTreeSet<_> = world.items.iter().map(|title| &title.id).collect();
    assert_eq!(ids.len(), world.items.len());
    let records: BTreeSet<_> = world.events.iter().map(|event| world.event_record(event)).collect();
    assert_eq!(records.len(), world.events.len());
}

#[test]
fn members_finish_what_they_like_and_leave_what_they_do_not() {
    let world = world();
    let mut finished = BTreeMap::from([(true, (0, 0)), (false, (0, 0))]);
    for event in world.events.iter().filter(|event| event.kind == "play") {
        let main = world.items[event.item].genres().next();
        let fits = world.members[event.member].tastes().any(|taste| Some(taste) == main);
        let (done, all) = finished.get_mut(&fits).unwrap();
        *done += u32::from(event.hundredths >= Some(95));
        *all += 1;
    }
    let share = |fits| f64::from(finished[&fits].0) / f64::from(finished[&fits].1);
    assert!(share(true) > 0.65 && share(false) < 0.4, "{finished:?}");
    assert!(finished[&true].1 > 3 * finished[&false].1, "{finished:?}");
}

#[test]
fn popularity_is_skewed_and_every_member_has_a_past_but_the_newcomer() {
    let world = world();
    let (mut by_item, mut by_member) = (BTreeMap::new(), BTreeMap::new());
    for event in world.history() {
        *by_item.entry(event.item).or_insert(0) += 1;
        *by_member.entry(event.member).or_insert(0) += 1;
    }
    let mut counts: Vec<usize> = by_item.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let top: usize = counts.iter().take(world.items.len() / 10).sum();
    assert!(10 * top > 3 * world.history().len(), "the top tenth has {top}");
    assert!(by_member.len() > world.members.len() * 9 / 10, "{}", by_member.len());
    assert!(!by_member.contains_key(&world.story.newcomer));
    assert!(by_member[&world.story.turned] >= 5, "{}", by_member[&world.story.turned]);
}

#[test]
fn the_story_is_part_of_today_and_of_nothing_else() {
    let world = world();
    let story = &world.story;
    assert_eq!(story.events.len(), 14);
    assert!(story.events.iter().all(|event| world.today().contains(event)));
    let genres = |member: usize| -> BTreeSet<&str> {
        let own = story.events.iter().filter(|event| event.member == member);
        own.map(|event| world.items[event.item].genres().next().unwrap()).collect()
    };
    assert_eq!(genres(story.turned), BTreeSet::from(["Family"]));
    assert_eq!(genres(story.newcomer), BTreeSet::from(["Science Fiction"]));
    let past = world.history().iter().filter(|event| event.member == story.turned);
    let watched: BTreeSet<usize> = past.map(|event| event.item).collect();
    assert!(story.events.iter().all(|event| !watched.contains(&event.item)));
}

#[test]
fn a_world_is_written_as_records() {
    let folder = tempfile::tempdir().unwrap();
    let small = World::new(5, WorldSize { members: 50, items: 120, events: 900 });
    small.write(folder.path()).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let records = |name: &str| -> Vec<serde_json::Value> {
        read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let catalogue = records("catalogue.jsonl");
    assert_eq!(catalogue.len(), 120);
    let names: BTreeSet<&str> = GENRES.iter().map(|genre| genre.name).collect();
    for item in &catalogue {
        let genres = item["genres"].as_array().unwrap();
        assert!(
            (2..=3).contains(&genres.len())
                && genres.iter().all(|genre| names.contains(genre.as_str().unwrap()))
        );
    }
    assert_eq!(records("events.jsonl").len() + records("today.jsonl").len(), 900);
    assert!(
        records("today.jsonl").iter().all(|event| event["at"].as_str().unwrap().starts_with("2026-05-31T"))
    );
    let readme = read("README.txt");
    assert!(readme.contains("nearline get m1\n") && readme.contains("nearline get m50\n"), "{readme}");
}

#[test]
fn a_bench_log_is_records_in_the_order_of_time() {
    let size = BenchSize { events: 20_000, members: 1_000, items: 300 };
    let mut text = Vec::new();
    bench_log(&mut text, size, 7).unwrap();
    let mut again = Vec::new();
    bench_log(&mut again, size, 7).unwrap();
    assert!(text == again);
    let text = String::from_utf8(text).unwrap();
    let records: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let all = |field: &str| -> BTreeSet<&str> {
        records.iter().map(|record| record[field].as_str().unwrap()).collect()
    };
    assert_eq!((records.len(), all("member").len(), all("item").len()), (20_000, 1_000, 300));
    assert_eq!(all("at").len(), 20_000);
    assert!(records.is_sorted_by_key(|record| record["at"].as_str().unwrap()));
    assert_eq!(all("at").first().unwrap().len(), "2026-05-02T00:00:00.000Z".len());
    assert!(
        all("at").first().unwrap().starts_with("2026-05-02T")
            && all("at").last().unwrap().starts_with("2026-05-31T")
    );
}
