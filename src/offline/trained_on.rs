//! Whom a model was trained on: `members.digests` in its folder, by which a model that was trained on a member who is then
//! forgotten is found.
//!
//! Digests, as a model is given to others and must name nobody; their key follows from the model's version, so that whoever
//! has the file can still try whether a guessed id is among them (docs/formats.md, "Model"). It is no part of the version:
//! lists do not follow from it.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::folder::{ModelError, io};

/// The name of the file in a model's folder.
pub const MEMBERS: &str = "members.digests";
/// Its first line, with its format.
const HEAD: &[u8] = b"nearline members 1\n";
/// How long a digest is, and the hash at the end.
const DIGEST: usize = 8;
const HASH: usize = 32;
/// What to do about a file that came to harm.
const REMEDY: &str = "copy the model's folder again from where it was trained; or remove this file, after which it is not \
                      known whom the model was trained on";

/// The members that a model was trained on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainedOn {
    key: [u8; 32],
    /// Sorted.
    digests: Vec<u64>,
}

impl TrainedOn {
    /// Of a model of this version.
    pub fn new<'a>(version: &str, members: impl Iterator<Item = &'a str>) -> Self {
        let key =
            blake3::derive_key("nearline 2026-11 members that a model was trained on", version.as_bytes());
        let mut digests: Vec<u64> = members.map(|member| digest(&key, member)).collect();
        digests.sort_unstable();
        TrainedOn { key, digests }
    }

    /// Whether a member is among them.
    pub fn holds(&self, member: &str) -> bool {
        self.digests.binary_search(&digest(&self.key, member)).is_ok()
    }

    /// Reads the file in the folder of a model of this version; none where there is none.
    pub fn read(folder: &Path, version: &str) -> Result<Option<Self>, ModelError> {
        let path = folder.join(MEMBERS);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io("read", &path)(error)),
        };
        let refuse = |problem: &str| ModelError::refused(&path, problem.to_owned(), REMEDY);
        let whole = bytes.split_at_checked(bytes.len().wrapping_sub(HASH));
        let (body, hash) = whole.ok_or_else(|| refuse("it is cut off"))?;
        if blake3::hash(body).as_bytes() != hash {
            return Err(refuse("wrong checksum"));
        }
        let digests = body.strip_prefix(HEAD).filter(|digests| digests.len() % DIGEST == 0);
        let digests = digests.ok_or_else(|| refuse("it is of another format"))?;
        let number = |digest: &[u8]| digest.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let digests = digests.chunks(DIGEST).map(number).collect();
        Ok(Some(TrainedOn { digests, ..TrainedOn::new(version, std::iter::empty()) }))
    }

    /// Writes the file into the folder of a model.
    pub(super) fn write(&self, folder: &Path) -> Result<(), ModelError> {
        let path = folder.join(MEMBERS);
        let mut bytes = HEAD.to_vec();
        self.digests.iter().for_each(|digest| bytes.extend(digest.to_be_bytes()));
        bytes.extend(blake3::hash(&bytes).as_bytes());
        let write = || {
            let mut file = File::create(&path)?;
            file.write_all(&bytes)?;
            file.sync_all()
        };
        write().map_err(io("write", &path))
    }
}

fn digest(key: &[u8; 32], member: &str) -> u64 {
    let hash = blake3::keyed_hash(key, member.as_bytes());
    hash.as_bytes()[..DIGEST].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(TrainedOn::read(folder.path(), "v").unwrap(), None);
        let trained_on = TrainedOn::new("v", ["ann", "bob", "é"].into_iter());
        trained_on.write(folder.path()).unwrap();
        assert_eq!(TrainedOn::read(folder.path(), "v").unwrap().as_ref(), Some(&trained_on));
        assert!(["ann", "bob", "é"].iter().all(|member| trained_on.holds(member)));
        assert!(!trained_on.holds("Ann") && !TrainedOn::new("w", ["ann"].into_iter()).holds("bob"));
        let path = folder.path().join(MEMBERS);
        let bytes = fs::read(&path).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("ann"));
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            fs::write(&path, &flipped).unwrap();
            assert!(TrainedOn::read(folder.path(), "v").is_err(), "flipped at {at}");
            fs::write(&path, &bytes[..at]).unwrap();
            assert!(TrainedOn::read(folder.path(), "v").is_err(), "cut off at {at}");
        }
    }
}
