//! What can go wrong with a repository.

use std::io;
use std::path::PathBuf;

use crate::config::SettingError;

/// A repository that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// No address of a repository.
    #[error(
        "{url:?} is no address of a repository: write a folder, file:///FOLDER, s3://BUCKET/PREFIX, hdfs://HOST:PORT/FOLDER or cassandra://HOST:PORT/KEYSPACE"
    )]
    Address {
        /// What was given.
        url: String,
    },
    /// No name of an object.
    #[error("{name:?} cannot be the name of an object in a repository")]
    Name {
        /// What was given.
        name: String,
    },
    /// A setting cannot be had.
    #[error("[{table}] {error}")]
    Setting {
        /// In which table of the config it stands.
        table: &'static str,
        /// Why not.
        error: SettingError,
    },
    /// Of a kind that this program was built without.
    #[error(
        "{url}: this nearline was built without it: build it with `cargo build --release --features {feature}`"
    )]
    NotBuiltIn {
        /// What was given.
        url: String,
        /// The Cargo feature.
        feature: &'static str,
    },
    /// Larger than this repository takes objects.
    #[error(
        "{url} takes no object of {} MB such as {name}, but of {} MB at most: use a folder, S3 or HDFS, or set `object_mb` of [cassandra]",
        size.div_ceil(1_000_000), limit / 1_000_000
    )]
    TooLarge {
        /// The repository.
        url: String,
        /// The object.
        name: String,
        /// How many bytes it has.
        size: u64,
        /// How many it may have.
        limit: u64,
    },
    /// What is there is not what was put there.
    #[error("{url}/{name} is damaged: {problem}")]
    Damaged {
        /// The repository.
        url: String,
        /// The object.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file or folder of this machine.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// What was to be sent could not be read.
    #[error("cannot read what is to become {name}: {source}")]
    Sent {
        /// The object.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// What was received could not be written.
    #[error("cannot keep what is read of {name}: {source}")]
    Received {
        /// The object.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// No thread, or no file descriptors.
    #[error("cannot begin to use repositories: {0}")]
    Runtime(io::Error),
    /// The repository's own say.
    #[error("cannot {doing} {}: {problem}", if name.is_empty() { url.clone() } else { format!("{url}/{name}") })]
    Failed {
        /// The repository.
        url: String,
        /// What was being done.
        doing: &'static str,
        /// To which object; empty for all of it.
        name: String,
        /// Why it failed, and what to do.
        problem: String,
        /// Whether it may go when it is tried again.
        passing: bool,
    },
}

impl RepositoryError {
    pub(super) fn of(url: &str, doing: &'static str, name: &str, error: object_store::Error) -> Self {
        use object_store::Error;
        let lasting = lasting(&error);
        let remedy = match &error {
            _ if lasting.is_some() => lasting.unwrap_or_default(),
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } if url.starts_with("s3://") => {
                "; see that [s3], or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, may do this"
            }
            Error::PermissionDenied { .. } if url.starts_with("cassandra://") => {
                "; see that `user` and `password` of [cassandra] are right, and may do this"
            }
            Error::NotFound { .. } if url.starts_with("s3://") => "; see that the bucket is there",
            _ => "",
        };
        if let Error::Precondition { source, .. } = &error {
            // Nothing here asks under a condition: it is what a repository says of itself.
            let problem = source.to_string();
            return RepositoryError::Damaged { url: url.to_owned(), name: name.to_owned(), problem };
        }
        let passing = is_passing(&error);
        let problem = format!("{}{remedy}", innermost(&error));
        RepositoryError::Failed { url: url.to_owned(), doing, name: name.to_owned(), problem, passing }
    }

    /// Whether it may go when it is tried again: a server was away or lost what it had begun.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Failed { passing: true, .. })
    }

    /// Whether what was given is at fault, and not the repository.
    pub fn is_bad_use(&self) -> bool {
        matches!(
            self,
            Self::Address { .. }
                | Self::Name { .. }
                | Self::Setting { .. }
                | Self::NotBuiltIn { .. }
                | Self::TooLarge { .. }
        )
    }
}

/// Whether an error may go when all is done again.
fn is_passing(error: &object_store::Error) -> bool {
    use object_store::Error;
    let lasts = matches!(
        error,
        Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::InvalidPath { .. }
    );
    !lasts && lasting(error).is_none()
}

/// Whether the same question may get another answer.
pub(super) fn is_worth_asking_again(error: &object_store::Error) -> bool {
    use object_store::Error;
    is_passing(error) && !matches!(error, Error::NotFound { .. } | Error::AlreadyExists { .. })
}

/// What is to be done about an error that a server gives for good, where the client does not say so by its kind.
fn lasting(error: &object_store::Error) -> Option<&'static str> {
    match error {
        #[cfg(feature = "hdfs")]
        object_store::Error::Generic { source, .. } => super::hdfs::lasting(&**source),
        _ => None,
    }
}

/// What an error comes from: the wrappings repeat it.
fn innermost(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => innermost(source),
        None => error.to_string(),
    }
}
