//! Subjects in configurations: validity, and how patterns relate.
//!
//! Configurations are read rarely, so these favour clarity over speed; messages are routed with
//! the `sublist` crate.

/// Whether the text is a subject, possibly with wildcards.
#[must_use]
pub fn is_valid(subject: &str) -> bool {
    let mut full_wildcard_seen = false;
    for token in subject.split('.') {
        if token.is_empty() || full_wildcard_seen || token.contains(BLANKS) {
            return false;
        }
        full_wildcard_seen = token == ">";
    }
    true
}

const BLANKS: [char; 5] = [' ', '\t', '\n', '\r', '\x0c'];

/// Whether the text is a subject without wildcards.
#[must_use]
pub fn is_valid_literal(subject: &str) -> bool {
    is_valid(subject) && !has_wildcard(subject)
}

/// Whether any token is a wildcard.
#[must_use]
pub fn has_wildcard(subject: &str) -> bool {
    subject.split('.').any(|token| token == "*" || token == ">")
}

fn has_full_wildcard(subject: &str) -> bool {
    subject.split('.').any(|token| token == ">")
}

/// Whether everything `subject` matches is also matched by `pattern`.
#[must_use]
pub fn is_subset(subject: &str, pattern: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in pattern.split('.') {
        let Some(token) = tokens.next() else {
            return false;
        };
        match (token, wanted) {
            (_, "") => return false,
            (_, ">") => return true,
            ("" | ">", _) => return false,
            ("*", "*") => {}
            ("*", _) => return false,
            _ if wanted.starts_with('*') || token == wanted => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

/// Whether some subject is matched by both patterns.
#[must_use]
pub fn collide(first: &str, second: &str) -> bool {
    if first == second {
        return true;
    }
    match (has_wildcard(first), has_wildcard(second)) {
        (false, false) => return false,
        (false, true) => return is_subset(first, second),
        (true, false) => return is_subset(second, first),
        (true, true) => {}
    }
    let (full_first, full_second) = (has_full_wildcard(first), has_full_wildcard(second));
    let (a, b) = (first.split('.').count(), second.split('.').count());
    if a != b && !full_first && !full_second || a < b && !full_first || b < a && !full_second {
        return false;
    }
    first.split('.').zip(second.split('.')).all(|(x, y)| {
        let wild = |token: &str| token.starts_with(['*', '>']);
        !x.is_empty() && !y.is_empty() && (wild(x) || wild(y) || x == y)
    })
}

/// Checks a list of permission subjects. With `queues`, an entry may be `"subject queue"`.
///
/// # Errors
/// The reason, naming the entry.
pub fn check_permissions<'s>(
    subjects: impl IntoIterator<Item = &'s String>,
    queues: bool,
) -> Result<(), String> {
    use super::text::quote;
    for subject in subjects {
        if is_valid(subject) {
            continue;
        }
        let invalid =
            |subject: &str| Err(format!("subject {} is not a valid subject", quote(subject)));
        if !queues {
            return invalid(subject);
        }
        let mut words = subject.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(subject), Some(_), None) if !is_valid(subject) => return invalid(subject),
            (Some(_), Some(queue), None) if !is_valid(queue) => {
                return Err(format!("queue {} is not a valid queue", quote(queue)));
            }
            (Some(_), Some(_), None) => {}
            _ => return invalid(subject),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_is_decided_by_token() {
        for subject in ["a", "a.b", "*", ">", "a.*.>", "a*", ">b", "a.b>c", "é"] {
            assert!(is_valid(subject), "{subject}");
        }
        for subject in ["", ".", "a.", ".a", "a..b", ">.a", "a b", "a.\tb", " ", "a\x0c"] {
            assert!(!is_valid(subject), "{subject}");
        }
        assert!(is_valid_literal("a.b*") && !is_valid_literal("a.*") && !is_valid_literal("a."));
    }

    #[test]
    fn subsets_and_collisions_follow_the_wildcards() {
        for (subject, pattern, subset, collides) in [
            ("a.b", "a.b", true, true),
            ("a.b", "a.*", true, true),
            ("a.*", "a.b", false, true),
            ("a.*", "a.*", true, true),
            ("a.*", "a.>", true, true),
            ("a.>", "a.*", false, true),
            ("a.>", "a.>", true, true),
            ("a", "a.>", false, false),
            ("a.*.c", "a.b.*", false, true),
            ("a.*.c", "b.*.c", false, false),
            ("a.*", "*.b.c", false, false),
            ("a.>", "*.b.*", false, true),
            ("a.b", "a.c", false, false),
        ] {
            assert_eq!(is_subset(subject, pattern), subset, "{subject} in {pattern}");
            assert_eq!(collide(subject, pattern), collides, "{subject} and {pattern}");
            assert_eq!(collide(pattern, subject), collides, "{pattern} and {subject}");
        }
    }

    #[test]
    fn permission_entries_may_name_a_queue_where_allowed() {
        let check = |subject: &str, queues| check_permissions([&subject.to_owned()], queues);
        assert_eq!(check("a.* q.*", true), Ok(()));
        assert_eq!(check("a q", false), Err("subject \"a q\" is not a valid subject".to_owned()));
        assert_eq!(check("a. q", true), Err("subject \"a.\" is not a valid subject".to_owned()));
        assert_eq!(check("a q.", true), Err("queue \"q.\" is not a valid queue".to_owned()));
        assert_eq!(
            check("a q x", true),
            Err("subject \"a q x\" is not a valid subject".to_owned())
        );
    }
}
