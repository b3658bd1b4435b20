//! The S-curve examples as a user runs them: what is wrong is one clear sentence, nothing is lost, and a run repeats exactly.
#![cfg(unix)]

#[path = "support/program.rs"]
mod program;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use program::{expect, program, text, until, utf8};

fn run(name: &str, arguments: &[&str]) -> Output {
    Command::new(program(name)).args(arguments).output().unwrap()
}

/// The files of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap())).collect()
}

/// Starts a run, stops it by Ctrl-C once it has saved on its way, and returns what it said.
fn stopped(name: &str, arguments: &[&str], checkpoint: &Path) -> String {
    let mut child = Command::new(program(name)).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    until("there is a checkpoint", || checkpoint.exists());
    let first = fs::read(checkpoint).unwrap();
    until("it is written again", || fs::read(checkpoint).is_ok_and(|now| now != first));
    assert!(child.try_wait().unwrap().is_none(), "it was too fast to be stopped");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let said = text(&output.stdout);
    assert!(said.contains("Stopped after epoch"), "it was too fast to be stopped: {said}");
    said
}

#[test]
fn usage() {
    for (arguments, words) in [
        (&["--epochs", "0"][..], &["--epochs", "1 or above"][..]),
        (&["--batch", "0"], &["--batch", "1 or above"]),
        (&["--lr", "nan"], &["--lr", "finite"]),
        (&["--lr=-1"], &["--lr", "above 0"]),
        (&["--timesteps", "0"], &["--timesteps", "from 1"]),
        (&["--timesteps", "100000000000"], &["--timesteps", "1000000"]),
        (&["--schedule", "square"], &["--schedule", "cosine"]),
        (&["--resume", "x", "--epochs", "3"], &["--resume", "--epochs"]),
    ] {
        expect(&run("s_curve", arguments), 2, words);
    }
}

#[test]
fn files_that_are_no_use() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.safetensors");
    expect(&run("s_curve", &["--resume", utf8(&missing)]), 1, &[utf8(&missing), "cannot be read"]);
    let file = folder.path().join("file");
    fs::write(&file, "no checkpoint").unwrap();
    expect(&run("s_curve", &["--resume", utf8(&file)]), 1, &[utf8(&file), "not a whole"]);
    let below = file.join("below");
    expect(&run("s_curve", &["--out", utf8(&below)]), 1, &[utf8(&below), "cannot be written"]);
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/weights/mnist-32-64-128.safetensors");
    expect(&run("s_curve", &["--resume", utf8(&weights)]), 1, &[utf8(&weights)]);
}

/// A step too large makes the loss infinite, and so large a one the parameters, before any loss could tell.
#[test]
fn numbers_that_are_none() {
    for (more, what) in
        [(["--lr", "1e30", "--batch", "128"], "the loss"), (["--lr", "1e39", "--batch", "10000"], "a parameter")]
    {
        let out = tempfile::tempdir().unwrap();
        let output = run("s_curve", &[&["--epochs", "1", "--out", utf8(out.path())][..], &more].concat());
        expect(&output, 1, &["training stopped in epoch 1, at step", what, "the last good checkpoint", "--lr"]);
        let names: Vec<_> = files(out.path()).into_keys().collect();
        assert_eq!(names, ["s_curve-checkpoint.safetensors"]);
    }
}

