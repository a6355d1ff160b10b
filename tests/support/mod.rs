//! The real server binary on an ephemeral port, and a client that speaks bytes.
//!
//! Everything waits for a condition with a deadline; nothing sleeps for a fixed time.
#![allow(dead_code)] // Each test binary uses its part.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long anything that must happen may take; generous, because nothing waits for it in vain.
pub const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Log {
    lines: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

/// A running server. Killed when dropped.
pub struct Server {
    child: Child,
    log: Arc<Log>,
    pub dir: tempfile::TempDir,
    address: Option<SocketAddr>,
}

impl Server {
    /// Starts a server that listens on a free port of the loopback interface, with `config` added
    /// to its configuration file, and waits until it is ready.
    pub fn start(config: &str) -> Server {
        Server::start_with(config, &[])
    }

    /// The same with more command-line arguments.
    pub fn start_with(config: &str, args: &[&str]) -> Server {
        let config = format!("listen: \"127.0.0.1:-1\"\n{config}\n");
        Server::launch(Some(&config), args).listening()
    }

    fn listening(mut self) -> Server {
        let line = self.wait_for_log("Listening for client connections on ");
        self.address = line.rsplit(' ').next().and_then(|a| a.parse().ok());
        self.wait_for_log("Server is ready");
        assert!(self.address.is_some(), "no address in {line:?}");
        self
    }

    /// Starts it with at most that many open files.
    pub fn start_with_open_files(limit: usize, config: &str) -> Server {
        let mut command = Command::new("sh");
        let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
        command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_nats-server"));
        let config = format!("listen: \"127.0.0.1:-1\"\n{config}\n");
        Server::spawn(command, Some(&config), &[]).listening()
    }

    /// Starts the binary as it is told to; for starts that are expected to fail.
    pub fn launch(config: Option<&str>, args: &[&str]) -> Server {
        Server::spawn(Command::new(env!("CARGO_BIN_EXE_nats-server")), config, args)
    }

    fn spawn(mut command: Command, config: Option<&str>, args: &[&str]) -> Server {
        let dir = tempfile::tempdir().expect("temporary directory");
        if let Some(text) = config {
            let path = dir.path().join("server.conf");
            std::fs::write(&path, text).expect("configuration file");
            command.arg("-c").arg(path);
        }
        command.args(args).current_dir(dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("server starts");
        let log = Arc::new(Log::default());
        let pipes: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stderr.take().expect("piped")),
            Box::new(child.stdout.take().expect("piped")),
        ];
        let open = Arc::new(std::sync::atomic::AtomicUsize::new(pipes.len()));
        for pipe in pipes {
            let (log, open) = (log.clone(), open.clone());
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines() {
                    let Ok(line) = line else { break };
                    log.lines.lock().unwrap().0.push(line);
                    log.changed.notify_all();
                }
                if open.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1 {
                    log.lines.lock().unwrap().1 = true;
                    log.changed.notify_all();
                }
            });
        }
        Server { child, log, dir, address: None }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("the server listens")
    }

    /// The client port.
    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// `nats://host:port`.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// A file or directory in the server's working directory.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Replaces the configuration file.
    pub fn rewrite_config(&self, config: &str) {
        let text = format!("listen: \"{}\"\n{config}\n", self.address());
        std::fs::write(self.path("server.conf"), text).expect("configuration file");
    }

    /// Replaces the configuration file and has it reloaded.
    pub fn reload(&self, config: &str) -> Result<(), String> {
        self.rewrite_config(config);
        self.reload_file()
    }

    /// Has the configuration file reloaded; returns the text of the refusal if it is refused.
    pub fn reload_file(&self) -> Result<(), String> {
        const DONE: &str = "Reloaded server configuration";
        const REFUSED: &str = "Failed to reload server configuration: ";
        let outcomes = || -> Vec<String> {
            let lines = self.log_lines().into_iter();
            lines.filter(|l| l.contains(DONE) || l.contains(REFUSED)).collect()
        };
        let before = outcomes().len();
        self.signal("HUP");
        let outcome = wait_until("a reload", || outcomes().get(before).cloned());
        match outcome.split_once(REFUSED) {
            None => Ok(()),
            Some((_, text)) => Err(text.to_owned()),
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("status of the process");
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).expect("resident memory");
        let kib = line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok());
        kib.expect("a number") * 1024
    }

    /// What the monitoring port, which must be configured, answers.
    pub fn monitor(&self, path: &str) -> serde_json::Value {
        let line = self.wait_for_log("Starting http monitor on ");
        let address = line.rsplit(' ').next().expect("an address");
        let mut stream = TcpStream::connect(address).expect("monitoring answers");
        stream.set_read_timeout(Some(DEADLINE)).expect("timeout");
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("sends");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}"))
    }

    /// Waits until monitoring says what `is` wants.
    pub fn wait_for_monitor(
        &self,
        path: &str,
        is: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        wait_until(path, || Some(self.monitor(path)).filter(&is))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: &str) {
        let status =
            Command::new("kill").arg(format!("-{signal}")).arg(self.pid().to_string()).status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits until a line of the log contains `text`; returns the line.
    pub fn wait_for_log(&self, text: &str) -> String {
        let until = Instant::now() + DEADLINE;
        let mut lines = self.log.lines.lock().unwrap();
        loop {
            if let Some(line) = lines.0.iter().find(|l| l.contains(text)) {
                return line.clone();
            }
            let now = Instant::now();
            assert!(
                now < until && !lines.1,
                "no log line with {text:?} in:\n{}",
                lines.0.join("\n")
            );
            lines = self.log.changed.wait_timeout(lines, until - now).unwrap().0;
        }
    }

    /// All lines so far.
    pub fn log_lines(&self) -> Vec<String> {
        self.log.lines.lock().unwrap().0.clone()
    }

    /// Waits for the process to end; returns its exit code and everything it printed.
    pub fn wait_for_exit(&mut self) -> (Option<i32>, String) {
        let status = wait_until("the server exits", || self.child.try_wait().expect("waits"));
        let until = Instant::now() + DEADLINE;
        let mut lines = self.log.lines.lock().unwrap();
        while !lines.1 {
            let now = Instant::now();
            assert!(now < until, "the server's output stays open");
            lines = self.log.changed.wait_timeout(lines, until - now).unwrap().0;
        }
        (status.code(), lines.0.join("\n"))
    }

    /// A connection that has read INFO and sent nothing.
    pub fn connect(&self) -> Wire {
        Wire::open(self.address())
    }

    /// A connection after a CONNECT with `verbose:false` and what `options` (JSON members) adds. It
    /// answers the server's PINGs when it reads.
    pub fn client(&self, options: &str) -> Wire {
        let mut wire = self.connect();
        wire.answer_pings();
        let comma = if options.is_empty() { "" } else { "," };
        wire.send(format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false{comma}{options}}}\r\nPING\r\n"
        ));
        wire.until_pong();
        wire
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls `f` until it gives something.
pub fn wait_until<T>(what: &str, mut f: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(v) = f() {
            return v;
        }
        assert!(Instant::now() < until, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A connection that sends and reads bytes.
pub struct Wire {
    pub stream: TcpStream,
    buffer: Vec<u8>,
    pings: Option<PingFilter>,
    pub info: serde_json::Value,
}

/// Takes the server's PINGs out of what it sends, whose time no test can know.
#[derive(Default)]
struct PingFilter {
    /// The beginning of a line.
    line: Vec<u8>,
    /// Bytes of a payload and its line end that are still to come.
    payload_left: usize,
    /// PINGs taken out and not answered yet.
    unanswered: usize,
}

impl PingFilter {
    /// Appends everything but PINGs to `out`.
    fn pass(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let (payload, rest) = bytes.split_at(self.payload_left.min(bytes.len()));
                out.extend_from_slice(payload);
                self.payload_left -= payload.len();
                bytes = rest;
                continue;
            }
            let Some(end) = bytes.iter().position(|b| *b == b'\n') else {
                return self.line.extend_from_slice(bytes);
            };
            let (rest_of_line, rest) = bytes.split_at(end + 1);
            self.line.extend_from_slice(rest_of_line);
            bytes = rest;
            if self.line == b"PING\r\n" {
                self.unanswered += 1;
            } else {
                if self.line.starts_with(b"MSG ") || self.line.starts_with(b"HMSG ") {
                    let line = String::from_utf8_lossy(&self.line);
                    let size = line.trim_end().rsplit(' ').next().and_then(|n| n.parse().ok());
                    self.payload_left = size.map_or(0, |n: usize| n + 2);
                }
                out.extend_from_slice(&self.line);
            }
            self.line.clear();
        }
    }
}

