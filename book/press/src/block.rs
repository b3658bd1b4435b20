//! The parts of a chapter: Markdown, and between it what only this book has. `book/README.md` describes the syntax.

use serde::Deserialize;

use crate::problem::{Place, Problems};

/// One part, with the line that it begins at.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    pub line: usize,
    pub part: Part,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Plain Markdown.
    Text(String),
    /// The head of a chapter.
    Head(Head),
    Equation {
        slug: String,
        latex: String,
    },
    /// A derivation, step by step; folded away or open.
    Derivation {
        title: String,
        folded: bool,
        steps: Vec<Step>,
    },
    Figure {
        name: String,
        /// In words what is to be seen, where the run does not say it.
        alt: Option<String>,
        caption: String,
    },
    /// A figure that the reader can move.
    Play {
        name: String,
        caption: String,
    },
    /// The code of an anchor.
    Code(String),
    /// One test: the slug and the name of its function.
    Test(String),
    /// The beginning of a box.
    Open {
        kind: BoxKind,
        title: String,
    },
    /// The end of the innermost box.
    Close,
    /// A page made by program.
    Page(String),
}

/// What a reader should know before a chapter begins.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    pub question: String,
    /// Stems of the chapters to read before.
    #[serde(default)]
    pub needs: Vec<String>,
    /// The command that runs what the chapter shows.
    #[serde(default)]
    pub run: String,
}

/// One line of a derivation.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub line: usize,
    pub latex: String,
    /// The rule that it uses, in Markdown.
    pub rule: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoxKind {
    /// A mistake that people really make.
    Mistake,
    /// An example small enough to do by hand.
    Example,
    Exercise,
    /// The worked solution of an exercise, folded away.
    Solution,
    /// What was shown, at the end of a chapter.
    Shown,
    /// Off the main path.
    Aside,
}

impl BoxKind {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "mistake" => Self::Mistake,
            "example" => Self::Example,
            "exercise" => Self::Exercise,
            "solution" => Self::Solution,
            "shown" => Self::Shown,
            "aside" => Self::Aside,
            _ => return None,
        })
    }
}

/// Words of a fence that may stand in a chapter as they are: what a reader types or sees, not Rust.
const PLAIN_FENCES: [&str; 5] = ["console", "text", "toml", "json", "python"];

/// Cuts a chapter into its parts.
pub fn parse(text: &str, file: &str, problems: &Problems) -> Vec<Block> {
    let lines: Vec<&str> = text.lines().collect();
    let mut blocks = Vec::new();
    let mut plain_from = 0;
    let mut open_boxes: Vec<usize> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let place = Place::new(file, at + 1);
        let (length, taken) = take(&lines[at..], &mut open_boxes, &place, problems);
        if let Taken::Special(part) = taken {
            push_text(&mut blocks, &lines, plain_from, at);
            blocks.extend(part.map(|part| Block { line: at + 1, part }));
            plain_from = at + length;
        }
        at += length;
    }
    push_text(&mut blocks, &lines, plain_from, lines.len());
    for line in open_boxes {
        problems.add(&Place::new(file, line), "this box is not closed (`:::` alone on a line closes it)");
    }
    blocks
}

/// What the next lines are: Markdown, or something special (nothing, where it has a problem).
enum Taken {
    Plain,
    Special(Option<Part>),
}

/// Takes what the first of these lines begins, and says how many lines that is.
fn take(lines: &[&str], open_boxes: &mut Vec<usize>, place: &Place, problems: &Problems) -> (usize, Taken) {
    let line = lines[0];
    let trimmed = line.trim();
    if let Some(info) = trimmed.strip_prefix("```") {
        let Some(inside) = lines[1..].iter().position(|line| line.trim() == "```") else {
            problems.add(place, "this fence is not closed");
            return (lines.len(), Taken::Special(None));
        };
        let taken = fence(info.trim(), &lines[1..=inside], place, problems);
        if matches!(taken, Taken::Special(Some(_))) && line.starts_with(char::is_whitespace) {
            problems.add(place, "this block must not be indented");
        }
        return (inside + 2, taken);
    }
    if let Some(after) = line.strip_prefix(":::") {
        return (1, Taken::Special(boxed(after.trim(), open_boxes, place, problems)));
    }
    let directive = trimmed.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    match directive.and_then(|text| block_directive(text.trim())) {
        Some(part) => (1, Taken::Special(Some(part))),
        None => (1, Taken::Plain),
    }
}

