//! `nearline publish`: a model, lists, items or files become a publication, and whoever waits for it is told.

mod contents;
pub(super) mod taking;

use std::path::Path;

use super::args::PublishArgs;
use super::commands::{self, Ask};
use super::{Context, Failure, now_ms, pipe, show};
use crate::publications::letters::{self, Courier, Letter, Outcome};
use crate::publications::publish::{Draft, Published};
use crate::publications::{self, Failed, Publication, PublicationError, Publications};

impl From<PublicationError> for Failure {
    fn from(error: PublicationError) -> Self {
        match error {
            PublicationError::None { .. } => Failure::No(error.to_string()),
            error if error.is_bad_use() => Failure::Use(error.to_string()),
            error => Failure::Failed(error.to_string()),
        }
    }
}

/// What is to be published.
pub(super) enum What<'a> {
    /// The model in a folder.
    Model(&'a Path),
    /// The lists of the last batch job.
    Lists,
    /// Records of items.
    Catalogue,
    /// The centres of clusters in a folder.
    Centres(&'a Path),
    /// Files.
    Files(&'a PublishArgs),
    /// The result of a query.
    #[cfg(feature = "query")]
    Query(&'a QueryResult),
    /// A version that is there.
    Again(&'a str),
}

/// The result of a query, in a file.
#[cfg(feature = "query")]
pub(super) struct QueryResult {
    pub query: publications::manifest::Query,
    pub rows: u64,
    pub epoch: u64,
    pub file: std::path::PathBuf,
}

/// `nearline publish`.
pub fn publish(context: &Context, args: &PublishArgs) -> Result<(), Failure> {
    let what = match args {
        PublishArgs { model: Some(model), .. } => What::Model(model),
        PublishArgs { centres: Some(centres), .. } => What::Centres(centres),
        PublishArgs { version: Some(version), .. } => What::Again(version),
        PublishArgs { lists: true, .. } => What::Lists,
        PublishArgs { catalogue: true, .. } => What::Catalogue,
        _ => What::Files(args),
    };
    publishing(context, &args.name, args.to.as_deref(), |publications| {
        said(context, publications, published(context, publications, &args.name, &what)?)
    })
}

/// Does something that ends in a publication; where it fails, whoever follows the publication comes to know of it.
pub(super) fn publishing<T>(
    context: &Context,
    name: &str,
    to: Option<&str>,
    work: impl FnOnce(&Publications) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let publications = open(context, to, "--to")?;
    // Before anything that takes hours.
    publications::named(name)?;
    let done = work(&publications);
    if let Err(Failure::Use(why) | Failure::Failed(why) | Failure::No(why)) = &done {
        let failed = Failed { at: now_ms(), why: why.clone() };
        if let Err(error) = publications.note_failure(name, &failed) {
            tracing::debug!(%error, "that it failed cannot be noted");
        }
    }
    done
}

/// Opens the repository that is named, or the config's.
pub(super) fn open(context: &Context, url: Option<&str>, flag: &str) -> Result<Publications, Failure> {
    let known = context.config.publications.repository.as_deref();
    let url = url.or(known).ok_or_else(|| {
        Failure::Use(format!(
            "there is no repository: name one with {flag} (a folder, s3://BUCKET/PREFIX, hdfs://HOST:PORT/FOLDER, or cassandra://HOST:PORT/KEYSPACE), or set \
             publications.repository in the config"
        ))
    })?;
    Ok(Publications::open(url, &context.config.access)?)
}

/// What was published, with those who could not be told.
pub(super) struct Told {
    published: Published,
    left: Vec<Letter>,
}

/// Publishes, and tells everybody.
pub(super) fn published(
    context: &Context,
    publications: &Publications,
    name: &str,
    what: &What<'_>,
) -> Result<Told, Failure> {
    let notify = &context.config.publications.notify;
    let mut written = Vec::new();
    let mut also = |publication: &Publication, at| {
        written = publications.write_letters(publication, at, notify)?;
        Ok(())
    };
    let published = match what {
        What::Again(version) => {
            let publication = publications.find(name, Some(version))?;
            publications.publish_again(publication, &mut also)?
        }
        what => {
            let scratch = tempfile::tempdir()?;
            let draft = contents::draft(context, name, what, scratch.path())?;
            send(publications, &draft, &mut also)?
        }
    };
    // Whoever is near is told first.
    let near: Result<Option<bool>, Failure> = commands::ask(context, &Ask::Published(name.to_owned()));
    if let Err(error) = near {
        tracing::debug!(%error, "the process that holds the folder was not told");
    }
    let Outcome { left, .. } = publications.deliver(written, &courier(context))?;
    if let Err(error) = publications.clear_failure(name) {
        tracing::warn!(%error, "that an earlier attempt failed stays noted");
    }
    Ok(Told { published, left })
}

/// How letters are sent.
pub(super) fn courier(context: &Context) -> Courier<'_> {
    let publications = &context.config.publications;
    Courier {
        notify: &publications.notify,
        retry_for: publications.retry_for.duration(),
        kafka: &context.config.kafka.settings,
    }
}

/// Sends a draft, with a bar over its bytes where there is a terminal.
fn send(
    publications: &Publications,
    draft: &Draft,
    also: &mut dyn FnMut(&Publication, i64) -> Result<(), PublicationError>,
) -> Result<Published, Failure> {
    // Each byte is read twice.
    let size: u64 = draft.files.iter().map(|file| 2 * pipe::size_of(file)).sum();
    let bar = pipe::bar(size, "{bar:30} {percent} % of what is published is read  {eta} left");
    let published = publications.publish(draft, &|bytes| bar.inc(bytes), also);
    bar.finish_and_clear();
    Ok(published?)
}

/// Says what was published.
pub(super) fn said(context: &Context, publications: &Publications, told: Told) -> Result<(), Failure> {
    let Told { published: Published { publication, published_at, known }, left } = told;
    for letter in &left {
        show::aside(letters::said(letter));
    }
    if !left.is_empty() {
        show::aside("`nearline publications redeliver` tells them");
    }
    let undelivered: Vec<&str> = left.iter().map(|letter| &*letter.to).collect();
    let Publication { name, version, kind, .. } = &publication;
    if context.json {
        return show::json(&serde_json::json!({
            "publication": name, "version": version, "kind": kind, "published_at": published_at, "known": known,
            "size": publication.size(), "url": publications.url(), "undelivered": undelivered,
        }));
    }
    let what = format!("{name} {version} ({}, {})", kind.as_str(), show::bytes(publication.size()));
    show::text(&match known {
        true => format!("{what} was in {} already, and is the newest now", publications.url()),
        false => format!("{what} is in {}", publications.url()),
    })
}
