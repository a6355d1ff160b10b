//! The log as an operator sees it: destinations, switches, rotation and re-opening.

use std::fs;
use std::io::Write;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nats_server::logging::rate_limit::TICK;
use nats_server::logging::{
    AfterFatal, ConnectIdentity, ConnectionKind, ConnectionLabel, Level, LogOptions, Logger,
};

/// A destination whose content can be looked at.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn take(&self) -> String {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(std::mem::take(&mut bytes)).expect("lines are text")
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn captured() -> (Logger, Captured) {
    let captured = Captured::default();
    (Logger::to_writer(Box::new(captured.clone())), captured)
}

fn to_file(path: &Path) -> LogOptions {
    LogOptions { log_file: Some(path.to_path_buf()), ..LogOptions::default() }
}

fn configured(options: &LogOptions) -> Logger {
    let logger = Logger::new();
    logger.configure(options).expect("the destination opens");
    logger
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("the log is there")
}

/// The files of a directory other than the log itself, oldest name first.
fn backups(log: &Path) -> Vec<PathBuf> {
    let directory = log.parent().expect("the log is in a directory");
    let entries = fs::read_dir(directory).expect("the directory is there");
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    found.retain(|path| path != log);
    found.sort();
    found
}

#[test]
fn every_level_reaches_the_destination_with_its_label() {
    let (logger, out) = captured();
    logger.set_levels(true, true, false);
    logger.noticef(format_args!("This is a {}", "Notice"));
    logger.warnf(format_args!("This is a Warning"));
    logger.errorf(format_args!("This is an Error"));
    logger.debugf(format_args!("This is a Debug"));
    logger.tracef(format_args!("This is a Trace"));
    let _ = logger.fatalf(format_args!("This is a Fatal"));
    let expected = "[INF] This is a Notice\n[WRN] This is a Warning\n[ERR] This is an Error\n\
                    [DBG] This is a Debug\n[TRC] This is a Trace\n[FTL] This is a Fatal\n";
    assert_eq!(out.take(), expected);
    logger.set_levels(false, false, false);
    logger.debugf(format_args!("This Debug should not be logged"));
    logger.tracef(format_args!("This Trace should not be logged"));
    assert_eq!(out.take(), "");
}

#[test]
fn debug_and_trace_are_silent_without_their_switch() {
    let (logger, out) = captured();
    logger.debugf(format_args!("hidden"));
    logger.tracef(format_args!("hidden"));
    logger.at_level(Level::Debug, format_args!("hidden"));
    assert_eq!(out.take(), "");
    logger.set_levels(true, false, false);
    logger.debugf(format_args!("foo {}", "bar"));
    logger.tracef(format_args!("hidden"));
    assert_eq!(out.take(), "[DBG] foo bar\n");
    logger.set_levels(false, true, true);
    assert!(logger.trace_verbose_enabled());
    logger.debugf(format_args!("hidden"));
    logger.tracef(format_args!("foo"));
    assert_eq!(out.take(), "[TRC] foo\n");
}

#[test]
fn switches_follow_the_options() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut options = to_file(&dir.path().join("nats.log"));
    let logger = configured(&options);
    assert!(!logger.debug_enabled() && !logger.trace_enabled());
    (options.debug, options.trace, options.trace_verbose) = (true, true, true);
    logger.configure(&options).expect("opens");
    assert!(logger.debug_enabled() && logger.trace_enabled() && logger.trace_verbose_enabled());
    (options.debug, options.trace, options.trace_verbose) = (false, false, false);
    logger.configure(&options).expect("opens");
    assert!(!logger.debug_enabled() && !logger.trace_enabled());
}

/// Set for a process in which a test of stderr is to log instead of looking on.
const CHILD: &str = "NATS_LOG_TEST_CHILD";

/// Runs the calling test again in a process of its own, where it logs to stderr with the given
/// options; returns that process's id and what it wrote. None in the child itself.
fn stderr_of_child(test: &str, options: &LogOptions) -> Option<(u32, String)> {
    if std::env::var_os(CHILD).is_some() {
        let logger = configured(options);
        logger.noticef(format_args!("foo"));
        logger.debugf(format_args!("foo {}", "bar"));
        logger.tracef(format_args!("foo"));
        return None;
    }
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", test, "--nocapture"]).env(CHILD, "1");
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().expect("started");
    let id = child.id();
    let output = child.wait_with_output().expect("waited for");
    assert!(output.status.success());
    Some((id, String::from_utf8(output.stderr).expect("text")))
}

