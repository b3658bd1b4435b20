//! The code that the chapters show: whole items cut by anchors out of compiled files, never typed again.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use crate::problem::{Place, Problems};

/// What stands between `// ANCHOR: name` and `// ANCHOR_END: name`.
#[derive(Debug, Clone)]
pub struct Item {
    pub name: String,
    /// The file and the first line of the code.
    pub place: Place,
    /// Without the indentation that all its lines share.
    pub code: String,
    /// What the docstring above it says, if it is an equation's.
    pub equation: Option<Doc>,
}

/// The docstring of an equation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Doc {
    /// The first sentence.
    pub summary: String,
    /// The section `# Formula`, without the slug.
    pub formula: String,
    /// The section `# Source`.
    pub source: String,
}

/// One `#[test]` of an equation's module.
#[derive(Debug, Clone)]
pub struct Test {
    pub place: Place,
    pub code: String,
}

/// All Rust files under `src`, `tests` and `examples`.
#[derive(Debug, Default)]
pub struct Sources {
    /// The text of each, by its path from the root.
    pub files: BTreeMap<String, String>,
    pub items: Vec<Item>,
}

impl Sources {
    pub fn read(root: &Path, problems: &Problems) -> Result<Self> {
        let mut files = BTreeMap::new();
        for folder in ["src", "tests", "examples"] {
            read_folder(root, Path::new(folder), &mut files)?;
        }
        Ok(Self::new(files, problems))
    }

    pub fn new(files: BTreeMap<String, String>, problems: &Problems) -> Self {
        let items = files.iter().flat_map(|(file, text)| items(file, text, problems)).collect();
        Self { files, items }
    }

    /// The item of an anchor: `name`, in `src`, or `path/file.rs:name`, anywhere.
    pub fn item(&self, wanted: &str) -> Result<&Item, String> {
        let (file, name) = match wanted.rsplit_once(':') {
            Some((file, name)) => (Some(file), name),
            None => (None, wanted),
        };
        let fits = |item: &&Item| match file {
            Some(file) => item.place.file == file,
            None => item.place.file.starts_with("src/"),
        };
        let mut found = self.items.iter().filter(|item| item.name == name).filter(fits);
        match (found.next(), found.next()) {
            (Some(item), None) if item.code.trim().is_empty() => Err(format!("the anchor `{name}` is empty")),
            (Some(item), None) => Ok(item),
            (Some(a), Some(b)) => {
                Err(format!("the anchor `{name}` is in {} and in {}: give the path too", a.place, b.place))
            }
            (None, _) => Err(format!("there is no anchor `{name}` in {}", file.unwrap_or("src/"))),
        }
    }

    /// The whole of `mod <slug>` in one of the test files: that of the module in `src/`, where several have it.
    pub fn test_module(&self, slug: &str) -> Option<Test> {
        let open = format!("mod {slug} {{");
        let tests = self.files.iter().filter(|(file, _)| file.starts_with("tests/"));
        let found = tests.filter_map(|(file, text)| {
            let lines: Vec<&str> = text.lines().collect();
            let start = lines.iter().position(|line| *line == open)?;
            let end = start + lines[start..].iter().position(|line| *line == "}")?;
            Some(Test { place: Place::new(file, start + 1), code: lines[start..=end].join("\n") })
        });
        let has_module =
            |test: &Test| self.files.iter().any(|(file, _)| *file == test.place.file.replacen("tests/", "src/", 1));
        found.min_by_key(|test| !has_module(test))
    }

    /// One test of `mod <slug>`, with its comment and attribute.
    pub fn test(&self, slug: &str, name: &str) -> Result<Test, String> {
        let module = self.test_module(slug).ok_or_else(|| format!("no file under tests/ has a `mod {slug}`"))?;
        let lines: Vec<&str> = module.code.lines().collect();
        let open = format!("    fn {name}() {{");
        let missing = || format!("`mod {slug}` in {} has no `fn {name}()`", module.place);
        let at = lines.iter().position(|line| *line == open).ok_or_else(missing)?;
        let above = |line: &&&str| line.starts_with("    ///") || line.starts_with("    #[");
        let start = at - lines[..at].iter().rev().take_while(above).count();
        let end = at + lines[at..].iter().position(|line| *line == "    }").ok_or_else(missing)?;
        let place = Place::new(module.place.file.clone(), module.place.line + start);
        Ok(Test { place, code: unindent(&lines[start..=end]) })
    }
}

