//! Records as JSON Lines, as `nearline export` writes them: each line decodes to the record it was made from.

use super::{Event, ItemVersion, Record, format_micros};

/// Appends the record as one line of JSON, with its line end.
///
/// ```
/// use nearline::records::{Record, write_json};
/// let mut out = Vec::new();
/// write_json(&Record::Forget { member: "m1", at: 7 }, &mut out);
/// assert_eq!(out, b"{\"type\":\"forget\",\"member\":\"m1\",\"at\":7}\n");
/// ```
pub fn write_json(record: &Record<'_>, out: &mut Vec<u8>) {
    out.push(b'{');
    match record {
        Record::Event(event) => write_event(event, out),
        Record::Retract(event) => {
            write_type("retract", out);
            out.push(b',');
            write_event(event, out);
        }
        Record::RetractId { member, id } => {
            write_type("retract", out);
            write_text(",\"member\":", member, out);
            write_text(",\"id\":", id, out);
        }
        Record::Forget { member, at } => {
            write_type("forget", out);
            write_text(",\"member\":", member, out);
            write_at(*at, out);
        }
        Record::Trim { at } => {
            write_type("trim", out);
            write_at(*at, out);
        }
        Record::Item(item) => write_item(item, out),
        Record::Tombstone(tombstone) => {
            write_type("tombstone", out);
            write_text(",\"member\":", tombstone.member, out);
            out.extend_from_slice(b",\"body\":");
            out.extend_from_slice(tombstone.body.as_bytes());
        }
        Record::Key(key) => {
            write_type("key", out);
            write_text(",\"key\":", key, out);
        }
    }
    out.extend_from_slice(b"}\n");
}

fn write_event(event: &Event<'_>, out: &mut Vec<u8>) {
    write_text("\"member\":", event.member, out);
    write_text(",\"item\":", event.item, out);
    write_text(",\"kind\":", event.kind, out);
    out.extend_from_slice(b",\"value\":");
    out.extend_from_slice(format_micros(event.value).as_bytes());
    write_at(event.at, out);
    if let Some(id) = event.id {
        write_text(",\"id\":", id, out);
    }
    if !event.context.is_empty() {
        out.extend_from_slice(b",\"context\":");
        out.extend_from_slice(event.context.as_bytes());
    }
}

fn write_item(item: &ItemVersion<'_>, out: &mut Vec<u8>) {
    write_type("item", out);
    write_text(",\"item\":", item.item, out);
    write_at(item.at, out);
    // The body is an object of the other fields; `withdrawn` is among them where it is true.
    let fields = &item.body[1..item.body.len() - 1];
    if !fields.is_empty() {
        out.push(b',');
        out.extend_from_slice(fields.as_bytes());
    }
}

fn write_type(name: &str, out: &mut Vec<u8>) {
    write_text("\"type\":", name, out);
}

fn write_at(at: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"at\":");
    out.extend_from_slice(at.to_string().as_bytes());
}

/// Writes `key`, which carries its quotation marks and punctuation, and `text` as a JSON string.
fn write_text(key: &str, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(key.as_bytes());
    serde_json::to_writer(out, text).expect("writing text to memory does not fail");
}
