//! The ports file ("spec 02, 8.3"): where the server can be reached, for those who let it choose
//! its ports. It is written once all the listeners it names are up and removed on shutdown.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::errno::PathError;
use crate::advertise::join_host_port;

/// URLs by service; services that are not configured are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ports {
    /// Client connections: `nats` or `tls`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nats: Vec<String>,
    /// Monitoring: `http` or `https`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub monitoring: Vec<String>,
    /// Routes: `nats` or `tls`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cluster: Vec<String>,
    /// Profiling: `http`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profile: Vec<String>,
    /// WebSocket clients: `ws` or `wss`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub websocket: Vec<String>,
}

/// The URLs of a listener: one, or one per interface address when it listens on all of them.
pub fn urls(scheme: &str, listener: SocketAddr, interfaces: &[IpAddr]) -> Vec<String> {
    let own = [listener.ip()];
    let addresses = if listener.ip().is_unspecified() { interfaces } else { &own };
    let url = |ip: &IpAddr| {
        let host = ip.to_canonical().to_string();
        format!("{scheme}://{}", join_host_port(&host, listener.port()))
    };
    addresses.iter().map(url).collect()
}

/// The file's path: named after the command, so that several servers can share a directory.
pub fn path(directory: &Path, argv0: &str, pid: u32) -> PathBuf {
    let name = Path::new(argv0).file_name().map_or("nats-server".into(), |n| n.to_string_lossy());
    directory.join(format!("{name}_{pid}.ports"))
}

/// Writes the file with the permissions the umask leaves.
///
/// # Errors
/// When it cannot be written; logged as `Error writing ports file (<path>): <error>`.
pub fn write(path: &Path, ports: &Ports) -> Result<(), PathError> {
    let failed = |operation| move |error| PathError { operation, path: path.into(), error };
    let json = crate::json::to_vec(ports).map_err(|error| failed("write")(error.into()))?;
    fs::write(path, json).map_err(failed("open"))
}

/// Removes the file.
///
/// # Errors
/// When it cannot be removed; logged as `Error cleaning up ports file <path>: <error>`.
pub fn remove(path: &Path) -> Result<(), PathError> {
    fs::remove_file(path).map_err(|error| PathError {
        operation: "remove",
        path: path.into(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_wildcard_listener_expands_to_every_interface_address() {
        let interfaces =
            ["127.0.0.1", "10.0.0.7", "::1", "fe80::1"].map(|ip| ip.parse().expect("an address"));
        let expected = [
            "nats://127.0.0.1:4222",
            "nats://10.0.0.7:4222",
            "nats://[::1]:4222",
            "nats://[fe80::1]:4222",
        ];
        assert_eq!(urls("nats", address("0.0.0.0:4222"), &interfaces), expected);
        assert_eq!(urls("nats", address("[::]:4222"), &interfaces), expected);
        assert_eq!(
            urls("wss", address("[::ffff:10.0.0.7]:443"), &interfaces),
            ["wss://10.0.0.7:443"]
        );
    }

    #[test]
    fn file_is_written_as_json_and_removed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = path(dir.path(), "/usr/sbin/nats-server", 42);
        assert_eq!(path, dir.path().join("nats-server_42.ports"));
        let ports = Ports {
            nats: urls("nats", address("127.0.0.1:4222"), &[]),
            monitoring: urls("http", address("127.0.0.1:8222"), &[]),
            cluster: urls("tls", address("127.0.0.1:6222"), &[]),
            profile: urls("http", address("127.0.0.1:6060"), &[]),
            websocket: urls("wss", address("[::1]:443"), &[]),
        };
        write(&path, &ports).expect("written");
        let text = fs::read_to_string(&path).expect("read");
        assert_eq!(
            text,
            r#"{"nats":["nats://127.0.0.1:4222"],"monitoring":["http://127.0.0.1:8222"],"cluster":["tls://127.0.0.1:6222"],"profile":["http://127.0.0.1:6060"],"websocket":["wss://[::1]:443"]}"#
        );
        remove(&path).expect("removed");
        assert!(!path.exists());
        let error = remove(&path).expect_err("already gone");
        let expected = format!("remove {}: no such file or directory", path.display());
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn services_that_are_absent_are_left_out() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = path(dir.path(), "nats-server", 1);
        let nats = urls("nats", address("127.0.0.1:4222"), &[]);
        write(&path, &Ports { nats, ..Ports::default() }).expect("written");
        let text = fs::read_to_string(&path).expect("read");
        assert_eq!(text, r#"{"nats":["nats://127.0.0.1:4222"]}"#);
    }
}
