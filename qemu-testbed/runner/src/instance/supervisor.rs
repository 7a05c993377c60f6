//! The process that owns an instance: its QEMUs and its switch are children and a thread of it, so
//! that nothing is left when it ends, however it ends.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Child;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use anyhow::{bail, Context, Result};
use serde_json::json;

use super::control::{Answer, Boot, Config, NodeState, Request, Status};
use crate::image::disk::{self, Image};
use crate::image::template::Template;
use crate::node::qemu::{self, Cluster, Guest, Memory};
use crate::node::qmp::Qmp;
use crate::switch::Switch;

/// A request, and where its answer goes.
type Call = (Request, Sender<Answer>);

/// Everything of a running instance.
struct Supervisor {
    config: Config,
    image: Image,
    switch: Switch,
    nodes: Vec<Option<Child>>,
    paused: Vec<bool>,
    /// Keeps the template from being cleared away.
    _template: fs::File,
}

/// Runs an instance until it is told to end. Called as the whole of a process, from its first
/// thread: children end with the thread that made them.
pub(crate) fn run(dir: &Path) -> Result<()> {
    let config = Config::load(dir)?;
    let sockets: Vec<_> = (1..=config.nodes).map(|node| config.socket(node, "net")).collect();
    let captures = dir.join("capture");
    fs::create_dir_all(&captures)?;
    let switch = Switch::start(&sockets, &captures, config.seed)?;
    let listener = UnixListener::bind(config.control())
        .with_context(|| format!("bind {}", config.control().display()))?;
    let (calls, inbox) = mpsc::channel();
    thread::spawn(move || listen(&listener, &calls));

    let nodes = (0..config.nodes).map(|_| None).collect();
    let paused = vec![false; config.nodes];
    let image = disk::ensure()?;
    let template = Template { dir: config.template.clone() }.hold()?;
    let mut supervisor = Supervisor { config, image, switch, nodes, paused, _template: template };
    supervisor.serve(&inbox);
    supervisor.clean();
    Ok(())
}

impl Supervisor {
    fn serve(&mut self, inbox: &Receiver<Call>) {
        while let Ok((request, reply)) = inbox.recv() {
            let last = matches!(request, Request::Shutdown);
            let answer = match self.answer(request) {
                Ok(answer) => answer,
                Err(error) => Answer::Failed(format!("{error:#}")),
            };
            if last {
                self.end_nodes();
            }
            let _ = reply.send(answer);
            if last {
                return;
            }
        }
    }

    fn answer(&mut self, request: Request) -> Result<Answer> {
        match request {
            Request::Tie | Request::Detach | Request::Shutdown => {}
            Request::Start { node, boot } => self.start(node, boot)?,
            Request::Kill { node } => self.kill(node)?,
            Request::Pause { node } => self.set_paused(node, "stop")?,
            Request::Resume { node } => self.set_paused(node, "cont")?,
            Request::Link { from, to, faults } => {
                let (from, to) = (self.index(from)?, self.index(to)?);
                self.switch.set(from, to, faults)?;
            }
            Request::LinkClear => self.switch.clear()?,
            Request::Status => return Ok(Answer::Status(self.status()?)),
        }
        Ok(Answer::Done)
    }

    fn index(&self, node: usize) -> Result<usize> {
        if node == 0 || node > self.config.nodes {
            bail!("there is no node{node}: this cluster has {}", self.config.nodes);
        }
        Ok(node - 1)
    }

    fn start(&mut self, node: usize, boot: Boot) -> Result<()> {
        let index = self.index(node)?;
        if self.state(index) != NodeState::Off {
            bail!("node{node} runs already");
        }
        let template = Template { dir: self.config.template.clone() };
        let disk = self.config.file(node, "qcow2");
        if boot == Boot::Warm || !disk.exists() {
            qemu::overlay(&template.disk(), "qcow2", &disk)?;
        }
        let guest = Guest {
            image: self.image.clone(),
            node,
            mem_mb: self.config.mem_mb,
            cpus: self.config.cpus,
            disk,
            serial: self.config.file(node, "serial.log"),
            log: self.config.file(node, "qemu.log"),
            qmp: self.config.socket(node, "qmp"),
            ssh_port: self.config.ssh_ports[index],
            memory: match boot {
                Boot::Warm => template.memory(),
                Boot::Cold => Memory::Fresh,
            },
            cluster: Cluster::Switch(self.config.socket(node, "net")),
        };
        let (child, _) = qemu::launch(&guest)?;
        self.nodes[index] = Some(child);
        self.paused[index] = false;
        Ok(())
    }

    fn kill(&mut self, node: usize) -> Result<()> {
        let index = self.index(node)?;
        let Some(mut child) = self.nodes[index].take() else { bail!("node{node} is off already") };
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    fn set_paused(&mut self, node: usize, command: &str) -> Result<()> {
        let index = self.index(node)?;
        if self.state(index) == NodeState::Off {
            bail!("node{node} is off");
        }
        Qmp::connect(&self.config.socket(node, "qmp"))?.execute(command, json!({}))?;
        self.paused[index] = command == "stop";
        Ok(())
    }

    fn state(&mut self, index: usize) -> NodeState {
        let Some(child) = &mut self.nodes[index] else {
            return NodeState::Off;
        };
        if !matches!(child.try_wait(), Ok(None)) {
            self.nodes[index] = None;
            return NodeState::Off;
        }
        if self.paused[index] {
            return NodeState::Paused;
        }
        NodeState::Running
    }

    fn status(&mut self) -> Result<Status> {
        let nodes = (0..self.config.nodes).map(|index| self.state(index)).collect();
        let links = self.switch.report()?;
        Ok(Status { nodes, links, supervisor_pid: std::process::id() })
    }

    fn end_nodes(&mut self) {
        for mut child in self.nodes.iter_mut().filter_map(Option::take) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn clean(&mut self) {
        self.end_nodes();
        let _ = fs::remove_dir_all(&self.config.sockets);
        let _ = fs::remove_file(self.config.dir.join("instance.json"));
        for node in 1..=self.config.nodes {
            let _ = fs::remove_file(self.config.file(node, "qcow2"));
        }
    }
}

fn listen(listener: &UnixListener, calls: &Sender<Call>) {
    for stream in listener.incoming().flatten() {
        let calls = calls.clone();
        thread::spawn(move || {
            let tied = converse(&stream, &calls).unwrap_or(false);
            if tied {
                // Whoever wanted the instance has gone before it was finished.
                let _ = calls.send((Request::Shutdown, mpsc::channel().0));
            }
        });
    }
}

/// Serves a connection; says whether the instance is tied to it when it ends.
fn converse(stream: &UnixStream, calls: &Sender<Call>) -> Result<bool> {
    let mut tied = false;
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(line)) = lines.next() {
        let request: Request = serde_json::from_str(&line)?;
        tied = match request {
            Request::Tie => true,
            Request::Detach => false,
            _ => tied,
        };
        let (reply, answer) = mpsc::channel();
        calls.send((request, reply))?;
        let answer = answer.recv()?;
        if writeln!(&*stream, "{}", serde_json::to_string(&answer)?).is_err() {
            break;
        }
    }
    Ok(tied)
}
