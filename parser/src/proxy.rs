//! The PROXY protocol header that a load balancer may put before a client's
//! bytes, versions 1 (text) and 2 (binary).
//!
//! ```text
//! v1:  PROXY TCP4|TCP6 <src> <dst> <src port> <dst port> CR LF     at most 107 bytes
//!      PROXY UNKNOWN ... CR LF
//!
//! v2:  0        12        13            14       16
//!      | signature | ver/cmd | family/transport | length | addresses, extensions
//! ```
//!
//! A connection that begins with neither is a direct one, and its bytes belong
//! to the next layer. So do the bytes behind a header.
//!
//! The decoder has the buffer contract of the parsers: the caller carries what
//! is not consumed. At most 107 bytes are ever carried; the extensions of
//! version 2, up to 64 KiB, are skipped as they come. Timeouts are the caller's;
//! it asks the decoder for the text that tells what was being read.
//!
//! Implements spec 01 §11.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::quote::quote;

const V1_PREFIX: &[u8] = b"PROXY ";
const V1_MAX_LINE: usize = 107;
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes that tell the versions and a direct connection apart.
pub const DETECT_LEN: usize = 6;
const V2_HEADER_LEN: usize = 16;
const V2_IPV4_LEN: usize = 12;
const V2_IPV6_LEN: usize = 36;

/// The two ends of the connection that was proxied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The client.
    pub source: SocketAddr,
    /// What the client connected to.
    pub destination: SocketAddr,
}

/// What the bytes so far amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// More bytes are needed.
    NeedMore,
    /// No PROXY header; nothing was consumed.
    Direct,
    /// A header, consumed. Without addresses it was a health check by the proxy
    /// itself, and the socket's own address stands.
    Done(Option<Addresses>),
}

/// Why a PROXY header is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyError {
    /// Version 2 signature wrong behind its first six bytes.
    Signature,
    /// Version 2 header of another version; the version bits.
    Version(u8),
    /// Version 2 command unknown.
    Command(u8),
    /// Version 2 transport that is not a stream.
    Transport,
    /// Version 2 address family unsupported; the family bits.
    Family(u8),
    /// Version 2 IPv4 addresses do not fit the announced length.
    ShortIpv4(u16),
    /// Version 2 IPv6 addresses do not fit the announced length.
    ShortIpv6(u16),
    /// Version 1 line without its end within 107 bytes.
    LineTooLong,
    /// Version 1 line with a wrong number of fields.
    Format,
    /// Version 1 address that is none.
    Address,
    /// Version 1 source port; the reason.
    SourcePort(String),
    /// Version 1 destination port; the reason.
    DestinationPort(String),
    /// Version 1 TCP4 with an IPv6 address.
    Tcp4WithIpv6,
    /// Version 1 TCP6 with an IPv4 address.
    Tcp6WithIpv4,
    /// Version 1 with another protocol; its name.
    Protocol(String),
}

impl std::fmt::Display for ProxyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const INVALID: &str = "invalid PROXY protocol header";
        const UNSUPPORTED: &str = "unsupported PROXY protocol feature";
        match self {
            Self::Signature => write!(f, "{INVALID}: invalid signature"),
            Self::Version(bits) => write!(f, "{INVALID}: invalid version 0x{bits:02x}"),
            Self::Command(command) => {
                write!(f, "unknown PROXY protocol command: 0x{command:02x}")
            }
            Self::Transport => write!(f, "{UNSUPPORTED}: only STREAM protocol supported"),
            Self::Family(bits) => {
                write!(f, "{UNSUPPORTED}: unsupported address family 0x{bits:02x}")
            }
            Self::ShortIpv4(len) => write!(f, "IPv4 address data too short: {len} bytes"),
            Self::ShortIpv6(len) => write!(f, "IPv6 address data too short: {len} bytes"),
            Self::LineTooLong => write!(f, "{INVALID}: v1 line too long"),
            Self::Format => write!(f, "{INVALID}: invalid v1 format"),
            Self::Address => write!(f, "{INVALID}: invalid address"),
            Self::SourcePort(reason) => write!(f, "invalid source port: {reason}"),
            Self::DestinationPort(reason) => write!(f, "invalid dest port: {reason}"),
            Self::Tcp4WithIpv6 => write!(f, "{INVALID}: TCP4 with IPv6 address"),
            Self::Tcp6WithIpv4 => write!(f, "{INVALID}: TCP6 with IPv4 address"),
            Self::Protocol(name) => write!(f, "{INVALID}: invalid protocol {name}"),
        }
    }
}

