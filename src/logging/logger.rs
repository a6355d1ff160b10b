//! The logger every thread shares.
//!
//! Invariants: the three switches change only in [`Logger::configure`] and
//! [`Logger::set_levels`]; a message below its switch costs one relaxed load; one line is one
//! write, made under the lock of the sink, so lines never mix.

use std::cell::RefCell;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use parking_lot::Mutex;

use super::file::{RotatingFile, open_on_disk};
use super::label::ConnectionLabel;
use super::line::{Level, LineFormat};
use super::rate_limit::StatementLimiter;
use super::syslog::{Syslog, tag_of};
use crate::process::errno::PathError;

/// The options a log is configured from; names are those of the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Log nothing at all (embedding and tests).
    pub no_log: bool,
    /// File to log to; goes before both syslogs.
    pub log_file: Option<PathBuf>,
    /// URL of a remote syslog; goes before the local one.
    pub remote_syslog: Option<String>,
    /// Log to the local syslog.
    pub syslog: bool,
    /// Stamp lines with date and time.
    pub logtime: bool,
    /// Stamp in UTC instead of local time.
    pub logtime_utc: bool,
    /// Lines are JSON objects; syslogs have a format of their own.
    pub json: bool,
    /// Log debug lines.
    pub debug: bool,
    /// Log protocol traces.
    pub trace: bool,
    /// Trace the system account's internal client too.
    pub trace_verbose: bool,
    /// Size in bytes beyond which the file is rotated; not positive means never.
    pub log_size_limit: i64,
    /// How many files rotation keeps, the current one included; not positive keeps all.
    pub log_max_num: i64,
}

