//! A server process for the checks, and raw connections to it.

use std::io;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

/// How long one thing that must happen may take.
pub const STEP: Duration = Duration::from_secs(15);

/// Anything that makes a scenario fail.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A server on a port of its own, which it keeps when it is started again; killed when dropped.
pub struct Server {
    args: Vec<String>,
    pub port: i32,
    pub monitor_port: u16,
    process: Option<Child>,
}

impl Server {
    /// Starts a server with these arguments.
    pub async fn start(args: &[&str]) -> Result<Server, Failure> {
        let args = args.iter().map(|&a| a.to_owned()).collect();
        let mut server = Server { args, port: -1, monitor_port: 0, process: None };
        server.start_again().await?;
        Ok(server)
    }

    /// Runs the process and waits until it says that it is ready.
    pub async fn start_again(&mut self) -> Result<(), Failure> {
        let mut command = Command::new(std::env::var("NATS_SERVER_BIN")?);
        command.args(["-a", "127.0.0.1"]).args(&self.args).args(["-p", &self.port.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.kill_on_drop(true).spawn()?;
        let output = process.stderr.take().ok_or("no pipe")?;
        self.process = Some(process);
        let mut lines = BufReader::new(output).lines();
        timeout(STEP, self.read_until_ready(&mut lines)).await??;
        // The pipe is emptied, or else the server would wait for us when it logs much.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(())
    }

    async fn read_until_ready(
        &mut self,
        lines: &mut Lines<BufReader<ChildStderr>>,
    ) -> Result<(), Failure> {
        let mut seen = String::new();
        while let Some(line) = lines.next_line().await? {
            seen.push_str(&line);
            seen.push('\n');
            let port = line.rsplit(':').next();
            if line.contains("Listening for client connections on ") {
                self.port = port.ok_or("no port")?.parse()?;
            } else if line.contains("Starting http monitor on ") {
                self.monitor_port = port.ok_or("no port")?.parse()?;
            } else if line.contains("Server is ready") {
                return Ok(());
            }
        }
        Err(format!("the server ended: {seen}").into())
    }

    /// Ends the server at once, as a crash would.
    pub async fn kill(&mut self) -> Result<(), Failure> {
        if let Some(mut process) = self.process.take() {
            timeout(STEP, process.kill()).await??;
        }
        Ok(())
    }

    /// Asks the server to leave gracefully.
    pub async fn lame_duck(&self) -> Result<(), Failure> {
        let id = self.process.as_ref().and_then(Child::id).ok_or("no process")?;
        let sent = Command::new("kill").args(["-USR2", &id.to_string()]).status();
        if timeout(STEP, sent).await??.success() { Ok(()) } else { Err("kill failed".into()) }
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Sends bytes to the client port and returns what comes back until the server closes.
    pub async fn raw(&self, data: &str) -> Result<String, Failure> {
        talk(u16::try_from(self.port)?, data).await
    }

    /// The answer of the monitoring port.
    pub async fn monitor(&self, path: &str) -> Result<String, Failure> {
        talk(self.monitor_port, &format!("GET {path} HTTP/1.0\r\n\r\n")).await
    }
}

async fn talk(port: u16, data: &str) -> Result<String, Failure> {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(data.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    Ok(timeout(STEP, exchange).await??)
}
