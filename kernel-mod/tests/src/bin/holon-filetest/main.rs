//! Remote files between two nodes, tried from a program's point of view.
//!
//! `agent PORT` on the node where the files stand; `test ADDRESS:PORT [CASE…]` on another one;
//! `run ADDRESS:PORT KIND FD -- CMD…` runs a command there with a remote file as one of its
//! descriptors.

mod agent;
mod cases;
mod cases_poll;
mod cases_tty;
mod peer;
mod sys;

use std::{env, process::ExitCode, time::Instant};

use peer::Peer;

/// What a case gives.
pub(crate) type Outcome = Result<(), String>;

/// A case: its name, and what it does.
pub(crate) type Case = (&'static str, fn(&mut Peer) -> Outcome);

fn test(address: &str, wanted: &[&str]) -> Outcome {
    let mut failed = 0;
    for (name, case) in cases::ALL.iter().chain(cases_poll::ALL).chain(cases_tty::ALL) {
        if !wanted.is_empty() && !wanted.contains(name) {
            continue;
        }
        let begin = Instant::now();
        // A connection each: what a case leaves behind ends with it.
        let outcome = Peer::connect(address).and_then(|mut peer| case(&mut peer));
        let ms = begin.elapsed().as_millis();
        match outcome {
            Ok(()) => println!("ok   {name} {ms} ms"),
            Err(error) => {
                failed += 1;
                println!("FAIL {name} {ms} ms: {error}");
            }
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} cases failed")),
    }
}

fn run(arguments: &[&str]) -> Outcome {
    match arguments {
        ["agent", port] => agent::serve(port),
        ["test", address, cases @ ..] => test(address, cases),
        ["run", address, kind, fd, "--", command @ ..] => peer::run(address, kind, fd, command),
        ["wait-lost", address] => cases_poll::wait_lost(&mut Peer::connect(address)?),
        ["hold", address] => cases_poll::hold(&mut Peer::connect(address)?),
        _ => Err("unknown command".to_owned()),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("holon-filetest: {error}");
            ExitCode::FAILURE
        }
    }
}