#[test]
fn stderr_gets_plain_lines_when_it_is_no_terminal() {
    let test = "stderr_gets_plain_lines_when_it_is_no_terminal";
    if let Some((pid, text)) = stderr_of_child(test, &LogOptions::default()) {
        assert_eq!(text, format!("[{pid}] [INF] foo\n"));
    }
}

#[test]
fn stderr_gets_time_debug_and_trace_when_asked_for() {
    let test = "stderr_gets_time_debug_and_trace_when_asked_for";
    let options = LogOptions { logtime: true, debug: true, trace: true, ..LogOptions::default() };
    let Some((pid, text)) = stderr_of_child(test, &options) else { return };
    let lines: Vec<&str> = text.lines().collect();
    let endings = [" [INF] foo", " [DBG] foo bar", " [TRC] foo"];
    assert_eq!(lines.len(), endings.len());
    for (line, ending) in lines.iter().zip(endings) {
        let rest = line.strip_prefix(&format!("[{pid}] ")).expect("the process id");
        let stamp = rest.strip_suffix(ending).expect("label and message");
        assert_eq!(stamp.len(), "2006/01/02 15:04:05.000000".len());
    }
}

#[test]
fn file_lines_have_pid_and_message_and_no_time_unless_asked_for() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("nats-server:log");
    let logger = configured(&to_file(&path));
    logger.noticef(format_args!("foo"));
    assert_eq!(read(&path), format!("[{}] [INF] foo\n", std::process::id()));
}

#[test]
fn file_lines_are_stamped_to_the_microsecond() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("nats.log");
    let logger = configured(&LogOptions { logtime: true, ..to_file(&path) });
    logger.errorf(format_args!("foo"));
    let text = read(&path);
    let stamp = text
        .strip_prefix(&format!("[{}] ", std::process::id()))
        .and_then(|rest| rest.strip_suffix(" [ERR] foo\n"))
        .expect("pid, stamp and message");
    let shape: String = stamp.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    assert_eq!(shape, "9999/99/99 99:99:99.999999");
}

#[test]
fn a_file_is_rotated_once_it_exceeds_the_limit() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("nats.log");
    let logger = configured(&LogOptions { log_size_limit: 1000, logtime: true, ..to_file(&path) });
    for _ in 0..50 {
        logger.noticef(format_args!("This is a line in the log file"));
    }
    let last = backups(&path).pop().expect("the file was rotated");
    let expected = format!("[INF] Rotated log, backup saved as \"{}\"\r\n", last.display());
    let first_line = read(&path).split_inclusive('\n').next().map(str::to_owned);
    assert!(first_line.is_some_and(|line| line.ends_with(&expected)));
}

#[test]
fn a_file_without_limit_is_never_rotated() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("nats.log");
    let logger = configured(&to_file(&path));
    for line in 0..50 {
        logger.noticef(format_args!("This is line {line} in the log file"));
    }
    assert!(backups(&path).is_empty());
}

#[test]
fn a_limit_below_the_present_size_rotates_at_once() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("nats.log");
    fs::write(&path, "x".repeat(1001)).expect("written");
    let _logger = configured(&LogOptions { log_size_limit: 1000, ..to_file(&path) });
    let last = backups(&path).pop().expect("the file was rotated");
    assert!(read(&last).ends_with("[INF] Rotating logfile...\n"));
    let text = read(&path);
    assert!(text.contains("Rotated log") && text.contains(&*last.to_string_lossy()));
}

#[test]
fn at_most_the_configured_number_of_files_is_kept() {
    // Every line exceeds the limit, so eight lines rotate eight times.
    let table = [(0, 9), (-42, 9), (1, 1), (5, 5), (100, 9)];
    for (log_max_num, expected) in table {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("nats-server.log");
        let options = LogOptions { log_size_limit: 100, log_max_num, ..to_file(&path) };
        let logger = configured(&options);
        for _ in 0..8 {
            logger.noticef(format_args!("{}", "x".repeat(100)));
        }
        let files = backups(&path).len() + 1;
        assert_eq!(files, expected, "log_max_num {log_max_num}");
        let purged = read(&path).matches("[INF] Purged log file \"nats-server.log.").count();
        assert_eq!(purged, usize::from(expected < 9), "one backup goes per rotation");
    }
}

