//! What is written about the exercises in exercises.toml, and where their equations stand in the book.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// The exercises and the open questions.
#[derive(Debug, Clone, Deserialize)]
pub struct Catalogue {
    #[serde(rename = "exercise")]
    pub exercises: Vec<Entry>,
    #[serde(rename = "question")]
    pub questions: Vec<Question>,
}

/// An exercise, marked by this program.
#[derive(Debug, Clone, Deserialize)]
pub struct Entry {
    /// The stem of its file.
    pub file: String,
    pub title: String,
    /// chapter.slug
    pub equations: Vec<String>,
    pub marks: u32,
    pub hints: [String; 3],
}

/// An open question, marked by hand.
#[derive(Debug, Clone, Deserialize)]
pub struct Question {
    pub letter: String,
    pub title: String,
    pub equations: Vec<String>,
    pub marks: u32,
}

impl Catalogue {
    pub fn read() -> Result<Self> {
        toml::from_str(include_str!("../exercises.toml")).context("exercises.toml is not as expected")
    }

    /// The number of the exercise that a file belongs to.
    pub fn number_of(&self, file: &str) -> Option<usize> {
        self.exercises.iter().position(|entry| file.contains(&entry.file)).map(|i| i + 1)
    }
}

#[derive(Deserialize)]
struct Plan {
    chapter: Vec<Chapter>,
}

#[derive(Deserialize)]
struct Chapter {
    number: u32,
    stem: String,
}

/// Where the equations stand in the book.
pub struct Book {
    /// Number, stem and the slugs of the equations, in order; no slug where the chapter is not written yet.
    chapters: Vec<(u32, String, Vec<String>)>,
}

impl Book {
    pub fn read(root: &Path) -> Result<Self> {
        let plan = root.join("book/chapters.toml");
        let text = std::fs::read_to_string(&plan).with_context(|| format!("{} cannot be read", plan.display()))?;
        let plan: Plan = toml::from_str(&text).with_context(|| format!("{} is not as expected", plan.display()))?;
        let listed = std::fs::read_to_string(root.join("book/src/SUMMARY.md")).unwrap_or_default();
        let chapters = plan.chapter.into_iter().map(|Chapter { number, stem }| {
            let file = format!("{number:02}-{stem}.md");
            let written = listed.contains(&format!("({file})"));
            let text = written.then(|| std::fs::read_to_string(root.join("book/src").join(file)).unwrap_or_default());
            let slug = |line: &str| line.trim().strip_prefix("```equation ").map(|slug| slug.trim().to_owned());
            let slugs = text.unwrap_or_default().lines().filter_map(slug).collect();
            (number, stem, slugs)
        });
        Ok(Self { chapters: chapters.collect() })
    }

    /// "(4.4)", or "ch. 8" where the chapter is not written yet; none for an unknown chapter or a slug that is not in it.
    pub fn number(&self, equation: &str) -> Option<String> {
        let (stem, slug) = equation.split_once('.')?;
        let (number, _, slugs) = self.chapters.iter().find(|(_, of, _)| of == stem)?;
        if slugs.is_empty() {
            return Some(format!("ch. {number}"));
        }
        slugs.iter().position(|of| of == slug).map(|i| format!("({number}.{})", i + 1))
    }

    /// The page and the place on it: "04-forward.html#eq-q_sample".
    pub fn link(&self, equation: &str) -> Option<String> {
        let (stem, slug) = equation.split_once('.')?;
        let (number, ..) = self.chapters.iter().find(|(_, of, _)| of == stem)?;
        Some(format!("{number:02}-{stem}.html#eq-{slug}"))
    }
}
