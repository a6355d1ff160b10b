//! `--signal command[=pid]` ("spec 02, 9.2").
//!
//! Decides which processes get which signal; listing processes and sending go through
//! [`ProcessTable`]. Errors are the texts printed behind `nats-server: `.
//!
//! On purpose unlike the reference, which hands any number to `kill(2)`: a process id that is not
//! positive would address whole groups, or every process there is, and is refused as invalid.

use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::errno::errno_text;
use parser::quote::quoted;

/// The name processes are looked for by.
const PROCESS_NAME: &str = "nats-server";

/// The processes of the machine.
pub trait ProcessTable {
    /// One process id per line for every process whose name holds `name`; empty when there is
    /// none, None when that cannot be found out.
    fn find(&self, name: &str) -> Option<String>;
    /// Sends a signal.
    fn kill(&self, pid: i64, signal: Signal) -> Result<(), Errno>;
    /// The calling process, which is never a target.
    fn own_pid(&self) -> i64;
}

/// The machine this runs on.
pub struct SystemProcesses;

impl ProcessTable for SystemProcesses {
    fn find(&self, name: &str) -> Option<String> {
        let mut command = Command::new("pgrep");
        command.arg(name).stdin(Stdio::null()).stderr(Stdio::null());
        // pgrep fails when it finds nothing; only its absence is an error.
        let output = command.output().ok()?;
        String::from_utf8(output.stdout).ok()
    }

    fn kill(&self, pid: i64, signal: Signal) -> Result<(), Errno> {
        let pid = i32::try_from(pid).map_err(|_| Errno::ESRCH)?;
        kill(Pid::from_raw(pid), signal)
    }

    fn own_pid(&self) -> i64 {
        i64::from(std::process::id())
    }
}

/// Carries out the value of `--signal`. The part behind `=` may be a process id, an expression
/// ending in `*`, or a file that holds either.
///
/// # Errors
/// The text to print; the command then exits with status 1.
pub fn run(argument: &str, processes: &dyn ProcessTable) -> Result<(), String> {
    let parts: Vec<&str> = argument.split('=').collect();
    match parts.as_slice() {
        [] => send("", "", processes),
        [command] => send(command, "", processes),
        [command, pid] => {
            let from_file = std::fs::read(pid).ok();
            let from_file = from_file.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            send(command, from_file.as_deref().unwrap_or(pid), processes)
        }
        [_, _, rest @ ..] => Err(format!("invalid signal parameters: [{}]", rest.join(" "))),
    }
}

