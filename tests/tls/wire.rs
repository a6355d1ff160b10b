//! A client of the test that speaks TLS.

use super::certificates::{Authority, Pair};
use super::support::DEADLINE;
use eventloop::rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use eventloop::rustls::pki_types::ServerName;
use eventloop::rustls::{
    self, ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion,
};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// How a client connects.
#[derive(Clone)]
pub struct Setup {
    pub roots: Vec<rustls::pki_types::CertificateDer<'static>>,
    pub certificate: Option<Pair>,
    pub versions: Vec<&'static SupportedProtocolVersion>,
    pub groups: Option<Vec<&'static dyn SupportedKxGroup>>,
    pub suites: Option<Vec<rustls::SupportedCipherSuite>>,
    pub name: &'static str,
}

impl Setup {
    /// A client that trusts the authority.
    pub fn new(authority: &Authority) -> Setup {
        Setup {
            roots: vec![authority.der()],
            certificate: None,
            versions: vec![&rustls::version::TLS13, &rustls::version::TLS12],
            groups: None,
            suites: None,
            name: "localhost",
        }
    }

    pub fn with_certificate(mut self, pair: &Pair) -> Setup {
        self.certificate = Some(pair.clone());
        self
    }

    pub fn session(&self) -> ClientConnection {
        let name = ServerName::try_from(self.name).unwrap();
        ClientConnection::new(self.config(), name).unwrap()
    }

    pub fn config(&self) -> Arc<ClientConfig> {
        let mut provider: CryptoProvider = aws_lc_rs::default_provider();
        if let Some(groups) = &self.groups {
            provider.kx_groups.clone_from(groups);
        }
        if let Some(suites) = &self.suites {
            provider.cipher_suites.clone_from(suites);
        }
        let mut roots = RootCertStore::empty();
        for root in &self.roots {
            roots.add(root.clone()).unwrap();
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match &self.certificate {
            Some(pair) => builder.with_client_auth_cert(vec![pair.der()], pair.key_der()).unwrap(),
            None => builder.with_no_client_auth(),
        };
        Arc::new(config)
    }
}

/// A connection that is encrypted.
pub struct Secure {
    pub stream: rustls::StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
    pub info: serde_json::Value,
}

pub fn open(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connects");
    stream.set_nodelay(true).expect("nodelay");
    stream.set_read_timeout(Some(DEADLINE)).expect("timeout");
    stream.set_write_timeout(Some(DEADLINE)).expect("timeout");
    stream
}

/// Reads a line byte by byte, so that nothing behind it is taken.
pub fn plain_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a line");
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

pub fn info_of(line: &str) -> serde_json::Value {
    let json = line.strip_prefix("INFO ").unwrap_or_else(|| panic!("no INFO: {line:?}"));
    serde_json::from_str(json).expect("INFO is JSON")
}

impl Secure {
    /// Encrypts a connection that has been told to.
    pub fn upgrade(stream: TcpStream, setup: &Setup) -> io::Result<Secure> {
        Secure::begin(stream, setup.session())
    }

    fn begin(stream: TcpStream, session: ClientConnection) -> io::Result<Secure> {
        let mut stream = rustls::StreamOwned::new(session, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Secure { stream, buffer: Vec::new(), info: serde_json::Value::Null })
    }

    /// Connects with a configuration that is used again, so that sessions are resumed.
    pub fn connect_with(address: SocketAddr, config: &Arc<ClientConfig>) -> Secure {
        let mut plain = open(address);
        plain_line(&mut plain);
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(config.clone(), name).unwrap();
        Secure::begin(plain, session).expect("the handshake ends well")
    }

    /// Reads INFO in the clear, then encrypts.
    pub fn try_connect(address: SocketAddr, setup: &Setup) -> io::Result<Secure> {
        let mut plain = open(address);
        let info = info_of(&plain_line(&mut plain));
        let mut secure = Secure::upgrade(plain, setup)?;
        secure.info = info;
        Ok(secure)
    }

    pub fn connect(address: SocketAddr, setup: &Setup) -> Secure {
        Secure::try_connect(address, setup).expect("the handshake ends well")
    }

    /// After CONNECT and its PONG; fails where the server ends the connection.
    pub fn try_client(address: SocketAddr, setup: &Setup, options: &str) -> io::Result<Secure> {
        let mut secure = Secure::try_connect(address, setup)?;
        secure.try_greet(options)?;
        Ok(secure)
    }

    pub fn client(address: SocketAddr, setup: &Setup) -> Secure {
        Secure::try_client(address, setup, "").expect("the server answers")
    }

    /// CONNECT, PING and the PONG.
    pub fn try_greet(&mut self, options: &str) -> io::Result<()> {
        let comma = if options.is_empty() { "" } else { "," };
        self.stream.write_all(
            format!("CONNECT {{\"verbose\":false,\"pedantic\":false{comma}{options}}}\r\nPING\r\n")
                .as_bytes(),
        )?;
        let line = self.try_line()?;
        if line == "PONG" { Ok(()) } else { Err(io::Error::other(line)) }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("sends");
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = vec![0; 64 * 1024];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.buffer.extend_from_slice(&chunk[..n]);
                Ok(())
            }
        }
    }

    pub fn try_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=at).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            self.fill()?;
        }
    }

    pub fn line(&mut self) -> String {
        self.try_line().expect("a line")
    }

    pub fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let want = bytes.as_ref();
        // The server's PINGs stand between messages, and come when they like.
        while self.buffer.len() < 6 && want.len() >= 6 {
            self.fill().expect("more bytes");
        }
        if self.buffer.starts_with(b"PING\r\n") && !want.starts_with(b"PING") {
            self.buffer.drain(..6);
        }
        while self.buffer.len() < want.len() {
            self.fill().expect("more bytes");
        }
        let got: Vec<u8> = self.buffer.drain(..want.len()).collect();
        assert!(got == want, "{} bytes differ", want.len());
    }

    /// PING and PONG: what has been sent is processed.
    pub fn sync(&mut self) {
        self.send("PING\r\n");
        let mut line = self.line();
        while line == "PING" {
            line = self.line();
        }
        assert_eq!(line, "PONG");
    }
}
