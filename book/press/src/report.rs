//! What the checks of an equation measured: `target/checks/<slug>/*.json`, written by `tests/support`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::html::powers;
use crate::number::scientific;

/// One file of a report.
#[derive(Debug, Clone, Deserialize)]
pub struct Check {
    pub kind: String,
    pub cases: usize,
    /// A number, or the word "infinite".
    pub worst: Value,
    pub bound: f64,
    #[serde(default)]
    pub reason: String,
    /// Of a wrong variant: the check that it was given to.
    #[serde(default)]
    pub by: String,
    #[serde(default)]
    pub mistake: String,
    #[serde(default)]
    pub rejected: usize,
}

impl Check {
    pub fn is_wrong_variant(&self) -> bool {
        self.kind == "wrong-variant"
    }

    /// Whether the error is a z-score, in standard errors.
    pub fn is_statistical(&self) -> bool {
        self.kind == "monte-carlo" || self.by == "monte-carlo"
    }

    /// "2.3 × 10⁻¹⁶", "0.6 σ", as HTML.
    pub fn worst(&self) -> String {
        match self.worst.as_f64() {
            None => "∞".into(),
            Some(z) if self.is_statistical() => format!("{z:.1} σ"),
            Some(0.0) => "0".into(),
            Some(error) if (1e-3..1e4).contains(&error) => two_digits(error),
            Some(error) => powers(&scientific(error, 1)),
        }
    }

    pub fn bound(&self) -> String {
        match self.bound {
            z if self.is_statistical() => format!("{z:.1} σ"),
            0.0 => "0".into(),
            bound => powers(&scientific(bound, usize::from(bound.log10().fract() != 0.0))),
        }
    }

    /// How near to its bound the error came.
    fn share(&self) -> f64 {
        let worst = self.worst.as_f64().unwrap_or(f64::INFINITY);
        if worst == 0.0 { 0.0 } else { worst / self.bound }
    }
}

/// All that was measured of one equation.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub checks: Vec<Check>,
    pub wrong_variants: Vec<Check>,
}

impl Report {
    pub fn new(files: Vec<Check>) -> Self {
        let (wrong_variants, checks) = files.into_iter().partition(Check::is_wrong_variant);
        Self { checks, wrong_variants }
    }

    /// Two kinds that need no libtorch, and a wrong variant: what the book demands.
    pub fn lacks(&self) -> Option<String> {
        let kinds: Vec<&str> = self.checks.iter().map(|check| check.kind.as_str()).filter(|k| *k != "torch").collect();
        match (kinds.len(), self.wrong_variants.is_empty()) {
            (0, _) => Some("no report".into()),
            (1, _) => Some(format!("only one kind of check beside torch ({}); two are needed", kinds[0])),
            (_, true) => Some("no wrong variant".into()),
            _ => None,
        }
    }

    pub fn torch_was_run(&self) -> bool {
        self.checks.iter().any(|check| check.kind == "torch")
    }

    pub fn cases(&self) -> usize {
        self.checks.iter().map(|check| check.cases).sum()
    }

    /// Of the checks that measure an error (`false`) or a z-score (`true`), the one that came nearest to its bound.
    pub fn nearest(&self, statistical: bool) -> Option<&Check> {
        let of_the_sort = self.checks.iter().filter(|check| check.is_statistical() == statistical);
        of_the_sort.max_by(|a, b| a.share().total_cmp(&b.share()))
    }
}

/// "0.19", "4.2", "690".
fn two_digits(error: f64) -> String {
    let decimals = (1.0 - error.log10().floor()).max(0.0) as usize;
    format!("{error:.decimals$}")
}

/// The name of a kind, as a reader knows it.
pub fn kind_name(kind: &str) -> &str {
    match kind {
        "monte-carlo" => "Monte Carlo",
        "round-trip" => "round trip",
        "finite-difference" => "finite differences",
        "published" => "published value",
        other => other,
    }
}

/// Reads the reports of all equations, by slug.
pub fn read(folder: &Path) -> Result<BTreeMap<String, Report>> {
    let mut reports = BTreeMap::new();
    let Ok(slugs) = std::fs::read_dir(folder) else { return Ok(reports) };
    for slug in slugs {
        let slug = slug?;
        let mut files = Vec::new();
        let mut paths: Vec<_> = std::fs::read_dir(slug.path())?.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "json")) {
            let text = std::fs::read_to_string(path)?;
            let check: Check =
                serde_json::from_str(&text).with_context(|| format!("{} is not a report", path.display()))?;
            files.push(check);
        }
        reports.insert(slug.file_name().to_string_lossy().into_owned(), Report::new(files));
    }
    Ok(reports)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, worst: f64, bound: f64) -> Check {
        let json = serde_json::json!({"kind": kind, "cases": 4, "worst": worst, "bound": bound});
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn two_kinds_without_torch_and_a_wrong_variant_are_needed() {
        let report = |kinds: &[&str]| Report::new(kinds.iter().map(|kind| check(kind, 1e-16, 1e-12)).collect());
        assert!(report(&[]).lacks().unwrap().contains("no report"));
        assert!(report(&["torch"]).lacks().unwrap().contains("no report"));
        assert!(report(&["identity", "torch", "wrong-variant"]).lacks().unwrap().contains("only one kind"));
        assert!(report(&["identity", "limit"]).lacks().unwrap().contains("wrong variant"));
        assert_eq!(report(&["identity", "limit", "wrong-variant"]).lacks(), None);
    }

    #[test]
    fn errors_are_written_as_a_reader_would() {
        let worst = |error| check("wrong-variant", error, 1e-12).worst();
        assert_eq!([worst(0.188), worst(4.21), worst(692.0), worst(0.0012)], ["0.19", "4.2", "692", "0.0012"]);
        assert_eq!(worst(12_345.0), "1.2 × 10<sup>4</sup>");
    }

    #[test]
    fn the_check_nearest_to_its_bound_is_shown() {
        let report = Report::new(vec![
            check("identity", 1e-15, 1e-12),
            check("limit", 2e-15, 1e-13),
            check("monte-carlo", 1.26, 6.5),
        ]);
        let nearest = report.nearest(false).unwrap();
        assert_eq!((nearest.worst(), nearest.bound()), ("2.0 × 10<sup>−15</sup>".into(), "10<sup>−13</sup>".into()));
        assert_eq!(report.nearest(true).unwrap().worst(), "1.3 σ");
    }
}
