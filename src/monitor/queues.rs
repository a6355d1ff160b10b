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

/// The queues whose name contains `filter`, and of those the ones that are not empty, unless all
/// are asked for.
pub fn queues(server: &Server, all: bool, filter: &str) -> BTreeMap<&'static str, Queue> {
    let mut queues = BTreeMap::new();
    if let Some(system) = server.system() {
        // What the reference has four queues for, one thread does: events are its send queue.
        let events = Queue { pending: system.waiting(), in_progress: None };
        queues.insert("System sendQ", events);
        for name in ["SendQ", "System recvQ", "System recvQ Pings"] {
            queues.insert(name, Queue::default());
        }
    }
    queues.retain(|name, queue| {
        name.contains(filter) && (all || queue.pending > 0 || queue.in_progress.is_some())
    });
    queues
}
