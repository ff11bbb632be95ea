//! What goes wrong with objects in Cassandra, and whether it goes when it is tried again.

use std::time::{Duration, Instant};

use scylla::errors::{
    DbError, ExecutionError, NextRowError, PagerExecutionError, PrepareError, RequestAttemptError,
};

use super::super::PATIENCE;
use super::NAME;
use crate::cassandra::ConnectError;

/// How long the first pause is before it is tried again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error(transparent)]
    Connect(Box<ConnectError>),
    #[error("{0}")]
    Prepare(Box<PrepareError>),
    #[error("{0}")]
    Execute(Box<ExecutionError>),
    #[error("{0}")]
    Pages(Box<PagerExecutionError>),
    #[error("{0}")]
    Page(Box<NextRowError>),
    #[error("the answer cannot be read: {0}")]
    Answer(String),
    #[error("others write it all the time")]
    Contended,
    #[error("its upload was given up meanwhile, as nothing was written for so long")]
    GivenUp,
    #[error("it was replaced or taken out while it was read")]
    Replaced,
    #[error("part of its bytes is gone")]
    Lost,
    #[error("it would have more than {} MB, which are too many for Cassandra here: use a folder, S3 or HDFS, or set `object_mb` of [cassandra]", limit / 1_000_000)]
    TooLarge { limit: u64 },
    #[error("its parts do not follow each other")]
    Parts,
    #[error("it is there")]
    Exists,
    #[error("it is not there")]
    None,
}

impl Problem {
    pub fn answer(error: impl ToString) -> Self {
        Problem::Answer(error.to_string())
    }

    /// What the cluster said, where it said something.
    fn said(&self) -> Option<&DbError> {
        let attempt = match self {
            Problem::Execute(error) => match &**error {
                ExecutionError::LastAttemptError(attempt) => attempt,
                _ => return None,
            },
            Problem::Prepare(error) => match &**error {
                PrepareError::AllAttemptsFailed { first_attempt } => first_attempt,
                _ => return None,
            },
            Problem::Connect(error) => match &**error {
                ConnectError::Make { error: ExecutionError::LastAttemptError(attempt), .. } => attempt,
                _ => return None,
            },
            _ => return None,
        };
        match attempt {
            RequestAttemptError::DbError(error, _) => Some(error),
            _ => None,
        }
    }

    /// Whether the cluster does not let us do it. A session that is not let in says so in words alone.
    fn is_forbidden(&self) -> bool {
        let not_let_in = match self {
            Problem::Connect(error) => match &**error {
                ConnectError::Session(error) => {
                    let said = error.to_string().to_lowercase();
                    said.contains("authenticat") || said.contains("credentials")
                }
                _ => false,
            },
            _ => false,
        };
        not_let_in || matches!(self.said(), Some(DbError::Unauthorized | DbError::AuthenticationError))
    }

    /// Whether it may go when it is tried again.
    fn is_passing(&self) -> bool {
        let lasts = matches!(
            self.said(),
            Some(
                DbError::SyntaxError
                    | DbError::Invalid
                    | DbError::ConfigError
                    | DbError::ProtocolError
                    | DbError::FunctionFailure { .. }
            )
        );
        match self {
            Problem::Connect(error)
                if matches!(**error, ConnectError::Certificates { .. } | ConnectError::Use { .. }) =>
            {
                false
            }
            Problem::Connect(_)
            | Problem::Prepare(_)
            | Problem::Execute(_)
            | Problem::Pages(_)
            | Problem::Page(_) => !lasts && !self.is_forbidden(),
            _ => false,
        }
    }

    /// As `object_store` has it, for an object.
    pub fn of(self, path: &str) -> object_store::Error {
        use object_store::Error;
        let path = path.to_owned();
        match self {
            Problem::Exists => Error::AlreadyExists { path, source: self.into() },
            Problem::None => Error::NotFound { path, source: self.into() },
            // Damaged: what is there is not what was put there.
            Problem::Lost => Error::Precondition { path, source: self.into() },
            // It may go when all of it is done anew.
            Problem::GivenUp | Problem::Replaced | Problem::Contended => {
                Error::Generic { store: NAME, source: self.into() }
            }
            _ if self.is_passing() => Error::Generic { store: NAME, source: self.into() },
            _ if self.is_forbidden() => Error::PermissionDenied { path, source: self.into() },
            _ => Error::NotSupported { source: self.into() },
        }
    }
}

/// Errors of the client are large, and so are in boxes.
macro_rules! boxed {
    ($($error:ident => $problem:ident),*) => {
        $(impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                Problem::$problem(Box::new(error))
            }
        })*
    };
}

boxed! {
    ConnectError => Connect, PrepareError => Prepare, ExecutionError => Execute, PagerExecutionError => Pages,
    NextRowError => Page
}

/// Does something again where it fails and that may pass, for as long as the patience lasts.
pub(super) async fn patiently<T, F: Future<Output = Result<T, Problem>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<T, Problem> {
    let mut patience = Patience::new();
    loop {
        match attempt().await {
            Err(problem) => patience.after(problem).await?,
            done => return done,
        }
    }
}

/// How much longer something is tried.
pub(super) struct Patience {
    began: Instant,
    pause: Duration,
}

impl Patience {
    pub fn new() -> Self {
        Patience { began: Instant::now(), pause: PAUSES.0 }
    }

    /// Waits a little after a failure; gives it back where it does not pass, or has not for too long.
    pub async fn after(&mut self, problem: Problem) -> Result<(), Problem> {
        let is_contention = matches!(problem, Problem::Contended);
        if self.began.elapsed() >= PATIENCE || !(is_contention || problem.is_passing()) {
            return Err(problem);
        }
        tracing::debug!(%problem, "tried again in {:?}", self.pause);
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSES.1);
        Ok(())
    }
}