/// Makes a part of the plain Markdown in the lines `from..until`, counted from 0.
fn push_text(blocks: &mut Vec<Block>, lines: &[&str], from: usize, until: usize) {
    if lines[from..until].iter().any(|line| !line.trim().is_empty()) {
        blocks.push(Block { line: from + 1, part: Part::Text(lines[from..until].join("\n")) });
    }
}

fn fence(info: &str, body: &[&str], place: &Place, problems: &Problems) -> Taken {
    let (word, rest) = info.split_once(char::is_whitespace).unwrap_or((info, ""));
    let rest = rest.trim();
    let text = body.join("\n");
    let part = match word {
        "chapter" => match toml::from_str::<Head>(&text) {
            Ok(head) => Part::Head(head),
            Err(error) => {
                problems.add(place, format!("the head of the chapter is not as expected: {}", error.message()));
                return Taken::Special(None);
            }
        },
        "equation" => {
            if rest.is_empty() {
                problems.add(place, "an equation needs its slug: ```equation q_sample");
                return Taken::Special(None);
            }
            Part::Equation { slug: rest.into(), latex: text }
        }
        "derivation" | "algebra" => {
            let steps = steps(body, place, problems);
            Part::Derivation { title: rest.into(), folded: word == "algebra", steps }
        }
        "figure" => {
            let (alt, caption) = match text.strip_prefix("alt:").map(|rest| rest.split_once('\n').unwrap_or((rest, "")))
            {
                Some((alt, caption)) => (Some(alt.trim().to_owned()), caption),
                None => (None, text.as_str()),
            };
            if rest.is_empty() || caption.trim().is_empty() {
                problems.add(place, "a figure needs its name after ```figure, and a caption");
                return Taken::Special(None);
            }
            Part::Figure { name: rest.into(), alt, caption: caption.trim().into() }
        }
        "play" => {
            if rest.is_empty() || text.trim().is_empty() {
                problems.add(place, "an interactive figure needs its name after ```play, and a caption");
                return Taken::Special(None);
            }
            Part::Play { name: rest.into(), caption: text.trim().into() }
        }
        _ if word.split(',').next() == Some("rust") => match included(&text) {
            Some(anchor) => Part::Code(anchor),
            None => {
                problems.add(place, "Rust is typed into the chapter: include it by its anchor, {{code slug}}");
                return Taken::Special(None);
            }
        },
        _ if PLAIN_FENCES.contains(&word) => {
            if looks_like_rust(&text) {
                problems.add(place, format!("Rust is typed into the chapter, in a fence for `{word}`"));
            }
            return Taken::Plain;
        }
        _ => {
            problems.add(place, format!("`{word}` is no block of this book (see book/README.md)"));
            return Taken::Special(None);
        }
    };
    Taken::Special(Some(part))
}

/// `{{#include ../../src/forward.rs:q_sample}}` alone in a fence, mdBook's own way: "src/forward.rs:q_sample".
fn included(text: &str) -> Option<String> {
    let inside = text.trim().strip_prefix("{{#include ")?.strip_suffix("}}")?.trim();
    let path = inside.trim_start_matches("../");
    path.contains(".rs:").then(|| path.to_owned())
}

fn looks_like_rust(text: &str) -> bool {
    let starts = ["let ", "let mut ", "pub fn ", "fn ", "use ", "impl ", "#[", "for "];
    text.lines().map(str::trim).any(|line| {
        starts.iter().any(|start| line.starts_with(start))
            && (line.ends_with(';') || line.ends_with('{') || line.ends_with(']'))
    })
}

/// Lines of LaTeX, each step ended by its rule on a line that begins with `|`.
fn steps(body: &[&str], place: &Place, problems: &Problems) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut latex: Vec<&str> = Vec::new();
    for (i, line) in body.iter().enumerate() {
        match line.trim().strip_prefix('|') {
            Some(rule) => {
                let line = place.line + 1 + i - latex.len();
                let formula = latex.join("\n").trim().to_owned();
                if formula.is_empty() || rule.trim().is_empty() {
                    problems
                        .add(&Place::new(place.file.clone(), line), "a step needs a formula and, after `|`, its rule");
                }
                steps.push(Step { line, latex: formula, rule: rule.trim().into() });
                latex.clear();
            }
            None => latex.push(line),
        }
    }
    if latex.iter().any(|line| !line.trim().is_empty()) || steps.is_empty() {
        let line = place.line + 1 + body.len() - latex.len();
        problems.add(&Place::new(place.file.clone(), line), "this step has no rule (a line that begins with `|`)");
    }
    steps
}

