//! `cargo xtask mutants`: changes the code in small ways and sees that the tests notice.
//!
//! Each module is tried against the tests of its own stem alone, in parts, so that a lost part is cheap to repeat. Builds
//! are kept in `target/mutants/`, one for each job.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::columns::{Columns, count, terminal_width};
use crate::project::{self, Project};

/// The survivors that are accepted, each with its reason.
const ACCEPTED: &str = "tests/mutants-survivors.toml";
/// Marks the place of a change within its line.
const HERE: char = '▸';
/// Mutants in one run of cargo-mutants.
const PART: usize = 120;
/// Cases a property in the first pass, which is there to kill most mutants in little time.
const QUICK_CASES: &str = "32";
/// Modules without tests of their own, and the stems whose tests use all of them.
const SHARED: [(&str, &[&str]); 1] = [("error", &["forward", "gaussian", "guidance", "schedule"])];

/// Change the code in small ways and see that the tests notice (cargo-mutants)
///
/// The loaders (`data`), which are no mathematics, are left out unless they are named. Fails for each mutant that survives
/// and is not in tests/mutants-survivors.toml, and for each entry there that does not survive.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these modules [default: all of the mathematics]
    #[arg(value_name = "STEM")]
    stems: Vec<String>,
    /// How many runs at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
}

/// What `outcomes.json` says (the part that is needed).
#[derive(Deserialize)]
struct Outcomes {
    outcomes: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    scenario: Scenario,
    summary: String,
}

#[derive(Deserialize)]
enum Scenario {
    Baseline,
    Mutant(Mutant),
}

#[derive(Deserialize)]
struct Mutant {
    name: String,
    file: String,
    span: Span,
}

#[derive(Deserialize)]
struct Span {
    start: Position,
}

#[derive(Deserialize)]
struct Position {
    line: usize,
    column: usize,
}

/// A mutant that no test noticed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Survivor {
    /// What cargo-mutants says, without line and column.
    mutant: String,
    /// The line that it changes, with [`HERE`] before the place: a line may have the same sign twice.
    code: String,
    /// Why it changes no result.
    #[serde(default)]
    reason: String,
}

impl Survivor {
    fn file(&self) -> &str {
        self.mutant.split_once(": ").map_or("", |(file, _)| file)
    }

    fn same(&self, other: &Self) -> bool {
        self.mutant == other.mutant && self.code == other.code
    }

    /// As it stands in the file of accepted survivors.
    fn entry(&self) -> String {
        // A string of JSON is one of TOML.
        let [mutant, code] = [&self.mutant, &self.code].map(|text| serde_json::json!(text));
        format!("[[survivor]]\nmutant = {mutant}\ncode = {code}\nreason = \"\"")
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    #[serde(default)]
    survivor: Vec<Survivor>,
}

/// What became of some mutants.
#[derive(Debug, Default)]
struct Tally {
    killed: usize,
    unviable: usize,
    survivors: Vec<Survivor>,
    seconds: f64,
}

/// One run of cargo-mutants: part `part` of `parts` of a stem.
struct Part<'a> {
    stem: &'a str,
    part: usize,
    parts: usize,
}

pub fn run(project: &Project, args: &Args) -> Result<()> {
    ensure!(
        project::exists("cargo", &["mutants", "--version"]),
        "cargo-mutants is not installed; install it with `cargo install --locked cargo-mutants@27.1.0`"
    );
    let accepted = read_accepted(&project.root)?;
    let stems = stems(project, &args.stems)?;
    let mut parts = Vec::new();
    for stem in &stems {
        let mutants = project::output(cargo_mutants(project, stem).arg("--list"))?;
        let n = String::from_utf8_lossy(&mutants).lines().count().div_ceil(PART);
        parts.extend((0..n).map(|part| Part { stem, part, parts: n }));
    }
    // The first in the list is the last in the queue.
    parts.reverse();
    let queue = Mutex::new(parts);
    let tallies = Mutex::new(BTreeMap::<String, Tally>::new());
    std::thread::scope(|scope| {
        let work = |job| {
            while let Some(part) = queue.lock().ok().and_then(|mut queue| queue.pop()) {
                // Where one part fails, the others are not begun: nobody wants to wait an hour to be told.
                let tally = run_part(project, &part, job)
                    .inspect_err(|_| queue.lock().unwrap_or_else(PoisonError::into_inner).clear())?;
                println!("{} {}/{}: {}", part.stem, part.part + 1, part.parts, tally.text());
                if let Ok(mut tallies) = tallies.lock() {
                    tallies.entry(part.stem.into()).or_default().add(tally);
                }
            }
            Ok(())
        };
        let jobs: Vec<_> = (0..args.jobs).map(|job| scope.spawn(move || work(job))).collect();
        jobs.into_iter().try_for_each(|job| job.join().unwrap_or_else(|_| bail!("a job panicked")))
    })?;
    let tallies = tallies.into_inner().unwrap_or_default();
    print!("{}", table(&tallies).text(terminal_width()));
    let survivors: Vec<Survivor> = tallies.into_values().flat_map(|tally| tally.survivors).collect();
    let tried = |file: &str| stems.iter().any(|stem| belongs(file, stem));
    judge(&survivors, &accepted.survivor, tried)
}

