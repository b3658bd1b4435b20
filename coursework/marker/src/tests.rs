//! What is promised of the coursework: stubs that are "not started", solutions that get full marks, mistakes that are
//! recognised, and everything that may go wrong told apart.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::case::{Case, Outputs};
use crate::exercises::{Function, Tolerance};
use crate::judge::{Finding, Outcome, judge};
use crate::marking::{Marked, Marker};
use crate::progress::Progress;
use crate::submission::Submission;
use crate::workshop::{SECONDS_TO_TRAIN, Workshop};
use crate::{report, root, scaffold};

fn marker() -> Marker {
    Marker::read(&root().unwrap()).unwrap()
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().unwrap().join("target"), PathBuf::from)
}

fn shop<'a>(marker: &'a Marker, name: &str) -> Workshop<'a> {
    let root = root().unwrap();
    let name = format!("test of {}: {name}", root.display());
    Workshop::new(&root, &target(), &name, &marker.stubs, &marker.catalogue).unwrap()
}

fn returned(outputs: Outputs) -> Outcome {
    Outcome::Returned(outputs)
}

/// The finding on an exercise whose function `wrong` is answered by `answer`, and all others rightly.
fn finding(marker: &Marker, number: usize, seed: u64, wrong: &str, answer: impl Fn(&Case) -> Outcome) -> Finding {
    let exercise = &marker.exercises[number - 1];
    let cases = exercise.cases(seed).unwrap();
    let outcome = |case: &Case| {
        let function = exercise.functions.iter().find(|function| function.name == case.function).unwrap();
        if case.function == wrong { answer(case) } else { returned((function.expected)(case).unwrap()) }
    };
    let outcomes: Vec<Outcome> = cases.iter().map(outcome).collect();
    judge(exercise, &cases, &outcomes).unwrap()
}

fn functions(marker: &Marker) -> impl Iterator<Item = (usize, &Function)> {
    marker.exercises.iter().flat_map(|exercise| exercise.functions.iter().map(|function| (exercise.number, function)))
}

#[test]
fn the_catalogue_is_whole() {
    let marker = marker();
    let catalogue = &marker.catalogue;
    assert_eq!(catalogue.exercises.len(), marker.exercises.len());
    let marks = catalogue.exercises.iter().map(|entry| entry.marks).sum::<u32>();
    assert_eq!(marks + catalogue.questions.iter().map(|question| question.marks).sum::<u32>(), 100);
    for (number, function) in functions(&marker) {
        let entry = &catalogue.exercises[number - 1];
        assert_eq!(entry.file, function.file, "{}", function.name);
        assert!(function.mistakes.len() >= 5, "{} knows few mistakes", function.name);
        if let Tolerance::MeanSquare(bound) = function.tolerance {
            let stub = &marker.stubs.files[&format!("{}.rs", entry.file)];
            assert!(stub.contains(&format!("within {bound} of")), "{} states another bound", entry.file);
            assert!(stub.contains(&format!("under {SECONDS_TO_TRAIN} seconds")), "{} states another time", entry.file);
        }
        let mut hints = entry.hints.to_vec();
        hints.sort();
        hints.dedup();
        assert_eq!(hints.len(), 3, "exercise {number}");
        assert!(hints.iter().all(|hint| hint.len() > 20), "exercise {number}");
    }
}

