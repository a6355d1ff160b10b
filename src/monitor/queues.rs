//! `/ipqueuesz` (spec 04 §3.11): what waits for the threads of the server.

use crate::server::Server;
use serde::Serialize;
use std::collections::BTreeMap;

/// A queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Queue {
    pending: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_progress: Option<usize>,
}

/// Queues of the reference that nothing ever waits in here: one thread does what four have it for.
const EMPTY: [&str; 3] = ["SendQ", "System recvQ Pings", "delayed API responses"];

/// The queues whose name contains `filter`, and of those the ones that are not empty, unless all
/// are asked for. A request by message is in the queue of requests itself.
pub fn queues(
    server: &Server,
    all: bool,
    filter: &str,
    asked_by_message: bool,
) -> BTreeMap<&'static str, Queue> {
    let mut queues = BTreeMap::new();
    if let Some(system) = server.system() {
        // Events are the thread's send queue.
        let events = Queue { pending: system.waiting(), in_progress: None };
        queues.insert("System sendQ", events);
        let requests = Queue { pending: 0, in_progress: asked_by_message.then_some(1) };
        queues.insert("System recvQ", requests);
        queues.extend(EMPTY.map(|name| (name, Queue::default())));
    }
    queues.retain(|name, queue| {
        name.contains(filter) && (all || queue.pending > 0 || queue.in_progress.is_some())
    });
    queues
}
