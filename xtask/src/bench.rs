//! `cargo xtask bench`: how fast things are, against what they are measured by, in one run on one machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::columns::{Columns, number, terminal_width};
use crate::project::{self, Project};

/// `q_sample` may take so many times as long as a copy of as many bytes.
const Q_SAMPLE_TIMES_COPY: f64 = 1.5;
/// The hand-written network is to train and sample so many times as fast as PyTorch.
const TIMES_PYTORCH: [f64; 2] = [3.0; 2];
/// The same network in libtorch is to train so many times as fast as PyTorch, and to sample no slower.
const TORCH_TIMES_PYTORCH: [f64; 2] = [2.5, 1.0];
/// The U-Net in bf16 is to train so many times as fast as PyTorch's in f32.
const BF16_TIMES_F32: f64 = 1.5;
/// The U-Net may take so many times as much memory as PyTorch's.
const MEMORY_TIMES_PYTORCH: f64 = 1.2;
/// Training steps after which the loss in bf16 is compared with that in f32.
const LOSS_STEPS: &str = "200";
/// The loss in bf16 may be so many times that in f32.
const BF16_LOSS: f64 = 1.02;
/// Loading a batch may take this share of a training step.
const LOADING_SHARE: f64 = 0.02;

/// Measure speed: the benches, and PyTorch beside them where a Python has it
///
/// Says where a goal is missed, and does not fail for it: on a busy machine times mean little.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A Python that has torch, to compare with
    #[arg(long, value_name = "PATH", env = "LITERATE_DIFFUSION_PYTHON")]
    python: Option<PathBuf>,
}

/// One line of the comparison.
#[derive(Debug, PartialEq)]
struct Comparison {
    what: String,
    ours: String,
    theirs: String,
    /// `None` where there was nothing to compare with.
    ratio: Option<f64>,
    goal: Goal,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Comparison {
    fn cells(self) -> [String; 6] {
        let (goal, met) = match self.goal {
            Goal::AtMost(goal) => (format!("at most {goal}"), self.ratio.map(|ratio| ratio <= goal)),
            Goal::AtLeast(goal) => (format!("at least {goal}"), self.ratio.map(|ratio| ratio >= goal)),
        };
        let verdict = match met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "not run",
        };
        let ratio = self.ratio.map_or("–".into(), |ratio| format!("{ratio:.2}"));
        [self.what, self.ours, self.theirs, ratio, goal, verdict.into()]
    }
}

/// What `benches/s_curve_rate.rs` and `benches/s_curve_pytorch.py` print on their last line (the part that is needed).
#[derive(Debug, PartialEq, Deserialize)]
struct Rates {
    best_train_steps_per_s: f64,
    best_sample_s: f64,
}

/// What `benches/unet_rate.rs` and `benches/unet_pytorch.py` print on their last line (the part that is needed).
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Images {
    best_train_images_per_s: f64,
    best_sample_step_images_per_s: f64,
    peak_mib: Option<f64>,
    loading_share: Option<f64>,
    /// The mean loss over the second half of [`LOSS_STEPS`].
    loss: Option<f64>,
}

/// One implementation of the U-Net: in f32 and, where the processor computes in bf16, in that.
struct Unet {
    f32: Images,
    bf16: Option<Images>,
}

pub fn run(project: &Project, args: &Args) -> Result<()> {
    if let Some(python) = &args.python {
        ensure!(
            project::exists(&python.to_string_lossy(), &["-c", "import torch"]),
            "{} cannot import torch; name a Python that can with --python, or leave it out",
            python.display()
        );
    }
    let mut comparisons = Vec::new();
    project::run(&mut project.cargo(&["bench", "--bench", "forward"]))?;
    comparisons.push(q_sample(&project.target.join("criterion/q_sample"))?);

    let ours = rates(&mut project.cargo(&["bench", "--quiet", "--bench", "s_curve_rate"]))?;
    let theirs = match &args.python {
        Some(python) => Some(rates(Command::new(python).arg("benches/s_curve_pytorch.py").current_dir(&project.root))?),
        None => None,
    };
    comparisons.extend(s_curve("", TIMES_PYTORCH, &ours, theirs.as_ref()));
    let torch = project.torch();
    if torch.is_ok() {
        let bench = |name| project.cargo(&["bench", "--quiet", "--features", "torch", "--bench", name, "--"]);
        let ours = rates(&mut bench("s_curve_torch_rate"))?;
        comparisons.extend(s_curve(" in libtorch", TORCH_TIMES_PYTORCH, &ours, theirs.as_ref()));
        let (ours, theirs) = unets(project, args.python.as_deref(), || bench("unet_rate"))?;
        comparisons.extend(unet(&ours, theirs.as_ref()));
    }

    let mut table = Columns::new(&["what", "ours", "theirs", "ratio", "goal", ""]);
    comparisons.into_iter().for_each(|comparison| table.row(comparison.cells()));
    print!("\n{}", table.text(terminal_width()));
    if let Err(why) = torch {
        println!("\nlibtorch: not run ({why})");
    } else if !has_bf16() {
        println!("\nbf16: not run (this processor has no instructions for it, or does not tell)");
    }
    println!(
        "\nCUDA: not run (these benches measure the CPU; `--device cuda` of `unet_rate` and `unet_pytorch.py` is there to try)"
    );
    if theirs.is_none() {
        println!("\nPyTorch: not run (name a Python that has torch with --python PATH)");
    }
    Ok(())
}

