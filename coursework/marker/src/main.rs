//! `cargo xtask coursework`: marks the exercises of a folder, and helps with them.

mod case;
mod catalogue;
// The tables of `cargo xtask`. Not all of it is needed here.
#[allow(dead_code)]
#[path = "../../../xtask/src/columns.rs"]
mod columns;
mod exercises;
mod judge;
mod marking;
mod progress;
mod python;
mod report;
mod scaffold;
mod submission;
#[cfg(test)]
mod tests;
mod watch;
mod workshop;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use sha2::{Digest, Sha256};

use crate::judge::Finding;
use crate::marking::{Marked, Marker, answers};
use crate::progress::{Progress, write_whole};
use crate::report::{Report, Track};
use crate::submission::Submission;
use crate::workshop::Workshop;

/// The coursework: sixteen exercises that build DDPM for the S-curve, marked here
///
/// Without a command: a table of all of them. Ends in 0 where all that was asked for is right, in 1 where not.
#[derive(Parser)]
#[command(name = "cargo xtask coursework", bin_name = "cargo xtask coursework", disable_help_subcommand = true)]
struct Cli {
    /// The folder to be marked [default: the project's own coursework/]
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
    /// The seed of the cases [default: a new one each time]
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// Take the seed of a student: made of this name and the variable COURSEWORK_SECRET
    #[arg(long, global = true, conflicts_with = "seed")]
    student: Option<String>,
    /// Cargo's target folder
    #[arg(long, global = true, hide = true)]
    target: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Mark some exercises, and say what is wrong with them
    Check {
        #[arg(required = true, value_parser = number)]
        numbers: Vec<usize>,
    },
    /// Show the next hint for an exercise (there are three)
    Hint {
        #[arg(value_parser = number)]
        number: usize,
    },
    /// Show the solution of an exercise that you have tried
    Solution {
        #[arg(value_parser = number)]
        number: usize,
        /// Show it without an attempt
        #[arg(long)]
        give_up: bool,
    },
    /// Mark again whenever a file is saved, until Ctrl-C
    Watch {
        /// The exercise [default: the one whose file was saved]
        #[arg(value_parser = number)]
        number: Option<usize>,
    },
    /// Write a summary for a teacher
    Report {
        /// The Markdown file
        #[arg(long, default_value = "report.md")]
        out: PathBuf,
        /// The same as JSON
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Put the stub of an exercise back; what is there is kept as .rs.old
    Reset {
        #[arg(value_parser = number)]
        number: usize,
    },
    /// Make a folder with a fresh start, for a repository of your own
    New { folder: PathBuf },
    /// Write the cases to a file, for the Python track
    Cases { file: PathBuf },
    /// Mark a file of outputs that python/run.py wrote
    Outputs {
        file: PathBuf,
        /// Also write the summary for a teacher (Markdown)
        #[arg(long)]
        out: Option<PathBuf>,
        /// Also write it as JSON
        #[arg(long)]
        json: Option<PathBuf>,
    },
}

/// The variable that makes a student's seed one that the student cannot know.
pub const SECRET: &str = "COURSEWORK_SECRET";

/// Usage errors end in 2 (clap sees to that), all others and whatever is not right in 1.
fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The number of an exercise.
fn number(text: &str) -> Result<usize, String> {
    let last = exercises::all().len();
    let number = text.parse().ok().filter(|number| (1..=last).contains(number));
    number.ok_or_else(|| format!("give the number of an exercise, 1 to {last}"))
}

/// The project's root.
fn root() -> Result<PathBuf> {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let root = Path::new(&here).ancestors().nth(2).context("coursework/marker has no project around it")?;
    Ok(root.to_owned())
}

/// Whether all that was asked for is right.
fn run(cli: &Cli) -> Result<bool> {
    let root = root()?;
    let marker = Marker::read(&root)?;
    let folder = cli.dir.clone().unwrap_or_else(|| root.join("coursework"));
    let target = cli.target.clone().unwrap_or_else(|| root.join("target"));
    let seed = seed(cli)?;
    let dir = cli.dir.as_ref().map(|dir| format!(" --dir {}", quoted(dir))).unwrap_or_default();
    let command = format!("cargo xtask coursework{dir}");
    let desk = Desk { root: &root, target: &target, marker: &marker, folder: &folder, command: &command };
    match &cli.command {
        None => desk.table(seed.unwrap_or_else(new_seed)),
        Some(Command::Check { numbers }) => desk.check(numbers, seed.unwrap_or_else(new_seed)),
        Some(Command::Hint { number }) => desk.hint(*number),
        Some(Command::Solution { number, give_up }) => desk.solution(*number, *give_up),
        Some(Command::Watch { number }) => watch::watch(&desk, *number, seed),
        Some(Command::Report { out, json }) => desk.report(seed.unwrap_or_else(new_seed), out, json.as_deref()),
        Some(Command::Reset { number }) => {
            let stem = &marker.catalogue.exercises[number - 1].file;
            scaffold::reset(&folder, &marker.stubs, stem).map(|()| true)
        }
        Some(Command::New { folder }) => {
            scaffold::new(&root, &marker.stubs, folder)?;
            println!("{} is ready; its README.md says how to go on", folder.display());
            println!("  cargo xtask coursework --dir {}", quoted(folder));
            Ok(true)
        }
        Some(Command::Cases { file }) => {
            let seed = seed.unwrap_or_else(new_seed);
            python::hand_out(&marker, seed, file)?;
            println!("{} has the cases of seed {seed}", file.display());
            Ok(true)
        }
        Some(Command::Outputs { file, out, json }) => {
            let (seed, marked) = python::mark(&marker, file, seed)?;
            desk.show(Track::Python, &marked, seed)?;
            let progress = Progress::read(&folder)?;
            for marked in
                marked.iter().filter(|marked| !marked.finding.right() && marked.finding != Finding::NotStarted)
            {
                println!("\n{}", report::exercise(&marker, Track::Python, marked, &progress, &command).trim_end());
            }
            desk.write(&marked, seed, out.as_deref(), json.as_deref())?;
            Ok(marked.iter().all(|marked| marked.finding.right()))
        }
    }
}

/// A path as it is typed in a shell.
fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "-_./".contains(c);
    if path.chars().all(plain) { path.into() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

/// The seed that was asked for.
fn seed(cli: &Cli) -> Result<Option<u64>> {
    let Some(student) = &cli.student else { return Ok(cli.seed) };
    let secret = std::env::var(SECRET).unwrap_or_default();
    if secret.is_empty() {
        bail!("--student needs the variable COURSEWORK_SECRET: any word that the class does not know");
    }
    let hash = Sha256::digest(format!("{secret}\n{student}").as_bytes());
    Ok(Some(hash.iter().take(4).fold(0, |seed, &byte| seed * 256 + u64::from(byte))))
}

/// A seed that nobody knows beforehand.
fn new_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ (now.as_secs() & 0xffff)
}

/// One student's folder, and what is done with it.
pub struct Desk<'a> {
    root: &'a Path,
    target: &'a Path,
    marker: &'a Marker,
    folder: &'a Path,
    /// How this program was called, but for what it was to do.
    command: &'a str,
}

