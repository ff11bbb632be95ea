//! Work on lists that takes long, and how far it is: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Failure, show};

/// How often the progress is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How often it is said where there is no terminal to draw a bar on.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Does something to the lists of members, and shows of how many members out of how many it is done.
pub fn watched<T: Send>(
    work: impl FnOnce() -> Result<T, Failure> + Send,
    progress: impl Fn() -> Option<(u64, u64)>,
) -> Result<T, Failure> {
    let said = |members, of| {
        let [members, of] = [members, of].map(show::count);
        format!("lists of {members} of {of} members")
    };
    watched_by(work, progress, ("{bar:30} lists of {pos} of {len} members  {eta} left", &said))
}

/// How far work is: the template of a bar, and a plain line.
type Shown<'a> = (&'a str, &'a dyn Fn(u64, u64) -> String);

/// The same of any work.
pub fn watched_by<T: Send>(
    work: impl FnOnce() -> Result<T, Failure> + Send,
    progress: impl Fn() -> Option<(u64, u64)>,
    (template, line): Shown<'_>,
) -> Result<T, Failure> {
    std::thread::scope(|scope| {
        let working = scope.spawn(work);
        let (bar, mut said, mut looked) = (bar(template), Instant::now(), Instant::now());
        while !working.is_finished() {
            std::thread::sleep(Duration::from_millis(5));
            if looked.elapsed() < LOOK {
                continue;
            }
            looked = Instant::now();
            let Some((members, of)) = progress() else { continue };
            bar.set_length(of);
            bar.set_position(members);
            if bar.is_hidden() && said.elapsed() >= SAY_EVERY {
                show::aside(line(members, of));
                said = Instant::now();
            }
        }
        bar.finish_and_clear();
        working.join().unwrap_or_else(|_| Err(Failure::Failed("the work ended before its time".into())))
    })
}

fn bar(template: &str) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template(template);
    ProgressBar::with_draw_target(Some(0), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
