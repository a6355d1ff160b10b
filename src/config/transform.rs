//! Checks of subject transforms in the configuration: mappings, and imports under another
//! subject (spec 01 §6, spec 03 §15).
//!
//! Nothing is transformed here; this answers whether a transform can be built, with the texts
//! operators know.

const INVALID: &str = "invalid mapping destination";

fn invalid(reason: &str, token: &str) -> String {
    format!("{INVALID}: {reason} in {token}")
}

/// What a token of a destination does.
enum Token {
    /// Stands for itself.
    Literal,
    /// Puts in the wildcard of that number.
    Wildcard(i64),
    /// A hash over these wildcards.
    Partition(Vec<i64>),
    /// A random number.
    Random,
    /// Cuts up the wildcard of that number.
    Cut(i64),
}

/// Checks a mapping from `source` to `destination` as an account would.
///
/// # Errors
/// The reason.
pub fn check_mapping(source: &str, destination: &str) -> Result<(), String> {
    if destination.is_empty() {
        return Ok(());
    }
    let mut full_wildcard_seen = false;
    for token in destination.split('.') {
        if token.is_empty() || full_wildcard_seen {
            let reason = format!("{INVALID}: invalid transform");
            return Err(if token.is_empty() { reason } else { format!("{reason} in {token}") });
        }
        if is_function(token) {
            // The functions left and right are not known here, though they are to the transform.
            match function(token) {
                Some((name, _)) if name != "left" && name != "right" => {}
                _ => return Err(invalid("unknown function", token)),
            }
        } else if token == ">" {
            full_wildcard_seen = true;
        } else if token.contains([' ', '\t', '\n', '\r', '\x0c']) {
            return Err(format!("{INVALID}: invalid transform"));
        }
    }
    check(source, destination, false)
}

/// Checks whether a transform can be built. A strict one must be reversible: it may only move
/// wildcards, and has to use all of them.
///
/// # Errors
/// The reason.
pub fn check(source: &str, destination: &str, strict: bool) -> Result<(), String> {
    if destination.is_empty() {
        return Ok(());
    }
    let source = if source.is_empty() { ">" } else { source };
    let (Some((wildcards, full)), Some((destination_wildcards, destination_full))) =
        (wildcards(source), wildcards(destination))
    else {
        return Err("invalid subject".to_owned());
    };
    if destination_wildcards > 0 || full != destination_full {
        return Err("invalid subject".to_owned());
    }
    let literal_source = wildcards == 0 && !full;
    let mut used = 0usize;
    for token in destination.split('.') {
        let parsed = parse_token(token)?;
        if literal_source {
            match parsed {
                Token::Literal | Token::Random | Token::Partition(_) => continue,
                Token::Wildcard(_) | Token::Cut(_) => {
                    return Err(invalid("wildcard index out of range", token));
                }
            }
        }
        if strict && !matches!(parsed, Token::Literal | Token::Wildcard(_)) {
            let reason =
                "the only mapping function allowed for import transforms is {{Wildcard()}}";
            return Err(invalid(reason, token));
        }
        let indexes = match parsed {
            Token::Literal | Token::Random => continue,
            Token::Wildcard(index) | Token::Cut(index) => vec![index],
            Token::Partition(indexes) => indexes,
        };
        for index in &indexes {
            if usize::try_from(*index).is_ok_and(|index| index > wildcards) {
                let at = format!("{token}: [{index}]");
                return Err(invalid("wildcard index out of range", &at));
            }
        }
        used = used.saturating_add(indexes.len());
    }
    if strict && !literal_source && used < wildcards {
        return Err(invalid("not using all of the token wildcard(s)", destination));
    }
    Ok(())
}

/// The number of `*` tokens and whether there is a `>`; `None` if the subject is malformed.
fn wildcards(subject: &str) -> Option<(usize, bool)> {
    let (mut count, mut full) = (0, false);
    for token in subject.split('.') {
        if token.is_empty() || full {
            return None;
        }
        match token {
            "*" => count += 1,
            ">" => full = true,
            _ => {}
        }
    }
    Some((count, full))
}