impl Desk<'_> {
    /// Marks some exercises.
    fn mark(&self, numbers: &[usize], seed: u64) -> Result<Vec<Marked>> {
        let submission = Submission::read(self.folder, &self.marker.stubs)?;
        let folder = self.folder.canonicalize().with_context(|| format!("there is no {}", self.folder.display()))?;
        let (stubs, catalogue) = (&self.marker.stubs, &self.marker.catalogue);
        let shop = Workshop::new(self.root, self.target, &folder.to_string_lossy(), stubs, catalogue)?;
        self.marker.mark(&shop, &submission, numbers, seed)
    }

    fn table(&self, seed: u64) -> Result<bool> {
        let marked = self.mark(&self.marker.all(), seed)?;
        self.show(Track::Rust, &marked, seed)?;
        Ok(marked.iter().all(|marked| marked.finding.right()))
    }

    /// The table, the marks, and what to do next.
    fn show(&self, track: Track, marked: &[Marked], seed: u64) -> Result<()> {
        let answers = answers(self.folder, &self.marker.catalogue)?;
        print!("{}", report::table(self.marker, track, marked, &answers));
        let (given, all, by_hand) = report::marks(self.marker, marked);
        println!("\n  {given} of {all} marks, and {by_hand} that are given by hand; seed {seed}");
        if let Some(next) = marked.iter().find(|marked| !marked.finding.right()) {
            let entry = &self.marker.catalogue.exercises[next.number - 1];
            let file = track.file(entry);
            match track {
                Track::Rust => println!("  next: {file}, then `{} check {}`", self.command, next.number),
                Track::Python => println!("  next: exercise {} in {file}", next.number),
            }
        } else if let Some(answer) = answers.iter().find(|answer| answer.word() != "handed in") {
            println!("  next: {}", answer.next());
        }
        Ok(())
    }

    fn check(&self, numbers: &[usize], seed: u64) -> Result<bool> {
        let marked = self.mark(numbers, seed)?;
        let mut progress = Progress::read(self.folder)?;
        for one in &marked {
            if one.finding != Finding::NotStarted {
                *progress.attempts.entry(one.number).or_default() += 1;
            }
            println!("{}", report::exercise(self.marker, Track::Rust, one, &progress, self.command));
        }
        progress.write(self.folder)?;
        println!("seed {seed}: the same cases again with --seed {seed}");
        Ok(marked.iter().all(|marked| marked.finding.right()))
    }

    /// The next hint; after the third, all three.
    fn hint(&self, number: usize) -> Result<bool> {
        let entry = &self.marker.catalogue.exercises[number - 1];
        let mut progress = Progress::read(self.folder)?;
        let shown = progress.hints.entry(number).or_default();
        *shown = (*shown + 1).min(entry.hints.len());
        for (i, hint) in entry.hints.iter().take(*shown).enumerate() {
            println!("hint {} of {}: {hint}\n", i + 1, entry.hints.len());
        }
        for equation in &entry.equations {
            let (number, link) = (self.marker.book.number(equation), self.marker.book.link(equation));
            println!("book: {} {}", number.unwrap_or_default(), link.unwrap_or_default());
        }
        progress.write(self.folder)?;
        Ok(true)
    }

    fn solution(&self, number: usize, give_up: bool) -> Result<bool> {
        let entry = &self.marker.catalogue.exercises[number - 1];
        let mut progress = Progress::read(self.folder)?;
        if !give_up && progress.attempts.get(&number).is_none_or(|&attempts| attempts == 0) {
            let command = self.command;
            bail!("exercise {number} has not been tried: `{command} check {number}` first, or add --give-up");
        }
        let solved = Submission::solutions(self.root, &self.marker.catalogue)?;
        println!("{}", solved.files[&format!("{}.rs", entry.file)]);
        progress.solutions.insert(number, true);
        progress.write(self.folder)?;
        Ok(true)
    }

    fn report(&self, seed: u64, out: &Path, json: Option<&Path>) -> Result<bool> {
        let marked = self.mark(&self.marker.all(), seed)?;
        self.show(Track::Rust, &marked, seed)?;
        self.write(&marked, seed, Some(out), json)?;
        Ok(marked.iter().all(|marked| marked.finding.right()))
    }

    /// Writes the report to the files that were asked for.
    fn write(&self, marked: &[Marked], seed: u64, out: Option<&Path>, json: Option<&Path>) -> Result<()> {
        let (given, all, by_hand) = report::marks(self.marker, marked);
        // `.` has no name of its own.
        let folder = self.folder.canonicalize().unwrap_or_else(|_| self.folder.to_owned());
        let report = Report {
            folder: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            seed,
            marks: given,
            marks_of_exercises: all,
            marks_of_questions: by_hand,
            exercises: marked,
            questions: &answers(self.folder, &self.marker.catalogue)?,
            progress: &Progress::read(self.folder)?,
        };
        if let Some(out) = out {
            write_whole(out, &report.markdown(self.marker))?;
            println!("  {}", out.display());
        }
        if let Some(json) = json {
            write_whole(json, &report.json()?)?;
            println!("  {}", json.display());
        }
        Ok(())
    }
}