/// From what criterion left.
fn q_sample(folder: &Path) -> Result<Comparison> {
    let [ours, copy] = [median_seconds(&folder.join("q_sample"))?, median_seconds(&folder.join("copy"))?];
    Ok(Comparison {
        what: "q_sample of 10,000,000 numbers against a copy of as many bytes".into(),
        ours: format!("{:.1} ms", ours * 1e3),
        theirs: format!("{:.1} ms", copy * 1e3),
        ratio: Some(ours / copy),
        goal: Goal::AtMost(Q_SAMPLE_TIMES_COPY),
    })
}

fn median_seconds(folder: &Path) -> Result<f64> {
    let file = folder.join("new/estimates.json");
    let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    let estimates: Value = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))?;
    let nanoseconds = estimates["median"]["point_estimate"].as_f64();
    Ok(nanoseconds.with_context(|| format!("{} has no median.point_estimate", file.display()))? * 1e-9)
}

fn s_curve(where_to: &str, goals: [f64; 2], ours: &Rates, theirs: Option<&Rates>) -> [Comparison; 2] {
    let [of_training, of_sampling] = goals.map(Goal::AtLeast);
    [
        Comparison {
            what: format!("training steps/s of the classic S-curve{where_to} against PyTorch"),
            ours: format!("{:.0} /s", ours.best_train_steps_per_s),
            theirs: shown(theirs.map(|theirs| format!("{:.0} /s", theirs.best_train_steps_per_s))),
            ratio: theirs.map(|theirs| ours.best_train_steps_per_s / theirs.best_train_steps_per_s),
            goal: of_training,
        },
        Comparison {
            what: format!("sampling 10,000 points in 100 steps{where_to} against PyTorch"),
            ours: format!("{} s", number(ours.best_sample_s)),
            theirs: shown(theirs.map(|theirs| format!("{} s", number(theirs.best_sample_s)))),
            ratio: theirs.map(|theirs| theirs.best_sample_s / ours.best_sample_s),
            goal: of_sampling,
        },
    ]
}

fn shown(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".into())
}

/// Runs the U-Net on both sides, one precision after the other.
fn unets(project: &Project, python: Option<&Path>, bench: impl Fn() -> Command) -> Result<(Unet, Option<Unet>)> {
    let of_pytorch = |precision: &str| -> Result<Option<Images>> {
        let Some(python) = python else { return Ok(None) };
        let run = |layout: &[&str]| {
            let mut command = Command::new(python);
            command.args(["benches/unet_pytorch.py", "--precision", precision]).args(layout);
            images(command.current_dir(&project.root))
        };
        Ok(Some(better(run(&[])?, run(&["--contiguous"])?)))
    };
    let both = |precision| {
        let ours = images(bench().args(["--precision", precision, "--loss-steps", LOSS_STEPS]))?;
        Ok::<_, anyhow::Error>((ours, of_pytorch(precision)?))
    };
    let (ours, theirs) = both("f32")?;
    let (ours_bf16, theirs_bf16) = if has_bf16() { both("bf16").map(|(a, b)| (Some(a), b))? } else { (None, None) };
    let theirs = theirs.map(|f32| Unet { f32, bf16: theirs_bf16 });
    Ok((Unet { f32: ours, bf16: ours_bf16 }, theirs))
}

