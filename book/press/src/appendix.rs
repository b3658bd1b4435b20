//! The pages that are made by program: notation, equations, glossary, mistakes, bibliography, code.

use std::collections::BTreeSet;

use crate::html::{escape, from_rustdoc, id, unsearched};
use crate::inputs::{Reference, slug_of};
use crate::math;
use crate::number::thousands;
use crate::press::{Citation, Equation, Press, code_link, code_page, module, page, stem, summary};
use crate::problem::Place;

impl Press<'_> {
    /// One of them, or `which` part of it, as HTML, for the page `here`.
    pub fn appendix(&self, kind: &str, which: &str, here: usize) -> String {
        match kind {
            "notation" => self.notation(here),
            "equations" => self.equation_index(which, here),
            "glossary" => self.glossary(here),
            "mistakes" => self.mistake_index(),
            "bibliography" => self.bibliography(),
            "coursework" => self.coursework(here),
            _ => self.file_index(),
        }
    }

    /// The symbols that the book uses, in the order of the data file.
    fn notation(&self, here: usize) -> String {
        let formulas = self.formulas.borrow().clone();
        let mut rows = String::new();
        for symbol in &self.inputs.symbols {
            let find = symbol.find.clone().unwrap_or_else(|| vec![symbol.latex.clone()]);
            let uses = |latex: &str| find.iter().any(|find| math::contains(latex, find));
            let numbered = |chapter: &usize| self.chapters[*chapter].planned.is_some();
            let Some(first) = formulas.iter().find(|(chapter, latex)| numbered(chapter) && uses(latex)) else {
                continue;
            };
            let chapter = &self.chapters[first.0];
            let number = chapter.planned.as_ref().map_or(String::new(), |planned| planned.number.to_string());
            let code =
                |text: &str| if text.is_empty() { "—".into() } else { format!("<code>{}</code>", escape(text)) };
            rows.push_str(&format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td><a href=\"{}\">{number}</a></td></tr>",
                self.phrase_of(&format!("${}$", symbol.latex), here),
                self.phrase_of(&symbol.meaning, here),
                code(&symbol.rust),
                code(&symbol.python),
                page(&chapter.file)
            ));
        }
        format!(
            "<div class=\"table-wrapper\" tabindex=\"0\" role=\"group\" aria-label=\"notation\"><table class=\"notation\"><thead><tr><th>symbol</th><th>meaning</th><th>here, in Rust</th>\
             <th>in PyTorch code</th><th>chapter</th></tr></thead><tbody>{rows}</tbody></table></div>"
        )
    }

    /// Every equation of some chapters, "2 to 8", with what was measured of it.
    fn equation_index(&self, chapters: &str, here: usize) -> String {
        let ends = chapters.split_once(" to ").map(|(first, last)| (first.parse(), last.parse()));
        let Some((Ok(first), Ok(last))) = ends else {
            let place = Place::new(format!("book/src/{}", self.chapters[here].file), 1);
            self.problems.add(&place, "`equations` needs the first and the last chapter, as in `{{equations 2 to 8}}`");
            return String::new();
        };
        let number = |chapter: usize| self.chapters[chapter].planned.as_ref().map_or(0, |planned| planned.number);
        let in_them = |equation: &&Equation| (first..=last).contains(&number(equation.chapter));
        let mut equations: Vec<_> = self.equations.values().filter(in_them).collect();
        equations.sort_by_key(|equation| (equation.chapter, equation.place.line));
        let mut out = String::new();
        let mut cases = 0;
        for equation in &equations {
            let slug = &equation.slug;
            let Ok(item) = self.inputs.sources.item(slug) else { continue };
            let what = item.equation.as_ref().map_or("", |doc| &doc.summary);
            let report = self.inputs.reports.get(slug);
            cases += report.map_or(0, |report| report.cases());
            out.push_str(&format!(
                "<li id=\"index-{slug}\"><a class=\"number\" href=\"{}#eq-{slug}\">({})</a><div><p class=\"what\">{}</p>\
                 <div class=\"formula\" tabindex=\"0\" role=\"group\" aria-label=\"formula\">{}</div><p class=\"measured\"><span class=\"tick\" aria-hidden=\"true\">✓</span> \
                 <a href=\"{}\"><code>{slug}</code></a> {}</p></div></li>",
                page(&self.chapters[equation.chapter].file),
                equation.number,
                from_rustdoc(what),
                unsearched(&self.inputs.math.inline(&format!(r"\displaystyle {}", one_line(&equation.latex))).unwrap_or_default()),
                code_link(&item.place.file, "fn", slug),
                unsearched(&report.map_or(String::new(), summary)),
            ));
        }
        format!(
            "<p>Chapters {chapters}: {} equations, checked in {} cases.</p><ol class=\"equations\">{out}</ol>",
            equations.len(),
            unsearched(&thousands(&cases.to_string()))
        )
    }

    fn glossary(&self, here: usize) -> String {
        let mut terms: Vec<_> = self.inputs.terms.iter().collect();
        terms.sort_by_key(|term| term.name.to_lowercase());
        let entry = |term: &&crate::inputs::Term| {
            let meaning = self.phrase_of(&term.meaning, here);
            format!("<dt id=\"term-{}\">{}</dt><dd>{meaning}</dd>", id(&term.name), escape(&term.name))
        };
        format!("<dl class=\"glossary\">{}</dl>", terms.iter().map(entry).collect::<String>())
    }

    /// The exercises and the open questions, each with its equations.
    fn coursework(&self, here: usize) -> String {
        let coursework = &self.inputs.coursework;
        let row = |id: String, number: &str, title: &str, equations: &[String], file: String, marks: u32| {
            let links = equations.iter().map(|equation| self.phrase_of(&format!("[@{}]", slug_of(equation)), here));
            format!(
                "<tr id=\"{id}\"><td>{number}</td><td>{}</td><td>{}</td><td><code>{file}</code></td><td>{marks}</td></tr>",
                escape(title),
                links.collect::<Vec<_>>().join(", ")
            )
        };
        let mut rows = String::new();
        for (i, exercise) in coursework.exercises.iter().enumerate() {
            let (number, file) = ((i + 1).to_string(), format!("src/{}.rs", exercise.file));
            let id = format!("exercise-{number}");
            rows += &row(id, &number, &exercise.title, &exercise.equations, file, exercise.marks);
        }
        for question in &coursework.questions {
            let (id, file) = (format!("question-{}", question.letter), format!("open/{}.md", question.letter));
            rows += &row(id, &question.letter, &question.title, &question.equations, file, question.marks);
        }
        format!(
            "<div class=\"table-wrapper\" tabindex=\"0\" role=\"group\" aria-label=\"exercises\"><table><thead><tr><th></th>\
             <th>exercise</th><th>equations</th><th>file</th><th>marks</th></tr></thead><tbody>{rows}</tbody></table></div>"
        )
    }

    fn mistake_index(&self) -> String {
        let mistakes = self.mistakes.borrow();
        let entry = |mistake: &crate::press::Mistake| {
            let chapter = &self.chapters[mistake.chapter];
            let number =
                chapter.planned.as_ref().map_or(String::new(), |planned| format!("Chapter {}", planned.number));
            let title = self.phrase_of(&mistake.title, mistake.chapter);
            format!(
                "<li><span class=\"of\">{number}</span> <a href=\"{}#{}\">{title}</a></li>",
                page(&chapter.file),
                mistake.id
            )
        };
        format!("<ul class=\"mistakes\">{}</ul>", mistakes.iter().map(entry).collect::<String>())
    }

    /// The papers that the book cites, each with where.
    fn bibliography(&self) -> String {
        let citations = self.citations.borrow();
        let in_docstrings: BTreeSet<&str> = self
            .equations
            .keys()
            .filter_map(|slug| self.inputs.sources.item(slug).ok()?.equation.as_ref())
            .flat_map(|doc| {
                self.inputs
                    .references
                    .iter()
                    .filter(|(_, r)| doc.source.starts_with(&r.in_docstrings()))
                    .map(|(key, _)| key.as_str())
            })
            .collect();
        let mut cited: Vec<(&String, &Reference)> = self
            .inputs
            .references
            .iter()
            .filter(|(key, _)| citations.contains_key(*key) || in_docstrings.contains(key.as_str()))
            .collect();
        cited.sort_by_key(|(_, reference)| (reference.families().join(" "), reference.year));
        let mut out = String::new();
        for (key, reference) in cited {
            let places: Vec<String> =
                citations.get(key).into_iter().flatten().map(|citation| self.citation_link(citation)).collect();
            let cited = if places.is_empty() {
                String::new()
            } else {
                format!("<p class=\"cited\">Cited in {}</p>", places.join(", "))
            };
            let arxiv = reference.arxiv.as_ref().map_or(String::new(), |arxiv| format!(" arXiv:{}.", escape(arxiv)));
            let doi = reference.doi.as_ref().map_or(String::new(), |doi| format!(" doi:{}.", escape(doi)));
            out.push_str(&format!(
                "<li id=\"ref-{key}\"><p>{} ({}). <cite>{}</cite>. {}.{arxiv}{doi}</p>{cited}</li>",
                escape(&reference.authors.iter().map(|author| given_first(author)).collect::<Vec<_>>().join(", ")),
                reference.year,
                escape(&reference.title),
                escape(&reference.published),
            ));
        }
        format!("<ul class=\"bibliography\">{out}</ul>")
    }

    fn citation_link(&self, citation: &Citation) -> String {
        let chapter = &self.chapters[citation.chapter];
        let name =
            chapter.planned.as_ref().map_or(escape(&chapter.title), |planned| format!("chapter {}", planned.number));
        let locator =
            if citation.locator.is_empty() { String::new() } else { format!(" ({})", escape(&citation.locator)) };
        format!("<a href=\"{}#{}\">{name}</a>{locator}", page(&chapter.file), citation.id)
    }

    /// The files whose code belongs to the written chapters, those that an equation of theirs is in, and those that they
    /// show code of.
    fn code_files(&self) -> Vec<String> {
        let all = || self.inputs.sources.files.keys();
        let mut files: Vec<&String> = Vec::new();
        for planned in self.written() {
            let modules = planned.modules();
            let of_it = |name: &str| modules.iter().any(|module| module == name);
            files.extend(all().filter(|file| of_it(module(file))));
            let beside = |file: &&String| {
                ["tests/", "examples/"]
                    .iter()
                    .any(|folder| file.strip_prefix(folder).is_some_and(|rest| !rest.contains('/')))
            };
            files.extend(all().filter(beside).filter(|file| of_it(stem(file)) || stem(file) == planned.stem));
        }
        files.extend(self.equations.keys().filter_map(|slug| Some(&self.inputs.sources.item(slug).ok()?.place.file)));
        let shown = self.shown.borrow();
        files.extend(all().filter(|file| shown.iter().any(|(of, _)| of == *file)));
        let mut seen = BTreeSet::new();
        files.into_iter().filter(|file| seen.insert(*file)).cloned().collect()
    }

    fn file_index(&self) -> String {
        let entry = |file: &String| format!("<li><a href=\"{}\"><code>{file}</code></a></li>", page(&code_page(file)));
        format!("<ul class=\"files\">{}</ul>", self.code_files().iter().map(entry).collect::<String>())
    }

    /// The files of the written chapters, each on a page of its own: file, title, Markdown.
    pub fn code_pages(&self) -> Vec<(String, String, String)> {
        let page =
            |file: &String| (code_page(file), file.clone(), code_page_text(file, &self.inputs.sources.files[file]));
        self.code_files().iter().map(page).collect()
    }
}

