//! Jobs: real processes, begun by a real pipeline.

use serde_json::Value;

use crate::publications::hook::Hook;
use crate::support::{Home, until};

/// A folder with some events, and a config with these tables.
fn home(config: &str) -> Home {
    let home = Home::new();
    let event = |number: usize| {
        format!(
            "{{\"member\":\"m{}\",\"item\":\"i{}\",\"kind\":\"play\",\"value\":0.9,\"at\":{}}}\n",
            number % 10,
            number % 7,
            1_709_251_200_000_i64 + number as i64
        )
    };
    home.write("log.jsonl", &(0..100).map(event).collect::<String>());
    home.write("nearline.toml", config);
    home.ok(&["replay", "log.jsonl"]);
    home
}

/// What is known of a job.
fn state(home: &Home, name: &str) -> Value {
    let all = home.json(&["jobs"]);
    all.as_array().unwrap().iter().find(|job| job["job"] == name).cloned().unwrap()
}

/// What became of the last runs, the newest first.
fn outcomes(home: &Home, name: &str) -> Vec<String> {
    let said = home.say(&["jobs", "history", name, "--json"]);
    if said.code != 0 {
        return Vec::new();
    }
    let runs: Value = serde_json::from_str(&said.out).unwrap();
    runs.as_array().unwrap().iter().map(|run| run["outcome"].as_str().unwrap().to_owned()).collect()
}

