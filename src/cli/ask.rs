//! `get`, `popular`, `history`, `why`, `similar`, `status`: answers from the last committed epoch.

use std::collections::BTreeMap;

use super::{
    Context, Failure, archive, batch, cluster, jobs, member_id, mirrors, now_ms, publications, show,
};
use crate::config::{Config, Span};
use crate::processes::Part;
use crate::serving::list::{Entry, ListAnswer, ListName, ListQuery, Rung};
use crate::serving::member::HistoryEvent;
use crate::serving::popular::PopularQuery;
use crate::serving::similar::Likeness;
use crate::serving::status::{PartitionStatus, StatusAnswer};
use crate::serving::why::WhyAnswer;
use crate::sources::kafka;
use crate::stores::formats::Standby;
use crate::variants::{Variant, Variants};

/// The longest list that is put together.
const MOST: usize = crate::config::MAX_LIST as usize;

/// `nearline get`.
pub fn get(
    context: &Context,
    member: &str,
    list: ListName,
    offset: usize,
    limit: usize,
) -> Result<(), Failure> {
    member_id(member)?;
    let query = ListQuery { offset, ..ListQuery::first(list, limit.min(MOST.saturating_sub(offset))) };
    let answer = context.read(|serving| serving.list(member, &query, now_ms()))?;
    if context.json {
        return show::json(&answer);
    }
    show::text(&list_text(&answer, offset))
}

/// The line above a list: which it is, and how fresh.
pub fn list_head(answer: &ListAnswer) -> String {
    let mut text = format!("{} of {}: {}", answer.list, answer.member, answer.source.as_str());
    if let Some(reason) = &answer.reason {
        text += &format!(" ({reason})");
    }
    if let Some(because) = &answer.because {
        text += &format!(", like {}", because.item);
        text += &because.title.as_ref().map_or(String::new(), |title| format!(" ({title})"));
    }
    text += &format!(", epoch {}", answer.epoch);
    if let (Some(as_of), Some(age)) = (answer.as_of, answer.age_ms) {
        text += &format!(", as of {} ({} ago)", show::time(as_of), show::age(age));
    }
    if let Some(model) = &answer.model {
        text += &format!(", model {}", short(model));
    }
    if let Some(variant) = &answer.variant {
        text += &format!(", variant {variant}");
    }
    text + "\n"
}

/// A list as a table, under its head.
fn list_text(answer: &ListAnswer, offset: usize) -> String {
    let of_new = answer.list == ListName::New.as_str() && answer.source != Rung::Trending;
    let score = |entry: &Entry| match of_new {
        true => show::time(entry.score as i64),
        false => format!("{:.4}", entry.score),
    };
    list_head(answer) + &scored_text(&answer.items, offset, &score)
}

/// Places of a list, from `offset` on.
fn entries_text(items: &[Entry], offset: usize) -> String {
    scored_text(items, offset, &|entry| format!("{:.4}", entry.score))
}

/// The same, with scores that are written in another way.
fn scored_text(items: &[Entry], offset: usize, score: &dyn Fn(&Entry) -> String) -> String {
    if items.is_empty() {
        return "no items\n".into();
    }
    let row = |(place, entry): (usize, &Entry)| {
        let title = entry.title.as_deref().unwrap_or_default().to_owned();
        vec![(offset + place + 1).to_string(), score(entry), entry.item.clone(), title]
    };
    show::table(&["", "score", "item", "title"], &[0, 1], items.iter().enumerate().map(row))
}

/// The head of a model's version, for people.
fn short(version: &str) -> &str {
    version.get(..12).unwrap_or(version)
}

