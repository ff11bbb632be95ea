//! `performance`: how lists did, as a table.

use super::{Context, Failure, show};
use crate::serving::performance::{By, PerformanceAnswer, PerformanceQuery, PerformanceRow};
use crate::stores::Table;

/// `nearline performance`.
pub fn performance(
    context: &Context,
    days: u32,
    list: Option<String>,
    by: Option<By>,
) -> Result<(), Failure> {
    let by = by.or((!context.json).then_some(By::List));
    let query = PerformanceQuery { days, list, by };
    let (answer, lacks) =
        context.read(|serving| Ok((serving.performance(&query)?, serving.lacks(Table::Performance))))?;
    if context.json {
        return show::json(&answer);
    }
    show::text(&(head(&answer, lacks) + &table(&answer, by)))
}

fn head(answer: &PerformanceAnswer, lacks: bool) -> String {
    let mut text = match &answer.list {
        Some(list) => format!("events in {list}, "),
        None => "events in lists, ".to_owned(),
    };
    text += &match answer.days {
        1 => "last UTC day".to_owned(),
        days => format!("last {} UTC days", show::count(u64::from(days))),
    };
    if let Some(as_of) = answer.as_of {
        text += &format!(" up to {}", show::time(as_of));
    }
    text += &format!(", epoch {}\n", answer.epoch);
    if lacks {
        text += "this folder was made by an earlier release: start `nearline run` once to have its lists counted\n";
    } else if answer.views_pending {
        text += "a bulk load or a rebuild is under way: these counts lag behind the records\n";
    }
    text
}

fn table(answer: &PerformanceAnswer, by: Option<By>) -> String {
    if answer.rows.is_empty() {
        return "none; an event names a list by its context, such as \"context\":{\"list\":\"top_picks\",\"position\":3}\n"
            .into();
    }
    let more = match by {
        Some(By::Position) => Some("position"),
        Some(By::Variant) => Some("variant"),
        _ => None,
    };
    let counts = ["impressions", "clicks", "click rate", "plays", "play rate"];
    let header: Vec<&str> = ["list"].into_iter().chain(more).chain(counts).collect();
    let first = if by == Some(By::Variant) { 2 } else { 1 };
    let right: Vec<usize> = (first..header.len()).collect();
    show::table(&header, &right, answer.rows.iter().map(|row| cells(row, by)))
}

fn cells(row: &PerformanceRow, by: Option<By>) -> Vec<String> {
    let none = || "–".to_owned();
    let mut cells = vec![row.list.clone()];
    match by {
        Some(By::Position) => cells.push(row.position.map_or_else(none, |position| position.to_string())),
        Some(By::Variant) => cells.push(row.variant.clone().unwrap_or_else(none)),
        _ => {}
    }
    cells.push(show::count(row.impressions));
    for events in [row.clicks, row.plays] {
        cells.push(show::count(events));
        cells.push(rate(events, row.impressions).unwrap_or_else(none));
    }
    cells
}

/// Of a hundred impressions; none where there were none.
fn rate(events: u64, impressions: u64) -> Option<String> {
    (impressions > 0).then(|| format!("{:.1} %", 100.0 * events as f64 / impressions as f64))
}
