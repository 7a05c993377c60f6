//! Printing: tables or JSON, and errors with what, why and what to do.

use crate::args::{Args, Format};
use crate::table::{render, size, Align};
use holon_api::rows::{
    DrainResult, EncryptionRow, EventRow, Explanation, JobRow, List, NodeRow, ProcessRow, Status,
};
use holon_api::{ApiError, Code};
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// Writes to stdout; a reader that has gone away ends us quietly.
pub(crate) fn print(text: &str) -> Result<(), ApiError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(ApiError::new(Code::Failure, "can't write to stdout", error)),
    }
}

/// Writes a value as one line of JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), ApiError> {
    let text = serde_json::to_string(value)
        .map_err(|error| ApiError::new(Code::Failure, "can't print", error))?;
    print(&(text + "\n"))
}

/// Tells an error on stderr.
pub(crate) fn error(args: &Args, error: &ApiError) {
    if args.output == Format::Json {
        let text = serde_json::to_string(&serde_json::json!({ "error": error }));
        eprintln!("{}", text.unwrap_or_default());
        return;
    }
    let (red, plain) = if colour(&std::io::stderr()) { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
    eprintln!("{red}clusterctl: {}:{plain} {}", error.what, error.why);
    if !error.fix.is_empty() {
        eprintln!("  {}", error.fix);
    }
}

/// Colours only for a terminal, and not against the user's wish.
pub(crate) fn colour(stream: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    set("CLICOLOR_FORCE") || stream.is_terminal() && !set("NO_COLOR")
}

fn warn_missing(missing: &[String]) {
    if !missing.is_empty() {
        eprintln!("clusterctl: {} did not answer: what is there is not shown", missing.join(", "));
    }
}

/// Prints a list as asked for.
pub(crate) fn list<T: Serialize>(
    args: &Args,
    list: &List<T>,
    table: impl FnOnce(&[T]) -> String,
) -> Result<(), ApiError> {
    match args.output {
        Format::Json => json(list),
        Format::Table => {
            warn_missing(&list.missing);
            print(&table(&list.items))
        }
    }
}

/// The table of `ps`.
pub(crate) fn processes(rows: &[ProcessRow]) -> String {
    let heads = [
        ("ID", Align::Left),
        ("USER", Align::Left),
        ("HOME", Align::Left),
        ("NODE", Align::Left),
        ("STATE", Align::Left),
        ("LOCAL", Align::Right),
        ("REMOTE", Align::Right),
        ("COMMAND", Align::Left),
    ];
    let cells = |r: &ProcessRow| {
        let (local, remote) = (size(r.local_bytes), size(r.remote_bytes));
        let texts = [r.user.clone(), r.home.clone(), r.node.clone(), r.state.clone()];
        let mut row = vec![r.id.to_string()];
        row.extend(texts);
        row.extend([local, remote, r.command.clone()]);
        row
    };
    render(&heads, &rows.iter().map(cells).collect::<Vec<_>>())
}

/// The table of `node list`.
pub(crate) fn nodes(rows: &[NodeRow]) -> String {
    let heads = [
        ("NODE", Align::Left),
        ("SLOT", Align::Right),
        ("ADDRESS", Align::Left),
        ("STATE", Align::Left),
        ("CPUS", Align::Right),
        ("LOAD", Align::Right),
        ("FREE", Align::Right),
        ("JOBS", Align::Right),
        ("BODIES", Align::Right),
        ("SURROGATES", Align::Right),
    ];
    let cells = |r: &NodeRow| {
        let state = match (r.cordoned, r.cordon_reason.as_str()) {
            (false, _) => r.state.clone(),
            (true, "") => format!("{}, cordoned", r.state),
            (true, why) => format!("{}, cordoned ({why})", r.state),
        };
        let known = |text: String| if r.state == "up" { text } else { "-".into() };
        vec![
            r.name.clone(),
            r.slot.to_string(),
            r.addr.clone(),
            state,
            known(r.cpus.to_string()),
            known(format!("{:.2}", r.load)),
            known(size(r.mem_free)),
            known(r.jobs.to_string()),
            known(r.bodies.to_string()),
            known(r.surrogates.to_string()),
        ]
    };
    render(&heads, &rows.iter().map(cells).collect::<Vec<_>>())
}

/// The table of `job list`.
pub(crate) fn jobs(rows: &[JobRow]) -> String {
    let heads = [
        ("JOB", Align::Right),
        ("HOME", Align::Left),
        ("USER", Align::Left),
        ("STATE", Align::Left),
        ("STATUS", Align::Right),
        ("RESTART", Align::Left),
        ("PROCESSES", Align::Right),
        ("COMMAND", Align::Left),
    ];
    let cells = |r: &JobRow| {
        let restart = match r.restarts {
            0 => r.restart.clone(),
            times => format!("{} ({times}x)", r.restart),
        };
        vec![
            r.job.to_string(),
            r.home.clone(),
            r.user.clone(),
            r.state.clone(),
            r.status.map_or_else(|| "-".into(), |status| status.to_string()),
            restart,
            r.processes.to_string(),
            r.command.clone(),
        ]
    };
    render(&heads, &rows.iter().map(cells).collect::<Vec<_>>())
}

/// One job with its processes.
pub(crate) fn job(row: &JobRow, processes_of: &[ProcessRow]) -> String {
    let mut out = format!("job {} at {}: {}\n", row.job, row.home, row.command);
    out += &format!("  user {}, restart {}, started {}\n", row.user, row.restart, row.started);
    let status = row.status.map(|status| format!(", status {status}")).unwrap_or_default();
    out += &format!("  {}{status}, started again {} times\n", row.state, row.restarts);
    if !processes_of.is_empty() {
        out += &processes(processes_of);
    }
    out
}

/// One line per event.
pub(crate) fn events(rows: &[EventRow]) -> String {
    rows.iter().map(|row| event(row) + "\n").collect()
}

fn event(row: &EventRow) -> String {
    let mut out = format!("{}  {:8} {:15}", row.time, row.node, row.kind);
    if let Some(process) = row.process {
        out += &format!(" {process}");
    } else if let Some(job) = row.job {
        out += &format!(" job {job}");
    }
    match (&row.from, &row.to) {
        (Some(from), Some(to)) => out += &format!(" {from} -> {to}"),
        (Some(node), None) | (None, Some(node)) => out += &format!(" {node}"),
        (None, None) => {}
    }
    if let Some(us) = row.freeze_us {
        out += &format!(" stopped {}", ms(us));
    }
    if let Some(us) = row.total_us {
        out += &format!(" total {}", ms(us));
    }
    if let Some(reason) = &row.reason {
        out += &format!(" ({reason})");
    }
    out
}

/// Microseconds as milliseconds for people.
pub(crate) fn ms(us: u64) -> String {
    format!("{}.{} ms", us / 1000, us % 1000 / 100)
}

/// `status`.
pub(crate) fn status(status: &Status) -> String {
    let quorum = if status.quorum { "quorum" } else { "NO QUORUM" };
    let module = if status.module.loaded { "loaded" } else { "NOT LOADED" };
    let mut out = format!(
        "{} of {} nodes up ({quorum}), {} jobs, {} processes; module {module}\n",
        status.nodes_up, status.nodes_total, status.jobs, status.processes
    );
    out += &encryption(&status.encryption);
    out += &nodes(&status.nodes);
    for alarm in &status.alarms {
        out += &format!("! {alarm}\n");
    }
    out
}

/// What protects the traffic, in one line.
fn encryption(row: &EncryptionRow) -> String {
    let fresh = row.peers.iter().filter(|peer| peer.handshake == "fresh").count();
    match (row.mode.as_str(), &row.problem) {
        (_, Some(problem)) => {
            format!("encryption: NOT UP ({} chosen): {}\n", row.chosen, problem.text)
        }
        ("none", None) => "encryption: none (plain, chosen in nodes.toml)\n".into(),
        ("wireguard", None) => format!(
            "encryption: wireguard ({fresh} of {} peers with a handshake in the last 3 minutes)\n",
            row.peers.len()
        ),
        // A daemon of another version.
        _ => "encryption: unknown\n".into(),
    }
}

/// `explain`.
pub(crate) fn explanation(e: &Explanation) -> String {
    if e.movable {
        return format!("{} on {} can move\n", e.process, e.node);
    }
    let mut out = format!("{} on {} can't move now:\n", e.process, e.node);
    for reason in &e.reasons {
        out += &format!("  {}: {}\n", reason.name, reason.text);
    }
    out
}

/// The end of a drain.
pub(crate) fn drained(result: &DrainResult) -> String {
    let mut out = format!(
        "{} drained in {:.1} s: {} moved, {} stay\n",
        result.node,
        result.seconds,
        result.moved,
        result.stays.len()
    );
    for item in &result.stays {
        out += &format!("  {} {}: {}\n", item.process, item.command, item.reason);
    }
    let left = &result.left;
    out += &format!(
        "left: {} homes, {} processes ({} bodies), {} surrogates, {} memories, {} files, \
         {} moves, {} lodging\n",
        left.jobs,
        left.running,
        left.bodies,
        left.surrogates,
        left.spaces,
        left.files,
        left.attempts,
        size(left.lodgers.saturating_mul(4096))
    );
    out += &match result.safe {
        true => "safe to power off: yes\n".to_owned(),
        false => format!("safe to power off: no, because {}\n", result.because.join("; ")),
    };
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use holon_api::rows::{Left, Reason, Stays, TunnelPeerRow};
    use holon_api::ProcessId;

    #[test]
    fn a_drain_ends_with_a_plain_word() {
        let mut result = DrainResult {
            api_version: "clusterctl/v1".into(),
            kind: "DrainResult".into(),
            node: "node2".into(),
            moved: 2,
            stays: vec![],
            left: Left::default(),
            safe: true,
            because: vec![],
            seconds: 1.25,
        };
        assert_eq!(
            drained(&result),
            "node2 drained in 1.2 s: 2 moved, 0 stay\n\
             left: 0 homes, 0 processes (0 bodies), 0 surrogates, 0 memories, 0 files, 0 moves, \
             0 B lodging\n\
             safe to power off: yes\n"
        );
        let process = ProcessId { job: 3, pid: 17 };
        let (command, reason) = ("nc -l".into(), "it has a socket".into());
        result.stays.push(Stays { process, command, reason });
        result.safe = false;
        result.because = vec!["1 process runs here".into(), "3.17 stays".into()];
        let text = drained(&result);
        let last = "safe to power off: no, because 1 process runs here; 3.17 stays\n";
        assert!(
            text.contains("\n  3.17 nc -l: it has a socket\n") && text.ends_with(last),
            "{text}"
        );
    }

    #[test]
    fn encryption_is_told_in_one_line() {
        let peer = |handshake: &str| TunnelPeerRow {
            handshake: handshake.into(),
            ..TunnelPeerRow::default()
        };
        let row = |mode: &str| EncryptionRow { mode: mode.into(), ..EncryptionRow::default() };
        let sealed = EncryptionRow {
            peers: vec![peer("fresh"), peer("never"), peer("stale"), peer("fresh")],
            ..row("wireguard")
        };
        assert_eq!(
            encryption(&sealed),
            "encryption: wireguard (2 of 4 peers with a handshake in the last 3 minutes)\n"
        );
        assert_eq!(encryption(&row("none")), "encryption: none (plain, chosen in nodes.toml)\n");
        let problem = Some(Reason { name: "no-wireguard".into(), text: "no module".into() });
        let broken = EncryptionRow { problem, chosen: "wireguard".into(), ..row("not-up") };
        assert_eq!(encryption(&broken), "encryption: NOT UP (wireguard chosen): no module\n");
        assert_eq!(encryption(&row("")), "encryption: unknown\n");
    }

    #[test]
    fn events_are_one_line_each() {
        let row = EventRow {
            time: "T".into(),
            kind: "migrate-done".into(),
            node: "node1".into(),
            process: Some(ProcessId { job: 3, pid: 17 }),
            job: Some(3),
            from: Some("node1".into()),
            to: Some("node2".into()),
            reason: None,
            freeze_us: Some(1250),
            total_us: Some(99_900),
            seq: 1,
        };
        assert_eq!(
            events(&[row]),
            "T  node1    migrate-done    3.17 node1 -> node2 stopped 1.2 ms total 99.9 ms\n"
        );
    }
}