/// `nearline popular`.
pub fn popular(
    context: &Context,
    kind: String,
    window: &str,
    country: Option<String>,
    limit: usize,
) -> Result<(), Failure> {
    let hours = Span::window_hours(window).map_err(Failure::Use)?;
    let query = PopularQuery { kind, hours, country, limit };
    let (answer, kinds) = context.read(|serving| {
        let answer = serving.popular(&query)?;
        let kinds = if answer.items.is_empty() { serving.counted_kinds()? } else { Vec::new() };
        Ok((answer, kinds))
    })?;
    if context.json {
        return show::json(&answer);
    }
    let mut text = format!("{} events by item, ", answer.kind);
    text += &hours.map_or("over all time".to_owned(), |hours| format!("last {hours} h"));
    if let Some(as_of) = answer.as_of {
        text += &format!(" up to {}", show::time(as_of));
    }
    text += &format!(", epoch {}\n", answer.epoch);
    if answer.views_pending {
        text += "a bulk load or a rebuild is under way: these counts lag behind the records\n";
    }
    if answer.items.is_empty() {
        text += &if kinds.contains(&answer.kind) {
            "none in this window and country\n".to_owned()
        } else {
            let kinds = if kinds.is_empty() { "no kind".into() } else { kinds.join(", ") };
            format!("none; there are events of: {kinds}\n")
        };
        return show::text(&text);
    }
    let row = |(place, entry): (usize, &crate::serving::popular::PopularEntry)| {
        let title = entry.title.as_deref().unwrap_or_default().to_owned();
        vec![(place + 1).to_string(), show::count(entry.count), entry.item.clone(), title]
    };
    show::text(
        &(text
            + &show::table(
                &["", "events", "item", "title"],
                &[0, 1],
                answer.items.iter().enumerate().map(row),
            )),
    )
}

/// `nearline history`.
pub fn history(context: &Context, member: &str, limit: Option<usize>) -> Result<(), Failure> {
    member_id(member)?;
    let answer = context.read(|serving| serving.history(member, limit))?;
    if answer.live_events == 0 {
        return Err(Failure::No(format!("the member {member} has no live event")));
    }
    if context.json {
        return show::json(&answer);
    }
    let row = |event: &HistoryEvent| {
        vec![
            show::time(event.at),
            event.kind.clone(),
            event.value.to_string(),
            event.weight.to_string(),
            event.item.clone(),
            event.title.as_deref().unwrap_or_default().to_owned(),
        ]
    };
    let rows = answer.events.iter().map(row);
    let text = format!("{} live events of {member}, newest first\n", show::count(answer.live_events));
    show::text(&(text + &show::table(&["at", "kind", "value", "weight", "item", "title"], &[2, 3], rows)))
}

/// `nearline why`.
pub fn why(context: &Context, member: &str, item: &str) -> Result<(), Failure> {
    let answer = context.read(|serving| serving.why(member, item))?;
    if context.json { show::json(&answer) } else { show::text(&why_text(&answer)) }
}

fn why_text(answer: &WhyAnswer) -> String {
    let title = answer.title.as_ref().map_or(String::new(), |title| format!(" ({title})"));
    let mut text = format!("{}{title} for {}: ", answer.item, answer.member);
    text += &match answer.position {
        Some(place) => format!("place {place} of top_picks\n"),
        None => "not in top_picks\n".to_owned(),
    };
    for rule in &answer.kept_out {
        text += &format!("kept out: {rule}\n");
    }
    if let Some(score) = answer.score {
        if answer.model.is_none() {
            return text + &format!("score {score:.4}\n");
        }
        text += &format!("score {score:.4}, from:\n");
        let row = |part: &crate::serving::why::Part| {
            vec![
                format!("{:+.4}", part.adds),
                part.kind.clone(),
                show::time(part.at),
                part.item.clone(),
                part.title.as_deref().unwrap_or_default().to_owned(),
            ]
        };
        text += &show::table(&["adds", "kind", "at", "item", "title"], &[0], answer.parts.iter().map(row));
    }
    text
}