fn read_folder(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else { return Ok(()) };
    for entry in entries {
        let path = folder.join(entry?.file_name());
        if root.join(&path).is_dir() {
            read_folder(root, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(root.join(&path));
            let text = text.with_context(|| format!("{} cannot be read", path.display()))?;
            files.insert(path.to_string_lossy().replace('\\', "/"), text);
        }
    }
    Ok(())
}

fn items(file: &str, text: &str, problems: &Problems) -> Vec<Item> {
    let lines: Vec<&str> = text.lines().collect();
    let mut items: Vec<Item> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = line.trim().strip_prefix("// ANCHOR: ") else { continue };
        let place = Place::new(file, at + 2);
        let end = format!("// ANCHOR_END: {name}");
        let Some(length) = lines[at + 1..].iter().position(|line| line.trim() == end) else {
            problems.add(&place, format!("the anchor `{name}` has no end"));
            continue;
        };
        if items.iter().any(|item| item.name == name) {
            problems.add(&place, format!("the anchor `{name}` is in this file twice"));
        }
        let code = unindent(&lines[at + 1..at + 1 + length]);
        items.push(Item { name: name.into(), place, code, equation: doc(&lines[..at], name) });
    }
    items
}

/// Reads the docstring that ends at the last of these lines, if its formula has this slug.
fn doc(above: &[&str], slug: &str) -> Option<Doc> {
    let is_attribute = |line: &str| line.starts_with("#[");
    let doc: Vec<&str> = above
        .iter()
        .rev()
        .map(|line| line.trim())
        .skip_while(|line| is_attribute(line))
        .map_while(|line| line.strip_prefix("///"))
        .map(str::trim)
        .collect();
    let doc: Vec<&str> = doc.into_iter().rev().collect();
    let section = |title: &str| {
        let after = doc.iter().skip_while(|line| **line != title).skip(1);
        after.take_while(|line| !line.starts_with("# ")).copied().collect::<Vec<_>>().join(" ")
    };
    let formula = section("# Formula");
    let formula = formula.strip_suffix(&format!("(slug `{slug}`)"))?;
    Some(Doc {
        summary: doc.iter().take_while(|line| !line.is_empty()).copied().collect::<Vec<_>>().join(" "),
        formula: formula.trim().to_owned(),
        source: section("# Source"),
    })
}

fn unindent(lines: &[&str]) -> String {
    let indent = |line: &&&str| line.len() - line.trim_start().len();
    let shared = lines.iter().filter(|line| !line.trim().is_empty()).map(|line| indent(&line)).min().unwrap_or(0);
    lines.iter().map(|line| line.get(shared..).unwrap_or("")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORWARD: &str = "/// Twice x.\n///\n/// # Formula\n/// 2x   (slug `twice`)\n/// # Source\n/// Anon 1900\n\
        #[must_use]\n// ANCHOR: twice\nfn twice() {\n    2\n}\n// ANCHOR_END: twice\n\
        // ANCHOR: hollow\n// ANCHOR_END: hollow\n// ANCHOR: open\n";
    const TESTS: &str =
        "mod twice {\n    use super::*;\n\n    /// Why.\n    #[test]\n    fn limit() {\n        f();\n    }\n}\n";

    fn sources(problems: &Problems) -> Sources {
        let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let other = file("tests/earlier.rs", "mod twice {\n}\n");
        let [module, tests] = [file("src/forward.rs", FORWARD), file("tests/forward.rs", TESTS)];
        Sources::new(BTreeMap::from([module, other, tests]), problems)
    }

    #[test]
    fn an_anchor_holds_the_item_and_its_docstring() {
        let sources = sources(&Problems::default());
        let item = sources.item("twice").unwrap();
        assert_eq!((item.code.as_str(), item.place.line), ("fn twice() {\n    2\n}", 9));
        assert_eq!(
            item.equation,
            Some(Doc { summary: "Twice x.".into(), formula: "2x".into(), source: "Anon 1900".into() })
        );
    }

    #[test]
    fn anchors_that_are_missing_or_empty_or_open_are_problems() {
        let problems = Problems::default();
        let sources = sources(&problems);
        assert!(sources.item("thrice").unwrap_err().contains("no anchor `thrice`"));
        assert!(sources.item("hollow").unwrap_err().contains("empty"));
        assert_eq!(problems.list(), ["src/forward.rs:16: the anchor `open` has no end"]);
    }

    #[test]
    fn a_test_is_cut_out_with_its_comment() {
        let sources = sources(&Problems::default());
        assert_eq!(sources.test("twice", "limit").unwrap().code, "/// Why.\n#[test]\nfn limit() {\n    f();\n}");
        assert_eq!(sources.test("twice", "limit").unwrap().place.line, 4);
        assert_eq!(sources.test_module("twice").unwrap().place.file, "tests/forward.rs");
        assert!(sources.test("twice", "identity").is_err());
    }
}
