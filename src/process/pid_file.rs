//! The pid file ("spec 02, 8.2").
//!
//! It holds the decimal process id and no newline: readers (the configuration reloader among
//! them) parse it untrimmed. It is not removed on exit.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::errno::PathError;

/// Permissions of a new pid file, before the umask.
const PID_FILE_MODE: u32 = 0o600;

/// Writes the process id, truncating what was there.
///
/// # Errors
/// When the file cannot be opened or written; at start the server then logs the fatal line
/// `Could not write pidfile: <error>`.
pub fn write(path: &Path, pid: u32) -> Result<(), PathError> {
    let failed = |operation| move |error| PathError { operation, path: path.into(), error };
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(PID_FILE_MODE);
    let mut file = options.open(path).map_err(failed("open"))?;
    file.write_all(pid.to_string().as_bytes()).map_err(failed("write"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn holds_the_number_alone_and_replaces_a_longer_one() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("nats.pid");
        write(&path, 1_234_567).expect("written");
        write(&path, 89).expect("written");
        assert_eq!(std::fs::read(&path).expect("read"), b"89");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn failure_names_operation_and_path() {
        let error = write(Path::new("/nonexistent/nats.pid"), 1).expect_err("no such directory");
        assert_eq!(error.to_string(), "open /nonexistent/nats.pid: no such file or directory");
    }
}
