//! Marking a folder: every exercise asked for, and whether the open questions are answered.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::catalogue::{Book, Catalogue};
use crate::exercises::{self, Exercise};
use crate::judge::{Finding, judge};
use crate::submission::Submission;
use crate::workshop::{SECONDS, SECONDS_TO_TRAIN, Workshop};

/// Everything that marking needs and that does not belong to one student.
pub struct Marker {
    pub catalogue: Catalogue,
    pub exercises: Vec<Exercise>,
    pub book: Book,
    pub stubs: Submission,
}

/// An exercise, marked.
#[derive(Debug, Clone, Serialize)]
pub struct Marked {
    pub number: usize,
    #[serde(flatten)]
    pub finding: Finding,
    /// What the student's code printed.
    #[serde(skip)]
    pub printed: String,
    #[serde(skip)]
    pub seconds: f64,
}

/// An open question.
#[derive(Debug, Clone, Serialize)]
pub struct Answer {
    pub letter: String,
    /// What the student wrote.
    pub text: String,
    /// The file of the plot, from the student's folder.
    pub plot: Option<String>,
}

impl Marker {
    pub fn read(root: &Path) -> Result<Self> {
        Ok(Self {
            catalogue: Catalogue::read()?,
            exercises: exercises::all(),
            book: Book::read(root)?,
            stubs: Submission::stubs(root)?,
        })
    }

    /// Builds a submission, and marks some of its exercises (numbers from 1).
    pub fn mark(&self, shop: &Workshop, submission: &Submission, numbers: &[usize], seed: u64) -> Result<Vec<Marked>> {
        let built = shop.build(submission)?;
        let mut marked = Vec::new();
        for &number in numbers {
            let start = Instant::now();
            let (exercise, entry) = (&self.exercises[number - 1], &self.catalogue.exercises[number - 1]);
            let (finding, printed) = if let Some(message) = built.broken.get(&entry.file) {
                (Finding::DoesNotCompile { message: message.clone() }, String::new())
            } else {
                let cases = exercise.cases(seed)?;
                let trains = cases.iter().any(|case| case.function == "train");
                let ran = shop.run(&built, &cases, if trains { SECONDS_TO_TRAIN } else { SECONDS })?;
                (judge(exercise, &cases, &ran.outcomes)?, ran.printed)
            };
            marked.push(Marked { number, finding, printed, seconds: start.elapsed().as_secs_f64() });
        }
        Ok(marked)
    }

    /// The numbers of all exercises.
    pub fn all(&self) -> Vec<usize> {
        (1..=self.exercises.len()).collect()
    }

    /// The equations of an exercise or a question, as they are shown: "(4.4) q_sample, …".
    pub fn equations(&self, equations: &[String]) -> String {
        let shown = |equation: &String| {
            let slug = equation.split_once('.').map_or(equation.as_str(), |(_, slug)| slug);
            format!("{} {slug}", self.book.number(equation).unwrap_or_default())
        };
        equations.iter().map(shown).collect::<Vec<_>>().join(", ")
    }
}

/// What a student answered to the open questions.
pub fn answers(folder: &Path, catalogue: &Catalogue) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for question in &catalogue.questions {
        let path = folder.join(format!("open/{}.md", question.letter));
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        let text = text.split_once("## Your answer").map_or("", |(_, answer)| answer).trim().to_owned();
        let plots = ["svg", "png"].map(|kind| format!("open/{}.{kind}", question.letter));
        let plot = plots.into_iter().find(|plot| folder.join(plot).is_file());
        answers.push(Answer { letter: question.letter.clone(), text, plot });
    }
    Ok(answers)
}

impl Answer {
    /// For the table.
    pub fn word(&self) -> &'static str {
        match (self.text.is_empty(), &self.plot) {
            (true, None) => "not started",
            (true, Some(_)) => "no answer",
            (false, None) => "no plot",
            (false, Some(_)) => "handed in",
        }
    }

    /// What is still to be done.
    pub fn next(&self) -> String {
        let letter = &self.letter;
        match (self.text.is_empty(), &self.plot) {
            (true, None) => format!("write open/{letter}.md, and make the plot open/{letter}.svg (or .png)"),
            (true, Some(_)) => format!("write your answer into open/{letter}.md, below \"## Your answer\""),
            (false, None) => format!("make the plot open/{letter}.svg (or .png)"),
            (false, Some(_)) => "marked by hand".to_owned(),
        }
    }
}
