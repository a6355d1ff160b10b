//! The block about the server in what the desk sends (spec 04).

use crate::monitor::format::Time;
use crate::server::Server;
use serde::Serialize;
use std::time::SystemTime;

/// The server, the number of the message, and the time.
#[derive(Serialize)]
pub struct ServerPart {
    name: String,
    host: String,
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cluster: String,
    ver: &'static str,
    jetstream: bool,
    flags: u64,
    seq: u64,
    time: Time,
}

impl ServerPart {
    /// For message number `seq`.
    pub fn stamp(server: &Server, seq: u64) -> ServerPart {
        let info = server.info();
        ServerPart {
            name: info.server_name.clone(),
            host: info.host.clone(),
            id: info.server_id.clone(),
            cluster: info.cluster.clone(),
            ver: info.version,
            jetstream: server.options().jetstream.enabled,
            flags: 0,
            seq,
            time: Time::utc(SystemTime::now()),
        }
    }
}
