//! Real logs by the maps of their recipes, where the machine has them.

use std::collections::BTreeSet;

use super::*;
use crate::records::Record;

/// The real logs, where the machine has them.
fn trial(name: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("NEARLINE_TRIAL_DATA") else {
        // Straight to the terminal: what is printed by macros is not seen where a test passes.
        let skipped = format!("skipped the trial of {name}: NEARLINE_TRIAL_DATA is not set\n");
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return None;
    };
    Some(Path::new(&folder).join(name))
}

/// The map that a recipe gives for a file.
fn recipe(recipe: &str, file: &str) -> Options {
    let path = Path::new("docs/recipes").join(recipe);
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace("\\\n", " ");
    let line = text.lines().find(|line| line.contains("--map") && line.contains(file)).expect(file);
    let (_, map) = line.split_once("--map ").unwrap();
    let map = map.trim().strip_prefix('"').and_then(|map| map.split_once('"')).expect(map).0;
    mapped(map)
}

fn distinct(read: &Read) -> usize {
    read.records.iter().collect::<BTreeSet<_>>().len()
}

fn count_by<'a>(read: &'a Read, key: impl Fn(Record<'a>) -> &'a str) -> usize {
    read.records.iter().map(|normal| key(records::decode(normal).unwrap())).collect::<BTreeSet<_>>().len()
}

fn item(record: Record<'_>) -> &str {
    match record {
        Record::Event(event) => event.item,
        Record::Item(version) => version.item,
        _ => panic!("neither an event nor an item"),
    }
}

#[test]
fn movielens_reads_by_its_recipe() {
    let Some(folder) = trial("ml-latest-small") else { return };
    let ratings = read(&folder.join("ratings.csv"), &recipe("movielens.md", "ratings.csv"));
    assert_eq!((ratings.records.len(), distinct(&ratings), ratings.rejected.len()), (100_836, 100_836, 0));
    assert_eq!(count_by(&ratings, |record| record.member().unwrap()), 610);
    assert_eq!(count_by(&ratings, item), 9_724);
    let movies = read(&folder.join("movies.csv"), &recipe("movielens.md", "movies.csv"));
    assert_eq!((movies.records.len(), movies.rejected.len()), (9_742, 0));
    let without = movies.lines().iter().filter(|line| !line.contains("\"genres\"")).count();
    assert_eq!(without, 34);
}

#[test]
fn movietweetings_reads_by_its_recipe() {
    let Some(folder) = trial("movietweetings") else { return };
    let ratings = read(&folder.join("ratings.dat"), &recipe("movietweetings.md", "ratings.dat"));
    assert_eq!((ratings.records.len(), distinct(&ratings), ratings.rejected.len()), (141_695, 141_695, 0));
    assert_eq!(count_by(&ratings, |record| record.member().unwrap()), 21_081);
    assert_eq!(count_by(&ratings, item), 12_611);
    let movies = read(&folder.join("movies.dat"), &recipe("movietweetings.md", "movies.dat"));
    assert_eq!((movies.records.len(), movies.rejected.len()), (12_611, 0));
    let without = movies.lines().iter().filter(|line| !line.contains("\"genres\"")).count();
    assert_eq!(without, 91);
}

#[test]
fn online_retail_reads_by_its_recipe() {
    let Some(folder) = trial("online-retail") else { return };
    let path = folder.join("online_retail.csv.gz");
    let read = read(&path, &recipe("online-retail.md", "member=CustomerID"));
    assert_eq!(read.records.len() + read.rejected.len(), 541_909);
    assert_eq!(read.rejected.len(), 135_080);
    assert!(read.rejected.iter().all(|line| line.detail == "`member` is missing"));
    // 5,280 rows say again what another says of the same invoice.
    assert_eq!((read.records.len(), distinct(&read)), (406_829, 401_549));
    assert_eq!(count_by(&read, |record| record.member().unwrap()), 4_372);
    assert_eq!(count_by(&read, item), 3_684);
    let cancelled = read.lines().iter().filter(|line| line.contains("\"value\":-")).count();
    assert_eq!(cancelled, 8_905);
    let catalogue = tests::read(&path, &recipe("online-retail.md", "type=item"));
    assert_eq!((catalogue.rejected.len(), count_by(&catalogue, item)), (0, 3_684));
    assert!(catalogue.lines().iter().all(|line| line.contains("\"title\":")));
}
