//! The agent as the cases see it.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::Command,
    str::FromStr,
};

use crate::{
    sys::{pipe, Device},
    Outcome,
};

/// A connection to the agent.
pub(crate) struct Peer {
    commands: TcpStream,
    answers: BufReader<TcpStream>,
    device: Device,
}

/// A file that stands at the agent's node, opened here.
pub(crate) struct Remote {
    /// Here.
    pub(crate) fd: OwnedFd,
    /// The node's slot.
    pub(crate) slot: u32,
    /// Its number there.
    pub(crate) file: u64,
    /// The agent's handle of its other end.
    pub(crate) other: u32,
    /// The agent's handle of it.
    pub(crate) own: u32,
    /// Pid there of the leader of its session, if it has one.
    pub(crate) leader: i32,
}

/// Adds what was done to an error.
pub(crate) fn told<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> String + '_ {
    move |error| format!("{what}: {error}")
}

/// Fails with a message unless it is true.
pub(crate) fn expect(what: &str, truth: bool) -> Outcome {
    match truth {
        true => Ok(()),
        false => Err(what.to_owned()),
    }
}

/// Fails unless both are the same.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, wanted: T) -> Outcome {
    match got == wanted {
        true => Ok(()),
        false => Err(format!("{what}: {got:?} instead of {wanted:?}")),
    }
}

/// Fails unless it failed with this error.
pub(crate) fn fails<T: std::fmt::Debug>(
    what: &str,
    got: std::io::Result<T>,
    errno: i32,
) -> Outcome {
    match got {
        Err(error) if error.raw_os_error() == Some(errno) => Ok(()),
        other => Err(format!("{what}: {other:?} instead of errno {errno}")),
    }
}

impl Peer {
    /// Connects.
    pub(crate) fn connect(address: &str) -> Result<Self, String> {
        let commands = TcpStream::connect(address).map_err(told("connect"))?;
        commands.set_nodelay(true).map_err(told("connect"))?;
        let answers = BufReader::new(commands.try_clone().map_err(told("connect"))?);
        let device = Device::open().map_err(told("/dev/holon"))?;
        Ok(Self { commands, answers, device })
    }

    /// Tells the agent to do something; its answer.
    pub(crate) fn tell(&mut self, command: &str) -> Result<String, String> {
        self.commands.write_all(format!("{command}\n").as_bytes()).map_err(told(command))?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).map_err(told(command))?;
        let answer = answer.trim_end_matches('\n');
        match answer.split_once(' ') {
            Some(("ok", rest)) => Ok(rest.to_owned()),
            _ => Err(format!("{command}: {answer}")),
        }
    }

    /// The words of an answer as numbers.
    pub(crate) fn ask<T: FromStr>(&mut self, command: &str) -> Result<Vec<T>, String> {
        let answer = self.tell(command)?;
        let numbers: Result<Vec<T>, _> = answer.split(' ').map(str::parse).collect();
        numbers.map_err(|_| format!("{command}: {answer}"))
    }

    /// Makes a file there and opens it here.
    pub(crate) fn make(&mut self, kind: &str, flags: i32) -> Result<Remote, String> {
        let numbers: Vec<u64> = self.ask(&format!("make {kind}"))?;
        let [slot, file, other, own, ref more @ ..] = numbers[..] else {
            return Err("make: not four numbers".to_owned());
        };
        let leader = more.first().map_or(0, |pid| *pid as i32);
        let slot = slot as u32;
        let fd = self.device.take(slot, file, flags).map_err(told("open"))?;
        Ok(Remote { fd, slot, file, other: other as u32, own: own as u32, leader })
    }

    /// Opens it once more.
    pub(crate) fn again(&self, remote: &Remote, flags: i32) -> std::io::Result<OwnedFd> {
        self.device.take(remote.slot, remote.file, flags)
    }

    /// The agent's own references end: only we have the file now.
    pub(crate) fn alone(&mut self, remote: &Remote) -> Outcome {
        self.tell(&format!("close {}", remote.own))?;
        self.tell("release").map(drop)
    }

    /// Makes a file of this node available.
    pub(crate) fn export(&self, fd: &OwnedFd) -> std::io::Result<(u32, u64)> {
        self.device.export(fd)
    }

    /// A file of this node, which it can hand out too.
    pub(crate) fn local_number(&self) -> std::io::Result<(u32, u64)> {
        let (read, _write) = pipe()?;
        self.device.export(&read)
    }
}

/// Runs a command with a remote file as descriptor `fd`, or 0, 1 and 2 (`all`).
pub(crate) fn run(address: &str, kind: &str, fd: &str, command: &[&str]) -> Outcome {
    let mut peer = Peer::connect(address)?;
    let remote = peer.make(kind, libc::O_RDWR)?;
    let targets: Vec<i32> = match fd {
        "all" => vec![0, 1, 2],
        one => vec![one.parse().map_err(told("descriptor"))?],
    };
    for target in &targets {
        // SAFETY: replaces a descriptor that nothing here uses any more.
        if unsafe { libc::dup2(remote.fd.as_raw_fd(), *target) } < 0 {
            return Err("dup2".to_owned());
        }
    }
    let [program, arguments @ ..] = command else {
        return Err("no command".to_owned());
    };
    peer.tell(&format!("text-after 300 {} {}", remote.other, "hello\\sthere\\n"))?;
    if targets == [0, 1, 2] {
        return Err(Command::new(program).args(arguments).exec().to_string());
    }
    let status = Command::new(program).args(arguments).status().map_err(told(program))?;
    println!("{program}: {status}");
    expect("status", status.success())
}
