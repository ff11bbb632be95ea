//! `nearline publications`: what is in a repository, and what is done about it.

use serde::Serialize;

use super::args::{PublicationsArgs, PublicationsCommand};
use super::{Context, Failure, now_ms, publish, show};
use crate::publications::in_use::InUse;
use crate::publications::letters::{self, Outcome};
use crate::publications::retention::Removed;
use crate::publications::{Failed, Kind, Publication, PublicationError, Publications};

/// `nearline publications`.
pub fn publications(context: &Context, args: &PublicationsArgs) -> Result<(), Failure> {
    let publications = publish::open(context, args.from.from.as_deref(), "--from")?;
    match &args.command {
        None => list(context, &publications, args.name.as_deref()),
        Some(PublicationsCommand::Gc { name, dry_run }) => {
            collect(context, &publications, name.as_deref(), *dry_run)
        }
        Some(PublicationsCommand::Redeliver { name }) => redeliver(context, &publications, name.as_deref()),
    }
}

/// A publication, as it is shown.
#[derive(Serialize)]
struct Listed {
    publication: String,
    /// None where nothing was ever published whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<Publication>,
    published_at: Option<i64>,
    age_ms: Option<i64>,
    /// What is wrong with the newest version.
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
    versions: usize,
    bytes: u64,
    in_use: Vec<Using>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<Failed>,
    undelivered: Vec<String>,
}

#[derive(Serialize)]
struct Using {
    by: String,
    version: String,
    until: i64,
}

fn names(publications: &Publications, name: Option<&str>) -> Result<Vec<String>, Failure> {
    match name {
        None => Ok(publications.names()?),
        Some(name) => {
            let known = publications.names()?;
            if known.iter().any(|known| known == name) {
                return Ok(vec![name.to_owned()]);
            }
            let (url, name) = (publications.url().to_owned(), name.to_owned());
            Err(PublicationError::None { url, name, version: None }.into())
        }
    }
}

fn list(context: &Context, publications: &Publications, name: Option<&str>) -> Result<(), Failure> {
    let mut all = Vec::new();
    for one in names(publications, name)? {
        let listed = looked_at(publications, &one)?;
        // Other folders of the repository are none of ours.
        if name.is_some() || listed.published_at.is_some() || listed.failed.is_some() || listed.versions > 0 {
            all.push(listed);
        }
    }
    if context.json {
        return show::json(&all);
    }
    if name.is_some() {
        return show::text(&all.iter().map(text).collect::<String>());
    }
    if all.is_empty() {
        return show::text(&format!("{} holds no publications", publications.url()));
    }
    let header = ["publication", "kind", "published", "size", "versions", "in use by", "version", ""];
    show::text(&show::table(&header, &[3, 4, 5], all.iter().map(row)))
}

fn looked_at(publications: &Publications, name: &str) -> Result<Listed, Failure> {
    let latest = publications.latest(name)?;
    let (newest, damage) = match &latest {
        None => (None, None),
        Some(latest) => match publications.find(name, Some(&latest.version)) {
            Ok(newest) => (Some(newest), None),
            Err(error) => (None, Some(error.to_string())),
        },
    };
    let (versions, bytes) = publications.kept(name)?;
    let published_at = latest.map(|latest| latest.published_at);
    let using = |(by, InUse { version, until }): (String, InUse)| Using { by, version, until };
    Ok(Listed {
        publication: name.to_owned(),
        newest,
        published_at,
        age_ms: published_at.map(|at| now_ms() - at),
        damage,
        versions,
        bytes,
        in_use: publications.in_use(name)?.into_iter().map(using).collect(),
        failed: publications.failure(name)?,
        undelivered: publications.due_letters(name)?.iter().map(letters::said).collect(),
    })
}

fn row(listed: &Listed) -> Vec<String> {
    let newest = listed.newest.as_ref();
    let mut notes = Vec::new();
    notes.extend(listed.damage.as_ref().map(|_| "damaged".to_owned()));
    notes.extend(listed.failed.as_ref().map(|_| "the last attempt failed".to_owned()));
    if !listed.undelivered.is_empty() {
        notes.push(format!("{} not told", listed.undelivered.len()));
    }
    vec![
        listed.publication.clone(),
        newest.map_or("", |newest| newest.kind.as_str()).to_owned(),
        listed.age_ms.map_or_else(|| "never".to_owned(), |age| format!("{} ago", show::age(age))),
        newest.map_or_else(String::new, |newest| show::bytes(newest.size())),
        listed.versions.to_string(),
        listed.in_use.len().to_string(),
        newest.map_or_else(String::new, |newest| newest.version[..12].to_owned()),
        notes.join(", "),
    ]
}

