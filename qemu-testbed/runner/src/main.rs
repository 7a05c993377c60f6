//! The testbed: `cargo testbed`. See `qemu-testbed/README.md`.
//!
//! `image` makes guests from packages, `build` makes Holon for them, `instance` keeps a cluster
//! of them with `node`'s QEMUs on `switch`'s network. `cli` is the command line, and this file what
//! each command does.

mod bench;
mod build;
mod cli;
mod demo;
mod given;
mod host;
mod image;
mod instance;
mod node;
mod place;
mod process;
mod scenario;
mod switch;
mod test;
mod ui;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{bail, Result};
use clap::Parser;

use cli::{Cli, Command, NodeName};
use host::Consent;
use instance::client::Instance;
use instance::control::{Boot, NodeState, Status};
use instance::up::{self, Payload, Size};
use instance::{ready, supervisor};
use node::ssh::Terminal;
use switch::Faults;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("testbed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let dir = cli.dir.unwrap_or_else(place::default_instance);
    match cli.command {
        Command::Prepare(args) => prepare(&args)?,
        Command::Build => {
            for package in build::packages(&image::prepare(Consent::Ask)?)? {
                println!("{}", package.display());
            }
        }
        Command::Up(args) => up(&dir, &args)?,
        Command::Down => up::down(&dir)?,
        Command::Status => status(&dir)?,
        Command::Exec(args) => exec(&dir, &args)?,
        Command::Push { node, source, destination } => {
            Instance::open(&dir)?.ssh(node.0)?.push(&source, &destination)?;
        }
        Command::Pull { node, source, destination } => {
            Instance::open(&dir)?.ssh(node.0)?.pull(&source, &destination)?;
        }
        Command::Kill { node } => Instance::open(&dir)?.kill(node.0)?,
        Command::Start { node, fresh } => start(&dir, node, fresh)?,
        Command::Pause { node } => Instance::open(&dir)?.pause(node.0)?,
        Command::Resume { node } => Instance::open(&dir)?.resume(node.0)?,
        Command::Link(args) => link(&dir, &args)?,
        Command::Test(args) if args.list => println!("{}", test::all_names().join("\n")),
        Command::Test(args) => return test::run(&dir, &args.names, consent(args.yes)),
        Command::Demo(args) => return demo::run(&dir, consent(args.yes)),
        Command::Bench(args) if args.list => println!("{}", bench::names().join("\n")),
        Command::Bench(args) => return bench::run(&dir, &args.names, consent(args.yes)),
        Command::Supervise => supervisor::run(&dir)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn consent(yes: bool) -> Consent {
    if yes {
        Consent::Given
    } else {
        Consent::Ask
    }
}

fn prepare(args: &cli::Prepare) -> Result<()> {
    let image = match args.fresh {
        true => image::prepare_fresh(consent(args.yes))?,
        false => image::prepare(consent(args.yes))?,
    };
    println!("root:   {}", image.root.path.display());
    println!("kernel: {}", image.root.kernel);
    println!("image:  {}", image.dir.display());
    Ok(())
}

fn up(dir: &Path, args: &cli::Up) -> Result<()> {
    let size = Size { nodes: args.nodes, mem_mb: args.mem, cpus: args.cpus };
    let payload = match (args.bare, args.no_build) {
        (true, _) => Payload::Bare,
        (false, true) => Payload::LastBuild,
        (false, false) => Payload::Holon,
    };
    let mut instance = up::up(dir, size, args.seed, payload, args.encryption)?;
    instance.detach()
}

fn status(dir: &Path) -> Result<()> {
    let mut instance = Instance::open(dir)?;
    let status = instance.status()?;
    let config = &instance.config;
    println!(
        "{}: {} MB, {} CPU each, seed {}",
        dir.display(),
        config.mem_mb,
        config.cpus,
        config.seed
    );
    for (index, state) in status.nodes.iter().enumerate() {
        let node = index + 1;
        let state = format!("{state:?}").to_lowercase();
        let serial = config.file(node, "serial.log");
        println!(
            "node{node}  {state:8} 10.77.0.{node}  ssh port {}  console {}",
            config.ssh_ports[index],
            serial.display()
        );
    }
    print_links(&status);
    Ok(())
}

fn print_links(status: &Status) {
    for link in &status.links {
        let c = link.counters;
        print!(
            "node{} -> node{}: {} frames, {} bytes",
            link.from + 1,
            link.to + 1,
            c.frames,
            c.bytes
        );
        if c.dropped + c.duplicated + c.reordered + c.corrupted > 0 {
            print!(
                ", {} dropped, {} doubled, {} reordered, {} corrupted",
                c.dropped, c.duplicated, c.reordered, c.corrupted
            );
        }
        if !link.faults.is_none() {
            print!("; now {:?}", link.faults);
        }
        println!();
    }
}

fn exec(dir: &Path, args: &cli::Exec) -> Result<()> {
    let ssh = Instance::open(dir)?.ssh(args.node.0)?;
    let terminal = if args.terminal { Terminal::Yes } else { Terminal::No };
    // ssh takes our place, so that signals, streams and status are its own affair.
    Err(ssh.exec(&args.words, terminal).exec().into())
}

fn start(dir: &Path, NodeName(node): NodeName, fresh: bool) -> Result<()> {
    let mut instance = Instance::open(dir)?;
    let boot = if fresh { Boot::Warm } else { Boot::Cold };
    instance.start(node, boot)?;
    ready::one(&mut instance, node, boot)
}

fn link(dir: &Path, args: &cli::Link) -> Result<()> {
    let mut instance = Instance::open(dir)?;
    let (Some(NodeName(a)), Some(NodeName(b))) = (args.a, args.b) else {
        return instance.link_clear();
    };
    if a == b {
        bail!("a link has two ends");
    }
    let faults = Faults {
        down: args.down,
        loss: args.loss,
        delay_ms: args.delay,
        dup: args.dup,
        reorder: args.reorder,
        corrupt: args.corrupt,
        rate_mbit: args.rate,
    };
    instance.link(a, b, faults)?;
    if !args.one_way {
        instance.link(b, a, faults)?;
    }
    let status = instance.status()?;
    if status.nodes.contains(&NodeState::Off) {
        ui::note("some nodes are off; the faults hold for them too");
    }
    Ok(())
}
