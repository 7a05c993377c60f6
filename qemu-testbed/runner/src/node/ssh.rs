//! Commands and files in a guest, over ssh.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{bail, Context, Result};

use crate::given::Stopwatch;
use crate::process::{self, quote};

/// How often a guest that boots is asked.
const POLL: Duration = Duration::from_millis(200);
/// How long a line that is not at a terminal may take in a guest, in seconds: a last resort, for
/// whoever waits for something has a limit of its own, by the time that the host gives.
const LINE_MAX_S: u32 = 3_600;
/// sshd greets at once when it runs.
const BANNER_MAX: Duration = Duration::from_secs(5);

/// How to reach one guest.
#[derive(Clone, Debug)]
pub(crate) struct Ssh {
    /// The private key.
    pub key: PathBuf,
    /// The forwarded port on the host's loopback.
    pub port: u16,
    /// Where the shared connection's socket is.
    pub control: PathBuf,
}

/// Whether a command gets a terminal of its own in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Terminal {
    /// `-t`.
    Yes,
    /// Plain pipes.
    No,
}

impl Ssh {
    /// Waits until sshd greets, or `alive` says that it never will.
    pub(crate) fn await_banner(
        &self,
        limit: Duration,
        mut alive: impl FnMut() -> bool,
    ) -> Result<()> {
        let mut watch = Stopwatch::start();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        while watch.elapsed() < limit {
            if greets(address) {
                return Ok(());
            }
            if !alive() {
                bail!("the guest's QEMU has ended");
            }
            thread::sleep(POLL);
        }
        bail!("the guest does not answer after {} s", limit.as_secs());
    }

    /// Opens the connection that later commands share. It ends with the guest.
    pub(crate) fn open_shared(&self) -> Result<()> {
        let _ = std::fs::remove_file(&self.control);
        let mut command = self.command("ssh", "-p");
        command.args(["-M", "-N", "-f", "root@127.0.0.1"]);
        let null = || Stdio::null();
        command.stdin(null()).stdout(null()).stderr(null());
        process::run(&mut command)
    }

    /// The ssh command that runs `words` in the guest.
    pub(crate) fn exec(&self, words: &[String], terminal: Terminal) -> Command {
        let mut command = self.command("ssh", "-p");
        command.arg(if terminal == Terminal::Yes { "-tt" } else { "-T" });
        command.arg("root@127.0.0.1").arg(remote_line(words));
        command
    }

    /// Runs a shell line silently; gives what it printed, or fails with what it said, or after
    /// [`LINE_MAX_S`] with status 124.
    pub(crate) fn sh(&self, line: &str) -> Result<String> {
        process::output(&mut limited(&self.exec(&[line.to_owned()], Terminal::No)))
    }

    /// Runs a shell line silently and gives all that came of it, or status 124 as [`Self::sh`].
    pub(crate) fn capture(&self, line: &str) -> Result<Output> {
        process::capture(&mut limited(&self.exec(&[line.to_owned()], Terminal::No)))
    }

    /// Copies a file or folder into the guest.
    pub(crate) fn push(&self, from: &Path, to: &str) -> Result<()> {
        let remote = format!("root@127.0.0.1:{to}");
        process::output(self.command("scp", "-P").args(["-q", "-r", "-p"]).arg(from).arg(remote))?;
        Ok(())
    }

    /// Copies a file or folder from the guest.
    pub(crate) fn pull(&self, from: &str, to: &Path) -> Result<()> {
        let remote = format!("root@127.0.0.1:{from}");
        process::output(self.command("scp", "-P").args(["-q", "-r", "-p"]).arg(remote).arg(to))?;
        Ok(())
    }

    /// Feeds bytes to a shell line in the guest.
    pub(crate) fn feed(&self, line: &str, input: &[u8]) -> Result<ExitStatus> {
        let mut command = self.exec(&[line.to_owned()], Terminal::No);
        let mut child = command.stdin(Stdio::piped()).spawn().context("run ssh")?;
        if let Some(mut stdin) = child.stdin.take() {
            std::io::Write::write_all(&mut stdin, input)?;
        }
        Ok(child.wait()?)
    }

    fn command(&self, program: &str, port_flag: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-F", "none", "-i"]).arg(&self.key);
        command.arg(port_flag).arg(self.port.to_string());
        for option in [
            "UserKnownHostsFile=/dev/null",
            "StrictHostKeyChecking=no",
            "LogLevel=ERROR",
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "ConnectTimeout=30",
            "ServerAliveInterval=0",
        ] {
            command.arg("-o").arg(option);
        }
        command.arg("-o").arg(format!("ControlPath={}", self.control.display()));
        command
    }
}

/// The same command, ended when it takes too long: a program that hangs in a guest must fail its
/// test, and not stop all others.
fn limited(command: &Command) -> Command {
    let mut limited = Command::new("timeout");
    limited.arg(LINE_MAX_S.to_string()).arg(command.get_program()).args(command.get_args());
    limited
}

/// One word is a line for the guest's shell; several are a program and its arguments, exactly.
///
/// The shell stays as the parent, so that a program that a signal killed is reported as 128 and
/// the signal's number, as a local shell would.
fn remote_line(words: &[String]) -> String {
    match words {
        [line] => format!("{line}\nexit $?"),
        words => {
            let quoted: Vec<_> = words.iter().map(|word| quote(word)).collect();
            format!("{}\nexit $?", quoted.join(" "))
        }
    }
}

fn greets(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, BANNER_MAX) else {
        return false;
    };
    let mut banner = [0u8; 4];
    stream.set_read_timeout(Some(BANNER_MAX)).is_ok()
        && stream.read_exact(&mut banner).is_ok()
        && &banner == b"SSH-"
}
