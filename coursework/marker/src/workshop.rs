//! Builds a student's files together with the runner, and runs them in a child process.
//!
//! The package that is built is the marker's own, in `target/coursework/`: its manifest, its runner and its `given.rs` are
//! not the student's, and of the student only the Rust files are taken. So there is no dependency but ndarray (and what the
//! runner needs), no build script, and no test of the student's that counts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::SECRET;
use crate::case::Case;
use crate::catalogue::Catalogue;
use crate::judge::Outcome;
use crate::submission::Submission;

/// How long one exercise may compute, all its cases together. A busy machine takes nothing from it.
pub const SECONDS: u32 = 5;
/// How long training may compute.
pub const SECONDS_TO_TRAIN: u32 = 30;
/// By the clock, a child may take so many times as long: one that sleeps does not compute.
const BY_THE_CLOCK: u32 = 6;
/// How much memory the child may have, in KiB, and how large a file may be that it writes, in blocks of 512 bytes.
const LIMITS: &str = "ulimit -v 8000000 2>/dev/null; ulimit -f 200000 2>/dev/null; exec \"$0\" \"$@\"";
/// The signal to a process that has computed for longer than it may.
const SIGXCPU: i32 = 24;

/// A folder in which one submission after another is built.
pub struct Workshop<'a> {
    folder: PathBuf,
    /// Shared by all workshops, so that ndarray is compiled once.
    target: PathBuf,
    package: String,
    stubs: &'a Submission,
    catalogue: &'a Catalogue,
    _lock: File,
}

/// A submission that was built.
pub struct Built {
    runner: PathBuf,
    /// By the stem of its file: what does not compile, and what the compiler says.
    pub broken: BTreeMap<String, String>,
}

/// What came of running an exercise.
pub struct Ran {
    pub outcomes: Vec<Outcome>,
    /// What the student's code printed.
    pub printed: String,
}

impl<'a> Workshop<'a> {
    /// The workshop for a student's folder, below the project's `target`.
    pub fn new(
        root: &Path,
        target: &Path,
        name: &str,
        stubs: &'a Submission,
        catalogue: &'a Catalogue,
    ) -> Result<Self> {
        let hash: String = Sha256::digest(name.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let package = format!("runner-{hash}");
        let folder = target.join("coursework").join(&hash);
        fs::create_dir_all(folder.join("runner")).with_context(|| format!("{} cannot be made", folder.display()))?;
        // Two runs on one folder would write over each other.
        let lock =
            File::create(folder.join("lock")).with_context(|| format!("{} cannot be written", folder.display()))?;
        lock.lock().with_context(|| format!("{} cannot be locked", folder.display()))?;
        let changed = write_if_new(&folder.join("Cargo.toml"), &manifest(&package))?;
        write_if_new(&folder.join("runner/main.rs"), include_str!("../runner/main.rs"))?;
        // The project's lock file has every version that is needed, so that nothing is looked up.
        if changed || !folder.join("Cargo.lock").exists() {
            fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).context("Cargo.lock cannot be copied")?;
        }
        let target = target.join("coursework/build");
        Ok(Self { folder, target, package, stubs, catalogue, _lock: lock })
    }

    /// Builds a submission. A file that does not compile is replaced by its stub, so that the others can be marked.
    pub fn build(&self, submission: &Submission) -> Result<Built> {
        let mut files = submission.files.clone();
        let mut broken = BTreeMap::new();
        // Each round replaces at least one file.
        for _ in 0..=self.catalogue.exercises.len() {
            self.write_sources(&files)?;
            let errors = self.compile()?;
            if errors.is_empty() {
                let runner = self.target.join("debug").join(&self.package);
                return Ok(Built { runner, broken });
            }
            let before = broken.len();
            for Error { file, message } in errors {
                let Some(number) = self.catalogue.number_of(&file) else {
                    return Ok(self.all_broken(&message));
                };
                let stem = &self.catalogue.exercises[number - 1].file;
                let name = format!("{stem}.rs");
                files.insert(name.clone(), self.stubs.files[&name].clone());
                broken.entry(stem.clone()).or_insert(message);
            }
            if broken.len() == before {
                break;
            }
        }
        bail!(
            "the stubs do not compile with this submission's other files; do they still have their names and signatures?"
        )
    }

    /// Where a file that all exercises share does not compile, none of them can be run.
    fn all_broken(&self, message: &str) -> Built {
        let broken = self.catalogue.exercises.iter().map(|entry| (entry.file.clone(), message.to_owned()));
        Built { runner: PathBuf::new(), broken: broken.collect() }
    }

    fn write_sources(&self, files: &BTreeMap<String, String>) -> Result<()> {
        // A file that is gone must not be built again.
        let before = Submission::folder(&self.folder.join("src")).unwrap_or_default();
        for name in before.keys().filter(|name| !files.contains_key(*name)) {
            fs::remove_file(self.folder.join("src").join(name)).with_context(|| format!("{name} cannot be removed"))?;
        }
        for (name, text) in files {
            write_if_new(&self.folder.join("src").join(name), text)?;
        }
        Ok(())
    }

