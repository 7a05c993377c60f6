//! `cargo xtask [tidy|layers|check]`: prints what breaks a rule, and fails if anything does.

use std::process::ExitCode;

use xtask::{layers, tidy, tree, Offence};

fn main() -> ExitCode {
    let command = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "check".to_string());
    let root = tree::root();
    let result = match command.as_str() {
        "tidy" => tidy::check(&root),
        "layers" => layers::check(&root),
        "check" => tidy::check(&root).and_then(|tidy| Ok([tidy, layers::check(&root)?].concat())),
        _ => {
            eprintln!("usage: cargo xtask [tidy|layers|check]");
            return ExitCode::from(2);
        }
    };
    report(result)
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
