//! Jobs: wherever the process ends that does them, what was missed is made good once the next one runs.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{ABORTED, Fire, Goes, LOG};

/// How often it was noted that something was missed.
fn noted(job: &Value) -> usize {
    job["history"].as_array().unwrap().iter().filter(|run| run["outcome"] == "missed").count()
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_millis() as i64
}

#[test]
fn a_job_whose_pipeline_ends_at_any_narrow_place_is_done_and_noted() {
    let fire = Fire::new();
    let config = "[jobs.yearly]\nat = \"0 0 1 1 *\"\ncommand = [\"verify\"]\nretries = 0\n";
    std::fs::write(fire.home.path("nearline.toml"), config).unwrap();
    fire.ok(&["replay", LOG]);
    fire.ok(&["jobs", "run", "yearly"]);
    let file = fire.home.path("nearline-data/jobs.json");
    let read = || serde_json::from_str::<Value>(&std::fs::read_to_string(&file).unwrap()).unwrap();
    for place in [
        "jobs-changed",
        "jobs-kept",
        "jobs-changed=2",
        "jobs-kept=2",
        "job-begun",
        "job-ended",
        "jobs-changed=3",
        "jobs-kept=3",
    ] {
        // As if nothing had run for two years and more.
        let mut kept = read();
        let job = &mut kept["jobs"][0];
        let (missed, good) = (noted(job), job["last_good"].as_i64().unwrap());
        job["seen"] = (now_ms() - 800 * 86_400_000).into();
        std::fs::write(&file, kept.to_string()).unwrap();
        let mut command = fire.home.command(&["run".to_owned(), "--follow".to_owned()], None);
        let mut dying = Goes(command.env("NEARLINE_FAILPOINT", place).spawn().unwrap());
        assert_eq!(dying.0.wait().unwrap().signal(), Some(ABORTED), "{place} was never come to");
        let mut command = fire.home.command(&["run".to_owned(), "--follow".to_owned()], None);
        let _going = Goes(command.spawn().unwrap());
        let began = Instant::now();
        let done = loop {
            let job = read()["jobs"][0].clone();
            let open = job["history"].as_array().unwrap().iter().any(|run| run["outcome"] == "under_way");
            if job["last_good"].as_i64().unwrap() > good && !open {
                break job;
            }
            assert!(began.elapsed() < Duration::from_secs(120), "{place}: it was not made good: {job}");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(noted(&done), missed + 1, "{place}: what was missed is noted once");
        assert_eq!(done["failures"], 0, "{place}");
        let broken = done["history"].as_array().unwrap().last().unwrap()["begun_by"] == "broken_off";
        let under_way = ["jobs-kept=2", "job-begun", "job-ended", "jobs-changed=3"].contains(&place);
        assert_eq!(broken, under_way, "{place}: {done}");
    }
}