/// The modules that have tests.
fn stems(project: &Project, wanted: &[String]) -> Result<Vec<String>> {
    let shared = SHARED.map(|(module, _)| module.to_owned());
    let tested = project.targets("test").map(|target| target.name.clone());
    let has_module = |stem: &String| {
        let module = project.root.join("src").join(stem);
        module.with_extension("rs").is_file() || module.is_dir()
    };
    let all: Vec<String> = tested.chain(shared).filter(has_module).collect();
    if let Some(unknown) = wanted.iter().find(|stem| !all.contains(stem)) {
        bail!("there is no module `{unknown}` with tests; such modules are: {}", all.join(", "));
    }
    let chosen = |stem: &String| match wanted {
        [] => project::is_mathematics(&format!("src/{stem}")),
        wanted => wanted.contains(stem),
    };
    Ok(all.into_iter().filter(chosen).collect())
}

/// Whether a file is the stem's `src/stem.rs` or in its folder `src/stem/`.
fn belongs(file: &str, stem: &str) -> bool {
    file == format!("src/{stem}.rs") || file.starts_with(&format!("src/{stem}/"))
}

/// The command for a module, and for the tests of its stem.
fn cargo_mutants(project: &Project, stem: &str) -> Command {
    let mut command = project.cargo(&["mutants", "--colors=never", "--profile=mutants", "--test-tool=cargo"]);
    command.args(["--file", &format!("src/{stem}.rs"), "--file", &format!("src/{stem}/**")]);
    let shared = SHARED.iter().find(|(module, _)| *module == stem);
    let tests = shared.map_or_else(|| vec![stem], |(_, tests)| tests.to_vec());
    // Given to every cargo command, so that the other tests are not even built.
    command.args(tests.iter().flat_map(|test| ["--cargo-arg=--test".into(), format!("--cargo-arg={test}")]));
    command
}

/// Tries the mutants with few cases a property, and what survives that with all cases.
fn run_part(project: &Project, part: &Part, job: u16) -> Result<Tally> {
    let start = Instant::now();
    let Part { stem, part, parts } = part;
    let out = project.target.join("mutants").join(format!("{stem}-{part}"));
    let mut quick = cargo_mutants(project, stem);
    quick.args(["--shard", &format!("{part}/{parts}")]).env("PROPTEST_CASES", QUICK_CASES);
    let (mut tally, missed) = run_once(project, quick, &out, job)?;
    if !missed.is_empty() {
        let names: Vec<String> = missed.iter().map(|name| format!("^{}$", escaped(name))).collect();
        let mut thorough = cargo_mutants(project, stem);
        thorough.args(["--re", &names.join("|")]);
        let (again, _) = run_once(project, thorough, &out.with_extension("again"), job)?;
        tally.survivors.clear();
        tally.add(again);
    }
    tally.seconds = start.elapsed().as_secs_f64();
    Ok(tally)
}

/// Runs cargo-mutants. Returns what became of the mutants, and the full names of those that survived.
fn run_once(project: &Project, mut command: Command, out: &Path, job: u16) -> Result<(Tally, Vec<String>)> {
    if out.exists() {
        std::fs::remove_dir_all(out).with_context(|| format!("{} cannot be removed", out.display()))?;
    }
    std::fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    command.arg("--output").arg(out);
    command.env("CARGO_TARGET_DIR", project.target.join(format!("mutants/build-{job}")));
    // One failure is enough, and need not be made small.
    command.env("CHECK_FAIL_FAST", "1").env("PROPTEST_MAX_SHRINK_ITERS", "0");
    let text = project::shown(&command);
    let output = command.output().with_context(|| format!("`{text}` cannot be run"))?;
    // 2: some survived; 3: some ran into the time limit.
    if !matches!(output.status.code(), Some(0 | 2 | 3)) {
        let said = [output.stdout, output.stderr].concat();
        bail!("`{text}` failed ({}):\n{}", output.status, String::from_utf8_lossy(&said));
    }
    read_outcomes(&out.join("mutants.out/outcomes.json"), &project.root)
}

