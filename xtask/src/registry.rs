//! The equations of the crate, read from its sources.
//!
//! An equation is an item between `// ANCHOR: slug` and `// ANCHOR_END: slug` whose docstring, right above the anchor, has
//! a section `# Formula` that ends in ``(slug `slug`)``. An anchor below a docstring without one is code that a chapter
//! shows, and no equation; should there be tests of it all the same, `cargo xtask equations` complains of their reports.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::project::is_mathematics;

/// One equation, as its docstring has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Equation {
    /// The one word for it everywhere.
    pub slug: String,
    /// The module that holds it, such as `forward` or `mlp::adam`.
    pub module: String,
    /// Its file, from the root.
    pub file: String,
    /// The line of its anchor.
    pub line: usize,
    /// The first paragraph of the docstring.
    pub summary: String,
    /// The formula in Unicode, without the slug.
    pub formula: String,
    /// The paper that it is from.
    pub source: String,
}

impl Equation {
    /// The chapter's one word: the first part of the module.
    pub fn stem(&self) -> &str {
        self.module.split("::").next().unwrap_or(&self.module)
    }
}

/// The equations in the order of the chapters, and what is wrong with them.
#[derive(Debug, Default)]
pub struct Registry {
    pub equations: Vec<Equation>,
    pub problems: Vec<String>,
}

impl Registry {
    /// Reads every file below `src/`, except for the twin (`src/torch/`) and the loaders (`src/data/`).
    pub fn read(root: &Path) -> Result<Self> {
        let mut registry = Self::default();
        for file in rust_files(&root.join("src"))? {
            let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().replace('\\', "/");
            if !is_mathematics(&name) {
                continue;
            }
            let text = std::fs::read_to_string(&file).with_context(|| format!("{name} cannot be read"))?;
            registry.add_source(&name, &text);
        }
        registry.reject_repeated_slugs();
        let lib = std::fs::read_to_string(root.join("src/lib.rs")).context("src/lib.rs cannot be read")?;
        registry.sort_as_read(&lib);
        Ok(registry)
    }

    /// Sorts the equations as a reader meets them: by the table of chapters at the head of `src/lib.rs`.
    fn sort_as_read(&mut self, lib: &str) {
        let place = |equation: &Equation| lib.find(&format!("[`{}`]", equation.stem())).unwrap_or(usize::MAX);
        self.equations.sort_by_key(place);
    }