/// `nearline similar`.
pub fn similar(
    context: &Context,
    item: &str,
    by: Likeness,
    member: Option<&str>,
    limit: usize,
) -> Result<(), Failure> {
    if let Some(member) = member {
        member_id(member)?;
    }
    let answer = context.read(|serving| serving.similar(item, by, member, limit))?;
    if context.json {
        return show::json(&answer);
    }
    if let Some(reason) = answer.reason {
        return Err(Failure::No(format!("nothing is like {item}: {reason}")));
    }
    let title = answer.title.as_ref().map_or(String::new(), |title| format!(" ({title})"));
    let by = match &answer.model {
        Some(model) => format!("model {}", short(model)),
        None => "seen together".to_owned(),
    };
    show::text(&(format!("like {item}{title}: {by}\n") + &entries_text(&answer.items, 0)))
}

/// Which variants there are, or which one is everybody's.
fn variants_text(variants: &Variants) -> String {
    let names = |variant: &Variant| format!("{} {:.0} %", variant.name, 100.0 * variants.part(variant));
    match &variants.promoted {
        Some(name) => format!("{name}, which was promoted"),
        None => variants.variants.iter().map(names).collect::<Vec<_>>().join(", "),
    }
}

/// What the model beside the live one is there for.
fn beside(standby: &Standby) -> String {
    let Standby { ready, built, members, .. } = standby;
    let model = standby.made_with();
    if *ready {
        return format!("{model} stands by: `nearline model rollback` goes back to it");
    }
    let [built, members] = [built, members].map(|count| show::count((*count).into()));
    format!("{model} is to take over: lists of {built} of {members} members are built")
}

/// `nearline status`.
pub fn status(context: &Context) -> Result<(), Failure> {
    let mut answer = context.read(|serving| serving.status(now_ms()))?;
    ask_topics(context, &mut answer);
    if context.json { show::json(&answer) } else { show::text(&status_text(&answer, &context.config)) }
}

/// Asks the brokers how far the topics go that the folder reads.
fn ask_topics(context: &Context, answer: &mut StatusAnswer) {
    let mut asked: BTreeMap<String, Vec<(String, i32)>> = BTreeMap::new();
    for at in answer.sources.iter().filter_map(|source| source.kafka.as_ref()) {
        asked.entry(at.brokers.clone()).or_default().push((at.topic.clone(), at.partition));
    }
    let mut ends: BTreeMap<(String, String, i32), u64> = BTreeMap::new();
    for (brokers, partitions) in asked {
        match kafka::ends(&brokers, &context.config.kafka.settings, &partitions) {
            Ok(found) => {
                for ((topic, number), end) in partitions.into_iter().zip(found) {
                    end.and_then(|end| ends.insert((brokers.clone(), topic, number), end));
                }
            }
            Err(error) => show::aside(format_args!("how far its topics go is not known: {error}")),
        }
    }
    answer.reach(|at| ends.get(&(at.brokers.clone(), at.topic.clone(), at.partition)).copied());
}

/// How far a partition has been read.
fn partition_text(at: &PartitionStatus) -> String {
    let behind = match at.lag {
        Some(0) => "at its end".to_owned(),
        Some(lag) => format!("{} behind", show::counted(lag, "message")),
        None => "how far behind is not known".to_owned(),
    };
    let resets = match at.resets {
        0 => String::new(),
        resets => format!("; messages to be read were not there {}", show::counted(resets, "time")),
    };
    format!("{}/{} at {}: next offset {}, {behind}{resets}", at.topic, at.partition, at.brokers, at.next)
}

