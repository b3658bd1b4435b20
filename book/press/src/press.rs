//! Turns the chapters, as they are written, into Markdown that mdBook can set.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::block::{self, Block, BoxKind, Head, Part, Step};
use crate::figure;
use crate::html::{escape, from_rustdoc, id, powers, share_paths, unsearched};
use crate::inputs::{Inputs, Planned};
use crate::number::Style;
use crate::problem::{Place, Problems};
use crate::report::{Check, Report, kind_name};
use crate::sources::Item;

/// A chapter as it is written.
pub struct Chapter {
    /// Its file under `book/src`.
    pub file: String,
    pub title: String,
    /// Its place in the plan; none for the pages before and after the chapters.
    pub planned: Option<Planned>,
    blocks: Vec<Block>,
}

/// An equation of a chapter.
pub struct Equation {
    pub slug: String,
    /// "4.3".
    pub number: String,
    pub latex: String,
    /// The index of its chapter.
    pub chapter: usize,
    pub place: Place,
}

struct Figure {
    number: String,
    page: String,
}

/// A paper, cited somewhere.
pub struct Citation {
    /// The index of the chapter.
    pub chapter: usize,
    /// What exactly: "eq. 4".
    pub locator: String,
    /// The id of the place.
    pub id: String,
}

/// A box about a mistake.
pub struct Mistake {
    pub title: String,
    pub chapter: usize,
    pub id: String,
}

/// The book, being set.
pub struct Press<'a> {
    pub inputs: &'a Inputs,
    pub problems: &'a Problems,
    pub chapters: Vec<Chapter>,
    /// By slug.
    pub equations: BTreeMap<String, Equation>,
    figures: BTreeMap<String, Figure>,
    /// The formulas in the order of reading: the chapter, its LaTeX.
    pub formulas: RefCell<Vec<(usize, String)>>,
    pub citations: RefCell<BTreeMap<String, Vec<Citation>>>,
    pub mistakes: RefCell<Vec<Mistake>>,
    /// Chapter and slug of the equations referred to.
    cited: RefCell<BTreeSet<(usize, String)>>,
    /// File and name of the anchors whose code was shown.
    pub shown: RefCell<BTreeSet<(String, String)>>,
}

/// Where a piece of text stands: its chapter and line.
#[derive(Clone, Copy)]
struct Here {
    chapter: usize,
    line: usize,
}

impl<'a> Press<'a> {
    /// `chapters`: file, title and text of each, in the order of reading.
    pub fn new(inputs: &'a Inputs, chapters: &[(String, String, String)], problems: &'a Problems) -> Self {
        let chapters = chapters.iter().map(|(file, title, text)| Chapter {
            file: file.clone(),
            title: title.clone(),
            planned: inputs.plan.iter().find(|planned| planned.file() == *file).cloned(),
            blocks: block::parse(text, &format!("book/src/{file}"), problems),
        });
        let mut press = Self {
            inputs,
            problems,
            chapters: chapters.collect(),
            equations: BTreeMap::new(),
            figures: BTreeMap::new(),
            formulas: RefCell::default(),
            citations: RefCell::default(),
            mistakes: RefCell::default(),
            cited: RefCell::default(),
            shown: RefCell::default(),
        };
        press.number();
        press
    }

