//! `cargo xtask equations`: every equation, how it was checked, and how far off it was at worst.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::columns::{Columns, count, number, terminal_width, thousands};
use crate::project::{self, Project};
use crate::registry::{self, Equation, Registry};
use crate::reports::{self, Check, Reports};

/// A run of all Monte Carlo checks on right formulas fails less often than this.
const MAX_FALSE_ALARM: f64 = 1e-6;
/// How many kinds of check an equation needs, torch not counted.
const MIN_KINDS: usize = 2;

/// Print every equation with its checks, worst error and bound; fail where one lacks them
///
/// The numbers are from the last run of the tests. Where they are missing or older than the sources, the tests are run
/// first.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Show all checks of one equation
    #[arg(long, conflicts_with = "json")]
    slug: Option<String>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
    /// Fail where there are fewer equations
    #[arg(long, value_name = "N", default_value_t = 0)]
    at_least: usize,
    /// Take the reports as they are, even if they are old
    #[arg(long)]
    no_run: bool,
}

impl Args {
    /// The table of what was just run.
    pub fn of_last_run(at_least: usize) -> Self {
        Self { at_least, no_run: true, ..Self::default() }
    }
}

/// All that is known, as it is printed and as it is given to programs.
#[derive(Serialize)]
pub struct Table {
    pub equations: Vec<Row>,
    pub totals: Totals,
    /// Why torch was not run; `None` where it was.
    pub torch_not_run: Option<&'static str>,
    /// What is wrong, in sentences.
    pub problems: Vec<String>,
}

/// An equation with its reports.
#[derive(Serialize)]
pub struct Row {
    #[serde(flatten)]
    pub equation: Equation,
    #[serde(flatten)]
    pub reports: Reports,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    pub equations: usize,
    pub checks: usize,
    pub cases: u64,
    pub wrong_variants: usize,
    /// How often, in the mean, a run of the suite fails although all formulas are right.
    pub false_alarm: f64,
}

pub fn run(project: &Project, args: &Args) -> Result<()> {
    if !args.no_run {
        refresh(project)?;
    }
    let table = Table::read(project, args.at_least)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&table)?);
    } else if let Some(slug) = &args.slug {
        let row = table.equations.iter().find(|row| row.equation.slug == *slug);
        print!("{}", details(row.with_context(|| no_such_slug(slug, &table))?, table.torch_not_run));
        return Ok(());
    } else {
        print!("{}", text(&table, terminal_width()));
    }
    match table.problems.as_slice() {
        [] => Ok(()),
        [problem] => bail!("the table of equations has a gap:\n  {problem}"),
        problems => bail!("the table of equations has {} gaps:\n  {}", problems.len(), problems.join("\n  ")),
    }
}

/// Runs the tests where the reports do not fit the sources.
pub fn refresh(project: &Project) -> Result<()> {
    let Some(why) = outdated(project)? else { return Ok(()) };
    eprintln!("Running the tests first, because {why}.");
    reports::remove(&project.checks())?;
    let features: &[&str] = if project.torch().is_ok() { &["--features", "torch"] } else { &[] };
    // Some tests run the examples, which `cargo test --tests` does not build. Standard output is for the table.
    project::output(project.cargo(&["build", "--quiet", "--examples"]).args(features))?;
    let tests = project::output(project.cargo(&["test", "--quiet", "--tests"]).args(features));
    tests.context("the tests failed, so there is no table; mend them and run `cargo xtask equations` again")?;
    Ok(())
}

/// Why the reports cannot be used, if they cannot.
fn outdated(project: &Project) -> Result<Option<String>> {
    let Some(oldest) = reports::oldest(&project.checks())? else { return Ok(Some("there are no reports".into())) };
    for folder in ["src", "tests"] {
        for file in registry::rust_files(&project.root.join(folder))? {
            let changed: SystemTime = file.metadata()?.modified()?;
            if changed > oldest {
                let name = file.strip_prefix(&project.root).unwrap_or(&file);
                return Ok(Some(format!("{} is newer than the oldest report", name.display())));
            }
        }
    }
    let reports = reports::read(&project.checks())?;
    let registry = Registry::read(&project.root)?;
    let missing = registry.equations.iter().find(|equation| !reports.contains_key(&equation.slug));
    if let Some(equation) = missing {
        return Ok(Some(format!("there is no report of `{}`", equation.slug)));
    }
    let torch = reports.values().any(|reports| reports.torch().is_some());
    Ok((project.torch().is_ok() && !torch).then(|| "there is no report of the checks by torch".into()))
}

