//! The archive.

use super::Fire;
use super::LOG;

/// An archive that is compacted at every second file of a day, and shipped as often as can be.
const ARCHIVED: &str = "[archive]\nrepository = \"archive\"\nevery = \"1ms\"\ncompact_files = 2\n";

impl Fire {
    /// The archive has each record once, and what the store has.
    fn is_archived(&self, place: &str) {
        let verdict = self.home.json(&["archive", "verify"]).unwrap();
        for wrong in ["missing", "beyond", "repeated"] {
            assert_eq!(verdict[wrong], 0, "{place}: {verdict}");
        }
        // Nor lies anything there that is in no ledger: others read the files by a pattern.
        let days = std::fs::read_dir(self.home.path("archive")).unwrap().flatten();
        let days = days.filter(|day| day.file_name().as_encoded_bytes().starts_with(b"day="));
        // What a process was writing when it ended has a name of its own, and is swept once it is old.
        let is_whole = |file: &std::fs::DirEntry| !file.file_name().to_string_lossy().contains('#');
        let whole = |day: std::fs::DirEntry| {
            std::fs::read_dir(day.path()).unwrap().flatten().filter(is_whole).count()
        };
        let there: usize = days.map(whole).sum();
        assert_eq!(there, self.ok(&["archive", "files"]).lines().count(), "{place}");
    }

    fn begin_anew(&self) {
        self.away();
        let _ = std::fs::remove_dir_all(self.home.path("archive"));
    }
}

#[test]
fn an_archive_whose_process_ends_at_any_narrow_place_has_each_record_once() {
    let fire = Fire::new();
    std::fs::write(fire.home.path("nearline.toml"), ARCHIVED).unwrap();
    // Without trims, which have the archive made anew whenever they come; and in two halves, so that days have files of
    // both.
    let lines = fire.world.records.iter().filter(|record| !record.line.contains("\"trim\""));
    let lines: Vec<String> = lines.map(|record| format!("{}\n", record.line)).collect();
    let (first, second) = lines.split_at(lines.len() / 2);
    std::fs::write(fire.home.path("first.jsonl"), first.concat()).unwrap();
    std::fs::write(fire.home.path("second.jsonl"), second.concat()).unwrap();
    let first = ["run", "--epoch-records", "40", "--workers", "2", "first.jsonl"];
    let run = ["run", "--epoch-records", "40", "--workers", "2", "second.jsonl"];
    fire.ok(&first);
    fire.ok(&run);
    fire.is_archived("undisturbed");
    let plain = fire.digest("nearline-data");
    let places = [
        "commit=9",
        "committed=9",
        "archive-file",
        "archive-file=3",
        "archive-ledger",
        "archive-noted",
        "archive-compacted",
        "archive-replaced",
        "archive-deleted",
    ];
    for place in places {
        fire.begin_anew();
        fire.ok(&first);
        fire.dies(place, &run);
        fire.ok(&run);
        fire.is_archived(place);
        assert_eq!(fire.digest("nearline-data"), plain, "{place}");
    }
    // A bulk load of several epochs that take nothing out, whose records are loaded ahead of them.
    let size = ["--events", "280000", "--members", "2000", "--items", "500"];
    fire.ok(&[&["bench-log", "big.jsonl"], &size[..]].concat());
    let load = ["replay", "--workers", "2", "big.jsonl"];
    fire.begin_anew();
    fire.ok(&load);
    fire.is_archived("undisturbed");
    let plain = fire.digest("nearline-data");
    let places = [
        "queue-loaded",
        "queue-loaded=2",
        "load-taken",
        "loaded",
        "loaded=2",
        "loaded=3",
        "end-of-load",
        "committed",
    ];
    for place in places {
        fire.begin_anew();
        fire.dies(place, &load);
        fire.ok(&load);
        fire.is_archived(place);
        assert_eq!(fire.digest("nearline-data"), plain, "{place}");
    }
    for place in ["archive-backfilled", "archive-ledger"] {
        fire.dies(place, &["archive", "backfill"]);
        fire.ok(&["archive", "ship"]);
        fire.is_archived(place);
    }
    // All of it once more, into an empty folder.
    std::fs::write(fire.home.path("none.toml"), "").unwrap();
    fire.ok(&["--config", "none.toml", "--data", "again", "replay", "archive"]);
    assert_eq!(fire.digest("again"), plain);
}

#[test]
fn a_forget_that_ends_inside_of_the_archive_is_made_good_there() {
    let fire = Fire::new();
    std::fs::write(fire.home.path("nearline.toml"), ARCHIVED).unwrap();
    fire.ok(&["run", "--workers", "2", LOG]);
    std::fs::rename(fire.home.path("nearline-data"), fire.home.path("before")).unwrap();
    std::fs::rename(fire.home.path("archive"), fire.home.path("archive-before")).unwrap();
    let member = fire.live("before").first().unwrap().split('"').nth(3).unwrap().to_owned();
    let places = [
        "archive-unqueued",
        "archive-rewritten",
        "archive-replaced",
        "archive-deleted",
        "erase-archived",
        "erase-unnamed",
        "erase-rewritten",
    ];
    for place in places {
        fire.copy("before");
        let archive = ["-rfT", "archive-before", "archive"];
        let _ = std::fs::remove_dir_all(fire.home.path("archive"));
        let copied = std::process::Command::new("cp").args(archive).current_dir(&fire.home.folder).status();
        assert!(copied.unwrap().success());
        fire.dies(place, &["forget", &member]);
        let receipt = fire.home.json(&["forget", "--pending"]).unwrap();
        assert!(!receipt["archived"].as_array().unwrap().is_empty(), "{place}: {receipt}");
        fire.is_archived(place);
        let files = fire.ok(&["archive", "files"]);
        for file in files.lines() {
            let mut lines =
                nearline::sources::parquet::Lines::open(std::fs::File::open(file).unwrap()).unwrap();
            while lines.next_slice().unwrap().rows > 0 {
                let text = String::from_utf8_lossy(&lines.text);
                assert!(!text.contains(&format!("\"{member}\"")), "{place}: {file}");
            }
        }
    }
}
