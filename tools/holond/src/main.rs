//! The `holond` binary: the daemon, and pid 1 of jobs.

use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

/// A node's agent.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Print this node's public key as a line for nodes.toml; makes the key if there is none.
    Key,
    /// Take the encrypted interface away. For the removal of the package.
    #[command(hide = true)]
    TakeDown,
    /// Makes a job's namespaces and becomes its pid 1. Started by the daemon only.
    #[command(hide = true)]
    JobInit {
        /// What to make, as JSON.
        config: String,
    },
    /// Sleeps in a system call, for the module to look at. Started by the daemon only.
    #[command(hide = true)]
    SleepIn {
        /// Which one.
        kind: holond::restarts::Sleep,
    },
}

/// To stderr with the journal's priorities.
struct Journal;

impl log::Log for Journal {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let priority = match record.level() {
                log::Level::Error => 3,
                log::Level::Warn => 4,
                log::Level::Info => 6,
                log::Level::Debug | log::Level::Trace => 7,
            };
            let _ = writeln!(std::io::stderr(), "<{priority}>{}", record.args());
        }
    }

    fn flush(&self) {}
}

fn print_key() -> anyhow::Result<()> {
    let line = holond::wire::key_line()?;
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

fn main() -> ExitCode {
    let args = Args::parse();
    if log::set_logger(&Journal).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
    let result = match &args.command {
        Some(Command::Key) => print_key(),
        Some(Command::TakeDown) => holond::wire::take_down(),
        Some(Command::JobInit { config }) => holond::init::run(config),
        Some(Command::SleepIn { kind }) => holond::restarts::sleep_in(*kind),
        None => holond::daemon::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
