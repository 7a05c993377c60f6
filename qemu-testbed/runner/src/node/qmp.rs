//! QEMU's machine protocol, as far as the testbed needs it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use serde_json::{json, Value};

/// QEMU opens its socket as one of the first things; a host under load may take its time.
const CONNECT_MAX: Duration = Duration::from_secs(20);
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How often QEMU is asked how far it is, where it has no event to wait for.
const POLL: Duration = Duration::from_millis(20);

/// A connection to one QEMU.
#[derive(Debug)]
pub(crate) struct Qmp {
    reader: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects, waiting for the socket to appear.
    pub(crate) fn connect(path: &Path) -> Result<Self> {
        let started = Instant::now();
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) if started.elapsed() > CONNECT_MAX => {
                    return Err(error).with_context(|| format!("connect {}", path.display()));
                }
                Err(_) => thread::sleep(POLL),
            }
        };
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let mut qmp = Self { reader: BufReader::new(stream) };
        qmp.receive().context("QEMU's greeting")?;
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Executes a command and gives what it returned.
    pub(crate) fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let line = format!("{}\n", json!({ "execute": command, "arguments": arguments }));
        self.reader.get_mut().write_all(line.as_bytes())?;
        loop {
            let mut answer = self.receive().with_context(|| format!("QMP {command}"))?;
            if let Some(error) = answer.get("error") {
                bail!("QMP {command}: {error}");
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    /// Saves all but the memory file to `state`. The guest is stopped afterwards.
    pub(crate) fn save(&mut self, state: &Path) -> Result<()> {
        self.execute("stop", json!({}))?;
        self.leave_memory_file_alone()?;
        let target = format!("exec:cat >{}", crate::process::quote(&state.to_string_lossy()));
        self.execute("migrate", json!({ "uri": target }))?;
        self.await_migration()
    }

    /// Reads a saved state into a QEMU that waits for it, and lets the guest run.
    pub(crate) fn restore(&mut self, state: &Path) -> Result<()> {
        self.leave_memory_file_alone()?;
        let source = format!("exec:cat {}", crate::process::quote(&state.to_string_lossy()));
        self.execute("migrate-incoming", json!({ "uri": source }))?;
        self.await_migration()?;
        self.execute("cont", json!({}))?;
        Ok(())
    }

    /// What is in a memory file is neither written to the state nor read from it.
    fn leave_memory_file_alone(&mut self) -> Result<()> {
        let capability = json!({ "capability": "x-ignore-shared", "state": true });
        self.execute("migrate-set-capabilities", json!({ "capabilities": [capability] }))?;
        Ok(())
    }

    fn await_migration(&mut self) -> Result<()> {
        loop {
            let info = self.execute("query-migrate", json!({}))?;
            match info.get("status").and_then(Value::as_str) {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => bail!("QEMU could not transfer state: {info}"),
                _ => thread::sleep(POLL),
            }
        }
    }

    fn receive(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            bail!("QEMU has gone");
        }
        Ok(serde_json::from_str(&line)?)
    }
}
