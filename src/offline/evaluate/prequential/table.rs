//! What a walk found, for people: all of it and its groups, what was gained, and then window by window.

use comfy_table::{CellAlignment, Table, presets};

use super::report::{Figures, Prequential, PrequentialGroup, PrequentialRow, Rates, Walked};
use crate::offline::evaluate::report::Trained;

impl Prequential {
    /// The report as text.
    pub fn table(&self) -> String {
        let Walked { members, events, not_in_model } = self.walked;
        let Prequential { k, refresh_hours, .. } = self;
        let columns = [
            format!("hit rate@{k}: nearline"),
            "refreshed".into(),
            "popularity".into(),
            format!("NDCG@{k}: nearline"),
            "refreshed".into(),
            "popularity".into(),
        ];
        let header = |first: [&str; 3]| first.into_iter().map(str::to_owned).chain(columns.clone()).collect();
        let rows = self.rows.iter().map(|row| row.figures.cells(row.group.title()));
        let windows = self.windows.iter().map(|window| window.figures.cells(&window.from));
        let retrained = self.retrain_hours.map_or_else(String::new, |hours| {
            format!(", trained anew every {hours} h: {} models, of which the first was", self.trained.len())
        });
        let trained = self.trained.first().map_or_else(String::new, Trained::to_string);
        let gains: String = self.rows.iter().filter_map(PrequentialRow::gains).collect();
        format!(
            "protocol prequential from {}, refreshed every {refresh_hours} h{retrained}\n{trained}\nwalked past {events} \
             events to be found, of {members} members; {not_in_model} of them are of items that are not in the \
             model\n{}\n{gains}\n{}\n",
            self.start,
            table(header(["events of members", "events", "members"]), rows),
            table(header(["window from", "events", "members"]), windows),
        )
    }
}

impl Figures {
    fn cells(&self, first: &str) -> Vec<String> {
        let mut cells = vec![first.to_owned(), self.events.to_string(), self.members.to_string()];
        for rates in [&self.hit_rate, &self.ndcg] {
            let columns = [rates.nearline, rates.refreshed, rates.popularity];
            cells.extend(columns.map(|estimate| format!("{:.4}", estimate.mean)));
        }
        cells
    }
}

impl PrequentialRow {
    /// What is gained, where something is to be compared.
    fn gains(&self) -> Option<String> {
        let Figures { events, hit_rate, ndcg, .. } = &self.figures;
        if *events == 0 || self.group == PrequentialGroup::WithoutSignal {
            return None;
        }
        let line = |name: &str, rates: &Rates| {
            let Rates { nearline, gain_over_refreshed: refreshed, gain_over_popularity: popularity, .. } =
                rates;
            format!(
                "{}: {name} of nearline is {nearline}, {:+.4} ± {:.4} over refreshed, {:+.4} ± {:.4} over popularity\n",
                self.group.title(),
                refreshed.mean,
                refreshed.standard_error,
                popularity.mean,
                popularity.standard_error,
            )
        };
        Some(line("hit rate", hit_rate) + &line("NDCG", ndcg))
    }
}

impl PrequentialGroup {
    fn title(self) -> &'static str {
        match self {
            PrequentialGroup::All => "all",
            PrequentialGroup::Known => "known at the last refresh",
            PrequentialGroup::New => "new since the last refresh",
            PrequentialGroup::WithoutSignal => "without a positive signal",
        }
    }
}

fn table(header: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header);
    table.column_iter_mut().skip(1).for_each(|column| {
        column.set_cell_alignment(CellAlignment::Right);
    });
    table.add_rows(rows);
    table
}
