//! How far training has come: a bar on a terminal, a line for each iteration elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nearline_factors::{Progress, Step};

use super::show;

/// The bar's length for one iteration.
const PARTS: f64 = 1_000.0;

/// Shows the progress of one training.
pub(super) struct TrainProgress {
    bar: ProgressBar,
    /// Whether lines are printed in place of the bar.
    lines: bool,
    begun: Instant,
    /// The iteration that training began after.
    from: usize,
    of: usize,
    loss: Option<f64>,
    /// Whether every iteration is measured: its line waits for that.
    measuring: bool,
    /// What was measured last, and the best before it.
    measured: Option<(f64, Option<f64>)>,
}

impl TrainProgress {
    /// For a training that goes from one iteration to another. `quiet` is for programs, which want neither.
    pub(super) fn new(from: usize, of: usize, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target =
            if terminal && !quiet { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(of as u64 * PARTS as u64), target);
        let style =
            ProgressStyle::with_template("{bar:30} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let lines = !terminal && !quiet;
        TrainProgress {
            bar: bar.with_style(style),
            lines,
            begun: Instant::now(),
            from,
            of,
            loss: None,
            measuring: false,
            measured: None,
        }
    }

    /// For a training of which every iteration is measured.
    pub(super) fn measuring(of: usize, quiet: bool) -> Self {
        TrainProgress { measuring: true, ..TrainProgress::new(0, of, quiet) }
    }

    /// Takes in what training has just done.
    pub(super) fn show(&mut self, progress: &Progress) {
        match *progress {
            Progress::Rows { iteration, step, done, total } => {
                let half = done as f64 / total.max(1) as f64 / 2.0;
                let before = match step {
                    Step::Members => iteration as f64 - 1.0,
                    Step::Items => iteration as f64 - 0.5,
                    // What comes after the last iteration is not counted as one.
                    Step::LastMembers => return,
                };
                self.draw(iteration, before + half);
            }
            Progress::Iteration(done) => {
                self.loss = Some(done.loss);
                self.draw(done.iteration, done.iteration as f64);
                if self.lines && !self.measuring {
                    show::aside(self.line(done.iteration, done.iteration as f64));
                }
            }
        }
    }

    /// NDCG@20 after an iteration.
    pub(super) fn measured(&mut self, iteration: usize, figure: f64) {
        let best = self.measured.map(|(last, before)| before.map_or(last, |before| last.max(before)));
        self.measured = Some((figure, best));
        self.draw(iteration, iteration as f64);
        if self.lines {
            show::aside(self.line(iteration, iteration as f64));
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn draw(&self, iteration: usize, done: f64) {
        if !self.bar.is_hidden() {
            self.bar.set_position((done * PARTS) as u64);
            self.bar.set_message(self.line(iteration, done));
        }
    }

    /// `iteration 3 of 16, loss 1234.5, 12 s left`.
    fn line(&self, iteration: usize, done: f64) -> String {
        let loss = self.loss.map_or(String::new(), |loss| format!(", loss {loss:.1}"));
        let measured = self.measured.map_or(String::new(), |(figure, best)| {
            let best = best.is_none_or(|best| figure > best);
            format!(", NDCG@20 {figure:.4}{}", if best { ", the best so far" } else { "" })
        });
        let left = left(self.begun.elapsed(), done - self.from as f64, self.of as f64 - done);
        format!("iteration {iteration} of {}{loss}{measured}{left}", self.of)
    }
}

/// How long what is to be done will take, at the pace of what was done; nothing before that can be known, or at the end.
fn left(took: Duration, done: f64, to_do: f64) -> String {
    if done <= 0.0 || to_do <= 0.0 {
        return String::new();
    }
    let ms = took.as_secs_f64() * 1_000.0 * to_do / done;
    // Rounded up: what is left is never shown as nothing while there is something.
    format!(", {} left", show::age((ms / 1_000.0).ceil() as i64 * 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_from_the_pace_so_far() {
        let took = Duration::from_secs(30);
        assert_eq!(left(took, 3.0, 13.0), ", 2 min left");
        assert_eq!(left(took, 3.0, 0.01), ", 1 s left");
        assert_eq!(left(took, 0.0, 16.0), "");
        assert_eq!(left(took, 16.0, 0.0), "");
    }

    #[test]
    fn a_training_that_goes_on_is_paced_by_what_it_did_itself() {
        let mut progress = TrainProgress::new(10, 12, true);
        progress.begun = Instant::now().checked_sub(Duration::from_secs(7)).unwrap();
        progress.loss = Some(12.34);
        assert_eq!(progress.line(11, 11.0), "iteration 11 of 12, loss 12.3, 8 s left");
        for (figure, said) in [(0.1, ", the best so far"), (0.3, ", the best so far"), (0.2, ""), (0.3, "")] {
            progress.measured(12, figure);
            let line = progress.line(12, 12.0);
            assert_eq!(line, format!("iteration 12 of 12, loss 12.3, NDCG@20 {figure:.4}{said}"));
        }
    }
}
