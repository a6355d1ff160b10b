//! The `nats-server` command.

use nats_server::config::options::Options;
use nats_server::config::options::listen::Port;
use nats_server::logging::{LogOptions, Logger};
use nats_server::server::Server;
use std::sync::Arc;

fn main() {
    let mut options = Options::default();
    options.host = "127.0.0.1".into();
    let port: i64 = std::env::args().last().and_then(|p| p.parse().ok()).unwrap_or(4222);
    options.port = Port::new(port);
    options.set_baseline();
    let log = Arc::new(Logger::new());
    log.configure(&LogOptions { logtime: true, ..LogOptions::default() }).expect("log");
    let server = Server::new(Arc::new(options), log).expect("server");
    server.start().expect("start");
    server.wait_for_shutdown();
}