impl Table {
    /// Puts sources and reports together, and judges them.
    pub fn read(project: &Project, at_least: usize) -> Result<Self> {
        let torch_not_run = project.torch().err();
        Ok(Self::of(Registry::read(&project.root)?, reports::read(&project.checks())?, at_least, torch_not_run))
    }

    fn of(
        registry: Registry,
        mut reports: BTreeMap<String, Reports>,
        at_least: usize,
        torch_not_run: Option<&'static str>,
    ) -> Self {
        let Registry { equations, mut problems } = registry;
        let slugs: BTreeSet<String> = equations.iter().map(|equation| equation.slug.clone()).collect();
        let rows: Vec<Row> = equations
            .into_iter()
            .map(|equation| Row { reports: reports.get(&equation.slug).cloned().unwrap_or_default(), equation })
            .collect();
        problems.extend(rows.iter().flat_map(Row::problems));
        reports.retain(|slug, _| !slugs.contains(slug));
        problems.extend(reports.iter().map(|(slug, reports)| {
            let file = reports.checks.iter().map(|c| &c.file).chain(reports.wrong_variants.iter().map(|w| &w.file)).next();
            let file = file.map_or("a test", String::as_str);
            format!("tests/{file}.rs: `mod {slug}` reports on an equation `{slug}` that src/ does not have; name it as its equation")
        }));
        let totals = Totals::of(&rows);
        if totals.equations < at_least {
            problems.push(format!("there are {} equations, but at least {at_least} are expected", totals.equations));
        }
        if totals.false_alarm >= MAX_FALSE_ALARM {
            problems.push(format!(
                "a run of the Monte Carlo checks gives a false alarm at a nominal rate of {:.1e}, but it must be below {MAX_FALSE_ALARM:e}; \
                 use fewer statistics or raise MAX_Z in tests/support/mod.rs",
                totals.false_alarm
            ));
        }
        Self { equations: rows, totals, torch_not_run, problems }
    }
}

impl Totals {
    fn of(rows: &[Row]) -> Self {
        let checks = || rows.iter().flat_map(|row| &row.reports.checks);
        Self {
            equations: rows.len(),
            checks: checks().count(),
            cases: checks().map(|check| check.cases).sum(),
            wrong_variants: rows.iter().map(|row| row.reports.wrong_variants.len()).sum(),
            false_alarm: checks().map(|check| check.false_alarm).sum(),
        }
    }
}

impl Row {
    /// What this equation lacks.
    fn problems(&self) -> Vec<String> {
        let Equation { slug, file, line, .. } = &self.equation;
        let tests = format!("tests/{}.rs", self.equation.stem());
        let kinds: BTreeSet<&str> = self.reports.without_torch().map(|check| check.kind.as_str()).collect();
        let mut problems = Vec::new();
        if kinds.is_empty() {
            return vec![format!(
                "{file}:{line}: `{slug}` has no report, but {MIN_KINDS} different kinds of check and a wrong variant are \
                 expected; add `mod {slug}` with them to {tests}"
            )];
        }
        if kinds.len() < MIN_KINDS {
            let met = kinds.into_iter().collect::<Vec<_>>().join(", ");
            problems.push(format!(
                "{file}:{line}: `{slug}` is checked by {met} alone, but {MIN_KINDS} different kinds are expected \
                 (torch not counted); add one to `mod {slug}` in {tests}"
            ));
        }
        if self.reports.wrong_variants.is_empty() {
            problems.push(format!(
                "{file}:{line}: `{slug}` has no wrong variant, but one is expected; add a mistake that its check rejects \
                 to `mod {slug}` in {tests}"
            ));
        }
        problems
    }

    /// The check, among those whose errors are not standard errors, that is closest to its bound.
    fn closest(&self) -> Option<&Check> {
        let exact = self.reports.without_torch().filter(|check| check.kind != "monte-carlo");
        exact.max_by(|a, b| a.share().total_cmp(&b.share()))
    }

