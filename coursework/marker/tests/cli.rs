//! The commands as they are typed: what they leave behind, and how they end.

use std::path::Path;
use std::process::{Command, Output};

/// Where tests may leave something, in cargo's target folder.
const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");

fn marker(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coursework-marker"));
    command.arg("--target").arg(Path::new(SCRATCH).parent().unwrap());
    command.arg("--dir").arg(folder).args(arguments).env("COURSEWORK_SECRET", "swordfish");
    command
}

fn ends_in(status: i32, output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{said}");
    said
}

/// One student from the first day to the report.
#[test]
fn a_student_gets_through() {
    // Always the same folder: each new one would get a workshop of its own in the target folder, and leave it there.
    let place = Path::new(SCRATCH).join("a student");
    if place.exists() {
        std::fs::remove_dir_all(&place).unwrap();
    }
    let folder = place.join("mine");
    let path = folder.to_str().unwrap();
    let said = ends_in(0, &marker(&folder, &["new", path]));
    assert!(said.contains(&format!("--dir '{path}'")), "{said}");
    let said = ends_in(1, &marker(&folder, &["new", path]));
    assert!(said.contains("is not empty"), "{said}");

    // Not tried: no solution. Tried, and wrong: it is shown.
    let said = ends_in(1, &marker(&folder, &["solution", "2"]));
    assert!(said.contains("--give-up"), "{said}");
    let stub = folder.join("src/ex02_one_step.rs");
    let text = std::fs::read_to_string(&stub).unwrap();
    let body = |body: &str| std::fs::write(&stub, text.replace("todo!()", body)).unwrap();
    body("x_prev + schedule.beta[t].sqrt() * eps");
    let said = ends_in(1, &marker(&folder, &["check", "2", "--seed", "4"]));
    assert!(said.contains("is not shrunk") && said.contains("expected:") && said.contains("--seed 4"), "{said}");
    let said = ends_in(0, &marker(&folder, &["hint", "2"]));
    assert!(said.contains("hint 1 of 3") && !said.contains("hint 2 of 3"), "{said}");
    assert!(ends_in(0, &marker(&folder, &["hint", "2"])).contains("hint 2 of 3"));
    let said = ends_in(1, &marker(&folder, &["check", "1"]));
    assert!(said.contains(&format!("`cargo xtask coursework --dir '{path}' hint 1`")), "{said}");
    assert!(ends_in(0, &marker(&folder, &["solution", "2"])).contains("schedule.beta[t].sqrt() * eps"));
    body("schedule.alpha[t].sqrt() * x_prev + schedule.beta[t].sqrt() * eps");
    ends_in(0, &marker(&folder, &["check", "2"]));

    let (report, json) = (place.join("report.md"), place.join("report.json"));
    let written = ["report", "--student", "ada", "--out", report.to_str().unwrap(), "--json", json.to_str().unwrap()];
    ends_in(1, &command(Path::new("."), &written).current_dir(&folder).output().unwrap());
    let report = std::fs::read_to_string(report).unwrap();
    assert!(report.starts_with("# Coursework: mine\n"), "{report}");
    assert!(report.contains("3 of 80 marks") && report.contains("| right | 3/3 | 2 | 2 | shown |"), "{report}");
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!((&json["marks"], &json["exercises"][1]["state"]), (&3.into(), &"right".into()));
    assert_eq!(json["exercises"][0]["state"], "not_started");

    ends_in(0, &marker(&folder, &["reset", "2"]));
    assert_eq!(std::fs::read_to_string(&stub).unwrap(), text);
    assert!(folder.join("src/ex02_one_step.rs.old").exists());
}

#[test]
fn what_cannot_be_done_is_said() {
    let place = tempfile::tempdir().unwrap();
    assert!(ends_in(2, &marker(place.path(), &["check", "17"])).contains("1 to 16"));
    ends_in(2, &marker(place.path(), &["check"]));
    ends_in(2, &marker(place.path(), &["--seed", "1", "--student", "ada"]));
    assert!(ends_in(1, &marker(place.path(), &["check", "1"])).contains("has no folder src/"));
    assert!(ends_in(1, &marker(place.path(), &["outputs", "none.json"])).contains("none.json cannot be read"));
    let mut no_secret = Command::new(env!("CARGO_BIN_EXE_coursework-marker"));
    let said = ends_in(1, &no_secret.args(["--student", "ada"]).env_remove("COURSEWORK_SECRET").output().unwrap());
    assert!(said.contains("COURSEWORK_SECRET"), "{said}");
}

/// The same name has the same cases, another name others.
#[test]
fn a_student_has_a_seed_of_their_own() {
    let place = tempfile::tempdir().unwrap();
    let cases = |student: &str| {
        let file = place.path().join("cases.json");
        ends_in(0, &marker(place.path(), &["cases", file.to_str().unwrap(), "--student", student]));
        std::fs::read_to_string(file).unwrap()
    };
    assert_eq!(cases("ada"), cases("ada"));
    assert_ne!(cases("ada"), cases("emmy"));
}
