//! The pipeline's benchmarks: one table of what is wanted and what is measured, on a seeded log of 138,000 members and 26,000 items.
//!
//! `scripts/bench.sh` runs it; `--help` says what can be chosen. Whole processes are timed from outside, start included, and a live
//! pipe is one into a process. `NEARLINE_BIN` names another binary to measure than the one that was built with it.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run has nothing to say")]

mod alone;
mod live;
mod load;
mod process;
mod single;
mod table;
mod watch;

use std::io::Write;
use std::path::PathBuf;

use clap::Parser;
use table::{Spread, Table};

/// How many members the log has, and how many items.
const MEMBERS: usize = 138_000;
const ITEMS: usize = 26_000;

/// Measures the pipeline and prints a table.
#[derive(Debug, Parser)]
struct Options {
    /// How many events the log has.
    #[arg(long, default_value_t = 2_000_000)]
    events: usize,
    /// How often each is measured: medians are printed, and how far they lie apart.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// How long a rate of the live pipe, and idleness, is looked at.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Memory, and the load with lists beside the one without, of a log of so many events as well (20000000).
    #[arg(long)]
    large: Option<usize>,
    /// Beside Pathway too, which is fetched from PyPI.
    #[arg(long)]
    pathway: bool,
    /// Where to work; what is made there stays.
    #[arg(long, default_value_os_t = std::env::temp_dir().join("nearline-bench"))]
    folder: PathBuf,
    /// Only these: load, pathway, live, idle, single, takeover, decode, graph. Where `load` is left out, its folder must be there.
    #[arg(long, value_delimiter = ',')]
    parts: Vec<String>,
    /// A minute: 300,000 events, one run of each, three seconds, and no take-over.
    #[arg(long)]
    quick: bool,
    /// Cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
}

struct Bench {
    options: Options,
    table: Table,
}

fn main() {
    let mut options = Options::parse();
    if options.quick {
        (options.events, options.runs, options.seconds) = (300_000, 1, 3.0);
    }
    let mut bench = Bench { options, table: Table::default() };
    let load = load_average();
    std::fs::create_dir_all(&bench.options.folder).unwrap();
    let events = bench.options.events.to_string();
    process::nearline(&["bench-log", &bench.path("log.jsonl"), "--events", &events]);
    // The later ones need the folders of the first.
    let parts: [(&str, fn(&mut Bench)); 8] = [
        ("load", load::replay),
        ("pathway", load::pathway),
        ("live", live::live),
        ("idle", single::idle),
        ("single", single::alone),
        ("takeover", single::takeover),
        ("decode", alone::decode),
        ("graph", alone::graph),
    ];
    let wanted = bench.options.parts.clone();
    for (name, run) in parts {
        let usual = wanted.is_empty() && !(bench.options.quick && name == "takeover");
        if usual || wanted.iter().any(|wanted| wanted == name) {
            run(&mut bench);
        }
    }
    let Options { events, runs, .. } = bench.options;
    bench.table.note(format!(
        "{events} events of {MEMBERS} members on {ITEMS} items, models of rank 64; medians of {runs} runs; what single events took is one run. \
         Before it began, this machine had a load of {load}."
    ));
    bench.table.print();
}

impl Bench {
    fn path(&self, name: &str) -> String {
        self.options.folder.join(name).display().to_string()
    }

    /// As many runs as are asked for.
    fn each_run<T>(&mut self, mut run: impl FnMut(&mut Bench) -> T) -> Vec<T> {
        (0..self.options.runs).map(|_| run(self)).collect()
    }

    /// The same of figures.
    fn runs_of(&mut self, run: impl FnMut(&mut Bench) -> f64) -> Spread {
        Spread::of(self.each_run(run))
    }
}

/// How busy the machine was in the last minute: figures of a busy one are none.
fn load_average() -> String {
    let known = std::fs::read_to_string("/proc/loadavg").unwrap();
    known.split(' ').next().unwrap().to_owned()
}

/// What so large a share of sorted figures is not above.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len().saturating_sub(1) as f64 * share) as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// The member and the item of a live event, by its number. Each member has a turn before one has another.
fn event_of(number: u64) -> (String, String) {
    let member = number * 7_919 % MEMBERS as u64 + 1;
    let item = (number * 104_729 + number / MEMBERS as u64) % ITEMS as u64 + 1;
    (format!("m{member}"), format!("i{item}"))
}

/// The line of one; they are a millisecond apart and begin where the log ends.
fn write_event(lines: &mut Vec<u8>, run: u32, number: u64) {
    let (member, item) = event_of(number);
    let country = ["US", "BR", "DE", "IN"][(number % 4) as usize];
    writeln!(
        lines,
        "{{\"member\":\"{member}\",\"item\":\"{item}\",\"kind\":\"play\",\"value\":0.9,\"at\":{},\"id\":\"b{run}-{number}\",\"context\":{{\"country\":\"{country}\"}}}}",
        nearline::demo::END + number as i64,
    )
    .unwrap();
}
