//! A command's connection to the supervisor.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{bail, Context, Result};

use super::control::{Answer, Boot, Config, NodeState, Request, Status};
use crate::image::disk;
use crate::node::ssh::Ssh;
use crate::switch::Faults;

/// A running instance.
#[derive(Debug)]
pub(crate) struct Instance {
    /// What it is made of.
    pub config: Config,
    connection: BufReader<UnixStream>,
}

impl Instance {
    /// Connects to the instance in a folder.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let config = Config::load(dir)?;
        let stream = UnixStream::connect(config.control()).with_context(|| {
            format!("the testbed in {} has ended (`cargo testbed down` clears up)", dir.display())
        })?;
        Ok(Self { config, connection: BufReader::new(stream) })
    }

    /// Another connection to the same instance, for another thread.
    pub(crate) fn again(&self) -> Result<Self> {
        Self::open(&self.config.dir)
    }

    /// The instance ends when this connection does.
    pub(crate) fn tie(&mut self) -> Result<()> {
        self.done(&Request::Tie)
    }

    /// The instance stays.
    pub(crate) fn detach(&mut self) -> Result<()> {
        self.done(&Request::Detach)
    }

    /// Starts a node's QEMU.
    pub(crate) fn start(&mut self, node: usize, boot: Boot) -> Result<()> {
        self.done(&Request::Start { node, boot })
    }

    /// Cuts a node's power.
    pub(crate) fn kill(&mut self, node: usize) -> Result<()> {
        self.done(&Request::Kill { node })
    }

    /// Stops a node.
    pub(crate) fn pause(&mut self, node: usize) -> Result<()> {
        self.done(&Request::Pause { node })
    }

    /// Lets it run again.
    pub(crate) fn resume(&mut self, node: usize) -> Result<()> {
        self.done(&Request::Resume { node })
    }

    /// Sets the faults from one node to another.
    pub(crate) fn link(&mut self, from: usize, to: usize, faults: Faults) -> Result<()> {
        self.done(&Request::Link { from, to, faults })
    }

    /// Takes all faults away.
    pub(crate) fn link_clear(&mut self) -> Result<()> {
        self.done(&Request::LinkClear)
    }

    /// The state of all.
    pub(crate) fn status(&mut self) -> Result<Status> {
        match self.call(&Request::Status)? {
            Answer::Status(status) => Ok(status),
            _ => bail!("the supervisor did not answer with a status"),
        }
    }

    /// Ends everything.
    pub(crate) fn shutdown(&mut self) -> Result<()> {
        self.done(&Request::Shutdown)
    }

    /// How to reach a node, if it is on.
    pub(crate) fn ssh(&mut self, node: usize) -> Result<Ssh> {
        let status = self.status()?;
        match node.checked_sub(1).and_then(|index| status.nodes.get(index)) {
            None => bail!("there is no node{node}: this cluster has {}", status.nodes.len()),
            Some(NodeState::Off) => bail!("node{node} is off (`cargo testbed start {node}`)"),
            Some(NodeState::Paused) => bail!("node{node} is paused"),
            Some(NodeState::Running) => self.ssh_unchecked(node),
        }
    }

    /// How to reach a node, whatever its state.
    pub(crate) fn ssh_unchecked(&self, node: usize) -> Result<Ssh> {
        let port = self.config.ssh_ports.get(node.wrapping_sub(1)).copied();
        let port = port.with_context(|| format!("there is no node{node}"))?;
        Ok(Ssh { key: disk::ssh_key()?, port, control: self.config.socket(node, "ssh") })
    }

    fn done(&mut self, request: &Request) -> Result<()> {
        match self.call(request)? {
            Answer::Failed(why) => bail!(why),
            _ => Ok(()),
        }
    }

    fn call(&mut self, request: &Request) -> Result<Answer> {
        let line = format!("{}\n", serde_json::to_string(request)?);
        self.connection.get_mut().write_all(line.as_bytes())?;
        let mut answer = String::new();
        if self.connection.read_line(&mut answer)? == 0 {
            bail!("the supervisor has ended; see {}/supervisor.log", self.config.dir.display());
        }
        Ok(serde_json::from_str(&answer)?)
    }
}
