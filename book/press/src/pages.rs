//! Looks through the built pages: dead links, ids given twice, references to other machines, weight.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};

use crate::problem::{Place, Problems};

/// The most that a page may weigh, in bytes, without the frames of its interactive figures.
const HEAVIEST: usize = 1_000_000;

/// What of a page the check needs.
#[derive(Debug, Default)]
struct Page {
    ids: BTreeSet<String>,
    /// What it links to or loads: the line, the attribute, its value.
    references: Vec<(usize, String, String)>,
}

/// Checks all pages and styles of a built book.
pub fn check(folder: &Path, problems: &Problems) -> Result<()> {
    let mut files = Vec::new();
    list(folder, "", &mut files)?;
    let mut pages = BTreeMap::new();
    for file in &files {
        let read = || std::fs::read_to_string(folder.join(file)).with_context(|| format!("{file} cannot be read"));
        if file.ends_with(".html") {
            let text = read()?;
            // print.html is the whole book, and toc.html a frame for browsers without scripts.
            let weight = text.len() - frames(&text);
            if weight > HEAVIEST && file != "print.html" {
                problems.add(&Place::new(file, 0), format!("this page weighs {weight} bytes; {HEAVIEST} is the most"));
            }
            pages.insert(file.clone(), scan(file, &text, problems));
        } else if file.ends_with(".css") {
            check_style(file, &read()?, problems);
        }
    }
    let files: BTreeSet<String> = files.into_iter().collect();
    for (file, page) in &pages {
        for (line, attribute, value) in &page.references {
            if let Some(problem) = dead(file, attribute, value, &files, &pages) {
                problems.add(&Place::new(file, *line), problem);
            }
        }
    }
    Ok(())
}

/// The bytes of the frames of interactive figures.
fn frames(text: &str) -> usize {
    let parts = text.split("<script type=\"application/json\">").skip(1);
    parts.map(|part| part.find("</script>").unwrap_or(part.len())).sum()
}