/// A whole file, with a heading before each equation (or each module of checks).
fn code_page_text(file: &str, text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    // A heading stands before line `.0`.
    let mut headings: Vec<(usize, String)> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if let Some(name) = line.trim().strip_prefix("// ANCHOR: ") {
            let above = |line: &&&str| ["///", "#["].iter().any(|start| line.trim().starts_with(start));
            let start = at - lines[..at].iter().rev().take_while(above).count();
            headings.push((start, format!("`{name}` {{#fn-{name}}}")));
        } else if let Some(name) =
            line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {")).filter(|_| file.starts_with("tests/"))
        {
            headings.push((at, format!("The checks of `{name}` {{#check-{name}}}")));
        }
    }
    let mut out = format!("# {file}\n\n");
    let ends: Vec<usize> = headings.iter().map(|(at, _)| *at).skip(1).chain([lines.len()]).collect();
    let before = headings.first().map_or(lines.len(), |(at, _)| *at);
    out.push_str(&code_block(&lines[..before]));
    for ((start, heading), end) in headings.iter().zip(ends) {
        out.push_str(&format!("## {heading}\n\n{}", code_block(&lines[*start..end])));
    }
    if file.starts_with("src/") && !file.starts_with("src/torch/") {
        out.push_str(&format!("\nThe checks of this file: `cargo test --test {}`.\n", stem(file)));
    }
    out
}

