//! A drain, as the client's daemon carries it out.
//!
//! Nothing of it is kept but the cordon: a drain that was broken off is begun again by the same
//! command and goes on with what is left.

use super::plan::{self, Candidate, Fate, Item};
use crate::client::unexpected;
use crate::jobs::lost::others_may_decide;
use crate::jobs::record::JobRecord;
use crate::node::{Node, ACTION_TIME, ANSWER_TIME};
use crate::peer::message::{PeerReply, PeerRequest};
use holon_api::frame::Connection;
use holon_api::request::{Reply, Restart};
use holon_api::rows::{DrainResult, EventRow, Left, ProcessRow, Stays};
use holon_api::{ApiError, Code, API_VERSION};
use std::sync::Arc;
use std::time::{Duration, Instant};

const MOVE_TIME: Duration = Duration::from_secs(90);
/// How often what is left is counted while memories are being fetched.
const LOOK_TIME: Duration = Duration::from_millis(250);
/// Pages that lodge there, fewer than which are no news.
const LODGERS_STEP: u64 = 4096;
/// Times that newly found processes are moved too.
const ROUNDS_MAX: u32 = 5;

struct Drain<'a> {
    node: &'a Arc<Node>,
    connection: &'a Connection,
    name: &'a str,
    slot: u32,
    end: Instant,
    moved: u32,
    stays: Vec<Stays>,
}

/// Drains a node and tells the client how it goes.
pub(crate) fn serve(
    node: &Arc<Node>,
    connection: &Arc<Connection>,
    name: &str,
    reason: &str,
    dry_run: bool,
    time: Duration,
) -> Result<(), ApiError> {
    let what = format!("can't drain {name}");
    let slot = find(node, name, &what)?;
    if !node.is_up(slot) {
        return Err(ApiError::new(Code::Refused, what, "it is down: nothing can be moved off it"));
    }
    let begin = Instant::now();
    if !dry_run {
        cordon(node, slot, Some(reason.to_owned()));
    }
    let (moved, stays) = (0, Vec::new());
    let end = begin + time;
    let mut drain = Drain { node, connection, name, slot, end, moved, stays };
    let items = drain.plan()?;
    let left = drain.left()?;
    let lines = plan::lines(name, reason, &items, &left, &|slot| node.config.name(slot));
    drain.say(&Reply::Plan { lines })?;
    if dry_run {
        return drain.say(&Reply::Done { note: "nothing was changed (--dry-run)".into() });
    }
    note(node, "drain-start", name, Some(reason.into()));
    drain.move_off(items)?;
    let left = drain.wait_for_fetches()?;
    let because = plan::obstacles(&left, &drain.stays, fenced_without(node, slot));
    let safe = because.is_empty();
    note(node, "drain-done", name, (!safe).then(|| because.join("; ")));
    let result = DrainResult {
        api_version: API_VERSION.into(),
        kind: "DrainResult".into(),
        node: name.into(),
        moved: drain.moved,
        stays: drain.stays.clone(),
        left,
        safe,
        because,
        seconds: begin.elapsed().as_secs_f64(),
    };
    drain.say(&Reply::Drained(Box::new(result)))
}

/// Restartable jobs on other nodes that these would end if this one were switched off.
fn fenced_without(node: &Node, slot: u32) -> u32 {
    let up = node.all_up().len().saturating_sub(1);
    let state = node.state();
    if !others_may_decide(node.config.nodes.len(), up, state.left.len()) {
        return 0;
    }
    let would_end = |r: &&JobRecord| {
        let is_up = r.home == node.own() || state.up.contains(&r.home);
        r.restart == Restart::Exec && !r.state.is_over() && r.home != slot && is_up
    };
    u32::try_from(state.jobs.all().filter(would_end).count()).unwrap_or(u32::MAX)
}

/// Lets new work in again.
pub(crate) fn undrain(node: &Arc<Node>, name: &str) -> Result<Reply, ApiError> {
    let slot = find(node, name, &format!("can't undrain {name}"))?;
    let was = node.state().cordons.has(slot);
    cordon(node, slot, None);
    let note =
        if was { format!("{name} takes work again") } else { format!("{name} was not drained") };
    Ok(Reply::Done { note })
}

fn find(node: &Node, name: &str, what: &str) -> Result<u32, ApiError> {
    let found = node.config.by_name(name).map(|config| config.slot);
    found.ok_or_else(|| {
        ApiError::new(Code::NotFound, what, format!("no node is named \"{name}\""))
            .fix("see `clusterctl node list`")
    })
}

/// Makes the cordon known on all nodes.
fn cordon(node: &Arc<Node>, slot: u32, reason: Option<String>) {
    let word = node.state().cordons.next(slot, reason);
    let request = PeerRequest::Cordon { slot, word };
    for (peer, reply) in node.ask_each(&node.all_up(), &request, ANSWER_TIME) {
        if let Err(error) = reply {
            log::warn!("{} was not told of the cordon: {error}", node.config.name(peer));
        }
    }
}

fn note(node: &Node, kind: &str, from: &str, reason: Option<String>) {
    let from = Some(from.to_owned());
    node.note(EventRow { kind: kind.into(), from, reason, ..EventRow::default() });
}

