//! `cargo xtask book`: the book, with its checks run first where their reports are out of date.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::book_pages;
use crate::browser::{self, Browser};
use crate::project::{self, Project};
use crate::registry::{Registry, rust_files};
use crate::setup::{self, Wheel};

/// The wheel that carries axe.
const AXE: Wheel = setup::wheel("axe-playwright-python", "0.1.8", "manylinux_2_17", AXE_BYTES, AXE_SHA256);
const AXE_BYTES: u64 = 160_681;
const AXE_SHA256: &str = "fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8";

/// Build the book into target/book; the checks are run first where their reports are older than the sources
#[derive(Debug, clap::Args)]
pub struct Args {
    /// First copy the figures and numbers that the chapters use from target/figures (see `cargo xtask figures`)
    #[arg(long)]
    figures: bool,
    /// Show it in the browser afterwards
    #[arg(long)]
    open: bool,
    /// Serve it on this machine afterwards, until Ctrl-C
    #[arg(long)]
    serve: bool,
    /// The port of --serve
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Also test the press itself (what CI runs)
    #[arg(long)]
    check: bool,
    /// Also open every page in a headless browser: nothing wider than a phone, all that moves moved by key presses
    #[arg(long)]
    browser: bool,
}

pub fn run(project: &Project, args: &Args) -> Result<()> {
    if args.figures {
        copy_figures(project)?;
    }
    refresh_reports(project)?;
    if args.check {
        project::run(&mut project.cargo(&["test", "--quiet", "--package", "book-press"]))?;
    }
    let checks = project.checks();
    let mut build = press(project, &["build", "--checks"]);
    build.arg(&checks).arg("--out").arg(project.target.join("book"));
    project::run(&mut build)?;
    if args.browser {
        browse(project)?;
    }
    if args.open {
        open(&project.target.join("book/index.html"))?;
    }
    if args.serve {
        project::run(press(project, &["serve", "--port"]).arg(args.port.to_string()))?;
    }
    Ok(())
}

fn press(project: &Project, arguments: &[&str]) -> Command {
    project.cargo(&[&["run", "--quiet", "--package", "book-press", "--"], arguments].concat())
}

/// Copies what the chapters name from where the examples write it, into the book.
fn copy_figures(project: &Project) -> Result<()> {
    let book = project.root.join("book/src");
    let mut chapters = String::new();
    for entry in std::fs::read_dir(&book)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            chapters.push_str(&std::fs::read_to_string(&path)?);
        }
    }
    let made = project.figures();
    let entries = std::fs::read_dir(&made)
        .with_context(|| format!("{} cannot be read; run `cargo xtask figures` first", made.display()))?;
    for entry in entries {
        let path = entry?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let used = [format!("figure {stem}\n"), format!("play {stem}\n"), format!("number {stem}.")]
            .iter()
            .any(|use_| chapters.contains(use_));
        let kind = path.extension().is_some_and(|extension| extension == "svg" || extension == "json");
        if used && kind {
            let copy = book.join("figures").join(path.file_name().unwrap_or_default());
            std::fs::copy(&path, &copy).with_context(|| format!("{} cannot be written", copy.display()))?;
            println!("{}", copy.strip_prefix(&project.root).unwrap_or(&copy).display());
        }
    }
    Ok(())
}

