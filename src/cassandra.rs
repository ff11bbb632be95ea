//! Sessions with Cassandra, and with what speaks like it (ScyllaDB): mirrors and repositories have their own, made alike.
//! What is written in them is theirs.

use std::path::PathBuf;

use openssl::error::ErrorStack;
use openssl::ssl::{SslContextBuilder, SslMethod, SslVerifyMode};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::{ExecutionError, NewSessionError, UseKeyspaceError};

/// Where a keyspace is, and how one comes in.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// Host and port of each node that is named.
    pub hosts: Vec<String>,
    /// The keyspace.
    pub keyspace: String,
    /// Who, where that is asked.
    pub user: Option<String>,
    /// With which password.
    pub password: Option<String>,
    /// The file with the certificates of those who sign the nodes'.
    pub ca: Option<PathBuf>,
    /// On how many nodes each row is, of a keyspace that is to be made.
    pub replication: Option<u32>,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The certificates.
    #[error("cannot read the certificates in {}: {error}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: ErrorStack,
    },
    /// No node lets us in.
    #[error("cannot connect: {0}")]
    Session(#[from] NewSessionError),
    /// The keyspace is not there and cannot be made.
    #[error("cannot make the keyspace {keyspace}: {error}")]
    Make {
        /// Which.
        keyspace: String,
        /// Why not.
        error: ExecutionError,
    },
    /// The keyspace is not there.
    #[error(
        "cannot use the keyspace {keyspace}: {error}; set `replication`, or make the keyspace first, such as CREATE KEYSPACE \
         {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy', 'replication_factor': 3}}"
    )]
    Use {
        /// Which.
        keyspace: String,
        /// Why not.
        error: UseKeyspaceError,
    },
}

/// Connects, and goes into the keyspace; it is made where it is not there and `replication` is set.
pub(crate) async fn connect(cluster: &Cluster, builder: SessionBuilder) -> Result<Session, ConnectError> {
    let mut builder = builder.known_nodes(&cluster.hosts);
    if let (Some(user), Some(password)) = (&cluster.user, &cluster.password) {
        builder = builder.user(user, password);
    }
    if let Some(ca) = &cluster.ca {
        let failed = |error| ConnectError::Certificates { path: ca.clone(), error };
        let mut tls = SslContextBuilder::new(SslMethod::tls_client()).map_err(failed)?;
        tls.set_ca_file(ca).map_err(failed)?;
        tls.set_verify(SslVerifyMode::PEER);
        builder = builder.tls_context(Some(tls.build()));
    }
    let session = builder.build().await?;
    let keyspace = &cluster.keyspace;
    if let Some(nodes) = cluster.replication {
        let make = format!(
            "CREATE KEYSPACE IF NOT EXISTS \"{keyspace}\" WITH replication = {{'class': 'NetworkTopologyStrategy', \
             'replication_factor': {nodes}}}"
        );
        let made = session.query_unpaged(make, ()).await;
        made.map_err(|error| ConnectError::Make { keyspace: keyspace.clone(), error })?;
    }
    let used = session.use_keyspace(keyspace, true).await;
    used.map_err(|error| ConnectError::Use { keyspace: keyspace.clone(), error })?;
    Ok(session)
}