impl Wire {
    /// Connects and reads INFO.
    pub fn open(address: SocketAddr) -> Wire {
        let mut wire = Wire::raw(address);
        wire.take_first_info();
        wire
    }

    /// Reads the INFO that every connection begins with.
    pub fn take_first_info(&mut self) {
        self.info = self.next_info();
    }

    /// Connects and reads nothing.
    pub fn raw(address: SocketAddr) -> Wire {
        Wire::over(TcpStream::connect(address).expect("connects"))
    }

    /// Over a connection that was made elsewhere; reads nothing.
    pub fn over(stream: TcpStream) -> Wire {
        stream.set_nodelay(true).expect("nodelay");
        stream.set_read_timeout(Some(DEADLINE)).expect("timeout");
        stream.set_write_timeout(Some(DEADLINE)).expect("timeout");
        Wire { stream, buffer: Vec::new(), pings: None, info: serde_json::Value::Null }
    }

    /// Answers the server's PINGs from now on, and does not show them.
    pub fn answer_pings(&mut self) {
        self.pings = Some(PingFilter::default());
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("sends");
    }

    /// Sends bytes to a peer that may close meanwhile.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Reads more; `false` at the end.
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 64 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => {
                if let Some(filter) = &mut self.pings {
                    self.buffer.append(&mut filter.line);
                }
                false
            }
            Ok(n) => {
                match &mut self.pings {
                    None => self.buffer.extend_from_slice(&chunk[..n]),
                    Some(filter) => {
                        filter.pass(&chunk[..n], &mut self.buffer);
                        for _ in 0..std::mem::take(&mut filter.unanswered) {
                            // The server may have closed meanwhile; the next read will tell.
                            let _ = self.stream.write_all(b"PONG\r\n");
                        }
                    }
                }
                true
            }
            // A peer that closes with bytes of ours unread resets the connection.
            Err(e) if e.kind() == ErrorKind::ConnectionReset => false,
            Err(e) => panic!("read failed after {:?}: {e}", String::from_utf8_lossy(&self.buffer)),
        }
    }

    /// The next line, without its end.
    pub fn line(&mut self) -> String {
        self.try_line().expect("a line before the connection closes")
    }

    /// The next line, or nothing at the end of the connection.
    pub fn try_line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=at).collect();
                let line = String::from_utf8_lossy(&line);
                return Some(line.trim_end_matches(['\r', '\n']).to_owned());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Exactly `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        let bytes = self.try_bytes(n);
        bytes.unwrap_or_else(|| panic!("closed after {:?}", String::from_utf8_lossy(&self.buffer)))
    }

    /// Exactly `n` bytes, or nothing if the connection ends before.
    pub fn try_bytes(&mut self, n: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < n {
            if !self.fill() {
                return None;
            }
        }
        Some(self.buffer.drain(..n).collect())
    }

    /// Checks that exactly these bytes come next.
    pub fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let want = bytes.as_ref();
        while self.buffer.len() < want.len() && want.starts_with(&self.buffer) {
            assert!(
                self.fill(),
                "closed after {:?}, expected {:?}",
                String::from_utf8_lossy(&self.buffer),
                String::from_utf8_lossy(want)
            );
        }
        let n = want.len().min(self.buffer.len());
        let got: Vec<u8> = self.buffer.drain(..n).collect();
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(want));
    }

    /// Checks that a line `-ERR '<text>'` comes next.
    pub fn expect_error(&mut self, text: &str) {
        assert_eq!(self.line(), format!("-ERR '{text}'"));
    }

    /// PING, and everything up to its PONG: what has been sent is processed.
    pub fn sync(&mut self) -> Vec<String> {
        self.send("PING\r\n");
        self.until_pong()
    }

    /// All lines up to a PONG; INFO lines are kept in `info`.
    pub fn until_pong(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            if line == "PONG" {
                // The INFO that follows the first PONG is written with it.
                self.take_info();
                return lines;
            }
            lines.push(line);
        }
    }

    fn take_info(&mut self) {
        while self.buffer.starts_with(b"INFO ") {
            let line = self.line();
            self.info = serde_json::from_str(&line[5..]).expect("INFO is JSON");
        }
    }

    /// The next INFO line, which must be what comes next.
    pub fn next_info(&mut self) -> serde_json::Value {
        let line = self.line();
        let json = line.strip_prefix("INFO ").unwrap_or_else(|| panic!("no INFO: {line:?}"));
        serde_json::from_str(json).expect("INFO is JSON")
    }

    /// The next message: its control line and its payload.
    pub fn message(&mut self) -> (String, Vec<u8>) {
        let line = self.line();
        assert!(line.starts_with("MSG ") || line.starts_with("HMSG "), "not a message: {line:?}");
        let size: usize = line.rsplit(' ').next().and_then(|s| s.parse().ok()).expect("a size");
        let payload = self.bytes(size);
        self.expect("\r\n");
        (line, payload)
    }

    /// Checks that the server closes the connection without another byte.
    pub fn expect_close(&mut self) {
        while self.fill() {}
        assert_eq!(String::from_utf8_lossy(&self.buffer), "");
    }

    /// Checks that nothing but a PONG answers a PING.
    pub fn expect_nothing(&mut self) {
        assert_eq!(self.sync(), Vec::<String>::new());
    }
}
