//! The whole server under the loads of users: one publisher with no, one, ten or a hundred
//! subscribers, a queue group, request and reply, many subjects, idle connections.
//!
//! Starts the release binary (or `NATS_SERVER_BIN`, to measure another server of the same
//! protocol), drives it over loopback sockets and prints, for each scenario, the rate and the
//! server's CPU time per message from `/proc`. Arguments select scenarios by a part of their name;
//! `--test` runs each of them briefly.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Fallible<Server> {
        let binary = std::env::var("NATS_SERVER_BIN")
            .unwrap_or_else(|_| env!("CARGO_BIN_EXE_nats-server").to_owned());
        // The port is free when it is chosen; a server that loses it to another process says so.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(binary)
            .args(["-a", "127.0.0.1", "-p", &address.port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Server { child, address };
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            if Instant::now() > until {
                return Err("the server does not listen".into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    /// CPU seconds used, and resident KiB.
    fn usage(&self) -> (f64, u64) {
        let pid = self.child.id();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().collect();
        let ticks = |n: usize| fields.get(n).and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0);
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let resident = status
            .lines()
            .find_map(|l| l.strip_prefix("VmRSS:"))
            .and_then(|v| v.split_ascii_whitespace().next()?.parse().ok());
        ((ticks(11) + ticks(12)) / 100.0, resident.unwrap_or(0))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have ended by itself; then there is nothing to stop.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client {
    stream: TcpStream,
}

impl Client {
    fn open(address: SocketAddr) -> Fallible<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut client = Client { stream };
        client.send("CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":0}\r\n")?;
        client.sync()?;
        Ok(client)
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) -> Fallible<()> {
        Ok(self.stream.write_all(bytes.as_ref())?)
    }

    /// PING, and everything up to its PONG is thrown away.
    fn sync(&mut self) -> Fallible<()> {
        self.send("PING\r\n")?;
        let mut seen = Vec::new();
        let mut chunk = [0; 4096];
        while !seen.ends_with(b"PONG\r\n") {
            let n = self.stream.read(&mut chunk)?;
            if n == 0 {
                return Err("closed".into());
            }
            seen.extend_from_slice(&chunk[..n]);
            let keep = seen.len().saturating_sub(6);
            seen.drain(..keep);
        }
        Ok(())
    }

    fn skip(&mut self, mut bytes: usize) -> Fallible<()> {
        let mut chunk = vec![0; 256 * 1024];
        while bytes > 0 {
            let want = bytes.min(chunk.len());
            let n = self.stream.read(&mut chunk[..want])?;
            if n == 0 {
                return Err("closed".into());
            }
            bytes -= n;
        }
        Ok(())
    }
}

fn publish(
    address: SocketAddr,
    subjects: &[String],
    size: usize,
    messages: usize,
    start: &Barrier,
) -> Fallible<()> {
    let mut client = Client::open(address)?;
    let payload = "x".repeat(size);
    let one: Vec<String> =
        subjects.iter().map(|s| format!("PUB {s} {size}\r\n{payload}\r\n")).collect();
    start.wait();
    let mut out = Vec::with_capacity(80 * 1024);
    for n in 0..messages {
        out.extend_from_slice(one[n.wrapping_mul(7919) % one.len()].as_bytes());
        if out.len() > 64 * 1024 {
            client.send(&out)?;
            out.clear();
        }
    }
    client.send(&out)?;
    client.sync()
}

/// Publishers of one subject and subscribers to it, plain or as one queue group.
fn flow(server: &Server, subs: usize, size: usize, messages: usize) -> Fallible<usize> {
    let address = server.address;
    let start = Arc::new(Barrier::new(subs + 1));
    let line = format!("MSG bench.subject 1 {size}\r\n").len() + size + 2;
    let mut readers = Vec::new();
    for _ in 0..subs {
        let start = start.clone();
        readers.push(thread::spawn(move || -> Fallible<()> {
            let mut client = Client::open(address)?;
            client.send("SUB bench.subject 1\r\n")?;
            client.sync()?;
            start.wait();
            client.skip(line * messages)
        }));
    }
    publish(address, &["bench.subject".to_owned()], size, messages, &start)?;
    for r in readers {
        r.join().map_err(|_| "a subscriber failed")??;
    }
    Ok(messages * subs.max(1))
}

/// Several publishers of subjects of their own, all received by one subscriber.
fn fan_in(server: &Server, publishers: usize, size: usize, messages: usize) -> Fallible<usize> {
    let mut subscriber = Client::open(server.address)?;
    subscriber.send("SUB fan.in.* 1\r\n")?;
    subscriber.sync()?;
    let start = Arc::new(Barrier::new(publishers));
    let mut expected = 0;
    let mut threads = Vec::new();
    for n in 0..publishers {
        let subject = format!("fan.in.{n}");
        expected += messages * (format!("MSG {subject} 1 {size}\r\n").len() + size + 2);
        let (address, start) = (server.address, start.clone());
        threads.push(thread::spawn(move || publish(address, &[subject], size, messages, &start)));
    }
    subscriber.skip(expected)?;
    for t in threads {
        t.join().map_err(|_| "a publisher failed")??;
    }
    Ok(messages * publishers)
}

fn request_reply(server: &Server, requests: usize) -> Fallible<usize> {
    let mut responder = Client::open(server.address)?;
    responder.send("SUB bench.service 1\r\n")?;
    responder.sync()?;
    let mut requester = Client::open(server.address)?;
    requester.send("SUB bench.inbox 1\r\n")?;
    requester.sync()?;
    let request = b"PUB bench.service bench.inbox 2\r\nhi\r\n";
    let delivered = b"MSG bench.service 1 bench.inbox 2\r\nhi\r\n".len();
    let reply = b"PUB bench.inbox 2\r\nho\r\n";
    let answered = b"MSG bench.inbox 1 2\r\nho\r\n".len();
    for _ in 0..requests {
        requester.send(request)?;
        responder.skip(delivered)?;
        responder.send(reply)?;
        requester.skip(answered)?;
    }
    Ok(requests * 2)
}

fn many_subjects(server: &Server, subscriptions: usize, messages: usize) -> Fallible<usize> {
    let mut subscriber = Client::open(server.address)?;
    let subjects: Vec<String> =
        (0..subscriptions).map(|n| format!("bench.{}.{}.{n}", n % 100, n / 100 % 100)).collect();
    for chunk in subjects.chunks(1000) {
        let lines: String =
            chunk.iter().enumerate().map(|(n, s)| format!("SUB {s} {s}.{n}\r\n")).collect();
        subscriber.send(lines)?;
    }
    subscriber.sync()?;
    let stream = subscriber.stream.try_clone()?;
    thread::spawn(move || {
        let mut stream = stream;
        let mut chunk = vec![0; 256 * 1024];
        while stream.read(&mut chunk).is_ok_and(|n| n > 0) {}
    });
    publish(server.address, &subjects, 16, messages, &Barrier::new(1))?;
    Ok(messages)
}

fn idle(server: &Server, connections: usize) -> Fallible<usize> {
    let (_, before) = server.usage();
    let open: Fallible<Vec<Client>> = (0..connections)
        .map(|n| {
            let mut c = Client::open(server.address)?;
            c.send(format!("SUB bench.idle.{n} 1\r\n"))?;
            c.sync()?;
            Ok(c)
        })
        .collect();
    let open = open?;
    let (_, after) = server.usage();
    let each = after.saturating_sub(before) as f64 / open.len() as f64;
    println!("{:<44} {each:>8.2} KiB resident per connection", "");
    Ok(connections)
}

type Scenario = (&'static str, fn(&Server, usize) -> Fallible<usize>);

const SCENARIOS: [Scenario; 11] = [
    ("publish/subs=0/size=16", |s, n| flow(s, 0, 16, 200_000 * n)),
    ("publish/subs=0/size=1024", |s, n| flow(s, 0, 1024, 50_000 * n)),
    ("fan_out/subs=1/size=16", |s, n| flow(s, 1, 16, 100_000 * n)),
    ("fan_out/subs=1/size=1024", |s, n| flow(s, 1, 1024, 25_000 * n)),
    ("fan_out/subs=10/size=16", |s, n| flow(s, 10, 16, 20_000 * n)),
    ("fan_out/subs=100/size=128", |s, n| flow(s, 100, 128, 2_000 * n)),
    ("fan_in/pubs=20/size=1024", |s, n| fan_in(s, 20, 1024, 1_000 * n)),
    ("fan_in/pubs=20/size=131072", |s, n| fan_in(s, 20, 131_072, 10 * n)),
    ("request_reply/inflight=1", |s, n| request_reply(s, 2_000 * n)),
    ("scattered_subjects/subs=100000", |s, n| many_subjects(s, 100_000, 50_000 * n)),
    ("idle_connections/conns=500", |s, _| idle(s, 500)),
];

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Cargo says `--bench` when it is to measure.
    let given = |flag: &str| arguments.iter().any(|a| a == flag);
    let brief = given("--test") || !given("--bench");
    let chosen: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    println!("{:<44} {:>14} {:>16}", "scenario", "messages/s", "CPU µs/message");
    for (name, run) in SCENARIOS {
        if !chosen.is_empty() && !chosen.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let server = Server::start()?;
        let (cpu, _) = server.usage();
        let begin = Instant::now();
        let messages = run(&server, if brief { 1 } else { 20 })? as f64;
        let seconds = begin.elapsed().as_secs_f64();
        let used = server.usage().0 - cpu;
        println!("{name:<44} {:>14.0} {:>16.3}", messages / seconds, used * 1e6 / messages);
    }
    Ok(())
}