/// The best of two layouts in memory; the memory is that of the one that trains faster.
fn better(a: Images, b: Images) -> Images {
    let sample = a.best_sample_step_images_per_s.max(b.best_sample_step_images_per_s);
    let faster = if a.best_train_images_per_s >= b.best_train_images_per_s { a } else { b };
    Images { best_sample_step_images_per_s: sample, ..faster }
}

fn unet(ours: &Unet, theirs: Option<&Unet>) -> Vec<Comparison> {
    let rate = |what: &str, goal, ours: f64, theirs: Option<f64>| Comparison {
        what: what.into(),
        ours: format!("{ours:.1} /s"),
        theirs: shown(theirs.map(|theirs| format!("{theirs:.1} /s"))),
        ratio: theirs.map(|theirs| ours / theirs),
        goal: Goal::AtLeast(goal),
    };
    let (train, sample) =
        (|images: &Images| images.best_train_images_per_s, |images: &Images| images.best_sample_step_images_per_s);
    let theirs_f32 = theirs.map(|theirs| &theirs.f32);
    let theirs_bf16 = theirs.and_then(|theirs| theirs.bf16.as_ref());
    let mut comparisons = vec![
        rate("training images/s of the U-Net in f32 against PyTorch", 1.0, train(&ours.f32), theirs_f32.map(train)),
        rate("one sampling step in f32, images/s, against PyTorch", 1.0, sample(&ours.f32), theirs_f32.map(sample)),
    ];
    if let Some(ours) = &ours.bf16 {
        let (faster, bf16) = ("training in bf16 against PyTorch in f32", "training in bf16 against PyTorch's autocast");
        comparisons.push(rate(faster, BF16_TIMES_F32, train(ours), theirs_f32.map(train)));
        comparisons.push(rate(bf16, 1.0, train(ours), theirs_bf16.map(train)));
        let step = "one sampling step in bf16, images/s, against PyTorch's autocast";
        comparisons.push(rate(step, 1.0, sample(ours), theirs_bf16.map(sample)));
    }
    if let (Some(f32), Some(bf16)) = (ours.f32.loss, ours.bf16.as_ref().and_then(|bf16| bf16.loss)) {
        comparisons.push(Comparison {
            what: format!("loss in bf16 against ours in f32, the second half of {LOSS_STEPS} steps"),
            ours: format!("{bf16:.4}"),
            theirs: format!("{f32:.4}"),
            ratio: Some(bf16 / f32),
            goal: Goal::AtMost(BF16_LOSS),
        });
    }
    for (what, ours, theirs) in [
        ("memory at its peak in f32 against PyTorch", Some(&ours.f32), theirs_f32),
        ("memory at its peak in bf16 against PyTorch", ours.bf16.as_ref(), theirs_bf16),
    ] {
        let peak = |images: Option<&Images>| images.and_then(|images| images.peak_mib);
        let (Some(ours), theirs) = (peak(ours), peak(theirs)) else { continue };
        let mib = |peak: f64| format!("{peak:.0} MiB");
        comparisons.push(Comparison {
            what: what.into(),
            ours: mib(ours),
            theirs: shown(theirs.map(mib)),
            ratio: theirs.map(|theirs| ours / theirs),
            goal: Goal::AtMost(MEMORY_TIMES_PYTORCH),
        });
    }
    let fastest = ours.bf16.as_ref().unwrap_or(&ours.f32);
    comparisons.extend(fastest.loading_share.map(|share| Comparison {
        what: "loading a batch, as a share of the fastest training step".into(),
        ours: format!("{:.2} %", 100.0 * share),
        theirs: shown(None),
        ratio: Some(share),
        goal: Goal::AtMost(LOADING_SHARE),
    }));
    comparisons
}

/// Whether the processor computes in bf16, as far as Linux tells.
fn has_bf16() -> bool {
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    ["avx512_bf16", "amx_bf16", " bf16"].iter().any(|flag| flags.contains(flag))
}

fn images(command: &mut Command) -> Result<Images> {
    let images: Images = last_line(command)?;
    ensure!(
        images.best_train_images_per_s > 0.0 && images.best_sample_step_images_per_s > 0.0,
        "a rate must be above 0, but is not: {images:?}"
    );
    Ok(images)
}

fn rates(command: &mut Command) -> Result<Rates> {
    let rates: Rates = last_line(command)?;
    ensure!(
        rates.best_train_steps_per_s > 0.0 && rates.best_sample_s > 0.0,
        "a rate must be above 0, but is not: {rates:?}"
    );
    Ok(rates)
}

