//! Queries, against numbers that are computed from the log by hand.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::archive::server_of_s3;
use crate::support::{Home, model};

const DAY: i64 = 86_400_000;
/// 2024-03-01T00:00:00Z.
const BEGIN: i64 = 1_709_251_200_000;

/// An event of the log: member, item, kind, value in hundredths, moment.
type Event = (String, String, &'static str, i64, i64);

/// Events of three days and of twelve members.
fn events() -> Vec<Event> {
    let kinds = ["play", "like", "click"];
    (0..300_i64)
        .map(|number| {
            let at = BEGIN + number % 3 * DAY + number * 60_000;
            (
                format!("m{}", number % 12),
                format!("i{}", number * 7 % 11),
                kinds[number as usize / 3 % 3],
                number % 100 + 1,
                at,
            )
        })
        .collect()
}

fn line((member, item, kind, value, at): &Event) -> String {
    let (whole, part) = (value / 100, value % 100);
    format!(
        "{{\"member\":\"{member}\",\"item\":\"{item}\",\"kind\":\"{kind}\",\"value\":{whole}.{part:02},\"at\":{at}}}\n"
    )
}

/// The log with a catalogue, replayed.
fn home(config: &str) -> Home {
    let home = Home::new();
    let mut log: String = events().iter().map(line).collect();
    for item in 0..11 {
        log += &format!(
            "{{\"type\":\"item\",\"item\":\"i{item}\",\"at\":{BEGIN},\"title\":\"Title, {item}\",\"genres\":[\"g{}\",\"all\"]}}\n",
            item % 2
        );
    }
    home.write("log.jsonl", &log);
    home.write("nearline.toml", config);
    let rows: Vec<(String, Vec<f32>)> =
        (0..11).map(|item| (format!("i{item}"), vec![1.0, item as f32 / 10.0])).collect();
    let rows: Vec<(&str, Vec<f32>)> = rows.iter().map(|(id, row)| (id.as_str(), row.clone())).collect();
    model(&rows).save(&home.path("model")).unwrap();
    home.ok(&["replay", "log.jsonl", "--model", "model"]);
    home
}

const ARCHIVED: &str = "[archive]\nrepository = \"archive\"\n";

/// The rows of an answer.
fn rows(home: &Home, sql: &str) -> Vec<Value> {
    let out = home.ok(&["query", sql, "--json"]);
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Plays of each day, and the sum of their values.
fn expected() -> BTreeMap<String, (i64, i64)> {
    let mut days: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for (_, _, kind, value, at) in events() {
        if kind == "play" {
            let day = format!("2024-03-{:02}", 1 + (at - BEGIN) / DAY);
            let sums = days.entry(day).or_default();
            *sums = (sums.0 + 1, sums.1 + value);
        }
    }
    days
}

const BY_DAY: &str = "select day, count(*) as plays, cast(sum(value) * 100 as bigint) as hundredths from records \
                      where type = 'event' and kind = 'play' group by day order by day";

fn by_day(home: &Home) -> BTreeMap<String, (i64, i64)> {
    let number = |value: &Value| value.as_i64().unwrap();
    let row = |row: &Value| {
        (row["day"].as_str().unwrap().to_owned(), (number(&row["plays"]), number(&row["hundredths"])))
    };
    rows(home, BY_DAY).iter().map(row).collect()
}

#[test]
fn records_are_those_of_the_log_from_the_archive_and_from_the_store_alike() {
    let expected = expected();
    assert!(expected.len() >= 3);
    let stored = home("");
    assert_eq!(by_day(&stored), expected);
    let said = stored.say(&["query", "select count(*) from records"]);
    assert!(said.err.contains("there is no archive"), "{said:?}");
    let archived = home(ARCHIVED);
    assert_eq!(by_day(&archived), expected);
    let all = "select type, member, item, kind, value, at, id, context, title, genres, withdrawn, day from records \
               order by type, member, item, kind, at, value";
    assert_eq!(rows(&stored, all), rows(&archived, all));
    assert_eq!(rows(&archived, all).len(), 311);
}

#[test]
fn only_files_of_the_days_that_are_asked_for_are_read() {
    let home = home(ARCHIVED);
    let plan = home
        .ok(&["query", "explain select count(*) from records where day = '2024-03-02' and kind = 'play'"]);
    assert!(plan.contains("day=2024-03-02") && !plan.contains("day=2024-03-01"), "{plan}");
    // Another day's file that is no Parquet any more is nothing to it.
    let files = home.ok(&["archive", "files"]);
    let other = files.lines().find(|file| file.contains("day=2024-03-01")).unwrap();
    std::fs::write(other, "damaged").unwrap();
    let (plays, _) = expected()["2024-03-02"];
    let found = rows(
        &home,
        "select count(*) as n from records where day = '2024-03-02' and kind = 'play' and type = 'event'",
    );
    assert_eq!(found[0]["n"], plays);
    home.say(&["query", "select count(item) from records"]).ended(3);
}

#[test]
fn the_store_says_of_items_counts_and_lists_what_other_commands_say() {
    let home = home("");
    let items = rows(&home, "select item, title, genres, withdrawn, at from items order by item");
    assert_eq!(items.len(), 11);
    assert_eq!(
        items[1],
        serde_json::json!({"item": "i1", "title": "Title, 1", "genres": ["g1", "all"], "withdrawn": false, "at": "2024-03-01T00:00:00Z"})
    );
    let counted =
        rows(&home, "select item, sum(count) as n from popularity where kind = 'play' group by item");
    for row in &counted {
        let plays = events()
            .iter()
            .filter(|event| event.2 == "play" && event.1 == row["item"].as_str().unwrap())
            .count();
        assert_eq!(row["n"], plays, "{row}");
    }
    assert_eq!(counted.len(), 11);
    for list in ["top_picks", "continue_watching"] {
        let asked = home.items("m3", list);
        let sql = format!(
            "select item, position from lists where member = 'm3' and list = '{list}' order by position"
        );
        let found: Vec<String> =
            rows(&home, &sql).iter().map(|row| row["item"].as_str().unwrap().to_owned()).collect();
        assert_eq!(found, asked);
    }
    let trending =
        rows(&home, "select item from lists where list = 'trending' and member is null order by position");
    assert_eq!(trending.len(), 11);
}

#[test]
fn who_was_forgotten_is_in_no_answer_also_before_the_bytes_are_gone() {
    let home = home(ARCHIVED);
    let of = |member: &str| {
        rows(&home, &format!("select count(*) as n from records where member = '{member}'"))[0]["n"].clone()
    };
    assert_eq!((of("m1"), of("m2")), (25.into(), 25.into()));
    home.ok_pipe(
        &["run", "-"],
        &format!("{{\"type\":\"forget\",\"member\":\"m2\",\"at\":{}}}\n", BEGIN + 900 * DAY),
    );
    assert_eq!((of("m1"), of("m2")), (25.into(), 0.into()), "its bytes may be there still");
    home.ok(&["forget", "m1"]);
    assert_eq!((of("m1"), of("m2")), (0.into(), 0.into()));
    assert_eq!(rows(&home, "select count(*) as n from records where member is not null")[0]["n"], 250);
    assert_eq!(rows(&home, "select distinct type from records order by type").len(), 2, "events and items");
    assert!(rows(&home, "select * from lists where member in ('m1', 'm2')").is_empty());
}

#[test]
fn csv_and_parquet_hold_what_was_asked_and_are_read_back() {
    let home = home("");
    let sql = "select item, title, genres from items order by item";
    let csv = home.ok(&["query", sql, "--format", "csv"]);
    let mut read = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(read.headers().unwrap(), vec!["item", "title", "genres"]);
    let second = read.records().nth(1).unwrap().unwrap();
    assert_eq!(second.iter().collect::<Vec<_>>(), ["i1", "Title, 1", "[g1, all]"]);
    // Records that are written as Parquet are a source, which comes to the same folder.
    let records = "select type, member, item, kind, value, at from records where type = 'event'";
    home.ok(&["query", records, "--output", "events.parquet"]);
    home.ok(&["--data", "again", "replay", "events.parquet"]);
    let again = home.json(&["--data", "again", "status"]);
    assert_eq!(again["counts"]["live_events"], 300);
    home.ok(&["query", "select 1 as one", "--output", "one.jsonl"]);
    assert_eq!(std::fs::read_to_string(home.path("one.jsonl")).unwrap(), "{\"one\":1}\n");
    let table = home.say(&["query", "select item from items order by item", "--limit", "3"]);
    assert_eq!(table.out.lines().count(), 4);
    home.say(&["query", "select 1", "--output", "one.txt"]).ended(2);
}

#[test]
fn a_result_is_published_with_its_query_and_the_manifest_says_what_it_is() {
    let home = home("[publications]\nrepository = \"repository\"\n");
    let sql = "select item, sum(count) as plays from popularity group by item order by item";
    let told = home.json(&["query", sql, "--publish", "plays"]);
    assert_eq!(told["kind"], "query");
    let newest = home.json(&["publications", "plays"])[0]["newest"].clone();
    assert_eq!((&newest["query"]["sql"], &newest["counts"]["rows"]), (&sql.into(), &11.into()));
    assert_eq!(newest["query"]["columns"][1]["name"], "plays");
    assert_eq!(newest["epoch"], home.json(&["status"])["epoch"]);
    assert_eq!(newest["files"][0]["name"], "result.parquet");
    assert_eq!(
        home.json(&["query", sql, "--publish", "plays"])["known"],
        true,
        "the same answer is the same version"
    );
    let fetched = home.json(&["subscribe", "plays", "--once", "--into", "fetched"]);
    assert!(home.path(fetched["folder"].as_str().unwrap()).join("result.parquet").exists());
}

#[test]
fn what_is_wrong_with_a_query_is_said_with_its_place() {
    let home = home("");
    for (sql, wanted) in [
        ("select memebr from records", "Did you mean 'records.member'"),
        ("select memebr from records", "line 1, column 8"),
        ("select * from recrods", "there are records, items, popularity, lists"),
        ("select (1 from items", "Line: 1, Column: "),
        ("drop table items", "only SELECT, WITH and EXPLAIN"),
        ("create table a as select 1", "only SELECT, WITH and EXPLAIN"),
        ("insert into items values (1)", "cannot be answered"),
        ("copy items to 'items.csv'", "only SELECT, WITH and EXPLAIN"),
        ("set datafusion.execution.batch_size = 1", "only SELECT, WITH and EXPLAIN"),
        ("select cast(item as bigint) from items", "Cannot cast"),
    ] {
        let said = home.say(&["query", sql]).ended(2);
        assert!(said.contains(wanted), "{sql}: {said}");
    }
    assert!(!home.path("items.csv").exists());
    assert!(home.say(&["--data", "nothing", "query", "select 1"]).ended(3).contains("no nearline data"));
    let tables = home.ok(&["query", "--tables"]);
    assert!(tables.contains("popularity: ") && tables.contains("decimal(16, 6)"), "{tables}");
}

#[test]
fn what_does_not_fit_into_memory_goes_to_files_or_says_so() {
    let home = home("");
    let large = "select count(*) as n from (select a.value as x, b.value as y from generate_series(1, 3000) a, \
                 generate_series(1, 1000) b order by x * y, y)";
    assert_eq!(rows(&home, large)[0]["n"], 3_000_000);
    let sorted = "select a.value * 7919 % 4000037 as x, b.value as y from generate_series(1, 4000) a, \
                  generate_series(1, 1000) b order by x, y";
    let said = home.ok(&["query", sorted, "--memory", "64MB", "--output", "sorted.parquet"]);
    assert!(said.contains("4,000,000 rows"), "{said}");
    let held = format!("{sorted} limit 3900000");
    let said = home.say(&["query", &held, "--memory", "64MB", "--output", "held.parquet"]).ended(2);
    assert!(said.contains("give it more with --memory") && !home.path("held.parquet").exists(), "{said}");
}

#[test]
fn the_examples_of_the_documentation_are_answered() {
    let home = home(ARCHIVED);
    let text = include_str!("../../docs/query.md");
    let examples: Vec<&str> =
        text.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 5);
    for example in examples {
        assert!(!rows(&home, example).is_empty(), "{example}");
    }
}

#[test]
fn an_archive_in_a_bucket_is_read_by_ranges() {
    let Some(server) = server_of_s3("query, an_archive_in_a_bucket_is_read_by_ranges") else { return };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let home = home(&format!(
        "[archive]\nrepository = \"s3://nearline/query-{now}\"\n[s3]\nendpoint = \"{server}\"\nallow_http = true\n\
         region = \"us-east-1\"\naccess_key_id = \"k\"\nsecret_access_key = \"s\"\n"
    ));
    assert_eq!(by_day(&home), expected());
    home.ok(&["forget", "m1"]);
    assert_eq!(rows(&home, "select count(*) as n from records where member = 'm1'")[0]["n"], 0);
}
