//! What the documents of the monitoring port cost: over one kept connection, with so many clients.

#![allow(missing_docs)] // The functions that criterion's macros make have none.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use nats_server::config::options::Options;
use nats_server::config::options::listen::Port;
use nats_server::logging::Logger;
use nats_server::server::Server;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

struct Running {
    server: Arc<Server>,
    _clients: Vec<TcpStream>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.shutdown();
    }
}

impl Running {
    fn start(clients: usize) -> Running {
        let mut options = Options {
            host: "127.0.0.1".into(),
            port: Port::RANDOM,
            http_port: Port::RANDOM,
            ..Options::default()
        };
        options.set_baseline();
        let server = Server::new(Arc::new(options), Arc::new(Logger::new())).expect("a server");
        server.start().expect("it starts");
        let address = server.address().expect("it listens");
        let connect = |n: usize| {
            let mut stream = TcpStream::connect(address).expect("a connection");
            let text = format!("CONNECT {{\"verbose\":false}}\r\nSUB foo.{n} 1\r\nPING\r\n");
            stream.write_all(text.as_bytes()).expect("sent");
            let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
            let mut line = String::new();
            while line != "PONG\r\n" {
                line.clear();
                reader.read_line(&mut line).expect("an answer");
            }
            stream
        };
        let _clients = (0..clients).map(connect).collect();
        Running { server, _clients }
    }
}

/// Asks for a document; returns its length.
fn get(stream: &mut BufReader<TcpStream>, path: &str) -> usize {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes()).expect("sent");
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).expect("a header");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a body");
    length
}

fn documents(c: &mut Criterion) {
    for clients in [10, 1_000] {
        let running = Running::start(clients);
        let address = running.server.monitor_address().expect("monitoring");
        let mut group = c.benchmark_group("document");
        for path in ["/varz", "/connz?limit=1000", "/connz?limit=1000&subs=1", "/metrics"] {
            let mut stream = BufReader::new(TcpStream::connect(address).expect("a connection"));
            group.throughput(Throughput::Bytes(get(&mut stream, path) as u64));
            group.bench_function(BenchmarkId::new(path, clients), |b| {
                b.iter(|| get(&mut stream, path));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, documents);
criterion_main!(benches);
