//! What the checks wrote to `target/checks/<slug>/<kind>.json`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kinds of check that count. Torch comes on top of two of these.
pub const KINDS: [&str; 7] =
    ["identity", "round-trip", "limit", "quadrature", "monte-carlo", "finite-difference", "published"];
/// The check against the independent implementation in libtorch.
pub const TORCH: &str = "torch";

/// One check that held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    pub slug: String,
    pub kind: String,
    /// The test file, without `.rs`.
    pub file: String,
    pub cases: u64,
    pub worst: f64,
    pub bound: f64,
    pub reason: String,
    pub seed: u64,
    /// How often, in the mean, a right formula fails this check, if what it draws is Gaussian.
    pub false_alarm: f64,
    /// What a check against torch ran on: the CPU, and CUDA where it is there.
    #[serde(default)]
    pub devices: Vec<String>,
}

impl Check {
    /// How much of the bound is used.
    pub fn share(&self) -> f64 {
        if self.worst == 0.0 { 0.0 } else { self.worst / self.bound }
    }
}

/// One mistake that a check rejected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WrongVariant {
    pub slug: String,
    pub file: String,
    pub mistake: String,
    /// The kind of check that rejected it.
    pub by: String,
    pub cases: u64,
    pub rejected: u64,
    /// A number, or "infinite".
    pub worst: Value,
    pub bound: f64,
}

/// All reports of one slug.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Reports {
    pub checks: Vec<Check>,
    pub wrong_variants: Vec<WrongVariant>,
}

impl Reports {
    /// The reports of the check's kind, except for torch.
    pub fn without_torch(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.kind != TORCH)
    }

    pub fn torch(&self) -> Option<&Check> {
        self.checks.iter().find(|check| check.kind == TORCH)
    }
}

/// Reads all reports, by slug. What cannot be read or makes no sense is an error that names the file.
pub fn read(checks: &Path) -> Result<BTreeMap<String, Reports>> {
    let mut all: BTreeMap<String, Reports> = BTreeMap::new();
    for file in files(checks)? {
        let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let folder = file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        let reports = all.entry(folder.to_string()).or_default();
        let add = || "it is not a report; delete target/checks and run `cargo xtask equations` again";
        add_report(reports, &folder, &text).with_context(add).with_context(|| file.display().to_string())?;
    }
    for reports in all.values_mut() {
        reports.checks.sort_by_key(|check| KINDS.iter().position(|kind| *kind == check.kind));
        reports.wrong_variants.sort_by(|a, b| a.mistake.cmp(&b.mistake));
    }
    Ok(all)
}

/// When the oldest report was written; `None` where there is none.
pub fn oldest(checks: &Path) -> Result<Option<SystemTime>> {
    let times = files(checks)?.into_iter().map(|file| Ok(file.metadata()?.modified()?));
    Ok(times.collect::<Result<Vec<_>>>()?.into_iter().min())
}

/// Removes all reports, so that those of checks that are no more do not linger.
pub fn remove(checks: &Path) -> Result<()> {
    if !checks.exists() {
        return Ok(());
    }
    std::fs::remove_dir_all(checks).with_context(|| format!("{} cannot be removed", checks.display()))
}

