//! The rotating log file ("spec 02, 10.3").
//!
//! Owned by the logger's sink and called under its lock. Invariant: `size` is the number of
//! bytes in the open file, those found when it was opened included. A file is rotated after the
//! write that made it exceed the limit, never before, so no line is ever split.
//!
//! On purpose unlike the reference: it aborts the process when the new file cannot be opened
//! after a rotation. Here the lines go to stderr and the file is tried again at every line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::line::{Level, LineFormat};
use crate::process::errno::{PathError, error_text};
use parser::quote::quoted;

/// Permissions of a new log file, before the umask.
const LOG_FILE_MODE: u32 = 0o640;

/// An open log file.
pub trait LogFile: Send {
    /// Writes one line with one system call, where the kernel takes it whole.
    fn write_line(&mut self, line: &[u8]) -> io::Result<()>;
    /// Closes the file and reports what the kernel says about it.
    fn close(self: Box<Self>) -> io::Result<()>;
}

impl LogFile for File {
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.write_all(line)
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        nix::unistd::close(*self).map_err(io::Error::from)
    }
}

/// Opens a log file for appending and tells its present size.
pub type Opener = fn(&Path) -> io::Result<(Box<dyn LogFile>, u64)>;

/// Opens or creates the file on disk.
pub fn open_on_disk(path: &Path) -> io::Result<(Box<dyn LogFile>, u64)> {
    let file = OpenOptions::new().append(true).create(true).mode(LOG_FILE_MODE).open(path)?;
    let size = file.metadata()?.len();
    Ok((Box::new(file), size))
}

/// A log file with its size limit and its backups.
pub struct RotatingFile {
    path: PathBuf,
    opener: Opener,
    /// None after a failed rotation, until the path can be opened again.
    file: Option<Box<dyn LogFile>>,
    size: u64,
    /// What the operator asked for; 0 means no limit.
    configured_limit: u64,
    /// The limit in force: doubled while rotation fails.
    limit: u64,
    /// How many files to keep, the current one included; 0 keeps all.
    max_files: u64,
}

impl RotatingFile {
    /// Opens the file; a limit or count of 0 means none.
    ///
    /// # Errors
    /// When the file can be neither opened nor created.
    pub fn open(
        path: &Path,
        size_limit: u64,
        max_files: u64,
        opener: Opener,
    ) -> Result<Self, PathError> {
        let (file, size) = opener(path).map_err(|error| PathError {
            operation: "open",
            path: path.into(),
            error,
        })?;
        Ok(RotatingFile {
            path: path.to_path_buf(),
            opener,
            file: Some(file),
            size,
            configured_limit: size_limit,
            limit: size_limit,
            max_files,
        })
    }

    /// Whether the file found on opening is already larger than the limit.
    pub fn is_over_limit(&self) -> bool {
        self.limit > 0 && self.size > self.limit
    }

    /// Writes a line that is already complete, then rotates if it went over the limit.
    pub fn write(&mut self, line: &[u8], format: &mut LineFormat, now: SystemTime) {
        self.append(line);
        if self.is_over_limit() {
            self.rotate(format, now);
        }
    }

    fn append(&mut self, line: &[u8]) {
        if self.file.is_none()
            && let Ok((file, size)) = (self.opener)(&self.path)
        {
            self.file = Some(file);
            self.size = size;
        }
        match &mut self.file {
            // A full disk or a broken mount loses the line; there is nobody left to tell.
            Some(file) => {
                if file.write_line(line).is_ok() {
                    let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
                    self.size = self.size.saturating_add(length);
                }
            }
            None => {
                let _ = io::stderr().write_all(line);
            }
        }
    }

    fn append_own(
        &mut self,
        format: &mut LineFormat,
        level: Level,
        now: SystemTime,
        message: &str,
    ) {
        let mut line = Vec::with_capacity(128);
        format.own_line(&mut line, level, now, message);
        self.append(&line);
    }

    fn rotate(&mut self, format: &mut LineFormat, now: SystemTime) {
        let Some(file) = self.file.take() else { return };
        if let Err(error) = file.close() {
            self.postpone("close", &error, format, now);
            return;
        }
        let mut backup = self.path.clone().into_os_string();
        backup.push(".");
        backup.push(format.backup_suffix(now));
        if let Err(error) = fs::rename(&self.path, &backup) {
            self.postpone("rename", &error, format, now);
            return;
        }
        self.limit = self.configured_limit;
        let message = format!(
            "Rotated log, backup saved as {}",
            quoted(&Path::new(&backup).to_string_lossy())
        );
        self.append_own(format, Level::Notice, now, &message);
        if self.max_files > 0 {
            self.purge(format, now);
        }
    }

