//! How DataFusion reads a repository: the objects of an archive, by ranges, through the repository that is open already.
//!
//! DataFusion knows repositories by the trait of another version of `object_store` than ours. What reads and who may read is
//! said once, in `repositories/`, and this only hands ranges on.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use crate::repositories::Repository;

/// A repository whose objects are known, to be read.
pub(super) struct Bridge {
    repository: Arc<Repository>,
    /// The objects and how large they are.
    sizes: HashMap<String, u64>,
    lost: AtomicBool,
}

impl Bridge {
    pub fn new(repository: Arc<Repository>, sizes: HashMap<String, u64>) -> Self {
        Bridge { repository, sizes, lost: AtomicBool::new(false) }
    }

    /// Whether an object was gone that is known.
    pub fn lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    fn meta(&self, location: &Path) -> Result<ObjectMeta> {
        let name = location.as_ref();
        match self.sizes.get(name) {
            Some(size) => Ok(PartitionedFile::new(name, *size).object_meta),
            None => {
                Err(Error::NotFound { path: name.to_owned(), source: "the ledger does not name it".into() })
            }
        }
    }

    async fn read(&self, name: &str, range: Range<u64>) -> Result<bytes::Bytes> {
        let (repository, own) = (self.repository.clone(), name.to_owned());
        // Repositories wait for what they read, which is nothing for the threads that compute.
        let read = tokio::task::spawn_blocking(move || match repository.get_range(&own, range) {
            Ok(bytes) => Ok(bytes),
            Err(error) => Err((matches!(repository.head(&own), Ok(None)), error)),
        });
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| Error::Generic { store: "archive", source };
        match read.await {
            Ok(Ok(bytes)) => Ok(bytes.into()),
            Ok(Err((gone, error))) => {
                self.lost.fetch_or(gone, Ordering::Relaxed);
                Err(failed(error.into()))
            }
            Err(error) => Err(failed(error.into())),
        }
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.fmt(out)
    }
}

impl fmt::Display for Bridge {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.repository.url())
    }
}

fn only_read<T>() -> Result<T> {
    Err(Error::NotSupported { source: "a query only reads the archive".into() })
}

#[async_trait]
impl ObjectStore for Bridge {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let meta = self.meta(location)?;
        let range = match options.range {
            None => 0..meta.size,
            Some(GetRange::Bounded(range)) => range.start..range.end.min(meta.size),
            Some(GetRange::Offset(start)) => start..meta.size,
            Some(GetRange::Suffix(length)) => meta.size.saturating_sub(length)..meta.size,
        };
        let bytes = if options.head {
            bytes::Bytes::new()
        } else {
            self.read(location.as_ref(), range.clone()).await?
        };
        let payload = GetResultPayload::Stream(stream::once(async move { Ok(bytes) }).boxed());
        Ok(GetResult { payload, meta, range, attributes: Default::default() })
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::once(async { only_read() }).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        only_read()
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        only_read()
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        only_read()
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::once(async { only_read() }).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        only_read()
    }
}
