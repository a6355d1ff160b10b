//! How the process was started: what a reload needs to know again, and the ports file.

use super::Server;
use crate::process::errno::PathError;
use crate::process::host;
use crate::process::ports_file::{self, Ports};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// How the process was started.
pub struct Launch {
    /// The arguments after the program's name.
    pub arguments: Vec<String>,
    /// The program's name.
    pub argv0: String,
    /// The ports file that is there.
    ports_file: Mutex<Option<PathBuf>>,
}

impl Launch {
    /// A process started like that.
    pub fn new(arguments: Vec<String>, argv0: String) -> Launch {
        Launch { arguments, argv0, ports_file: Mutex::new(None) }
    }
}

impl Server {
    /// Writes the ports file, if the options ask for one (spec 02 §8.3).
    pub fn write_ports_file(&self) {
        let options = self.options();
        let Some(launch) = self.launch() else { return };
        if options.ports_file_dir.is_empty() {
            return;
        }
        let directory = Path::new(&options.ports_file_dir);
        match self.write_ports_to(directory, launch) {
            Ok(path) => *launch.ports_file.lock() = Some(path),
            Err(e) => {
                let path = e.path.display();
                self.log.errorf(format_args!("Error writing ports file ({path}): {e}"));
            }
        }
    }

    fn write_ports_to(&self, directory: &Path, launch: &Launch) -> Result<PathBuf, PathError> {
        let interfaces = host::interface_addresses();
        let urls = |scheme: &str, address: Option<SocketAddr>| {
            address.map(|a| ports_file::urls(scheme, a, &interfaces)).unwrap_or_default()
        };
        let nats = if self.info().tls_required { "tls" } else { "nats" };
        let monitoring = if self.options().https_port.is_set() { "https" } else { "http" };
        let ports = Ports {
            nats: urls(nats, self.address()),
            monitoring: urls(monitoring, self.monitor_address()),
            profile: urls("http", self.profiling_address()),
            ..Ports::default()
        };
        let path = ports_file::path(directory, &launch.argv0, std::process::id());
        ports_file::write(&path, &ports)?;
        Ok(path)
    }

    /// Removes the ports file, if there is one.
    pub fn remove_ports_file(&self) {
        let Some(path) = self.launch().and_then(|launch| launch.ports_file.lock().take()) else {
            return;
        };
        if let Err(e) = ports_file::remove(&path) {
            let path = path.display();
            self.log.errorf(format_args!("Error cleaning up ports file {path}: {e}"));
        }
    }
}
