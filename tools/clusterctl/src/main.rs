//! The cluster's command line: parses, asks `holond`, prints.

mod args;
mod client;
mod commands;
mod memory;
mod output;
mod run;
mod signals;
mod sys;
mod table;
mod terminal;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match commands::execute(&args) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            output::error(&args, &error);
            ExitCode::from(error.code.status())
        }
    }
}
