//! The table of the archive: the files that its ledger names, of the days that a query asks for.
//!
//! Which rows and columns of a file are read DataFusion decides, by the file's own statistics and bloom filters.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use datafusion::arrow::array::{Array, BooleanArray, Date32Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use super::bridge::Bridge;
use super::tables::{self, DAY};
use crate::archive::ledger::{ArchivedFile, Ledger};
use crate::repositories::Repository;

/// By which the archive's files are named within a query.
const URL: &str = "archive://nearline";

/// The files of an archive, with their days since 1970.
pub(super) struct Archived {
    files: Vec<(i32, ArchivedFile)>,
    schema: TableSchema,
    bridge: Arc<Bridge>,
    read: AtomicBool,
}

impl fmt::Debug for Archived {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} files of {:?}", self.files.len(), self.bridge)
    }
}

impl Archived {
    pub fn new(repository: Arc<Repository>, ledger: &Ledger) -> Self {
        let sizes = ledger.files.iter().map(|file| (file.name.clone(), file.bytes)).collect();
        let files = ledger.files.iter().map(|file| (day_of(file), file.clone())).collect();
        let day = Arc::new(Field::new(DAY, DataType::Date32, true));
        let schema = TableSchema::builder(tables::table("records").schema_without(DAY))
            .with_table_partition_cols(vec![day])
            .build();
        Archived {
            files,
            schema,
            bridge: Arc::new(Bridge::new(repository, sizes)),
            read: AtomicBool::new(false),
        }
    }

    /// Lets a session find the files.
    pub fn register(&self, session: &SessionContext) {
        session.register_object_store(url().as_ref(), self.bridge.clone());
    }

    /// Whether a file was gone.
    pub fn lost_a_file(&self) -> bool {
        self.bridge.lost()
    }

    /// Whether a query asked for it.
    pub fn was_read(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }

    /// The files whose day may match.
    fn wanted(&self, session: &dyn Session, filters: &[Expr]) -> Result<Vec<&(i32, ArchivedFile)>> {
        let schema = Arc::new(Schema::new(vec![Field::new(DAY, DataType::Date32, true)]));
        let days: Vec<i32> = self.files.iter().map(|(day, _)| *day).collect();
        let mut wanted = vec![true; days.len()];
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(Date32Array::from(days))])?;
        let known = DFSchema::try_from(schema)?;
        for filter in filters.iter().filter(|filter| is_about_days(filter)) {
            let matches = session.create_physical_expr(filter.clone(), &known)?;
            let matches = matches.evaluate(&batch)?.into_array(batch.num_rows())?;
            let Some(matches) = matches.as_any().downcast_ref::<BooleanArray>() else { continue };
            for (place, wanted) in wanted.iter_mut().enumerate() {
                *wanted &= matches.is_valid(place) && matches.value(place);
            }
        }
        Ok(self.files.iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(file, _)| file).collect())
    }
}

fn is_about_days(filter: &Expr) -> bool {
    let columns = filter.column_refs();
    !filter.is_volatile() && !columns.is_empty() && columns.iter().all(|column| column.name == DAY)
}

fn url() -> ObjectStoreUrl {
    ObjectStoreUrl::parse(URL).expect("it is a URL")
}

/// The day of a file's folder; the first where it has none.
fn day_of(file: &ArchivedFile) -> i32 {
    let date = file.day().strip_prefix("day=").and_then(|day| day.parse::<jiff::civil::Date>().ok());
    let since = date.and_then(|date| date.since(jiff::civil::date(1970, 1, 1)).ok());
    since.map_or(0, |since| since.get_days())
}

#[async_trait]
impl TableProvider for Archived {
    fn schema(&self) -> SchemaRef {
        self.schema.table_schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let kind = |filter: &&Expr| match is_about_days(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(kind).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.read.store(true, Ordering::Relaxed);
        let mut wanted = self.wanted(session, filters)?;
        // The largest first, each to the group that has least: groups are read side by side.
        wanted.sort_by_key(|(_, file)| std::cmp::Reverse(file.bytes));
        let most = session.config().target_partitions().max(1);
        let mut groups: Vec<(u64, Vec<PartitionedFile>)> = Vec::new();
        for (day, file) in wanted {
            let mut read = PartitionedFile::new(&file.name, file.bytes);
            read.partition_values = vec![ScalarValue::Date32(Some(*day))];
            if groups.len() < most {
                groups.push((file.bytes, vec![read]));
            } else if let Some(least) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
                least.0 += file.bytes;
                least.1.push(read);
            }
        }
        let groups = groups.into_iter().map(|(_, files)| FileGroup::new(files)).collect();
        let source = Arc::new(ParquetSource::new(self.schema.clone()).with_bloom_filter_on_read(true));
        let config = FileScanConfigBuilder::new(url(), source)
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config) as Arc<dyn ExecutionPlan>)
    }
}
