//! Builds the book: mdBook through its own crates, with this book's equations, code, figures and numbers.
//!
//! `cargo xtask book` calls `build`. Without a subcommand it is a preprocessor for the stock mdBook (see `book/book.toml`).

mod appendix;
mod block;
mod figure;
mod html;
mod inputs;
mod math;
mod number;
mod pages;
mod preprocessor;
mod press;
mod problem;
mod report;
mod serve;
mod sources;
mod spelling;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use mdbook_driver::MDBook;
use mdbook_preprocessor::Preprocessor;

use crate::inputs::Folders;
use crate::preprocessor::BookPress;
use crate::problem::Problems;

/// Builds the book. Without a command: a preprocessor for mdBook, which reads the book from standard input.
#[derive(Parser)]
#[command(name = "book-press", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Build the book and look through its pages
    Build {
        /// Where the pages go [default: target/book]
        #[arg(long)]
        out: Option<PathBuf>,
        /// Where the checks left their reports [default: target/checks]
        #[arg(long)]
        checks: Option<PathBuf>,
    },
    /// Show the built book on this machine, until it is ended with Ctrl-C
    Serve {
        /// The port to listen on
        #[arg(long, default_value_t = 3000)]
        port: u16,
        /// The folder of the built book [default: target/book]
        #[arg(long)]
        folder: Option<PathBuf>,
    },
    /// Say whether a renderer is supported (mdBook asks this)
    #[command(hide = true)]
    Supports { renderer: String },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        None => preprocess(),
        Some(Command::Supports { renderer }) => match renderer.as_str() {
            "html" => Ok(()),
            _ => return ExitCode::FAILURE,
        },
        Some(Command::Build { out, checks }) => build(out, checks),
        Some(Command::Serve { port, folder }) => show(port, folder),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map(Path::to_owned).context("book/press is not two folders below the root")
}

fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}

/// The protocol of mdBook: the book as JSON in, the book as JSON out.
fn preprocess() -> Result<()> {
    let (context, book) = mdbook_preprocessor::parse_input(std::io::stdin().lock())?;
    let root = root()?;
    let checks = target(&root).join("checks");
    let press = BookPress { folders: Folders { root, checks }, words_only: false };
    serde_json::to_writer(std::io::stdout().lock(), &press.run(&context, book)?)?;
    Ok(())
}

fn build(out: Option<PathBuf>, checks: Option<PathBuf>) -> Result<()> {
    let root = root()?;
    let out = std::path::absolute(out.unwrap_or_else(|| target(&root).join("book")))?;
    let checks = checks.unwrap_or_else(|| target(&root).join("checks"));
    let folders = Folders { root: root.clone(), checks };
    render(&folders, &out, false)?;
    // A second book of words alone, for its search index.
    let words = out.with_file_name(".book-words");
    render(&folders, &words, true)?;
    replace_search_index(&words, &out)?;
    std::fs::remove_dir_all(&words).with_context(|| format!("{} cannot be removed", words.display()))?;
    let problems = Problems::default();
    pages::check(&out, &problems)?;
    let list = problems.list();
    if !list.is_empty() {
        bail!("the built pages in {} have {} problems:\n{}", out.display(), list.len(), list.join("\n"));
    }
    println!("{}", out.join("index.html").display());
    Ok(())
}

fn render(folders: &Folders, out: &Path, words_only: bool) -> Result<()> {
    if out.exists() {
        std::fs::remove_dir_all(out).with_context(|| format!("{} cannot be removed", out.display()))?;
    }
    let mut book = MDBook::load(folders.root.join("book"))?;
    book.config.build.build_dir = out.to_owned();
    book.with_preprocessor(BookPress { folders: folders.clone(), words_only });
    book.build()
}

/// The name of the index has a hash in it.
fn search_index(folder: &Path) -> Result<PathBuf> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("searchindex") && name.ends_with(".js") {
            return Ok(path);
        }
    }
    bail!("{} has no search index", folder.display())
}

fn replace_search_index(from: &Path, to: &Path) -> Result<()> {
    std::fs::copy(search_index(from)?, search_index(to)?)?;
    Ok(())
}

fn show(port: u16, folder: Option<PathBuf>) -> Result<()> {
    let folder = folder.map_or_else(|| Ok::<_, anyhow::Error>(target(&root()?).join("book")), Ok)?;
    if !folder.join("index.html").is_file() {
        bail!("{} has no book: run `cargo xtask book` first", folder.display());
    }
    let listener = serve::listen(port)?;
    println!("http://{}/ (Ctrl-C ends it)", listener.local_addr()?);
    serve::serve(&listener, &folder);
    Ok(())
}