/// The pids of processes whose arguments hold a text.
fn processes(text: &str) -> Vec<String> {
    let found = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments = arguments.split(|byte| *byte == 0);
        arguments.filter_map(|one| std::str::from_utf8(one).ok()).any(|one| one == text)
    });
    found.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_job_trains_and_publishes_by_itself_and_is_shown_everywhere() {
    let home = home(
        "[publications]\nrepository = \"repository\"\n[subscriptions.films]\nuse = \"model\"\n\
         [jobs.training]\nat = \"* * * * * *\"\npublication = \"films\"\n\
         command = [\"train\", \"--rank\", \"2\", \"--iterations\", \"1\"]\n",
    );
    let server = home.serve(&["run", "--follow"]);
    until("its model is live", || server.ok("/v1/models")["live"].is_string());
    until("a run was good", || state(&home, "training")["last_good"].is_number());
    let history = home.json(&["jobs", "history", "training"]);
    let good = history.as_array().unwrap().iter().find(|run| run["outcome"] == "good").unwrap();
    let listed = home.json(&["publications", "films"]);
    assert_eq!(good["version"], listed[0]["newest"]["version"]);
    let status = server.ok("/v1/status");
    assert_eq!(status["jobs"][0]["job"], "training");
    assert_eq!(status["jobs"][0]["command"], "train --rank 2 --iterations 1 --publish films");
    let shown = home.ok(&["status"]);
    assert!(shown.contains("jobs         training: ") && shown.contains("next at"), "{shown}");
    assert!(home.ok(&["jobs"]).contains("train --rank 2"));
    let metrics = server.get("/metrics").1;
    let metrics = metrics.as_str().unwrap();
    for line in [
        "nearline_job_runs{job=\"training\"}",
        "nearline_job_failures{job=\"training\"} 0",
        "nearline_job_last_good_seconds{job=\"training\"} 1",
        "nearline_job_next_seconds{job=\"training\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    // An end that is asked for ends what is under way too.
    server.interrupt();
    assert!(!outcomes(&home, "training").contains(&"under_way".to_owned()));
    assert!(home.json(&["status"])["jobs"][0]["runs"].as_u64().unwrap() > 0);
}

#[test]
fn a_job_that_fails_is_tried_again_raises_one_alert_and_is_over_with_the_next_good_run() {
    let hook = Hook::answering(&[]);
    let home = home(&format!(
        "[jobs.checking]\nat = \"0 0 1 1 *\"\ncommand = [\"check\", \"new.jsonl\"]\nretries = 2\nretry_after = \"10ms\"\n\
         [alerts.broken]\njob = \"checking\"\nfailed = true\nurl = \"{}\"\n",
        hook.url
    ));
    let server = home.serve(&["run", "--follow"]);
    let said = home.say(&["jobs", "run", "checking"]).ended(1);
    assert!(said.contains("tried 3 times: it ended with exit code") && said.contains("new.jsonl"), "{said}");
    until("the alert is raised", || !hook.messages().is_empty());
    let told = hook.messages()[0].json();
    assert_eq!((&told["type"], &told["data"]["job"]), (&"alert.raised".into(), &"checking".into()));
    assert!(told["data"]["why"].as_str().unwrap().contains("new.jsonl"), "{told}");
    let metrics = server.get("/metrics").1;
    let metrics = metrics.as_str().unwrap();
    for line in ["alert_raised{alert=\"broken\",job=\"checking\"} 1", "job_failures{job=\"checking\"} 1"] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let history = home.json(&["jobs", "history", "checking"]);
    assert_eq!((&history[0]["attempts"], &history[0]["begun_by"]), (&3.into(), &"command".into()));
    assert!(home.ok(&["status"]).contains("broken, for"));
    // Another failure is the same alert.
    home.say(&["jobs", "run", "checking"]).ended(1);
    home.write("new.jsonl", &std::fs::read_to_string(home.path("log.jsonl")).unwrap());
    home.ok(&["jobs", "run", "checking"]);
    until("it is over", || hook.messages().len() == 2);
    assert_eq!(hook.messages()[1].json()["type"], "alert.resolved");
}

#[test]
fn a_run_that_a_kill_broke_off_ends_with_the_process_and_is_made_good_by_the_next() {
    let home = home("[jobs.feed]\nat = \"* * * * * *\"\ncommand = [\"check\", \"feed.jsonl\"]\n");
    // Reading waits until somebody opens the other end.
    let feed = home.path("feed.jsonl");
    assert!(std::process::Command::new("mkfifo").arg(&feed).status().unwrap().success());
    let marked = feed.file_name().unwrap().to_str().unwrap();
    let server = home.serve(&["run", "--follow"]);
    let mine = || -> Vec<String> {
        let here = std::fs::canonicalize(home.path("")).unwrap();
        let is_here =
            |pid: &String| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == here);
        processes(marked).into_iter().filter(is_here).collect()
    };
    until("its process is there", || !mine().is_empty());
    until("others are skipped meanwhile", || outcomes(&home, "feed").contains(&"skipped".to_owned()));
    assert_eq!(mine().len(), 1, "one run at a time");
    server.kill();
    until("the job ends with it", || mine().is_empty());
    // For the process that begins now there is something to read.
    std::fs::remove_file(&feed).unwrap();
    home.write("feed.jsonl", &std::fs::read_to_string(home.path("log.jsonl")).unwrap());
    let server = home.serve(&["run", "--follow"]);
    until("it is made good", || state(&home, "feed")["last_good"].is_number());
    server.interrupt();
    let history = home.json(&["jobs", "history", "feed", "--limit", "50"]);
    let runs = history.as_array().unwrap();
    let broken =
        runs.iter().position(|run| run["outcome"] == "broken_off" && run["begun_by"] == "time").unwrap();
    let again = runs.iter().position(|run| run["begun_by"] == "broken_off").unwrap();
    assert!(again < broken, "{history}");
    assert_eq!((&runs[again]["outcome"], &runs[again]["due"]), (&"good".into(), &runs[broken]["due"]));
    assert_eq!(runs[again]["attempts"], 2);
}