    /// Numbers the equations and figures, so that every page can refer to them.
    fn number(&mut self) {
        for (index, chapter) in self.chapters.iter().enumerate() {
            let (mut equations, mut figures) = (0, 0);
            let number_of = |count: usize| match &chapter.planned {
                Some(planned) => format!("{}.{count}", planned.number),
                None => count.to_string(),
            };
            for block in &chapter.blocks {
                let place = Place::new(format!("book/src/{}", chapter.file), block.line);
                match &block.part {
                    Part::Equation { slug, latex } => {
                        equations += 1;
                        let equation = Equation {
                            slug: slug.clone(),
                            number: number_of(equations),
                            latex: latex.clone(),
                            chapter: index,
                            place: place.clone(),
                        };
                        if let Some(other) = self.equations.insert(slug.clone(), equation) {
                            self.problems.add(&place, format!("the equation `{slug}` is already at {}", other.place));
                        }
                    }
                    Part::Figure { name, .. } | Part::Play { name, .. } => {
                        figures += 1;
                        let figure = Figure { number: number_of(figures), page: page(&chapter.file) };
                        if self.figures.insert(name.clone(), figure).is_some() {
                            self.problems.add(&place, format!("the figure `{name}` is in the book twice"));
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// The Markdown of every chapter, and of the pages that show the code: file, title, text.
    pub fn set(&self) -> (Vec<String>, Vec<(String, String, String)>) {
        let mut texts: Vec<String> = (0..self.chapters.len()).map(|chapter| self.chapter(chapter)).collect();
        // What the appendices list is known only now.
        for kind in ["glossary", "mistakes", "notation", "equations", "files", "bibliography", "coursework"] {
            for (chapter, text) in texts.iter_mut().enumerate() {
                while let Some((range, which)) = find_page_mark(text, kind) {
                    text.replace_range(range, &self.appendix(kind, &which, chapter));
                }
            }
        }
        for (chapter, text) in texts.iter_mut().enumerate() {
            text.push_str(&self.peeks(chapter));
            *text = share_paths(text);
        }
        self.check_completeness();
        (texts, self.code_pages())
    }

    fn chapter(&self, index: usize) -> String {
        let chapter = &self.chapters[index];
        let mut out = String::new();
        if let Some(planned) = &chapter.planned {
            out.push_str(&format!("<p class=\"kicker\">Chapter {}</p>\n\n", planned.number));
            if !chapter.blocks.iter().any(|block| matches!(block.part, Part::Head(_))) {
                let place = Place::new(format!("book/src/{}", chapter.file), 1);
                self.problems.add(&place, "a chapter needs its head, ```chapter (see book/README.md)");
            }
        }
        let mut boxes = Vec::new();
        let mut exercises = 0;
        for block in &chapter.blocks {
            let here = Here { chapter: index, line: block.line };
            let set = match &block.part {
                Part::Text(text) => self.text(text, here),
                Part::Head(head) => self.head(head, here),
                Part::Equation { slug, latex } => self.equation(slug, latex, here),
                Part::Derivation { title, folded, steps } => self.derivation(title, *folded, steps, here),
                Part::Figure { name, alt, caption } => self.figure(name, alt.as_deref(), caption, here),
                Part::Play { name, caption } => self.play(name, caption, here),
                Part::Code(anchor) => self.code(anchor, here),
                Part::Test(test) => self.test(test, here),
                Part::Open { kind, title } => {
                    boxes.push(*kind);
                    exercises += usize::from(*kind == BoxKind::Exercise);
                    self.open_box(*kind, title, exercises, here)
                }
                Part::Close => match boxes.pop() {
                    Some(BoxKind::Solution) => "</details>".into(),
                    Some(_) => "</section>".into(),
                    None => String::new(),
                },
                Part::Page(kind) => page_mark(kind),
            };
            out.push_str(&set);
            out.push_str("\n\n");
        }
        out
    }

    /// The line under the title: the question, how long it takes, what to know before.
    fn head(&self, head: &Head, here: Here) -> String {
        let chapter = &self.chapters[here.chapter];
        let mut words = 0;
        let mut equations = 0;
        for block in &chapter.blocks {
            match &block.part {
                Part::Text(text) => words += text.split_whitespace().count(),
                Part::Equation { .. } => equations += 1,
                Part::Derivation { steps, .. } => words += 40 * steps.len(),
                Part::Code(_) | Part::Test(_) => words += 60,
                _ => {}
            }
        }
        // Two hundred words a minute, and a pause at each equation.
        let minutes = words / 200 + equations / 2 + 1;
        let mut facts = vec![format!("{minutes} minutes")];
        if equations > 0 {
            facts.push(format!("{equations} {}", plural(equations, "equation", "equations")));
        }
        let needs: Vec<String> = head.needs.iter().map(|stem| self.chapter_link(stem, here)).collect();
        if !needs.is_empty() {
            facts.push(format!("read before: {}", needs.join(", ")));
        }
        let run = match head.run.as_str() {
            "" => String::new(),
            run => format!("<p class=\"run\">Run it: <code>{}</code></p>", escape(run)),
        };
        format!(
            "<div class=\"head\"><p class=\"question\">{}</p><p class=\"facts\">{}</p>{run}</div>",
            self.phrase(&head.question, here),
            facts.join(" <span class=\"dot\">·</span> ")
        )
    }

    /// A link to the chapter of a stem; its name alone, as long as it is not written.
    fn chapter_link(&self, stem: &str, here: Here) -> String {
        let Some(planned) = self.inputs.plan.iter().find(|planned| planned.stem == stem) else {
            self.problem(here, format!("there is no chapter with the stem `{stem}` (see book/chapters.toml)"));
            return String::new();
        };
        let name = format!("chapter {}", planned.number);
        match self.chapters.iter().find(|chapter| chapter.file == planned.file()) {
            Some(chapter) => {
                format!("<a href=\"{}\" title=\"{}\">{name}</a>", page(&chapter.file), escape(&planned.title))
            }
            None => name,
        }
    }

    fn equation(&self, slug: &str, latex: &str, here: Here) -> String {
        let Some(equation) = self.equations.get(slug) else { return String::new() };
        let latex = self.with_numbers(latex, here);
        let formula = self.formula(&latex, true, here);
        let report = match self.inputs.sources.item(slug) {
            Ok(item) => self.report(item, here),
            Err(problem) => {
                self.problem(here, problem);
                String::new()
            }
        };
        format!(
            "<div class=\"equation\" id=\"eq-{slug}\"><div class=\"line\"><div class=\"formula\" tabindex=\"0\" role=\"group\" \
             aria-label=\"Equation {number}\">{formula}</div>\
             <a class=\"number\" href=\"#eq-{slug}\">{hidden_number}</a></div>{report}</div>",
            number = equation.number,
            hidden_number = unsearched(&format!("({})", equation.number)),
        )
    }

    /// The line of measurements under an equation, and the table that it opens.
    fn report(&self, item: &Item, here: Here) -> String {
        let slug = &item.name;
        let Some(doc) = &item.equation else {
            self.problem(here, format!("the docstring of `{slug}` ({}) has no formula with that slug", item.place));
            return String::new();
        };
        let Some(report) = self.inputs.reports.get(slug) else {
            let file = self.inputs.sources.test_module(slug).map(|test| stem(&test.place.file).to_owned());
            let how = file.map_or("write its checks".into(), |file| format!("run `cargo test --test {file}`"));
            self.problem(here, format!("the equation `{slug}` has no report: {how}"));
            return String::new();
        };
        if let Some(lack) = report.lacks() {
            self.problem(here, format!("the equation `{slug}` has {lack}"));
            return String::new();
        }
        let line = format!(
            "<summary><span class=\"tick\" aria-hidden=\"true\">✓</span> <span class=\"measured\"><code>{slug}</code> {}</span></summary>",
            summary(report)
        );
        let link =
            |file: &str, kind: &str, shown: &str| format!("<a href=\"{}\">{shown}</a>", code_link(file, kind, slug));
        let mut origin = vec![self.linked_source(&doc.source), link(&item.place.file, "fn", "the function")];
        let tests = self.inputs.sources.test_module(slug);
        origin.extend(tests.map(|test| link(&test.place.file, "check", "its checks")));
        origin.push(format!("<code>cargo test {slug}</code>"));
        origin.extend(self.coursework_link(slug));
        let origin = origin.join(" <span class=\"dot\">·</span> ");
        let details = format!("{}<p class=\"origin\">{origin}</p>", table(report));
        format!(
            "<details class=\"report\">{}</details>",
            unsearched(&format!("{line}<div class=\"measurements\">{details}</div>"))
        )
    }

    /// Where an equation is written in the coursework, if it is and the coursework is in the book.
    fn coursework_link(&self, slug: &str) -> Option<String> {
        let exercise = self.inputs.coursework.exercise_of(slug)?;
        let page = self.chapters.iter().find(|chapter| chapter.file == "coursework.md").map(|c| page(&c.file))?;
        Some(format!("<a href=\"{page}#exercise-{exercise}\">exercise {exercise} of the coursework</a>"))
    }

    /// "Ho, Jain, Abbeel 2020, eq. 4", with a link to the bibliography where it is in there.
    fn linked_source(&self, source: &str) -> String {
        let found = self.inputs.references.iter().find_map(|(key, reference)| {
            let rest = source.strip_prefix(&reference.in_docstrings())?;
            Some(format!(
                "<a href=\"bibliography.html#ref-{key}\">{}</a>{}",
                escape(&reference.short()),
                from_rustdoc(rest)
            ))
        });
        found.unwrap_or_else(|| from_rustdoc(source))
    }

    fn derivation(&self, title: &str, folded: bool, steps: &[Step], here: Here) -> String {
        let mut rows = String::new();
        for step in steps {
            let here = Here { line: step.line, ..here };
            let latex = self.with_numbers(&step.latex, here);
            let aligned = latex.find('&').filter(|at| latex.find(r"\begin{").is_none_or(|begin| *at < begin));
            let (left, right) = aligned.map_or(("", latex.as_str()), |at| (&latex[..at], &latex[at + 1..]));
            // An empty group before the relation gives it its space.
            let right = if aligned.is_some() { format!("{{}}{right}") } else { right.to_owned() };
            let left = if left.trim().is_empty() { String::new() } else { self.formula(left, true, here) };
            rows.push_str(&format!(
                "<div class=\"left\">{left}</div><div class=\"right\" tabindex=\"0\" role=\"group\" aria-label=\"a step of the derivation\">{}</div>\
                 <div class=\"rule\">{}</div>",
                self.formula(&right, true, here),
                self.phrase(&step.rule, here)
            ));
        }
        let title = self.phrase(title, here);
        let steps = format!("<div class=\"steps\">{rows}</div>");
        if !folded {
            let title = if title.is_empty() { title } else { format!("<p class=\"title\">{title}</p>") };
            return format!("<div class=\"derivation\">{title}{steps}</div>");
        }
        let count = rows.matches("class=\"rule\"").count();
        format!(
            "<details class=\"algebra\"><summary><span class=\"show\">Show the algebra</span> {title} \
             <span class=\"count\">{count} {}</span></summary>{steps}</details>",
            plural(count, "step", "steps")
        )
    }

    fn figure(&self, name: &str, alt: Option<&str>, caption: &str, here: Here) -> String {
        let Some(figure) = self.figures.get(name) else { return String::new() };
        self.check_origin(name, here);
        let written_by_the_run = self.inputs.numbers.0.get(name).and_then(|json| json.get("alt")?.as_str());
        let alt = alt.or(written_by_the_run).unwrap_or_default();
        if alt.is_empty() {
            self.problem(here, format!("the figure `{name}` says nowhere in words what is to be seen (alt)"));
        }
        let svg = match self.inputs.figures.get(name) {
            Some(svg) => figure::inline(svg, name, alt),
            None => Err(format!(
                "there is no book/src/figures/{name}.svg (`cargo xtask figures` makes it), nor book/src/results/{name}.svg"
            )),
        };
        let svg = svg.unwrap_or_else(|problem| {
            self.problem(here, problem);
            String::new()
        });
        format!(
            "<figure id=\"fig-{name}\"><div class=\"plot\" tabindex=\"0\" role=\"group\" aria-label=\"Figure {number}\">{}</div>\
             <figcaption><span class=\"name\">Figure {number}.</span> {}</figcaption></figure>",
            unsearched(&svg),
            self.phrase(caption, here),
            number = figure.number
        )
    }

    /// A figure has an example that makes it, and the JSON of what it shows.
    fn check_origin(&self, name: &str, here: Here) {
        if self.inputs.of_long_runs.contains(name) {
            return self.check_long_run(name, here);
        }
        let made = self
            .inputs
            .sources
            .files
            .iter()
            .any(|(file, text)| file.starts_with("examples/") && text.contains(&format!("\"{name}\"")));
        if !made {
            self.problem(here, format!("no example makes the figure `{name}`"));
        }
        if !self.inputs.numbers.0.contains_key(name) {
            self.problem(here, format!("the figure `{name}` has no JSON of what it shows beside it"));
        }
    }

    /// The JSON of a long run's figure names the command of an example that made it, and that of each of its panels.
    fn check_long_run(&self, name: &str, here: Here) {
        let json = self.inputs.numbers.0.get(name);
        let panels = json.and_then(|json| json.get("shows")?.as_array()).map_or(&[][..], Vec::as_slice);
        for (json, words) in json.into_iter().map(|json| (json, name)).chain(panels.iter().map(|panel| (panel, ""))) {
            let command = json.get("command").and_then(|command| command.as_str()).unwrap_or_default();
            let example = command.split("--example ").nth(1).and_then(|rest| rest.split_whitespace().next());
            let file = format!("examples/{}.rs", example.unwrap_or_default());
            if !self.inputs.sources.files.contains_key(&file) || !command.contains(words) {
                let problem =
                    format!("book/src/results/{name}.json does not name the command that made it: {command:?}");
                self.problem(here, problem);
            }
        }
        if json.is_none() {
            self.problem(here, format!("the figure `{name}` has no JSON of what it shows beside it"));
        }
    }

    /// A figure that moves: its frames for `book/style/play.js`, and words for where no script runs.
    fn play(&self, name: &str, caption: &str, here: Here) -> String {
        let Some(figure) = self.figures.get(name) else { return String::new() };
        self.check_origin(name, here);
        let frames = self.inputs.numbers.0.get(name);
        let alt = frames.and_then(|json| json.get("alt")?.as_str()).unwrap_or_default();
        let frames = frames.map(|json| json.to_string().replace("</", "<\\/")).unwrap_or_default();
        format!(
            "<figure class=\"play\" id=\"fig-{name}\"><div class=\"stage\" role=\"group\" aria-label=\"Interactive figure {number}\">\
             <p class=\"still\">{}</p></div><figcaption><span class=\"name\">Figure {number}.</span> {}</figcaption>{}</figure>",
            escape(alt),
            self.phrase(caption, here),
            unsearched(&format!("<script type=\"application/json\">{frames}</script>")),
            number = figure.number
        )
    }

    fn code(&self, anchor: &str, here: Here) -> String {
        match self.inputs.sources.item(anchor) {
            Ok(item) => {
                self.shown.borrow_mut().insert((item.place.file.clone(), item.name.clone()));
                listing(&item.code, &item.place, &code_link(&item.place.file, "fn", &item.name), "code")
            }
            Err(problem) => {
                self.problem(here, problem);
                String::new()
            }
        }
    }

    fn test(&self, test: &str, here: Here) -> String {
        let Some((slug, name)) = test.split_once(char::is_whitespace) else {
            self.problem(here, "a test needs its slug and its name: {{test q_sample identity}}");
            return String::new();
        };
        match self.inputs.sources.test(slug, name.trim()) {
            Ok(test) => listing(&test.code, &test.place, &code_link(&test.place.file, "check", slug), "code check"),
            Err(problem) => {
                self.problem(here, problem);
                String::new()
            }
        }
    }

    fn open_box(&self, kind: BoxKind, title: &str, exercise: usize, here: Here) -> String {
        let set = self.phrase(title, here);
        let number = self.chapters[here.chapter].planned.as_ref().map_or(String::new(), |p| format!("{}.", p.number));
        match kind {
            BoxKind::Solution => "<details class=\"solution\"><summary>Solution</summary>\n".into(),
            BoxKind::Mistake => {
                let id = format!("mistake-{}", id(title));
                let line = format!(
                    "<section class=\"box mistake\" id=\"{id}\"><p class=\"label\">A mistake that circulates</p><p class=\"title\">{set}</p>\n"
                );
                self.mistakes.borrow_mut().push(Mistake { title: title.into(), chapter: here.chapter, id });
                line
            }
            BoxKind::Example => boxed("example", "By hand", &set),
            BoxKind::Exercise => boxed("exercise", &format!("Exercise {number}{exercise}"), &set),
            BoxKind::Shown => boxed("shown", "What was shown", &set),
            BoxKind::Aside => boxed("aside", "Aside", &set),
        }
    }

    /// Sets a formula; a bad one is a problem.
    fn formula(&self, latex: &str, display: bool, here: Here) -> String {
        self.formulas.borrow_mut().push((here.chapter, latex.to_owned()));
        let set = if display { self.inputs.math.display(latex) } else { self.inputs.math.inline(latex) };
        match set {
            Ok(html) => format!("<span class=\"math\">{}</span>", unsearched(&html)),
            Err(error) => {
                self.problem(here, format!("bad formula: {error}"));
                String::new()
            }
        }
    }

    /// Puts in the numbers of a formula.
    fn with_numbers(&self, latex: &str, here: Here) -> String {
        let mut out = String::new();
        let mut rest = latex;
        while let Some(start) = rest.find("{{number ") {
            let Some(end) = rest[start..].find("}}") else { break };
            out.push_str(&rest[..start]);
            match self.inputs.numbers.show(&rest[start + 9..start + end], Style::Latex) {
                Ok(number) => out.push_str(&number),
                Err(problem) => self.problem(here, problem),
            }
            rest = &rest[start + end + 2..];
        }
        out + rest
    }

    /// A title, a caption, a rule: Markdown without paragraphs, as HTML.
    pub fn phrase_of(&self, markdown: &str, chapter: usize) -> String {
        self.phrase(markdown, Here { chapter, line: 0 })
    }

    fn phrase(&self, markdown: &str, here: Here) -> String {
        let text = self.text(markdown, here);
        let mut html = String::new();
        pulldown_cmark::html::push_html(&mut html, Parser::new_ext(&text, options()));
        let html = html.trim().replace("</p>\n<p>", "<br>").replace('\n', " ");
        html.strip_prefix("<p>").and_then(|html| html.strip_suffix("</p>")).map_or(html.clone(), str::to_owned)
    }

    /// Markdown, with its formulas set and its references, terms and numbers filled in.
    fn text(&self, markdown: &str, here: Here) -> String {
        let at = |offset: usize| Here { line: here.line + markdown[..offset].matches('\n').count(), ..here };
        let marks = Marks::find(markdown);
        for offset in &marks.indented_code {
            self.problem(at(*offset), "code by indentation: use a fence with its language");
        }
        for offset in &marks.math_in_headings {
            self.problem(at(*offset), "a formula in a heading: use words");
        }
        let mut replacements: Vec<(Range<usize>, String)> = Vec::new();
        for (range, latex, display) in &marks.formulas {
            let latex = self.with_numbers(latex, at(range.start));
            let set = self.formula(&latex, *display, at(range.start));
            if *display {
                let set = format!(
                    "<span class=\"display\" tabindex=\"0\" role=\"group\" aria-label=\"formula\">{set}</span>"
                );
                replacements.push((range.clone(), set));
            } else {
                let punctuation = punctuation(&markdown[range.end..]);
                replacements.push((range.start..range.end + punctuation.len(), together(&set, punctuation)));
            }
        }
        for (open, close) in [("[@", "]"), ("[[", "]]"), ("{{", "}}")] {
            for (start, _) in markdown.match_indices(open) {
                let taken = |range: &Range<usize>| range.contains(&start);
                if marks.untouched.iter().any(taken) || marks.formulas.iter().any(|(range, ..)| taken(range)) {
                    continue;
                }
                let Some(length) = markdown[start..].find(close) else { continue };
                let inside = &markdown[start + open.len()..start + length];
                let set = match open {
                    "[@" => self.reference(inside, at(start)),
                    "[[" => self.term(inside, at(start)),
                    _ => self.directive(inside, at(start)),
                };
                replacements.push((start..start + length + close.len(), set));
            }
        }
        replacements.sort_by_key(|(range, _)| range.start);
        let mut out = String::new();
        let mut done = 0;
        for (range, set) in replacements.into_iter().filter(|(range, _)| !range.is_empty()) {
            out.push_str(&markdown[done..range.start]);
            out.push_str(&set);
            done = range.end;
        }
        out + &markdown[done..]
    }

    /// What `{{…}}` within a text stands for.
    fn directive(&self, text: &str, here: Here) -> String {
        let (word, rest) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
        let set = match word {
            "number" => self.inputs.numbers.show(rest, Style::Text).map(|number| {
                format!(
                    "<span class=\"run-number\" title=\"from a run: {}\">{}</span>",
                    escape(rest.trim()),
                    powers(&number)
                )
            }),
            "wrong" => self.wrong_variant(rest),
            "report" => self.report_line(rest.trim()),
            _ => Err(format!("`{{{{{text}}}}}` is no directive of this book (see book/README.md)")),
        };
        set.unwrap_or_else(|problem| {
            self.problem(here, problem);
            String::new()
        })
    }

    /// The line of measurements of an equation, to speak about it.
    fn report_line(&self, slug: &str) -> Result<String, String> {
        let report = self.inputs.reports.get(slug).ok_or_else(|| format!("there is no report of `{slug}`"))?;
        Ok(format!(
            "<span class=\"report-line\"><span class=\"tick\" aria-hidden=\"true\">✓</span> <code>{slug}</code> {}</span>",
            unsearched(&summary(report))
        ))
    }

    /// `q_sample: a plus for a times`: how the checks took that mistake.
    fn wrong_variant(&self, text: &str) -> Result<String, String> {
        let (slug, mistake) =
            text.split_once(':').ok_or("a wrong variant needs its slug: {{wrong q_sample: the mistake}}")?;
        let (slug, mistake) = (slug.trim(), mistake.trim());
        let report = self.inputs.reports.get(slug).ok_or_else(|| format!("there is no report of `{slug}`"))?;
        let found = report.wrong_variants.iter().find(|wrong| wrong.mistake == mistake);
        let wrong = found.ok_or_else(|| {
            let known: Vec<&str> = report.wrong_variants.iter().map(|wrong| wrong.mistake.as_str()).collect();
            format!("the checks of `{slug}` know no mistake \"{mistake}\"; they know: {}", known.join("; "))
        })?;
        Ok(format!(
            "<span class=\"wrong\"><span class=\"cross\" aria-hidden=\"true\">✗</span> {}</span>",
            verdict(wrong)
        ))
    }

    /// What `[@…]` refers to: an equation, a paper, `ch:` a chapter, `fig:` a figure.
    fn reference(&self, text: &str, here: Here) -> String {
        let (key, locator) = text.split_once(',').map_or((text.trim(), ""), |(key, rest)| (key.trim(), rest.trim()));
        if let Some(stem) = key.strip_prefix("ch:") {
            return self.chapter_link(stem, here);
        }
        if let Some(name) = key.strip_prefix("fig:") {
            return match self.figures.get(name) {
                Some(figure) => format!("<a href=\"{}#fig-{name}\">Figure {}</a>", figure.page, figure.number),
                None => {
                    self.problem(here, format!("dead reference: there is no figure `{name}`"));
                    String::new()
                }
            };
        }
        if let Some(equation) = self.equations.get(key) {
            return self.equation_link(equation, here);
        }
        if self.inputs.references.contains_key(key) {
            return self.cite(key, locator, here);
        }
        if self.inputs.sources.item(key).is_ok_and(|item| item.equation.is_some() && !self.is_written(&item.place.file))
        {
            // Its chapter is still to come.
            return format!("<code>{key}</code>");
        }
        self.problem(here, format!("dead reference: `{key}` is neither an equation nor a paper of the bibliography"));
        String::new()
    }

    /// "(4.3)", with the formula shown on hover: set, by a script, or in plain letters.
    fn equation_link(&self, equation: &Equation, here: Here) -> String {
        let slug = &equation.slug;
        self.cited.borrow_mut().insert((here.chapter, slug.clone()));
        let item = self.inputs.sources.item(slug).ok();
        let plain = item.and_then(|item| item.equation.as_ref()).map_or("", |doc| &doc.formula);
        format!(
            "<a class=\"eq-link\" data-equation=\"{slug}\" href=\"{}#eq-{slug}\" title=\"{}\">({})</a>",
            page(&self.chapters[equation.chapter].file),
            escape(plain),
            equation.number,
        )
    }

    /// The formulas that a page refers to and that stand on other pages, for the script that shows them on hover.
    fn peeks(&self, chapter: usize) -> String {
        let cited = self.cited.borrow();
        let elsewhere = cited
            .iter()
            .filter(|(on, _)| *on == chapter)
            .filter_map(|(_, slug)| self.equations.get(slug))
            .filter(|equation| equation.chapter != chapter);
        let peek = |equation: &Equation| {
            let formula = self.inputs.math.picture(&equation.latex).unwrap_or_default();
            format!("<div data-peek=\"{}\">{}</div>", equation.slug, unsearched(&formula))
        };
        match elsewhere.map(peek).collect::<String>().as_str() {
            "" => String::new(),
            peeks => format!("\n\n<div hidden>{peeks}</div>\n"),
        }
    }

    fn cite(&self, key: &str, locator: &str, here: Here) -> String {
        let reference = &self.inputs.references[key];
        let mut citations = self.citations.borrow_mut();
        let list = citations.entry(key.to_owned()).or_default();
        let id = format!("cite-{key}-{}", list.iter().filter(|citation| citation.chapter == here.chapter).count() + 1);
        list.push(Citation { chapter: here.chapter, locator: locator.into(), id: id.clone() });
        let locator = if locator.is_empty() { String::new() } else { format!(", {}", escape(locator)) };
        format!(
            "<a class=\"cite\" id=\"{id}\" href=\"bibliography.html#ref-{key}\" title=\"{}\">{}{locator}</a>",
            escape(&reference.title),
            escape(&reference.short())
        )
    }

    /// `[[word]]` or `[[word|entry]]`: a link to the glossary, with the meaning on hover.
    fn term(&self, text: &str, here: Here) -> String {
        let (shown, entry) = text.split_once('|').unwrap_or((text, text));
        let wanted = entry.trim().to_lowercase();
        let found = self.inputs.terms.iter().find(|term| {
            term.name.to_lowercase() == wanted || term.also.iter().any(|form| form.to_lowercase() == wanted)
        });
        match found {
            Some(term) => {
                format!("<a class=\"term\" href=\"glossary.html#term-{}\">{}</a>", id(&term.name), shown.trim())
            }
            None => {
                self.problem(here, format!("the glossary has no `{}`", entry.trim()));
                shown.to_owned()
            }
        }
    }

    /// Whether the chapter of this module is in the book.
    fn is_written(&self, file: &str) -> bool {
        self.written().any(|planned| planned.modules().iter().any(|name| name == module(file)))
    }

    /// The chapters of the plan that are in the book.
    pub fn written(&self) -> impl Iterator<Item = &Planned> {
        self.chapters.iter().filter_map(|chapter| chapter.planned.as_ref())
    }

    /// In the written chapters: every equation of their modules is there and its code is shown; no anchor is unused, no
    /// figure of theirs either.
    fn check_completeness(&self) {
        let shown = self.shown.borrow();
        let stems: Vec<&str> = self.written().map(|planned| planned.stem.as_str()).collect();
        for item in &self.inputs.sources.items {
            let file = &item.place.file;
            let concerns = self.is_written(file)
                || stems
                    .iter()
                    .any(|stem| *file == format!("examples/{stem}.rs") || *file == format!("tests/{stem}.rs"));
            if !concerns {
                continue;
            }
            let name = &item.name;
            if item.equation.is_some() && !self.equations.contains_key(name) {
                self.problems.add(&item.place, format!("the equation `{name}` is in no chapter"));
            }
            if !shown.contains(&(file.clone(), name.clone())) {
                self.problems.add(
                    &item.place,
                    format!("the code of the anchor `{name}` is shown in no chapter ({{{{code {name}}}}})"),
                );
            }
        }
        for name in self.inputs.figures.keys().filter(|name| !self.figures.contains_key(*name)) {
            if stems.iter().any(|stem| name.starts_with(&format!("{stem}-"))) {
                let folder = if self.inputs.of_long_runs.contains(name) { "results" } else { "figures" };
                let place = Place::new(format!("book/src/{folder}/{name}.svg"), 0);
                self.problems.add(&place, "this figure is in no chapter");
            }
        }
        let planned: Vec<String> = self.inputs.plan.iter().map(Planned::file).collect();
        for chapter in &self.chapters {
            let numbered = chapter.file.starts_with(|c: char| c.is_ascii_digit());
            if numbered && !planned.contains(&chapter.file) {
                let place = Place::new(format!("book/src/{}", chapter.file), 0);
                self.problems.add(&place, "this chapter is not in book/chapters.toml");
            }
        }
    }

    fn problem(&self, here: Here, message: impl Into<String>) {
        let place = Place::new(format!("book/src/{}", self.chapters[here.chapter].file), here.line);
        self.problems.add(&place, message);
    }
}

/// What the extensions of Markdown are: those that mdBook has, and formulas.
fn options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_DEFINITION_LIST
        | Options::ENABLE_SMART_PUNCTUATION
        | Options::ENABLE_GFM
        | Options::ENABLE_MATH
}

/// Where the formulas of a text are, and where nothing is to be replaced.
#[derive(Default)]
struct Marks {
    /// Range, LaTeX, whether on a line of its own.
    formulas: Vec<(Range<usize>, String, bool)>,
    /// Code.
    untouched: Vec<Range<usize>>,
    indented_code: Vec<usize>,
    math_in_headings: Vec<usize>,
}

impl Marks {
    fn find(markdown: &str) -> Self {
        let mut marks = Self::default();
        let mut in_heading = false;
        for (event, range) in Parser::new_ext(markdown, options()).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => in_heading = true,
                Event::End(TagEnd::Heading(_)) => in_heading = false,
                Event::Start(Tag::CodeBlock(kind)) => {
                    if kind == CodeBlockKind::Indented {
                        marks.indented_code.push(range.start);
                    }
                    marks.untouched.push(range);
                }
                Event::Code(_) => marks.untouched.push(range),
                Event::InlineMath(latex) | Event::DisplayMath(latex) => {
                    if in_heading {
                        marks.math_in_headings.push(range.start);
                    }
                    let display = markdown[range.clone()].starts_with("$$");
                    marks.formulas.push((range, latex.into_string(), display));
                }
                _ => {}
            }
        }
        marks
    }
}

/// Stands for a page that is made by program, until it can be made: the kind, and which part of it.
fn page_mark(page: &str) -> String {
    format!("<!--page:{page}-->")
}

/// Where such a mark is, and what follows the kind in it.
fn find_page_mark(text: &str, kind: &str) -> Option<(Range<usize>, String)> {
    let begin = format!("<!--page:{kind}");
    let start = text.find(&begin)?;
    let end = start + text[start..].find("-->")?;
    Some((start..end + 3, text[start + begin.len()..end].trim().to_owned()))
}

/// "04-forward.html".
pub fn page(file: &str) -> String {
    format!("{}.html", file.strip_suffix(".md").unwrap_or(file))
}

/// "forward", of "tests/forward.rs".
pub fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.strip_suffix(".rs").unwrap_or(name)
}

/// "mlp", of "src/mlp.rs" and of "src/mlp/adam.rs"; empty for what is not under `src`.
pub fn module(file: &str) -> &str {
    let path = file.strip_prefix("src/").unwrap_or_default();
    path.split(['/', '.']).next().unwrap_or_default()
}

/// The page that shows a whole file: "src-forward.md".
pub fn code_page(file: &str) -> String {
    format!("{}.md", file.strip_suffix(".rs").unwrap_or(file).replace('/', "-"))
}

pub fn code_link(file: &str, kind: &str, name: &str) -> String {
    format!("{}#{kind}-{name}", page(&code_page(file)))
}

/// The marks at the head of a text that may not begin a line.
fn punctuation(text: &str) -> &str {
    let end = text.find(|c: char| !".,;:!?)".contains(c)).unwrap_or(text.len());
    &text[..end]
}

/// A formula in a line with the punctuation after it. A formula of several pieces may be broken, and is left so.
fn together(formula: &str, punctuation: &str) -> String {
    let begun = formula.strip_prefix("<span class=\"math\">").and_then(|rest| rest.strip_suffix("</span>"));
    match begun {
        Some(inside) if !punctuation.is_empty() && inside.matches("katex-base").count() == 1 => {
            format!("<span class=\"math whole\">{inside}{punctuation}</span>")
        }
        _ => format!("{formula}{punctuation}"),
    }
}

fn boxed(class: &str, label: &str, title: &str) -> String {
    let title = if title.is_empty() { String::new() } else { format!("<p class=\"title\">{title}</p>") };
    format!("<section class=\"box {class}\"><p class=\"label\">{label}</p>{title}\n")
}

fn listing(code: &str, place: &Place, link: &str, class: &str) -> String {
    format!(
        "<div class=\"{class}\"><p class=\"where\"><a href=\"{link}\">{}</a></p>\n\n```rust,noplayground\n{code}\n```\n\n</div>",
        unsearched(&place.file)
    )
}

pub fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// "checked by identity and Monte Carlo · 258 cases · worst error 2.3 × 10⁻¹⁶ of 10⁻¹² · rejects 3 wrong variants".
pub fn summary(report: &Report) -> String {
    let kinds: Vec<&str> = report.checks.iter().map(|check| kind_name(&check.kind)).collect();
    let kinds = match kinds.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    };
    let cases = report.cases();
    let mut parts = vec![format!("{cases} {}", plural(cases, "case", "cases"))];
    if let Some(check) = report.nearest(false) {
        parts.push(format!("worst error {} of {}", check.worst(), check.bound()));
    }
    if let Some(check) = report.nearest(true) {
        parts.push(format!("{} of {}", check.worst(), check.bound()));
    }
    let wrong = report.wrong_variants.len();
    parts.push(format!("rejects {wrong} wrong {}", plural(wrong, "variant", "variants")));
    if !report.torch_was_run() {
        parts.push("torch: not run".into());
    }
    // The dot stays with what is before it, at the end of a line too.
    let dot = " <span class=\"dot\">·</span>";
    let last = parts.len() - 1;
    let part =
        |(i, part): (usize, String)| format!(" <span class=\"part\">{part}{}</span>", if i < last { dot } else { "" });
    format!("checked by {kinds}{dot}{}", parts.into_iter().enumerate().map(part).collect::<String>())
}

/// "rejected by identity in 255 of 256 cases, with an error up to 0.19 where 10⁻¹² is allowed".
fn verdict(wrong: &Check) -> String {
    format!(
        "rejected by {} in {} of {} cases, with an error up to {} where {} is allowed",
        kind_name(&wrong.by),
        wrong.rejected,
        wrong.cases,
        wrong.worst(),
        wrong.bound()
    )
}

fn table(report: &Report) -> String {
    let mut rows = String::new();
    for check in &report.checks {
        rows.push_str(&format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            kind_name(&check.kind),
            check.cases,
            check.worst(),
            check.bound(),
            from_rustdoc(&check.reason)
        ));
    }
    if !report.torch_was_run() {
        rows.push_str("<tr class=\"not-run\"><th scope=\"row\">torch</th><td colspan=\"4\">not run</td></tr>");
    }
    let wrong: String = report
        .wrong_variants
        .iter()
        .map(|wrong| {
            format!(
                "<li><span class=\"cross\" aria-hidden=\"true\">✗</span> <q>{}</q> is {}</li>",
                from_rustdoc(&wrong.mistake),
                verdict(wrong)
            )
        })
        .collect();
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"measurements\"><table><thead><tr><th>check</th><th>cases</th><th>worst</th><th>bound</th>\
         <th>why that bound</th></tr></thead><tbody>{rows}</tbody></table></div><ul class=\"rejected\">{wrong}</ul>"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::inputs::{Coursework, Exercise, Reference, Term};
    use crate::math::Math;
    use crate::number::Numbers;
    use crate::sources::Sources;

