//! The image examples as a user runs them: what is wrong is one clear sentence, and nothing is lost.
//!
//! They are run from beside this test, where `cargo test --features torch` builds them.
#![cfg(unix)]

#[path = "support/program.rs"]
mod program;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use program::{expect, program, text, until, utf8};
use tempfile::TempDir;

fn run(name: &str, arguments: &[&str]) -> Output {
    Command::new(program(name)).args(arguments).args(on_the_cpu(arguments)).output().unwrap()
}

/// Equal bytes are promised there alone.
fn on_the_cpu(arguments: &[&str]) -> &'static [&'static str] {
    let computes =
        arguments.first().is_some_and(|command| ["train", "sample", "evaluate", "compare"].contains(command));
    if computes && !arguments.contains(&"--device") { &["--device", "cpu"] } else { &[] }
}

/// A folder with 40 pictures of MNIST's size and format.
fn data() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, lengths: &[u32], numbers: Vec<u8>| {
        let mut bytes = vec![0, 0, 8, lengths.len() as u8];
        lengths.iter().for_each(|length| bytes.extend(length.to_be_bytes()));
        bytes.extend(numbers);
        fs::write(folder.path().join(name), bytes).unwrap();
    };
    file("train-images-idx3-ubyte", &[40, 28, 28], (0..40 * 784).map(|i| (i / 100 % 2 * 255) as u8).collect());
    file("train-labels-idx1-ubyte", &[40], (0..40).map(|i| i % 10).collect());
    folder
}

/// Arguments for a short training run of a small network.
fn train<'a>(data: &'a Path, out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments =
        vec!["train", "--data", utf8(data), "--out", utf8(out), "--threads", "1", "--samples", "0", "--device", "cpu"];
    arguments.extend(more);
    arguments
}

const SMALL: [&str; 6] = ["--widths", "8,8", "--batch", "8", "--epochs", "1"];

/// A folder in which a small network was trained for an epoch, and its data.
fn trained() -> (TempDir, TempDir) {
    let (data, out) = (data(), tempfile::tempdir().unwrap());
    let output = run("mnist", &train(data.path(), out.path(), &SMALL));
    assert!(output.status.success(), "{}", text(&output.stderr));
    (data, out)
}

#[test]
fn usage() {
    for (name, arguments, words) in [
        ("mnist", &["sample", "--steps", "0"][..], &["--steps", "from 1"][..]),
        ("mnist", &["sample", "--class", "10"], &["mnist has the classes 0 to 9"]),
        ("cifar100", &["sample", "--class", "100"], &["cifar100 has the classes 0 to 99"]),
        ("mnist", &["sample", "--class", "-1"], &["-1"]),
        ("mnist", &["sample", "--eta", "1.5"], &["--eta", "from 0 to 1"]),
        ("mnist", &["sample", "--guidance", "2"], &["--class"]),
        ("mnist", &["sample", "--count", "0"], &["--count", "from 1"]),
        ("mnist", &["sample", "--count", "10001"], &["--count", "to 10000"]),
        ("mnist", &["sample", "--device", "gpu"], &["cpu, cuda, cuda:N"]),
        ("mnist", &["figure", "mnist-x", "--alt", "x"], &["TITLE=PNG"]),
        ("mnist", &["evaluate", "--samples", "1"], &["--samples", "from 2"]),
        ("cifar100", &["evaluate", "--samples", "18446744073709551615"], &["--samples", "to 1000000"]),
        ("mnist", &["compare", "--samples", "9223372036854775808"], &["--samples", "to 1000000"]),
        ("mnist", &["evaluate", "--ranges", "0"], &["--ranges", "from 1"]),
        ("mnist", &["evaluate", "--steps", "1001"], &["1001", "T = 1000"]),
        ("mnist", &["train", "--widths", "12"], &["multiple of 8"]),
        ("mnist", &["train", "--widths", "8000000"], &["at most 4096"]),
        ("mnist", &["train", "--epochs", "2000000"], &["--epochs", "to 1000000"]),
        ("mnist", &["train", "--batch", "2000000"], &["--batch", "to 1000000"]),
        ("mnist", &["train", "--samples", "10001"], &["--samples", "from 0 to 10000"]),
        ("mnist", &["train", "--widths", "8,8,8,8"], &["at most 3 --widths"]),
        ("mnist", &["train", "--network", "plain-unet", "--widths", "8"], &["--widths is for --network residual-unet"]),
        ("cifar100", &["train", "--network", "time-channel"], &["one colour", "3"]),
        ("mnist", &["train", "--lr", "nan"], &["--lr", "finite"]),
        ("mnist", &["train", "--timesteps", "1000000000000"], &["--timesteps", "1000000"]),
        ("mnist", &["train", "--save-every", "1e30"], &["--save-every", "too long"]),
        ("mnist", &["train", "--threads", "3000000000"], &["--threads", "4096"]),
        ("mnist", &["train", "--ema", "1"], &["--ema", "less than"]),
        ("mnist", &["train", "--resume", "x", "--epochs", "3"], &["--resume", "--epochs"]),
    ] {
        expect(&run(name, arguments), 2, words);
    }
}

