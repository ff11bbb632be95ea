//! The statements in the language of Cassandra.

use scylla::client::session::Session;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;

use super::problem::Problem;

/// The condition of a row of an object, an upload or dropped bytes: `of!("object")`.
macro_rules! of {
    ($kind:literal) => {
        concat!("repository = ? AND folder = ? AND kind = '", $kind, "' AND name = ?")
    };
}

/// A new row of an upload or of dropped bytes.
macro_rules! insert {
    ($kind:literal) => {
        concat!(
            "INSERT INTO nearline_objects_1 (repository, folder, kind, name, object, size, chunk, at) VALUES (?, ?, '",
            $kind,
            "', ?, ?, ?, ?, toTimestamp(now()))"
        )
    };
}

const LOOK: &str =
    concat!("SELECT generation, size, chunk, at, bytes FROM nearline_objects_1 WHERE ", of!("object"));
const PUT: &str = concat!(
    "UPDATE nearline_objects_1 SET generation = ?, size = ?, chunk = ?, bytes = ?, at = toTimestamp(now()) WHERE ",
    of!("object"),
    " IF generation = ?"
);
const TAKE: &str = concat!("DELETE FROM nearline_objects_1 WHERE ", of!("object"), " IF generation = ?");
const LIST: &str = "SELECT name, generation, size, chunk, at FROM nearline_objects_1 \
                    WHERE repository = ? AND folder = ? AND kind = 'object' AND name >= ? AND name < ?";
const LOOSE: &str = "SELECT name, object, size, chunk, at FROM nearline_objects_1 \
                     WHERE repository = ? AND folder = ? AND kind = ?";
const BEGIN: &str = concat!(insert!("upload"), " IF NOT EXISTS");
const TOUCH: &str =
    concat!("UPDATE nearline_objects_1 SET at = toTimestamp(now()) WHERE ", of!("upload"), " IF EXISTS");
const END: &str = concat!("DELETE FROM nearline_objects_1 WHERE ", of!("upload"), " IF EXISTS");
const END_IF: &str = concat!("DELETE FROM nearline_objects_1 WHERE ", of!("upload"), " IF at = ?");
const DROP: &str = insert!("dropped");
const END_DROPPED: &str = concat!("DELETE FROM nearline_objects_1 WHERE ", of!("dropped"), " IF EXISTS");
const CHUNK: &str = "SELECT bytes FROM nearline_chunks_1 WHERE generation = ? AND part = ? AND number = ?";
const PUT_CHUNK: &str =
    "INSERT INTO nearline_chunks_1 (generation, part, number, bytes) VALUES (?, ?, ?, ?) USING TIMESTAMP 1";
const TAKE_PART: &str = "DELETE FROM nearline_chunks_1 USING TIMESTAMP 2 WHERE generation = ? AND part = ?";
const FOLDERS: &str = "SELECT folder FROM nearline_folders_1 WHERE repository = ?";
const PUT_FOLDER: &str =
    "INSERT INTO nearline_folders_1 (repository, folder) VALUES (?, ?) USING TIMESTAMP 1";

/// The statements, prepared.
pub(super) struct Statements {
    pub look: PreparedStatement,
    pub look_for_certain: PreparedStatement,
    pub put: PreparedStatement,
    pub take: PreparedStatement,
    pub list: PreparedStatement,
    pub loose: PreparedStatement,
    pub begin: PreparedStatement,
    pub touch: PreparedStatement,
    pub end: PreparedStatement,
    pub end_if: PreparedStatement,
    pub drop: PreparedStatement,
    pub end_dropped: PreparedStatement,
    pub chunk: PreparedStatement,
    pub put_chunk: PreparedStatement,
    pub take_part: PreparedStatement,
    pub folders: PreparedStatement,
    pub put_folder: PreparedStatement,
}

impl Statements {
    /// Prepares them in the keyspace that a session is in.
    pub async fn prepare(session: &Session) -> Result<Statements, Problem> {
        let once = async |text: &str| session.prepare(text).await.map_err(Problem::from);
        // What may be done twice: the client does it again by itself, at another node.
        let again = async |text: &str| {
            let mut prepared = once(text).await?;
            prepared.set_is_idempotent(true);
            Ok::<_, Problem>(prepared)
        };
        let mut look_for_certain = again(LOOK).await?;
        look_for_certain.set_consistency(Consistency::Serial);
        Ok(Statements {
            look: again(LOOK).await?,
            look_for_certain,
            put: once(PUT).await?,
            take: once(TAKE).await?,
            list: again(LIST).await?,
            loose: again(LOOSE).await?,
            begin: once(BEGIN).await?,
            touch: once(TOUCH).await?,
            end: once(END).await?,
            end_if: once(END_IF).await?,
            drop: once(DROP).await?,
            end_dropped: once(END_DROPPED).await?,
            chunk: again(CHUNK).await?,
            put_chunk: again(PUT_CHUNK).await?,
            take_part: again(TAKE_PART).await?,
            folders: again(FOLDERS).await?,
            put_folder: again(PUT_FOLDER).await?,
        })
    }
}