/// Each equation is one of the crate's, and stands in its chapter if that is written. Each stub links to its equations.
#[test]
fn links_lead_somewhere() {
    let (marker, root) = (marker(), root().unwrap());
    let mut code = String::new();
    for file in std::fs::read_dir(root.join("src")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            code.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    let linked = |equation: &String| {
        let slug = equation.split_once('.').unwrap().1;
        assert!(code.contains(&format!("// ANCHOR: {slug}\n")), "{equation} is no equation of the crate");
        assert!(marker.book.number(equation).is_some(), "{equation} is not in its chapter");
        marker.book.link(equation).unwrap()
    };
    for entry in &marker.catalogue.exercises {
        let stub = &marker.stubs.files[&format!("{}.rs", entry.file)];
        for equation in &entry.equations {
            let link = linked(equation);
            assert!(stub.contains(&link), "{} does not link to {link}", entry.file);
        }
    }
    for question in &marker.catalogue.questions {
        question.equations.iter().for_each(|equation| drop(linked(equation)));
    }
}

#[test]
fn the_reference_agrees_with_itself() {
    let marker = marker();
    for number in marker.all() {
        let never = |_: &Case| Outcome::NotReached;
        assert_eq!(finding(&marker, number, 3, "", never), Finding::Right, "exercise {number}");
    }
}

#[test]
fn every_known_mistake_is_rejected_by_its_name() {
    let marker = marker();
    for (number, function) in functions(&marker) {
        // The training's quadrature takes longer.
        let seeds = if function.tolerance == Tolerance::Exact { 0..50 } else { 0..2 };
        for seed in seeds {
            for mistake in &function.mistakes {
                let wrong = |case: &Case| returned((mistake.outputs)(case).unwrap());
                let found = finding(&marker, number, seed, function.name, wrong);
                let name = found.diagnosis().map(|diagnosis| diagnosis.name.as_str());
                assert_eq!(name, Some(mistake.name), "{}, seed {seed}: {found:?}", function.name);
                assert!(!found.sentence().is_empty() && !found.right());
            }
        }
    }
}

#[test]
fn a_number_that_is_off_is_shown_with_the_smallest_example() {
    let off = |case: &Case| {
        let mut outputs = crate::exercises::all()[2].functions[0].expected.to_owned()(case).unwrap();
        outputs[0].array.mapv_inplace(|x| x + 0.125);
        returned(outputs)
    };
    let found = finding(&marker(), 3, 0, "q_sample", off);
    let Finding::Wrong { output, expected, given, example, diagnosis, .. } = &found else { panic!("{found:?}") };
    assert_eq!((output.as_str(), diagnosis), ("x_t[0, 0]", &None));
    let [expected, given]: [f64; 2] = [expected, given].map(|number| number.parse().unwrap());
    assert!((given - expected - 0.125).abs() < 1e-6);
    // Two steps, one point of one number.
    assert!(example.contains("x0 = [[") && example.matches(',').count() == 1, "{example}");
}

#[test]
fn single_precision_is_told_from_a_mistake() {
    let rough = |case: &Case| {
        let mut outputs = (marker().exercises[2].functions[0].expected)(case).unwrap();
        outputs[0].array.mapv_inplace(|x| x * (1.0 + 1e-6));
        returned(outputs)
    };
    let found = finding(&marker(), 3, 0, "q_sample", rough);
    assert_eq!(found.diagnosis().unwrap().name, "single precision");
}

fn all(marker: &Marker, shop: &Workshop, submission: &Submission, seed: u64) -> Vec<Marked> {
    shop.build(submission).unwrap();
    marker.mark(shop, submission, &marker.all(), seed).unwrap()
}

#[test]
fn every_stub_compiles_and_is_not_started() {
    let marker = marker();
    for marked in all(&marker, &shop(&marker, "stubs"), &marker.stubs, 0) {
        assert_eq!(marked.finding, Finding::NotStarted, "exercise {}", marked.number);
    }
}

/// The cases of all seeds go through the child at once, exercise by exercise. The training has to keep well below its
/// bound, so that nobody who does it right is left to luck.
#[test]
fn every_solution_gets_full_marks_on_50_seeds() {
    let mut marker = marker();
    for function in marker.exercises.iter_mut().flat_map(|exercise| &mut exercise.functions) {
        if let Tolerance::MeanSquare(bound) = &mut function.tolerance {
            *bound *= 0.8;
        }
    }
    let solved = Submission::solutions(&root().unwrap(), &marker.catalogue).unwrap();
    let shop = shop(&marker, "solutions");
    let built = shop.build(&solved).unwrap();
    assert!(built.broken.is_empty(), "{:?}", built.broken);
    for exercise in &marker.exercises {
        let seeds: Vec<Vec<Case>> = (0..50).map(|seed| exercise.cases(seed).unwrap()).collect();
        let ran = shop.run(&built, &seeds.concat(), 300).unwrap();
        let mut outcomes = ran.outcomes.as_slice();
        for (seed, cases) in seeds.iter().enumerate() {
            let (of_seed, rest) = outcomes.split_at(cases.len());
            outcomes = rest;
            let found = judge(exercise, cases, of_seed).unwrap();
            assert_eq!(found, Finding::Right, "exercise {}, seed {seed}", exercise.number);
        }
    }
}

/// The stubs, with some files replaced.
fn with(marker: &Marker, files: &[(&str, &str)]) -> Submission {
    let mut submission = marker.stubs.clone();
    for (stem, body) in files {
        let name = format!("{stem}.rs");
        let stub = &marker.stubs.files[&name];
        assert!(stub.contains("todo!()"));
        submission.files.insert(name, stub.replacen("todo!()", body, 1));
    }
    submission
}

#[test]
fn what_goes_wrong_is_told_apart() {
    let marker = marker();
    let submission = with(
        &marker,
        &[
            ("ex01_schedule", "this does not compile"),
            ("ex02_one_step", "schedule.alpha[t].sqrt() * x_prev + schedule.beta[t] * eps"),
            ("ex03_closed_form", "loop {}"),
            ("ex04_posterior_variance", "schedule.beta[t + 1]"),
            ("ex05_posterior_mean", "x0 * f64::NAN"),
            ("ex06_conversions", "Array2::zeros((9, 9))"),
            ("ex08_l_simple", "std::process::exit(0)"),
            ("ex09_weight", "fn deep(x: f64) -> f64 { deep(x + 1.0) + x } deep(variance)"),
            ("ex10_ancestral_step", "xt + &z.dot(&ndarray::Array2::<f64>::zeros((99, 1)))"),
            ("ex11_loop", "crate::ex12_ddim::ddim_step(x_end, schedule, 2, 1, 0.0, x_end, x_end)"),
            ("ex14_backward", "println!(\"here\"); eps_of(x) }\nfn eps_of(x: &Array2<f64>) -> Array2<f64> { x.clone()"),
        ],
    );
    let shop = shop(&marker, "broken");
    let built = shop.build(&submission).unwrap();
    let found = |number: usize| {
        let exercise = &marker.exercises[number - 1];
        let cases = exercise.cases(7).unwrap();
        let ran = shop.run(&built, &cases, 2).unwrap();
        (judge(exercise, &cases, &ran.outcomes).unwrap(), ran.printed)
    };
    // A file that does not compile keeps no other from being marked.
    assert_eq!(built.broken.keys().collect::<Vec<_>>(), ["ex01_schedule"]);
    assert!(built.broken["ex01_schedule"].contains("src/ex01_schedule.rs"));
    let by_name = |number: usize| found(number).0.diagnosis().map(|diagnosis| diagnosis.name.clone());
    assert_eq!(by_name(2).as_deref(), Some("the variance as the standard deviation"));
    assert!(matches!(found(3).0, Finding::Stopped { .. }));
    let panicked = found(4).0;
    let Finding::Panicked { message, place, .. } = &panicked else { panic!("{panicked:?}") };
    assert!(message.contains("out of bounds") && place.starts_with("src/ex04_posterior_variance.rs:"), "{place}");
    assert!(matches!(found(5).0, Finding::NotFinite { given, .. } if given == "NaN"));
    assert!(matches!(found(6).0, Finding::WrongShape { .. }));
    assert_eq!(found(7).0, Finding::NotStarted);
    let left = found(8).0;
    assert!(matches!(&left, Finding::Died { how, .. } if how.contains("left by itself")), "{left:?}");
    assert!(matches!(found(9).0, Finding::Died { how, .. } if how.contains("signal 6")));
    // The line is the student's, though ndarray panics.
    let inside = found(10).0;
    assert!(
        matches!(&inside, Finding::Panicked { place, .. } if place.starts_with("src/ex10_ancestral_step.rs:")),
        "{inside:?}"
    );
    assert!(matches!(found(11).0, Finding::Waits { file } if file.contains("ex12_ddim")));
    let (half, printed) = found(14);
    assert!(!half.right() && printed.contains("here"), "{half:?}");
}

/// Networks that were really trained, each with one mistake.
#[test]
fn a_training_that_goes_wrong_is_recognised() {
    let marker = marker();
    let shop = shop(&marker, "training");
    let solved = Submission::solutions(&root().unwrap(), &marker.catalogue).unwrap();
    let name_of = |file: &str, changes: &[(&str, &str)]| {
        let mut submission = solved.clone();
        let text = submission.files.get_mut(file).unwrap();
        for (right, wrong) in changes {
            assert!(text.contains(right), "{file} has no {right}");
            *text = text.replace(right, wrong);
        }
        let marked = marker.mark(&shop, &submission, &[15], 3).unwrap();
        marked[0].finding.diagnosis().map(|diagnosis| diagnosis.name.clone()).unwrap_or_default()
    };
    let no_relu = [("a.mapv(|a| a.max(0.0))", "a"), ("if h > 0.0 { *delta } else { 0.0 }", "*delta")];
    assert_eq!(name_of("ex14_backward.rs", &no_relu), "no better than one straight line");
    let no_time = [("net.e.select(Axis(0), times)", "net.e.select(Axis(0), &vec![1; times.len()])")];
    assert_eq!(name_of("ex14_backward.rs", &no_time), "the time never used");
    assert_eq!(name_of("ex15_training.rs", &[("(xt, times, eps)\n", "(xt, times, x0)\n")]), "x_0 predicted");
    assert_eq!(name_of("ex15_training.rs", &[("*theta -= rate", "*theta += rate")]), "worse than 0");
}

#[test]
fn a_changed_signature_is_named() {
    let marker = marker();
    let mut submission = marker.stubs.clone();
    let stub = marker.stubs.files["ex08_l_simple.rs"].replace("eps_theta: &Array2<f64>", "eps_theta: f64");
    submission.files.insert("ex08_l_simple.rs".into(), stub);
    let built = shop(&marker, "signature").build(&submission).unwrap();
    assert_eq!(built.broken.keys().collect::<Vec<_>>(), ["ex08_l_simple"]);
    assert!(built.broken["ex08_l_simple"].starts_with("a function does not have the name and the signature"));
}

/// Answers that were written down for one seed are wrong for another.
#[test]
fn hard_coded_answers_fail() {
    let marker = marker();
    let exercise = &marker.exercises[3];
    let known = exercise.cases(1).unwrap();
    let written_down: Vec<Outcome> =
        known.iter().map(|case| returned((exercise.functions[0].expected)(case).unwrap())).collect();
    assert!(judge(exercise, &known, &written_down).unwrap().right());
    assert!(!judge(exercise, &exercise.cases(2).unwrap(), &written_down).unwrap().right());
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn a_new_folder_has_stubs_and_no_solutions() {
    let (marker, root) = (marker(), root().unwrap());
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("mine");
    scaffold::new(&root, &marker.stubs, &folder).unwrap();
    assert_eq!(Submission::read(&folder, &marker.stubs).unwrap(), marker.stubs);
    let solved = Submission::solutions(&root, &marker.catalogue).unwrap();
    for file in files_below(&folder) {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("ex") && name.ends_with(".rs") {
            assert!(text.contains("todo!()") && text != solved.files[&name], "{name}");
        }
        for entry in &marker.catalogue.exercises {
            assert!(entry.hints.iter().all(|hint| !text.contains(hint.as_str())), "{name} has hints in it");
        }
    }
    assert!(scaffold::new(&root, &marker.stubs, &folder).is_err());
}

/// Needs Python 3 with NumPy; where there is none, it says so.
#[test]
fn the_python_track_takes_the_same_cases() {
    let (marker, root) = (marker(), root().unwrap());
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let has_numpy = Command::new(&python).args(["-c", "import numpy"]).output();
    if !has_numpy.is_ok_and(|output| output.status.success()) {
        // Not by println, which a test that passes keeps to itself.
        writeln!(std::io::stderr(), "the Python track: not run ({python} has no numpy)").unwrap();
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str| place.path().join(name);
    crate::python::hand_out(&marker, 11, &file("cases.json")).unwrap();
    std::fs::copy(root.join("coursework/python/run.py"), file("run.py")).unwrap();
    let findings = |exercises: &str| {
        std::fs::copy(root.join(exercises), file("exercises.py")).unwrap();
        let arguments = [file("run.py"), file("cases.json"), file("outputs.json")];
        assert!(Command::new(&python).args(arguments).status().unwrap().success());
        let (seed, marked) = crate::python::mark(&marker, &file("outputs.json"), Some(11)).unwrap();
        assert_eq!(seed, 11);
        marked.into_iter().map(|marked| marked.finding)
    };
    assert!(findings("coursework/python/exercises.py").all(|finding| finding == Finding::NotStarted));
    for (i, finding) in findings("coursework/solutions/python/exercises.py").enumerate() {
        assert_eq!(finding, Finding::Right, "exercise {}", i + 1);
    }
    assert!(crate::python::mark(&marker, &file("outputs.json"), Some(12)).is_err());
}

/// The book shows what the marker says about a missing root. It is this file, and this is where it comes from.
#[test]
fn the_books_example_is_what_the_marker_says() {
    let marker = marker();
    let mistake = &marker.exercises[2].functions[0].mistakes[0];
    assert_eq!(mistake.name, "1 - alpha_bar without the root");
    let finding = finding(&marker, 3, 1, "q_sample", |case| returned((mistake.outputs)(case).unwrap()));
    let marked = Marked { number: 3, finding, printed: String::new(), seconds: 0.0 };
    let said = report::exercise(&marker, report::Track::Rust, &marked, &Progress::default(), "cargo xtask coursework");
    let path = root().unwrap().join("coursework/marker/tests/wrong.txt");
    let shown = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(said, shown, "{} should be as on the left", path.display());
}
