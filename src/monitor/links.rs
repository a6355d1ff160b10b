//! `/routez`, `/gatewayz` and `/leafz` (spec 04 §3.3 to §3.5): the connections to other servers.
//!
//! This server has no such connections yet, so the lists are empty, as they are on a reference
//! server without a cluster, gateways and leafnodes.

use super::format::Time;
use crate::config::options::auth::SubjectPermission;
use crate::server::Server;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// What may cross a route.
#[derive(Clone, Debug, Serialize)]
pub struct Permission {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allow: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deny: Vec<String>,
}

impl From<&SubjectPermission> for Permission {
    fn from(p: &SubjectPermission) -> Permission {
        Permission { allow: p.allow.clone().unwrap_or_default(), deny: p.deny.clone() }
    }
}

/// A connection in one of the lists. There is none: see the module.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum NoConnection {}

/// The document at `/routez`.
#[derive(Clone, Debug, Serialize)]
pub struct Routez {
    server_id: String,
    server_name: String,
    now: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    import: Option<Permission>,
    #[serde(skip_serializing_if = "Option::is_none")]
    export: Option<Permission>,
    num_routes: usize,
    routes: Vec<NoConnection>,
}

/// Takes the snapshot for `/routez`.
pub fn routez(server: &Server) -> Routez {
    let info = server.info();
    let options = server.options();
    let permissions = options.cluster.permissions.as_ref();
    Routez {
        server_id: info.server_id.clone(),
        server_name: info.server_name.clone(),
        now: Time::utc(SystemTime::now()),
        import: permissions.and_then(|p| p.import.as_ref()).map(Permission::from),
        export: permissions.and_then(|p| p.export.as_ref()).map(Permission::from),
        num_routes: 0,
        routes: Vec::new(),
    }
}

/// The document at `/gatewayz`, without gateways.
#[derive(Clone, Debug, Serialize)]
pub struct Gatewayz {
    server_id: String,
    now: Time,
    outbound_gateways: BTreeMap<String, NoConnection>,
    inbound_gateways: BTreeMap<String, Vec<NoConnection>>,
}

/// Takes the snapshot for `/gatewayz`.
pub fn gatewayz(server: &Server) -> Gatewayz {
    Gatewayz {
        server_id: server.info().server_id.clone(),
        now: Time::utc(SystemTime::now()),
        outbound_gateways: BTreeMap::new(),
        inbound_gateways: BTreeMap::new(),
    }
}

/// The document at `/leafz`.
#[derive(Clone, Debug, Serialize)]
pub struct Leafz {
    server_id: String,
    now: Time,
    leafnodes: usize,
    leafs: Vec<NoConnection>,
}

/// Takes the snapshot for `/leafz`.
pub fn leafz(server: &Server) -> Leafz {
    Leafz {
        server_id: server.info().server_id.clone(),
        now: Time::utc(SystemTime::now()),
        leafnodes: 0,
        leafs: Vec::new(),
    }
}