/// One run is stopped by Ctrl-C and goes on, another is not: the same figures, numbers and checkpoint, byte for byte.
#[test]
fn stopped_and_resumed() {
    let [at_once, in_parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let arguments = |out: &'static str| vec!["--epochs", "40", "--timesteps", "20", "--seed", "3", "--out", out];
    let leaked = |path: &Path| -> &'static str { Box::leak(utf8(path).to_owned().into_boxed_str()) };
    let (first, second) = (arguments(leaked(at_once.path())), arguments(leaked(in_parts.path())));
    let other = std::thread::spawn(move || run("s_curve", &first));
    let checkpoint = in_parts.path().join("s_curve-checkpoint.safetensors");
    let said = stopped("s_curve", &second, &checkpoint);
    assert!(said.contains(&format!("--resume {}", utf8(&checkpoint))), "{said}");

    // Cut anywhere, it is not a whole file.
    let whole = fs::read(&checkpoint).unwrap();
    let cut = in_parts.path().join("cut.safetensors");
    for length in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&cut, &whole[..length]).unwrap();
        expect(&run("s_curve", &["--resume", utf8(&cut)]), 1, &[utf8(&cut), "not a whole"]);
    }
    fs::remove_file(cut).unwrap();

    let output = run("s_curve", &["--resume", utf8(&checkpoint)]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(other.join().unwrap().status.success());
    let [want, got] = [&at_once, &in_parts].map(|folder| files(folder.path()));
    assert_eq!(want.keys().collect::<Vec<_>>(), got.keys().collect::<Vec<_>>());
    assert!(want.len() > 7, "{:?}", want.keys());
    for (name, bytes) in want {
        assert!(bytes == got[&name], "{name} differs");
    }

    // A new run keeps what an older one left.
    let finished = fs::read(&checkpoint).unwrap();
    let output = run("s_curve", &["--epochs", "1", "--lr", "1e30", "--out", utf8(in_parts.path())]);
    assert!(text(&output.stdout).contains("the checkpoint of an earlier run is kept"));
    assert_eq!(files(in_parts.path())["s_curve-checkpoint.before.safetensors"], finished);
}

#[cfg(feature = "torch")]
mod in_libtorch {
    use super::*;

    #[test]
    fn usage() {
        for (arguments, words) in [
            (&["train", "--epochs", "0"][..], &["--epochs", "1 or above"][..]),
            (&["train", "--device", "gpu"], &["cpu, cuda, cuda:N"]),
            (&["sample", "--steps", "101"], &["--steps", "T = 100"]),
            (&["sample", "--eta", "2"], &["--eta", "from 0 to 1"]),
            (&["sample", "--count", "10001"], &["--count", "10000"]),
            (&["evaluate", "--pairs", "0"], &["--pairs", "1 or above"]),
        ] {
            expect(&run("s_curve_torch", arguments), 2, words);
        }
    }

    /// As above; then it samples, and is measured.
    #[test]
    fn stopped_and_resumed() {
        let [at_once, in_parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let arguments = ["train", "--epochs", "30", "--seed", "3", "--out"];
        let output = run("s_curve_torch", &[&arguments[..], &[utf8(at_once.path())]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let checkpoint = in_parts.path().join("s_curve_torch-checkpoint.safetensors");
        let said = stopped("s_curve_torch", &[&arguments[..], &[utf8(in_parts.path())]].concat(), &checkpoint);
        for flag in ["--resume ", "--device cpu", "--threads 1"] {
            assert!(said.contains(flag), "{flag} is needed for the same result: {said}");
        }
        let output = run("s_curve_torch", &["train", "--resume", utf8(&checkpoint)]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let [want, got] = [&at_once, &in_parts].map(|folder| files(folder.path()));
        for name in ["checkpoint.safetensors", "metrics.csv", "loss.svg", "loss-over-t.svg"] {
            let name = format!("s_curve_torch-{name}");
            assert!(want[&name] == got[&name], "{name} differs");
        }

        let weights = ["--weights", utf8(&checkpoint), "--out", utf8(in_parts.path())];
        for command in [&["sample", "--count", "50"][..], &["evaluate", "--count", "50", "--pairs", "1"]] {
            let output = run("s_curve_torch", &[command, &weights].concat());
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
        let numbers = &files(in_parts.path())["s_curve_torch-evaluation-numbers.json"];
        let numbers: serde_json::Value = serde_json::from_slice(numbers).unwrap();
        assert_eq!(numbers["over_t"].as_array().unwrap().len(), 100);
        let (loss, floor) = (numbers["loss"].as_f64().unwrap(), numbers["floor"].as_f64().unwrap());
        // Thirty epochs are not many, but better than none, which has a loss of 1.
        assert!(floor < loss && loss < 0.9, "{loss}, {floor}");
    }
}
