//! The table: what is wanted, what was measured, and whether the one meets the other.

use nearline::cli::count;

/// Medians of some runs, and how far they lie apart.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    pub fn of(mut all: Vec<f64>) -> Spread {
        all.sort_by(f64::total_cmp);
        Spread { median: all[all.len() / 2], least: all[0], most: all[all.len() - 1] }
    }

    /// Each of them turned into another unit, which may turn their order round.
    pub fn map(self, into: impl Fn(f64) -> f64) -> Spread {
        let (one, other) = (into(self.least), into(self.most));
        Spread { median: into(self.median), least: one.min(other), most: one.max(other) }
    }
}

/// What is wanted of a figure.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    AtLeast(f64),
    AtMost(f64),
    /// It is reported, and nothing is said of it.
    Nothing,
}

/// Rows as they are found. They are told on standard error at once, and printed together at the end.
#[derive(Default)]
pub struct Table {
    rows: Vec<String>,
    notes: Vec<String>,
}

impl Table {
    /// A figure of several runs, beside what is wanted of its median.
    pub fn row(&mut self, what: &str, wanted: Wanted, unit: &str, found: Spread) {
        let number = |number: f64| {
            // Three digits that say something, and all of whole numbers.
            match number.abs() {
                1_000.0.. => count(number.round() as u64),
                100.0.. => format!("{number:.0}"),
                10.0.. => format!("{number:.1}"),
                _ => format!("{number:.2}"),
            }
        };
        let (target, met) = match wanted {
            Wanted::AtLeast(least) => (format!("at least {}", number(least)), Some(found.median >= least)),
            Wanted::AtMost(most) => (format!("at most {}", number(most)), Some(found.median <= most)),
            Wanted::Nothing => (String::new(), None),
        };
        let met = match met {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        };
        let [median, least, most] = [found.median, found.least, found.most].map(number);
        self.push(format!("| {what} | {target} | {median} {unit} | {least} to {most} | {met} |"));
    }

    /// A figure that there is none of, and why.
    pub fn none(&mut self, what: &str, wanted: &str, why: &str) {
        self.push(format!("| {what} | {wanted} | {why} | | |"));
    }

    /// What is said below the table.
    pub fn note(&mut self, note: String) {
        tell(&note);
        self.notes.push(note);
    }

    fn push(&mut self, row: String) {
        tell(&row);
        self.rows.push(row);
    }

    #[expect(clippy::print_stdout, reason = "a benchmark prints its table")]
    pub fn print(&self) {
        println!("| | wanted | median | least to most | |\n| --- | --- | --- | --- | --- |");
        self.rows.iter().for_each(|row| println!("{row}"));
        println!();
        self.notes.iter().for_each(|note| println!("- {note}"));
    }
}

#[expect(clippy::print_stderr, reason = "a long benchmark says how far it is")]
fn tell(line: &str) {
    eprintln!("{line}");
}
