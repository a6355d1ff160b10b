//! The configuration language (spec 02 §1): text in, a table of values with positions out.
//!
//! The language is forgiving in ways that configurations in the field rely on: separators are
//! optional, JSON is a subset, most text needs no quotes. [`lexer`] implements that surface as a
//! state machine over bytes; [`parser`] builds the tables, resolves variables and includes;
//! [`value`] is the result; [`digest`] condenses it to a checksum.
//!
//! Invariants: no input makes this module panic or recurse deeply, and memory is bounded by the
//! size of the files plus [`parser::MAX_EXPANDED_BYTES`]; see [`parser`] for all bounds.

pub mod digest;
mod lexer;
pub mod parser;
pub mod value;

use std::fmt;

pub use parser::{parse_file, parse_text};
pub use value::{Kind, Position, Table, Value};

/// Why a text is not a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanguageError {
    text: String,
    line: Option<usize>,
}

impl LanguageError {
    fn new(text: String, line: usize) -> LanguageError {
        LanguageError { text, line: Some(line) }
    }

    fn without_line(text: String) -> LanguageError {
        LanguageError { text, line: None }
    }

    /// The line, counted from 1, on which reading stopped; `None` if a file could not be read.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for LanguageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for LanguageError {}