    fn cells(&self, torch_not_run: bool) -> Vec<String> {
        let error = |value: Option<f64>| value.map_or("–".into(), number);
        let kinds: Vec<&str> = self.reports.without_torch().map(|check| check.kind.as_str()).collect();
        let cases: u64 = self.reports.checks.iter().map(|check| check.cases).sum();
        let closest = self.closest();
        let monte_carlo = self.reports.checks.iter().find(|check| check.kind == "monte-carlo");
        let torch = match self.reports.torch() {
            Some(check) => format!("{} of {}", number(check.worst), number(check.bound)),
            None if torch_not_run => "not run".into(),
            None => "–".into(),
        };
        vec![
            self.equation.slug.clone(),
            if kinds.is_empty() { "NONE".into() } else { kinds.join(", ") },
            thousands(cases),
            error(closest.map(|check| check.worst)),
            error(closest.map(|check| check.bound)),
            monte_carlo.map_or("–".into(), |check| format!("{:.1}", check.worst)),
            self.reports.wrong_variants.len().to_string(),
            torch,
            self.equation.formula.clone(),
        ]
    }
}

fn no_such_slug(slug: &str, table: &Table) -> String {
    let all: Vec<&str> = table.equations.iter().map(|row| row.equation.slug.as_str()).collect();
    format!("there is no equation `{slug}`; the equations are: {}", all.join(", "))
}

/// The table for a reader.
fn text(table: &Table, width: Option<usize>) -> String {
    let mut columns =
        Columns::new(&["slug", "kinds of check", "cases", "worst", "bound", "|z|", "wrong", "torch", "formula"]);
    let mut module = "";
    for row in &table.equations {
        if row.equation.module != module {
            module = &row.equation.module;
            columns.heading(module);
        }
        columns.row(row.cells(table.torch_not_run.is_some()));
    }
    let totals = &table.totals;
    let devices: BTreeSet<&str> = table
        .equations
        .iter()
        .filter_map(|row| row.reports.torch())
        .flat_map(|check| check.devices.iter().map(String::as_str))
        .collect();
    let on = devices.into_iter().collect::<Vec<_>>().join(" and ");
    let torch = table.torch_not_run.map_or(format!("torch: run on {on}"), |why| format!("torch: not run ({why})"));
    format!(
        "{}\n{}, {}, {}; {} rejected; {torch}\n\
         A run gives a false alarm at a nominal rate of {:.1e} (below {MAX_FALSE_ALARM:e}).\n\
         worst, bound: of the check closest to its bound; |z|: the worst of the Monte Carlo estimates, in standard errors \
         (bound 6.5); wrong: wrong variants rejected. All of one equation: cargo xtask equations --slug SLUG\n",
        columns.text(width),
        count(totals.equations as u64, "equation"),
        count(totals.checks as u64, "check"),
        count(totals.cases, "case"),
        count(totals.wrong_variants as u64, "wrong variant"),
        totals.false_alarm,
    )
}

