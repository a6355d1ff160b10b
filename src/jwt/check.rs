//! What is found when claims are checked (spec 03 §21.4).

use parser::quote::quote;

/// How much an issue matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The claims cannot be used.
    Blocking,
    /// They cannot be used at this time.
    Time,
    /// They can be used.
    Warning,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// In words.
    pub text: String,
    /// How much it matters.
    pub level: Level,
}

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Issues(Vec<Issue>);

impl Issues {
    /// The claims cannot be used.
    pub fn error(&mut self, text: impl Into<String>) {
        self.0.push(Issue { text: text.into(), level: Level::Blocking });
    }

    /// They cannot be used at this time.
    pub fn time(&mut self, text: impl Into<String>) {
        self.0.push(Issue { text: text.into(), level: Level::Time });
    }

    /// They can be used.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.0.push(Issue { text: text.into(), level: Level::Warning });
    }

    /// Whether the claims cannot be used, the time included or not.
    #[must_use]
    pub fn blocking(&self, with_time: bool) -> bool {
        self.0.iter().any(|issue| {
            issue.level == Level::Blocking || (with_time && issue.level == Level::Time)
        })
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Issue> {
        self.0.iter()
    }

    /// The texts of those that block.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        let blocking = self.0.iter().filter(|issue| issue.level == Level::Blocking);
        blocking.map(|issue| issue.text.clone()).collect()
    }
}

pub(super) fn quoted(text: &str) -> String {
    quote(text.as_bytes())
}

/// Checks a subject.
pub(super) fn subject(text: &str, issues: &mut Issues) {
    if text.is_empty() {
        return issues.error("subject cannot be empty");
    }
    if text.contains(' ') {
        issues.error(format!("subject {} cannot have spaces", quoted(text)));
    }
    if text.starts_with('.') || text.ends_with('.') {
        issues.error(format!("subject {} cannot start or end with a `.`", quoted(text)));
    }
    if text.contains("..") {
        issues.error(format!("subject {} cannot contain consecutive `.`", quoted(text)));
    }
}

/// Whether a subject has wildcards.
pub(super) fn has_wildcards(text: &str) -> bool {
    text.split('.').any(|token| token == "*") || text == ">" || text.ends_with(".>")
}

/// Whether a subject is within another one, token by token.
pub(super) fn is_contained_in(text: &str, other: &str) -> bool {
    let own: Vec<&str> = text.split('.').collect();
    let others: Vec<&str> = other.split('.').collect();
    if own.len() < others.len() || (own.len() > others.len() && others.last() != Some(&">")) {
        return false;
    }
    for (at, (token, other)) in own.iter().zip(&others).enumerate() {
        if at + 1 == others.len() && *other == ">" {
            return true;
        }
        if other != token && *other != "*" {
            return false;
        }
    }
    true
}

/// `description` and `info_url`.
pub(super) fn info(description: &str, url: &str, issues: &mut Issues) {
    const MAX_BYTES: usize = 8 * 1024;
    if description.len() > MAX_BYTES {
        issues.error("Description is too long");
    }
    if url.is_empty() {
        return;
    }
    if url.len() > MAX_BYTES {
        issues.error("Info URL is too long");
    }
    match crate::config::url::Url::parse(url) {
        Ok(parsed) if !parsed.scheme.is_empty() && !parsed.hostname().is_empty() => {}
        Ok(_) => issues.error("error parsing info url: no hostname or scheme"),
        Err(error) => issues.error(format!("error parsing info url: {error}")),
    }
}