    const FORWARD: &str =
        "/// Doc.\n/// # Formula\n/// x   (slug `q_step`)\n// ANCHOR: q_step\nfn q_step() {}\n// ANCHOR_END: q_step\n";
    const TESTS: &str = "mod q_step {\n    #[test]\n    fn limit() {\n    }\n}\n";
    const LATER: &str = "/// Doc.\n/// # Formula\n/// y   (slug `mu`)\n// ANCHOR: mu\nfn mu() {}\n// ANCHOR_END: mu\n";
    const HEAD: &str = "# T\n\n```chapter\nquestion = \"Why?\"\n```\n\n";
    const GOOD: &str = "```equation q_step\nx_t\n```\n\n{{code q_step}}\n\n";

    fn check(kind: &str) -> Check {
        let json = serde_json::json!({"kind": kind, "by": "limit", "cases": 4, "worst": 1e-16, "bound": 1e-12, "mistake": "m", "rejected": 3});
        serde_json::from_value(json).unwrap()
    }

    fn long_run(command: &str, of_its_panel: &str) -> serde_json::Value {
        serde_json::json!({"alt": "words", "command": command, "shows": [{"command": of_its_panel}]})
    }

    fn inputs(kinds: &[&str], problems: &Problems) -> Inputs {
        let files = [
            ("src/forward.rs", FORWARD),
            ("src/posterior.rs", LATER),
            ("tests/forward.rs", TESTS),
            ("examples/forward.rs", "name: \"forward-a\""),
        ];
        let planned = |number, stem: &str| Planned { number, stem: stem.into(), title: "Title".into(), modules: None };
        Inputs {
            plan: vec![planned(4, "forward"), planned(5, "posterior")],
            sources: Sources::new(files.map(|(f, t)| (f.to_owned(), t.to_owned())).into(), problems),
            reports: BTreeMap::from([("q_step".into(), Report::new(kinds.iter().map(|kind| check(kind)).collect()))]),
            numbers: Numbers(BTreeMap::from([
                ("forward-a".into(), serde_json::json!({"alt": "words", "gap": 0.5})),
                ("long".into(), long_run("cargo run --example forward -- figure long", "cargo run --example forward")),
                ("nameless".into(), long_run("cargo run --example forward -- figure", "cargo run --example forward")),
                ("panelless".into(), long_run("cargo run --example forward -- figure panelless", "")),
                ("exampleless".into(), long_run("cargo run --example forwards -- figure exampleless", "")),
            ])),
            figures: ["forward-a", "long", "nameless", "panelless", "exampleless", "jsonless"]
                .map(|name| (name.to_owned(), "<svg viewBox=\"0 0 1 1\"></svg>".to_owned()))
                .into(),
            of_long_runs: ["long", "nameless", "panelless", "exampleless", "jsonless"].map(str::to_owned).into(),
            references: BTreeMap::from([(
                "ho2020".into(),
                Reference {
                    authors: vec!["Ho, J".into()],
                    year: 2020,
                    title: "D".into(),
                    published: "P".into(),
                    arxiv: None,
                    doi: None,
                },
            )]),
            symbols: Vec::new(),
            terms: vec![Term { name: "Markov chain".into(), also: vec![], meaning: "m".into() }],
            math: Math::new(BTreeMap::new()),
            coursework: Coursework {
                exercises: vec![Exercise {
                    file: "ex01_step".into(),
                    title: "One step".into(),
                    equations: vec!["forward.q_step".into()],
                    marks: 3,
                }],
                questions: Vec::new(),
            },
        }
    }

