//! Compressed answers (spec 04 §4.2).

use flate2::Compression;
use flate2::write::GzEncoder;
use parser::headers;
use snap::write::FrameEncoder;
use std::io::Write;

/// How an answer is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is, without saying so.
    Plain,
    /// As it is, and saying so: what was asked for is not known.
    Identity,
    /// gzip.
    Gzip,
    /// Snappy frames.
    Snappy,
}

impl Encoding {
    /// The encoding that a request's header asks for.
    pub fn of(header: &[u8]) -> Encoding {
        let Some(value) = headers::get(header, b"Accept-Encoding") else { return Encoding::Plain };
        let value = String::from_utf8_lossy(value).to_lowercase();
        if value.is_empty() {
            Encoding::Plain
        } else if value.contains("snappy") || value.contains("s2") {
            Encoding::Snappy
        } else if value.contains("gzip") {
            Encoding::Gzip
        } else {
            Encoding::Identity
        }
    }

    /// The header and the body to send for that body.
    pub fn encode(self, body: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
        if body.is_empty() || self == Encoding::Plain {
            return (Vec::new(), body);
        }
        let (name, body) = match self {
            Encoding::Plain | Encoding::Identity => ("identity", body),
            Encoding::Gzip => ("gzip", gzip(&body)),
            Encoding::Snappy => ("snappy", snappy(&body)),
        };
        (format!("NATS/1.0\r\nContent-Encoding: {name}\r\n\r\n").into_bytes(), body)
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let written = encoder.write_all(body);
    debug_assert!(written.is_ok());
    encoder.finish().unwrap_or_default()
}

fn snappy(body: &[u8]) -> Vec<u8> {
    let mut encoder = FrameEncoder::new(Vec::new());
    let written = encoder.write_all(body);
    debug_assert!(written.is_ok());
    encoder.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn of(value: &str) -> Encoding {
        Encoding::of(format!("NATS/1.0\r\nAccept-Encoding: {value}\r\n\r\n").as_bytes())
    }

    #[test]
    fn snappy_goes_before_gzip_and_the_unknown_is_said() {
        assert_eq!(Encoding::of(b""), Encoding::Plain);
        assert_eq!(Encoding::of(b"NATS/1.0\r\na: gzip\r\n\r\n"), Encoding::Plain);
        let table = [
            ("gzip", Encoding::Gzip),
            ("GZIP", Encoding::Gzip),
            ("gzip, snappy", Encoding::Snappy),
            ("s2", Encoding::Snappy),
            ("br", Encoding::Identity),
        ];
        for (value, expected) in table {
            assert_eq!(of(value), expected, "{value}");
        }
    }

    #[test]
    fn what_is_encoded_can_be_decoded() {
        let body = "{\"a\":1}".repeat(1000).into_bytes();
        let (header, gzip) = Encoding::Gzip.encode(body.clone());
        assert_eq!(header, b"NATS/1.0\r\nContent-Encoding: gzip\r\n\r\n");
        let mut decoded = Vec::new();
        flate2::read::GzDecoder::new(&gzip[..]).read_to_end(&mut decoded).unwrap();
        assert_eq!(decoded, body);
        let (header, snappy) = Encoding::Snappy.encode(body.clone());
        assert_eq!(header, b"NATS/1.0\r\nContent-Encoding: snappy\r\n\r\n");
        decoded.clear();
        snap::read::FrameDecoder::new(&snappy[..]).read_to_end(&mut decoded).unwrap();
        assert_eq!(decoded, body);
        let (header, same) = Encoding::Identity.encode(body.clone());
        assert_eq!(header, b"NATS/1.0\r\nContent-Encoding: identity\r\n\r\n");
        assert_eq!(same, body);
        assert_eq!(Encoding::Plain.encode(body.clone()), (Vec::new(), body));
    }
}
