//! The project's own commands: `cargo xtask` lists them.

mod bench;
mod book;
mod book_pages;
mod browser;
mod columns;
mod coursework;
mod coverage;
mod data;
mod equations;
mod figures;
mod files;
mod mutants;
mod project;
mod registry;
mod reports;
mod seeds;
mod setup;
mod test;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::project::Project;

/// The project's own commands. `cargo xtask <COMMAND> --help` says more about each.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    Setup(setup::Args),
    Data(data::Args),
    Test(test::Args),
    Equations(equations::Args),
    Figures(figures::Args),
    Bench(bench::Args),
    Book(book::Args),
    Coursework(coursework::Args),
    Seeds(seeds::Args),
    Mutants(mutants::Args),
    Coverage(coverage::Args),
}

impl Command {
    fn run(&self, project: &Project) -> anyhow::Result<()> {
        match self {
            Self::Setup(args) => setup::run(project, args),
            Self::Data(args) => data::run(project, args),
            Self::Test(args) => test::run(project, args),
            Self::Equations(args) => equations::run(project, args),
            Self::Figures(args) => figures::run(project, args),
            Self::Bench(args) => bench::run(project, args),
            Self::Book(args) => book::run(project, args),
            Self::Coursework(args) => coursework::run(project, args),
            Self::Seeds(args) => seeds::run(project, args),
            Self::Mutants(args) => mutants::run(project, args),
            Self::Coverage(args) => coverage::run(project, args),
        }
    }
}

/// Usage errors end in 2 (clap sees to that), all others in 1.
fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Some(command) => Project::find().and_then(|project| command.run(&project)),
        None => Cli::command().print_help().map_err(Into::into),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
