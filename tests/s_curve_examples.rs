//! The S-curve examples as a user runs them: what is wrong is one clear sentence, nothing is lost, and a run repeats exactly.
//! And what is wrong with the arguments or the folder of an example that only draws figures.
#![cfg(unix)]

#[path = "support/program.rs"]
mod program;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use program::{expect, program, text, until, utf8};

fn run(name: &str, arguments: &[&str]) -> Output {
    Command::new(program(name)).args(arguments).output().unwrap()
}

/// The files of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap())).collect()
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

/// Starts a run of 40 epochs, and stops it by Ctrl-C once it has saved on its way. Where it is done before that, it is begun
/// anew with 400. Returns how many there are, and what it said.
fn stopped(name: &str, arguments: &[&str], out: &Path, checkpoint: &Path) -> (&'static str, String) {
    for epochs in ["40", "400"] {
        files(out).keys().for_each(|file| fs::remove_file(out.join(file)).unwrap());
        let arguments = [arguments, &["--out", utf8(out), "--epochs", epochs]].concat();
        let child = Command::new(program(name)).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        until("there is a checkpoint", || checkpoint.exists());
        let first = fs::read(checkpoint).unwrap();
        until("it is written again", || fs::read(checkpoint).is_ok_and(|now| now != first));
        interrupt(&child);
        let output = child.wait_with_output().unwrap();
        let said = text(&output.stdout);
        if said.contains("Stopped after epoch") {
            assert!(output.status.success());
            return (epochs, said);
        }
    }
    panic!("it was too fast to be stopped, twice");
}

/// Those that take a seed, and those that take nothing.
const DRAW: [(&str, bool); 14] = [
    ("elbo", true),
    ("forward", true),
    ("gaussian", false),
    ("guidance", false),
    ("introduction", false),
    ("mlp", false),
    ("objective", true),
    ("play", false),
    ("posterior", false),
    ("sampler", true),
    ("schedule", false),
    ("score", false),
    ("unet", true),
    ("variants", true),
];

#[test]
fn arguments_of_examples_that_draw() {
    for (name, takes_a_seed) in DRAW {
        let no_number = if takes_a_seed { &["'x'", "SEED"][..] } else { &["'x'"] };
        expect(&run(name, &["x"]), 2, no_number);
        expect(&run(name, &["--seed"]), 2, &["--seed"]);
        expect(&Command::new(program(name)).arg(OsStr::from_bytes(b"\xff")).output().unwrap(), 2, &[]);
        let help = run(name, &["--help"]);
        assert!(help.status.success() && text(&help.stdout).contains("Usage: "), "{name}");
    }
    expect(&run("s_curve_exact", &["x"]), 2, &["'x'", "POINTS"]);
}

/// Where `target` is no folder, none of them begins.
#[test]
fn a_folder_that_cannot_be_written_to() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("target"), "mine").unwrap();
    for name in DRAW.into_iter().map(|(name, _)| name).chain(["s_curve_exact", "evaluation"]) {
        let output = Command::new(program(name)).current_dir(folder.path()).output().unwrap();
        expect(&output, 1, &["target/figures cannot be written to"]);
        assert!(output.stdout.is_empty(), "{name}");
    }
}

#[test]
fn usage() {
    for (arguments, words) in [
        (&["--epochs", "0"][..], &["--epochs", "from 1"][..]),
        (&["--epochs", "18446744073709551615"], &["--epochs", "1000000"]),
        (&["--batch", "0"], &["--batch", "from 1"]),
        (&["--lr", "nan"], &["--lr", "finite"]),
        (&["--lr=-1"], &["--lr", "above 0"]),
        (&["--timesteps", "0"], &["--timesteps", "from 1"]),
        (&["--timesteps", "10001"], &["--timesteps", "to 10000"]),
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

/// A step too large makes the loss infinite, and so large a one the parameters, before any loss could tell. After the last
/// step of all, the loss that nobody would see is looked at too.
#[test]
fn numbers_that_are_none() {
    for (more, what) in [
        (["--lr", "1e30", "--batch", "128"], "the loss"),
        (["--lr", "1e30", "--batch", "10000"], "the loss"),
        (["--lr", "1e39", "--batch", "10000"], "a parameter"),
    ] {
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
    let arguments = ["--timesteps", "20", "--seed", "3"];
    let checkpoint = in_parts.path().join("s_curve-checkpoint.safetensors");
    let (epochs, said) = stopped("s_curve", &arguments, in_parts.path(), &checkpoint);
    assert!(said.contains(&format!("--resume {}", utf8(&checkpoint))), "{said}");

    // Cut anywhere, it is not a whole file.
    let whole = fs::read(&checkpoint).unwrap();
    let cut = in_parts.path().join("cut.safetensors");
    for length in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&cut, &whole[..length]).unwrap();
        expect(&run("s_curve", &["--resume", utf8(&cut)]), 1, &[utf8(&cut), "not a whole"]);
    }
    fs::remove_file(cut).unwrap();

    let of_all = [&arguments[..], &["--out", utf8(at_once.path()), "--epochs", epochs]].concat();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| run("s_curve", &of_all));
        let output = run("s_curve", &["--resume", utf8(&checkpoint)]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(other.join().unwrap().status.success());
    });
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

/// After the training there is nothing left to save, so Ctrl-C ends the program there.
#[test]
fn stopped_after_the_training() {
    let out = tempfile::tempdir().unwrap();
    let arguments = ["--epochs", "1", "--timesteps", "500", "--out", utf8(out.path())];
    let mut program = Command::new(program("s_curve"));
    let child = program.args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    until("the report has begun", || out.path().join("s_curve-data.svg").exists());
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(text(&output.stderr), "stopped by Ctrl-C; the training is done and its checkpoint is saved\n");
    assert!(!out.path().join("s_curve-numbers.json").exists());
}

#[cfg(feature = "torch")]
mod in_libtorch {
    use super::*;

    #[test]
    fn usage() {
        for (arguments, words) in [
            (&["train", "--epochs", "0"][..], &["--epochs", "from 1"][..]),
            (&["train", "--batch", "9223372036854775808"], &["--batch", "1000000"]),
            (&["train", "--device", "gpu"], &["cpu, cuda, cuda:N"]),
            (&["sample", "--steps", "101"], &["--steps", "T = 100"]),
            (&["sample", "--eta", "2"], &["--eta", "from 0 to 1"]),
            (&["sample", "--count", "10001"], &["--count", "10000"]),
            (&["evaluate", "--pairs", "0"], &["--pairs", "from 1"]),
        ] {
            expect(&run("s_curve_torch", arguments), 2, words);
        }
    }

    /// As above; then it samples, and is measured.
    #[test]
    fn stopped_and_resumed() {
        let [at_once, in_parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let arguments = ["train", "--seed", "3"];
        let checkpoint = in_parts.path().join("s_curve_torch-checkpoint.safetensors");
        let (epochs, said) = stopped("s_curve_torch", &arguments, in_parts.path(), &checkpoint);
        let output =
            run("s_curve_torch", &[&arguments[..], &["--out", utf8(at_once.path()), "--epochs", epochs]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
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

        let below = checkpoint.join("below");
        let nowhere = ["--weights", utf8(&checkpoint), "--out", utf8(&below)];
        for command in ["sample", "evaluate"] {
            let output = run("s_curve_torch", &[&[command][..], &nowhere].concat());
            expect(&output, 1, &[utf8(&below), "cannot be written to"]);
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
        // Forty epochs are not many, but better than none, which has a loss of 1.
        assert!(floor < loss && loss < 0.9, "{loss}, {floor}");
    }
}