fn boxed(after: &str, open: &mut Vec<usize>, place: &Place, problems: &Problems) -> Option<Part> {
    if after.is_empty() {
        if open.pop().is_none() {
            problems.add(place, "this `:::` closes no box");
            return None;
        }
        return Some(Part::Close);
    }
    let (word, title) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
    open.push(place.line);
    match BoxKind::parse(word) {
        Some(kind) => Some(Part::Open { kind, title: title.trim().into() }),
        None => {
            problems.add(place, format!("`{word}` is no box of this book (see book/README.md)"));
            None
        }
    }
}

/// The directives that stand alone on a line. Others (`{{number …}}`) stand within the text.
fn block_directive(text: &str) -> Option<Part> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    Some(match word {
        "code" => Part::Code(rest.trim().into()),
        "test" => Part::Test(rest.trim().into()),
        "notation" | "equations" | "glossary" | "bibliography" | "mistakes" | "files" | "coursework" => {
            Part::Page(text.trim().into())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Vec<Block>, Vec<String>) {
        let problems = Problems::default();
        (parse(text, "c.md", &problems), problems.list())
    }

    #[test]
    fn blocks_know_their_lines() {
        let (blocks, problems) =
            parsed("# T\n\ntext\n\n```equation q\nx\n```\n\nmore\n{{code q}}\n::: aside Why\nz\n:::\n");
        assert_eq!(problems, [""; 0]);
        let lines: Vec<usize> = blocks.iter().map(|block| block.line).collect();
        assert_eq!(lines, [1, 5, 8, 10, 11, 12, 13]);
        assert_eq!(blocks[1].part, Part::Equation { slug: "q".into(), latex: "x".into() });
        assert_eq!(blocks[3].part, Part::Code("q".into()));
    }

    #[test]
    fn every_step_needs_its_rule() {
        let (blocks, problems) = parsed("```algebra Two steps\nx &= y\n| because\n&= z\n| [@q]\n```\n");
        assert_eq!(problems, [""; 0]);
        let Part::Derivation { steps, folded: true, .. } = &blocks[0].part else { panic!("{blocks:?}") };
        assert_eq!((steps[1].line, steps[1].latex.as_str(), steps[1].rule.as_str()), (4, "&= z", "[@q]"));
        let (_, problems) = parsed("```derivation\nx &= y\n| because\n&= z\n```\n");
        assert_eq!(problems, ["c.md:4: this step has no rule (a line that begins with `|`)"]);
    }

    #[test]
    fn rust_is_not_typed_into_a_chapter() {
        let (_, problems) = parsed("a\n\n```rust\nfn main() {}\n```\n");
        assert!(problems[0].starts_with("c.md:3: Rust is typed into the chapter"), "{problems:?}");
        let (_, problems) = parsed("```text\nlet x = 1;\n```\n");
        assert!(problems[0].starts_with("c.md:1: Rust is typed"), "{problems:?}");
        let (blocks, problems) = parsed("```rust\n{{#include ../../src/forward.rs:q_sample}}\n```\n");
        assert_eq!((blocks[0].part.clone(), problems.len()), (Part::Code("src/forward.rs:q_sample".into()), 0));
    }

    #[test]
    fn unknown_and_open_blocks_are_problems() {
        for (text, problem) in [
            ("```equation\nx\n```", "c.md:1: an equation needs its slug"),
            ("```equatoin q\nx\n```", "c.md:1: `equatoin` is no block"),
            ("x\n```text\nx\n", "c.md:2: this fence is not closed"),
            ("::: mistake A\nx\n", "c.md:1: this box is not closed"),
            ("x\n:::\n", "c.md:2: this `:::` closes no box"),
            ("::: misteak A\n:::", "c.md:1: `misteak` is no box"),
            ("```figure a\nalt: x\n```", "c.md:1: a figure needs"),
            ("```play\nx\n```", "c.md:1: an interactive figure needs"),
            ("```chapter\nqestion = 'x'\n```", "c.md:1: the head of the chapter"),
        ] {
            let (_, problems) = parsed(text);
            assert!(problems.first().is_some_and(|found| found.starts_with(problem)), "{text}: {problems:?}");
        }
    }
}