fn list(root: &Path, folder: &str, files: &mut Vec<String>) -> Result<()> {
    for entry in std::fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if entry.path().is_dir() {
            list(root, &path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// Collects the ids and references of a page.
fn scan(file: &str, text: &str, problems: &Problems) -> Page {
    let mut page = Page::default();
    let mut rest = text;
    let mut line = 1;
    while let Some(start) = rest.find('<') {
        line += rest[..start].matches('\n').count();
        rest = &rest[start..];
        let end = if rest.starts_with("<!--") { rest.find("-->") } else { rest.find('>') };
        let Some(end) = end else { break };
        let tag = &rest[..end];
        let name = tag[1..].split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_lowercase();
        if !tag.starts_with("<!") && !name.is_empty() {
            for (attribute, value) in attributes(tag) {
                match attribute.as_str() {
                    "id" if !page.ids.insert(value.clone()) && file != "print.html" => {
                        problems.add(&Place::new(file, line), format!("the id `{value}` is given twice"));
                    }
                    "href" | "src" | "srcset" | "action" | "poster" | "data" | "xlink:href" => {
                        page.references.push((line, attribute, value));
                    }
                    "style" if is_remote_style(&value) => {
                        problems.add(&Place::new(file, line), format!("remote reference: {value}"));
                    }
                    _ => {}
                }
            }
        }
        line += tag.matches('\n').count();
        rest = &rest[end..];
        // What a script says is no markup.
        if name == "script" {
            let skip = rest.find("</script").unwrap_or(rest.len());
            line += rest[..skip].matches('\n').count();
            rest = &rest[skip..];
        }
    }
    page
}

/// The attributes of a tag that have a value.
fn attributes(tag: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = tag;
    while let Some(at) = rest.find('=') {
        let name = rest[..at].rsplit(|c: char| c.is_whitespace() || c == '"').next().unwrap_or_default().to_lowercase();
        let after = &rest[at + 1..];
        let Some(quote) = after.chars().next().filter(|c| *c == '"' || *c == '\'') else { break };
        let Some(end) = after[1..].find(quote) else { break };
        found.push((name, after[1..1 + end].replace("&amp;", "&")));
        rest = &after[end + 2..];
    }
    found
}

fn is_remote(value: &str) -> bool {
    let value = value.trim().to_lowercase();
    value.starts_with("//") || ["http:", "https:", "ftp:", "ws:", "wss:"].iter().any(|scheme| value.starts_with(scheme))
}

fn is_remote_style(text: &str) -> bool {
    let text: String = text.chars().filter(|c| !c.is_whitespace() && *c != '"' && *c != '\'').collect();
    ["url(http", "url(//", "@importhttp", "@import//"].iter().any(|remote| text.to_lowercase().contains(remote))
}

fn check_style(file: &str, text: &str, problems: &Problems) {
    for (at, line) in text.lines().enumerate() {
        if is_remote_style(line) {
            problems.add(&Place::new(file, at + 1), "remote reference in a style");
        }
    }
}

/// What is wrong with a reference, if anything is.
fn dead(
    file: &str,
    attribute: &str,
    value: &str,
    files: &BTreeSet<String>,
    pages: &BTreeMap<String, Page>,
) -> Option<String> {
    if is_remote(value) {
        return Some(format!("remote reference: {attribute}=\"{value}\""));
    }
    if value.starts_with("data:") || value.starts_with("mailto:") {
        return None;
    }
    let (path, id) = value.split_once('#').unwrap_or((value, ""));
    let path = path.split('?').next().unwrap_or_default();
    let target = if path.is_empty() { file.to_owned() } else { resolve(file, path) };
    if !files.contains(&target) {
        return Some(format!("dead link: there is no {target}"));
    }
    let known = |page: &Page| id.is_empty() || page.ids.contains(id);
    // Without a name, `#` is the top of the page.
    (!pages.get(&target).is_none_or(known)).then(|| format!("dead link: {target} has nothing named `{id}`"))
}

/// A path relative to a file, from the root of the book.
fn resolve(file: &str, path: &str) -> String {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let problems = Problems::default();
        check(folder.path(), &problems).unwrap();
        problems.list()
    }

    #[test]
    fn good_pages_pass() {
        let a = "<html><!-- <a href=\"https://x\"> --><script>let a = '<a href=\"https://x\">';</script>\n<a href=\"b.html#here\">b</a>";
        assert_eq!(
            found(&[("a.html", a), ("b.html", "<p id=\"here\"><a href='a.html'>a</a> <a href=\"#\">top</a>")]),
            [""; 0]
        );
    }

    #[test]
    fn dead_links_are_found() {
        let a = "<a href=\"c.html\">\n<a href=\"#x\">\n<a href=\"b.html#x\">";
        assert_eq!(
            found(&[("a.html", a), ("b.html", "")]),
            [
                "a.html:1: dead link: there is no c.html",
                "a.html:2: dead link: a.html has nothing named `x`",
                "a.html:3: dead link: b.html has nothing named `x`",
            ]
        );
    }

    #[test]
    fn remote_references_are_found() {
        for page in [
            "<script src=\"https://cdn.example/x.js\"></script>",
            "<img alt=\"\" src=\"//cdn.example/x.png\">",
            "<a href=\"HTTP://example.org\">",
            "<p style=\"background: url( 'https://x/y' )\">",
            "<svg><image href=\"https://cdn.example/x.png\"/></svg>",
        ] {
            assert!(found(&[("a.html", page)])[0].contains("remote reference"), "{page}");
        }
        assert_eq!(found(&[("a.css", "a{}\n@import 'https://x';")]), ["a.css:2: remote reference in a style"]);
    }

    #[test]
    fn pictures_within_the_page_pass() {
        assert_eq!(found(&[("a.html", "<svg><image href=\"data:image/png;base64,iVBORw0=\"/></svg>")]), [""; 0]);
    }

    #[test]
    fn heavy_pages_are_found() {
        let heavy = "x".repeat(HEAVIEST);
        assert!(found(&[("a.html", &format!("{heavy}y"))])[0].contains("this page weighs 1000001 bytes"));
        let frames = format!("<script type=\"application/json\">{heavy}</script>");
        assert_eq!(found(&[("a.html", &frames)]), [""; 0]);
    }

    #[test]
    fn ids_are_unique() {
        assert_eq!(found(&[("a.html", "<p id=\"x\">\n<p id=\"x\">")]), ["a.html:2: the id `x` is given twice"]);
    }
}
