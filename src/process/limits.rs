//! Limits of the process and the size of the machine.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The open-files limit after [`raise_open_files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// How many descriptors the process may hold.
    pub soft: u64,
    /// How far an unprivileged process may raise that.
    pub hard: u64,
}

/// Raises the soft limit on open files to the hard one.
///
/// # Errors
/// When the limit cannot be read or set, as in some sandboxes; the server then goes on with the
/// limit it has.
pub fn raise_open_files() -> io::Result<OpenFiles> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(OpenFiles { soft: hard, hard })
}

/// The machine's memory in bytes; 0 when unknown.
///
/// Asked of the kernel directly, since `/proc/meminfo` is hidden from hardened services.
pub fn total_memory_bytes() -> u64 {
    nix::sys::sysinfo::sysinfo().map_or(0, |info| info.ram_total())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_are_raised_to_the_hard_limit() {
        let limit = raise_open_files().expect("raising to the hard limit is always allowed");
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("read");
        assert_eq!((soft, hard), (limit.soft, limit.hard));
        assert_eq!(soft, hard);
    }

    #[test]
    fn the_machine_has_memory() {
        assert!(total_memory_bytes() > 1 << 20);
    }
}
