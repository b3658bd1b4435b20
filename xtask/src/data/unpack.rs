//! Unpacking a .tar.gz that nobody vouches for.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path};

use anyhow::{Context, Result, anyhow, bail};
use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

use super::Failure;

/// All that an archive may hold, unpacked.
pub(super) const MOST: u64 = 400_000_000;

/// Unpacks the files of the given names into a folder, each as `NAME.part`. Everything else in the archive stays there.
///
/// A name in the archive never becomes a path here. An archive with a link, or with a path that leads elsewhere, is refused.
pub fn tar_gz(path: &Path, names: &[&str], folder: &Path) -> Result<(), Failure> {
    let opened = File::open(path).with_context(|| format!("{} cannot be read", path.display()));
    let unpacked = MultiGzDecoder::new(BufReader::new(opened.map_err(Failure::Here)?)).take(MOST);
    let mut archive = Archive::new(unpacked);
    let mut found = Vec::new();
    let damaged = |error: io::Error| Failure::There(anyhow!("{} is damaged or incomplete ({error})", path.display()));
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = harmless_name(&entry).with_context(|| format!("{} was refused", path.display()));
        let Some(name) = name.map_err(Failure::There)? else { continue };
        let Some(&name) = names.iter().find(|wanted| **wanted == name) else { continue };
        let target = folder.join(format!("{name}.part"));
        write(&mut entry, &target, &damaged)?;
        found.push(name);
    }
    // The end of a .gz is its checksum.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(damaged)?;
    match names.iter().find(|name| !found.contains(name)) {
        Some(name) => Err(Failure::There(anyhow!("{} has no {name} in it", path.display()))),
        None => Ok(()),
    }
}

/// The name, without its folder, of a file; none for a folder. Fails for all else, and for a path that leads elsewhere.
fn harmless_name(entry: &tar::Entry<impl Read>) -> Result<Option<String>> {
    let path = entry.path().context("a path in it cannot be read")?;
    let plain = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !plain {
        bail!("the path {:?} in it leads elsewhere", path.display());
    }
    match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous => {
            Ok(path.file_name().map(|name| name.to_string_lossy().into_owned()))
        }
        EntryType::Directory | EntryType::XGlobalHeader => Ok(None),
        kind => bail!("{:?} in it is of the kind {kind:?}, but only files and folders are expected", path.display()),
    }
}

/// Copies an entry to a file, so that it is clear which of the two is at fault.
fn write(entry: &mut impl Read, target: &Path, damaged: &impl Fn(io::Error) -> Failure) -> Result<(), Failure> {
    let cannot = |error: io::Error| {
        Failure::Here(anyhow::Error::from(error).context(format!("{} cannot be written", target.display())))
    };
    let mut file = File::create(target).map_err(cannot)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = entry.read(&mut buffer).map_err(damaged)?;
        if count == 0 {
            return file.sync_all().map_err(cannot);
        }
        io::Write::write_all(&mut file, &buffer[..count]).map_err(cannot)?;
    }
}
