//! What a drain will do with each process, and how that and the outcome read.

use crate::nodes::{self, NodeInfo};
use holon_api::rows::{Left, ProcessRow, Stays};
use holon_api::ProcessId;

/// What is to become of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes to this slot.
    Moves(u32),
    /// It stays, because.
    Stays(String),
}

/// One process of the node.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// It.
    pub(crate) row: ProcessRow,
    /// What is to become of it.
    pub(crate) fate: Fate,
}

/// A node that processes can go to.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// Its slot.
    pub(crate) slot: u32,
    /// How it is doing.
    pub(crate) info: NodeInfo,
}

/// Decides for each process: back where its relatives are, else where there is most room.
pub(crate) fn make(
    rows: Vec<(ProcessRow, Option<String>)>,
    drained: u32,
    candidates: &[Candidate],
) -> Vec<Item> {
    let mut room: Vec<(u32, NodeInfo, u32)> =
        candidates.iter().map(|c| (c.slot, c.info.clone(), 0)).collect();
    let mut items = Vec::new();
    for (row, obstacle) in rows {
        let fate = match obstacle {
            Some(reason) => Fate::Stays(reason),
            None => choose(row.id, row.local_bytes + row.remote_bytes, drained, &mut room),
        };
        items.push(Item { row, fate });
    }
    items
}

fn choose(id: ProcessId, bytes: u64, drained: u32, room: &mut [(u32, NodeInfo, u32)]) -> Fate {
    let origin = id.origin_slot();
    let fits = |c: &(u32, NodeInfo, u32)| c.0 == origin && c.1.mem_free > bytes;
    let back = origin != drained && room.iter().any(fits);
    let chosen = if back { Some(origin) } else { nodes::best(room, bytes) };
    let Some(slot) = chosen else {
        let why = if room.is_empty() { "no other node is up" } else { "no node has the memory" };
        return Fate::Stays(why.into());
    };
    if let Some(target) = room.iter_mut().find(|c| c.0 == slot) {
        target.2 += 1;
        target.1.mem_free = target.1.mem_free.saturating_sub(bytes);
    }
    Fate::Moves(slot)
}

/// The plan for people.
pub(crate) fn lines(
    node: &str,
    reason: &str,
    items: &[Item],
    left: &Left,
    name: &dyn Fn(u32) -> String,
) -> Vec<String> {
    let mut out = vec![format!("Plan for {node} (reason: \"{reason}\")")];
    let moving: Vec<&Item> = items.iter().filter(|i| matches!(i.fate, Fate::Moves(_))).collect();
    let bytes: u64 = moving.iter().map(|i| i.row.local_bytes + i.row.remote_bytes).sum();
    out.push(format!("  processes that run here     {:>4}", items.len()));
    out.push(format!("  of these will move          {:>4}   {} MiB", moving.len(), bytes >> 20));
    for item in items {
        let row = &item.row;
        let fate = match &item.fate {
            Fate::Moves(slot) => format!("-> {}", name(*slot)),
            Fate::Stays(reason) => format!("cannot move: {reason}"),
        };
        out.push(format!("     {} {}  {fate}", row.id, short(&row.command)));
    }
    if left.jobs > 0 {
        out.push(format!("  jobs whose home is here     {:>4}   their home stays", left.jobs));
    }
    if left.spaces > 0 {
        out.push(format!(
            "  memories kept for others    {:>4}   their owners fetch them",
            left.spaces
        ));
    }
    if left.lodgers > 0 {
        let mib = left.lodgers.div_ceil(256);
        out.push(format!("  memory lent to others       {mib:>4} MiB   its owners take it away"));
    }
    out
}

/// A command short enough for a line.
pub(crate) fn short(command: &str) -> String {
    const LEN_MAX: usize = 40;
    if command.chars().count() <= LEN_MAX {
        return command.to_owned();
    }
    let begin: String = command.chars().take(LEN_MAX - 1).collect();
    format!("{begin}…")
}