/// All that is known of one equation.
fn details(row: &Row, torch_not_run: Option<&str>) -> String {
    let Equation { slug, module, file, line, summary, formula, source } = &row.equation;
    let mut text = format!("{module}::{slug} ({file}:{line})\n  {summary}\n  {formula}\n  {source}\n\nchecks\n");
    for check in &row.reports.checks {
        text += &format!(
            "  {}: {}, worst {} of {} ({}), seed {}; tests/{}.rs\n",
            check.kind,
            count(check.cases, "case"),
            number(check.worst),
            number(check.bound),
            check.reason,
            check.seed,
            check.file
        );
    }
    if let (Some(why), None) = (torch_not_run, row.reports.torch()) {
        text += &format!("  torch: not run ({why})\n");
    }
    text += "\nwrong variants, rejected\n";
    for wrong in &row.reports.wrong_variants {
        let worst = wrong.worst.as_f64().map_or("infinite".into(), number);
        text += &format!(
            "  {}: by {} in {} of {}, worst {worst} against {}; tests/{}.rs\n",
            wrong.mistake,
            wrong.by,
            thousands(wrong.rejected),
            count(wrong.cases, "case"),
            number(wrong.bound),
            wrong.file
        );
    }
    text + &format!("\nreplay: cargo test --test {} {slug}\n", row.equation.stem())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::tests::{check, wrong_variant};

    fn equation(slug: &str) -> Equation {
        Equation {
            slug: slug.into(),
            module: "forward".into(),
            file: "src/forward.rs".into(),
            line: 7,
            summary: "Draws x_t.".into(),
            formula: "x_t = √ᾱ_t · x_0 + √(1 − ᾱ_t) · ε".into(),
            source: "Ho et al. 2020".into(),
        }
    }

    /// The table of one equation, `q_sample`, with the given checks and one wrong variant.
    fn table(checks: Vec<Check>) -> Table {
        let reports = Reports { checks, wrong_variants: vec![wrong_variant()] };
        of(vec![equation("q_sample")], [("q_sample".to_owned(), reports)].into(), 0)
    }

    fn of(equations: Vec<Equation>, reports: BTreeMap<String, Reports>, at_least: usize) -> Table {
        Table::of(Registry { equations, problems: vec![] }, reports, at_least, Some("no libtorch"))
    }

    #[test]
    fn two_kinds_and_a_wrong_variant_are_enough() {
        let table = table(vec![check("identity"), check("monte-carlo")]);
        assert_eq!(table.problems, [""; 0]);
        let expected = Totals { equations: 1, checks: 2, cases: 512, wrong_variants: 1, false_alarm: 0.0 };
        assert_eq!(table.totals, expected);
    }

    #[test]
    fn one_kind_is_too_few_and_torch_does_not_count() {
        let table = table(vec![check("identity"), check(reports::TORCH)]);
        assert_eq!(
            table.problems,
            ["src/forward.rs:7: `q_sample` is checked by identity alone, but 2 different kinds are expected \
              (torch not counted); add one to `mod q_sample` in tests/forward.rs"]
        );
    }

    #[test]
    fn no_report_and_no_wrong_variant_are_problems() {
        let problems = of(vec![equation("q_sample")], BTreeMap::new(), 0).problems;
        assert!(problems.len() == 1 && problems[0].contains("has no report"), "{problems:?}");
        let untested = Reports { checks: vec![check("identity"), check("limit")], wrong_variants: vec![] };
        let problems = of(vec![equation("q_sample")], [("q_sample".to_owned(), untested)].into(), 0).problems;
        assert!(problems.len() == 1 && problems[0].contains("has no wrong variant"), "{problems:?}");
    }

    #[test]
    fn a_report_of_no_equation_is_a_problem() {
        let reports = Reports { checks: vec![check("identity")], wrong_variants: vec![] };
        let problems = of(vec![], [("q_sampel".to_owned(), reports)].into(), 0).problems;
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("tests/forward.rs: `mod q_sampel` reports on an equation"), "{problems:?}");
    }

    #[test]
    fn false_alarms_add_up() {
        let often = Check { false_alarm: 6e-7, ..check("monte-carlo") };
        let problems = table(vec![often.clone(), Check { kind: "identity".into(), ..often }]).problems;
        assert!(problems[0].contains("at a nominal rate of 1.2e-6, but it must be below 1e-6"), "{problems:?}");
    }

    #[test]
    fn too_few_equations_are_a_problem() {
        assert_eq!(of(vec![], BTreeMap::new(), 45).problems, ["there are 0 equations, but at least 45 are expected"]);
    }

    #[test]
    fn the_row_shows_the_check_closest_to_its_bound() {
        let close = Check { worst: 9e-13, ..check("limit") };
        let z = Check { worst: 6.4, bound: 6.5, ..check("monte-carlo") };
        let cells = table(vec![check("identity"), close, z]).equations[0].cells(true);
        let expected = ["q_sample", "identity, limit, monte-carlo", "768", "9.0e-13", "1.0e-12", "6.4", "1", "not run"];
        assert_eq!(cells[..8], expected);
    }

    #[test]
    fn the_text_has_the_totals() {
        let text = text(&table(vec![check("identity"), check("limit")]), None);
        assert!(
            text.contains("1 equation, 2 checks, 512 cases; 1 wrong variant rejected; torch: not run (no libtorch)"),
            "{text}"
        );
    }
}