#[test]
fn files_that_are_not_there() {
    let nowhere = tempfile::tempdir().unwrap();
    let missing = nowhere.path().join("weights.safetensors");
    expect(&run("mnist", &["sample", "--weights", utf8(&missing)]), 1, &["no weights at", utf8(&missing), "train"]);
    expect(&run("mnist", &["train", "--resume", utf8(&missing)]), 1, &[utf8(&missing), "cannot be read"]);
    let output = run("mnist", &train(nowhere.path(), nowhere.path(), &[]));
    expect(&output, 1, &[utf8(nowhere.path()), "train-images-idx3-ubyte"]);
    // A name need not be UTF-8.
    let data = OsStr::from_bytes(b"\xff");
    let train = ["train", "--device", "cpu", "--out", utf8(nowhere.path()), "--data"];
    let output = Command::new(program("mnist")).args(train).arg(data).output().unwrap();
    expect(&output, 1, &["there is no such folder"]);
}

#[test]
fn weights_that_do_not_fit() {
    let (data, out) = trained();
    let (weights, checkpoint) = (out.path().join("weights.safetensors"), out.path().join("checkpoint.safetensors"));
    let (weights, checkpoint) = (utf8(&weights), utf8(&checkpoint));
    expect(&run("mnist", &["sample", "--weights", weights, "--steps", "1001"]), 2, &["1001", "T = 1000"]);
    expect(&run("mnist", &["sample", "--weights", weights, "--class", "3"]), 2, &["--class is 3", "without classes"]);
    let guided = run("mnist", &["evaluate", "--weights", weights, "--guidance", "2"]);
    expect(&guided, 2, &["--guidance", "--conditional"]);
    expect(&run("cifar100", &["sample", "--weights", weights]), 1, &[weights, "mnist", "cifar100"]);
    expect(&run("cifar100", &["train", "--resume", checkpoint]), 1, &[checkpoint, "training mnist", "cifar100"]);

    // The same names, but in other shapes than the file says.
    let mut bytes = fs::read(weights).unwrap();
    let at = bytes.windows(5).position(|bytes| bytes == b"[8,8]").unwrap();
    bytes[at..at + 5].copy_from_slice(b"[8,4]");
    let lying = out.path().join("lying.safetensors");
    fs::write(&lying, &bytes).unwrap();
    expect(&run("mnist", &["sample", "--weights", utf8(&lying)]), 1, &[utf8(&lying), "multiple of 8"]);

    // Cut anywhere, it is not a whole file.
    let whole = fs::read(checkpoint).unwrap();
    let cut = out.path().join("cut.safetensors");
    for length in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&cut, &whole[..length]).unwrap();
        expect(&run("mnist", &["sample", "--weights", utf8(&cut)]), 1, &[utf8(&cut), "not a whole"]);
        expect(&run("mnist", &["train", "--resume", utf8(&cut)]), 1, &[utf8(&cut), "not a whole"]);
    }

    // Another data set, and a folder that has a run in it.
    fs::write(data.path().join("train-labels-idx1-ubyte"), [&[0, 0, 8, 1, 0, 0, 0, 40][..], &[0; 40]].concat())
        .unwrap();
    let images = data.path().join("train-images-idx3-ubyte");
    let mut bytes = fs::read(&images).unwrap();
    bytes[100] ^= 1;
    fs::write(&images, bytes).unwrap();
    let output = run("mnist", &train(data.path(), out.path(), &["--resume", checkpoint]));
    expect(&output, 1, &[checkpoint, "pictures", "--data"]);
    let output = run("mnist", &train(data.path(), out.path(), &SMALL));
    expect(&output, 1, &[checkpoint, "--resume", "--overwrite"]);
    assert_eq!(fs::read(checkpoint).unwrap(), whole);
}