    /// The chapter as it is set, and the problems.
    fn set_with(kinds: &[&str], text: &str) -> (String, Vec<String>) {
        let problems = Problems::default();
        let inputs = inputs(kinds, &problems);
        let chapters = [("04-forward.md".to_owned(), "T".to_owned(), text.to_owned())];
        let (mut texts, _) = Press::new(&inputs, &chapters, &problems).set();
        (texts.remove(0), problems.list())
    }

    #[test]
    fn an_equation_and_its_exercise_lead_to_each_other() {
        let problems = Problems::default();
        let inputs = inputs(&["identity", "limit", "wrong-variant"], &problems);
        let chapters = [("04-forward.md", format!("{HEAD}{GOOD}")), ("coursework.md", "{{coursework}}".to_owned())];
        let chapters = chapters.map(|(file, text)| (file.to_owned(), "T".to_owned(), text));
        let (texts, _) = Press::new(&inputs, &chapters, &problems).set();
        assert!(texts[0].contains("href=\"coursework.html#exercise-1\""), "{}", texts[0]);
        assert!(
            texts[1].contains("id=\"exercise-1\"") && texts[1].contains("04-forward.html#eq-q_step"),
            "{}",
            texts[1]
        );
        // Without that page, no equation leads there.
        let (texts, _) = Press::new(&inputs, &chapters[..1], &problems).set();
        assert!(!texts[0].contains("coursework"));
    }