fn status_text(answer: &StatusAnswer, config: &Config) -> String {
    let mut rows = vec![
        (
            "data",
            format!("{}{}", answer.data, if answer.running { ", held by a running nearline" } else { "" }),
        ),
        ("epoch", answer.epoch.to_string()),
    ];
    if let Some(Part { pipeline, share }) = &answer.part {
        let of = share.processes;
        rows.insert(
            1,
            ("process", format!("{} of {of}, of the pipeline {pipeline}: a part of it", share.process)),
        );
    }
    let now = match (answer.now, answer.lag_ms) {
        (Some(now), Some(lag)) => format!("{}, {} ago", show::time(now), show::age(lag)),
        _ => "no live event".into(),
    };
    rows.push(("now", now));
    if let Some(event) = &answer.now_event {
        rows.push(("", format!("set by {} of {} by {}", event.kind, event.item, event.member)));
    }
    let counts = &answer.counts;
    rows.push(("live events", show::count(counts.live_events)));
    rows.push(("members met", show::count(counts.members)));
    let accepted = format!(
        "{} accepted, {} of them without effect",
        show::count(counts.accepted),
        show::count(counts.without_effect)
    );
    rows.push(("records", accepted));
    rows.push(("rejected", show::count(counts.rejected)));
    rows.extend(
        answer.rejected.iter().map(|(reason, count)| ("", format!("{} {reason}", show::count(*count)))),
    );
    rows.push(("model", answer.model.clone().unwrap_or_else(|| "none: aggregates only".into())));
    if let Some(variants) = &answer.variants {
        rows.push(("variants", variants_text(variants)));
    }
    if let Some(standby) = &answer.standby {
        rows.push(("", beside(standby)));
    }
    for model in answer.models.iter().filter(|model| model.trained_on_forgotten > 0) {
        let members = show::counted(model.trained_on_forgotten, "member");
        let which = if answer.model.as_ref() == Some(&model.version) { "it" } else { &model.version };
        rows.push((
            "",
            format!("{which} was trained on {members} forgotten since: train anew, and `nearline model use`"),
        ));
    }
    if answer.views_pending {
        rows.push(("views", "lag behind the records: a bulk load or a rebuild is under way".into()));
    }
    if answer.to_erase > 0 {
        let members = show::counted(answer.to_erase, "forgotten member");
        rows.push((
            "to erase",
            format!("{members} whose bytes are on the disk: `nearline forget --pending`"),
        ));
    }
    if let Some(clusters) = &answer.clusters {
        rows.push(("clusters", cluster::said(clusters)));
    }
    if let Some(made) = &answer.batch {
        rows.push(("batch", batch::said(made, config)));
    }
    for (place, followed) in answer.publications.iter().enumerate() {
        rows.push((if place == 0 { "follows" } else { "" }, publications::followed(followed)));
    }
    for (place, state) in answer.jobs.iter().enumerate() {
        rows.push((if place == 0 { "jobs" } else { "" }, jobs::status_line(state)));
    }
    for raised in &answer.alerts {
        let since = show::age(now_ms() - raised.since);
        rows.push(("alert", format!("{}, for {since}: {}: {}", raised.alert, raised.about(), raised.why)));
    }
    for made in &answer.backups {
        rows.push(("backup", format!("{}, of {}", made.path, show::time(made.at))));
    }
    if let Some(state) = &answer.archive {
        rows.extend(archive::rows(state, &answer.archive_waiting));
    }
    rows.extend(mirrors::rows(&answer.mirrors));
    rows.push(("on disk", show::bytes(answer.on_disk)));
    rows.extend(
        answer
            .sizes
            .iter()
            .filter(|(_, size)| **size > 0)
            .map(|(table, size)| ("", format!("{} {table}", show::bytes(*size)))),
    );
    for (place, source) in answer.sources.iter().enumerate() {
        let name = if place == 0 { "sources" } else { "" };
        if let Some(at) = &source.kafka {
            rows.push((name, partition_text(at)));
            continue;
        }
        let at = if source.at_end { "to its end" } else { "so far" };
        rows.push((
            name,
            format!(
                "{}: {} lines, {} read {at}",
                source.source,
                show::count(source.lines),
                show::bytes(source.bytes)
            ),
        ));
    }
    rows.iter().map(|(name, value)| format!("{name:<12} {value}\n")).collect()
}
