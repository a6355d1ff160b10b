//! Files and variables for tests, and short ways to load a configuration.

use nats_server::config::Options;
use nats_server::config::claims::UnverifiedClaims;
use nats_server::config::environment::Environment;
use nats_server::config::report::ConfigError;
use nats_server::config::validate::validate;
use std::collections::BTreeMap;
use std::io;

/// A machine with these files and variables and nothing else.
#[derive(Default)]
pub struct Machine {
    files: BTreeMap<String, Vec<u8>>,
    variables: BTreeMap<String, Vec<u8>>,
}

impl Machine {
    pub fn new() -> Machine {
        Machine::default()
    }

    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Machine {
        self.files.insert(path.to_owned(), content.as_ref().to_vec());
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Machine {
        self.variables.insert(name.to_owned(), value.as_bytes().to_vec());
        self
    }

    /// Loads one of the files.
    pub fn load(&self, path: &str) -> Result<Options, Vec<String>> {
        let mut options = Options::default();
        match options.load_file(self, &UnverifiedClaims, path) {
            Ok(report) if report.is_empty() => Ok(options),
            Ok(report) => Err(lines(&report.to_string())),
            Err(error) => Err(lines(&error.to_string())),
        }
    }
}

impl Environment for Machine {
    fn read_file(&self, path: &str) -> io::Result<Vec<u8>> {
        let missing = || io::Error::from_raw_os_error(libc::ENOENT);
        self.files.get(path).cloned().ok_or_else(missing)
    }

    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        self.variables.get(name).cloned()
    }

    fn is_writable_directory(&self, path: &str) -> Option<bool> {
        self.files.contains_key(path).then_some(false)
    }

    fn create_directory(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// Loads a text that must be free of errors and warnings.
pub fn load(text: &str) -> Options {
    let mut options = Options::default();
    match options.load_text(&Machine::new(), text) {
        Ok(report) if report.is_empty() => options,
        Ok(report) => panic!("{report}in {text}"),
        Err(error) => panic!("{error}in {text}"),
    }
}

/// The errors and warnings of a text, warnings first.
pub fn problems(text: &str) -> Vec<String> {
    let mut options = Options::default();
    match options.load_text(&Machine::new(), text) {
        Ok(report) => lines(&report.to_string()),
        Err(ConfigError::Content(report)) => lines(&report.to_string()),
        Err(ConfigError::Language(error)) => vec![error.to_string()],
    }
}

/// Checks for each text that there is this one error or warning.
pub fn check_problems(table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(problems(text), [*expected], "in {text}");
    }
}

/// Loads, completes and validates a text.
pub fn validated(text: &str) -> Result<Options, String> {
    let mut options = load(text);
    options.set_baseline();
    validate(&mut options, &UnverifiedClaims).map(|()| options)
}

/// Checks for each text that validation ends with this error.
pub fn check_invalid(table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(validated(text).err().as_deref(), Some(*expected), "in {text}");
    }
}