#[test]
fn a_run_that_was_missed_is_made_good_at_the_start_and_told_once() {
    let hook = Hook::answering(&[]);
    let config = |catch_up: bool| {
        format!(
            "[jobs.yearly]\nat = \"0 0 1 1 *\"\ncommand = [\"verify\"]\ncatch_up = {catch_up}\n\
             [alerts.missed]\njob = \"yearly\"\nmissed = true\nurl = \"{}\"\n",
            hook.url
        )
    };
    let home = home(&config(true));
    let server = home.serve(&["run", "--follow"]);
    let file = home.path("nearline-data/jobs.json");
    // It answers before it looks at its jobs.
    until("the job is known", || file.exists());
    server.interrupt();
    assert_eq!(state(&home, "yearly")["runs"], 0, "what was never due is not missed");
    // As if nothing had run for two years and more.
    let sleep = || {
        let mut kept: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let seen = kept["jobs"][0]["seen"].as_i64().unwrap();
        kept["jobs"][0]["seen"] = (seen - 800 * 86_400_000).into();
        std::fs::write(&file, kept.to_string()).unwrap();
    };
    sleep();
    let server = home.serve(&["run", "--follow"]);
    until("it is made good", || state(&home, "yearly")["last_good"].is_number());
    until("it was told, and that it is over", || hook.messages().len() == 2);
    let types: Vec<Value> = hook.messages().iter().map(|message| message.json()["type"].clone()).collect();
    assert_eq!(types, ["alert.raised", "alert.resolved"]);
    server.interrupt();
    let known = state(&home, "yearly");
    assert_eq!(known["runs"], 1, "one run for all that was missed");
    assert!(known["missed"].as_u64().unwrap() >= 2, "{known}");
    assert_eq!(outcomes(&home, "yearly"), ["good", "missed"]);
    // Where nobody wants that, it is noted and told alone.
    home.write("nearline.toml", &config(false));
    sleep();
    let server = home.serve(&["run", "--follow"]);
    until("it is told", || hook.messages().len() == 3);
    server.interrupt();
    assert_eq!(outcomes(&home, "yearly")[0], "missed");
    assert!(home.ok(&["status"]).contains("a run was missed, and none was good since"));
}

#[test]
fn a_job_that_takes_too_long_is_ended_and_has_failed() {
    let home = home(
        "[jobs.feed]\nat = \"0 0 1 1 *\"\ncommand = [\"check\", \"feed.jsonl\"]\ntimeout = \"300ms\"\nretries = 0\n",
    );
    assert!(std::process::Command::new("mkfifo").arg(home.path("feed.jsonl")).status().unwrap().success());
    // Nothing holds the folder: it is done here.
    let said = home.say(&["jobs", "run", "feed"]).ended(1);
    assert!(said.contains("longer than 300 ms"), "{said}");
    assert_eq!(outcomes(&home, "feed"), ["failed"]);
}

#[test]
fn a_publication_that_does_not_appear_is_a_failure() {
    let home = home(
        "[publications]\nrepository = \"repository\"\n[jobs.picks]\nat = \"0 0 1 1 *\"\nretries = 0\n\
         command = [\"verify\"]\npublication = \"picks\"\n",
    );
    let said = home.say(&["jobs", "run", "picks"]).ended(1);
    assert!(said.contains("the publication picks has no newer version"), "{said}");
}

#[test]
fn a_batch_of_a_job_goes_through_the_socket_of_the_pipeline_that_does_it() {
    let home = home(
        "[publications]\nrepository = \"repository\"\n[jobs.picks]\nat = \"0 0 1 1 *\"\n\
         command = [\"batch\", \"--algorithm\", \"popular\"]\npublication = \"picks\"\n",
    );
    let server = home.serve(&["run", "--follow"]);
    let run = home.json(&["jobs", "run", "picks"]);
    assert_eq!(run["outcome"], "good");
    assert_eq!(home.json(&["publications", "picks"])[0]["newest"]["version"], run["version"]);
    assert_eq!(server.ok("/v1/status")["jobs"][0]["last_good"], run["ended"]);
}

#[test]
fn what_cannot_be_a_job_is_refused_before_anything_runs() {
    let home = Home::new();
    for (config, wanted) in [
        (
            "[jobs.a]\nat = \"noon\"\ncommand = [\"batch\"]",
            "nearline.toml, line 2: `jobs.a.at`: \"noon\" is no time",
        ),
        ("[jobs.a]\nat = \"0 3 * * *\"\ncommand = [\"run\"]", "`run` cannot be a job"),
        (
            "[jobs.a]\nat = \"0 3 * * *\"\ncommand = [\"batch\", \"--fast\"]",
            "`jobs.a.command`: nearline batch --fast: unexpected",
        ),
    ] {
        home.write("nearline.toml", config);
        let said = home.say(&["run", "--listen", "127.0.0.1:0"]).ended(2);
        assert!(said.contains(wanted), "{said}");
    }
    home.write("nearline.toml", "[jobs.a]\nat = \"0 3 * * *\"\ncommand = [\"batch\"]");
    assert!(home.say(&["jobs", "run", "b"]).ended(2).contains("has no job b; it has a"));
    assert!(home.say(&["jobs", "history", "a"]).ended(1).contains("never ran"));
    assert!(home.ok(&["jobs"]).contains("never"));
}