/// A text as a regular expression that matches it alone.
fn escaped(text: &str) -> String {
    let special = |c: char| r"\.+*?()|[]{}^$#&-~".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

fn read_outcomes(file: &Path, root: &Path) -> Result<(Tally, Vec<String>)> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let outcomes: Outcomes = serde_json::from_str(&text)
        .with_context(|| format!("{} is not as cargo-mutants 27.1 writes it", file.display()))?;
    let (mut tally, mut missed) = (Tally::default(), Vec::new());
    for Outcome { scenario, summary } in outcomes.outcomes {
        let Scenario::Mutant(mutant) = scenario else { continue };
        match summary.as_str() {
            "CaughtMutant" | "Timeout" => tally.killed += 1,
            "Unviable" => tally.unviable += 1,
            "MissedMutant" => {
                let source = std::fs::read_to_string(root.join(&mutant.file))?;
                tally.survivors.push(survivor(&mutant, &source));
                missed.push(mutant.name);
            }
            other => bail!("`{}` ended as {other}, but it must be caught, missed, unviable or late", mutant.name),
        }
    }
    Ok((tally, missed))
}

fn survivor(mutant: &Mutant, source: &str) -> Survivor {
    let Position { line, column } = mutant.span.start;
    let mut code: Vec<char> = source.lines().nth(line.saturating_sub(1)).unwrap_or_default().chars().collect();
    code.insert(column.saturating_sub(1).min(code.len()), HERE);
    Survivor {
        mutant: mutant.name.replacen(&format!(":{line}:{column}"), "", 1),
        code: code.iter().collect::<String>().trim().into(),
        reason: String::new(),
    }
}

fn read_accepted(root: &Path) -> Result<Accepted> {
    let Ok(text) = std::fs::read_to_string(root.join(ACCEPTED)) else { return Ok(Accepted::default()) };
    let accepted: Accepted =
        toml::from_str(&text).with_context(|| format!("{ACCEPTED} is not a list of [[survivor]]"))?;
    if let Some(survivor) = accepted.survivor.iter().find(|survivor| survivor.reason.trim().is_empty()) {
        bail!("{ACCEPTED}: `{}` has no reason; say why it changes no result", survivor.mutant);
    }
    Ok(accepted)
}

/// Compares those that survived with those that may.
fn judge(survivors: &[Survivor], accepted: &[Survivor], tried: impl Fn(&str) -> bool) -> Result<()> {
    let mut problems = Vec::new();
    let unexpected: Vec<String> = survivors
        .iter()
        .filter(|survivor| !accepted.iter().any(|entry| entry.same(survivor)))
        .map(Survivor::entry)
        .collect();
    if !unexpected.is_empty() {
        problems.push(format!(
            "no test notices {}; add a check that does, or add this, with a reason, to {ACCEPTED}:\n{}",
            count(unexpected.len() as u64, "mutant"),
            unexpected.join("\n")
        ));
    }
    for entry in accepted.iter().filter(|entry| tried(entry.file())) {
        if !survivors.iter().any(|survivor| survivor.same(entry)) {
            problems.push(format!("{ACCEPTED}: `{}` does not survive (any more); remove it", entry.mutant));
        }
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.killed += other.killed;
        self.unviable += other.unviable;
        self.survivors.extend(other.survivors);
        self.seconds += other.seconds;
    }

    fn text(&self) -> String {
        let Self { killed, unviable, survivors, seconds } = self;
        format!("{killed} killed, {} survived, {unviable} do not compile, {seconds:.0} s", survivors.len())
    }
}