    /// Goes on with the same file and twice the limit, so that a rotation that cannot work does
    /// not happen at every line. The old descriptor is gone; appending opens the file again.
    fn postpone(
        &mut self,
        step: &str,
        error: &io::Error,
        format: &mut LineFormat,
        now: SystemTime,
    ) {
        self.limit = self.limit.saturating_mul(2);
        let message = format!(
            "Unable to {step} logfile for rotation ({}), will attempt next rotation at size {}",
            error_text(error),
            self.limit
        );
        self.append_own(format, Level::Error, now, &message);
    }

    /// Deletes the oldest backups until at most `max_files - 1` are left.
    fn purge(&mut self, format: &mut LineFormat, now: SystemTime) {
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let mut backups = match self.backups(&directory) {
            Ok(backups) => backups,
            Err(error) => {
                let message = format!(
                    "Unable to read directory {} for log purge ({}), will attempt next rotation",
                    quoted(&directory.to_string_lossy()),
                    PathError { operation: "open", path: directory.clone(), error }
                );
                self.append_own(format, Level::Error, now, &message);
                return;
            }
        };
        backups.sort_unstable();
        let keep = usize::try_from(self.max_files.saturating_sub(1)).unwrap_or(usize::MAX);
        let excess = backups.len().saturating_sub(keep);
        for name in backups.into_iter().take(excess) {
            let path = directory.join(&name);
            if let Err(error) = fs::remove_file(&path) {
                let message = format!(
                    "Unable to remove backup log file {} ({}), will attempt next rotation",
                    quoted(&name),
                    PathError { operation: "remove", path, error }
                );
                self.append_own(format, Level::Error, now, &message);
                return;
            }
            let message = format!("Purged log file {}", quoted(&name));
            self.append_own(format, Level::Notice, now, &message);
        }
    }

    fn backups(&self, directory: &Path) -> io::Result<Vec<String>> {
        let Some(base) = self.path.file_name().and_then(|name| name.to_str()) else {
            return Ok(Vec::new());
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let stamp = name.strip_prefix(base).and_then(|rest| rest.strip_prefix('.'));
            if stamp.is_some_and(is_backup_stamp) && !entry.file_type()?.is_dir() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }
}

/// Whether a file name's ending is a date and time a rotation could have produced.
fn is_backup_stamp(stamp: &str) -> bool {
    let mut parts = stamp.splitn(7, '.');
    let mut number = |digits: usize| -> Option<i16> {
        let part = parts.next()?;
        let well_formed = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
        if well_formed { part.parse().ok() } else { None }
    };
    let fields = [number(4), number(2), number(2), number(2), number(2), number(2)];
    let [Some(year), Some(month), Some(day), Some(hour), Some(minute), Some(second)] = fields
    else {
        return false;
    };
    let (Ok(month), Ok(day)) = (i8::try_from(month), i8::try_from(day)) else { return false };
    let on_calendar = jiff::civil::Date::new(year, month, day).is_ok();
    let fraction_ok = parts.next().is_none_or(|fraction| {
        !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit())
    });
    on_calendar && hour < 24 && minute < 60 && second < 60 && fraction_ok
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn format() -> LineFormat {
        LineFormat::new(None, false, false, false)
    }

