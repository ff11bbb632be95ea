//! HDFS. A file is written beside its place under a name of its own (`.NAME.tmp.NUMBER`) and moved there when it is whole,
//! so what a writer that was killed leaves is known by its name, is in no listing, and is swept later.
//!
//! Hadoop's own files (`core-site.xml`, `hdfs-site.xml` in `HADOOP_CONF_DIR`) are read where there are some.

use std::sync::Arc;

use hdfs_native::{ClientBuilder, HdfsError};
use hdfs_native_object_store::HdfsObjectStore;
use object_store::path::Path as Name;

use super::{Place, Repository, RepositoryError};
use crate::config::Settings;

/// Opens a folder: `rest` is `HOST:PORT/FOLDER`, `NAMESERVICE/FOLDER`, or `/FOLDER` of the cluster that Hadoop's files name.
/// Nothing is asked of the cluster yet.
pub(super) fn open(url: &str, rest: &str, settings: &Settings) -> Result<Repository, RepositoryError> {
    let address = || RepositoryError::Address { url: url.to_owned() };
    let (cluster, folder) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = Name::parse(folder).map_err(|_| address())?;
    if cluster.contains(['@', '?', '#']) || (cluster.is_empty() && folder.is_empty()) {
        return Err(address());
    }
    // Leases of files that are written are renewed by a thread of its own: whoever waits for a disk meanwhile keeps no lease.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .thread_name("hdfs")
        .build()
        .map_err(RepositoryError::Runtime)?;
    let settings = settings.read().map_err(|error| RepositoryError::Setting { table: "hdfs", error })?;
    let mut builder = ClientBuilder::new().with_io_runtime(runtime.handle().clone());
    if !cluster.is_empty() {
        builder = builder.with_url(format!("hdfs://{cluster}"));
    }
    let mut of_hadoop = Vec::new();
    for (key, value) in settings {
        builder = match key.as_str() {
            "user" => builder.with_user(value),
            "kerberos_principal" => builder.with_kerberos_principal(value),
            "kerberos_keytab" => builder.with_kerberos_keytab(value),
            "kerberos_cache" => builder.with_kerberos_cache(value),
            _ => {
                of_hadoop.push((key, value));
                builder
            }
        };
    }
    let client = builder.with_config(of_hadoop).build().map_err(|error| RepositoryError::Failed {
        url: url.to_owned(),
        doing: "open",
        name: String::new(),
        problem: error.to_string(),
        passing: false,
    })?;
    Ok(Repository {
        url: url.trim_end_matches('/').to_owned(),
        store: Arc::new(HdfsObjectStore::new(client)),
        prefix,
        place: Place::Hdfs,
        runtime,
    })
}

/// What is to be done about an error of the cluster that does not go when it is tried again.
pub(super) fn lasting(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    match error.downcast_ref::<HdfsError>()? {
        HdfsError::RPCError(class, _) | HdfsError::FatalRPCError(class, _)
            if ["AccessControlException", "AuthorizationException", "InvalidToken"]
                .iter()
                .any(|kind| class.ends_with(kind)) =>
        {
            Some("; see that `user` of [hdfs], or HADOOP_USER_NAME, may do this")
        }
        HdfsError::SASLError(_) | HdfsError::GSSAPIError(..) | HdfsError::NoSASLMechanism => Some(
            "; see that `kerberos_principal` and `kerberos_keytab` of [hdfs] are right, or that there is a ticket",
        ),
        HdfsError::InvalidPath(_)
        | HdfsError::InvalidArgument(_)
        | HdfsError::UnsupportedFeature(_)
        | HdfsError::IsADirectoryError(_) => Some(""),
        _ => None,
    }
}
