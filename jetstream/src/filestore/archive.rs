//! The tar form of snapshots: entries with extended (PAX) headers (spec 06, section 19.1).
//!
//! Only what the format needs is written and read: regular files. Other kinds of entries are
//! reported to the reader, who refuses them.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

use crate::time::Timestamp;

const BLOCK: usize = 512;
/// The longest extended header that is read, in bytes.
const MAX_EXTENDED: u64 = 64 << 10;

/// A file to be put into an archive.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Path with forward slashes.
    pub name: &'a str,
    /// Content.
    pub content: &'a [u8],
}

/// Writes entries.
#[derive(Debug)]
pub struct ArchiveWriter {
    modified: Timestamp,
}

fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}");
    field[..digits].copy_from_slice(&text.as_bytes()[text.len() - digits..]);
    field[digits] = 0;
}

fn put_text(field: &mut [u8], text: &str) {
    let len = text.len().min(field.len());
    field[..len].copy_from_slice(&text.as_bytes()[..len]);
}

impl ArchiveWriter {
    /// A writer whose entries all carry this time.
    pub fn new(modified: Timestamp) -> ArchiveWriter {
        ArchiveWriter { modified }
    }

    fn header(&self, name: &str, len: u64, kind: u8, out: &mut Vec<u8>) {
        let mut block = [0u8; BLOCK];
        put_text(&mut block[0..100], name);
        let mode = if kind == b'x' { 0 } else { 0o600 };
        octal(&mut block[100..108], mode);
        octal(&mut block[108..116], 0);
        octal(&mut block[116..124], 0);
        octal(&mut block[124..136], len);
        let seconds = u64::try_from(self.modified.seconds()).unwrap_or(0);
        octal(&mut block[136..148], if kind == b'x' { 0 } else { seconds });
        block[148..156].fill(b' ');
        block[156] = kind;
        block[257..265].copy_from_slice(b"ustar\x0000");
        if kind != b'x' {
            put_text(&mut block[265..297], "nats");
            put_text(&mut block[297..329], "nats");
        }
        octal(&mut block[329..337], 0);
        octal(&mut block[337..345], 0);
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        octal(&mut block[148..155], sum);
        block[155] = b' ';
        out.extend_from_slice(&block);
    }

    fn content(content: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(content);
        let rest = content.len() % BLOCK;
        if rest > 0 {
            out.resize(out.len() + BLOCK - rest, 0);
        }
    }

    /// Appends an entry.
    pub fn entry(&mut self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        let mut extended = String::new();
        let nanos = self.modified.nanos().rem_euclid(1_000_000_000);
        if nanos != 0 {
            let fraction = format!("{nanos:09}");
            let fraction = fraction.trim_end_matches('0');
            let seconds = self.modified.nanos().div_euclid(1_000_000_000);
            extended.push_str(&extended_line("mtime", &format!("{seconds}.{fraction}")));
        }
        if entry.name.len() > 100 || !entry.name.is_ascii() {
            extended.push_str(&extended_line("path", entry.name));
        }
        if !extended.is_empty() {
            let (dir, file) = entry.name.rsplit_once('/').unwrap_or(("", entry.name));
            let slash = if dir.is_empty() { "" } else { "/" };
            let name = format!("{dir}{slash}PaxHeaders.0/{file}");
            self.header(&ascii_prefix(&name), extended.len() as u64, b'x', out);
            Self::content(extended.as_bytes(), out);
        }
        self.header(&ascii_prefix(entry.name), entry.content.len() as u64, b'0', out);
        Self::content(entry.content, out);
    }

    /// Ends the archive.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        out.resize(out.len() + 2 * BLOCK, 0);
    }
}

fn ascii_prefix(name: &str) -> String {
    name.chars().filter(char::is_ascii).take(100).collect()
}

/// A line of an extended header: its length in decimal, counting itself, then `key=value`.
fn extended_line(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    format!("{len} {key}={value}\n")
}

/// Why an archive cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveError {
    /// A header that is none.
    Header,
    /// An extended header that is none, or too long.
    Extended,
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ArchiveError::Header => "archive/tar: invalid tar header",
            ArchiveError::Extended => "archive/tar: invalid extended header",
        })
    }
}

impl std::error::Error for ArchiveError {}