    /// A chapter in which all else is right.
    fn set(text: &str) -> (String, Vec<String>) {
        let figure = if text.contains("```figure forward-a") { "" } else { "```figure forward-a\nCaption.\n```\n\n" };
        set_with(&["identity", "limit", "wrong-variant"], &format!("{HEAD}{GOOD}{figure}{text}"))
    }

    /// The line of `text` in such a chapter.
    const FIRST_LINE: usize = 17;

    fn fails(text: &str, line: usize, problem: &str) {
        let (_, problems) = set(text);
        let place = format!("book/src/04-forward.md:{}: ", FIRST_LINE + line);
        assert!(
            problems.iter().any(|found| found.starts_with(&place) && found.contains(problem)),
            "{text}: {problems:?}"
        );
    }

    #[test]
    fn a_good_chapter_has_no_problem() {
        let (html, problems) = set(
            "See [@q_step], [@ho2020, eq. 2], [@ch:posterior], [@mu], [@fig:forward-a], a [[Markov chain]] and {{number forward-a.gap .1}}: $x_0 = {{number forward-a.gap .2}}$. `[@not]` stays. {{wrong q_step: m}}\n\n{{test q_step limit}}",
        );
        assert_eq!(problems, [""; 0]);
        for part in [
            "data-equation=\"q_step\" href=\"04-forward.html#eq-q_step\" title=\"x\">(4.1)</a>",
            "Ho 2020, eq. 2</a>",
            "chapter 5",
            "<code>mu</code>",
            "Figure 4.1</a>",
            "glossary.html#term-markov-chain",
            ">0.5</span>",
            "`[@not]`",
            "rejected by limit in 3 of 4 cases",
            "id=\"eq-q_step\"",
            "torch: not run",
            "fn limit()",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
    }

    #[test]
    fn an_equation_needs_its_report() {
        for (kinds, problem) in [
            (&[][..], "has no report"),
            (&["identity", "torch", "wrong-variant"], "only one kind of check"),
            (&["identity", "limit"], "no wrong variant"),
        ] {
            let (_, problems) = set_with(kinds, &format!("{HEAD}{GOOD}```figure forward-a\nC\n```\n"));
            assert!(problems[0].starts_with("book/src/04-forward.md:7: the equation `q_step` has"), "{problems:?}");
            assert!(problems[0].contains(problem), "{problems:?}");
        }
    }

    #[test]
    fn punctuation_stays_at_its_formula() {
        let one = "<span class=\"math\"><span class=\"katex-base\">x</span></span>";
        let whole = "<span class=\"math whole\"><span class=\"katex-base\">x</span>),</span>";
        assert_eq!(together(one, punctuation("), and so on.")), whole);
        assert_eq!(together(one, punctuation(" and so on.")), one);
        let two =
            "<span class=\"math\"><span class=\"katex-base\">x =</span><span class=\"katex-base\">y</span></span>";
        assert_eq!(together(two, "."), format!("{two}."));
    }

    #[test]
    fn bad_formulas_are_found() {
        fails("a\nb $\\frac{1}$", 1, "bad formula");
        fails("$$\n\\nosuch\n$$", 0, "bad formula");
        fails("```algebra\nx\n| a\n\\nosuch\n| b\n```", 3, "bad formula");
        fails("## About $x$", 0, "a formula in a heading");
    }

    #[test]
    fn dead_references_are_found() {
        fails("\nsee [@nothing]", 1, "dead reference");
        fails("see [@fig:nothing]", 0, "dead reference");
        fails("see [@ch:nothing]", 0, "no chapter with the stem");
        fails("a [[Markov cain]]", 0, "the glossary has no");
        fails("{{number forward-a.gape}}", 0, "has no `gape`");
        fails("{{wrong q_step: n}}", 0, "know no mistake");
        fails("{{report q_stop}}", 0, "no report of");
        fails("{{nmber x}}", 0, "no directive");
    }

    #[test]
    fn anchors_must_exist_and_be_used() {
        fails("{{code q_stop}}", 0, "no anchor `q_stop`");
        fails("```equation q_stop\nx\n```", 0, "no anchor `q_stop`");
        fails("{{test q_step identity}}", 0, "no `fn identity()`");
        fails("```equation q_step\nx\n```", 0, "already at");
        let (_, problems) = set_with(&["identity", "limit", "wrong-variant"], HEAD);
        assert_eq!(
            problems,
            [
                "book/src/figures/forward-a.svg: this figure is in no chapter",
                "src/forward.rs:5: the code of the anchor `q_step` is shown in no chapter ({{code q_step}})",
                "src/forward.rs:5: the equation `q_step` is in no chapter",
            ]
        );
    }

    #[test]
    fn a_figure_is_made_by_an_example() {
        fails("```figure forward-b\nalt: x\nC\n```", 0, "no example makes the figure");
        fails("```figure forward-b\nalt: x\nC\n```", 0, "no book/src/figures/forward-b.svg");
        fails("```figure forward-b\nC\n```", 0, "says nowhere in words");
    }

    #[test]
    fn a_figure_of_a_long_run_names_its_command() {
        let (html, problems) = set("```figure long\nC\n```");
        assert_eq!(problems, [""; 0]);
        assert!(html.contains("id=\"fig-long\""), "{html}");
        for name in ["nameless", "panelless", "exampleless"] {
            fails(&format!("```figure {name}\nC\n```"), 0, "does not name the command that made it");
        }
        fails("```figure jsonless\nalt: x\nC\n```", 0, "has no JSON");
    }

    #[test]
    fn a_chapter_needs_its_head() {
        let (_, problems) = set_with(&["identity", "limit", "wrong-variant"], "# T\n");
        assert!(problems[0].starts_with("book/src/04-forward.md:1: a chapter needs its head"), "{problems:?}");
    }

    #[test]
    fn code_by_indentation_is_refused() {
        fails("a\n\n    let x = 1;\n", 2, "code by indentation");
    }
}
