//! `cargo xtask setup`: brings libtorch into the folder `libtorch/` of the project.
//!
//! The wheels that carry libtorch come through `python3 -m pip download`, so from whatever index this machine's pip uses.
//! Each is pinned by its SHA-256. Work is done in `libtorch.part/` and renamed at the end: `libtorch/` is whole or absent,
//! and a run that was killed goes on where it was.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use zip::ZipArchive;

use crate::files::{make_folder, remove_folder, rename, sha256, size, write};
use crate::project::{self, Project};

/// The version of libtorch that tch 0.26 is written for.
const VERSION: &str = "2.13.0";

/// The Python whose wheel of torch is taken. The C++ libraries in it do not depend on it.
const PYTHON: &str = "3.12";

/// Bring libtorch for `--features torch` (from this machine's pip index into ./libtorch)
#[derive(clap::Args, Default)]
pub struct Args {
    /// Bring the CUDA set (2.5 GB to download) even where no NVIDIA driver is found
    #[arg(long, conflicts_with = "cpu")]
    cuda: bool,
    /// Bring the CPU set (0.5 GB to download) even where there is an NVIDIA driver
    #[arg(long)]
    cpu: bool,
}

/// Does nothing where a right libtorch is there already.
pub fn run(project: &Project, args: &Args) -> Result<()> {
    let home = Home::new(&project.root);
    if let Some(theirs) = users_own(&home)? {
        println!("LIBTORCH is set to {}: nothing to bring", theirs.display());
        return Ok(());
    }
    let wanted = if args.cuda || (!args.cpu && nvidia_driver()) { Set::Cuda } else { Set::Cpu };
    if home.is_right(wanted)? {
        return home.tidy();
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!(
            "libtorch can be brought for Linux on x86-64 only; unpack libtorch {VERSION} for this machine yourself \
             and set LIBTORCH to its folder (the one with include/ and lib/ in it)"
        );
    }

    // Let one run work at a time; the second one finds everything done.
    let lock = File::create(&home.lock).with_context(|| format!("{} cannot be written", home.lock.display()))?;
    if lock.try_lock().is_err() {
        println!("another setup is at work: waiting for it");
        lock.lock().with_context(|| format!("{} cannot be locked", home.lock.display()))?;
        if home.is_right(wanted)? {
            return Ok(());
        }
    }

    let wheels = wanted.wheels();
    let download: u64 = wheels.iter().map(|wheel| wheel.bytes).sum();
    println!(
        "bringing libtorch {VERSION} for {}: {} to download, {} on disk",
        wanted.name(),
        size(download),
        size(wanted.unpacked())
    );
    install(&home, wanted, &wheels, pip_download)?;
    if let Err(why) = project::cpp_compiler() {
        println!("note: {why}");
    }
    Ok(())
}

/// Where libtorch goes, and what is there while it is on its way.
struct Home {
    /// The folder that `.cargo/config.toml` names as LIBTORCH.
    libtorch: PathBuf,
    /// Wheels and the half-made tree.
    part: PathBuf,
    /// Held by the run that is at work.
    lock: PathBuf,
}

impl Home {
    fn new(root: &Path) -> Self {
        let at = |name: &str| root.join(name);
        Self { libtorch: at("libtorch"), part: at("libtorch.part"), lock: at("libtorch.lock") }
    }

    /// Removes what a run left that was killed when all was done, unless another run is at work there.
    fn tidy(&self) -> Result<()> {
        if !self.part.exists() {
            return Ok(());
        }
        let lock = File::create(&self.lock).with_context(|| format!("{} cannot be written", self.lock.display()))?;
        if lock.try_lock().is_ok() { remove_folder(&self.part) } else { Ok(()) }
    }

    fn receipt(&self) -> PathBuf {
        self.libtorch.join("receipt.json")
    }

