//! `events`: those of all nodes, in the order of their times.

use crate::node::{Node, ANSWER_TIME};
use crate::peer::message::{PeerReply, PeerRequest};
use holon_api::frame::Connection;
use holon_api::request::Reply;
use holon_api::rows::{EventRow, List};
use holon_api::ApiError;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How often the other nodes are asked while a client follows.
const FOLLOW_TIME: Duration = Duration::from_millis(500);

/// Sends what there is, and with `follow` what comes, until the client goes.
pub(crate) fn serve(
    node: &Arc<Node>,
    connection: &Arc<Connection>,
    follow: bool,
) -> Result<(), ApiError> {
    let mut seen = HashMap::new();
    let mut first = true;
    loop {
        let list = collect(node, &mut seen);
        if (first || !list.items.is_empty()) && connection.send(&Reply::Events(list)).is_err() {
            return Ok(());
        }
        if !follow || is_closed(connection) {
            return Ok(());
        }
        first = false;
        // Our own events wake us; the others' are fetched in this rhythm.
        let own = seen.get(&node.own()).copied().unwrap_or(0);
        node.events.wait_after(own, FOLLOW_TIME);
    }
}

/// Events of all nodes later than those seen.
fn collect(node: &Arc<Node>, seen: &mut HashMap<u32, u64>) -> List<EventRow> {
    let mut list = List::new("EventList", Vec::new());
    let threads: Vec<_> = node
        .all_up()
        .into_iter()
        .map(|slot| {
            let after_seq = seen.get(&slot).copied().unwrap_or(0);
            let node = node.clone();
            let ask = move || node.ask(slot, PeerRequest::Events { after_seq }, &[], ANSWER_TIME);
            (slot, std::thread::spawn(ask))
        })
        .collect();
    for (slot, thread) in threads {
        match thread.join() {
            Ok(Ok(PeerReply::Events { events, last_seq })) => {
                // Lower than what we had: the node has lost its log and counts anew. What it has
                // is fetched at the next look.
                let has_lost = seen.get(&slot).is_some_and(|seen| *seen > last_seq);
                seen.insert(slot, if has_lost { 0 } else { last_seq });
                list.items.extend(events);
            }
            _ => list.missing.push(node.config.name(slot)),
        }
    }
    list.items.sort_by(|a, b| (&a.time, &a.node, a.seq).cmp(&(&b.time, &b.node, b.seq)));
    list
}

fn is_closed(connection: &Connection) -> bool {
    use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
    use std::os::fd::AsFd;
    let mut fds = [PollFd::new(connection.socket().as_fd(), PollFlags::POLLIN)];
    // A follower has nothing more to say: readable means that it closed.
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(n) if n > 0)
}
