//! Writing files so that none is ever left half-written.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Error, Write};
use std::path::{Path, PathBuf};

/// The folder that a file is in: the current one for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes to a temporary name in the same folder (made where it is missing), syncs, and renames.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let in_words = |error: Error| {
        Error::new(error.kind(), format!("{} cannot be written ({error}); choose another folder", path.display()))
    };
    let folder = folder_of(path);
    std::fs::create_dir_all(folder).map_err(in_words)?;
    let mut file = readable_by_all(&mut tempfile::Builder::new()).tempfile_in(folder).map_err(in_words)?;
    file.write_all(bytes).map_err(in_words)?;
    file.as_file().sync_all().map_err(in_words)?;
    file.persist(path).map_err(|error| in_words(error.error))?;
    Ok(())
}

/// Fails where no file can be written to a folder (made where it is missing): to be learned before the work, not after.
pub fn writable(folder: &Path) -> Result<(), Error> {
    let in_words = |error: Error| {
        let folder = folder.display();
        Error::new(error.kind(), format!("{folder} cannot be written to ({error}); free it, or choose another folder"))
    };
    std::fs::create_dir_all(folder).map_err(in_words)?;
    tempfile::tempfile_in(folder).map_err(in_words)?;
    Ok(())
}

/// A temporary file is private to its owner; what becomes of it is an ordinary file.
#[cfg(unix)]
fn readable_by_all<'a, 'b, 'c>(builder: &'a mut tempfile::Builder<'b, 'c>) -> &'a mut tempfile::Builder<'b, 'c> {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all<'a, 'b, 'c>(builder: &'a mut tempfile::Builder<'b, 'c>) -> &'a mut tempfile::Builder<'b, 'c> {
    builder
}

/// Makes room for a file: one that lies there already is kept under another name, which is returned.
pub fn keep_older(path: &Path) -> Result<Option<PathBuf>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    let mut kept = path.with_extension("before");
    if let Some(extension) = path.extension() {
        kept.as_mut_os_string().push(".");
        kept.as_mut_os_string().push(extension);
    }
    std::fs::rename(path, &kept)
        .map_err(|error| Error::new(error.kind(), format!("{} cannot be renamed ({error})", path.display())))?;
    Ok(Some(kept))
}

/// Takes a folder (made where it is missing) for one run alone, until the file is dropped or the program ends.
pub fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let in_words = |error: Error| {
        Error::new(error.kind(), format!("{} cannot be written ({error}); choose another --out", path.display()))
    };
    std::fs::create_dir_all(folder).map_err(in_words)?;
    // A file of this name may be the user's: what is in it stays.
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(in_words)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::other(format!("another run writes to {}; choose another --out", folder.display())))
        }
        Err(TryLockError::Error(error)) => Err(in_words(error)),
    }
}