    /// Whether `libtorch/` serves for `wanted`. Says so where it does; fails where it holds what this program did not put there.
    fn is_right(&self, wanted: Set) -> Result<bool> {
        let folder = self.libtorch.display();
        let Ok(receipt) = fs::read(self.receipt()) else {
            return self.is_right_by_hand();
        };
        let receipt: Receipt = match serde_json::from_slice(&receipt) {
            Ok(receipt) => receipt,
            Err(error) => {
                println!("{folder} has no readable receipt ({error}): making it again");
                return Ok(false);
            }
        };
        if receipt.version != VERSION {
            println!("{folder} holds libtorch {}, but {VERSION} is needed: replacing it", receipt.version);
            return Ok(false);
        }
        if let Some(path) = receipt.first_damage(&self.libtorch) {
            println!("{folder} is damaged ({path} is not as it was unpacked): making it again");
            return Ok(false);
        }
        if wanted == Set::Cuda && receipt.set == Set::Cpu {
            println!("{folder} holds libtorch for {}: replacing it", receipt.set.name());
            return Ok(false);
        }
        println!("libtorch {VERSION} for {} is in {folder}: nothing to bring", receipt.set.name());
        Ok(true)
    }

    /// The same where there is no receipt: nothing at all, an empty folder, or a libtorch that somebody unpacked there.
    fn is_right_by_hand(&self) -> Result<bool> {
        let folder = self.libtorch.display();
        let nothing = fs::read_dir(&self.libtorch).map_or(true, |mut entries| entries.next().is_none());
        if nothing {
            return Ok(false);
        }
        if let Some(version) = version_of(&self.libtorch)
            && version == VERSION
        {
            println!("libtorch {VERSION} was put into {folder} by hand: nothing to bring");
            return Ok(true);
        }
        bail!("{folder} is there, but it isn't a libtorch {VERSION}, and it was not made by this program; move it away")
    }
}

/// The version that a libtorch folder says of itself, without what follows a `+`.
fn version_of(libtorch: &Path) -> Option<String> {
    let text = fs::read_to_string(libtorch.join("build-version")).ok()?;
    text.trim().split('+').next().map(str::to_owned)
}

/// The user's LIBTORCH, which wins. Fails where it cannot be one.
fn users_own(home: &Home) -> Result<Option<PathBuf>> {
    // `.cargo/config.toml` sets the variable for `cargo xtask` too: that one is not the user's.
    let Some(theirs) = std::env::var_os("LIBTORCH").map(PathBuf::from).filter(|path| *path != home.libtorch) else {
        return Ok(None);
    };
    if !theirs.join("lib").is_dir() || !theirs.join("include").is_dir() {
        bail!("LIBTORCH is set to {}, which has no include/ and lib/ in it; unset or mend it", theirs.display());
    }
    if let Some(version) = version_of(&theirs)
        && version != VERSION
    {
        bail!("LIBTORCH is set to {}, a libtorch {version}, but {VERSION} is needed", theirs.display());
    }
    Ok(Some(theirs))
}

fn nvidia_driver() -> bool {
    ["/proc/driver/nvidia/version", "/usr/lib/wsl/lib/libcuda.so.1"].iter().any(|path| Path::new(path).exists())
}

/// What was put where, so that a later run can tell whether it is still there.
#[derive(Serialize, Deserialize)]
struct Receipt {
    version: String,
    set: Set,
    /// Paths below `libtorch/` and their lengths in bytes.
    files: Vec<(String, u64)>,
}

impl Receipt {
    fn first_damage(&self, libtorch: &Path) -> Option<&str> {
        let whole =
            |(path, bytes): &(String, u64)| fs::metadata(libtorch.join(path)).is_ok_and(|file| file.len() == *bytes);
        self.files.iter().find(|file| !whole(file)).map(|(path, _)| path.as_str())
    }
}

/// Which libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Set {
    /// The libraries that run on the CPU, out of the wheel for CUDA.
    Cpu,
    /// Everything.
    Cuda,
}

