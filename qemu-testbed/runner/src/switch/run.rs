//! The switch's thread: waits for sockets, delays and commands, and moves frames between them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mio::net::UnixListener;
use mio::{Events, Interest, Poll, Token, Waker};

use super::fabric::{Fabric, Port};
use super::pcap::Capture;
use super::port::Connection;
use super::{Command, LinkReport};

const WAKE: Token = Token(usize::MAX);
/// Captures reach their files at the latest this long after the last frame.
const CAPTURE_FLUSH: Duration = Duration::from_millis(200);

/// All that the thread owns.
pub(super) struct Loop {
    poll: Poll,
    waker: Arc<Waker>,
    inbox: Receiver<Command>,
    listeners: Vec<UnixListener>,
    wires: Wires,
    /// Ports that may have more to read: readiness is told once only.
    readable: Vec<bool>,
    fabric: Fabric,
    started: Instant,
}

/// Where frames leave: apart from the fabric, so that it can call in here.
struct Wires {
    connections: Vec<Option<Connection>>,
    captures: HashMap<(Port, Port), Capture>,
}

impl Wires {
    fn deliver(&mut self, from: Port, to: Port, frame: &[u8]) {
        if let Some(capture) = self.captures.get_mut(&(from.min(to), from.max(to))) {
            // A full disk must not stop the network.
            let _ = capture.record(frame);
        }
        if let Some(connection) = &mut self.connections[to] {
            connection.queue(frame);
        }
    }
}

impl Loop {
    /// Binds the sockets; nothing moves before `run`.
    pub(super) fn new(
        sockets: &[PathBuf],
        captures: &Path,
        seed: u64,
        inbox: Receiver<Command>,
    ) -> Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let ports = sockets.len();
        let mut listeners = Vec::new();
        for (port, path) in sockets.iter().enumerate() {
            let mut listener =
                UnixListener::bind(path).with_context(|| format!("bind {}", path.display()))?;
            let token = Token(ports + port);
            poll.registry().register(&mut listener, token, Interest::READABLE)?;
            listeners.push(listener);
        }
        let mut files = HashMap::new();
        for a in 0..ports {
            for b in a + 1..ports {
                let name = format!("node{}-node{}.pcap", a + 1, b + 1);
                files.insert((a, b), Capture::create(&captures.join(name))?);
            }
        }
        let connections = (0..ports).map(|_| None).collect();
        Ok(Self {
            poll,
            waker,
            inbox,
            listeners,
            wires: Wires { connections, captures: files },
            readable: vec![false; ports],
            fabric: Fabric::new(ports, seed),
            started: Instant::now(),
        })
    }

    /// What wakes the thread for a command.
    pub(super) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Switches until the process ends.
    pub(super) fn run(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(64);
        loop {
            match self.poll.poll(&mut events, self.timeout()) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            }
            if events.is_empty() {
                self.flush_captures();
            }
            for event in &events {
                self.on_event(event.token(), event.is_readable() || event.is_read_closed())?;
            }
            for port in 0..self.readable.len() {
                if self.readable[port] {
                    self.receive(port);
                }
            }
            let now_ns = self.now_ns();
            let wires = &mut self.wires;
            self.fabric.poll_due(now_ns, |from, to, frame| wires.deliver(from, to, frame));
            self.transmit();
        }
    }

    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    fn timeout(&self) -> Option<Duration> {
        if self.readable.contains(&true) {
            return Some(Duration::ZERO);
        }
        let due = self
            .fabric
            .next_due_ns()
            .map(|due_ns| Duration::from_nanos(due_ns.saturating_sub(self.now_ns())));
        let dirty = self.wires.captures.values().any(Capture::is_dirty).then_some(CAPTURE_FLUSH);
        [due, dirty].into_iter().flatten().min()
    }

    fn on_event(&mut self, token: Token, readable: bool) -> Result<()> {
        if token == WAKE {
            self.on_commands();
            return Ok(());
        }
        let ports = self.readable.len();
        if token.0 >= ports {
            return self.accept(token.0 - ports);
        }
        self.readable[token.0] |= readable;
        Ok(())
    }

    fn accept(&mut self, port: Port) -> Result<()> {
        while let Ok((mut stream, _)) = self.listeners[port].accept() {
            self.poll.registry().register(
                &mut stream,
                Token(port),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            self.fabric.unplug(port);
            self.wires.connections[port] = Some(Connection::new(stream));
        }
        Ok(())
    }

    fn on_commands(&mut self) {
        while let Ok(command) = self.inbox.try_recv() {
            match command {
                Command::Set { from, to, faults } => self.fabric.direction(from, to).set(faults),
                Command::Clear => self.fabric.clear(),
                Command::Report(reply) => {
                    self.flush_captures();
                    let _ = reply.send(self.report());
                }
            }
        }
    }

    fn report(&mut self) -> Vec<LinkReport> {
        let ports = self.readable.len();
        let pairs = (0..ports).flat_map(|from| (0..ports).map(move |to| (from, to)));
        pairs
            .filter(|(from, to)| from != to)
            .map(|(from, to)| {
                let direction = self.fabric.direction(from, to);
                let (faults, counters) = (direction.faults(), direction.counters);
                LinkReport { from, to, faults, counters }
            })
            .collect()
    }

    fn receive(&mut self, port: Port) {
        let now_ns = self.now_ns();
        let Some(mut connection) = self.wires.connections[port].take() else {
            self.readable[port] = false;
            return;
        };
        let (fabric, wires) = (&mut self.fabric, &mut self.wires);
        let result = connection.read(|frame| {
            fabric.ingress(now_ns, port, frame, |from, to, frame| wires.deliver(from, to, frame));
        });
        match result {
            Ok(more) => {
                self.readable[port] = more;
                self.wires.connections[port] = Some(connection);
            }
            Err(_) => self.unplug(port, connection),
        }
    }

    fn unplug(&mut self, port: Port, mut connection: Connection) {
        let _ = self.poll.registry().deregister(&mut connection.stream);
        self.readable[port] = false;
        self.fabric.unplug(port);
    }

    fn transmit(&mut self) {
        for port in 0..self.readable.len() {
            let Some(connection) = &mut self.wires.connections[port] else {
                continue;
            };
            if connection.flush().is_err() {
                if let Some(connection) = self.wires.connections[port].take() {
                    self.unplug(port, connection);
                }
            }
        }
    }

    fn flush_captures(&mut self) {
        for capture in self.wires.captures.values_mut().filter(|capture| capture.is_dirty()) {
            let _ = capture.flush();
        }
    }
}
