//! What the configuration may ask of the machine it runs on.
//!
//! Everything else in [`crate::config`] computes over values. Tests put their own files and
//! variables behind [`Environment`]; the server uses [`ProcessEnvironment`].

use super::text::system_error;
use std::fs;
use std::io;

/// Access to files and environment variables while a configuration is read.
pub trait Environment {
    /// The contents of a file.
    ///
    /// # Errors
    /// The system's error; see [`read`] for its text.
    fn read_file(&self, path: &str) -> io::Result<Vec<u8>>;

    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<Vec<u8>>;

    /// Whether the path is a directory the owner may write to; `None` if nothing is there.
    fn is_writable_directory(&self, path: &str) -> Option<bool>;

    /// Creates a directory and its parents.
    ///
    /// # Errors
    /// The system's error.
    fn create_directory(&self, path: &str) -> io::Result<()>;
}

/// The files and variables of the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn read_file(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        // Names the system does not allow would panic in the standard library.
        if name.is_empty() || name.contains(['=', '\0']) {
            return None;
        }
        Some(std::os::unix::ffi::OsStringExt::into_vec(std::env::var_os(name)?))
    }

    fn is_writable_directory(&self, path: &str) -> Option<bool> {
        let metadata = fs::metadata(path).ok()?;
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        Some(metadata.is_dir() && mode & 0o200 != 0)
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        fs::create_dir_all(path)
    }
}

/// Reads a file, with the error text operators know: `open <path>: no such file or directory`.
///
/// # Errors
/// That text.
pub fn read(environment: &dyn Environment, path: &str) -> Result<Vec<u8>, String> {
    environment.read_file(path).map_err(|error| {
        // A directory can be opened; only reading it fails.
        let action = if error.kind() == io::ErrorKind::IsADirectory { "read" } else { "open" };
        format!("{action} {path}: {}", system_error(&error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_to_read_name_action_path_and_reason() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        assert_eq!(read(&ProcessEnvironment, path), Err(format!("read {path}: is a directory")));
        let missing = format!("{path}/missing");
        assert_eq!(
            read(&ProcessEnvironment, &missing),
            Err(format!("open {missing}: no such file or directory"))
        );
        assert_eq!(ProcessEnvironment.is_writable_directory(path), Some(true));
        assert_eq!(ProcessEnvironment.is_writable_directory(&missing), None);
        ProcessEnvironment.create_directory(&format!("{missing}/deeper")).unwrap();
        assert_eq!(ProcessEnvironment.is_writable_directory(&missing), Some(true));
    }

    #[test]
    fn impossible_variable_names_are_unset() {
        for name in ["", "a=b", "a\0"] {
            assert_eq!(ProcessEnvironment.variable(name), None);
        }
    }
}
