//! Publications: in folders (`pipeline.rs`, `commands.rs`), told to others (`told.rs`), in S3 (`server.rs`) and in Cassandra
//! (`cassandra.rs`), for which `scripts/test.sh --services` starts servers.

#[cfg(feature = "cassandra")]
pub mod cassandra;
mod commands;
pub mod hook;
mod pipeline;
mod server;
mod told;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Home, Server, model, until};

/// Events of some members, and models `a` and `b` that list other things for them.
fn home(config: &str) -> Home {
    let home = Home::new();
    let one =
        [("i1", vec![1.0, 0.0]), ("i2", vec![0.9, 0.1]), ("i3", vec![0.1, 0.9]), ("i4", vec![0.0, 1.0])];
    let other =
        [("i1", vec![1.0, 0.0]), ("i2", vec![0.1, 0.9]), ("i3", vec![0.9, 0.1]), ("i4", vec![0.0, 1.0])];
    model(&one).save(&home.path("a")).unwrap();
    model(&other).save(&home.path("b")).unwrap();
    let event = |member: usize| {
        format!(
            "{{\"member\":\"m{member}\",\"item\":\"i1\",\"kind\":\"play\",\"value\":0.9,\"at\":{}}}\n",
            1_709_251_200_000_i64 + member as i64
        )
    };
    home.write("log.jsonl", &(0..50).map(event).collect::<String>());
    home.write("nearline.toml", &format!("[publications]\nrepository = \"repository\"\n{config}"));
    home
}

/// The config of a pipeline that takes over the models published as `films`.
const FILMS: &str = "[subscriptions.films]\nuse = \"model\"\n";

/// Publishes a model, and says which version that is.
fn publish(home: &Home, model: &str) -> String {
    text(&home.json(&["publish", "films", "--model", model])["version"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The version of a model, by its manifest.
fn version(home: &Home, model: &str) -> String {
    text(&home.json(&["model", "show", model])["version"])
}

/// What a server says of a publication that it follows.
fn followed(server: &Server, name: &str) -> Value {
    let answer = server.ok("/v1/publications");
    let all = answer["publications"].as_array().unwrap();
    all.iter().find(|one| one["publication"] == name).cloned().unwrap_or_default()
}

/// Waits until a version is in use.
#[track_caller]
fn until_used(server: &Server, version: &str) {
    until("the version is in use", || followed(server, "films")["in_use"]["version"] == *version);
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}
