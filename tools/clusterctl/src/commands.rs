//! What each command does.

use crate::args::{Args, Command, DrainArgs, Format, JobCommand, MemCommand, NodeCommand};
use crate::{client, memory, output, run};
use holon_api::request::{Reply, Request};
use holon_api::rows::{EventRow, JobRow, List, ProcessRow};
use holon_api::{ApiError, Code};
use std::io::IsTerminal;

/// Executes the command; its exit status.
pub(crate) fn execute(args: &Args) -> Result<u8, ApiError> {
    match &args.command {
        Command::Run(run_args) => return run::run(args, run_args),
        Command::Drain(drain_args) => return drain(args, drain_args),
        Command::Ps { watch: true } => return watch_processes(args),
        Command::Events { watch } => return events(args, *watch),
        Command::Status => match client::ask(args, &Request::Status)? {
            Reply::Status(status) if args.output == Format::Json => output::json(&status)?,
            Reply::Status(status) => output::print(&output::status(&status))?,
            other => return Err(odd(&other)),
        },
        Command::Ps { watch: false } => output::list(args, &processes(args)?, output::processes)?,
        Command::Node(NodeCommand::List) => match client::ask(args, &Request::NodeList)? {
            Reply::Nodes(list) => output::list(args, &list, output::nodes)?,
            other => return Err(odd(&other)),
        },
        Command::Mem(MemCommand::Status) => match client::ask(args, &Request::Memory)? {
            Reply::Memory(list) => output::list(args, &list, memory::status)?,
            other => return Err(odd(&other)),
        },
        Command::Blast { node } => {
            match client::ask(args, &Request::Blast { node: node.clone() })? {
                Reply::Blast(it) if args.output == Format::Json => output::json(&it)?,
                Reply::Blast(it) => output::print(&memory::blast(&it))?,
                other => return Err(odd(&other)),
            }
        }
        Command::Job(command) => job(args, command)?,
        Command::Migrate { process, to } => {
            let request = Request::Migrate { process: *process, to: to.clone() };
            match client::ask(args, &request)? {
                Reply::Moved(moved) if args.output == Format::Json => output::json(&moved)?,
                Reply::Moved(moved) => output::print(&format!(
                    "{} moved from {} to {}: stopped {}, {} in all\n",
                    moved.process,
                    moved.from,
                    moved.to,
                    output::ms(moved.freeze_us),
                    output::ms(moved.total_us)
                ))?,
                other => return Err(odd(&other)),
            }
        }
        Command::Explain { process } => {
            match client::ask(args, &Request::Explain { process: *process })? {
                Reply::Explained(it) if args.output == Format::Json => output::json(&it)?,
                Reply::Explained(it) => output::print(&output::explanation(&it))?,
                other => return Err(odd(&other)),
            }
        }
        Command::Undrain { node } => {
            done(args, client::ask(args, &Request::Undrain { node: node.clone() })?)?;
        }
        Command::Version => version(args)?,
    }
    Ok(0)
}

fn odd(reply: &Reply) -> ApiError {
    let why = format!("{reply:?} came for an answer");
    ApiError::new(Code::NotReady, "holond answers something else", why)
        .fix("clusterctl and holond must be of the same version")
}

fn done(args: &Args, reply: Reply) -> Result<(), ApiError> {
    match reply {
        Reply::Done { note } if args.output == Format::Json => {
            output::json(&serde_json::json!({ "done": true, "note": note }))
        }
        Reply::Done { note } => output::print(&(note + "\n")),
        other => Err(odd(&other)),
    }
}

fn processes(args: &Args) -> Result<List<ProcessRow>, ApiError> {
    match client::ask(args, &Request::Ps)? {
        Reply::Processes(list) => Ok(list),
        other => Err(odd(&other)),
    }
}

fn jobs(args: &Args, all: bool) -> Result<List<JobRow>, ApiError> {
    match client::ask(args, &Request::JobList { all })? {
        Reply::Jobs(list) => Ok(list),
        other => Err(odd(&other)),
    }
}

