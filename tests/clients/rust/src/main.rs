//! async-nats against the server.

mod scenarios;
mod server;

use server::{Failure, Server};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long a scenario may take.
const SCENARIO: Duration = Duration::from_secs(40);

/// Counts and prints the results.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    async fn run(&mut self, name: &str, scenario: impl Future<Output = Result<(), Failure>>) {
        let began = Instant::now();
        let result = match tokio::time::timeout(SCENARIO, scenario).await {
            Ok(result) => result,
            Err(_) => Err("took too long".into()),
        };
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("ok rust {name} ({} ms)", began.elapsed().as_millis());
            }
            Err(error) => {
                self.failed += 1;
                println!("not ok rust {name}: {error}");
            }
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut tally = Tally::default();
    match Server::start(&["-m", "-1"]).await {
        Ok(server) => scenarios::run_all(&server, &mut tally).await,
        Err(error) => {
            tally.failed += 1;
            println!("not ok rust start: {error}");
        }
    }
    println!("rust: {} passed, {} failed", tally.passed, tally.failed);
    if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
