//! Items to tables: keys and values are paired, variables resolved, includes read.
//!
//! Containers under construction stand on a stack, so nesting costs no recursion here. Keys stand
//! on a stack of their own: a key that never got a value stays there and names the next container
//! that ends, a quirk of the language that configurations may depend on (spec 02 §1.5).
//!
//! Variables and includes could make a small text arbitrarily large. The constants below bound
//! what they expand to; a configuration made by hand does not come near them.

use super::lexer::{Item, ItemKind, Lexer, LexerError};
use super::value::{Array, Datetime, Kind, Position, Table, Value};
use super::{LanguageError, digest};
use crate::config::environment::{Environment, read};
use crate::config::text;
use std::sync::Arc;

/// Levels of arrays and tables. Values are dropped and printed recursively, one stack frame for
/// each level.
pub const MAX_DEPTH: usize = 500;
/// Levels of includes; a file that includes itself ends here.
pub const MAX_INCLUDE_DEPTH: usize = 64;
/// Files read in all, as includes may double at each level.
pub const MAX_INCLUDED_FILES: usize = 10_000;
/// Bytes a configuration may have with its variables and includes expanded.
pub const MAX_EXPANDED_BYTES: u64 = 256 * 1024 * 1024;
/// Variables looked up in the environment in all, as those may refer to each other.
pub const MAX_ENVIRONMENT_LOOKUPS: usize = 100_000;

/// Reads and parses a configuration file. Returns its table and the digest of its content.
///
/// # Errors
/// [`LanguageError`] with the text operators know; a file that cannot be read is one.
pub fn parse_file(
    environment: &dyn Environment,
    path: &str,
) -> Result<(Table, String), LanguageError> {
    let text = read(environment, path).map_err(LanguageError::without_line)?;
    let mut session = Session::new(environment);
    let table = session.parse(&text, path, Mode::Positions)?;
    let digest = digest::of(&table);
    Ok((table, digest))
}

/// Parses a configuration that comes from no file. Includes are relative to the working
/// directory.
///
/// # Errors
/// [`LanguageError`] with the text operators know.
pub fn parse_text(environment: &dyn Environment, text: &[u8]) -> Result<Table, LanguageError> {
    Session::new(environment).parse(text, "", Mode::Positions)
}

/// Whether values remember where they were read. Those from environment variables do not.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Positions,
    Plain,
}

/// What is common to a file, the files it includes and the variables they refer to.
struct Session<'e> {
    environment: &'e dyn Environment,
    include_depth: usize,
    included_files: usize,
    environment_lookups: usize,
    /// Environment variables being resolved, outermost first.
    resolving: Vec<String>,
}

/// A container that is not complete yet.
enum Frame {
    Table(Table),
    Array(Array),
}

/// The text being parsed.
struct Source<'s> {
    file: Arc<str>,
    directory: &'s str,
    mode: Mode,
    /// Never empty: the first frame is the result.
    frames: Vec<Frame>,
    keys: Vec<(String, Option<Position>)>,
}