/// Weights of a network that no machine could hold, and weights that are not numbers.
#[test]
fn weights_that_are_no_use() {
    let (_, out) = trained();
    let weights = out.path().join("weights.safetensors");
    let whole = fs::read(&weights).unwrap();
    let bad = out.path().join("bad.safetensors");
    let sample = |weights: &Path| run("mnist", &["sample", "--weights", utf8(weights), "--out", utf8(out.path())]);

    // Without the words that tell of the network, and with nothing but one array.
    let header = r#"{"init_conv.weight":{"dtype":"F32","shape":[8000000,0,3,3],"data_offsets":[0,0]}}"#;
    fs::write(&bad, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()).unwrap();
    expect(&sample(&bad), 1, &[utf8(&bad), "8000000", "at most 4096"]);

    let not_a_number = [&whole[..whole.len() - 4], &f32::NAN.to_le_bytes()].concat();
    fs::write(&bad, not_a_number).unwrap();
    expect(&sample(&bad), 1, &[utf8(&bad), "not a finite one"]);
    assert!(!out.path().join("samples.png").exists());
}

/// A folder is tried before the work, and not only after it.
#[test]
fn folders_that_are_no_use() {
    let (_, out) = trained();
    let weights = out.path().join("weights.safetensors");
    let below = weights.join("below");
    for (command, more) in [("sample", &[][..]), ("evaluate", &[]), ("compare", &["--samples", "2"])] {
        let mut program = Command::new(program("mnist"));
        program.args([command, "--weights", utf8(&weights), "--out", utf8(&below), "--device", "cpu"]).args(more);
        let output = program.env_remove("LITERATE_DIFFUSION_DATA").current_dir(out.path()).output().unwrap();
        expect(&output, 1, &[utf8(&below), "cannot be written to"]);
    }
}

/// Neither is the checkpoint of another run, when one goes on in its folder.
#[test]
fn another_runs_checkpoint_is_not_lost() {
    let ((data, out), (_, other)) = (trained(), trained());
    let [checkpoint, kept] = [&out, &other].map(|folder| folder.path().join("checkpoint.safetensors"));
    let before = fs::read(&kept).unwrap();
    let output = run("mnist", &train(data.path(), other.path(), &["--resume", utf8(&checkpoint)]));
    expect(&output, 1, &[utf8(&kept), "--overwrite"]);
    assert_eq!(fs::read(&kept).unwrap(), before);
}