    /// The errors of the compiler.
    fn compile(&self) -> Result<Vec<Error>> {
        let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        command.args(["build", "--quiet", "--message-format=json", "--manifest-path"]);
        command
            .arg(self.folder.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&self.target)
            .current_dir(&self.folder)
            .env_remove(SECRET);
        let output = command.output().context("cargo cannot be run")?;
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let messages = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let errors: Vec<Error> = messages.filter_map(|message| Error::read(&message["message"])).collect();
        if errors.is_empty() && !output.status.success() {
            bail!("the runner cannot be built:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(errors)
    }

    /// Runs an exercise's cases in a child process, which is stopped when it has computed for `seconds`.
    pub fn run(&self, built: &Built, cases: &[Case], seconds: u32) -> Result<Ran> {
        let path = |name: &str| self.folder.join(name);
        let json: Vec<Value> = cases.iter().map(Case::to_json).collect();
        fs::write(path("cases.json"), serde_json::to_string(&json)?).context("the cases cannot be written")?;
        let written = path("outcomes.jsonl");
        if written.exists() {
            fs::remove_file(&written).with_context(|| format!("{} cannot be removed", written.display()))?;
        }
        let printed = File::create(path("printed.txt")).context("printed.txt cannot be written")?;
        let mut command = Command::new("sh");
        let limits = format!("ulimit -S -t {seconds} 2>/dev/null; {LIMITS}");
        command.arg("-c").arg(limits).arg(&built.runner).arg(path("cases.json")).arg(&written).arg("0");
        command.env_clear().current_dir(&self.folder).stdin(Stdio::null()).stderr(printed.try_clone()?).stdout(printed);
        let mut child = command.spawn().context("the runner cannot be started")?;
        let status = wait(&mut child, f64::from(seconds * BY_THE_CLOCK))?;

        let lines = fs::read_to_string(&written).unwrap_or_default();
        // A last line without its end was cut off in the middle.
        let whole = lines.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let mut outcomes: Vec<Outcome> = whole.map(outcome).collect();
        if outcomes.len() < cases.len() {
            outcomes.push(match status {
                Some(status) if status.signal() != Some(SIGXCPU) => Outcome::Died { how: ending(status) },
                _ => Outcome::Stopped { seconds: f64::from(seconds) },
            });
        }
        outcomes.resize(cases.len(), Outcome::NotReached);
        let printed = fs::read(path("printed.txt")).unwrap_or_default();
        Ok(Ran { outcomes, printed: String::from_utf8_lossy(&printed).into_owned() })
    }
}

fn manifest(package: &str) -> String {
    format!(
        "[package]\nname = \"{package}\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\
         autobins = false\n\n[workspace]\n\n\
         [lib]\nname = \"coursework\"\npath = \"src/lib.rs\"\n\n[[bin]]\nname = \"{package}\"\npath = \"runner/main.rs\"\n\n\
         [dependencies]\nndarray = \"=0.17.2\"\nserde_json = \"=1.0.154\"\n\n\
         [profile.dev]\nopt-level = 2\ndebug = \"line-tables-only\"\n\n[profile.dev.package.\"*\"]\nopt-level = 3\ndebug = false\n"
    )
}

/// Leaves a file alone that is as it should be, so that cargo need not build it anew. Says whether it was not.
fn write_if_new(path: &Path, text: &str) -> Result<bool> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(false);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(true)
}

/// How the child ended; none where it had to be killed.
fn wait(child: &mut Child, seconds: f64) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("the runner cannot be waited for")? {
            return Ok(Some(status));
        }
        if start.elapsed().as_secs_f64() > seconds {
            child.kill().context("the runner cannot be stopped")?;
            child.wait().context("the runner cannot be waited for")?;
            return Ok(None);
        }
        sleep(Duration::from_millis(5));
    }
}

fn ending(status: ExitStatus) -> String {
    match status.signal() {
        Some(6) => "signal 6: the stack overflowed, or memory ran out".into(),
        Some(25) => "signal 25: it printed more than 100 MB".into(),
        Some(signal) => format!("signal {signal}"),
        None => format!("it left by itself, with {status}"),
    }
}

fn outcome(line: &str) -> Outcome {
    match serde_json::from_str(line) {
        Ok(value) => Outcome::read(&value),
        Err(error) => Outcome::Died { how: format!("its outputs cannot be read: {error}") },
    }
}

/// An error of the compiler.
struct Error {
    /// The file of the student's that it is about.
    file: String,
    message: String,
}

impl Error {
    fn read(message: &Value) -> Option<Self> {
        let spans = message["spans"].as_array()?;
        let level = message["level"].as_str()?;
        if level != "error" || spans.is_empty() {
            return None;
        }
        let primary = spans.iter().find(|span| span["is_primary"] == true)?;
        let file = primary["file_name"].as_str()?.to_owned();
        let rendered = message["rendered"].as_str().unwrap_or_default().to_owned();
        if !file.starts_with("runner/") {
            return Some(Self { file, message: rendered });
        }
        // The runner does not fit: a function has another name or signature than its stub.
        let changed = exercise_in(&rendered).unwrap_or(file);
        let message = format!("a function does not have the name and the signature of its stub\n{rendered}");
        Some(Self { file: changed, message })
    }
}

/// The first word of a text that is the stem of an exercise's file.
fn exercise_in(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_exercise = |word: &&str| {
        word.strip_prefix("ex")
            .is_some_and(|rest| rest.len() > 3 && rest.as_bytes()[..2].iter().all(u8::is_ascii_digit))
    };
    words.into_iter().find(is_exercise).map(str::to_owned)
}