#[test]
fn reopening_follows_a_file_that_was_moved() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("nats.log");
    let logger = configured(&to_file(&path));
    logger.noticef(format_args!("This is a Notice"));
    let moved = dir.path().join("nats.log.bak");
    fs::rename(&path, &moved).expect("renamed");
    logger.noticef(format_args!("still to the moved file"));
    logger.reopen().expect("opens");
    logger.noticef(format_args!("New message"));
    let pid = std::process::id();
    let old = format!("[{pid}] [INF] This is a Notice\n[{pid}] [INF] still to the moved file\n");
    assert_eq!(read(&moved), old);
    let new = format!("[{pid}] [INF] File log re-opened\n[{pid}] [INF] New message\n");
    assert_eq!(read(&path), new);
}

#[test]
fn limit_count_and_switches_survive_reopening() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("nats.log");
    let options = LogOptions {
        log_size_limit: 1000,
        log_max_num: 2,
        trace: true,
        trace_verbose: true,
        ..to_file(&path)
    };
    let logger = configured(&options);
    logger.noticef(format_args!("this is a notice"));
    logger.reopen().expect("opens");
    assert!(read(&path).ends_with("File log re-opened\n"));
    assert!(logger.trace_enabled() && logger.trace_verbose_enabled());
    logger.set_levels(true, false, false);
    logger.reopen().expect("opens");
    assert!(logger.debug_enabled() && !logger.trace_enabled(), "set apart from the options");
    for fill in ["A", "B", "C", "D"] {
        logger.noticef(format_args!("{}", fill.repeat(800)));
    }
    let text = read(&path);
    assert!(!text.contains("CCCCC") && !text.contains("DDDDD"), "{text}");
    assert!(text.contains("Rotated log, backup saved"), "{text}");
    assert_eq!(backups(&path).len(), 1);
}

#[test]
fn reopening_is_ignored_for_other_destinations() {
    let (logger, out) = captured();
    logger.reopen().expect("nothing is opened");
    assert_eq!(out.take(), "[INF] File log re-open ignored, not a file logger\n");
    Logger::new().reopen().expect("without destination there is nothing to do");
}

#[test]
fn a_file_that_cannot_be_reopened_leaves_the_old_one_in_use() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).expect("created");
    let path = logs.join("nats.log");
    let logger = configured(&to_file(&path));
    let moved = dir.path().join("moved");
    fs::rename(&logs, &moved).expect("renamed");
    let error = logger.reopen().expect_err("the directory is gone");
    let expected =
        format!("error opening file: open {}: no such file or directory", path.display());
    assert_eq!(error.to_string(), expected);
    logger.noticef(format_args!("still here"));
    assert!(read(&moved.join("nats.log")).ends_with("[INF] still here\n"));
}

#[test]
fn fatal_ends_the_process_unless_it_is_ending_already() {
    let (logger, out) = captured();
    assert_eq!(logger.fatalf(format_args!("cannot go on")), AfterFatal::Exit);
    assert_eq!(out.take(), "[FTL] cannot go on\n");
    logger.begin_shutdown();
    assert_eq!(logger.fatalf(format_args!("cannot go on")), AfterFatal::Continue);
    assert_eq!(out.take(), "[ERR] cannot go on\n");
}

/// A UDP syslog daemon, and a logger configured to send to it.
fn with_remote_syslog(debug: bool, trace: bool) -> (UdpSocket, Logger) {
    let daemon = UdpSocket::bind("127.0.0.1:0").expect("a loopback port");
    daemon.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    let address = daemon.local_addr().expect("bound");
    let options = LogOptions {
        remote_syslog: Some(format!("udp://{address}")),
        debug,
        trace,
        ..LogOptions::default()
    };
    (daemon, configured(&options))
}

/// Priority and message of the next datagram.
fn receive(daemon: &UdpSocket) -> (String, String) {
    let mut buffer = [0; 4096];
    let length = daemon.recv(&mut buffer).expect("a datagram");
    let text = String::from_utf8(buffer[..length].to_vec()).expect("text");
    let (head, message) = text.split_once("]: ").expect("tag, pid and message");
    let tag = format!("[{}", std::process::id());
    assert!(head.ends_with(&tag), "{head}");
    let (priority, _) = head.split_once('>').expect("a priority");
    (priority.to_owned(), message.to_owned())
}