/// With fewer times than tenths, some tenths have no loss.
#[test]
fn a_short_schedule_goes_on() {
    let (data, out) = (data(), tempfile::tempdir().unwrap());
    let setting = [&SMALL[..], &["--timesteps", "5"]].concat();
    let lock = out.path().join("lock");
    fs::write(&lock, "not of this program").unwrap();
    let output = run("mnist", &train(data.path(), out.path(), &setting));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let checkpoint = out.path().join("checkpoint.safetensors");
    let output = run("mnist", &train(data.path(), out.path(), &["--resume", utf8(&checkpoint)]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(fs::read(lock).unwrap(), b"not of this program");
}

/// Weights alone, in half precision, are smaller, and sampled from like others.
#[test]
fn exported() {
    let (_, out) = trained();
    let [checkpoint, half] = ["checkpoint", "half"].map(|name| out.path().join(name).with_extension("safetensors"));
    let output = run("mnist", &["export", "--weights", utf8(&checkpoint), "--to", utf8(&half)]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let sizes =
        ["weights.safetensors", "half.safetensors"].map(|name| fs::metadata(out.path().join(name)).unwrap().len());
    assert!(sizes[1] < 6 * sizes[0] / 10, "{sizes:?}");
    let sample = ["sample", "--weights", utf8(&half), "--steps", "2", "--count", "1", "--out", utf8(out.path())];
    assert!(run("mnist", &sample).status.success());
}

#[test]
fn a_loss_that_is_no_number() {
    let (data, out) = (data(), tempfile::tempdir().unwrap());
    let output = run("mnist", &train(data.path(), out.path(), &[&SMALL[..], &["--lr", "1e30"]].concat()));
    expect(&output, 1, &["the loss is not a finite number at step 2", "the last good checkpoint", "--lr"]);
    assert!(out.path().join("checkpoint.safetensors").exists());
}

#[test]
fn a_device_that_is_not_there() {
    let (_, out) = trained();
    let weights = out.path().join("weights.safetensors");
    expect(&run("mnist", &["sample", "--weights", utf8(&weights), "--device", "cuda:99"]), 1, &["cuda:99"]);
}

/// Where no more than 8 KiB can be written to a file, which is what a full disk does.
#[test]
fn a_full_disk() {
    let (data, out) = trained();
    let checkpoint = out.path().join("checkpoint.safetensors");
    let before = fs::read(&checkpoint).unwrap();
    let files = || fs::read_dir(out.path()).unwrap().map(|file| file.unwrap().file_name()).collect::<Vec<_>>();
    let files_before = files();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\""])
        .arg(program("mnist"))
        .args(train(data.path(), out.path(), &["--resume", utf8(&checkpoint)]))
        .output()
        .unwrap();
    expect(&output, 1, &[utf8(&checkpoint), "cannot be written"]);
    assert_eq!(fs::read(&checkpoint).unwrap(), before);
    assert_eq!(files(), files_before);
}

/// Starts a run, and stops it by Ctrl-C while another one tries to use its folder. Returns what both said; nothing where the
/// first one was done before that.
fn stopped(data: &Path, out: &Path, setting: &[&str]) -> Option<(String, Output)> {
    let child = Command::new(program("mnist")).args(train(data, out, setting)).stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id().to_string();
    let signal = |name: &str| assert!(Command::new("kill").args([name, &pid]).status().unwrap().success(), "{name}");
    until("an epoch is done", || out.join("metrics.csv").exists());
    // It waits meanwhile: to begin, the other one may need as long as all epochs take.
    signal("-STOP");
    let other = run("mnist", &train(data, out, &[setting, &["--overwrite"]].concat()));
    signal("-INT");
    signal("-CONT");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let said = text(&output.stdout);
    said.contains("Stopped after step").then_some((said, other))
}

/// One run is stopped by Ctrl-C and goes on, another is not: the same bytes. While one runs, no other may use its folder.
#[test]
fn stopped_and_resumed() {
    let data = data();
    let setting = |epochs| ["--widths", "8,8", "--batch", "4", "--ema", "0.9", "--conditional", "--epochs", epochs];
    let begin = |epochs| {
        let out = tempfile::tempdir().unwrap();
        let (said, other) = stopped(data.path(), out.path(), &setting(epochs))?;
        Some((epochs, out, said, other))
    };
    let begun = begin("6").or_else(|| begin("60"));
    let (epochs, in_parts, said, other) = begun.expect("it was too fast to be stopped, twice");
    expect(&other, 1, &["another run writes to", utf8(in_parts.path())]);
    for flag in ["--resume ", "--data ", "--samples 0", "--device cpu", "--threads 1"] {
        assert!(said.contains(flag), "{flag} is needed for the same result: {said}");
    }
    let at_once = tempfile::tempdir().unwrap();
    assert!(run("mnist", &train(data.path(), at_once.path(), &setting(epochs))).status.success());

    let checkpoint = in_parts.path().join("checkpoint.safetensors");
    let output = run("mnist", &train(data.path(), in_parts.path(), &["--resume", utf8(&checkpoint)]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    for name in ["weights.safetensors", "losses-over-t.json"] {
        let [want, got] = [&at_once, &in_parts].map(|folder| fs::read(folder.path().join(name)).unwrap());
        assert!(want == got, "{name} differs");
    }
    let losses = |folder: &TempDir| {
        let csv = fs::read_to_string(folder.path().join("metrics.csv")).unwrap();
        csv.lines().map(|row| row.split(',').take(3).map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    assert_eq!(losses(&at_once), losses(&in_parts));
}

/// The numbers are the same for a seed.
#[test]
fn evaluation() {
    let (_, out) = trained();
    let weights = out.path().join("weights.safetensors");
    let few = ["evaluate", "--weights", utf8(&weights), "--out", utf8(out.path()), "--threads", "1", "--device", "cpu"];
    let more = ["--pictures", "4", "--ranges", "2", "--samples", "4", "--steps", "2", "--classifier-epochs", "1"];
    // Digits that come with the program: no folder has to be there, and none that the variable names is taken.
    let evaluate = |more: &[&str]| {
        let mut command = Command::new(program("mnist"));
        command.args(few).args(more).env_remove("LITERATE_DIFFUSION_DATA").current_dir(out.path()).output().unwrap()
    };
    expect(&evaluate(&["--samples", "149"]), 2, &["149", "297", "fewer --samples"]);
    expect(&evaluate(&["--pictures", "298"]), 2, &["--pictures"]);

    let numbers = || {
        let output = evaluate(&more);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let json = fs::read_to_string(out.path().join("evaluation.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        (json["bound"].clone(), json["samples"].clone())
    };
    let (bound, samples) = numbers();
    assert!(bound["total"]["mean"].as_f64().unwrap() > 0.0);
    assert_eq!(bound["ranges"].as_array().unwrap().len(), 2);
    assert!(samples["frechet"]["real"].as_f64().unwrap() > 0.0);
    assert!(samples["nearest"]["samples"]["least"].as_f64().unwrap() > 0.0);
    assert_eq!(numbers(), (bound, samples), "the same seed, other numbers");
}

#[test]
fn evaluation_of_classes() {
    let (data, out) = (data(), tempfile::tempdir().unwrap());
    let conditional = [&SMALL[..], &["--conditional"]].concat();
    assert!(run("mnist", &train(data.path(), out.path(), &conditional)).status.success());
    let weights = out.path().join("weights.safetensors");
    let mut command = Command::new(program("mnist"));
    command.args(["evaluate", "--weights", utf8(&weights), "--out", utf8(out.path()), "--threads", "1"]);
    command.args(["--pictures", "2", "--ranges", "1", "--samples", "12", "--steps", "1", "--classifier-epochs", "1"]);
    command.args(["--guidance", "1,3"]);
    let output = command.env_remove("LITERATE_DIFFUSION_DATA").current_dir(out.path()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json = fs::read_to_string(out.path().join("evaluation.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let samples = &json["samples"];
    assert_eq!(samples["count"], 20, "as many of each class");
    let of_their_class = &samples["classifier"]["samples_of_their_class"];
    assert!((0.0..=1.0).contains(&of_their_class["accuracy"].as_f64().unwrap()));
    assert!((0.0..=1.0).contains(&of_their_class["confidence"].as_f64().unwrap()));
    let guided = json["guided"].as_array().unwrap();
    assert_eq!((guided.len(), &samples["guidance"], &guided[0]["guidance"]), (1, &1.0.into(), &3.0.into()));
    assert_ne!(samples["frechet"]["samples"], guided[0]["frechet"]["samples"]);
    assert_eq!(samples["frechet"]["real"], guided[0]["frechet"]["real"]);
}

/// Without a command, pictures come of the weights that are in the project.
#[test]
fn shipped_weights() {
    let sample = |name: &str, more: &[&str]| {
        let out = tempfile::tempdir().unwrap();
        let common = ["--count", "2", "--steps", "2", "--threads", "1", "--out", utf8(out.path())];
        let output = run(name, &[&common[..], more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        image::open(out.path().join("samples.png")).unwrap().into_rgb8()
    };
    assert_eq!(sample("mnist", &[]).dimensions(), (58 + 2, 2 * 58 + 2));
    let of_no_class = sample("cifar100", &[]);
    assert_eq!(of_no_class.dimensions(), (66 + 2, 2 * 66 + 2));
    let of_class = sample("cifar100", &["--class", "82"]);
    assert_ne!(of_class, of_no_class);
    assert_ne!(of_class, sample("cifar100", &["--class", "82", "--guidance", "3"]));
    assert_eq!(of_no_class, sample("cifar100", &["--class", "82", "--guidance", "0"]));
}

/// Pictures are the same for a seed, in whatever batches, and are there as PNG.
#[test]
fn samples() {
    let (_, trained) = trained();
    let weights = trained.path().join("weights.safetensors");
    let sample = |more: &[&str]| {
        let out = tempfile::tempdir().unwrap();
        let common =
            ["sample", "--weights", utf8(&weights), "--out", utf8(out.path()), "--threads", "1", "--count", "5"];
        let output = run("mnist", &[&common[..], &["--steps", "3"], more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(out.path().join("reverse.png").exists());
        image::open(out.path().join("samples.png")).unwrap().into_luma8()
    };
    let first = sample(&[]);
    assert_eq!(first.dimensions(), (2 * 58 + 2, 3 * 58 + 2));
    assert_eq!(first, sample(&[]));
    assert_ne!(first, sample(&["--seed", "1"]));
    assert_ne!(first, sample(&["--variance", "beta"]));
    // Rounding may differ with the size of the batch.
    let apart = sample(&["--batch", "2"]);
    assert!(first.iter().zip(apart.iter()).all(|(a, b)| a.abs_diff(*b) <= 1));
}

#[test]
fn comparison() {
    let (_, trained) = trained();
    let checkpoint = trained.path().join("checkpoint.safetensors");
    let compare = |samples: &str| {
        let mut command = Command::new(program("mnist"));
        command.args(["compare", "--weights", utf8(&checkpoint), "--out", utf8(trained.path()), "--threads", "1"]);
        command.args(["--samples", samples, "--classifier-epochs", "1"]).env_remove("LITERATE_DIFFUSION_DATA");
        command.current_dir(trained.path()).output().unwrap()
    };
    expect(&compare("149"), 2, &["149", "297", "half"]);
    let output = compare("2");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json = fs::read_to_string(trained.path().join("compare.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    for way in ["real", "ddim-5", "ancestral-20-not-clipped", "raw-weights-20"] {
        assert!(json["ways"][way]["frechet"].as_f64().unwrap() > 0.0, "{way}: {json}");
    }
    let at_1 = &json["index_off_by_one"]["1"];
    assert_ne!(at_1["right"], at_1["one_too_far"]);
    assert!(trained.path().join("ddim-5.png").exists() && trained.path().join("ddim-5.json").exists());
}

#[test]
fn figures_of_the_book() {
    let (_, trained) = trained();
    let folder = trained.path();
    let weights = folder.join("weights.safetensors");
    let arguments = ["sample", "--weights", utf8(&weights), "--out", utf8(folder), "--count", "5", "--steps", "3"];
    assert!(run("mnist", &arguments).status.success());
    let samples = folder.join("samples.png");
    let panel = format!("3 < 4={}", utf8(&samples));
    let common = ["figure", "mnist-few", "--alt", "Digits & noise", "--out", utf8(folder)];
    let figure = |more: &[&str]| run("mnist", &[&common[..], more].concat());

    let output = figure(&[&panel, &panel, "--pictures", "3", "--columns", "3"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let svg = fs::read_to_string(folder.join("mnist-few.svg")).unwrap();
    assert!(svg.contains("<title>Digits &amp; noise</title>") && svg.contains(">3 &lt; 4</text>"), "{svg}");
    assert_eq!(svg.matches("href=\"data:image/png;base64,iVBORw0KGgo").count(), 2);
    let json: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("mnist-few.json")).unwrap()).unwrap();
    assert!(json["command"].as_str().unwrap().contains("--alt 'Digits & noise'"), "{json}");
    assert!(json["shows"][1]["command"].as_str().unwrap().contains("-- sample --weights"), "{json}");
    assert_eq!((&json["shows"][0]["steps"], &json["shows"][0]["seed"]), (&3.into(), &0.into()));

    expect(&figure(&["no file"]), 2, &["TITLE=PNG"]);
    expect(&run("mnist", &["figure", "../few", "--alt", "a", &panel]), 2, &["letters, digits", "--out"]);
    expect(&figure(&["x=nowhere.png"]), 1, &["there is no picture nowhere.png", "`sample`"]);
    let nowhere = folder.join("x.png");
    fs::copy(&samples, &nowhere).unwrap();
    fs::remove_file(folder.join("training.json")).unwrap();
    expect(&figure(&[&format!("x={}", utf8(&nowhere))]), 1, &["nothing says how", "x.json", "training.json"]);
    image::GrayImage::new(7, 7).save(&samples).unwrap();
    expect(&figure(&[&panel]), 1, &["is no grid of 28×28 pictures", "7×7"]);
}