impl std::error::Error for ProxyError {}

/// A resumable decoder for one connection's PROXY header.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    stage: Stage,
    /// Bytes carried when the last call asked for more.
    carried: usize,
}

/// What is being read. Offsets count from `*pos`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Detect,
    V1Line,
    V2Signature,
    V2Header,
    V2Addresses {
        family: Family,
        len: u16,
    },
    /// Extensions or addresses that are not used, `left` bytes of them; `outcome`
    /// is known already.
    Skip {
        what: Skipped,
        left: u16,
        addresses: Option<Addresses>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Ipv4,
    Ipv6,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skipped {
    Local,
    Unspecified,
    Extensions(Family),
}

impl Decoder {
    /// A decoder at the beginning of a connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes `buf`, which holds the bytes carried over (those from `*pos` on
    /// when the last call gave `NeedMore`) followed by new ones, and moves
    /// `*pos` behind what was consumed.
    ///
    /// # Errors
    /// See [`ProxyError`]; the connection is to be closed.
    pub fn decode(&mut self, buf: &[u8], pos: &mut usize) -> Result<Outcome, ProxyError> {
        loop {
            let rest = buf.get(*pos..).unwrap_or_default();
            let step = match self.stage {
                Stage::Detect => detect(rest),
                Stage::V1Line => v1_line(rest, pos)?,
                Stage::V2Signature => v2_signature(rest)?,
                Stage::V2Header => v2_header(rest, pos)?,
                Stage::V2Addresses { family, len } => v2_addresses(family, len, rest, pos),
                Stage::Skip { what, left, addresses } => skip(what, left, addresses, rest, pos),
            };
            match step {
                Step::To(stage) => self.stage = stage,
                Step::Wait => {
                    self.carried = buf.len().saturating_sub(*pos);
                    return Ok(Outcome::NeedMore);
                }
                Step::Skipping(stage) => {
                    self.stage = stage;
                    self.carried = 0;
                    return Ok(Outcome::NeedMore);
                }
                Step::Done(outcome) => return Ok(outcome),
            }
        }
    }

    /// The error text when reading failed for the reason `cause`, such as a
    /// timeout: it tells what was being read.
    #[must_use]
    pub fn read_error(&self, cause: &str) -> String {
        let reading = match self.stage {
            Stage::Detect => "failed to read protocol version",
            Stage::V1Line => "failed to read v1 line",
            Stage::V2Signature => "failed to read v2 signature",
            Stage::V2Header => "failed to read v2 header",
            Stage::Skip { what: Skipped::Local, .. } => {
                "failed to discard LOCAL command address data"
            }
            Stage::Skip { what: Skipped::Unspecified, .. } => {
                "failed to discard UNSPEC address address data"
            }
            Stage::V2Addresses { family: Family::Ipv4, .. }
            | Stage::Skip { what: Skipped::Extensions(Family::Ipv4), .. } => {
                "failed to read IPv4 address data"
            }
            Stage::V2Addresses { family: Family::Ipv6, .. }
            | Stage::Skip { what: Skipped::Extensions(Family::Ipv6), .. } => {
                "failed to read IPv6 address data"
            }
        };
        format!("{reading}: {cause}")
    }

    /// The error text when the peer closed its side before the header ended.
    #[must_use]
    pub fn eof_error(&self) -> String {
        let cut = match self.stage {
            // The carried bytes include those of the stages before.
            Stage::Detect | Stage::V2Addresses { .. } => self.carried > 0,
            Stage::V2Signature => self.carried > DETECT_LEN,
            Stage::V2Header => self.carried > V2_SIGNATURE.len(),
            Stage::Skip { what: Skipped::Extensions(_), .. } => true,
            Stage::V1Line | Stage::Skip { .. } => false,
        };
        self.read_error(if cut { "unexpected EOF" } else { "EOF" })
    }
}

enum Step {
    To(Stage),
    Wait,
    /// Everything present was consumed, the rest is in the stage.
    Skipping(Stage),
    Done(Outcome),
}

fn detect(rest: &[u8]) -> Step {
    match rest.get(..DETECT_LEN) {
        None => Step::Wait,
        Some(head) if head == V1_PREFIX => Step::To(Stage::V1Line),
        Some(head) if V2_SIGNATURE.starts_with(head) => Step::To(Stage::V2Signature),
        Some(_) => Step::Done(Outcome::Direct),
    }
}

fn v1_line(rest: &[u8], pos: &mut usize) -> Result<Step, ProxyError> {
    let line = rest.get(..V1_MAX_LINE).unwrap_or(rest);
    let body = line.get(V1_PREFIX.len()..).unwrap_or_default();
    let Some(body_len) = memchr::memmem::find(body, b"\r\n") else {
        return match line.len() {
            V1_MAX_LINE => Err(ProxyError::LineTooLong),
            _ => Ok(Step::Wait),
        };
    };
    let addresses = v1_addresses(body.get(..body_len).unwrap_or_default())?;
    *pos += V1_PREFIX.len() + body_len + 2;
    Ok(Step::Done(Outcome::Done(addresses)))
}

fn v1_addresses(body: &[u8]) -> Result<Option<Addresses>, ProxyError> {
    let fields = fields(body);
    let Some(protocol) = fields.first() else { return Err(ProxyError::Format) };
    if *protocol == b"UNKNOWN" {
        return Ok(None);
    }
    let &[_, source, destination, source_port, destination_port] = fields.as_slice() else {
        return Err(ProxyError::Format);
    };
    let source_ip = ip(source)?;
    let destination_ip = ip(destination)?;
    let source_port = port(source_port).map_err(ProxyError::SourcePort)?;
    let destination_port = port(destination_port).map_err(ProxyError::DestinationPort)?;
    // What was written decides the family: an IPv4 address mapped into IPv6 is
    // what a dual-stack proxy sends as TCP6.
    let is_v6 = |text: &[u8]| text.contains(&b':');
    match *protocol {
        b"TCP4" if is_v6(source) || is_v6(destination) => Err(ProxyError::Tcp4WithIpv6),
        b"TCP6" if !is_v6(source) || !is_v6(destination) => Err(ProxyError::Tcp6WithIpv4),
        b"TCP4" | b"TCP6" => Ok(Some(Addresses {
            source: SocketAddr::new(source_ip, source_port),
            destination: SocketAddr::new(destination_ip, destination_port),
        })),
        _ => Err(ProxyError::Protocol(String::from_utf8_lossy(protocol).into_owned())),
    }
}

/// Splits around white space, of which Unicode knows more than ASCII.
fn fields(body: &[u8]) -> Vec<&[u8]> {
    let mut fields = Vec::new();
    let mut at = 0;
    let mut field_start = None;
    for chunk in body.utf8_chunks() {
        for character in chunk.valid().chars() {
            match (character.is_whitespace(), field_start) {
                (true, Some(start)) => {
                    fields.extend(body.get(start..at));
                    field_start = None;
                }
                (false, None) => field_start = Some(at),
                _ => {}
            }
            at += character.len_utf8();
        }
        if !chunk.invalid().is_empty() && field_start.is_none() {
            field_start = Some(at);
        }
        at += chunk.invalid().len();
    }
    if let Some(start) = field_start {
        fields.extend(body.get(start..));
    }
    fields
}

fn ip(text: &[u8]) -> Result<IpAddr, ProxyError> {
    let text = std::str::from_utf8(text).map_err(|_| ProxyError::Address)?;
    let address: IpAddr = text.parse().map_err(|_| ProxyError::Address)?;
    Ok(address.to_canonical())
}

/// A port, or the reason why it is none.
fn port(text: &[u8]) -> Result<u16, String> {
    let refuse =
        |reason: &str| Err(format!("strconv.ParseUint: parsing {}: {reason}", quote(text)));
    let mut port = 0u16;
    for digit in text {
        if !digit.is_ascii_digit() {
            return refuse("invalid syntax");
        }
        let next = port.checked_mul(10).and_then(|port| port.checked_add(u16::from(digit - b'0')));
        let Some(next) = next else { return refuse("value out of range") };
        port = next;
    }
    Ok(port)
}

fn v2_signature(rest: &[u8]) -> Result<Step, ProxyError> {
    match rest.get(..V2_SIGNATURE.len()) {
        None => Ok(Step::Wait),
        Some(signature) if signature == V2_SIGNATURE => Ok(Step::To(Stage::V2Header)),
        Some(_) => Err(ProxyError::Signature),
    }
}

fn v2_header(rest: &[u8], pos: &mut usize) -> Result<Step, ProxyError> {
    let Some(header) = rest.first_chunk::<V2_HEADER_LEN>() else { return Ok(Step::Wait) };
    let [.., version_command, family_transport, len_high, len_low] = *header;
    let len = u16::from_be_bytes([len_high, len_low]);
    let (version, command) = (version_command & 0xf0, version_command & 0x0f);
    let (family, transport) = (family_transport & 0xf0, family_transport & 0x0f);

    if version != 0x20 {
        return Err(ProxyError::Version(version));
    }
    let skip = |what| Stage::Skip { what, left: len, addresses: None };
    let stage = match command {
        0 => skip(Skipped::Local),
        1 if transport != 1 => return Err(ProxyError::Transport),
        1 => match family {
            0x00 => skip(Skipped::Unspecified),
            0x10 if usize::from(len) < V2_IPV4_LEN => return Err(ProxyError::ShortIpv4(len)),
            0x10 => Stage::V2Addresses { family: Family::Ipv4, len },
            0x20 if usize::from(len) < V2_IPV6_LEN => return Err(ProxyError::ShortIpv6(len)),
            0x20 => Stage::V2Addresses { family: Family::Ipv6, len },
            _ => return Err(ProxyError::Family(family)),
        },
        _ => return Err(ProxyError::Command(command)),
    };
    *pos += V2_HEADER_LEN;
    Ok(Step::To(stage))
}

fn v2_addresses(family: Family, len: u16, rest: &[u8], pos: &mut usize) -> Step {
    let (addresses, used) = match family {
        Family::Ipv4 => {
            let Some(block) = rest.first_chunk::<V2_IPV4_LEN>() else { return Step::Wait };
            let [s0, s1, s2, s3, d0, d1, d2, d3, sp0, sp1, dp0, dp1] = *block;
            let source = IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3));
            let destination = IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3));
            let ports = [[sp0, sp1], [dp0, dp1]];
            (addresses(source, destination, ports), V2_IPV4_LEN)
        }
        Family::Ipv6 => {
            let Some(block) = rest.first_chunk::<V2_IPV6_LEN>() else { return Step::Wait };
            let (Some(source), Some(destination)) =
                (block.first_chunk::<16>(), block.get(16..).and_then(<[u8]>::first_chunk::<16>))
            else {
                return Step::Wait;
            };
            let [.., sp0, sp1, dp0, dp1] = *block;
            let source = IpAddr::V6(Ipv6Addr::from(*source)).to_canonical();
            let destination = IpAddr::V6(Ipv6Addr::from(*destination)).to_canonical();
            let ports = [[sp0, sp1], [dp0, dp1]];
            (addresses(source, destination, ports), V2_IPV6_LEN)
        }
    };
    *pos += used;
    // The header was refused if the announced length was below the used one.
    let left = len.saturating_sub(used as u16);
    Step::To(Stage::Skip { what: Skipped::Extensions(family), left, addresses: Some(addresses) })
}