/// Why a node may not be switched off; none if it may. `fenced` are jobs on other nodes that would
/// end because these would have no quorum.
pub(crate) fn obstacles(left: &Left, stays: &[Stays], fenced: u32) -> Vec<String> {
    let mut out = Vec::new();
    let mut say = |count: u32, one: &str, many: &str| {
        if count > 0 {
            out.push(format!("{count} {}", if count == 1 { one } else { many }));
        }
    };
    say(left.jobs, "job has its home here", "jobs have their home here");
    say(left.running, "process runs here", "processes run here");
    say(
        left.surrogates,
        "surrogate here stands for a process elsewhere",
        "surrogates here stand for processes elsewhere",
    );
    say(
        left.spaces,
        "memory here is not yet fetched by its process",
        "memories here are not yet fetched by their processes",
    );
    say(
        left.files,
        "open file here is used from elsewhere",
        "open files here are used from elsewhere",
    );
    say(left.attempts, "move is under way", "moves are under way");
    say(
        left.clients,
        "client here waits for a job elsewhere",
        "clients here wait for jobs elsewhere",
    );
    let lodgers = u32::try_from(left.lodgers).unwrap_or(u32::MAX);
    say(lodgers, "page of another node lodges here", "pages of other nodes lodge here");
    say(
        fenced,
        "restartable job elsewhere would end: the rest would have no quorum",
        "restartable jobs elsewhere would end: the rest would have no quorum",
    );
    for item in stays {
        out.push(format!("{} stays: {}", item.process, item.reason));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pid: u32, bytes: u64) -> ProcessRow {
        ProcessRow {
            id: ProcessId { job: 3, pid },
            job: 3,
            pid,
            user: "root".into(),
            home: "node1".into(),
            node: "node2".into(),
            state: "running".into(),
            local_bytes: bytes,
            remote_bytes: 0,
            command: "counter out".into(),
        }
    }

    fn candidate(slot: u32, cpus: u32, mem_free: u64) -> Candidate {
        Candidate { slot, info: NodeInfo { cpus, mem_free, ..NodeInfo::default() } }
    }

    #[test]
    fn guests_go_home_others_spread() {
        let rows = vec![
            (row(2, 10), None),
            (row(65_536, 10), None),
            (row(65_537, 10), None),
            (row(65_538, 10), Some("it has 3 threads".into())),
        ];
        let nodes = [candidate(0, 1, 100), candidate(2, 1, 100)];
        let fates: Vec<Fate> = make(rows, 1, &nodes).into_iter().map(|i| i.fate).collect();
        assert_eq!(
            fates,
            [
                Fate::Moves(0),
                Fate::Moves(2),
                Fate::Moves(0),
                Fate::Stays("it has 3 threads".into())
            ]
        );
    }

    #[test]
    fn nowhere_to_go_is_said() {
        let stays = |items: Vec<Item>| match &items[0].fate {
            Fate::Stays(why) => why.clone(),
            Fate::Moves(slot) => format!("moves to {slot}"),
        };
        assert_eq!(stays(make(vec![(row(2, 10), None)], 0, &[])), "no other node is up");
        let small = [candidate(1, 1, 5)];
        assert_eq!(stays(make(vec![(row(2, 10), None)], 0, &small)), "no node has the memory");
    }

    #[test]
    fn memory_that_was_promised_is_gone() {
        let nodes = [candidate(2, 8, 15), candidate(3, 1, 100)];
        let rows = vec![(row(65_536, 10), None), (row(65_537, 10), None)];
        let fates: Vec<Fate> = make(rows, 1, &nodes).into_iter().map(|i| i.fate).collect();
        assert_eq!(fates[1], Fate::Moves(3));
    }

    #[test]
    fn the_plan_reads_well() {
        let items = make(
            vec![(row(2, 5 << 20), None), (row(3, 0), Some("it has a socket (socket)".into()))],
            1,
            &[candidate(0, 1, 1 << 30)],
        );
        let left = Left { jobs: 1, ..Left::default() };
        let text = lines("node2", "fan", &items, &left, &|slot| format!("node{}", slot + 1));
        assert_eq!(
            text,
            [
                "Plan for node2 (reason: \"fan\")",
                "  processes that run here        2",
                "  of these will move             1   5 MiB",
                "     3.2 counter out  -> node1",
                "     3.3 counter out  cannot move: it has a socket (socket)",
                "  jobs whose home is here        1   their home stays",
            ]
        );
    }

    #[test]
    fn safe_only_if_nothing_is_left() {
        assert!(obstacles(&Left::default(), &[], 0).is_empty());
        let left = Left { jobs: 1, surrogates: 2, ..Left::default() };
        assert_eq!(
            obstacles(&left, &[], 0),
            ["1 job has its home here", "2 surrogates here stand for processes elsewhere"]
        );
        let left = Left { lodgers: 7, ..Left::default() };
        assert_eq!(obstacles(&left, &[], 0), ["7 pages of other nodes lodge here"]);
        assert_eq!(
            obstacles(&Left::default(), &[], 1),
            ["1 restartable job elsewhere would end: the rest would have no quorum"]
        );
    }
}
