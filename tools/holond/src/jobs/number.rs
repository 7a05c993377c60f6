//! Numbers for new jobs.

use crate::node::{Node, ANSWER_TIME};
use crate::peer::message::{PeerReply, PeerRequest};
use holon_api::{ApiError, Code};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long nodes that have just come up may take to agree to a number, at timescale 1.
pub(crate) const TIME: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);

/// A number for which more than half of all nodes have said that they know nothing against it;
/// without a quorum one of our own range.
pub(crate) fn next(node: &Arc<Node>, end: Instant) -> Result<u32, ApiError> {
    loop {
        if !node.has_quorum() {
            return Ok(node.state().jobs.next_lonely_number(node.own()));
        }
        let wanted = node.state().jobs.number_max() + 1;
        let request = PeerRequest::JobNumber { job: wanted };
        let (mut count, mut highest) = (0, 0);
        node.ask_until(&node.all_up(), &request, ANSWER_TIME, |reply| {
            if let Ok(PeerReply::JobNumber { granted, max }) = reply {
                count += usize::from(granted);
                highest = highest.max(max);
            }
            node.config.is_majority(count)
        });
        if node.config.is_majority(count) {
            return Ok(wanted);
        }
        if Instant::now() > end {
            return Err(ApiError::new(
                Code::RunFailed,
                "can't run",
                "no quorum agrees to a job number",
            )
            .fix("see `clusterctl node list`"));
        }
        node.state().jobs.note_number(highest);
        if highest <= wanted {
            // They have not heard of each other yet.
            std::thread::sleep(PAUSE);
        }
    }
}
