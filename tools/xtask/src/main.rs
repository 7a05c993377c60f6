//! `cargo xtask [tidy|layers|check]`: prints what breaks a rule, and fails if anything does.
//! `cargo xtask wrap FILE...`: breaks comments that are too wide.

use std::path::Path;
use std::process::ExitCode;

use xtask::{layers, tidy, tree, wrap, Offence};

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_else(|| "check".to_string());
    let root = tree::root();
    let result = match command.as_str() {
        "tidy" => tidy::check(&root),
        "layers" => layers::check(&root),
        "check" => tidy::check(&root).and_then(|tidy| Ok([tidy, layers::check(&root)?].concat())),
        "wrap" => return wrap_files(&root),
        _ => {
            eprintln!("usage: cargo xtask [tidy|layers|check] | wrap FILE...");
            return ExitCode::from(2);
        }
    };
    report(result)
}

fn wrap_files(root: &Path) -> ExitCode {
    let paths: Vec<String> = std::env::args().skip(2).collect();
    match wrap::wrap_files(root, &paths) {
        Ok(changed) => {
            println!("{changed} files changed");
            ExitCode::SUCCESS
        }
        Err(error) => report(Err(error)),
    }
}

fn report(result: Result<Vec<Offence>, String>) -> ExitCode {
    match result {
        Ok(offences) if offences.is_empty() => ExitCode::SUCCESS,
        Ok(offences) => {
            for offence in &offences {
                println!("{offence}");
            }
            println!("{} offences", offences.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