fn send(command: &str, expression: &str, processes: &dyn ProcessTable) -> Result<(), String> {
    let (prefix, is_glob) = match expression.strip_suffix('*') {
        Some(prefix) => (prefix, true),
        None => (expression, false),
    };
    let given = match prefix {
        "" => None,
        text => Some(parse_pid(text).ok_or_else(|| format!("invalid pid: {text}"))?),
    };
    let pids = match given {
        Some(pid) if !is_glob => vec![pid],
        _ => resolve(processes)?,
    };
    if pids.len() > 1 && !is_glob {
        let list: String = pids.iter().map(|pid| format!("\n{pid}")).collect();
        return Err(format!("multiple {PROCESS_NAME} processes running:{list}"));
    }
    if pids.is_empty() {
        return Err(format!("no {PROCESS_NAME} processes running"));
    }
    let signal = signal_of(command).ok_or_else(|| format!("unknown signal {}", quoted(command)))?;
    let mut errors = String::new();
    for pid in pids {
        if is_glob && !pid.to_string().starts_with(prefix) {
            continue;
        }
        if let Err(errno) = processes.kill(pid, signal) {
            let reason = errno_text(errno as i32);
            errors.push_str(&format!("\nsignal {} {pid}: {reason}", quoted(command)));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// The signal a command stands for.
pub fn signal_of(command: &str) -> Option<Signal> {
    match command {
        "stop" => Some(Signal::SIGKILL),
        "quit" => Some(Signal::SIGINT),
        "term" => Some(Signal::SIGTERM),
        "reopen" => Some(Signal::SIGUSR1),
        "reload" => Some(Signal::SIGHUP),
        "ldm" => Some(Signal::SIGUSR2),
        _ => None,
    }
}

fn parse_pid(text: &str) -> Option<i64> {
    text.parse().ok().filter(|pid| *pid > 0)
}

fn resolve(processes: &dyn ProcessTable) -> Result<Vec<i64>, String> {
    let unresolved = || "unable to resolve pid, try providing one".to_owned();
    let listing = processes.find(PROCESS_NAME).ok_or_else(unresolved)?;
    let mut pids = Vec::new();
    for line in listing.split('\n').filter(|line| !line.is_empty()) {
        let pid = parse_pid(line).ok_or_else(unresolved)?;
        if pid != processes.own_pid() {
            pids.push(pid);
        }
    }
    Ok(pids)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const OWN: i64 = 999;

    struct Table {
        listing: Option<&'static str>,
        refuses: Option<Errno>,
        killed: RefCell<Vec<(i64, Signal)>>,
    }

    fn table(listing: Option<&'static str>) -> Table {
        Table { listing, refuses: None, killed: RefCell::default() }
    }

    impl ProcessTable for Table {
        fn find(&self, name: &str) -> Option<String> {
            assert_eq!(name, "nats-server");
            self.listing.map(str::to_owned)
        }

        fn kill(&self, pid: i64, signal: Signal) -> Result<(), Errno> {
            self.killed.borrow_mut().push((pid, signal));
            self.refuses.map_or(Ok(()), Err)
        }

        fn own_pid(&self) -> i64 {
            OWN
        }
    }

    #[track_caller]
    fn fails(argument: &str, processes: &Table, expected: &str) {
        assert_eq!(run(argument, processes), Err(expected.to_owned()));
    }

    #[test]
    fn every_command_sends_its_signal_to_the_given_process() {
        let commands = [
            ("stop", Signal::SIGKILL),
            ("quit", Signal::SIGINT),
            ("term", Signal::SIGTERM),
            ("reopen", Signal::SIGUSR1),
            ("reload", Signal::SIGHUP),
            ("ldm", Signal::SIGUSR2),
        ];
        for (command, signal) in commands {
            let processes = table(None);
            assert_eq!(run(&format!("{command}=123"), &processes), Ok(()));
            assert_eq!(*processes.killed.borrow(), [(123, signal)]);
        }
    }

    #[test]
    fn no_process_is_an_error() {
        fails("stop", &table(Some("")), "no nats-server processes running");
        fails("stop", &table(Some("999\n")), "no nats-server processes running");
        fails("stop=*", &table(Some("999\n")), "no nats-server processes running");
    }

    #[test]
    fn several_processes_need_an_expression() {
        let expected = "multiple nats-server processes running:\n123\n456";
        fails("stop", &table(Some("123\n456\n999\n")), expected);
    }

    #[test]
    fn a_lone_star_reaches_all_but_the_caller() {
        let processes = Table { refuses: Some(Errno::ESRCH), ..table(Some("123\n456\n999\n")) };
        let expected =
            "\nsignal \"stop\" 123: no such process\nsignal \"stop\" 456: no such process";
        fails("stop=*", &processes, expected);
        assert_eq!(processes.killed.borrow().len(), 2);
    }

    #[test]
    fn an_expression_reaches_those_it_is_a_prefix_of() {
        let processes = table(Some("123\n124\n456\n999\n"));
        assert_eq!(run("reload=12*", &processes), Ok(()));
        let expected = [(123, Signal::SIGHUP), (124, Signal::SIGHUP)];
        assert_eq!(*processes.killed.borrow(), expected);
    }

    #[test]
    fn a_single_process_is_found_by_name() {
        let processes = table(Some("123\n999\n"));
        assert_eq!(run("stop", &processes), Ok(()));
        assert_eq!(*processes.killed.borrow(), [(123, Signal::SIGKILL)]);
    }

    #[test]
    fn processes_that_cannot_be_listed_are_an_error() {
        fails("stop", &table(None), "unable to resolve pid, try providing one");
        fails("stop", &table(Some("12x")), "unable to resolve pid, try providing one");
    }

    #[test]
    fn invalid_arguments_are_named() {
        fails("invalid=123", &table(None), "unknown signal \"invalid\"");
        fails("stop=abc", &table(None), "invalid pid: abc");
        fails("stop=abc*", &table(Some("1\n")), "invalid pid: abc");
        fails("stop=1=2=3", &table(None), "invalid signal parameters: [2 3]");
        for pid in ["-1", "0"] {
            let processes = table(None);
            fails(&format!("stop={pid}"), &processes, &format!("invalid pid: {pid}"));
            assert!(processes.killed.borrow().is_empty());
        }
    }

    #[test]
    fn the_pid_may_come_from_a_file_but_not_with_a_newline() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("nats.pid");
        std::fs::write(&path, "77").expect("written");
        let processes = table(None);
        assert_eq!(run(&format!("ldm={}", path.display()), &processes), Ok(()));
        assert_eq!(*processes.killed.borrow(), [(77, Signal::SIGUSR2)]);
        std::fs::write(&path, "77\n").expect("written");
        fails(&format!("ldm={}", path.display()), &table(None), "invalid pid: 77\n");
    }

    #[test]
    fn a_process_of_another_owner_is_reported() {
        let processes = Table { refuses: Some(Errno::EPERM), ..table(None) };
        fails("stop=5", &processes, "\nsignal \"stop\" 5: operation not permitted");
    }
}
