//! Buckets of S3, and of what speaks like it. A request is made again by itself where the server does not answer or says
//! that it is busy.

use std::str::FromStr;
use std::sync::Arc;

use object_store::RetryConfig;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path as Name;

use super::{PATIENCE, Place, Repository, RepositoryError};
use crate::config::Settings;

/// The first setting that S3 has no name for.
pub fn unknown(settings: &Settings) -> Option<&str> {
    settings.0.keys().map(String::as_str).find(|key| AmazonS3ConfigKey::from_str(key).is_err())
}

/// Opens a bucket: `rest` is `BUCKET/PREFIX`.
pub(super) fn open(url: &str, rest: &str, settings: &Settings) -> Result<Repository, RepositoryError> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(RepositoryError::Address { url: url.to_owned() });
    }
    // The client of HTTP takes the process's choice, and there may be none yet. Another's stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = settings.read().map_err(|error| RepositoryError::Setting { table: "s3", error })?;
    let known = |(key, value): (String, String)| Some((AmazonS3ConfigKey::from_str(&key).ok()?, value));
    let store = settings
        .into_iter()
        .filter_map(known)
        .fold(AmazonS3Builder::from_env(), |builder, (key, value)| builder.with_config(key, value))
        .with_bucket_name(bucket)
        .with_retry(RetryConfig { retry_timeout: PATIENCE, ..RetryConfig::default() })
        .build()
        .map_err(|error| RepositoryError::of(url, "open", "", error))?;
    let prefix = Name::parse(prefix).map_err(|_| RepositoryError::Address { url: url.to_owned() })?;
    Ok(Repository {
        url: url.trim_end_matches('/').to_owned(),
        store: Arc::new(store),
        prefix,
        place: Place::S3,
        runtime: super::runtime()?,
    })
}
