//! What an evaluation found, for people: a table, with what it was made from above and what was gained below.

use comfy_table::{CellAlignment, Table, presets};

use super::report::{Group, Report, Row, Tested};
use super::tally::{Gain, Metrics};

const HEADER: [&str; 8] =
    ["members", "", "lists", "recall@20", "NDCG@20", "NDCG@100", "coverage", "NDCG@20 by member"];

impl Report {
    /// The report as text. Figures are means over lists; the last column is the mean over members.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_header(HEADER);
        for (place, column) in table.column_iter_mut().enumerate() {
            if place != 0 && place != 2 {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for line in self.rows.iter().flat_map(lines) {
            table.add_row(line);
        }
        format!("{}\n{table}\n{}", self.head(), self.gains())
    }

    fn head(&self) -> String {
        let Tested { events, members, known, others, moments, relevant, not_in_model } = self.tested;
        let split = self.split_at.as_ref().map_or(String::new(), |at| format!(", split at {at}"));
        let who = match self.split_at {
            Some(_) => format!("{members} members: {known} known before the split, {others} not"),
            None => format!("{members} members held out"),
        };
        format!(
            "protocol {}{split}\n{}\ntested on {events} events of {who}\n{relevant} items to be found at {moments} \
             moments; {not_in_model} of them are not in the model and count as missed",
            self.protocol, self.trained,
        )
    }

    fn gains(&self) -> String {
        let mut text = String::new();
        for row in self.rows.iter().filter(|row| row.group != Group::Others && row.members > 0) {
            for (columns, how) in [(&row.by_moment, "by list"), (&row.by_member, "by member")] {
                let who = format!("{}, {how}: NDCG@20 of nearline is", row.group.title());
                if let (Some(gain), Some(frozen), true) =
                    (&columns.gain_over_frozen, &columns.frozen, row.group != Group::OthersFromTheirEvents)
                {
                    text += &format!("{who} {}\n", over("frozen", gain, frozen));
                }
                text += &format!(
                    "{who} {}\n",
                    over("popularity", &columns.gain_over_popularity, &columns.popularity)
                );
            }
        }
        text
    }
}

/// "0.0012 ± 0.0003 above popularity (+3.4 %)".
fn over(what: &str, gain: &Gain, base: &Metrics) -> String {
    let Gain { ndcg_20, standard_error } = *gain;
    let side = if ndcg_20 < 0.0 { "below" } else { "above" };
    let percent = if base.ndcg_20 > 0.0 {
        format!(" ({:+.1} %)", 100.0 * ndcg_20 / base.ndcg_20)
    } else {
        String::new()
    };
    format!("{:.4} ± {standard_error:.4} {side} {what}{percent}", ndcg_20.abs())
}

/// The lines of a group: a list each. Where all columns are one and the same list, that is one line.
fn lines(row: &Row) -> Vec<[String; 8]> {
    let (by_list, by_member) = (&row.by_moment, &row.by_member);
    let nearline = Some(("nearline", by_list.nearline, by_member.nearline));
    let frozen = by_list.frozen.zip(by_member.frozen).map(|(list, member)| ("frozen", list, member));
    let popularity = Some(("popularity", by_list.popularity, by_member.popularity));
    let shown = match row.group {
        Group::All | Group::Known | Group::HeldOut => [nearline, frozen, popularity],
        Group::Others => [None, None, popularity],
        Group::OthersFromTheirEvents => [nearline, None, None],
    };
    let line = |(place, (name, list, member)): (usize, (&str, Metrics, Metrics))| {
        let first = place == 0;
        [
            if first { row.group.title().to_owned() } else { String::new() },
            if first { row.members.to_string() } else { String::new() },
            name.to_owned(),
            format!("{:.4}", list.recall_20),
            format!("{:.4}", list.ndcg_20),
            format!("{:.4}", list.ndcg_100),
            format!("{:.1} %", 100.0 * list.coverage),
            format!("{:.4}", member.ndcg_20),
        ]
    };
    shown.into_iter().flatten().enumerate().map(line).collect()
}

impl Group {
    fn title(self) -> &'static str {
        match self {
            Group::All => "all",
            Group::Known => "known before the split",
            Group::Others => "the others",
            Group::OthersFromTheirEvents => "the others, from their own events",
            Group::HeldOut => "held out",
        }
    }
}
