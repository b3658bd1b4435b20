//! `cargo xtask data`: brings a data set into `target/data/<name>`, where the image examples look for it.
//!
//! Work is done in `target/data/<name>.part/` and renamed at the end: the folder is whole or absent. A download goes to a
//! `.part` file; a run that was stopped, killed or cut off goes on where it was.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use flate2::read::MultiGzDecoder;

use crate::files::{make_folder, remove_folder, rename, sha256, size};
use crate::project::Project;

mod download;
mod unpack;

use download::Download;

/// Bring MNIST, Fashion-MNIST or CIFAR-100 into target/data (the image examples have data of their own without it)
#[derive(clap::Args)]
pub struct Args {
    /// Which one
    #[arg(value_enum)]
    set: Name,
    /// A copy at hand: a folder with the files or the archive in it, or the address that their names are appended to
    #[arg(long, value_name = "DIR|URL")]
    from: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Name {
    /// Handwritten digits, 28×28 (12 MB)
    Mnist,
    /// Clothes, in MNIST's format (31 MB)
    FashionMnist,
    /// Photographs of 100 classes, 32×32 in colour (about 170 MB)
    Cifar100,
}

/// Does nothing where the right files are there already.
pub fn run(project: &Project, args: &Args) -> Result<()> {
    let set = match args.set {
        Name::Mnist => &MNIST,
        Name::FashionMnist => &FASHION_MNIST,
        Name::Cifar100 => &CIFAR_100,
    };
    // Where the examples look, also with a target folder elsewhere.
    let home = Home::new(&project.root.join("target/data"), set);
    let origins = match &args.from {
        Some(from) => vec![Origin::of(from)],
        None => set.mirrors.iter().map(|mirror| Origin::Url((*mirror).to_owned())).collect(),
    };
    if home.is_right(set) {
        println!("{} is in {}: nothing to bring", set.title, home.folder.display());
        return Ok(());
    }
    make_folder(&project.root.join("target/data"))?;
    let lock = File::create(&home.lock).with_context(|| format!("{} cannot be written", home.lock.display()))?;
    if lock.try_lock().is_err() {
        println!("another run brings {}: waiting for it", set.title);
        lock.lock().with_context(|| format!("{} cannot be locked", home.lock.display()))?;
        if home.is_right(set) {
            println!("{} is in {}: nothing to bring", set.title, home.folder.display());
            return Ok(());
        }
    }
    if args.from.is_none() {
        println!("note: the mirrors were chosen with care, but could not be tried where this was written");
    }
    bring(set, &home, &origins, &Download::default())
}

/// A data set and what its files must be.
struct Set {
    /// The name of its folder.
    name: &'static str,
    /// Its name for people.
    title: &'static str,
    /// Addresses that the names of the files are appended to.
    mirrors: [&'static str; 2],
    /// The one archive in which the files come, where they do.
    archive: Option<&'static str>,
    files: &'static [Wanted],
}

/// A file of a data set.
struct Wanted {
    name: &'static str,
    check: Check,
}

/// How a file is known to be right.
enum Check {
    Sha256(&'static str),
    /// No hash is at hand: a sound .gz of an IDX file with these lengths.
    Idx(&'static [u32]),
}

const MNIST: Set = Set {
    name: "mnist",
    title: "MNIST",
    mirrors: ["https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist"],
    archive: None,
    files: &[
        hashed("train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        hashed("train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        hashed("t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        hashed("t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    ],
};

const FASHION_MNIST: Set = Set {
    name: "fashion-mnist",
    title: "Fashion-MNIST",
    mirrors: [
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
    ],
    archive: None,
    files: &[
        Wanted { name: "train-images-idx3-ubyte.gz", check: Check::Idx(&[60_000, 28, 28]) },
        Wanted { name: "train-labels-idx1-ubyte.gz", check: Check::Idx(&[60_000]) },
        Wanted { name: "t10k-images-idx3-ubyte.gz", check: Check::Idx(&[10_000, 28, 28]) },
        Wanted { name: "t10k-labels-idx1-ubyte.gz", check: Check::Idx(&[10_000]) },
    ],
};

const CIFAR_100: Set = Set {
    name: "cifar100",
    title: "CIFAR-100",
    mirrors: [
        "https://www.cs.toronto.edu/~kriz",
        "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/gluon/dataset/cifar100",
    ],
    archive: Some("cifar-100-binary.tar.gz"),
    files: &[
        hashed("train.bin", "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29"),
        hashed("test.bin", "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a"),
    ],
};

const fn hashed(name: &'static str, sha256: &'static str) -> Wanted {
    Wanted { name, check: Check::Sha256(sha256) }
}

/// Where a data set goes, and what is there while it is on its way.
struct Home {
    folder: PathBuf,
    /// Files that are right, and those on their way.
    part: PathBuf,
    /// What was there before, for a moment.
    old: PathBuf,
    /// Held by the run that is at work.
    lock: PathBuf,
}

impl Home {
    fn new(data: &Path, set: &Set) -> Self {
        let at = |end: &str| data.join(format!("{}{end}", set.name));
        Self { folder: at(""), part: at(".part"), old: at(".old"), lock: at(".lock") }
    }

    /// Whether all of the set is there. Says so where a part of it is, or something else.
    fn is_right(&self, set: &Set) -> bool {
        if !self.folder.exists() {
            return false;
        }
        let wrong = set.files.iter().find_map(|file| file.check(&self.folder.join(file.name)).err());
        if let Some(why) = &wrong {
            println!("{} is there, but {why:#}: bringing it again", self.folder.display());
        }
        wrong.is_none()
    }
}

impl Wanted {
    /// Fails, with the reason, where a file is not this one.
    fn check(&self, path: &Path) -> Result<()> {
        match self.check {
            Check::Sha256(expected) => {
                let got = sha256(path)?;
                ensure!(got == expected, "{} has the SHA-256 {got}, but {expected} was expected", path.display());
            }
            Check::Idx(lengths) => {
                check_idx(path, lengths).with_context(|| format!("{} is not what it should be", path.display()))?;
                let got = sha256(path)?;
                let of_mnist = |file: &Wanted| matches!(file.check, Check::Sha256(hash) if hash == got);
                ensure!(!MNIST.files.iter().any(of_mnist), "{} is a file of MNIST itself", path.display());
            }
        }
        Ok(())
    }
}

/// Fails unless a file is a sound .gz of an IDX file of bytes with these lengths.
fn check_idx(path: &Path, lengths: &[u32]) -> Result<()> {
    let mut unpacking = MultiGzDecoder::new(io::BufReader::new(File::open(path)?));
    let expected =
        [vec![0, 0, 8, lengths.len() as u8], lengths.iter().flat_map(|n| n.to_be_bytes()).collect()].concat();
    let mut header = vec![0; expected.len()];
    unpacking.read_exact(&mut header)?;
    ensure!(header == expected, "its header is {header:?}, but {expected:?} was expected");
    let promised: u64 = lengths.iter().map(|&length| u64::from(length)).product();
    // One more than promised, to see whether it goes on; reading to the end checks the checksum of the .gz.
    let there = io::copy(&mut unpacking.take(promised + 1), &mut io::sink())?;
    ensure!(there == promised, "it has {there} bytes of data or more, but its header promises {promised}");
    Ok(())
}

/// Where files come from.
enum Origin {
    Folder(PathBuf),
    /// An address without a slash at its end.
    Url(String),
}

impl Origin {
    fn of(text: &str) -> Self {
        if text.starts_with("https://") || text.starts_with("http://") {
            return Self::Url(text.trim_end_matches('/').to_owned());
        }
        Self::Folder(text.into())
    }
}

/// Gets the files that are not there yet and puts the folder in its place.
fn bring(set: &Set, home: &Home, origins: &[Origin], download: &Download) -> Result<()> {
    only_of_the_set(set, &home.folder)?;
    make_folder(&home.part)?;
    remove_folder(&home.old)?;
    let missing = set.files.iter().filter(|file| file.check(&home.part.join(file.name)).is_err());
    let missing: Vec<&Wanted> = missing.collect();
    match set.archive {
        Some(_) if missing.is_empty() => (),
        Some(archive) => {
            first_that_serves(archive, origins, |origin| bring_archive(archive, &missing, home, origin, download))?
        }
        None => {
            for file in missing {
                first_that_serves(file.name, origins, |origin| bring_file(file, home, origin, download))?;
            }
        }
    }
    for leftover in fs::read_dir(&home.part).with_context(|| format!("{} cannot be read", home.part.display()))? {
        let path = leftover?.path();
        if !set.files.iter().any(|file| path.ends_with(file.name)) {
            fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))?;
        }
    }
    if home.folder.exists() {
        rename(&home.folder, &home.old)?;
    }
    rename(&home.part, &home.folder)?;
    remove_folder(&home.old)?;
    for file in set.files.iter().filter(|file| matches!(file.check, Check::Idx(_))) {
        let hash = sha256(&home.folder.join(file.name))?;
        println!("{}: its format is right; there is no hash to compare, its SHA-256 is {hash}", file.name);
    }
    println!("{} is in {}", set.title, home.folder.display());
    Ok(())
}

/// Fails where a folder that will be replaced has something of somebody's own.
fn only_of_the_set(set: &Set, folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        ensure!(
            set.files.iter().any(|file| path.ends_with(file.name)),
            "{} was not put there by this program, and its folder will be replaced; move it away",
            path.display()
        );
    }
    Ok(())
}

/// What an origin could not do.
enum Failure {
    /// Another origin may do better.
    There(anyhow::Error),
    /// No origin can: this machine is at fault.
    Here(anyhow::Error),
}

/// Asks one origin after the other.
fn first_that_serves(name: &str, origins: &[Origin], bring: impl Fn(&Origin) -> Result<(), Failure>) -> Result<()> {
    let mut reasons = Vec::new();
    for origin in origins {
        match bring(origin) {
            Ok(()) => return Ok(()),
            Err(Failure::Here(error)) => return Err(error),
            Err(Failure::There(error)) => reasons.push(format!("{error:#}")),
        }
        if reasons.len() < origins.len() {
            println!("{}; trying the next mirror", reasons[reasons.len() - 1]);
        }
    }
    let hint = if reasons.len() > 1 { " (a copy at hand can be given with --from)" } else { "" };
    bail!("{name} could not be brought: {}{hint}", reasons.join("; "))
}

/// A file that comes by itself.
fn bring_file(file: &Wanted, home: &Home, origin: &Origin, download: &Download) -> Result<(), Failure> {
    let part = home.part.join(format!("{}.part", file.name));
    match origin {
        Origin::Folder(folder) => copy(&folder.join(file.name), &part)?,
        Origin::Url(url) => download.fetch(&format!("{url}/{}", file.name), &part)?,
    }
    accept(file, &part, &home.part)
}

/// The files of an archive, or the files themselves where a folder has them unpacked.
fn bring_archive(
    archive: &str,
    files: &[&Wanted],
    home: &Home,
    origin: &Origin,
    download: &Download,
) -> Result<(), Failure> {
    let part = home.part.join(format!("{archive}.part"));
    match origin {
        Origin::Folder(folder) => {
            let folders = [folder.clone(), folder.join(archive.trim_end_matches(".tar.gz"))];
            let unpacked = folders.iter().find(|folder| files.iter().all(|file| folder.join(file.name).is_file()));
            if let Some(folder) = unpacked {
                return files
                    .iter()
                    .try_for_each(|file| bring_file(file, home, &Origin::Folder(folder.clone()), download));
            }
            copy(&folder.join(archive), &part)?;
        }
        // Who gives the address of the archive itself means it, too.
        Origin::Url(url) => {
            download.fetch(&format!("{}/{archive}", url.trim_end_matches(archive).trim_end_matches('/')), &part)?
        }
    }
    println!("{archive}: unpacking");
    let names: Vec<&str> = files.iter().map(|file| file.name).collect();
    let unpacked = unpack::tar_gz(&part, &names, &home.part);
    if let Err(Failure::There(_)) = unpacked {
        remove(&part)?;
    }
    unpacked?;
    let accepted =
        files.iter().try_for_each(|file| accept(file, &home.part.join(format!("{}.part", file.name)), &home.part));
    remove(&part)?;
    accepted
}

/// Gives a file its name where it is right, and throws it away where it is not.
fn accept(file: &Wanted, part: &Path, folder: &Path) -> Result<(), Failure> {
    if let Err(why) = file.check(part) {
        remove(part)?;
        return Err(Failure::There(why.context(format!("what came for {} was thrown away", file.name))));
    }
    let synced = File::open(part).and_then(|file| file.sync_all());
    synced.with_context(|| format!("{} cannot be written", part.display())).map_err(Failure::Here)?;
    rename(part, &folder.join(file.name)).map_err(Failure::Here)
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let source =
        File::open(from).with_context(|| format!("{} cannot be read; name a folder that has it", from.display()));
    let mut source = source.map_err(Failure::There)?;
    let bytes = File::create(to).and_then(|mut file| io::copy(&mut source, &mut file));
    let bytes = bytes.with_context(|| format!("{} cannot be copied to {}", from.display(), to.display()));
    println!("{}: {} copied", from.display(), size(bytes.map_err(Failure::Here)?));
    Ok(())
}

fn remove(path: &Path) -> Result<(), Failure> {
    fs::remove_file(path).with_context(|| format!("{} cannot be removed", path.display())).map_err(Failure::Here)
}

#[cfg(test)]
mod tests;