/// All that is known of one.
fn text(listed: &Listed) -> String {
    let mut rows = vec![("publication", listed.publication.clone())];
    match &listed.newest {
        None => rows.push(("newest", "there is none".to_owned())),
        Some(newest) => {
            let Publication { version, kind, schema, command, epoch, model, made_at, .. } = newest;
            rows.push(("newest", version.clone()));
            rows.extend(listed.published_at.map(|at| ("published", show::time(at))));
            rows.push(("kind", format!("{} ({schema})", kind.as_str())));
            let counts = newest.counts.iter().map(|(name, count)| format!("{} {name}", show::count(*count)));
            rows.push(("counts", counts.collect::<Vec<_>>().join(", ")));
            rows.extend(epoch.map(|epoch| ("epoch", epoch.to_string())));
            rows.extend(model.iter().map(|model| ("model", model.clone())));
            rows.push(("made", format!("{}, by {command}", show::time(*made_at))));
            let file = |file: &crate::publications::manifest::PublishedFile| {
                format!("{}, {}, BLAKE3 {}", file.name, show::bytes(file.size), file.blake3)
            };
            rows.extend(newest.files.iter().map(|one| ("file", file(one))));
        }
    }
    rows.extend(listed.damage.iter().map(|damage| ("damage", damage.clone())));
    rows.push(("versions", format!("{}, {} in all", listed.versions, show::bytes(listed.bytes))));
    for Using { by, version, until } in &listed.in_use {
        rows.push(("in use", format!("{version} by {by}, until {} unless said again", show::time(*until))));
    }
    rows.extend(
        listed.failed.iter().map(|failed| ("failed", format!("{}: {}", show::time(failed.at), failed.why))),
    );
    rows.extend(listed.undelivered.iter().map(|said| ("not told", said.clone())));
    rows.iter().map(|(name, value)| format!("{name:<12} {value}\n")).collect()
}

/// `publications gc`.
fn collect(
    context: &Context,
    publications: &Publications,
    name: Option<&str>,
    dry: bool,
) -> Result<(), Failure> {
    let mut removed = Vec::new();
    for name in names(publications, name)? {
        removed.extend(publications.collect(&name, context.config.publications.retention, dry)?);
    }
    if context.json {
        return show::json(&removed);
    }
    let line = |Removed { publication, version, unfinished, bytes }: &Removed| {
        let what = if *unfinished { ", which was never finished" } else { "" };
        format!("{publication} {version}, {}{what}\n", show::bytes(*bytes))
    };
    let bytes = removed.iter().map(|removed| removed.bytes).sum();
    let mut text: String = removed.iter().map(line).collect();
    let done = if dry { "would be taken out" } else { "taken out" };
    text += &format!("{}, {}, {done}", show::counted(removed.len() as u64, "version"), show::bytes(bytes));
    show::text(&text)
}

/// `publications redeliver`.
fn redeliver(context: &Context, publications: &Publications, name: Option<&str>) -> Result<(), Failure> {
    let mut due = Vec::new();
    for name in names(publications, name)? {
        due.extend(publications.due_letters(&name)?);
    }
    let Outcome { arrived, left } = publications.deliver(due, &publish::courier(context))?;
    if context.json {
        show::json(&serde_json::json!({ "arrived": arrived, "left": left }))?;
    } else {
        show::text(&format!("{} arrived", show::counted(arrived as u64, "letter")))?;
    }
    if left.is_empty() {
        return Ok(());
    }
    let said: String = left.iter().map(|letter| format!("\n{}", letters::said(letter))).collect();
    Err(Failure::No(format!("{} did not arrive:{said}", show::counted(left.len() as u64, "letter"))))
}

/// What `status` says of a publication that is followed.
pub(super) fn followed(followed: &crate::publications::board::Followed) -> String {
    let now = now_ms();
    let newest = match &followed.newest {
        None => "nothing was published yet".to_owned(),
        Some(newest) => {
            let age = show::age(now - newest.published_at);
            format!("{} {}, published {age} ago", Kind::as_str(newest.kind), &newest.version[..12])
        }
    };
    let used = match (&followed.in_use, &followed.newest) {
        (Some(used), Some(newest)) if used.version == newest.version => {
            format!("; in use since {} ago", show::age(now - used.since))
        }
        (Some(used), _) => format!("; in use is {}", &used.version[..12]),
        (None, _) if followed.used == "watch" => String::new(),
        (None, _) => "; not in use".to_owned(),
    };
    let failure = match (&followed.failure, &followed.publish_failure) {
        (Some(failed), _) => format!("; failed {} ago: {}", show::age(now - failed.at), failed.why),
        (None, Some(failed)) => {
            format!("; publishing failed {} ago: {}", show::age(now - failed.at), failed.why)
        }
        (None, None) => String::new(),
    };
    format!("{}: {newest}{used}{failure}", followed.publication)
}