impl<'e> Session<'e> {
    fn new(environment: &'e dyn Environment) -> Session<'e> {
        Session {
            environment,
            include_depth: 0,
            included_files: 0,
            environment_lookups: 0,
            resolving: Vec::new(),
        }
    }

    fn parse(&mut self, text: &[u8], file: &str, mode: Mode) -> Result<Table, LanguageError> {
        let directory = text::directory_of(file);
        let mut source = Source {
            file: file.into(),
            directory: &directory,
            mode,
            frames: vec![Frame::Table(Table::default())],
            keys: Vec::new(),
        };
        let mut lexer = Lexer::new(text);
        // The key just read, until something follows it.
        let mut dangling: Option<Vec<u8>> = None;
        loop {
            let item = lexer.next_item().map_err(|LexerError { line, reason }| {
                LanguageError::new(format!("Parse error on line {line}: '{reason}'"), line)
            })?;
            if item.kind == ItemKind::End {
                // A superfluous closing brace at the end of the file looks like a key.
                if dangling.is_some_and(|key| key != b"}") {
                    let Item { line, column, .. } = item;
                    let text = format!("config is invalid ({file}:{line}:{column})");
                    return Err(LanguageError::new(text, line));
                }
                return Ok(source.finish());
            }
            dangling = (item.kind == ItemKind::Key).then(|| item.text.clone());
            let line = item.line;
            self.item(&mut source, item).map_err(|text| LanguageError::new(text, line))?;
        }
    }

    fn item(&mut self, source: &mut Source<'_>, item: Item) -> Result<(), String> {
        match item.kind {
            ItemKind::End => {}
            ItemKind::Key => {
                let position = source.position(&item);
                source.keys.push((lossy(item.text), position));
            }
            ItemKind::TableStart => source.open(Frame::Table(Table::default()), &item)?,
            ItemKind::ArrayStart => source.open(Frame::Array(Array::default()), &item)?,
            ItemKind::TableEnd | ItemKind::ArrayEnd => source.close(&item)?,
            ItemKind::String => {
                let kind = Kind::String(item.text.as_slice().into());
                source.add(&item, kind)?;
            }
            ItemKind::Bool => {
                let on = [b"true".as_slice(), b"yes", b"on"]
                    .iter()
                    .any(|word| item.text.eq_ignore_ascii_case(word));
                source.add(&item, Kind::Bool(on))?;
            }
            ItemKind::Integer => {
                // A number with a suffix nobody knows is no value at all.
                if let Some(number) = integer(&lossy(item.text.clone()))? {
                    source.add(&item, Kind::Integer(number))?;
                }
            }
            ItemKind::Float => {
                let number = float(&lossy(item.text.clone()))?;
                source.add(&item, Kind::Float(number))?;
            }
            ItemKind::Datetime => {
                let text = lossy(item.text.clone());
                let time = Datetime::parse(&text)
                    .ok_or_else(|| format!("expected Zulu formatted DateTime, but got '{text}'"))?;
                source.add(&item, Kind::Datetime(time))?;
            }
            ItemKind::Variable => self.variable(source, &item)?,
            ItemKind::Include => {
                self.include(source, &lossy(item.text))?;
                source.check_extent(item.line)?;
            }
        }
        Ok(())
    }

    fn variable(&mut self, source: &mut Source<'_>, item: &Item) -> Result<(), String> {
        let name = lossy(item.text.clone());
        // A password hash does not need quotes.
        let kind = if name.starts_with("2a$") {
            Kind::String(format!("${name}").as_bytes().into())
        } else if let Some(definition) = source.definition(&name) {
            definition.used_as_variable = true;
            definition.kind.clone()
        } else {
            let line = item.line;
            match self.environment_variable(&name) {
                Ok(Some(kind)) => kind,
                Ok(None) => {
                    return Err(format!(
                        "variable reference for '{name}' on line {line} can not be found"
                    ));
                }
                Err(error) => {
                    return Err(format!(
                        "variable reference for '{name}' on line {line} could not be parsed: \
                         {error}"
                    ));
                }
            }
        };
        source.add(item, kind)
    }

    /// The value of an environment variable, parsed as the value of a key.
    fn environment_variable(&mut self, name: &str) -> Result<Option<Kind>, String> {
        if self.resolving.iter().any(|outer| outer == name) {
            return Err(format!("variable reference cycle for '{name}'"));
        }
        self.environment_lookups += 1;
        if self.environment_lookups > MAX_ENVIRONMENT_LOOKUPS
            || self.resolving.len() >= MAX_INCLUDE_DEPTH
        {
            return Err("too many variables".to_owned());
        }
        let Some(value) = self.environment.variable(name) else {
            return Ok(None);
        };
        self.resolving.push(name.to_owned());
        let line = [b"pk=".as_slice(), &value].concat();
        let parsed = self.parse(&line, "", Mode::Plain);
        self.resolving.pop();
        let mut table = parsed.map_err(|error| error.to_string())?;
        Ok(table.get_mut("pk").map(|value| value.kind.clone()))
    }

    fn include(&mut self, source: &mut Source<'_>, written: &str) -> Result<(), String> {
        let path = text::join_path(source.directory, written);
        let table = self
            .included(&path, source.mode)
            .map_err(|error| format!("error parsing include file '{written}', {error}"))?;
        if let Some(Frame::Table(into)) = source.frames.last_mut() {
            for (key, value) in table.iter() {
                into.insert(key.to_owned(), value.clone());
            }
        }
        Ok(())
    }

    fn included(&mut self, path: &str, mode: Mode) -> Result<Table, String> {
        self.included_files += 1;
        if self.included_files > MAX_INCLUDED_FILES {
            return Err("too many included files".to_owned());
        }
        if self.include_depth >= MAX_INCLUDE_DEPTH {
            return Err("includes are nested too deeply".to_owned());
        }
        let text = read(self.environment, path).map_err(|error| match mode {
            Mode::Positions => error,
            Mode::Plain => format!("error opening config file: {error}"),
        })?;
        self.include_depth += 1;
        let parsed = self.parse(&text, path, mode);
        self.include_depth -= 1;
        parsed.map_err(|error| error.to_string())
    }
}

impl Source<'_> {
    fn position(&self, item: &Item) -> Option<Position> {
        match self.mode {
            Mode::Positions => Some(Position {
                file: Arc::clone(&self.file),
                line: item.line,
                column: item.column,
            }),
            Mode::Plain => None,
        }
    }