fn files(checks: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    if !checks.exists() {
        return Ok(files);
    }
    for folder in std::fs::read_dir(checks).with_context(|| format!("{} cannot be read", checks.display()))? {
        for file in std::fs::read_dir(folder?.path())? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn add_report(reports: &mut Reports, folder: &str, text: &str) -> Result<()> {
    let value: Value = serde_json::from_str(text)?;
    // JSON has no NaN: it is written as null.
    for field in ["worst", "bound", "false_alarm"] {
        ensure!(value.get(field) != Some(&Value::Null), "`{field}` is not a number (NaN or infinite)");
    }
    let text_of = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (slug, kind) = (text_of("slug"), text_of("kind"));
    ensure!(slug == folder, "its slug is `{slug}`, but it lies in the folder of `{folder}`");
    if kind == "wrong-variant" {
        let wrong: WrongVariant = serde_json::from_value(value)?;
        ensure!(wrong.rejected > 0, "the mistake \"{}\" was not rejected", wrong.mistake);
        reports.wrong_variants.push(wrong);
        return Ok(());
    }
    if kind != TORCH && !KINDS.contains(&kind.as_str()) {
        bail!("its kind is `{kind}`, but it must be one of {}, {TORCH}, wrong-variant", KINDS.join(", "));
    }
    let check: Check = serde_json::from_value(value)?;
    ensure!(check.cases > 0, "it has no case");
    ensure!(check.worst <= check.bound, "its worst error {:e} is above its bound {:e}", check.worst, check.bound);
    ensure!((0.0..1.0).contains(&check.false_alarm), "its false-alarm rate {} is not a probability", check.false_alarm);
    reports.checks.push(check);
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A good report of `q_sample`.
    pub fn check(kind: &str) -> Check {
        Check {
            slug: "q_sample".into(),
            kind: kind.into(),
            file: "forward".into(),
            cases: 256,
            worst: 1e-15,
            bound: 1e-12,
            reason: "a few roundings".into(),
            seed: 0,
            false_alarm: 0.0,
            devices: if kind == TORCH { vec!["the CPU".into()] } else { vec![] },
        }
    }

    /// A mistake that was rejected.
    pub fn wrong_variant() -> WrongVariant {
        WrongVariant {
            slug: "q_sample".into(),
            file: "forward".into(),
            mistake: "a plus for a times".into(),
            by: "identity".into(),
            cases: 256,
            rejected: 200,
            worst: Value::from("infinite"),
            bound: 1e-12,
        }
    }

    fn json(report: &impl Serialize) -> Value {
        serde_json::to_value(report).unwrap()
    }

    /// What is said of a report with one field changed.
    fn complaint(field: &str, value: Value) -> String {
        let mut report = json(&check("identity"));
        report[field] = value;
        format!("{:#}", add_report(&mut Reports::default(), "q_sample", &report.to_string()).unwrap_err())
    }

    #[test]
    fn good_reports_are_read() {
        let mut reports = Reports::default();
        add_report(&mut reports, "q_sample", &json(&check("identity")).to_string()).unwrap();
        let mut wrong = json(&wrong_variant());
        wrong["kind"] = "wrong-variant".into();
        add_report(&mut reports, "q_sample", &wrong.to_string()).unwrap();
        assert_eq!((&reports.checks[0], &reports.wrong_variants[0]), (&check("identity"), &wrong_variant()));
    }

    #[test]
    fn bad_reports_are_rejected() {
        assert!(complaint("worst", Value::Null).contains("`worst` is not a number"));
        assert!(complaint("worst", 1.0.into()).contains("worst error 1e0 is above its bound 1e-12"));
        assert!(complaint("worst", "small".into()).contains("expected f64"));
        assert!(complaint("bound", Value::Null).contains("`bound` is not a number"));
        assert!(complaint("cases", 0.into()).contains("no case"));
        assert!(complaint("cases", (-1).into()).contains("expected u64"));
        assert!(complaint("kind", "guess".into()).contains("its kind is `guess`"));
        assert!(
            complaint("slug", "q_step".into())
                .contains("its slug is `q_step`, but it lies in the folder of `q_sample`")
        );
        assert!(complaint("false_alarm", 2.into()).contains("not a probability"));
    }

    #[test]
    fn a_mistake_that_got_through_is_rejected() {
        let mut wrong = json(&WrongVariant { rejected: 0, ..wrong_variant() });
        wrong["kind"] = "wrong-variant".into();
        let error = add_report(&mut Reports::default(), "q_sample", &wrong.to_string()).unwrap_err();
        assert!(error.to_string().contains("\"a plus for a times\" was not rejected"));
    }

    #[test]
    fn an_error_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let checks = folder.path().join("checks");
        assert!(read(&checks).unwrap().is_empty(), "no folder is no report");
        std::fs::create_dir_all(checks.join("q_sample")).unwrap();
        std::fs::write(checks.join("q_sample/identity.json"), "{ \"slug\": ").unwrap();
        let error = format!("{:#}", read(&checks).unwrap_err());
        assert!(error.contains("q_sample/identity.json: it is not a report"), "{error}");
        assert!(error.contains("EOF while parsing"), "{error}");
        remove(&checks).unwrap();
        assert!(!checks.exists());
    }

    #[test]
    fn torch_does_not_count() {
        let reports = Reports { checks: vec![check("identity"), check(TORCH)], wrong_variants: vec![] };
        assert_eq!(reports.without_torch().count(), 1);
        assert_eq!(reports.torch(), Some(&check(TORCH)));
    }

    #[test]
    fn the_share_of_a_bound_of_0_is_0() {
        assert_eq!(Check { worst: 0.0, bound: 0.0, ..check("limit") }.share(), 0.0);
        assert_eq!(Check { worst: 1.0, bound: 4.0, ..check("limit") }.share(), 0.25);
    }
}