/// Why a log destination could not be opened; the text is what the reference prints.
#[derive(Debug)]
pub enum LogError {
    /// The log file.
    File(PathError),
    /// The local or remote syslog, or its URL.
    Syslog(String),
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::File(error) => write!(f, "error opening file: {error}"),
            LogError::Syslog(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for LogError {}

/// What the caller of [`Logger::fatalf`] has to do next.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFatal {
    /// End the process with status 1.
    Exit,
    /// Go on: a shutdown is under way, or the line went to syslog, which never ends the process.
    Continue,
}

enum Sink {
    Stream { format: LineFormat, out: Box<dyn Write + Send> },
    File { format: LineFormat, file: RotatingFile },
    Syslog(Syslog),
}

struct Destination {
    sink: Option<Sink>,
    options: LogOptions,
    line: Vec<u8>,
}

/// A destination that has been opened and not been installed yet.
pub struct OpenedLog {
    sink: Option<Sink>,
    options: LogOptions,
}

/// The server's log.
pub struct Logger {
    debug: AtomicBool,
    trace: AtomicBool,
    trace_verbose: AtomicBool,
    shutting_down: AtomicBool,
    limiter: StatementLimiter,
    destination: Mutex<Destination>,
}

impl Default for Logger {
    fn default() -> Self {
        Self::new()
    }
}

/// Largest message buffer a thread keeps between lines.
const MAX_KEPT_BUFFER: usize = 64 * 1024;

thread_local! {
    static MESSAGE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Logger {
    /// A logger without destination: it drops everything until it is configured.
    pub fn new() -> Self {
        Logger {
            debug: AtomicBool::new(false),
            trace: AtomicBool::new(false),
            trace_verbose: AtomicBool::new(false),
            shutting_down: AtomicBool::new(false),
            limiter: StatementLimiter::new(),
            destination: Mutex::new(Destination {
                sink: None,
                options: LogOptions::default(),
                line: Vec::new(),
            }),
        }
    }

    /// A logger that writes plain lines without prefix to `out`; for embedding and tests.
    pub fn to_writer(out: Box<dyn Write + Send>) -> Self {
        let logger = Self::new();
        let format = LineFormat::new(None, false, false, false);
        logger.destination.lock().sink = Some(Sink::Stream { format, out });
        logger
    }

    /// Opens the destination the options ask for and replaces the present one by it; also used
    /// on reload. The order of precedence is file, remote syslog, local syslog, stderr.
    ///
    /// # Errors
    /// When the destination cannot be opened; the present one then stays. The reference ends the
    /// process in this case, which is what the caller has to do at start.
    pub fn configure(&self, options: &LogOptions) -> Result<(), LogError> {
        self.install_opened(self.open(options)?);
        Ok(())
    }

    /// Opens the destination the options ask for, and leaves the present one in force.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(&self, options: &LogOptions) -> Result<OpenedLog, LogError> {
        Ok(OpenedLog { sink: open_sink(options)?, options: options.clone() })
    }

    /// Replaces destination and switches by those of [`Logger::open`].
    pub fn install_opened(&self, opened: OpenedLog) {
        let OpenedLog { sink, options } = opened;
        self.set_levels(options.debug, options.trace, options.trace_verbose);
        self.install(sink, &options);
    }

    /// Replaces the destination; a file that is already too large is rotated by its first line.
    fn install(&self, sink: Option<Sink>, options: &LogOptions) {
        let over_limit = matches!(&sink, Some(Sink::File { file, .. }) if file.is_over_limit());
        {
            let mut destination = self.destination.lock();
            destination.sink = sink;
            destination.options = options.clone();
        }
        if over_limit {
            self.noticef(format_args!("Rotating logfile..."));
        }
    }

    /// Opens the log file anew, after it was moved away by an external rotation (SIGUSR1).
    ///
    /// Unlike in the reference, `log_max_num` and the switches survive this.
    ///
    /// # Errors
    /// When the file cannot be opened; logging then goes on to the file that was moved.
    pub fn reopen(&self) -> Result<(), LogError> {
        let options = {
            let destination = self.destination.lock();
            if destination.sink.is_none() {
                // There is nowhere to say that the request was ignored.
                return Ok(());
            }
            destination.options.clone()
        };
        if options.log_file.is_none() {
            self.noticef(format_args!("File log re-open ignored, not a file logger"));
            return Ok(());
        }
        // The switches may have been set apart from the options since, so they are left alone.
        self.install(open_sink(&options)?, &options);
        self.noticef(format_args!("File log re-opened"));
        Ok(())
    }

    /// Sets the three switches without touching the destination.
    pub fn set_levels(&self, debug: bool, trace: bool, trace_verbose: bool) {
        self.debug.store(debug, Ordering::Relaxed);
        self.trace.store(trace, Ordering::Relaxed);
        self.trace_verbose.store(trace_verbose, Ordering::Relaxed);
    }

    /// Whether debug lines are logged.
    #[inline]
    pub fn debug_enabled(&self) -> bool {
        self.debug.load(Ordering::Relaxed)
    }

    /// Whether trace lines are logged.
    #[inline]
    pub fn trace_enabled(&self) -> bool {
        self.trace.load(Ordering::Relaxed)
    }

    /// Whether the system account's internal client is traced too.
    #[inline]
    pub fn trace_verbose_enabled(&self) -> bool {
        self.trace_verbose.load(Ordering::Relaxed)
    }

    /// From here on fatal lines are logged as errors and end nothing.
    pub fn begin_shutdown(&self) {
        self.shutting_down.store(true, Ordering::Relaxed);
    }

    /// Logs a notice (`INF`).
    pub fn noticef(&self, message: fmt::Arguments<'_>) {
        self.write(Level::Notice, message);
    }

    /// Logs a warning.
    pub fn warnf(&self, message: fmt::Arguments<'_>) {
        self.write(Level::Warn, message);
    }

    /// Logs an error.
    pub fn errorf(&self, message: fmt::Arguments<'_>) {
        self.write(Level::Error, message);
    }

    /// Logs what the server cannot survive and tells the caller whether to end the process.
    pub fn fatalf(&self, message: fmt::Arguments<'_>) -> AfterFatal {
        if self.shutting_down.load(Ordering::Relaxed) {
            self.write(Level::Error, message);
            return AfterFatal::Continue;
        }
        self.write(Level::Fatal, message);
        match self.destination.lock().sink {
            Some(Sink::Syslog(_)) | None => AfterFatal::Continue,
            Some(_) => AfterFatal::Exit,
        }
    }

    /// Logs a debug line if the switch is on.
    #[inline]
    pub fn debugf(&self, message: fmt::Arguments<'_>) {
        if self.debug_enabled() {
            self.write(Level::Debug, message);
        }
    }

    /// Logs a trace line if the switch is on.
    #[inline]
    pub fn tracef(&self, message: fmt::Arguments<'_>) {
        if self.trace_enabled() {
            self.write(Level::Trace, message);
        }
    }

    /// Logs a statement unless the same one was logged lately ("spec 02, 10.7").
    pub fn limited(&self, level: Level, now: Instant, message: fmt::Arguments<'_>) {
        let statement = message.to_string();
        if self.allow(&statement, now) {
            self.at_level(level, format_args!("{statement}"));
        }
    }

    /// Logs a statement unless one with the same key was logged lately; for statements whose
    /// variable parts are not to tell them apart.
    pub fn limited_by_key(
        &self,
        level: Level,
        now: Instant,
        key: &str,
        message: fmt::Arguments<'_>,
    ) {
        if self.allow(key, now) {
            self.at_level(level, message);
        }
    }

    /// Logs a connection's statement unless any connection of the account lately logged it.
    pub fn limited_for(
        &self,
        level: Level,
        now: Instant,
        label: &ConnectionLabel,
        message: fmt::Arguments<'_>,
    ) {
        let key = label.limited_key(&message.to_string());
        if self.allow(&key, now) {
            self.at_level(level, format_args!("{}", label.limited_line(&key)));
        }
    }

    fn allow(&self, key: &str, now: Instant) -> bool {
        self.limiter.tick_if_due(now);
        self.limiter.allow(key, now)
    }

    /// Logs at a level chosen at run time, honouring the switches. A fatal level logs the line
    /// without ending anything.
    pub fn at_level(&self, level: Level, message: fmt::Arguments<'_>) {
        match level {
            Level::Debug => self.debugf(message),
            Level::Trace => self.tracef(message),
            Level::Notice | Level::Warn | Level::Error | Level::Fatal => {
                self.write(level, message);
            }
        }
    }

    #[cold]
    fn write(&self, level: Level, message: fmt::Arguments<'_>) {
        // A message is rendered before the lock is taken: its `Display` may be slow, or log.
        MESSAGE.with(|buffer| match buffer.try_borrow_mut() {
            Ok(mut buffer) => {
                buffer.clear();
                let _ = buffer.write_fmt(message);
                self.deliver(level, &buffer);
                buffer.shrink_to(MAX_KEPT_BUFFER);
            }
            Err(_) => self.deliver(level, message.to_string().as_bytes()),
        });
    }

    fn deliver(&self, level: Level, message: &[u8]) {
        let now = SystemTime::now();
        let mut destination = self.destination.lock();
        let Destination { sink, line, .. } = &mut *destination;
        line.clear();
        match sink {
            None => {}
            Some(Sink::Syslog(syslog)) => syslog.send(level, now, message),
            Some(Sink::Stream { format, out }) => {
                format.line(line, level, now, message);
                // A closed stderr is no reason to stop serving.
                let _ = out.write_all(line);
            }
            Some(Sink::File { format, file }) => {
                format.line(line, level, now, message);
                file.write(line, format, now);
            }
        }
        line.shrink_to(MAX_KEPT_BUFFER);
    }
}

fn open_sink(options: &LogOptions) -> Result<Option<Sink>, LogError> {
    if options.no_log {
        return Ok(None);
    }
    let pid = Some(std::process::id());
    let format = |colors| {
        let format = LineFormat::new(pid, options.logtime, options.logtime_utc, colors);
        format.as_json(options.json)
    };
    if let Some(path) = &options.log_file {
        let limit = u64::try_from(options.log_size_limit).unwrap_or(0);
        let max_files = u64::try_from(options.log_max_num).unwrap_or(0);
        let file = RotatingFile::open(path, limit, max_files, open_on_disk);
        let file = file.map_err(LogError::File)?;
        return Ok(Some(Sink::File { format: format(false), file }));
    }
    let argv0 = std::env::args_os().next().unwrap_or_default();
    let argv0 = argv0.to_string_lossy();
    if let Some(url) = &options.remote_syslog {
        let syslog = Syslog::remote(url, tag_of(&argv0)).map_err(LogError::Syslog)?;
        return Ok(Some(Sink::Syslog(syslog)));
    }
    if options.syslog {
        let syslog = Syslog::local(tag_of(&argv0)).map_err(LogError::Syslog)?;
        return Ok(Some(Sink::Syslog(syslog)));
    }
    let stderr = std::io::stderr();
    let colors = stderr_is_character_device();
    Ok(Some(Sink::Stream { format: format(colors), out: Box::new(stderr) }))
}

/// Colours follow the kind of file, not whether it is a terminal: `/dev/null` counts too.
fn stderr_is_character_device() -> bool {
    use nix::sys::stat::{SFlag, fstat};
    fstat(std::io::stderr())
        .is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR)
}