/// Replaces the wildcards by `$1`, `$2`, … in order.
#[must_use]
pub fn number_wildcards(subject: &str) -> String {
    let mut count = 0;
    let tokens: Vec<String> = subject
        .split('.')
        .map(|token| {
            if token == "*" {
                count += 1;
                format!("${count}")
            } else {
                token.to_owned()
            }
        })
        .collect();
    tokens.join(".")
}

/// Replaces references to wildcards by wildcards.
#[must_use]
pub fn restore_wildcards(subject: &str) -> String {
    let is_reference = |token: &str| {
        let digit = token.strip_prefix('$').and_then(|rest| rest.bytes().next());
        digit.is_some_and(|d| (b'1'..=b'9').contains(&d))
            || is_function(token) && function(token).is_some_and(|(name, _)| name == "wildcard")
    };
    let tokens: Vec<&str> =
        subject.split('.').map(|token| if is_reference(token) { "*" } else { token }).collect();
    tokens.join(".")
}

fn is_function(token: &str) -> bool {
    token.len() > 4 && token.starts_with("{{") && token.ends_with("}}")
}

/// The name of a known function in lower case, and what is between its parentheses.
fn function(token: &str) -> Option<(&'static str, &str)> {
    let inner = token.strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.trim_matches([' ', '\t', '\n', '\x0c', '\r']);
    let (name, arguments) = inner.split_once('(')?;
    let arguments = arguments.strip_suffix(')')?;
    let name = name.trim_end();
    // Only the first letter of each word may be in either case.
    const NAMES: [(&str, &[&str]); 10] = [
        ("wildcard", &["ildcard"]),
        ("partition", &["artition"]),
        ("splitfromleft", &["plit", "rom", "eft"]),
        ("splitfromright", &["plit", "rom", "ight"]),
        ("slicefromleft", &["lice", "rom", "eft"]),
        ("slicefromright", &["lice", "rom", "ight"]),
        ("split", &["plit"]),
        ("left", &["eft"]),
        ("right", &["ight"]),
        ("random", &["andom"]),
    ];
    NAMES.into_iter().find_map(|(known, words)| {
        let tails_match = words.iter().all(|tail| name.contains(tail));
        (name.eq_ignore_ascii_case(known) && tails_match).then_some((known, arguments))
    })
}

fn parse_token(token: &str) -> Result<Token, String> {
    if let Some(digits) = token.strip_prefix('$')
        && !digits.is_empty()
    {
        // Other subjects begin with a dollar sign, too.
        return Ok(number(digits).map_or(Token::Literal, Token::Wildcard));
    }
    if !is_function(token) {
        return Ok(Token::Literal);
    }
    let Some((name, arguments)) = function(token) else {
        return Err(invalid("unknown function", token));
    };
    let too_few = || invalid("not enough arguments passed to the function", token);
    let too_many = || invalid("too many arguments passed to the function", token);
    let bad = || invalid("function argument is invalid or in the wrong format", token);
    let arguments: Vec<&str> = split_arguments(arguments);
    let integer = |text: &str| number(text.trim_matches(' ')).ok_or_else(bad);
    let integer32 = |text: &str| {
        integer(text).and_then(|n| if n > i64::from(i32::MAX) { Err(bad()) } else { Ok(n) })
    };
    match (name, arguments.as_slice()) {
        ("wildcard", [""]) => Err(too_few()),
        ("wildcard", [index]) => Ok(Token::Wildcard(integer(index)?)),
        ("wildcard", _) => Err(too_many()),
        ("partition", [buckets, indexes @ ..]) => {
            integer32(buckets)?;
            let indexes: Result<Vec<i64>, String> = indexes.iter().map(|i| integer(i)).collect();
            Ok(Token::Partition(indexes?))
        }
        ("random", [max]) => integer32(max).map(|_| Token::Random),
        ("random", _) => Err(too_few()),
        ("split", [index, delimiter]) => {
            let index = integer(index)?;
            if delimiter.contains([' ', '.']) {
                return Err(bad());
            }
            Ok(Token::Cut(index))
        }
        (_, [index, length]) => {
            let index = integer(index)?;
            i32::try_from(integer(length)?).map_err(|_| bad())?;
            Ok(Token::Cut(index))
        }
        (_, [] | [_]) => Err(too_few()),
        _ => Err(too_many()),
    }
}