impl Set {
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "the CPU",
            Self::Cuda => "CUDA 13 and the CPU",
        }
    }

    fn wheels(self) -> Vec<Wheel> {
        match self {
            Self::Cpu => CPU_WHEELS.to_vec(),
            Self::Cuda => [CPU_WHEELS.as_slice(), &CUDA_WHEELS].concat(),
        }
    }

    /// Bytes on disk, about.
    fn unpacked(self) -> u64 {
        match self {
            Self::Cpu => 490_000_000,
            Self::Cuda => 3_800_000_000,
        }
    }

    /// Where below `libtorch/` a file of a wheel goes, if it is needed at all.
    ///
    /// The CPU set is laid out as tch expects it, `include/` and `lib/`. The libraries of the CUDA set look for each other
    /// by `$ORIGIN/../../nvidia/…`, so that it keeps the layout of Python's `site-packages`; `include` and `lib` are links.
    fn place(self, file: &Path) -> Option<PathBuf> {
        let name = file.file_name()?.to_str()?;
        let library = name.contains(".so");
        match self {
            Self::Cpu => match file.strip_prefix("torch/include") {
                Ok(header) => Some(Path::new("include").join(header)),
                Err(_) => CPU_LIBRARIES.contains(&name).then(|| Path::new("lib").join(name)),
            },
            Self::Cuda => {
                let header = file.starts_with("torch/include");
                let of_torch = file.starts_with("torch/lib") && library && !PYTHON_LIBRARIES.contains(&name);
                let of_nvidia = file.starts_with("nvidia") && library;
                (header || of_torch || of_nvidia).then(|| Path::new(SITE_PACKAGES).join(file))
            }
        }
    }
}

const SITE_PACKAGES: &str = "site-packages";

/// All that a program needs that never asks for CUDA. libtorch_cpu of this wheel needs two of NVIDIA's libraries.
const CPU_LIBRARIES: [&str; 5] = ["libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"];

/// What only Python needs.
const PYTHON_LIBRARIES: [&str; 2] = ["libtorch_python.so", "libshm.so"];

/// In the wheel, libtorch.so only pulls in all the others, libtorch_cuda.so among them. This linker script stands for it.
const LINKER_SCRIPT: &str = "/* cargo xtask setup: libtorch without CUDA */\nINPUT(-ltorch_cpu)\n";

/// A wheel on a Python index.
#[derive(Debug, Clone, Copy)]
pub struct Wheel {
    package: &'static str,
    version: &'static str,
    platform: &'static str,
    bytes: u64,
    sha256: &'static str,
}

pub const fn wheel(
    package: &'static str,
    version: &'static str,
    platform: &'static str,
    bytes: u64,
    sha256: &'static str,
) -> Wheel {
    Wheel { package, version, platform, bytes, sha256 }
}

#[rustfmt::skip]
const CPU_WHEELS: [Wheel; 3] = [
    wheel("torch", VERSION, "manylinux_2_28", 526_605_292, "796633c4cdf0fe2cdced72d8f88f22e73dbcfce83132763162f6d4bff13b820b"),
    wheel("nvidia-cuda-runtime", "13.0.96", "manylinux_2_17", 2_243_632, "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"),
    wheel("nvidia-cuda-cupti", "13.0.85", "manylinux_2_25", 10_715_597, "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8"),
];

