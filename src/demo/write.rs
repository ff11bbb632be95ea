//! The world as files: records in JSON Lines (DESIGN.md section 4), as any producer would write them.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::{Event, Title, World};

const README: &str = include_str!("README.txt");

impl World {
    /// Writes `catalogue.jsonl`, `events.jsonl` (what happened before today), `today.jsonl` (what happens today) and
    /// a `README.txt` that says what to do with them into `folder`, which is made where it is missing.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let create = |name: &str| fs::File::create(folder.join(name)).map(BufWriter::new);
        let mut catalogue = create("catalogue.jsonl")?;
        self.write_catalogue(&mut catalogue)?;
        catalogue.flush()?;
        for (name, events) in [("events.jsonl", self.history()), ("today.jsonl", self.today())] {
            let mut file = create(name)?;
            self.write_events(events, &mut file)?;
            file.flush()?;
        }
        let ids = [("TURNED", self.story.turned), ("NEWCOMER", self.story.newcomer)];
        let readme = ids
            .iter()
            .fold(README.to_owned(), |text, (word, member)| text.replace(word, &self.members[*member].id));
        fs::write(folder.join("README.txt"), readme)
    }

    /// Writes the catalogue, a record a line.
    pub fn write_catalogue(&self, out: &mut impl Write) -> io::Result<()> {
        self.items.iter().try_for_each(|title| writeln!(out, "{}", item_record(title)))
    }

    /// Writes events of this world, a record a line.
    pub fn write_events(&self, events: &[Event], out: &mut impl Write) -> io::Result<()> {
        events.iter().try_for_each(|event| writeln!(out, "{}", self.event_record(event)))
    }

    /// An event of this world as a record, without the end of line.
    pub fn event_record(&self, event: &Event) -> String {
        let (member, item) = (&self.members[event.member], &self.items[event.item]);
        let value = event
            .hundredths
            .map_or_else(String::new, |part| format!(",\"value\":{}.{:02}", part / 100, part % 100));
        let shown = event
            .position
            .map_or_else(String::new, |position| format!(",\"list\":\"top_picks\",\"position\":{position}"));
        // Every string here is made of letters and digits: nothing to escape.
        format!(
            "{{\"member\":\"{}\",\"item\":\"{}\",\"kind\":\"{}\"{value},\"at\":\"{}\",\"id\":\"e-{:06}\",\
             \"context\":{{\"country\":\"{}\",\"device\":\"{}\"{shown}}}}}",
            member.id,
            item.id,
            event.kind,
            instant(event.at),
            event.id,
            member.country,
            event.device
        )
    }
}

/// An item record, its fields in the order in which a person reads them.
#[derive(Serialize)]
struct ItemRecord<'a> {
    r#type: &'static str,
    item: &'a str,
    at: String,
    title: &'a str,
    genres: Vec<&'static str>,
    countries: [&'static str; 1],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    withdrawn: bool,
}

fn item_record(title: &Title) -> String {
    let record = ItemRecord {
        r#type: "item",
        item: &title.id,
        at: instant(title.at),
        title: &title.title,
        genres: title.genres().collect(),
        countries: [title.country],
        withdrawn: title.withdrawn,
    };
    serde_json::to_string(&record).expect("strings and lists are JSON")
}

/// Milliseconds since 1970 as RFC 3339, UTC.
fn instant(at: i64) -> String {
    Timestamp::from_millisecond(at).expect("the world lies in this century").to_string()
}
