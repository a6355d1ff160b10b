//! Errors and warnings of a configuration, collected and reported together (spec 02 §2.3).
//!
//! A value of the wrong type ends the block it is in, as it does in the reference, where it
//! surfaces as a recovered runtime error of the language it is written in. The first text of
//! such an error is the same here; the follow-up errors it sometimes causes there are not
//! reproduced, since they name no mistake of the operator's.

use super::lang::{LanguageError, Position, Value};
use super::text::quote;
use std::fmt;

/// One error or warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    position: Option<Position>,
    text: String,
    /// Whether a value has a type that its key cannot take.
    wrong_type: bool,
}

impl Diagnostic {
    /// About a value.
    #[must_use]
    pub fn at(value: &Value, text: impl Into<String>) -> Diagnostic {
        Diagnostic { position: value.position.clone(), text: text.into(), wrong_type: false }
    }

    /// About the configuration as a whole.
    #[must_use]
    pub fn general(text: impl Into<String>) -> Diagnostic {
        Diagnostic { position: None, text: text.into(), wrong_type: false }
    }

    /// About a key nobody knows.
    #[must_use]
    pub fn unknown_field(key: &str, value: &Value) -> Diagnostic {
        Diagnostic::at(value, format!("unknown field {}", quote(key)))
    }

    /// About a field whose use is legal but suspicious.
    #[must_use]
    pub fn questionable_field(field: &str, value: &Value, reason: &str) -> Diagnostic {
        Diagnostic::at(value, format!("invalid use of field {}: {reason}", quote(field)))
    }

    /// A value of a type that its key cannot take.
    #[must_use]
    pub fn wrong_type(value: &Value, expected: &str) -> Diagnostic {
        let found = value.type_name();
        let text = format!("interface conversion: interface {{}} is {found}, not {expected}");
        Diagnostic { wrong_type: true, ..Diagnostic::at(value, text) }
    }

    /// Whether this is about a value of a type that its key cannot take.
    #[must_use]
    pub fn is_wrong_type(&self) -> bool {
        self.wrong_type
    }

    /// Some blocks report wrong types inside of them at the block itself.
    #[must_use]
    pub fn wrong_type_of_block(self, block: &Value) -> Diagnostic {
        match self.wrong_type {
            true => Diagnostic { position: block.position.clone(), ..self },
            false => self,
        }
    }

    /// Some errors about a whole block are reported without a place.
    #[must_use]
    pub fn without_position(self) -> Diagnostic {
        Diagnostic { position: None, ..self }
    }

    /// Where the mistake is.
    #[must_use]
    pub fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.position {
            Some(position) => write!(f, "{position}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// All errors and warnings of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Ignored at start and on reload, fatal when only checking.
    pub warnings: Vec<Diagnostic>,
    /// Always fatal.
    pub errors: Vec<Diagnostic>,
}

impl Report {
    /// Whether there is nothing to report.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.warnings.is_empty() && self.errors.is_empty()
    }
}

impl fmt::Display for Report {
    /// Warnings first, each on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in self.warnings.iter().chain(&self.errors) {
            writeln!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

/// Why a configuration file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// It cannot be read, or is not in the configuration language.
    Language(LanguageError),
    /// It says something that makes no sense. There is at least one error.
    Content(Report),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Language(error) => error.fmt(f),
            ConfigError::Content(report) => report.fmt(f),
        }
    }
}

impl std::error::Error for ConfigError {}

impl From<LanguageError> for ConfigError {
    fn from(error: LanguageError) -> ConfigError {
        ConfigError::Language(error)
    }
}