    fn second(n: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000 + n)
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .expect("the directory is there")
            .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn existing_content_counts_towards_the_limit() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("nats.log");
        fs::write(&path, "0123456789").expect("written");
        let mut file = RotatingFile::open(&path, 14, 0, open_on_disk).expect("opened");
        file.write(b"abcd", &mut format(), second(0));
        assert_eq!(names(dir.path()), ["nats.log"], "exactly at the limit is not over it");
        file.write(b"\n", &mut format(), second(1));
        let all = names(dir.path());
        assert_eq!(all.len(), 2);
        let backup = dir.path().join(&all[1]);
        assert_eq!(fs::read_to_string(&backup).expect("read"), "0123456789abcd\n");
        let expected = format!("[INF] Rotated log, backup saved as \"{}\"\r\n", backup.display());
        assert_eq!(fs::read_to_string(&path).expect("read"), expected);
    }

    #[test]
    fn new_files_are_not_readable_by_others() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("nats.log");
        let _file = RotatingFile::open(&path, 0, 0, open_on_disk).expect("opened");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o137, 0, "nothing beyond rw-r----- in {mode:o}");
    }

    #[test]
    fn open_failure_names_the_file() {
        let error = RotatingFile::open(Path::new("/nonexistent/x.log"), 0, 0, open_on_disk)
            .err()
            .expect("there is no such directory");
        assert_eq!(error.to_string(), "open /nonexistent/x.log: no such file or directory");
    }

    #[test]
    fn backups_beyond_the_maximum_are_purged_oldest_first() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("nats.log");
        let unrelated = [
            "nats.log.old",
            "nats.log.2023.13.01.00.00.00.000000000",
            "nats.logs.2020.01.01.00.00.00.000000000",
            "nats.log.2020.01.01.00.00.00.000000000.gz",
        ];
        for name in unrelated {
            fs::write(dir.path().join(name), "").expect("written");
        }
        fs::create_dir(dir.path().join("nats.log.2019.01.01.00.00.00.000000000")).expect("made");
        let mut file = RotatingFile::open(&path, 10, 3, open_on_disk).expect("opened");
        let mut suffixes = Vec::new();
        for n in 0..5 {
            suffixes.push(format().backup_suffix(second(n)));
            file.write(b"a line that is over the limit\n", &mut format(), second(n));
        }
        let all = names(dir.path());
        for name in unrelated {
            assert!(all.contains(&name.to_owned()), "{name} is not a backup");
        }
        let left: Vec<&String> =
            all.iter().filter(|name| suffixes.iter().any(|s| name.ends_with(s))).collect();
        assert_eq!(left.len(), 2);
        assert!(left[0].ends_with(&suffixes[3]) && left[1].ends_with(&suffixes[4]));
        let text = fs::read_to_string(&path).expect("read");
        assert!(text.contains(&format!("[INF] Purged log file \"nats.log.{}\"", suffixes[2])));
    }

    static CLOSE_FAILS: AtomicBool = AtomicBool::new(false);

    struct FailsToClose(Box<dyn LogFile>);

    impl LogFile for FailsToClose {
        fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
            self.0.write_line(line)
        }

        fn close(self: Box<Self>) -> io::Result<()> {
            if CLOSE_FAILS.load(Ordering::Relaxed) {
                return Err(io::Error::other("on purpose"));
            }
            self.0.close()
        }
    }

    fn open_failing_close(path: &Path) -> io::Result<(Box<dyn LogFile>, u64)> {
        let (file, size) = open_on_disk(path)?;
        Ok((Box::new(FailsToClose(file)), size))
    }

    #[test]
    fn failure_to_close_doubles_the_limit_until_a_rotation_works() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("nats.log");
        let mut file = RotatingFile::open(&path, 1000, 0, open_failing_close).expect("opened");
        CLOSE_FAILS.store(true, Ordering::Relaxed);
        file.write(&[b'x'; 1001], &mut format(), second(0));
        let text = fs::read_to_string(&path).expect("read");
        assert!(text.ends_with(
            "[ERR] Unable to close logfile for rotation (on purpose), \
             will attempt next rotation at size 2000\r\n"
        ));
        assert_eq!(names(dir.path()).len(), 1);
        CLOSE_FAILS.store(false, Ordering::Relaxed);
        file.write(&[b'y'; 1001], &mut format(), second(1));
        let all = names(dir.path());
        assert_eq!(all.len(), 2, "the next rotation works: {all:?}");
        let backup = fs::read_to_string(dir.path().join(&all[1])).expect("read");
        assert!(backup.contains("on purpose") && backup.contains("size 2000"));
        file.write(&[b'z'; 1001], &mut format(), second(2));
        assert_eq!(names(dir.path()).len(), 3, "the configured limit is back in force");
    }

    #[test]
    fn losing_the_directory_loses_no_later_lines() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let logs = dir.path().join("logs");
        fs::create_dir(&logs).expect("made");
        let path = logs.join("nats.log");
        let mut file = RotatingFile::open(&path, 10, 0, open_on_disk).expect("opened");
        fs::remove_dir_all(&logs).expect("removed");
        file.write(b"a line over the limit\n", &mut format(), second(0));
        fs::create_dir(&logs).expect("made");
        file.write(b"back\n", &mut format(), second(1));
        assert_eq!(fs::read_to_string(&path).expect("read"), "back\n");
    }

    #[test]
    fn only_full_date_and_time_stamps_count_as_backups() {
        let table = [
            ("2024.02.29.23.59.58.000123456", true),
            ("2024.02.29.23.59.58", true),
            ("2023.02.29.23.59.58.0", false),
            ("2024.02.29.24.00.00.0", false),
            ("2024.2.29.23.59.58.0", false),
            ("2024.02.29.23.59", false),
            ("2024.02.29.23.59.58.", false),
            ("2024.02.29.23.59.58.1.gz", false),
            ("old", false),
            ("", false),
        ];
        for (stamp, expected) in table {
            assert_eq!(is_backup_stamp(stamp), expected, "{stamp}");
        }
    }
}