/// Runs the test files whose equations have a report that is missing or older than what it reports on.
///
/// An equation may be checked in two files, and a renamed check leaves a report behind that must not be shown. So all reports
/// of an equation are made anew, and those of every equation in the same files.
fn refresh_reports(project: &Project) -> Result<()> {
    let registry = Registry::read(&project.root)?;
    let shared = newest(&rust_files(&project.root.join("tests/support"))?)?;
    let folder = |slug: &str| project.checks().join(slug);
    let mut files = Vec::new();
    let mut anew = BTreeSet::new();
    for test in project.targets("test") {
        let file = project.root.join(format!("tests/{}.rs", test.name));
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let of_this_file = |slug: &str| text.contains(&format!("\nmod {slug} {{"));
        let equations: Vec<_> = registry.equations.iter().filter(|equation| of_this_file(&equation.slug)).collect();
        let mut sources: Vec<PathBuf> = equations.iter().map(|equation| project.root.join(&equation.file)).collect();
        sources.push(file);
        let changed = newest(&sources)?.max(shared);
        let slugs: BTreeSet<&str> = equations.iter().map(|equation| equation.slug.as_str()).collect();
        if slugs.iter().any(|slug| oldest(&folder(slug)).is_none_or(|written| written < changed)) {
            anew.extend(&slugs);
        }
        files.push((test, slugs));
    }
    let mut before = 0;
    while anew.len() > before {
        before = anew.len();
        for (_, slugs) in &files {
            if !slugs.is_disjoint(&anew) {
                anew.extend(slugs);
            }
        }
    }
    if anew.is_empty() {
        return Ok(());
    }
    for folder in anew.iter().map(|slug| folder(slug)).filter(|folder| folder.exists()) {
        std::fs::remove_dir_all(&folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    let features: &[&str] = if project.torch().is_ok() { &["--features", "torch"] } else { &[] };
    let names = files.iter().filter(|(_, slugs)| !slugs.is_disjoint(&anew)).map(|(test, _)| test.name.as_str());
    project::run(project.cargo(&["test", "--quiet"]).args(features).args(names.flat_map(|name| ["--test", name])))?;
    Ok(())
}

fn newest(files: &[PathBuf]) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for file in files {
        let changed = file.metadata().and_then(|metadata| metadata.modified());
        newest = newest.max(changed.with_context(|| format!("{} cannot be read", file.display()))?);
    }
    Ok(newest)
}

/// When the oldest file of a report was written; none where there is no report.
fn oldest(folder: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries.filter_map(|entry| entry.ok()?.metadata().ok()?.modified().ok()).min()
}

fn open(page: &Path) -> Result<()> {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else {
        "xdg-open"
    };
    let status = Command::new(program).arg(page).status();
    if !status.with_context(|| format!("{program} cannot be run; open {} yourself", page.display()))?.success() {
        bail!("{program} could not open {}; open it yourself", page.display());
    }
    Ok(())
}

/// Opens every page in a headless browser. Says so where there is none.
fn browse(project: &Project) -> Result<()> {
    if cfg!(windows) {
        println!("browser: not run (it is driven through a shell of Unix)");
        return Ok(());
    }
    let Some(program) = Browser::installed() else {
        println!("browser: not run (none of {} is installed)", browser::PROGRAMS.join(", "));
        return Ok(());
    };
    let book = project.target.join("book");
    let mut pages: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(&book)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // The page of the whole book is for paper. It is laid out for minutes, and all that is on it is on the others.
        if name.ends_with(".html") && !["toc.html", "404.html", "print.html"].contains(&name.as_str()) {
            pages.push(name);
        }
    }
    pages.sort();
    let scratch = project.target.join("book-browser");
    std::fs::create_dir_all(&scratch)?;
    let axe = bring_axe(&scratch);
    if let Err(why) = &axe {
        println!("axe: not run ({why:#})");
    }
    let axe = axe.ok();
    let mut browser = Browser::start(program, &scratch.join("profile"))?;
    let found = book_pages::look_through(&mut browser, &book, &pages, axe.as_deref())?;
    if !found.problems.is_empty() {
        bail!("in the browser:\n{}", found.problems.join("\n"));
    }
    println!(
        "browser: {} pages (not print.html) at 360 and at 1280 pixels, {} figures moved with {} key presses; {}",
        pages.len(),
        found.figures,
        found.keys,
        if axe.is_some() { "no serious finding of axe in light and dark" } else { "axe not run" }
    );
    Ok(())
}

/// The script of the accessibility checker axe; a wheel of Python's index carries it.
fn bring_axe(scratch: &Path) -> Result<String> {
    let script = scratch.join("axe.min.js");
    if !script.exists() {
        let wheel = setup::fetch(&AXE, scratch, setup::pip_download)?;
        let mut archive = zip::ZipArchive::new(std::fs::File::open(&wheel)?)?;
        let mut text = Vec::new();
        archive.by_name("axe_playwright_python/axe.min.js")?.read_to_end(&mut text)?;
        let part = scratch.join("axe.part");
        std::fs::write(&part, text)?;
        std::fs::rename(&part, &script)?;
    }
    std::fs::read_to_string(&script).with_context(|| format!("{} cannot be read", script.display()))
}