    fn open(&mut self, frame: Frame, item: &Item) -> Result<(), String> {
        if self.frames.len() > MAX_DEPTH {
            return Err(too_deep(item.line));
        }
        self.frames.push(frame);
        Ok(())
    }

    fn close(&mut self, item: &Item) -> Result<(), String> {
        // The lexer closes only what it opened; the first frame stays.
        if self.frames.len() < 2 {
            return Ok(());
        }
        let kind = match self.frames.pop() {
            Some(Frame::Table(table)) => Kind::Table(Arc::new(table)),
            Some(Frame::Array(array)) => Kind::Array(Arc::new(array)),
            None => return Ok(()),
        };
        self.add(item, kind)
    }

    /// Puts a value into the innermost container.
    fn add(&mut self, item: &Item, kind: Kind) -> Result<(), String> {
        let position = self.position(item);
        let mut value = Value { kind, position, used_as_variable: false };
        let extent = value.extent();
        if extent.depth.saturating_add(self.frames.len()) > MAX_DEPTH {
            return Err(too_deep(item.line));
        }
        match self.frames.last_mut() {
            Some(Frame::Array(array)) => array.push(value),
            Some(Frame::Table(table)) => {
                let Some((key, position)) = self.keys.pop() else {
                    let line = item.line;
                    return Err(format!("Parse error on line {line}: 'Value without a key.'"));
                };
                value.position = position;
                table.insert(key, value);
            }
            None => {}
        }
        self.check_extent(item.line)
    }

    fn check_extent(&self, line: usize) -> Result<(), String> {
        let bytes = match self.frames.last() {
            Some(Frame::Array(array)) => array.bytes(),
            Some(Frame::Table(table)) => table.bytes(),
            None => 0,
        };
        if bytes > MAX_EXPANDED_BYTES {
            return Err(format!("Parse error on line {line}: 'Values expand to too much data.'"));
        }
        Ok(())
    }

    /// The definition of a variable: the innermost table that has the key already.
    fn definition(&mut self, name: &str) -> Option<&mut Value> {
        self.frames.iter_mut().rev().find_map(|frame| match frame {
            Frame::Table(table) => table.get_mut(name),
            Frame::Array(_) => None,
        })
    }

    /// The outermost table. Containers that were not closed are dropped.
    fn finish(self) -> Table {
        match self.frames.into_iter().next() {
            Some(Frame::Table(table)) => table,
            _ => Table::default(),
        }
    }
}

fn too_deep(line: usize) -> String {
    format!("Parse error on line {line}: 'Arrays and maps are nested too deeply.'")
}

fn lossy(text: Vec<u8>) -> String {
    String::from_utf8(text)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// A whole number with an optional size suffix; `None` for an unknown suffix.
fn integer(text: &str) -> Result<Option<i64>, String> {
    let end = text.find(|c: char| !c.is_numeric() && c != '-').unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let number = text::parse_integer("ParseInt", digits).map_err(|error| {
        if error.ends_with("value out of range") {
            format!("integer '{text}' is out of the range")
        } else {
            format!("expected integer, but got '{text}'")
        }
    })?;
    let suffix = suffix.to_ascii_lowercase();
    let mut letters = suffix.chars();
    let power = match letters.next() {
        None => return Ok(Some(number)),
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some('p') => 5,
        Some('e') => 6,
        Some(_) => return Ok(None),
    };
    let base: i64 = match letters.as_str() {
        "" => 1000,
        "b" | "i" | "ib" => 1024,
        _ => return Ok(None),
    };
    // The reference multiplies without looking at overflow, and so do its configurations.
    Ok(Some(number.wrapping_mul(base.wrapping_pow(power))))
}

fn float(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        Ok(_) => Err(format!("float '{text}' is out of the range")),
        Err(_) => Err(format!("expected float, but got '{text}'")),
    }
}