    /// Adds the equations of one file.
    pub fn add_source(&mut self, file: &str, text: &str) {
        let module = module_of(file);
        let mut doc: Vec<&str> = Vec::new();
        let mut open: Option<(&str, usize, bool)> = None;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if let Some(slug) = line.strip_prefix("// ANCHOR:").map(str::trim) {
                let equation = self.add_anchor(&module, file, number, slug, &doc);
                doc.clear();
                // Code that is no equation need not be a function of that name.
                open = Some((slug, number, !equation));
            } else if let Some(slug) = line.strip_prefix("// ANCHOR_END:").map(str::trim) {
                match open.take() {
                    Some((begun, _, defined)) if begun == slug => {
                        if !defined {
                            self.problems.push(format!(
                                "{file}:{number}: anchor `{slug}` holds no `fn {slug}`; name them alike"
                            ));
                        }
                    }
                    _ => self
                        .problems
                        .push(format!("{file}:{number}: `ANCHOR_END: {slug}` ends an anchor that was not begun")),
                }
            } else if let Some(text) = line.strip_prefix("///") {
                doc.push(text.strip_prefix(' ').unwrap_or(text));
            } else if !line.starts_with("#[") {
                if let Some(slug) = doc.iter().find_map(|line| slug_note(line)) {
                    self.problems.push(format!(
                        "{file}:{number}: the docstring has the formula of `{slug}`, but no `// ANCHOR: {slug}` follows it; add one"
                    ));
                }
                doc.clear();
                if let Some((slug, _, defined)) = &mut open {
                    *defined |= defines(line, slug);
                }
            }
        }
        if let Some((slug, number, _)) = open {
            self.problems.push(format!("{file}:{number}: anchor `{slug}` is not ended; add `// ANCHOR_END: {slug}`"));
        }
    }

    /// Returns whether the anchor is that of an equation.
    fn add_anchor(&mut self, module: &str, file: &str, line: usize, slug: &str, doc: &[&str]) -> bool {
        let at = format!("{file}:{line}");
        // Code that a chapter shows, but no equation.
        let Some(formula) = section(doc, "Formula") else { return false };
        match formula.iter().find_map(|line| slug_note(line)) {
            Some(noted) if noted == slug => {}
            Some(noted) => self.problems.push(format!(
                "{at}: the docstring says (slug `{noted}`), but the anchor is `{slug}`; they must be the same word"
            )),
            None => {
                self.problems.push(format!("{at}: the formula of `{slug}` does not end in (slug `{slug}`); add that"))
            }
        }
        let formula = text_of(&formula);
        if formula.is_empty() {
            self.problems.push(format!("{at}: the `# Formula` of `{slug}` is empty; write it in Unicode"));
        }
        self.equations.push(Equation {
            slug: slug.into(),
            module: module.into(),
            file: file.into(),
            line,
            summary: text_of(&doc.iter().copied().take_while(|line| !line.trim().is_empty()).collect::<Vec<_>>()),
            formula,
            source: section(doc, "Source").map(|lines| text_of(&lines)).unwrap_or_default(),
        });
        true
    }

    /// One word, one equation.
    pub fn reject_repeated_slugs(&mut self) {
        let mut seen: BTreeMap<&str, &Equation> = BTreeMap::new();
        for equation in &self.equations {
            if let Some(first) = seen.insert(&equation.slug, equation) {
                self.problems.push(format!(
                    "{}:{}: slug `{}` is taken by {}:{}; a slug is unique in the crate, so rename one",
                    equation.file, equation.line, equation.slug, first.file, first.line
                ));
            }
        }
    }
}

/// All `.rs` files below a folder, sorted, so that every machine has them in one order.
pub fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// `src/mlp/adam.rs` is `mlp::adam`.
fn module_of(file: &str) -> String {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    path.trim_end_matches("/mod").replace('/', "::")
}

/// The lines of a docstring's section.
fn section<'a>(doc: &[&'a str], title: &str) -> Option<Vec<&'a str>> {
    let heading = |line: &&str| line.strip_prefix("# ").is_some_and(|text| text.trim() == title);
    let start = doc.iter().position(heading)? + 1;
    Some(doc[start..].iter().copied().take_while(|line| !line.starts_with("# ")).collect())
}

/// The word in ``(slug `word`)``.
fn slug_note(line: &str) -> Option<&str> {
    line.split_once("(slug `")?.1.split_once("`)").map(|(slug, _)| slug)
}