/// What reading an archive comes upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveEvent {
    /// A file starts.
    Start {
        /// Its path as it stands in the archive.
        name: String,
        /// Its length in bytes.
        len: u64,
        /// Whether it is a regular file; anything else has no content.
        regular: bool,
    },
    /// More of its content.
    Content(Bytes),
    /// It is complete.
    End,
    /// The archive is complete.
    Finished,
}

#[derive(Debug)]
enum Phase {
    Header,
    Extended { left: u64, padding: u64, collected: Vec<u8> },
    Content { left: u64, padding: u64 },
    Padding(u64),
    Finished,
}

/// Reads an archive that arrives in pieces.
#[derive(Debug)]
pub struct ArchiveReader {
    input: BytesMut,
    phase: Phase,
    extended: Extended,
}

#[derive(Debug, Default)]
struct Extended {
    path: Option<String>,
    size: Option<u64>,
}

impl Default for ArchiveReader {
    fn default() -> Self {
        ArchiveReader {
            input: BytesMut::new(),
            phase: Phase::Header,
            extended: Extended::default(),
        }
    }
}

fn padding(len: u64) -> u64 {
    (BLOCK as u64 - len % BLOCK as u64) % BLOCK as u64
}

fn text_field(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn number_field(field: &[u8]) -> Option<u64> {
    if field.first()? & 0x80 != 0 {
        // Base 256, for what does not fit octal digits.
        let mut value = 0u64;
        for (position, byte) in field.iter().enumerate() {
            let byte = if position == 0 { byte & 0x7f } else { *byte };
            value = value.checked_mul(256)?.checked_add(u64::from(byte))?;
        }
        return Some(value);
    }
    let text = std::str::from_utf8(field).ok()?;
    let text = text.trim_matches(['\0', ' ']);
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

impl ArchiveReader {
    /// Adds input; [`ArchiveReader::next_event`] is to be called until it has nothing more.
    pub fn feed(&mut self, data: &[u8]) {
        self.input.extend_from_slice(data);
    }

    /// The next event, if enough has arrived.
    ///
    /// # Errors
    /// [`ArchiveError`]; the reader is of no further use then.
    pub fn next_event(&mut self) -> Result<Option<ArchiveEvent>, ArchiveError> {
        loop {
            match &mut self.phase {
                Phase::Finished => {
                    self.input.clear();
                    return Ok(None);
                }
                Phase::Header => {
                    if self.input.len() < BLOCK {
                        return Ok(None);
                    }
                    let block = self.input.split_to(BLOCK).freeze();
                    if let Some(event) = self.header(&block)? {
                        return Ok(Some(event));
                    }
                }
                Phase::Extended { left, padding, collected } => {
                    let count = take_count(*left, self.input.len());
                    collected.extend_from_slice(&self.input.split_to(count));
                    *left -= count as u64;
                    if *left > 0 {
                        return Ok(None);
                    }
                    let padding = *padding;
                    let collected = std::mem::take(collected);
                    self.extended = parse_extended(&collected)?;
                    self.phase = Phase::Padding(padding);
                }
                Phase::Content { left: 0, padding } => {
                    self.phase = Phase::Padding(*padding);
                    return Ok(Some(ArchiveEvent::End));
                }
                Phase::Content { left, .. } => {
                    let count = take_count(*left, self.input.len());
                    if count == 0 {
                        return Ok(None);
                    }
                    *left -= count as u64;
                    return Ok(Some(ArchiveEvent::Content(self.input.split_to(count).freeze())));
                }
                Phase::Padding(left) => {
                    let count = take_count(*left, self.input.len());
                    self.input.advance(count);
                    *left -= count as u64;
                    if *left > 0 {
                        return Ok(None);
                    }
                    self.phase = Phase::Header;
                }
            }
        }
    }

    fn header(&mut self, block: &[u8]) -> Result<Option<ArchiveEvent>, ArchiveError> {
        if block.iter().all(|byte| *byte == 0) {
            self.phase = Phase::Finished;
            return Ok(Some(ArchiveEvent::Finished));
        }
        let field = |range: std::ops::Range<usize>| block.get(range).unwrap_or_default();
        let stated = number_field(field(148..156)).ok_or(ArchiveError::Header)?;
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) })
            .sum();
        if sum != stated {
            return Err(ArchiveError::Header);
        }
        let len = number_field(field(124..136)).ok_or(ArchiveError::Header)?;
        let kind = field(156..157).first().copied().unwrap_or_default();
        if kind == b'x' {
            if len > MAX_EXTENDED {
                return Err(ArchiveError::Extended);
            }
            self.phase =
                Phase::Extended { left: len, padding: padding(len), collected: Vec::new() };
            return Ok(None);
        }
        let extended = std::mem::take(&mut self.extended);
        let len = extended.size.unwrap_or(len);
        let prefix = text_field(field(345..500));
        let name = text_field(field(0..100));
        let name = extended.path.unwrap_or_else(|| {
            let is_ustar = field(257..262) == b"ustar";
            if is_ustar && !prefix.is_empty() { format!("{prefix}/{name}") } else { name }
        });
        let regular = matches!(kind, b'0' | 0);
        self.phase = Phase::Content { left: len, padding: padding(len) };
        Ok(Some(ArchiveEvent::Start { name, len, regular }))
    }
}

