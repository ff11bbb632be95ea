//! `nearline query`.

#[cfg(not(feature = "query"))]
use super::args::QueryArgs;
#[cfg(not(feature = "query"))]
use super::{Context, Failure};

/// `nearline query`, where it is not built in.
#[cfg(not(feature = "query"))]
pub fn query(_: &Context, _: &QueryArgs) -> Result<(), Failure> {
    Err(Failure::Use(
        "this nearline was built without queries; build it with them: cargo build --release --features query"
            .into(),
    ))
}

#[cfg(feature = "query")]
pub use asking::query;

#[cfg(feature = "query")]
mod asking {
    use std::fs::Permissions;
    use std::io::{self, BufWriter, IsTerminal, Write};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::super::args::{FormatName, QueryArgs};
    use super::super::publish::{self, QueryResult, What};
    use super::super::{Context, Failure, show};
    use crate::publications::manifest::{Query, QueryColumn};
    use crate::query::tables::{TABLES, type_name};
    use crate::query::{self, Answered, Format, QueryError, Question, RecordsFrom, Sink};

    /// How many rows a table has where nothing else is said.
    const ROWS: usize = 1000;
    /// The file of a result that is published.
    const RESULT: &str = "result.parquet";

    impl From<QueryError> for Failure {
        fn from(error: QueryError) -> Self {
            match error {
                QueryError::Output(error) => error.into(),
                error if error.is_bad_use() => Failure::Use(error.to_string()),
                error => Failure::Failed(error.to_string()),
            }
        }
    }

    /// `nearline query`.
    pub fn query(context: &Context, args: &QueryArgs) -> Result<(), Failure> {
        if args.tables {
            return tables(context);
        }
        let sql = args.sql.as_deref().unwrap_or_default();
        let memory = args.memory.0.map_or(usize::MAX, |bytes| bytes as usize);
        let question = Question { sql, limit: args.limit, memory };
        match &args.then.publish {
            Some(name) => publish::publishing(context, name, args.then.to.as_deref(), |publications| {
                let scratch = tempfile::tempdir()?;
                let file = scratch.path().join(RESULT);
                let answered = into_file(context, &question, Format::Parquet, &file)?;
                let column = |(name, kind): (String, String)| QueryColumn { name, kind };
                let columns = answered.columns.into_iter().map(column).collect();
                let query = Query { sql: sql.to_owned(), columns };
                let result = QueryResult { query, rows: answered.rows, epoch: answered.epoch, file };
                let told = publish::published(context, publications, name, &What::Query(&result))?;
                publish::said(context, publications, told)
            }),
            None => answer(context, args, &question),
        }
    }

    fn answer(context: &Context, args: &QueryArgs, question: &Question<'_>) -> Result<(), Failure> {
        if let Some(path) = &args.output {
            let answered = into_file(context, question, format_of(context, args, Some(path))?, path)?;
            let rows = show::counted(answered.rows, "row");
            return if context.json {
                show::json(
                    &serde_json::json!({ "file": path, "rows": answered.rows, "epoch": answered.epoch }),
                )
            } else {
                show::text(&format!("{rows} in {}, of epoch {}\n", path.display(), answered.epoch))
            };
        }
        let format = format_of(context, args, None)?;
        if format == Format::Parquet && io::stdout().is_terminal() {
            return Err(Failure::Use("Parquet is nothing for a terminal: name a file with --output".into()));
        }
        let mut sink = Sink::new(format, Box::new(BufWriter::new(io::stdout())));
        let answered = query::ask(&context.folder, &context.config, question, &mut sink)?;
        beside(&answered);
        let Some(shown) = sink.finish()? else { return Ok(()) };
        if shown.plan {
            return show::text(&shown.rows.iter().map(|row| row.join("\n") + "\n").collect::<String>());
        }
        let header: Vec<&str> = shown.header.iter().map(String::as_str).collect();
        let count = shown.rows.len();
        show::text(&show::table(&header, &shown.numbers, shown.rows))?;
        if shown.more {
            show::aside(format_args!(
                "these are the first {} rows; --limit shows more, and --format or --output has all",
                show::count(count as u64)
            ));
        }
        Ok(())
    }

    fn format_of(context: &Context, args: &QueryArgs, path: Option<&Path>) -> Result<Format, Failure> {
        let ending = path.and_then(Path::extension).and_then(|ending| ending.to_str());
        let by_ending = match ending {
            Some("csv") => Some(FormatName::Csv),
            Some("json" | "jsonl" | "ndjson") => Some(FormatName::Json),
            Some("parquet") => Some(FormatName::Parquet),
            _ => None,
        };
        let json = (context.json && path.is_none()).then_some(FormatName::Json);
        Ok(match args.format.or(by_ending).or(json) {
            Some(FormatName::Csv) => Format::Csv,
            Some(FormatName::Json) => Format::Json,
            Some(FormatName::Parquet) => Format::Parquet,
            Some(FormatName::Table) | None if path.is_some() => {
                let wanted =
                    "name a file that ends in .csv, .jsonl or .parquet, or say --format csv, json or parquet";
                return Err(Failure::Use(wanted.into()));
            }
            Some(FormatName::Table) | None => Format::Table(args.limit.unwrap_or(ROWS)),
        })
    }

    /// Writes an answer to a file, which is there whole or not at all.
    fn into_file(
        context: &Context,
        question: &Question<'_>,
        format: Format,
        path: &Path,
    ) -> Result<Answered, Failure> {
        let failed = |error: io::Error| {
            let said = error.to_string();
            Failure::Failed(format!(
                "cannot write {}: {said}{}",
                path.display(),
                crate::stores::advice(&said)
            ))
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // As readable for others as any file that is made.
        let file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(failed)?;
        let out: Box<dyn Write + Send> = Box::new(BufWriter::new(file.reopen().map_err(failed)?));
        let mut sink = Sink::new(format, out);
        let answered = query::ask(&context.folder, &context.config, question, &mut sink)?;
        sink.finish()?;
        beside(&answered);
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        Ok(answered)
    }

    /// Where records come from, where that has to be said.
    fn beside(answered: &Answered) {
        match &answered.records_from {
            Some(RecordsFrom::Store) => {
                show::aside("there is no archive: these are the records that are in the store");
            }
            Some(RecordsFrom::Archive { archived, waiting }) if *waiting > 0 => {
                let waiting = show::counted(*waiting, "record");
                show::aside(format_args!(
                    "records are those of the archive, up to epoch {archived}; {waiting} of later epochs wait to be \
                     archived (`nearline archive ship`)"
                ));
            }
            _ => {}
        }
    }

    fn tables(context: &Context) -> Result<(), Failure> {
        if context.json {
            let column = |column: &query::tables::Column| {
                let kind = type_name(&column.kind.arrow());
                serde_json::json!({ "name": column.name, "type": kind, "what": column.what })
            };
            let table = |table: &query::tables::Table| {
                let columns: Vec<_> = table.columns.iter().map(column).collect();
                serde_json::json!({ "table": table.name, "what": table.what, "columns": columns })
            };
            return show::json(&TABLES.iter().map(table).collect::<Vec<_>>());
        }
        let mut text = String::new();
        for table in &TABLES {
            text += &format!("{}: {}\n", table.name, table.what);
            for column in table.columns {
                let kind = type_name(&column.kind.arrow());
                text += &format!("  {:<10} {kind:<24} {}\n", column.name, column.what);
            }
        }
        show::text(&text)
    }
}