/// Lines as one text: without the slug, code fences and margins.
fn text_of(lines: &[&str]) -> String {
    let kept = lines.iter().filter(|line| !line.trim_start().starts_with("```"));
    let without_slug = kept.map(|line| line.split_once("(slug `").map_or(*line, |(before, _)| before).trim());
    without_slug.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether a line of code defines a function of that name.
fn defines(line: &str, name: &str) -> bool {
    let after = line.split_once("fn ").map(|(_, after)| after);
    let rest = after.and_then(|after| after.strip_prefix(name));
    rest.is_some_and(|rest| rest.starts_with(['(', '<']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
/// Draws x_t.
///
/// More of it.
///
/// # Formula
/// x_t = √ᾱ_t · x_0
///     + √(1 − ᾱ_t) · ε            (slug `q_sample`)
/// # Source
/// Ho et al. 2020, eq. 4
/// # Examples
/// ```
/// # Ok::<(), ()>(())
/// ```
#[doc(alias = \"add_noise\")]
// ANCHOR: q_sample
pub fn q_sample<D: Dimension>(x0: f64) -> f64 {
    x0
}
// ANCHOR_END: q_sample
";

    fn read(text: &str) -> Registry {
        let mut registry = Registry::default();
        registry.add_source("src/forward.rs", text);
        registry.reject_repeated_slugs();
        registry
    }

    /// The one problem of a source that has one.
    fn problem(text: &str) -> String {
        let registry = read(text);
        assert_eq!(registry.problems.len(), 1, "{:?}", registry.problems);
        registry.problems[0].clone()
    }

    #[test]
    fn a_good_source_gives_its_equation() {
        let registry = read(GOOD);
        assert_eq!(registry.problems, [""; 0]);
        let expected = Equation {
            slug: "q_sample".into(),
            module: "forward".into(),
            file: "src/forward.rs".into(),
            line: 16,
            summary: "Draws x_t.".into(),
            formula: "x_t = √ᾱ_t · x_0 + √(1 − ᾱ_t) · ε".into(),
            source: "Ho et al. 2020, eq. 4".into(),
        };
        assert_eq!(registry.equations, [expected]);
    }

    #[test]
    fn methods_count_as_well() {
        let indented: String = GOOD.lines().map(|line| format!("    {line}\n")).collect();
        assert_eq!(read(&indented).equations, read(GOOD).equations);
    }

    #[test]
    fn a_repeated_slug_is_a_problem() {
        let problem = problem(&(GOOD.to_owned() + GOOD));
        assert_eq!(
            problem,
            "src/forward.rs:36: slug `q_sample` is taken by src/forward.rs:16; a slug is unique in the crate, so rename one"
        );
    }

    #[test]
    fn an_anchor_without_a_formula_is_no_equation() {
        for text in
            ["// ANCHOR: a\nfn b() {}\n// ANCHOR_END: a", "/// Trains.\n// ANCHOR: a\nfn b() {}\n// ANCHOR_END: a"]
        {
            let registry = read(text);
            assert!(registry.equations.is_empty() && registry.problems.is_empty(), "{:?}", registry.problems);
        }
    }

    #[test]
    fn a_docstring_of_another_slug_is_a_problem() {
        let problem = problem(&GOOD.replace("slug `q_sample`", "slug `q_simple`"));
        assert!(problem.contains("says (slug `q_simple`), but the anchor is `q_sample`"), "{problem}");
    }

    #[test]
    fn a_formula_without_its_slug_is_a_problem() {
        assert!(problem(&GOOD.replace("(slug `q_sample`)", "")).contains("does not end in (slug `q_sample`)"));
    }

    #[test]
    fn an_empty_formula_is_a_problem() {
        let empty = GOOD.replace("x_t = √ᾱ_t · x_0\n///     + √(1 − ᾱ_t) · ε ", "");
        assert!(problem(&empty).contains("is empty"));
    }

    #[test]
    fn a_formula_without_an_anchor_is_a_problem() {
        let bare = GOOD.replace("// ANCHOR: q_sample\n", "").replace("// ANCHOR_END: q_sample\n", "");
        assert!(problem(&bare).contains("no `// ANCHOR: q_sample` follows"));
    }

    #[test]
    fn an_anchor_that_does_not_end_is_a_problem() {
        assert!(problem(&GOOD.replace("// ANCHOR_END: q_sample\n", "")).contains("is not ended"));
        assert!(problem("// ANCHOR_END: a").contains("was not begun"));
    }

    #[test]
    fn an_anchor_around_another_function_is_a_problem() {
        assert!(problem(&GOOD.replace("fn q_sample<", "fn q_sampled<")).contains("holds no `fn q_sample`"));
    }

    #[test]
    fn equations_are_in_the_order_of_the_chapters() {
        let mut registry = read(GOOD);
        registry.add_source("src/gaussian.rs", &GOOD.replace("q_sample", "density"));
        registry.add_source("src/more.rs", &GOOD.replace("q_sample", "more"));
        registry.sort_as_read("//! | 2 | [`gaussian`] |\n//! | 4 | [`forward`] |");
        let slugs: Vec<&str> = registry.equations.iter().map(|equation| equation.slug.as_str()).collect();
        assert_eq!(slugs, ["density", "q_sample", "more"]);
    }

    #[test]
    fn a_file_in_a_folder_is_a_module_in_a_module() {
        assert_eq!(module_of("src/mlp/adam.rs"), "mlp::adam");
        assert_eq!(module_of("src/mlp/mod.rs"), "mlp");
        let equation = Equation { module: "mlp::adam".into(), ..read(GOOD).equations[0].clone() };
        assert_eq!(equation.stem(), "mlp");
    }
}
