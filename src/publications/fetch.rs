//! A publication fetched: each file is checked against the hash that it was published with.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::manifest::{self, Publication, PublishedFile};
use super::{PublicationError, Publications, json, retried};
use crate::failpoints::reach;
use crate::repositories::RepositoryError;

impl Publications {
    /// Fetches a publication's files into a folder that is there, and checks them.
    pub fn fetch(&self, publication: &Publication, into: &Path) -> Result<(), PublicationError> {
        for file in &publication.files {
            retried(|| self.fetch_file(publication, file, into))?;
            reach("publication-fetched");
        }
        Ok(())
    }

    /// Fetches a publication into `FOLDER/VERSION`, whole or not at all; says where. What is there already is left.
    pub fn fetch_whole(&self, publication: &Publication, folder: &Path) -> Result<PathBuf, PublicationError> {
        let whole = folder.join(&publication.version);
        if whole.join(manifest::MANIFEST).is_file() {
            return Ok(whole);
        }
        fs::create_dir_all(folder).map_err(PublicationError::io("make", folder))?;
        let beside = tempfile::Builder::new()
            .prefix(".nearline-publication-")
            .tempdir_in(folder)
            .map_err(PublicationError::io("write in", folder))?;
        self.fetch(publication, beside.path())?;
        let manifest = beside.path().join(manifest::MANIFEST);
        let written = File::create(&manifest).and_then(|mut file| {
            file.write_all(&json(publication))?;
            file.sync_all()
        });
        written.map_err(PublicationError::io("write", &manifest))?;
        put_in_place(beside, &whole).map_err(PublicationError::io("put a publication in", &whole))?;
        Ok(whole)
    }

    /// Reads all of a publication where it lies, and checks it.
    pub fn check(&self, publication: &Publication) -> Result<(), PublicationError> {
        publication
            .files
            .iter()
            .try_for_each(|file| retried(|| self.read_file(publication, file, &mut io::sink())))
    }

    fn fetch_file(
        &self,
        publication: &Publication,
        file: &PublishedFile,
        into: &Path,
    ) -> Result<(), PublicationError> {
        let path = into.join(&file.name);
        let out = File::create(&path).map_err(PublicationError::io("write", &path))?;
        let mut out = BufWriter::with_capacity(1 << 20, out);
        self.read_file(publication, file, &mut out)?;
        let synced =
            out.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
        synced.map_err(PublicationError::io("write", &path))
    }

    /// Reads a file, and refuses it where it is not what was published.
    fn read_file(
        &self,
        publication: &Publication,
        file: &PublishedFile,
        out: &mut dyn Write,
    ) -> Result<(), PublicationError> {
        let Publication { name, version, .. } = publication;
        let object = format!("{name}/{version}/{}", file.name);
        let mut out = Hashed { out, hasher: blake3::Hasher::new() };
        let size = match self.repository.get_all(&object, &mut out) {
            Err(RepositoryError::Damaged { problem, .. }) => return Err(self.damaged(&object, problem)),
            read => read?,
        };
        let hash = out.hasher.finalize().to_hex();
        match size {
            None => {
                Err(self.damaged(&object, "it is not there, and the publication says that it is".to_owned()))
            }
            Some(size) if size != file.size => {
                let problem = format!("it has {size} bytes, and was published with {}", file.size);
                Err(self.damaged(&object, problem))
            }
            Some(_) if hash.as_str() != file.blake3 => {
                let problem = format!(
                    "wrong checksum: its bytes hash to {hash}, and were published as {}",
                    file.blake3
                );
                Err(self.damaged(&object, problem))
            }
            Some(_) => Ok(()),
        }
    }
}

/// Moves a folder into its place, for others to read too.
fn put_in_place(beside: tempfile::TempDir, whole: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(beside.path(), fs::Permissions::from_mode(0o755))?;
    match fs::rename(beside.path(), whole) {
        // Somebody else was quicker.
        Err(_) if whole.join(manifest::MANIFEST).is_file() => return Ok(()),
        renamed => renamed?,
    }
    // Renamed away: there is nothing left to clean up.
    let _ = beside.keep();
    match whole.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// What is written and hashed at once.
struct Hashed<'a> {
    out: &'a mut dyn Write,
    hasher: blake3::Hasher,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