fn take_count(left: u64, available: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(available)
}

fn parse_extended(mut data: &[u8]) -> Result<Extended, ArchiveError> {
    let mut found = Extended::default();
    while !data.is_empty() {
        let space = data.iter().position(|b| *b == b' ').ok_or(ArchiveError::Extended)?;
        let len: usize = std::str::from_utf8(&data[..space])
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or(ArchiveError::Extended)?;
        let line = data.get(space + 1..len).ok_or(ArchiveError::Extended)?;
        data = data.get(len..).ok_or(ArchiveError::Extended)?;
        let line = line.strip_suffix(b"\n").ok_or(ArchiveError::Extended)?;
        let line = std::str::from_utf8(line).map_err(|_| ArchiveError::Extended)?;
        let (key, value) = line.split_once('=').ok_or(ArchiveError::Extended)?;
        match key {
            "path" => found.path = Some(value.to_owned()),
            "size" => {
                found.size = Some(value.parse().map_err(|_| ArchiveError::Extended)?);
            }
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<(String, Vec<u8>)>, Vec<u8>) {
        let long = format!("obs/{}/meta.inf", "x".repeat(200));
        let files = vec![
            ("meta.inf".to_owned(), b"{}".to_vec()),
            ("msgs/1.blk".to_owned(), vec![7; 512]),
            ("msgs/2.blk".to_owned(), Vec::new()),
            (long, vec![9; 700]),
        ];
        let mut writer = ArchiveWriter::new(Timestamp::from_nanos(1_700_000_000_123_456_780));
        let mut tar = Vec::new();
        for (name, content) in &files {
            writer.entry(&Entry { name, content }, &mut tar);
        }
        writer.finish(&mut tar);
        (files, tar)
    }

    type Files = Vec<(String, Vec<u8>)>;

    fn read(tar: &[u8], piece: usize) -> Result<(Files, bool), ArchiveError> {
        let mut reader = ArchiveReader::default();
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        let mut finished = false;
        for chunk in tar.chunks(piece) {
            reader.feed(chunk);
            while let Some(event) = reader.next_event()? {
                match event {
                    ArchiveEvent::Start { name, regular, .. } => {
                        assert!(regular);
                        files.push((name, Vec::new()));
                    }
                    ArchiveEvent::Content(bytes) => {
                        files.last_mut().unwrap().1.extend_from_slice(&bytes);
                    }
                    ArchiveEvent::End => {}
                    ArchiveEvent::Finished => finished = true,
                }
            }
        }
        Ok((files, finished))
    }

    #[test]
    fn archives_survive_in_pieces_of_any_size() {
        let (files, tar) = sample();
        assert_eq!(tar.len() % BLOCK, 0);
        for piece in [1, 100, 511, 512, 513, tar.len()] {
            assert_eq!(read(&tar, piece).unwrap(), (files.clone(), true), "{piece}");
        }
    }

    #[test]
    fn extended_lines_count_themselves() {
        assert_eq!(extended_line("mtime", "1.5"), "13 mtime=1.5\n");
        for len in 80..120 {
            let line = extended_line("path", &"y".repeat(len));
            let (count, _) = line.split_once(' ').unwrap();
            assert_eq!(count.parse::<usize>().unwrap(), line.len());
        }
    }

    #[test]
    fn changed_headers_are_refused() {
        let (_, tar) = sample();
        for at in 0..BLOCK {
            let mut bad = tar.clone();
            bad[at] ^= 0x01;
            assert_eq!(read(&bad, bad.len()), Err(ArchiveError::Header), "byte {at}");
        }
    }
}