#[test]
fn remote_syslog_gets_every_level_with_its_priority() {
    let (daemon, logger) = with_remote_syslog(true, true);
    assert!(logger.debug_enabled() && logger.trace_enabled());
    logger.noticef(format_args!("foo {}", "bar"));
    assert_eq!(receive(&daemon), ("<5".into(), "foo bar\n".into()));
    logger.debugf(format_args!("foo {}", "qux"));
    assert_eq!(receive(&daemon), ("<7".into(), "foo qux\n".into()));
    logger.tracef(format_args!("foo {}", "quux"));
    assert_eq!(receive(&daemon), ("<5".into(), "foo quux\n".into()));
    assert_eq!(logger.fatalf(format_args!("fatal")), AfterFatal::Continue);
    assert_eq!(receive(&daemon), ("<2".into(), "fatal\n".into()));
}

#[test]
fn remote_syslog_gets_nothing_that_is_switched_off() {
    let (daemon, logger) = with_remote_syslog(false, false);
    assert!(!logger.debug_enabled() && !logger.trace_enabled());
    logger.debugf(format_args!("foo"));
    logger.tracef(format_args!("foo"));
    logger.noticef(format_args!("the only one"));
    assert_eq!(receive(&daemon).1, "the only one\n");
}

#[test]
fn a_file_goes_before_a_remote_syslog() {
    let (daemon, _) = with_remote_syslog(false, false);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("nats.log");
    let address = daemon.local_addr().expect("bound");
    let options = LogOptions { remote_syslog: Some(format!("udp://{address}")), ..to_file(&path) };
    configured(&options).noticef(format_args!("to the file"));
    assert!(read(&path).ends_with("[INF] to the file\n"));
}

#[test]
fn a_bad_remote_syslog_is_refused_and_the_log_stays_as_it_was() {
    let (logger, out) = captured();
    let remote_syslog = Some("http://foo".to_owned());
    let options = LogOptions { remote_syslog, ..LogOptions::default() };
    let error = logger.configure(&options).expect_err("no such network");
    assert_eq!(error.to_string(), "error invalid network type: \"http\"");
    logger.noticef(format_args!("still here"));
    assert_eq!(out.take(), "[INF] still here\n");
}

#[test]
fn no_log_drops_everything() {
    let logger = configured(&LogOptions { no_log: true, ..LogOptions::default() });
    logger.noticef(format_args!("nowhere"));
    assert_eq!(logger.fatalf(format_args!("nowhere")), AfterFatal::Continue);
}

#[test]
fn repeated_statements_are_held_back_until_the_tick() {
    let (logger, out) = captured();
    let start = Instant::now();
    let mut label = ConnectionLabel::new(
        ConnectionKind::Client,
        "127.0.0.1:5000".parse().expect("an address"),
        None,
        7,
    );
    label.set_account_and_user(Some("A"), Some("user:joe"));
    label.append_connect(ConnectIdentity { lang: "go", ..ConnectIdentity::default() });
    for n in 0..3 {
        logger.limited(Level::Warn, start, format_args!("the same"));
        logger.limited_by_key(Level::Error, start, "by key", format_args!("number {n}"));
        logger.limited_for(Level::Error, start, &label, format_args!("of a connection"));
        logger.limited(Level::Debug, start, format_args!("hidden"));
    }
    let expected = "[WRN] the same\n[ERR] number 0\n\
                    [ERR] 127.0.0.1:5000 - cid:7 - \"go\" - \"A/user:joe\" - \
                    of a connection - Account:A - user:joe\n";
    assert_eq!(out.take(), expected);
    logger.limited(Level::Warn, start + TICK, format_args!("the same"));
    assert_eq!(out.take(), "[WRN] the same\n");
}

#[test]
fn lines_of_many_threads_never_mix() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("nats.log");
    let logger = Arc::new(configured(&LogOptions { logtime: true, ..to_file(&path) }));
    let threads: Vec<_> = (0..8u32)
        .map(|number| {
            let logger = Arc::clone(&logger);
            thread::spawn(move || {
                let text = number.to_string().repeat(200);
                for _ in 0..200 {
                    logger.noticef(format_args!("{text}"));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    let text = read(&path);
    assert_eq!(text.lines().count(), 1600);
    for line in text.lines() {
        let (_, message) = line.split_once("[INF] ").expect("a label");
        let first = message.chars().next().expect("not empty");
        assert!(message.len() == 200 && message.chars().all(|c| c == first), "{line}");
    }
}

#[test]
fn a_message_that_logs_while_it_is_rendered_does_not_block() {
    struct Logs<'a>(&'a Logger);

    impl std::fmt::Display for Logs<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.0.warnf(format_args!("inner"));
            f.write_str("outer")
        }
    }

    let (logger, out) = captured();
    logger.noticef(format_args!("{}", Logs(&logger)));
    assert_eq!(out.take(), "[WRN] inner\n[INF] outer\n");
}