fn table(tallies: &BTreeMap<String, Tally>) -> Columns {
    let mut table = Columns::new(&["module", "killed", "survived", "do not compile", "seconds"]);
    let mut row = |name: &str, killed: usize, survived: usize, unviable: usize, seconds: f64| {
        table.row([
            name.into(),
            killed.to_string(),
            survived.to_string(),
            unviable.to_string(),
            format!("{seconds:.0}"),
        ]);
    };
    let mut all = Tally::default();
    for (stem, tally) in tallies {
        row(stem, tally.killed, tally.survivors.len(), tally.unviable, tally.seconds);
        all.killed += tally.killed;
        all.unviable += tally.unviable;
        all.survivors.extend(tally.survivors.clone());
        all.seconds += tally.seconds;
    }
    row("all", all.killed, all.survivors.len(), all.unviable, all.seconds);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "src/forward.rs:2:7: replace + with - in q_step";

    fn survived() -> Survivor {
        let mutant = Mutant {
            name: NAME.into(),
            file: "src/forward.rs".into(),
            span: Span { start: Position { line: 2, column: 7 } },
        };
        survivor(&mutant, "fn q_step() {\n    a + b\n}\n")
    }

    #[test]
    fn a_survivor_is_known_by_its_line_not_its_number() {
        let survivor = survived();
        assert_eq!(
            (survivor.mutant.as_str(), survivor.code.as_str()),
            ("src/forward.rs: replace + with - in q_step", "a ▸+ b")
        );
        assert_eq!(survivor.file(), "src/forward.rs");
    }

    #[test]
    fn an_entry_can_be_pasted() {
        let quoted = Survivor { code: r#"say("it's", '"')"#.into(), ..survived() };
        for survivor in [survived(), quoted] {
            let accepted: Accepted = toml::from_str(&survivor.entry()).unwrap();
            assert_eq!(accepted.survivor, [survivor]);
        }
    }

    #[test]
    fn only_accepted_survivors_are_right() {
        let tried = |file: &str| belongs(file, "forward");
        judge(&[survived()], &[survived()], tried).unwrap();
        let unknown = judge(&[survived()], &[], tried).unwrap_err().to_string();
        assert!(unknown.starts_with("no test notices 1 mutant; add a check"), "{unknown}");
        let gone = judge(&[], &[survived()], tried).unwrap_err().to_string();
        assert!(gone.ends_with("`src/forward.rs: replace + with - in q_step` does not survive (any more); remove it"));
        judge(&[], &[survived()], |file| belongs(file, "gaussian")).unwrap();
    }

    #[test]
    fn a_folder_belongs_to_its_stem() {
        assert!(belongs("src/mlp.rs", "mlp") && belongs("src/mlp/adam.rs", "mlp") && !belongs("src/mlp2.rs", "mlp"));
    }

    #[test]
    fn outcomes_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("outcomes.json");
        let mutant = |summary: &str| {
            let span = serde_json::json!({ "start": { "line": 2, "column": 7 } });
            serde_json::json!({ "summary": summary,
                "scenario": { "Mutant": { "name": NAME, "file": "forward.rs", "span": span } } })
        };
        let write = |outcomes: Vec<serde_json::Value>| {
            std::fs::write(&file, serde_json::json!({ "outcomes": outcomes }).to_string()).unwrap();
        };
        std::fs::write(folder.path().join("forward.rs"), "fn q_step() {\n    a + b\n}\n").unwrap();
        let baseline = serde_json::json!({ "summary": "Success", "scenario": "Baseline" });
        write(vec![baseline, mutant("CaughtMutant"), mutant("Timeout"), mutant("Unviable"), mutant("MissedMutant")]);
        let (tally, missed) = read_outcomes(&file, folder.path()).unwrap();
        assert_eq!((tally.killed, tally.unviable, tally.survivors), (2, 1, vec![survived()]));
        assert_eq!(missed, [NAME]);

        write(vec![mutant("Success")]);
        assert!(read_outcomes(&file, folder.path()).unwrap_err().to_string().contains("ended as Success"));
        std::fs::write(&file, "{}").unwrap();
        let error = read_outcomes(&file, folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("outcomes.json is not as cargo-mutants 27.1 writes it"), "{error}");
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(
            escaped("a.rs:2:5: replace * with + in f -> Option<D>"),
            r"a\.rs:2:5: replace \* with \+ in f \-> Option<D>"
        );
    }

    #[test]
    fn an_entry_needs_a_reason() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("tests")).unwrap();
        assert!(read_accepted(root.path()).unwrap().survivor.is_empty(), "no file, no entry");
        std::fs::write(root.path().join(ACCEPTED), survived().entry()).unwrap();
        assert!(read_accepted(root.path()).unwrap_err().to_string().contains("has no reason"));
        std::fs::write(root.path().join(ACCEPTED), "[[survivor]]\nmutant = 3").unwrap();
        let error = format!("{:#}", read_accepted(root.path()).unwrap_err());
        assert!(error.contains("is not a list of [[survivor]]") && error.contains("line 2"), "{error}");
    }
}