fn code_block(lines: &[&str]) -> String {
    let is_anchor = |line: &&&str| !line.trim().starts_with("// ANCHOR");
    let code: Vec<&str> = lines.iter().filter(is_anchor).copied().collect();
    match code.join("\n").trim_matches('\n') {
        "" => String::new(),
        code => format!("```rust,noplayground\n{code}\n```\n\n"),
    }
}

/// "Ho, Jonathan" as "J. Ho".
fn given_first(author: &str) -> String {
    let Some((family, given)) = author.split_once(',') else { return author.into() };
    let initials: String =
        given.split_whitespace().filter_map(|name| name.chars().next()).map(|c| format!("{c}. ")).collect();
    format!("{initials}{family}")
}

fn one_line(latex: &str) -> String {
    latex.lines().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_page_has_the_whole_file_but_the_anchors() {
        let text = "//! Top.\n\nuse a;\n\n/// Doc.\n#[x]\n// ANCHOR: f\nfn f() {}\n// ANCHOR_END: f\n\nfn g() {}\n";
        let page = code_page_text("src/forward.rs", text);
        let fence = "```rust,noplayground";
        assert!(page.contains(&format!(
            "# src/forward.rs\n\n{fence}\n//! Top.\n\nuse a;\n```\n\n## `f` {{#fn-f}}\n\n{fence}\n/// Doc.\n#[x]\nfn f() {{}}\n\nfn g() {{}}\n```\n"
        )), "{page}");
        let page = code_page_text("tests/forward.rs", "use a;\n\nmod f {\n}\n");
        assert!(page.contains(&format!("## The checks of `f` {{#check-f}}\n\n{fence}\nmod f {{\n}}\n```")), "{page}");
    }

    #[test]
    fn names_are_turned() {
        assert_eq!(given_first("Sohl-Dickstein, Jascha N."), "J. N. Sohl-Dickstein");
    }
}