fn job(args: &Args, command: &JobCommand) -> Result<(), ApiError> {
    match command {
        JobCommand::List { all } => output::list(args, &jobs(args, *all)?, output::jobs),
        JobCommand::Show { job } => show_job(args, *job),
        JobCommand::Kill { job, signal } => {
            let request = Request::JobKill { job: *job, signal: *signal };
            done(args, client::ask(args, &request)?)
        }
    }
}

fn show_job(args: &Args, job: u32) -> Result<(), ApiError> {
    let list = jobs(args, true)?;
    let Some(row) = list.items.iter().find(|row| row.job == job) else {
        let what = format!("can't show job {job}");
        return Err(ApiError::new(Code::NotFound, what, "no such job")
            .fix("see `clusterctl job list --all`"));
    };
    if args.output == Format::Json {
        return output::json(row);
    }
    let mut rows = processes(args)?.items;
    rows.retain(|process| process.job == job);
    output::print(&output::job(row, &rows))
}

fn events(args: &Args, watch: bool) -> Result<u8, ApiError> {
    let connection = client::connect(args)?;
    client::send(&connection, &Request::Events { follow: watch }, &[])?;
    loop {
        let list: List<EventRow> = match client::receive(&connection)?.0 {
            Reply::Events(list) => list,
            other => return Err(odd(&other)),
        };
        match (args.output, watch) {
            (Format::Json, true) => list.items.iter().try_for_each(output::json)?,
            (Format::Json, false) => output::json(&list)?,
            (Format::Table, _) => output::print(&output::events(&list.items))?,
        }
        if !watch {
            return Ok(0);
        }
    }
}

/// Looks once a second, and lists again what has changed; on a terminal each time.
fn watch_processes(args: &Args) -> Result<u8, ApiError> {
    let clear = if std::io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
    let mut shown: Option<Vec<ProcessRow>> = None;
    loop {
        let list = processes(args)?;
        let is_new = shown.as_ref() != Some(&list.items);
        match args.output {
            Format::Json if is_new => output::json(&list)?,
            Format::Table if is_new || !clear.is_empty() => {
                output::print(&format!("{clear}{}", output::processes(&list.items)))?;
            }
            Format::Json | Format::Table => {}
        }
        shown = Some(list.items);
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

fn drain(args: &Args, drain: &DrainArgs) -> Result<u8, ApiError> {
    let connection = client::connect(args)?;
    let request = Request::Drain {
        node: drain.node.clone(),
        reason: drain.reason.clone(),
        dry_run: drain.dry_run,
        timeout_ms: drain.timeout,
    };
    client::send(&connection, &request, &[])?;
    loop {
        match client::receive(&connection)?.0 {
            Reply::Plan { lines } => eprintln!("{}", lines.join("\n")),
            Reply::Progress { line } => eprintln!("{line}"),
            Reply::Drained(result) => {
                match args.output {
                    Format::Json => output::json(&result)?,
                    Format::Table => output::print(&output::drained(&result))?,
                }
                return Ok(if result.safe { 0 } else { Code::Partial.status() });
            }
            reply => {
                done(args, reply)?;
                return Ok(0);
            }
        }
    }
}

fn version(args: &Args) -> Result<(), ApiError> {
    let tool = env!("CARGO_PKG_VERSION");
    let (daemon, module) = match client::ask(args, &Request::Version) {
        Ok(Reply::Version { daemon, module }) => (daemon, module),
        Ok(other) => return Err(odd(&other)),
        Err(error) => {
            output::error(args, &error);
            (String::new(), String::new())
        }
    };
    let shown = |text: &str| {
        if text.is_empty() {
            "not there".to_owned()
        } else {
            text.to_owned()
        }
    };
    match args.output {
        Format::Json => output::json(&serde_json::json!({
            "apiVersion": holon_api::API_VERSION,
            "kind": "Version",
            "clusterctl": tool,
            "holond": daemon,
            "module": module,
        })),
        Format::Table => output::print(&format!(
            "clusterctl {tool}\nholond {}\nmodule {}\n",
            shown(&daemon),
            shown(&module)
        )),
    }
}