#[rustfmt::skip]
const CUDA_WHEELS: [Wheel; 13] = [
    wheel("nvidia-cublas", "13.1.1.3", "manylinux_2_27", 423_138_758, "37936a16db8fe4ac1f065c2139360608a543a09275cb1a1af612e08cfa065436"),
    wheel("nvidia-cuda-nvrtc", "13.0.88", "manylinux_2_12", 90_215_200, "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575"),
    wheel("nvidia-cudnn-cu13", "9.20.0.48", "manylinux_2_27", 366_173_588, "0c45dd8eeb50b603f07995b1b300c62ffe6a1980482b82b3bcf94a4ca9d49304"),
    wheel("nvidia-cufft", "12.0.0.61", "manylinux_2_17", 214_085_489, "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3"),
    wheel("nvidia-cufile", "1.15.1.6", "manylinux_2_17", 1_223_672, "08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44"),
    wheel("nvidia-curand", "10.4.0.35", "manylinux_2_27", 59_544_258, "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc"),
    wheel("nvidia-cusolver", "12.0.4.66", "manylinux_2_27", 200_941_980, "0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112"),
    wheel("nvidia-cusparse", "12.6.3.3", "manylinux_2_17", 145_942_937, "2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b"),
    wheel("nvidia-cusparselt-cu13", "0.8.1", "manylinux2014", 170_148_586, "786ce87568c303fadb5afcc7102d454cd3040d75f6f8626f5db460d1871f4dd0"),
    wheel("nvidia-nccl-cu13", "2.29.7", "manylinux_2_18", 205_976_000, "edd81538446786ec3b73972543e53bb43bcaf0bfc8ef76cb679fcc390ffe136d"),
    wheel("nvidia-nvjitlink", "13.5.37", "manylinux_2_12", 46_642_491, "280d7cb9649704145f074b8dbde500de04ce02d0872e066e20a83c17bcaa93eb"),
    wheel("nvidia-nvshmem-cu13", "3.4.5", "manylinux_2_17", 60_412_546, "290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80"),
    wheel("nvidia-nvtx", "13.0.85", "manylinux_2_5", 148_047, "4936d1d6780fbe68db454f5e72a42ff64d1fd6397df9f363ae786930fd5c1cd4"),
];

/// Gets the wheels that are not there yet, unpacks them and puts the tree in its place.
///
/// `download` gets a wheel and the folder to put it in.
fn install(home: &Home, set: Set, wheels: &[Wheel], download: impl Fn(&Wheel, &Path) -> Result<()>) -> Result<()> {
    let (store, tree, old) = (home.part.join("wheels"), home.part.join("tree"), home.part.join("old"));
    make_folder(&store)?;
    remove_folder(&tree)?;
    remove_folder(&old)?;
    make_folder(&tree)?;

    let mut files = Vec::new();
    for wheel in wheels {
        let path = fetch(wheel, &store, &download)?;
        let unpacked = unpack(&path, set, &tree)?;
        let bytes: u64 = unpacked.iter().map(|(_, bytes)| bytes).sum();
        println!("{} {}: {} unpacked", wheel.package, wheel.version, size(bytes));
        files.extend(unpacked);
    }
    files.extend(finish(set, &tree)?);
    let receipt = Receipt { version: VERSION.to_owned(), set, files };
    write(&tree.join("receipt.json"), &serde_json::to_vec_pretty(&receipt)?)?;

    if home.libtorch.exists() {
        rename(&home.libtorch, &old)?;
    }
    rename(&tree, &home.libtorch)?;
    remove_folder(&home.part)?;
    let bytes: u64 = receipt.files.iter().map(|(_, bytes)| bytes).sum();
    println!("libtorch {VERSION} for {} is in {} ({})", set.name(), home.libtorch.display(), size(bytes));
    Ok(())
}

/// The path of a wheel with the right hash, downloaded unless an earlier run did that.
pub fn fetch(wheel: &Wheel, store: &Path, download: impl Fn(&Wheel, &Path) -> Result<()>) -> Result<PathBuf> {
    if let Some(path) = find(wheel, store)? {
        if sha256(&path)? == wheel.sha256 {
            println!("{} {}: downloaded before", wheel.package, wheel.version);
            return Ok(path);
        }
        fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))?;
    }
    println!("{} {}: downloading {}", wheel.package, wheel.version, size(wheel.bytes));
    download(wheel, store)?;
    let path =
        find(wheel, store)?.with_context(|| format!("no wheel of {} arrived in {}", wheel.package, store.display()))?;
    let got = sha256(&path)?;
    if got != wheel.sha256 {
        fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))?;
        bail!(
            "{} {} has the SHA-256 {got}, but {} was expected; it was thrown away",
            wheel.package,
            wheel.version,
            wheel.sha256
        );
    }
    Ok(path)
}

