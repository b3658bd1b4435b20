//! What the book is made of, beside its chapters.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::math::Math;
use crate::number::Numbers;
use crate::problem::Problems;
use crate::report::{self, Report};
use crate::sources::Sources;

/// Everything that a chapter can refer to.
pub struct Inputs {
    /// The chapters of the whole book, written or not: `book/chapters.toml`.
    pub plan: Vec<Planned>,
    pub sources: Sources,
    pub reports: BTreeMap<String, Report>,
    pub numbers: Numbers,
    /// SVG, by name: of `book/src/figures`, and of `book/src/results`.
    pub figures: BTreeMap<String, String>,
    /// The names of those in `book/src/results`: no quick example makes them again.
    pub of_long_runs: BTreeSet<String>,
    /// `book/references.toml`, by key.
    pub references: BTreeMap<String, Reference>,
    /// `book/symbols.toml`.
    pub symbols: Vec<Symbol>,
    /// `book/glossary.toml`.
    pub terms: Vec<Term>,
    pub math: Math,
    /// `coursework/marker/exercises.toml`.
    pub coursework: Coursework,
}

/// One chapter of the plan.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    pub number: u32,
    pub stem: String,
    pub title: String,
    /// The modules whose equations belong to it: its stem, unless it says otherwise.
    pub modules: Option<Vec<String>>,
}

impl Planned {
    pub fn modules(&self) -> Vec<String> {
        self.modules.clone().unwrap_or_else(|| vec![self.stem.clone()])
    }

    /// "04-forward.md".
    pub fn file(&self) -> String {
        format!("{:02}-{}.md", self.number, self.stem)
    }
}

/// A paper.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// "Family, Given", one each.
    pub authors: Vec<String>,
    pub year: u32,
    pub title: String,
    /// Where it appeared.
    pub published: String,
    pub arxiv: Option<String>,
    pub doi: Option<String>,
}

impl Reference {
    pub fn families(&self) -> Vec<&str> {
        self.authors.iter().map(|author| author.split(',').next().unwrap_or(author)).collect()
    }

    /// "Ho et al. 2020".
    pub fn short(&self) -> String {
        match self.families()[..] {
            [one] => format!("{one} {}", self.year),
            [one, two] => format!("{one} and {two} {}", self.year),
            [first, ..] => format!("{first} et al. {}", self.year),
            [] => self.year.to_string(),
        }
    }

    /// "Ho, Jain, Abbeel 2020", as the docstrings write it.
    pub fn in_docstrings(&self) -> String {
        format!("{} {}", self.families().join(", "), self.year)
    }
}

/// A line of the notation table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Symbol {
    pub latex: String,
    /// What to look for in the formulas; `latex` unless it is given.
    pub find: Option<Vec<String>>,
    /// In Markdown.
    pub meaning: String,
    #[serde(default)]
    pub rust: String,
    #[serde(default)]
    pub python: String,
}

/// A word of the glossary.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    pub name: String,
    /// Other forms by which the text may refer to it.
    #[serde(default)]
    pub also: Vec<String>,
    /// In Markdown.
    pub meaning: String,
}

/// The exercises of the coursework (the part of the file that is shown).
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Coursework {
    #[serde(rename = "exercise")]
    pub exercises: Vec<Exercise>,
    #[serde(rename = "question")]
    pub questions: Vec<Question>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Exercise {
    /// The stem of its file.
    pub file: String,
    pub title: String,
    /// chapter.slug
    pub equations: Vec<String>,
    pub marks: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Question {
    pub letter: String,
    pub title: String,
    /// chapter.slug
    pub equations: Vec<String>,
    pub marks: u32,
}

impl Coursework {
    /// The number of the exercise in which an equation is written.
    pub fn exercise_of(&self, slug: &str) -> Option<usize> {
        let has = |exercise: &Exercise| exercise.equations.iter().any(|equation| slug_of(equation) == slug);
        self.exercises.iter().position(has).map(|i| i + 1)
    }
}

/// The slug in chapter.slug.
pub fn slug_of(equation: &str) -> &str {
    equation.split_once('.').map_or(equation, |(_, slug)| slug)
}

#[derive(Deserialize)]
struct Chapters {
    chapter: Vec<Planned>,
}

#[derive(Deserialize)]
struct Symbols {
    symbol: Vec<Symbol>,
}

#[derive(Deserialize)]
struct Terms {
    term: Vec<Term>,
}

/// Where the inputs are.
#[derive(Debug, Clone)]
pub struct Folders {
    /// The root of the repository.
    pub root: PathBuf,
    /// `target/checks`.
    pub checks: PathBuf,
}

impl Inputs {
    pub fn read(folders: &Folders, problems: &Problems) -> Result<Self> {
        let book = folders.root.join("book");
        let (figures, results) = (book.join("src/figures"), book.join("src/results"));
        let mut pictures = read_figures(&results)?;
        let of_long_runs = pictures.keys().cloned().collect();
        for (name, svg) in read_figures(&figures)? {
            ensure!(pictures.insert(name.clone(), svg).is_none(), "{name}.svg is in src/figures and in src/results");
        }
        Ok(Self {
            plan: toml_file::<Chapters>(&book.join("chapters.toml"))?.chapter,
            sources: Sources::read(&folders.root, problems)?,
            reports: report::read(&folders.checks)?,
            numbers: Numbers::read(&[&results, &figures])?,
            figures: pictures,
            of_long_runs,
            references: toml_file(&book.join("references.toml"))?,
            symbols: toml_file::<Symbols>(&book.join("symbols.toml"))?.symbol,
            terms: toml_file::<Terms>(&book.join("glossary.toml"))?.term,
            math: Math::new(toml_file(&book.join("macros.toml"))?),
            coursework: toml_file(&folders.root.join("coursework/marker/exercises.toml"))?,
        })
    }
}

fn toml_file<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not as expected", path.display()))
}

fn read_figures(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut figures = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(figures) };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "svg") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            figures.insert(name, std::fs::read_to_string(&path)?);
        }
    }
    Ok(figures)
}
