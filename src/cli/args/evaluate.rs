//! Flags of `evaluate`, and which of them go with which protocol.

use clap::Args;

use super::{FitArgs, SourceArgs};

/// How lists are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ProtocolName {
    /// What came first is trained on; the rest is to be found, event by event, under fresh and under frozen lists.
    Time,
    /// Members are held out; four fifths of each one's events are folded in, the rest is to be found.
    Members,
    /// The log is walked in order; each event is looked for in its member's list and then learnt from.
    Prequential,
    /// Strong generalisation as in Mult-VAE and iALS, on logs or on a folder of train.csv, test_tr.csv, test_te.csv.
    Strong,
    /// A folder of train.txt and test.txt, or these two files: a member and its items in each line.
    Lightgcn,
    /// NAME.train.rating, NAME.test.rating and NAME.test.negative: one item of each member among given others.
    Ncf,
}

/// Which held-out members of a published split are tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PartName {
    /// Those of validation_tr.csv and validation_te.csv.
    Validation,
    /// Those of test_tr.csv and test_te.csv.
    Test,
}

/// Flags of `evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// Where from.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// How lists are measured.
    #[arg(long, value_enum, default_value = "time")]
    pub protocol: ProtocolName,
    /// time, prequential: split where this share of the events has come [default: 0.8].
    #[arg(long, conflicts_with = "split_at")]
    pub split: Option<f64>,
    /// time, prequential: split at this moment (RFC 3339) instead.
    #[arg(long, value_name = "TIME")]
    pub split_at: Option<String>,
    /// strong, on a folder of published files: who is tested [default: test].
    #[arg(long, value_enum)]
    pub part: Option<PartName>,
    /// prequential: the hours between refreshes of the lists that nearline is compared with [default: 24].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub refresh_hours: Option<u32>,
    /// prequential: train anew after so many hours, and again; unless given the model of the start is the only one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub retrain_hours: Option<u32>,
    /// prequential: the hours that figures are given for; ten equal stretches of time unless given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub window_hours: Option<u32>,
    /// prequential: how many items of a list are looked at [default: 20].
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub k: Option<u32>,
    /// How to train.
    #[command(flatten)]
    pub fit: FitArgs,
}

impl EvaluateArgs {
    /// Refuses flags that the protocol has no use for, so that nobody takes them for heeded.
    pub fn check(&self) -> Result<(), String> {
        use ProtocolName::{Members, Prequential, Strong, Time};
        let logs = [Time, Members, Prequential, Strong];
        let given: [(&str, bool, &[ProtocolName]); 8] = [
            ("--map", self.sources.map.is_some(), &logs),
            ("--split", self.split.is_some(), &[Time, Prequential]),
            ("--split-at", self.split_at.is_some(), &[Time, Prequential]),
            ("--part", self.part.is_some(), &[Strong]),
            ("--refresh-hours", self.refresh_hours.is_some(), &[Prequential]),
            ("--retrain-hours", self.retrain_hours.is_some(), &[Prequential]),
            ("--window-hours", self.window_hours.is_some(), &[Prequential]),
            ("--k", self.k.is_some(), &[Prequential]),
        ];
        match given.into_iter().find(|(_, given, with)| *given && !with.contains(&self.protocol)) {
            None => Ok(()),
            Some((flag, _, with)) => {
                let with: Vec<String> = with.iter().map(|protocol| protocol.name()).collect();
                Err(format!(
                    "{flag} goes with --protocol {}, not {}",
                    with.join(" or "),
                    self.protocol.name()
                ))
            }
        }
    }
}

impl ProtocolName {
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}