/// A wheel's file: `package_name-version-….whl`.
fn find(wheel: &Wheel, store: &Path) -> Result<Option<PathBuf>> {
    let start = format!("{}-{}-", wheel.package.replace('-', "_"), wheel.version);
    for entry in fs::read_dir(store).with_context(|| format!("{} cannot be read", store.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(&start) && name.ends_with(".whl") {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Lets pip find and download one wheel, whatever index it is set to.
pub fn pip_download(wheel: &Wheel, store: &Path) -> Result<()> {
    // Only a list of requirements can carry a hash, by which pip chooses among several wheels of one version.
    let list = store.join("requirements.txt");
    write(&list, format!("{}=={} --hash=sha256:{}\n", wheel.package, wheel.version, wheel.sha256).as_bytes())?;
    let platform = format!("{}_x86_64", wheel.platform);
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--no-deps"]);
    pip.args(["--only-binary=:all:", "--implementation=cp", "--python-version", PYTHON, "--platform", &platform]);
    pip.arg("--require-hashes").arg("--dest").arg(store).arg("--requirement").arg(&list);
    let status =
        pip.status().context("python3 cannot be run, whose pip downloads libtorch; install Python with pip")?;
    if !status.success() {
        bail!(
            "pip could not download {} {} (its message is above); what has arrived is kept, so run this again",
            wheel.package,
            wheel.version
        );
    }
    Ok(())
}

/// Unpacks what is needed of a wheel; paths (below `tree`) and lengths of what was written.
fn unpack(wheel: &Path, set: Set, tree: &Path) -> Result<Vec<(String, u64)>> {
    let file = File::open(wheel).with_context(|| format!("{} cannot be opened", wheel.display()))?;
    let mut archive =
        ZipArchive::new(BufReader::new(file)).with_context(|| format!("{} is not a wheel", wheel.display()))?;
    let mut files = Vec::new();
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).with_context(|| format!("{} is damaged", wheel.display()))?;
        let Some(name) = entry.enclosed_name().filter(|name| !entry.is_dir() && plain(name)) else { continue };
        let Some(place) = set.place(&name) else { continue };
        let path = tree.join(&place);
        make_folder(path.parent().unwrap_or(tree))?;
        let bytes = write_out(&mut entry, &path).with_context(|| format!("{} cannot be written", path.display()))?;
        files.push((place.to_string_lossy().into_owned(), bytes));
    }
    Ok(files)
}

fn write_out(from: &mut impl Read, to: &Path) -> io::Result<u64> {
    let mut file = File::create(to)?;
    let bytes = io::copy(from, &mut file)?;
    // The thousands of headers would make syncing slow; they are small, and the compiler would notice.
    if bytes > 1_000_000 {
        file.sync_all()?;
    }
    Ok(bytes)
}

/// A path without `..`, roots and drive letters.
fn plain(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// What no wheel holds: the version, and a libtorch.so (CPU) or the links to `site-packages` (CUDA).
fn finish(set: Set, tree: &Path) -> Result<Vec<(String, u64)>> {
    let mut texts = vec![("build-version", format!("{VERSION}\n"))];
    match set {
        Set::Cpu => {
            make_folder(&tree.join("lib"))?;
            texts.push(("lib/libtorch.so", LINKER_SCRIPT.to_owned()));
        }
        Set::Cuda => {
            for name in ["include", "lib"] {
                link(&Path::new(SITE_PACKAGES).join("torch").join(name), &tree.join(name))?;
            }
        }
    }
    let mut files = Vec::new();
    for (name, text) in texts {
        write(&tree.join(name), text.as_bytes())?;
        files.push((name.to_owned(), text.len() as u64));
    }
    Ok(files)
}

#[cfg(unix)]
fn link(target: &Path, path: &Path) -> Result<()> {
    std::os::unix::fs::symlink(target, path).with_context(|| format!("{} cannot be made", path.display()))
}

#[cfg(not(unix))]
fn link(_target: &Path, path: &Path) -> Result<()> {
    bail!("{} cannot be made: this system has no symbolic links", path.display())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write;

    use super::*;

    /// A small wheel that is like the real one, its hash, and a home for libtorch in a temporary folder.
    fn setting() -> (tempfile::TempDir, Home, Wheel, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        for (name, text) in [
            ("torch/include/torch/torch.h", "header"),
            ("torch/lib/libtorch_cpu.so", "cpu"),
            ("torch/lib/libtorch_cuda.so", "cuda"),
            ("torch/lib/libtorch_python.so", "python"),
            ("torch/__init__.py", "python"),
            ("nvidia/cu13/lib/libcudart.so.13", "runtime"),
            ("torch/include/../../../escaped.h", "evil"),
        ] {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        let bytes = zip.finish().unwrap().into_inner();
        let path = folder.path().join("wheel");
        fs::write(&path, &bytes).unwrap();
        let sha256 = Box::leak(sha256(&path).unwrap().into_boxed_str());
        let home = Home::new(&folder.path().join("project"));
        fs::create_dir(folder.path().join("project")).unwrap();
        (folder, home, wheel("the-torch", VERSION, "manylinux_2_28", bytes.len() as u64, sha256), bytes)
    }

    /// Puts a file into the store, as pip does.
    fn deliver(bytes: &[u8]) -> impl Fn(&Wheel, &Path) -> Result<()> {
        move |wheel, store| write(&store.join(format!("the_torch-{}-cp312-any.whl", wheel.version)), bytes)
    }

    fn read(home: &Home, path: &str) -> Option<String> {
        fs::read_to_string(home.libtorch.join(path)).ok()
    }

    #[test]
    fn cpu() {
        let (folder, home, wheel, bytes) = setting();
        assert!(!home.is_right(Set::Cpu).unwrap());
        install(&home, Set::Cpu, &[wheel], deliver(&bytes)).unwrap();
        assert_eq!(read(&home, "include/torch/torch.h").unwrap(), "header");
        assert_eq!(read(&home, "lib/libtorch_cpu.so").unwrap(), "cpu");
        assert_eq!(read(&home, "lib/libcudart.so.13").unwrap(), "runtime");
        assert_eq!(read(&home, "lib/libtorch.so").unwrap(), LINKER_SCRIPT);
        assert_eq!(read(&home, "build-version").unwrap().trim(), VERSION);
        assert_eq!(read(&home, "lib/libtorch_cuda.so"), None);
        assert!(!folder.path().join("escaped.h").exists() && !folder.path().join("project/escaped.h").exists());
        assert!(!home.part.exists());
        assert!(home.is_right(Set::Cpu).unwrap());
        assert!(!home.is_right(Set::Cuda).unwrap(), "CUDA is asked for, but not there");
    }

    #[cfg(unix)]
    #[test]
    fn cuda_replaces_cpu_and_serves_both() {
        let (_folder, home, wheel, bytes) = setting();
        install(&home, Set::Cpu, &[wheel], deliver(&bytes)).unwrap();
        install(&home, Set::Cuda, &[wheel], deliver(&bytes)).unwrap();
        assert_eq!(read(&home, "lib/libtorch_cuda.so").unwrap(), "cuda");
        assert_eq!(read(&home, "lib/../../nvidia/cu13/lib/libcudart.so.13").unwrap(), "runtime");
        assert_eq!(read(&home, "include/torch/torch.h").unwrap(), "header");
        assert_eq!(read(&home, "lib/libtorch_python.so"), None);
        assert!(home.is_right(Set::Cuda).unwrap() && home.is_right(Set::Cpu).unwrap());
    }

    #[test]
    fn damage_is_seen_and_mended() {
        let (_folder, home, wheel, bytes) = setting();
        install(&home, Set::Cpu, &[wheel], deliver(&bytes)).unwrap();
        fs::write(home.libtorch.join("lib/libtorch_cpu.so"), "cp").unwrap();
        assert!(!home.is_right(Set::Cpu).unwrap());
        install(&home, Set::Cpu, &[wheel], deliver(&bytes)).unwrap();
        assert!(home.is_right(Set::Cpu).unwrap());
        fs::write(home.receipt(), "{").unwrap();
        assert!(!home.is_right(Set::Cpu).unwrap());
    }

    /// What a killed run leaves behind is used where it is right, and thrown away where it is not.
    #[test]
    fn goes_on_after_a_kill() {
        let (_folder, home, wheel, bytes) = setting();
        let store = home.part.join("wheels");
        fs::create_dir_all(home.part.join("tree/lib")).unwrap();
        fs::write(home.part.join("tree/lib/half"), "half").unwrap();
        fs::create_dir_all(&store).unwrap();

        let downloads = Cell::new(0);
        let counted = |wheel: &Wheel, store: &Path| {
            downloads.set(downloads.get() + 1);
            deliver(&bytes)(wheel, store)
        };
        deliver(&bytes[..bytes.len() / 2])(&wheel, &store).unwrap();
        install(&home, Set::Cpu, &[wheel], counted).unwrap();
        assert_eq!(downloads.get(), 1, "half a wheel is not a wheel");
        assert_eq!(read(&home, "lib/half"), None);

        fs::remove_dir_all(&home.libtorch).unwrap();
        fs::create_dir_all(&store).unwrap();
        deliver(&bytes)(&wheel, &store).unwrap();
        install(&home, Set::Cpu, &[wheel], counted).unwrap();
        assert_eq!(downloads.get(), 1, "a whole wheel is not downloaded again");
    }

    /// Killed when all but the tidying was done.
    #[test]
    fn leftovers_go() {
        let (_folder, home, wheel, bytes) = setting();
        install(&home, Set::Cpu, &[wheel], deliver(&bytes)).unwrap();
        fs::create_dir_all(home.part.join("wheels")).unwrap();
        let other = File::create(&home.lock).unwrap();
        other.lock().unwrap();
        home.tidy().unwrap();
        assert!(home.part.exists(), "another run is at work there");
        drop(other);
        home.tidy().unwrap();
        assert!(!home.part.exists() && home.is_right(Set::Cpu).unwrap());
    }

    #[test]
    fn a_wrong_wheel_changes_nothing() {
        let (_folder, home, wheel, bytes) = setting();
        install(&home, Set::Cpu, &[wheel], deliver(&bytes)).unwrap();
        let error = install(&home, Set::Cpu, &[wheel], deliver(b"another wheel")).unwrap_err().to_string();
        assert!(error.contains(wheel.sha256) && error.contains("was thrown away"), "{error}");
        assert!(install(&home, Set::Cpu, &[wheel], |_, _| Ok(())).is_err(), "nothing arrived");
        assert!(install(&home, Set::Cpu, &[wheel], |_, _| bail!("no network")).is_err());
        assert!(home.is_right(Set::Cpu).unwrap(), "the old one is gone");
    }

    #[test]
    fn what_others_put_there_is_left_alone() {
        let (_folder, home, ..) = setting();
        fs::create_dir(&home.libtorch).unwrap();
        assert!(!home.is_right(Set::Cpu).unwrap(), "an empty folder is nothing");
        fs::write(home.libtorch.join("notes.txt"), "mine").unwrap();
        assert!(home.is_right(Set::Cpu).unwrap_err().to_string().contains("move it away"));
        fs::write(home.libtorch.join("build-version"), "2.13.0+cpu\n").unwrap();
        assert!(home.is_right(Set::Cpu).unwrap());
        fs::write(home.libtorch.join("build-version"), "2.12.1\n").unwrap();
        assert!(home.is_right(Set::Cpu).is_err());
    }
}