/// Runs a program, shows what it prints, and reads its last line.
fn last_line<T: DeserializeOwned>(command: &mut Command) -> Result<T> {
    println!("\n$ {}", project::shown(command));
    let output = project::output(command.stderr(Stdio::inherit()))?;
    let output = String::from_utf8_lossy(&output);
    print!("{output}");
    parse(&output).with_context(|| format!("what `{}` prints is not as expected", project::shown(command)))
}

fn parse<T: DeserializeOwned>(output: &str) -> Result<T> {
    let last = output.lines().rfind(|line| !line.trim().is_empty()).context("it printed nothing")?;
    serde_json::from_str(last).context("its last line is not the JSON of its rates")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Rates = Rates { best_train_steps_per_s: 2000.0, best_sample_s: 0.5 };
    const THEIRS: Rates = Rates { best_train_steps_per_s: 500.0, best_sample_s: 1.0 };

    #[test]
    fn ratios_are_held_to_their_goals() {
        let [train, sample] = s_curve("", [3.0; 2], &OURS, Some(&THEIRS)).map(Comparison::cells);
        assert_eq!(train[1..], ["2000 /s", "500 /s", "4.00", "at least 3", "met"]);
        assert_eq!(sample[1..], ["0.500 s", "1.000 s", "2.00", "at least 3", "MISSED"]);
    }

    #[test]
    fn what_was_not_run_is_said() {
        let [train, _] = s_curve("", [3.0; 2], &OURS, None).map(Comparison::cells);
        assert_eq!(train[2..], ["–", "–", "at least 3", "not run"]);
    }

    #[test]
    fn rates_are_the_last_line() {
        let line = r#"{"best_train_steps_per_s": 2000.0, "best_sample_s": 0.5, "torch": "2.13"}"#;
        assert_eq!(parse::<Rates>(&format!("2000 steps/s\n{line}\n\n")).unwrap(), OURS);
        assert!(parse::<Rates>("").unwrap_err().to_string().contains("printed nothing"));
        assert!(parse::<Rates>("done").unwrap_err().to_string().contains("not the JSON"));
        let zero = rates(Command::new("echo").arg(line.replace("0.5", "0"))).unwrap_err();
        assert!(zero.to_string().contains("above 0"), "{zero}");
    }

    fn measured(train: f64, sample: f64, peak: f64) -> Images {
        let (best_train_images_per_s, best_sample_step_images_per_s) = (train, sample);
        let peak_mib = Some(peak);
        Images { best_train_images_per_s, best_sample_step_images_per_s, peak_mib, loading_share: None, loss: None }
    }

    #[test]
    fn the_u_net_is_compared_with_the_best_of_pytorch() {
        let best = better(measured(90.0, 500.0, 900.0), measured(100.0, 400.0, 1000.0));
        assert_eq!(best, measured(100.0, 500.0, 1000.0));
        let theirs = Unet { f32: best, bf16: Some(measured(200.0, 1000.0, 800.0)) };
        let bf16 = Images { loading_share: Some(0.03), ..measured(180.0, 1100.0, 1200.0) };
        let ours = Unet { f32: measured(110.0, 450.0, 1100.0), bf16: Some(bf16) };
        let verdicts = |theirs| unet(&ours, theirs).into_iter().map(|one| one.cells()[5].clone()).collect::<Vec<_>>();
        let (yes, no) = ("met", "MISSED");
        assert_eq!(verdicts(Some(&theirs)), [yes, no, yes, no, yes, yes, no, no]);
        assert_eq!(verdicts(None), [["not run"; 7].as_slice(), &[no]].concat());
        let f32_alone = Unet { bf16: None, ..ours };
        assert_eq!(unet(&f32_alone, Some(&theirs)).len(), 3);
    }

    #[test]
    fn criterion_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for (name, nanoseconds) in [("q_sample", 6e7), ("copy", 3e7)] {
            let new = folder.path().join(name).join("new");
            std::fs::create_dir_all(&new).unwrap();
            let estimates = serde_json::json!({ "median": { "point_estimate": nanoseconds } });
            std::fs::write(new.join("estimates.json"), estimates.to_string()).unwrap();
        }
        let cells = q_sample(folder.path()).unwrap().cells();
        assert_eq!(cells[1..], ["60.0 ms", "30.0 ms", "2.00", "at most 1.5", "MISSED"]);
        std::fs::write(folder.path().join("copy/new/estimates.json"), "{}").unwrap();
        assert!(q_sample(folder.path()).unwrap_err().to_string().contains("copy/new/estimates.json has no median"));
    }
}
