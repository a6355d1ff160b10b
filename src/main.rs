//! The `nats-server` command.

#![forbid(unsafe_code)]

use nats_server::config::cli::{self, Action, Exit};
use nats_server::config::environment::ProcessEnvironment;
use nats_server::jwt::VerifiedClaims;
use nats_server::process::signal_command::{self, SystemProcesses};
use nats_server::server::Launch;
use nats_server::startup;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments: Vec<String> =
        std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    let argv0 = if arguments.is_empty() { String::new() } else { arguments.remove(0) };
    match cli::evaluate(&arguments, &ProcessEnvironment, &VerifiedClaims) {
        Action::Exit(exit) => finish(&exit),
        Action::Signal(request) => {
            let argument = match &request.target {
                Some(target) => format!("{}={target}", request.command),
                None => request.command,
            };
            match signal_command::run(&argument, &SystemProcesses) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => finish(&Exit::failure(&error)),
            }
        }
        Action::Run(start) => {
            if !start.warnings.is_empty() {
                // Standard error may be closed; the server starts all the same.
                let _ = std::io::stderr().write_all(start.warnings.as_bytes());
            }
            match startup::run(start.options, Launch::new(arguments, argv0)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(exit) => finish(&exit),
            }
        }
    }
}

fn finish(exit: &Exit) -> ExitCode {
    // Nobody is left to be told of a closed stream.
    let _ = std::io::stderr().write_all(exit.stderr.as_bytes());
    let _ = std::io::stdout().write_all(exit.stdout.as_bytes());
    ExitCode::from(exit.code)
}