impl Drain<'_> {
    fn say(&self, reply: &Reply) -> Result<(), ApiError> {
        self.connection.send(reply).map_err(|_| {
            // Nobody listens: stop moving. The cordon stays, as the client was told.
            ApiError::new(Code::Cancelled, "the drain was broken off", "the client is gone")
        })
    }

    fn progress(&self, line: String) -> Result<(), ApiError> {
        self.say(&Reply::Progress { line })
    }

    fn rows(&self) -> Result<Vec<ProcessRow>, ApiError> {
        match self.node.ask(self.slot, PeerRequest::Rows, &[], ANSWER_TIME) {
            Ok(PeerReply::Rows { rows }) => Ok(rows),
            other => Err(unexpected(self.node, self.slot, "can't list its processes", other)),
        }
    }

    fn left(&self) -> Result<Left, ApiError> {
        match self.node.ask(self.slot, PeerRequest::Left, &[], ANSWER_TIME) {
            Ok(PeerReply::Left(left)) => Ok(left),
            other => Err(unexpected(self.node, self.slot, "can't count what is left", other)),
        }
    }

    fn obstacle(&self, row: &ProcessRow) -> Option<String> {
        if row.state == "zombie" {
            return Some("it has ended, its parent has not taken its status".into());
        }
        let request = PeerRequest::Explain { process: row.id };
        match self.node.ask(self.slot, request, &[], ANSWER_TIME) {
            Ok(PeerReply::Explained(explanation)) if explanation.movable => None,
            Ok(PeerReply::Explained(explanation)) => {
                let texts = explanation.reasons.iter().map(|r| format!("{} ({})", r.text, r.name));
                Some(texts.collect::<Vec<_>>().join("; "))
            }
            Ok(_) => Some("its node answers nonsense".into()),
            Err(error) => Some(error.to_string()),
        }
    }

    fn candidates(&self) -> Vec<Candidate> {
        crate::gather::refresh_infos(self.node);
        let state = self.node.state();
        let fit = |slot: &u32| *slot != self.slot && !state.cordons.has(*slot);
        let infos = state.infos.iter().filter(|(slot, _)| fit(slot));
        infos.map(|(slot, info)| Candidate { slot: *slot, info: info.clone() }).collect()
    }

    fn plan(&self) -> Result<Vec<Item>, ApiError> {
        let rows = self.rows()?;
        let rows = rows.into_iter().map(|row| {
            let obstacle = self.obstacle(&row);
            (row, obstacle)
        });
        Ok(plan::make(rows.collect(), self.slot, &self.candidates()))
    }

    /// Moves what can move; again for what was forked meanwhile.
    fn move_off(&mut self, mut items: Vec<Item>) -> Result<(), ApiError> {
        for _ in 0..ROUNDS_MAX {
            self.stays.clear();
            let total = items.len();
            let mut moved_now = 0;
            for (i, item) in items.iter().enumerate() {
                if Instant::now() > self.end {
                    return self.progress("time is up".into());
                }
                match &item.fate {
                    Fate::Stays(reason) => self.stay(&item.row, reason.clone()),
                    Fate::Moves(to) => moved_now += self.move_one(item, *to, i + 1, total)?,
                }
            }
            self.moved += moved_now;
            if moved_now == 0 {
                break;
            }
            items = self.plan()?;
            if !items.iter().any(|item| matches!(item.fate, Fate::Moves(_))) {
                self.stays.clear();
                for item in &items {
                    if let Fate::Stays(reason) = &item.fate {
                        self.stay(&item.row, reason.clone());
                    }
                }
                break;
            }
        }
        Ok(())
    }

    fn stay(&mut self, row: &ProcessRow, reason: String) {
        let command = row.command.clone();
        self.stays.push(Stays { process: row.id, command, reason });
    }

    fn move_one(&mut self, item: &Item, to: u32, i: usize, total: usize) -> Result<u32, ApiError> {
        let id = item.row.id;
        let target = self.node.config.name(to);
        let command = plan::short(&item.row.command);
        self.progress(format!("[{i}/{total}] {id} {command} -> {target}"))?;
        let request = PeerRequest::Migrate { process: id, to };
        // The module goes on with a move that is under way; what is left is counted at the end.
        let left = self.end.saturating_duration_since(Instant::now()) / self.node.config.timescale;
        match self.node.ask(self.slot, request, &[], MOVE_TIME.min(left)) {
            Ok(PeerReply::Moved(moved)) => {
                let (freeze, total_ms) = (ms(moved.freeze_us), ms(moved.total_us));
                self.progress(format!(
                    "[{i}/{total}] {id} is on {target}: \
                     stopped {freeze:.1} ms, {total_ms:.0} ms in all"
                ))?;
                Ok(1)
            }
            other => {
                let mut error = unexpected(self.node, self.slot, "", other);
                if Instant::now() > self.end {
                    error.why = "time was up while it was being moved".into();
                }
                if error.code != Code::NotFound {
                    self.progress(format!("[{i}/{total}] {id} stays: {}", error.why))?;
                    self.stay(&item.row, error.why);
                }
                Ok(0)
            }
        }
    }

    /// Waits until what the node keeps for others was fetched, and clears namespaces up.
    fn wait_for_fetches(&self) -> Result<Left, ApiError> {
        let (mut told, mut lodgers) = (0, 0);
        loop {
            let left = self.left()?;
            let waiting = left.spaces + left.attempts;
            let is_left = waiting == 0 && left.lodgers == 0;
            if is_left || Instant::now() > self.end {
                let tidied = self.node.ask(self.slot, PeerRequest::Tidy, &[], ACTION_TIME);
                if let Err(error) = tidied {
                    log::warn!("{} was not tidied: {error}", self.name);
                }
                return self.left();
            }
            if waiting != told {
                told = waiting;
                self.progress(format!("waiting for {waiting} memories to be fetched"))?;
            }
            if left.lodgers / LODGERS_STEP != lodgers {
                lodgers = left.lodgers / LODGERS_STEP;
                let mib = left.lodgers >> 8;
                self.progress(format!("waiting for {mib} MiB that lodge there to be taken away"))?;
            }
            std::thread::sleep(LOOK_TIME);
        }
    }
}

fn ms(us: u64) -> f64 {
    // Far below 2^53 for any move, so exact.
    us as f64 / 1000.0
}
