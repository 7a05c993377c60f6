//! The command line.

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};
use holon_api::request::Restart;
use holon_api::ProcessId;
use std::ffi::OsString;
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit status:
  0  done            5  refused as things stand     9  permission denied
  1  failure         6  timed out                  10  broken off
  2  usage           7  no quorum              125..127  run: Holon failed; command not
  3  not found       8  daemon or module not there        executable; command not found
  4  partly done     run: otherwise the command's own status, 128+n for signal n";

/// Runs, moves and watches processes of a Holon cluster.
#[derive(Parser, Debug)]
#[command(name = "clusterctl", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub(crate) struct Args {
    /// How lists are printed.
    #[arg(short, long, value_enum, default_value_t = Format::Table, global = true)]
    pub(crate) output: Format,
    /// Where holond listens.
    #[arg(long, default_value = holon_api::SOCKET_PATH, global = true, hide = true)]
    pub(crate) socket: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One JSON object; with --watch one per line.
    Json,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run a command as a job of the cluster
    Run(RunArgs),
    /// Show the cluster in short
    Status,
    /// List the processes of all jobs
    Ps {
        /// Stay, and list again when something changed
        #[arg(short, long)]
        watch: bool,
    },
    /// Move a running process to another node
    Migrate {
        /// The process, such as 3.17
        #[arg(value_name = "JOB.PID")]
        process: ProcessId,
        /// The node to move to, or "home"
        #[arg(long, value_name = "NODE")]
        to: String,
    },
    /// Move everything off a node and keep new work away
    Drain(DrainArgs),
    /// Let new work in again after a drain
    Undrain {
        /// The node
        node: String,
    },
    /// Tell whether a process can move, and if not why
    Explain {
        /// The process, such as 3.17
        #[arg(value_name = "JOB.PID")]
        process: ProcessId,
    },
    /// Show what happened
    Events {
        /// Stay, and show what happens next
        #[arg(short, long)]
        watch: bool,
    },
    /// Nodes
    #[command(subcommand)]
    Node(NodeCommand),
    /// Remote memory
    #[command(subcommand)]
    Mem(MemCommand),
    /// Tell what would be hurt by a node's loss
    Blast {
        /// The node
        node: String,
    },
    /// Jobs
    #[command(subcommand)]
    Job(JobCommand),
    /// Show versions of tool, daemon and module
    Version,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct RunArgs {
    /// Make this node the job's home
    #[arg(long, value_name = "NODE")]
    pub(crate) on: Option<String>,
    /// What to do when the job is lost with a node
    #[arg(long, value_enum, default_value_t = RestartArg::Never)]
    pub(crate) restart: RestartArg,
    /// Run as this user
    #[arg(long, value_name = "USER")]
    pub(crate) uid: Option<String>,
    /// Don't wait: print the job's number; its output goes to /var/log/holon/job-N.out at its home
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Start there instead of in this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<PathBuf>,
    /// Make a terminal for the job though stdin is none
    #[arg(short, long, action = ArgAction::SetTrue)]
    pub(crate) tty: bool,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// What to do with a lost job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RestartArg {
    /// Nothing
    Never,
    /// Execute its command again elsewhere
    Exec,
}

impl From<RestartArg> for Restart {
    fn from(arg: RestartArg) -> Self {
        match arg {
            RestartArg::Never => Self::Never,
            RestartArg::Exec => Self::Exec,
        }
    }
}

#[derive(ClapArgs, Debug)]
pub(crate) struct DrainArgs {
    /// The node
    pub(crate) node: String,
    /// Why, for those who look at the node later
    #[arg(long, default_value = "drain")]
    pub(crate) reason: String,
    /// Only show what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Give up waiting after this long (such as 90s, 10m); the node stays cordoned
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration_ms)]
    pub(crate) timeout: u64,
}

#[derive(Subcommand, Debug)]
pub(crate) enum NodeCommand {
    /// List the nodes
    List,
}

#[derive(Subcommand, Debug)]
pub(crate) enum MemCommand {
    /// Show who lends memory to whom, and how that goes
    Status,
}

#[derive(Subcommand, Debug)]
pub(crate) enum JobCommand {
    /// List the jobs
    List {
        /// Also those that have ended
        #[arg(short, long)]
        all: bool,
    },
    /// Show one job and its processes
    Show {
        /// The job's number
        job: u32,
    },
    /// Send a signal to all processes of a job
    Kill {
        /// The job's number
        job: u32,
        /// The signal, by name or number
        #[arg(short, long, default_value = "TERM", value_parser = signal_number)]
        signal: i32,
    },
}

/// A time such as `90s`, `10m`, `500ms`; a bare number is seconds.
fn duration_ms(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("use a number with ms, s, m or h".into()),
    };
    let number: u64 = number.parse().map_err(|_| "use a number with ms, s, m or h")?;
    number.checked_mul(factor).ok_or_else(|| "that is too long".into())
}

fn signal_number(text: &str) -> Result<i32, String> {
    if let Ok(number) = text.parse::<i32>() {
        let known = nix::sys::signal::Signal::try_from(number);
        return known.map(|s| s as i32).map_err(|_| format!("no signal {number}"));
    }
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    let signal: Result<nix::sys::signal::Signal, _> = name.parse();
    signal.map(|s| s as i32).map_err(|_| format!("no signal {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(words: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("clusterctl").chain(words.iter().copied()))
    }

    #[test]
    fn definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn forms_of_the_issue() {
        for line in [
            "run -- true",
            "run --on node2 --restart exec --uid 1000 -- sh -c true",
            "run -d -- sleep 9",
            "ps",
            "ps -w",
            "ps -o json",
            "-o json ps",
            "status -o json",
            "node list",
            "job list -o json",
            "job show 3",
            "job kill 3 -s KILL",
            "mem status",
            "mem status -o json",
            "blast node2",
            "events -w",
            "events -o json",
            "migrate 3.17 --to node2",
            "drain node2",
            "drain node2 --reason fan --timeout 90s",
            "undrain node2",
            "explain 3.17",
            "version",
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            assert!(parse(&words).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_is_refused() {
        for line in ["", "run", "migrate 3 --to node2", "migrate 3.17", "ps -o xml", "drain"] {
            let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
            assert!(parse(&words).is_err(), "{line}");
        }
    }

    #[test]
    fn a_command_keeps_its_options() {
        let Ok(Args { command: Command::Run(run), .. }) = parse(&["run", "ls", "-d", "--on"])
        else {
            panic!("no run")
        };
        assert!(!run.detach && run.on.is_none());
        assert_eq!(run.command, ["ls", "-d", "--on"]);
    }

    #[test]
    fn times_and_signals() {
        assert_eq!(duration_ms("90s"), Ok(90_000));
        assert_eq!(duration_ms("2m"), Ok(120_000));
        assert_eq!(duration_ms("5"), Ok(5000));
        assert!(duration_ms("m").is_err() && duration_ms("5 parsecs").is_err());
        assert_eq!(signal_number("KILL"), Ok(9));
        assert_eq!(signal_number("sigterm"), Ok(15));
        assert_eq!(signal_number("10"), Ok(10));
        assert!(signal_number("77").is_err() && signal_number("x").is_err());
    }
}
