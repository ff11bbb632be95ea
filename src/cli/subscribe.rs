//! `nearline subscribe`: each version of a publication as it appears.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::args::SubscribeArgs;
use super::{Context, Failure, pipe, publish, show};
use crate::publications::Publication;
use crate::publications::follow::Follower;

/// For how long nothing is looked at after a look that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// `nearline subscribe`.
pub fn subscribe(context: &Context, args: &SubscribeArgs) -> Result<(), Failure> {
    let SubscribeArgs { name, into, once, from } = args;
    let publications = publish::open(context, from.from.as_deref(), "--from")?;
    // What is wrong with a name or a repository is said at once; later it is waited for.
    publications.latest(name)?;
    let poll = &context.config.publications.poll;
    let poll = if publications.is_folder() { poll.folder } else { poll.s3 }.duration();
    let stop = Arc::new(AtomicBool::new(false));
    pipe::stop_on_signal(stop.clone())?;
    let mut follower = Follower::default();
    while !stop.load(Ordering::Relaxed) {
        let latest = match follower.look(&publications, name) {
            Ok(Some(latest)) => latest,
            Ok(None) => {
                std::thread::sleep(poll);
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "looked again in a second");
                std::thread::sleep(PAUSE);
                continue;
            }
        };
        let found = publications.find(name, Some(&latest.version)).and_then(|publication| {
            let folder =
                into.as_ref().map(|into| publications.fetch_whole(&publication, into)).transpose()?;
            Ok((publication, folder))
        });
        match found {
            Ok((publication, folder)) => {
                let folder = folder.map(|folder| folder.display().to_string());
                say(context, &publication, latest.published_at, folder.as_deref())?;
            }
            Err(error) if *once => return Err(error.into()),
            Err(error) => show::aside(&error),
        }
        if *once {
            break;
        }
    }
    Ok(())
}

fn say(
    context: &Context,
    publication: &Publication,
    published_at: i64,
    folder: Option<&str>,
) -> Result<(), Failure> {
    if context.json {
        return show::json(&serde_json::json!({
            "publication": publication, "published_at": published_at, "folder": folder,
        }));
    }
    let Publication { version, kind, .. } = publication;
    let size = show::bytes(publication.size());
    let at = show::time(published_at);
    let folder = folder.map_or_else(String::new, |folder| format!("  {folder}"));
    show::text(&format!("{at}  {version}  {}  {size}{folder}", kind.as_str()))
}
