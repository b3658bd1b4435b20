//! What is shown and written: the table, an exercise in full, and the report for a teacher.

use std::fmt::Write;

use anyhow::Result;
use serde::Serialize;

use crate::catalogue::Entry;
use crate::columns::{Columns, terminal_width};
use crate::judge::{Diagnosis, Finding};
use crate::marking::{Answer, Marked, Marker};
use crate::progress::Progress;

/// How many lines are shown of what the student's code printed.
const PRINTED_LINES: usize = 12;

/// The language in which the exercises are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Track {
    Rust,
    Python,
}

impl Track {
    /// The file of an exercise.
    pub fn file(self, entry: &Entry) -> String {
        match self {
            Self::Rust => format!("src/{}.rs", entry.file),
            Self::Python => "python/exercises.py".to_owned(),
        }
    }

    /// What stands in a stub.
    pub fn stub(self) -> &'static str {
        match self {
            Self::Rust => "todo!()",
            Self::Python => "raise NotImplementedError",
        }
    }
}

/// The table of everything.
pub fn table(marker: &Marker, track: Track, marked: &[Marked], answers: &[Answer]) -> String {
    let mut columns = Columns::new(&["", "exercise", "equation", "state", "marks", "next"]);
    for Marked { number, finding, .. } in marked {
        let entry = &marker.catalogue.exercises[number - 1];
        let marks = format!("{}/{}", if finding.right() { entry.marks } else { 0 }, entry.marks);
        let next = match finding {
            Finding::NotStarted => format!("replace `{}` in {}", track.stub(), track.file(entry)),
            Finding::DoesNotCompile { .. } => format!("it does not compile: check {number}"),
            other => other.sentence(),
        };
        let equation = marker.equations(&entry.equations[..1]);
        columns.row([number.to_string(), entry.title.clone(), equation, finding.word().into(), marks, next]);
    }
    for (answer, question) in answers.iter().zip(&marker.catalogue.questions) {
        let equation = marker.equations(&question.equations[..1]);
        let marks = format!("?/{}", question.marks);
        columns.row([
            answer.letter.clone(),
            question.title.clone(),
            equation,
            answer.word().into(),
            marks,
            answer.next(),
        ]);
    }
    columns.text(terminal_width())
}

/// The marks that this program can give, and how many there are: of the exercises, and of the questions.
pub fn marks(marker: &Marker, marked: &[Marked]) -> (u32, u32, u32) {
    let marks = |number: usize| marker.catalogue.exercises[number - 1].marks;
    let given = marked.iter().filter(|marked| marked.finding.right()).map(|marked| marks(marked.number)).sum();
    let all = marker.catalogue.exercises.iter().map(|entry| entry.marks).sum();
    (given, all, marker.catalogue.questions.iter().map(|question| question.marks).sum())
}

/// An exercise in full. `command` is how the marker was called, for what may be called next.
pub fn exercise(marker: &Marker, track: Track, marked: &Marked, progress: &Progress, command: &str) -> String {
    let Marked { number, finding, printed, seconds } = marked;
    let entry = &marker.catalogue.exercises[number - 1];
    let equations = marker.equations(&entry.equations);
    let mut text = format!("{number}. {} – {equations}: {} ({seconds:.1} s)\n", entry.title, finding.word());
    if !finding.right() {
        let said = match finding {
            Finding::NotStarted => format!("replace `{}` in {}", track.stub(), track.file(entry)),
            other => other.text().trim_end().replace('\n', "\n  "),
        };
        let _ = writeln!(text, "\n  {said}");
    }
    if !printed.trim().is_empty() {
        let _ = writeln!(text, "\n  your code printed:");
        for line in printed.lines().take(PRINTED_LINES) {
            let _ = writeln!(text, "    {line}");
        }
        let more = printed.lines().count().saturating_sub(PRINTED_LINES);
        if more > 0 {
            let _ = writeln!(text, "    … and {more} more lines");
        }
    }
    if !finding.right() {
        let shown = progress.hints.get(number).copied().unwrap_or_default();
        let _ = writeln!(text, "\n  hints: `{command} hint {number}` ({shown} of 3 shown)");
        for link in entry.equations.iter().filter_map(|equation| marker.book.link(equation)) {
            let _ = writeln!(text, "  book: {link}");
        }
    }
    text
}

/// All that a teacher collects.
#[derive(Serialize)]
pub struct Report<'a> {
    pub folder: String,
    pub seed: u64,
    pub marks: u32,
    pub marks_of_exercises: u32,
    /// Given by hand.
    pub marks_of_questions: u32,
    pub exercises: &'a [Marked],
    pub questions: &'a [Answer],
    pub progress: &'a Progress,
}

impl Report<'_> {
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    pub fn markdown(&self, marker: &Marker) -> String {
        let mut text = format!(
            "# Coursework: {}\n\n{} of {} marks; {} more are given by hand. Seed {}.\n\n\
             | | exercise | equation | state | marks | attempts | hints | solution |\n|---|---|---|---|---|---|---|---|\n",
            self.folder, self.marks, self.marks_of_exercises, self.marks_of_questions, self.seed
        );
        for Marked { number, finding, .. } in self.exercises {
            let entry = &marker.catalogue.exercises[number - 1];
            let _ = writeln!(
                text,
                "| {number} | {} | {} | {} | {}/{} | {} | {} | {} |",
                entry.title,
                marker.equations(&entry.equations),
                finding.word(),
                if finding.right() { entry.marks } else { 0 },
                entry.marks,
                self.progress.attempts.get(number).copied().unwrap_or_default(),
                self.progress.hints.get(number).copied().unwrap_or_default(),
                if self.progress.solutions.contains_key(number) { "shown" } else { "" },
            );
        }
        text += "\nAttempts, hints and solutions are as the student's own folder has them.\n";
        for Marked { number, finding, .. } in self.exercises {
            if finding.right() || *finding == Finding::NotStarted {
                continue;
            }
            let title = &marker.catalogue.exercises[number - 1].title;
            let _ = write!(text, "\n## {number}. {title}: {}\n\n", finding.word());
            if let Some(Diagnosis { name, .. }) = finding.diagnosis() {
                let _ = write!(text, "Known mistake: {name}.\n\n");
            }
            let _ = write!(text, "````text\n{}\n````\n", finding.text().trim_end());
        }
        for (answer, question) in self.questions.iter().zip(&marker.catalogue.questions) {
            let _ = write!(text, "\n## {}. {} ({} marks, by hand)\n\n", answer.letter, question.title, question.marks);
            match &answer.plot {
                Some(plot) => {
                    let _ = write!(text, "Plot: `{plot}`, in the student's folder.\n\n");
                }
                None => text += "No plot.\n\n",
            }
            text += if answer.text.is_empty() { "No answer." } else { &answer.text };
            text += "\n";
        }
        text
    }
}