/// Splits at commas, dropping the blanks after them.
fn split_arguments(text: &str) -> Vec<&str> {
    let blanks = [' ', '\t', '\n', '\x0c', '\r'];
    let mut parts = text.split(',');
    let first = parts.next().unwrap_or_default();
    std::iter::once(first).chain(parts.map(|part| part.trim_start_matches(blanks))).collect()
}

fn number(text: &str) -> Option<i64> {
    super::text::parse_integer("Atoi", text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_checked_with_their_functions() {
        for (source, destination) in [
            ("a", "b"),
            ("a", ""),
            ("a.*", "b.$1"),
            ("a.*.*", "b.{{wildcard(2)}}.{{ Wildcard( 1 ) }}"),
            ("a.*.*", "b.{{partition(10,1,2)}}.$1.$2"),
            ("a.*", "b.{{SplitFromLeft(1,2)}}"),
            ("a.*", "b.{{sliceFromRight(1, 2)}}"),
            ("a.*", "b.{{split(1,-)}}"),
            ("a", "b.{{random(3)}}"),
            ("a", "b.{{partition(3)}}"),
            ("a.>", "b.>"),
            ("$JS.a", "$JS.b"),
        ] {
            assert_eq!(check_mapping(source, destination), Ok(()), "{source} to {destination}");
        }
        for (source, destination, error) in [
            ("a", "b..c", "invalid mapping destination: invalid transform"),
            ("a.>", "b.>.c", "invalid mapping destination: invalid transform in c"),
            ("a", "b c", "invalid mapping destination: invalid transform"),
            ("a", "{{bad(1)}}", "invalid mapping destination: unknown function in {{bad(1)}}"),
            (
                "a.*",
                "{{WILDCARD(1)}}",
                "invalid mapping destination: unknown function in {{WILDCARD(1)}}",
            ),
            ("a.>", "b", "invalid subject"),
            ("a", "b.*", "invalid subject"),
            ("a", "b.$1", "invalid mapping destination: wildcard index out of range in $1"),
            ("a.*", "b.$2", "invalid mapping destination: wildcard index out of range in $2: [2]"),
            (
                "a.*",
                "{{wildcard()}}",
                "invalid mapping destination: not enough arguments passed to the function in \
                 {{wildcard()}}",
            ),
            (
                "a.*",
                "{{wildcard(1,2)}}",
                "invalid mapping destination: too many arguments passed to the function in \
                 {{wildcard(1,2)}}",
            ),
            ("a.*", "{{split(1,x y)}}", "invalid mapping destination: invalid transform"),
            (
                "a.*",
                "{{splitfromleft(1,x)}}",
                "invalid mapping destination: function argument is invalid or in the wrong format \
                 in {{splitfromleft(1,x)}}",
            ),
        ] {
            let got = check_mapping(source, destination);
            if destination.contains("x y") {
                assert!(got.is_err());
            } else {
                assert_eq!(got, Err(error.to_owned()), "{source} to {destination}");
            }
        }
    }

    #[test]
    fn strict_transforms_use_every_wildcard_and_nothing_else() {
        assert_eq!(check("a.*.*", "b.$2.$1", true), Ok(()));
        assert_eq!(
            check("a.*.*", "b.$2", true),
            Err("invalid mapping destination: not using all of the token wildcard(s) in b.$2"
                .to_owned())
        );
        assert_eq!(
            check("a.*", "b.{{partition(3,1)}}", true),
            Err("invalid mapping destination: the only mapping function allowed for import \
                 transforms is {{Wildcard()}} in {{partition(3,1)}}"
                .to_owned())
        );
    }

    #[test]
    fn wildcards_are_numbered_and_restored() {
        assert_eq!(number_wildcards("a.*.b.*"), "a.$1.b.$2");
        assert_eq!(restore_wildcards("a.$1.{{wildcard(2)}}.$x"), "a.*.*.$x");
    }
}
