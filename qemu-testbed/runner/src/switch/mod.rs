//! The cluster's network: an Ethernet switch of our own between the guests' `-netdev stream`
//! sockets, with faults by direction (`fault`), learning and delays (`fabric`), and capture files
//! (`pcap`). One thread moves all frames, in batches.

pub(crate) mod fabric;
pub(crate) mod fault;
pub(crate) mod pcap;
mod port;
mod run;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::Arc;
use std::thread;

use anyhow::{anyhow, Result};
use mio::Waker;
use serde::{Deserialize, Serialize};

pub(crate) use fabric::Port;
pub(crate) use fault::{Counters, Faults};

/// What the supervisor asks of the switch.
#[derive(Debug)]
enum Command {
    Set { from: Port, to: Port, faults: Faults },
    Clear,
    Report(Sender<Vec<LinkReport>>),
}

/// One direction, as `status` shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LinkReport {
    /// Sending node's index.
    pub from: Port,
    /// Receiving node's index.
    pub to: Port,
    /// Faults in force.
    pub faults: Faults,
    /// What passed.
    pub counters: Counters,
}

/// A running switch; it ends with the process.
#[derive(Debug)]
pub(crate) struct Switch {
    commands: Sender<Command>,
    waker: Arc<Waker>,
}

impl Switch {
    /// Listens on one socket per node and starts to switch.
    pub(crate) fn start(sockets: &[PathBuf], captures: &Path, seed: u64) -> Result<Self> {
        let (commands, inbox) = mpsc::channel();
        let mut state = run::Loop::new(sockets, captures, seed, inbox)?;
        let waker = state.waker();
        thread::Builder::new().name("switch".into()).spawn(move || {
            if let Err(error) = state.run() {
                eprintln!("switch: {error:#}");
                std::process::exit(1);
            }
        })?;
        Ok(Self { commands, waker })
    }

    /// Sets one direction's faults.
    pub(crate) fn set(&self, from: Port, to: Port, faults: Faults) -> Result<()> {
        self.send(Command::Set { from, to, faults })
    }

    /// Takes all faults away.
    pub(crate) fn clear(&self) -> Result<()> {
        self.send(Command::Clear)
    }

    /// The state of every direction.
    pub(crate) fn report(&self) -> Result<Vec<LinkReport>> {
        let (reply, answer) = mpsc::channel();
        self.send(Command::Report(reply))?;
        Ok(answer.recv()?)
    }

    fn send(&self, command: Command) -> Result<()> {
        self.commands.send(command).map_err(|_| anyhow!("the switch has stopped"))?;
        self.waker.wake()?;
        Ok(())
    }
}