fn addresses(source: IpAddr, destination: IpAddr, ports: [[u8; 2]; 2]) -> Addresses {
    let [source_port, destination_port] = ports.map(u16::from_be_bytes);
    Addresses {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    }
}

fn skip(
    what: Skipped,
    left: u16,
    addresses: Option<Addresses>,
    rest: &[u8],
    pos: &mut usize,
) -> Step {
    let present = u16::try_from(rest.len()).unwrap_or(u16::MAX).min(left);
    *pos += usize::from(present);
    match left - present {
        0 => Step::Done(Outcome::Done(addresses)),
        left => Step::Skipping(Stage::Skip { what, left, addresses }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a decoder makes of `bytes`, cut into `pieces`, and how many bytes it
    /// left for the next layer.
    fn decode_pieces<'a>(
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Decoder, Result<Outcome, ProxyError>, usize) {
        let mut decoder = Decoder::new();
        let mut carry = Vec::new();
        let mut outcome = Ok(Outcome::NeedMore);
        for piece in pieces {
            carry.extend_from_slice(piece);
            if outcome == Ok(Outcome::NeedMore) {
                let mut pos = 0;
                outcome = decoder.decode(&carry, &mut pos);
                carry.drain(..pos);
                assert!(
                    outcome != Ok(Outcome::NeedMore) || carry.len() <= V1_MAX_LINE,
                    "carry is bounded"
                );
            }
        }
        (decoder, outcome, carry.len())
    }

    /// Decodes whole, cut in two anywhere and byte by byte; all must agree.
    fn decode(bytes: &[u8]) -> (Result<Outcome, ProxyError>, usize) {
        let (_, whole, left) = decode_pieces([bytes]);
        for cut in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            let (_, outcome, cut_left) = decode_pieces([head, tail]);
            assert_eq!(outcome, whole, "cut at {cut}");
            if outcome.is_ok() {
                assert_eq!(cut_left, left, "cut at {cut}");
            }
        }
        let (_, outcome, single_left) = decode_pieces(bytes.chunks(1));
        assert_eq!(outcome, whole, "byte by byte");
        if outcome.is_ok() {
            assert_eq!(single_left, left, "byte by byte");
        }
        (whole, left)
    }

    fn source_of(bytes: &[u8]) -> String {
        match decode(bytes).0 {
            Ok(Outcome::Done(Some(addresses))) => {
                format!("{} {}", addresses.source, addresses.destination)
            }
            other => panic!("no addresses: {other:?}"),
        }
    }

    fn error_of(bytes: &[u8]) -> String {
        decode(bytes).0.expect_err("must be refused").to_string()
    }

    fn v2(version_command: u8, family_transport: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len()).expect("short body").to_be_bytes();
        [&V2_SIGNATURE[..], &[version_command, family_transport], &len, body].concat()
    }

    fn ipv4_body() -> Vec<u8> {
        vec![192, 168, 1, 50, 10, 0, 0, 1, 0x30, 0x39, 0x10, 0x7e]
    }

    fn ipv6_body(source: &str, destination: &str) -> Vec<u8> {
        let octets = |text: &str| text.parse::<Ipv6Addr>().expect("an address").octets();
        [&octets(source)[..], &octets(destination)[..], &[0xd4, 0x31, 0x10, 0x7e]].concat()
    }

    #[test]
    fn v1_gives_the_addresses() {
        for (line, ends) in [
            ("TCP4 192.168.1.50 10.0.0.1 12345 4222", "192.168.1.50:12345 10.0.0.1:4222"),
            ("TCP6 2001:db8::1 2001:db8::2 54321 4222", "[2001:db8::1]:54321 [2001:db8::2]:4222"),
            ("TCP6 ::ffff:192.0.2.1 ::ffff:10.0.0.1 1234 4222", "192.0.2.1:1234 10.0.0.1:4222"),
            ("TCP4  1.2.3.4\t5.6.7.8 0 65535 ", "1.2.3.4:0 5.6.7.8:65535"),
            ("TCP4 1.2.3.4 5.6.7.8 00080 1", "1.2.3.4:80 5.6.7.8:1"),
        ] {
            assert_eq!(source_of(format!("PROXY {line}\r\n").as_bytes()), ends, "{line}");
        }
    }

    #[test]
    fn v1_unknown_keeps_the_socket_address() {
        for line in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"] {
            assert_eq!(decode(line.as_bytes()), (Ok(Outcome::Done(None)), 0), "{line}");
        }
    }

    #[test]
    fn v1_leaves_the_bytes_behind_its_line() {
        let bytes = b"PROXY TCP4 192.168.1.50 10.0.0.1 12345 4222\r\nCONNECT {}\r\n";
        let (outcome, left) = decode(bytes);
        assert!(matches!(outcome, Ok(Outcome::Done(Some(_)))));
        assert_eq!(left, b"CONNECT {}\r\n".len());
    }

    #[test]
    fn v1_refuses_what_is_wrong_with_the_exact_text() {
        for (line, text) in [
            ("TCP4 192.168.1.1", "invalid PROXY protocol header: invalid v1 format"),
            ("", "invalid PROXY protocol header: invalid v1 format"),
            ("TCP4 1.2.3.4 5.6.7.8 1 2 3", "invalid PROXY protocol header: invalid v1 format"),
            (
                "TCP4 not.an.ip.addr 10.0.0.1 12345 443",
                "invalid PROXY protocol header: invalid address",
            ),
            ("TCP4 1.2.3.04 10.0.0.1 1 2", "invalid PROXY protocol header: invalid address"),
            ("TCP6 fe80::1%eth0 ::1 1 2", "invalid PROXY protocol header: invalid address"),
            (
                "TCP4 192.168.1.1 10.0.0.1 99999 443",
                "invalid source port: strconv.ParseUint: parsing \"99999\": value out of range",
            ),
            (
                "TCP4 192.168.1.1 10.0.0.1 1 +2",
                "invalid dest port: strconv.ParseUint: parsing \"+2\": invalid syntax",
            ),
            (
                "TCP4 2001:db8::1 2001:db8::2 12345 443",
                "invalid PROXY protocol header: TCP4 with IPv6 address",
            ),
            (
                "TCP4 192.168.1.1 2001:db8::2 12345 443",
                "invalid PROXY protocol header: TCP4 with IPv6 address",
            ),
            (
                "TCP6 192.168.1.1 10.0.0.1 12345 443",
                "invalid PROXY protocol header: TCP6 with IPv4 address",
            ),
            (
                "TCP6 2001:db8::1 10.0.0.1 12345 443",
                "invalid PROXY protocol header: TCP6 with IPv4 address",
            ),
            (
                "UDP4 192.168.1.1 10.0.0.1 12345 443",
                "invalid PROXY protocol header: invalid protocol UDP4",
            ),
        ] {
            assert_eq!(error_of(format!("PROXY {line}\r\n").as_bytes()), text, "{line}");
        }
    }

    #[test]
    fn v1_line_ends_within_107_bytes() {
        let fill = |len: usize| {
            let mut line = b"PROXY UNKNOWN ".to_vec();
            line.resize(len - 2, b'x');
            line.extend_from_slice(b"\r\n");
            line
        };
        assert_eq!(decode(&fill(107)), (Ok(Outcome::Done(None)), 0));
        assert_eq!(error_of(&fill(108)), "invalid PROXY protocol header: v1 line too long");
        let endless = [b"PROXY ".to_vec(), vec![b'1'; 120]].concat();
        assert_eq!(error_of(&endless), "invalid PROXY protocol header: v1 line too long");
    }

    #[test]
    fn v2_gives_the_addresses() {
        let ipv4 = v2(0x21, 0x11, &ipv4_body());
        assert_eq!(source_of(&ipv4), "192.168.1.50:12345 10.0.0.1:4222");
        let ipv6 = v2(0x21, 0x21, &ipv6_body("2001:db8::1", "2001:db8::2"));
        assert_eq!(source_of(&ipv6), "[2001:db8::1]:54321 [2001:db8::2]:4222");
        let mapped = v2(0x21, 0x21, &ipv6_body("::ffff:192.0.2.1", "::ffff:10.0.0.1"));
        assert_eq!(source_of(&mapped), "192.0.2.1:54321 10.0.0.1:4222");
    }

    #[test]
    fn v2_local_and_unspecified_keep_the_socket_address() {
        for header in [
            v2(0x20, 0x00, b""),
            v2(0x20, 0x11, &ipv4_body()),
            v2(0x20, 0xff, b"anything"),
            v2(0x21, 0x01, b""),
            v2(0x21, 0x01, b"anything"),
        ] {
            assert_eq!(decode(&header), (Ok(Outcome::Done(None)), 0), "{header:x?}");
        }
    }

    #[test]
    fn v2_extensions_are_skipped_and_the_bytes_behind_left() {
        let body = [ipv4_body(), vec![7; 500]].concat();
        let bytes = [v2(0x21, 0x11, &body), b"PING\r\n".to_vec()].concat();
        let (outcome, left) = decode(&bytes);
        assert!(matches!(outcome, Ok(Outcome::Done(Some(_)))));
        assert_eq!(left, 6);
    }

    #[test]
    fn v2_refuses_what_is_wrong_with_the_exact_text() {
        let mut wrong_signature = v2(0x21, 0x11, &ipv4_body());
        wrong_signature[11] = b'X';
        for (header, text) in [
            (wrong_signature, "invalid PROXY protocol header: invalid signature"),
            (v2(0x11, 0x11, b""), "invalid PROXY protocol header: invalid version 0x10"),
            (v2(0x22, 0x11, b""), "unknown PROXY protocol command: 0x02"),
            (
                v2(0x21, 0x12, &ipv4_body()),
                "unsupported PROXY protocol feature: only STREAM protocol supported",
            ),
            (
                v2(0x21, 0x31, b""),
                "unsupported PROXY protocol feature: unsupported address family 0x30",
            ),
            (v2(0x21, 0x11, &[0; 11]), "IPv4 address data too short: 11 bytes"),
            (v2(0x21, 0x21, &[0; 35]), "IPv6 address data too short: 35 bytes"),
        ] {
            assert_eq!(error_of(&header), text);
        }
    }

    #[test]
    fn other_bytes_are_a_direct_connection_and_stay() {
        for bytes in [&b"HELLO WORLD\r\n"[..], b"CONNECT {}\r\n", b"PROXYX", b"\x16\x03\x01\0\0\0"]
        {
            assert_eq!(decode(bytes), (Ok(Outcome::Direct), bytes.len()));
        }
        assert_eq!(decode(b"PING\n"), (Ok(Outcome::NeedMore), 5), "six bytes decide");
    }

    #[test]
    fn a_peer_that_closes_early_is_told_from_a_silent_one() {
        let cut = |bytes: &[u8]| {
            let (decoder, outcome, _) = decode_pieces([bytes]);
            assert_eq!(outcome, Ok(Outcome::NeedMore));
            decoder.eof_error()
        };
        let ipv4 = v2(0x21, 0x11, &ipv4_body());
        for (bytes, text) in [
            (&b""[..], "failed to read protocol version: EOF"),
            (b"PRO", "failed to read protocol version: unexpected EOF"),
            (b"PROXY ", "failed to read v1 line: EOF"),
            (b"PROXY TCP4 ", "failed to read v1 line: EOF"),
            (&ipv4[..6], "failed to read v2 signature: EOF"),
            (&ipv4[..10], "failed to read v2 signature: unexpected EOF"),
            (&ipv4[..12], "failed to read v2 header: EOF"),
            (&ipv4[..13], "failed to read v2 header: unexpected EOF"),
            (&ipv4[..16], "failed to read IPv4 address data: EOF"),
            (&ipv4[..21], "failed to read IPv4 address data: unexpected EOF"),
            (
                &v2(0x21, 0x21, &ipv6_body("::1", "::2"))[..40],
                "failed to read IPv6 address data: unexpected EOF",
            ),
            (
                &v2(0x21, 0x11, &[ipv4_body(), vec![0]].concat())[..28],
                "failed to read IPv4 address data: unexpected EOF",
            ),
            (&v2(0x20, 0, b"ab")[..17], "failed to discard LOCAL command address data: EOF"),
            (&v2(0x21, 1, b"ab")[..16], "failed to discard UNSPEC address address data: EOF"),
        ] {
            assert_eq!(cut(bytes), text, "{bytes:x?}");
        }
        let (decoder, ..) = decode_pieces([&b"PROXY "[..]]);
        assert_eq!(decoder.read_error("i/o timeout"), "failed to read v1 line: i/o timeout");
    }
}
