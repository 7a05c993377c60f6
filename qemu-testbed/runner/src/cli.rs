//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::instance::control::Encryption;

/// Virtual clusters for Holon: builds the guests, runs them, breaks them, tests in them.
#[derive(Debug, Parser)]
#[command(name = "cargo testbed", bin_name = "cargo testbed", version)]
pub(crate) struct Cli {
    /// The instance's folder; instances in different folders are independent
    #[arg(long, global = true, env = "HOLON_TESTBED_DIR", value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Install what the host lacks and make the guest's root, disk and template
    Prepare(Prepare),
    /// Build the module and the tools, and pack them
    Build,
    /// Bring a cluster up, joined and ready
    Up(Up),
    /// End the cluster
    Down,
    /// Show nodes and links
    Status,
    /// Run a command on a node as root, as if it were local
    Exec(Exec),
    /// Copy a file or folder to a node
    Push {
        /// Node
        node: NodeName,
        /// On the host
        source: PathBuf,
        /// On the node
        destination: String,
    },
    /// Copy a file or folder from a node
    Pull {
        /// Node
        node: NodeName,
        /// On the node
        source: String,
        /// On the host
        destination: PathBuf,
    },
    /// Cut a node's power
    Kill {
        /// Node
        node: NodeName,
    },
    /// Boot a node again, from its own disk
    Start {
        /// Node
        node: NodeName,
        /// Start from the template's saved state with a fresh disk: quicker
        #[arg(long)]
        fresh: bool,
    },
    /// Stop a node's CPUs and clock
    Pause {
        /// Node
        node: NodeName,
    },
    /// Let a paused node run again
    Resume {
        /// Node
        node: NodeName,
    },
    /// Set the faults of the link between two nodes, in both directions; those not given are off
    Link(Link),
    /// Run host tests and VM scenarios; the last line is "N passed, N failed"
    Test(Run),
    /// Show the four uses, told and timed
    Demo(Prepare),
    /// Run benchmarks beside their peers
    Bench(Run),
    /// Own an instance (started by `up`)
    #[command(hide = true)]
    Supervise,
}

/// Arguments of `prepare` and `demo`.
#[derive(Debug, Args)]
pub(crate) struct Prepare {
    /// Install packages on this host without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Make root and image anew, with today's packages
    #[arg(long)]
    pub fresh: bool,
}

/// Arguments of `test` and `bench`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Which; without a name, what CI runs
    pub names: Vec<String>,
    /// Install packages on this host without asking
    #[arg(long, short)]
    pub yes: bool,
    /// List the names and end
    #[arg(long)]
    pub list: bool,
}

/// Arguments of `up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// How many nodes
    #[arg(long, default_value_t = 3)]
    pub nodes: usize,
    /// Memory of each, in MB
    #[arg(long, default_value_t = 768, value_name = "MB")]
    pub mem: u32,
    /// Virtual CPUs of each
    #[arg(long, default_value_t = 1, value_name = "K")]
    pub cpus: u32,
    /// What the faults' dice start from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// What protects traffic between the nodes
    #[arg(long, value_enum, default_value_t = Encryption::Plain)]
    pub encryption: Encryption,
    /// Leave Holon out: plain Debian guests, to try a module by hand
    #[arg(long)]
    pub bare: bool,
    /// Install the packages of the last build instead of building
    #[arg(long, conflicts_with = "bare")]
    pub no_build: bool,
}

/// Arguments of `exec`.
#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// Node
    pub node: NodeName,
    /// With a terminal
    #[arg(short = 't')]
    pub terminal: bool,
    /// Program and arguments, exactly; a single word is a line for the node's shell
    #[arg(last = true, required = true, value_name = "CMD")]
    pub words: Vec<String>,
}

/// Arguments of `link`.
#[derive(Debug, Args)]
pub(crate) struct Link {
    /// One node
    #[arg(required_unless_present = "clear", requires = "b")]
    pub a: Option<NodeName>,
    /// The other node
    pub b: Option<NodeName>,
    /// Nothing passes
    #[arg(long)]
    pub down: bool,
    /// Only what A sends to B
    #[arg(long)]
    pub one_way: bool,
    /// Part of the frames that is lost, as 0.05 or 5%
    #[arg(long, value_name = "P", value_parser = probability, default_value = "0")]
    pub loss: f64,
    /// Delay of every frame, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub delay: u64,
    /// Part of the frames that arrives twice
    #[arg(long, value_name = "P", value_parser = probability, default_value = "0")]
    pub dup: f64,
    /// Part of the frames that later ones overtake
    #[arg(long, value_name = "P", value_parser = probability, default_value = "0")]
    pub reorder: f64,
    /// Part of the frames of which a bit flips
    #[arg(long, value_name = "P", value_parser = probability, default_value = "0")]
    pub corrupt: f64,
    /// Bandwidth in Mbit/s; 0 is no limit
    #[arg(long, value_name = "M", default_value_t = 0)]
    pub rate: u64,
    /// Take all faults of all links away
    #[arg(long, conflicts_with_all = ["a", "b"])]
    pub clear: bool,
}

/// `node2`, or just `2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeName(pub usize);

impl std::str::FromStr for NodeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("node").unwrap_or(text);
        match digits.parse() {
            Ok(node) if node > 0 => Ok(Self(node)),
            _ => Err("a node is named node1, node2 … or 1, 2 …".into()),
        }
    }
}

fn probability(text: &str) -> Result<f64, String> {
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().map(|value| value / 100.0),
        None => text.parse(),
    };
    match value {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("a probability is 0 to 1, or 0% to 100%".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn nodes_and_probabilities() {
        assert_eq!("node3".parse(), Ok(NodeName(3)));
        assert_eq!("3".parse(), Ok(NodeName(3)));
        assert!("node0".parse::<NodeName>().is_err());
        assert_eq!(probability("5%"), Ok(0.05));
        assert_eq!(probability("0.5"), Ok(0.5));
        assert!(probability("2").is_err());
    }

    #[test]
    fn exec_takes_everything_behind_the_dashes() {
        let cli = Cli::try_parse_from(["x", "exec", "node1", "-t", "--", "ls", "-l", "--", "a"]);
        let Ok(Cli { command: Command::Exec(exec), .. }) = cli else { panic!("{cli:?}") };
        assert!(exec.terminal);
        assert_eq!(exec.words, ["ls", "-l", "--", "a"]);
    }
}
