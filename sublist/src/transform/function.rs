//! The mapping functions of a transform's destination: reading them and carrying them out
//! (spec 03 §15.2).

use super::error::{DestinationFault, TransformError};
use crate::subject::TOKEN_SEPARATOR;

/// A destination token as it was written: with wildcards by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Placeholder {
    /// Not a function; stands for itself.
    Literal,
    Wildcard(i64),
    Partition {
        buckets: i32,
        wildcards: Vec<i64>,
    },
    Random {
        ceiling: i32,
    },
    Cut {
        wildcard: i64,
        cut: Cut,
    },
}

/// What is done to the one token that a function takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    SplitFromLeft(i32),
    SplitFromRight(i32),
    SliceFromLeft(i32),
    SliceFromRight(i32),
    Left(i32),
    Right(i32),
    Split(Vec<u8>),
}

/// The words of a function's name. Each may begin with a capital or a small letter.
type Name = &'static [&'static [u8]];

type MakeCut = fn(i32) -> Cut;

const WILDCARD: Name = &[b"wildcard"];
const PARTITION: Name = &[b"partition"];
const SPLIT_FROM_LEFT: Name = &[b"split", b"from", b"left"];
const SPLIT_FROM_RIGHT: Name = &[b"split", b"from", b"right"];
const SLICE_FROM_LEFT: Name = &[b"slice", b"from", b"left"];
const SLICE_FROM_RIGHT: Name = &[b"slice", b"from", b"right"];
const LEFT: Name = &[b"left"];
const RIGHT: Name = &[b"right"];
const SPLIT: Name = &[b"split"];
const RANDOM: Name = &[b"random"];

/// The functions that account mappings and stream transforms may use: `left` and `right` are not
/// among them, although transforms elsewhere know them.
const MAPPING_FUNCTIONS: [Name; 8] = [
    PARTITION,
    WILDCARD,
    SPLIT_FROM_LEFT,
    SPLIT_FROM_RIGHT,
    SLICE_FROM_LEFT,
    SLICE_FROM_RIGHT,
    SPLIT,
    RANDOM,
];

/// The functions of a wildcard and a number.
const NUMBERED_CUTS: [(Name, MakeCut); 6] = [
    (SPLIT_FROM_LEFT, Cut::SplitFromLeft),
    (SPLIT_FROM_RIGHT, Cut::SplitFromRight),
    (SLICE_FROM_LEFT, Cut::SliceFromLeft),
    (SLICE_FROM_RIGHT, Cut::SliceFromRight),
    (RIGHT, Cut::Right),
    (LEFT, Cut::Left),
];

impl Placeholder {
    /// Reads a destination token.
    pub(super) fn parse(token: &[u8]) -> Result<Self, TransformError> {
        let fail = |fault| Err(TransformError::at(token, fault));
        if let Some(number) = token.strip_prefix(b"$") {
            // Other things begin with a dollar sign too, so what is no number is no error.
            return Ok(parse_int(number).map_or(Self::Literal, Self::Wildcard));
        }
        if !is_function(token) {
            return Ok(Self::Literal);
        }
        if let Some(args) = arguments(token, WILDCARD) {
            return match &args[..] {
                [b""] => fail(DestinationFault::NotEnoughArguments),
                [index] => match parse_int(trim_spaces(index)) {
                    Some(index) => Ok(Self::Wildcard(index)),
                    None => fail(DestinationFault::InvalidArgument),
                },
                _ => fail(DestinationFault::TooManyArguments),
            };
        }
        if let Some(args) = arguments(token, PARTITION) {
            let Some((buckets, wildcards)) = args.split_first() else {
                return fail(DestinationFault::NotEnoughArguments);
            };
            let buckets = parse_bound(buckets);
            let wildcards = wildcards.iter().map(|index| parse_int(trim_spaces(index))).collect();
            return match (buckets, wildcards) {
                (Some(buckets), Some(wildcards)) => Ok(Self::Partition { buckets, wildcards }),
                _ => fail(DestinationFault::InvalidArgument),
            };
        }
        for (name, cut) in NUMBERED_CUTS {
            if let Some(args) = arguments(token, name) {
                return match &args[..] {
                    [] | [_] => fail(DestinationFault::NotEnoughArguments),
                    [wildcard, number] => {
                        let wildcard = parse_int(trim_spaces(wildcard));
                        let number = parse_int(trim_spaces(number))
                            .and_then(|number| i32::try_from(number).ok());
                        match (wildcard, number) {
                            (Some(wildcard), Some(number)) => {
                                Ok(Self::Cut { wildcard, cut: cut(number) })
                            }
                            _ => fail(DestinationFault::InvalidArgument),
                        }
                    }
                    _ => fail(DestinationFault::TooManyArguments),
                };
            }
        }
        if let Some(args) = arguments(token, SPLIT) {
            return match &args[..] {
                [] | [_] => fail(DestinationFault::NotEnoughArguments),
                [wildcard, delimiter] => match parse_int(trim_spaces(wildcard)) {
                    Some(wildcard)
                        if !delimiter.contains(&b' ') && !delimiter.contains(&TOKEN_SEPARATOR) =>
                    {
                        Ok(Self::Cut { wildcard, cut: Cut::Split(delimiter.to_vec()) })
                    }
                    _ => fail(DestinationFault::InvalidArgument),
                },
                _ => fail(DestinationFault::TooManyArguments),
            };
        }
        if let Some(args) = arguments(token, RANDOM) {
            return match &args[..] {
                [ceiling] => match parse_bound(ceiling) {
                    Some(ceiling) => Ok(Self::Random { ceiling }),
                    None => fail(DestinationFault::InvalidArgument),
                },
                _ => fail(DestinationFault::NotEnoughArguments),
            };
        }
        fail(DestinationFault::UnknownFunction)
    }
}

impl Cut {
    /// Appends what becomes of `token`. Lengths are bytes.
    pub(super) fn apply(&self, token: &[u8], out: &mut Vec<u8>) {
        match *self {
            Self::SplitFromLeft(at) => match inside(at, token) {
                Some(at) => push_joined(out, [&token[..at], &token[at..]]),
                None => out.extend_from_slice(token),
            },
            Self::SplitFromRight(at) => match inside(at, token) {
                Some(at) => {
                    let (head, tail) = token.split_at(token.len() - at);
                    push_joined(out, [head, tail]);
                }
                None => out.extend_from_slice(token),
            },
            Self::SliceFromLeft(size) => match inside(size, token) {
                Some(size) => push_joined(out, token.chunks(size)),
                None => out.extend_from_slice(token),
            },
            Self::SliceFromRight(size) => match inside(size, token) {
                Some(size) => {
                    let (head, rest) = token.split_at(token.len() % size);
                    let head = Some(head).filter(|head| !head.is_empty());
                    push_joined(out, head.into_iter().chain(rest.chunks_exact(size)));
                }
                None => out.extend_from_slice(token),
            },
            Self::Left(len) => match inside(len, token) {
                Some(len) => out.extend_from_slice(&token[..len]),
                None => out.extend_from_slice(token),
            },
            Self::Right(len) => match inside(len, token) {
                Some(len) => out.extend_from_slice(&token[token.len() - len..]),
                None => out.extend_from_slice(token),
            },
            Self::Split(ref delimiter) => push_split(out, token, delimiter),
        }
    }
}

/// Appends the partition of `key`: its 32-bit FNV-1a hash modulo the number of buckets.
pub(super) fn push_partition<'a>(
    out: &mut Vec<u8>,
    key: impl Iterator<Item = &'a [u8]>,
    buckets: i32,
) {
    const OFFSET_BASIS: u32 = 0x811c_9dc5;
    const PRIME: u32 = 0x0100_0193;
    let hash = key
        .flatten()
        .fold(OFFSET_BASIS, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(PRIME));
    // A negative number of buckets is taken for the unsigned number of the same bits.
    let partition = hash.checked_rem(buckets.cast_unsigned()).unwrap_or(0);
    push_number(out, partition);
}

/// Appends a number from zero up to the size of `ceiling`, made of 32 random bits.
pub(super) fn push_random(out: &mut Vec<u8>, random: u32, ceiling: i32) {
    push_number(out, (random >> 1).checked_rem(ceiling.unsigned_abs()).unwrap_or(0));
}

/// Whether a token is written as a function, known or not.
pub(super) fn is_function(token: &[u8]) -> bool {
    token.len() > 4 && token.starts_with(b"{{") && token.ends_with(b"}}")
}

/// Whether a token is written as one of the functions that mappings may use.
pub(super) fn is_mapping_function(token: &[u8]) -> bool {
    MAPPING_FUNCTIONS.into_iter().any(|name| argument_text(token, name).is_some())
}

/// Whether a token holds a `wildcard` function with one argument.
pub(super) fn is_wildcard_function(token: &[u8]) -> bool {
    arguments(token, WILDCARD).is_some_and(|args| matches!(&args[..], [index] if !index.is_empty()))
}

/// The arguments of function `name` in a token, which are separated by a comma and white space.
fn arguments(token: &[u8], name: Name) -> Option<Vec<&[u8]>> {
    let mut args = argument_text(token, name)?.split(|&b| b == b',');
    let first = args.next().into_iter();
    Some(first.chain(args.map(trim_whitespace_start)).collect())
}

/// What stands between the parentheses of the first `{{name(...)}}` in a token. White space is
/// allowed around name and parentheses; the text reaches as far to the right as it can and does
/// not span lines.
fn argument_text(token: &[u8], name: Name) -> Option<&[u8]> {
    memchr::memmem::find_iter(token, b"{{").find_map(|start| {
        let rest = trim_whitespace_start(&token[start + 2..]);
        let rest = trim_whitespace_start(strip_name(rest, name)?);
        let rest = rest.strip_prefix(b"(")?;
        let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        memchr::memrchr_iter(b')', line)
            .find(|&close| trim_whitespace_start(&rest[close + 1..]).starts_with(b"}}"))
            .map(|close| &rest[..close])
    })
}

fn strip_name(text: &[u8], name: Name) -> Option<&[u8]> {
    name.iter().try_fold(text, |text, word| {
        let (first, rest) = text.split_first()?;
        let (letter, letters) = word.split_first()?;
        (first.to_ascii_lowercase() == *letter).then_some(rest)?.strip_prefix(letters)
    })
}

fn trim_whitespace_start(text: &[u8]) -> &[u8] {
    let is_space = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0c);
    &text[text.iter().position(|b| !is_space(b)).unwrap_or(text.len())..]
}

fn trim_spaces(mut text: &[u8]) -> &[u8] {
    while let Some(rest) = text.strip_prefix(b" ") {
        text = rest;
    }
    while let Some(rest) = text.strip_suffix(b" ") {
        text = rest;
    }
    text
}

fn parse_int(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Reads a number of buckets or a ceiling. Only too large numbers are refused; of too small ones
/// the lower 32 bits are taken, as in the reference.
fn parse_bound(text: &[u8]) -> Option<i32> {
    let number = parse_int(trim_spaces(text))?;
    (number <= i64::from(i32::MAX)).then_some(number as i32)
}

/// `at` as a position strictly inside of `token`.
fn inside(at: i32, token: &[u8]) -> Option<usize> {
    usize::try_from(at).ok().filter(|&at| at > 0 && at < token.len())
}

fn push_joined<'a>(out: &mut Vec<u8>, parts: impl IntoIterator<Item = &'a [u8]>) {
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            out.push(TOKEN_SEPARATOR);
        }
        out.extend_from_slice(part);
    }
}

/// Appends the non-empty parts of `token` between delimiters, or its characters if the delimiter is
/// empty.
fn push_split(out: &mut Vec<u8>, token: &[u8], delimiter: &[u8]) {
    if delimiter.is_empty() {
        push_joined(out, characters(token));
        return;
    }
    let mut start = 0;
    let mut parts: smallvec::SmallVec<[&[u8]; 8]> = smallvec::SmallVec::new();
    for end in memchr::memmem::find_iter(token, delimiter) {
        parts.push(&token[start..end]);
        start = end + delimiter.len();
    }
    parts.push(&token[start..]);
    push_joined(out, parts.into_iter().filter(|part| !part.is_empty()));
}

/// The UTF-8 characters of `text`; bytes that are no part of any count as one each.
fn characters(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid();
        let ends =
            valid.char_indices().map(move |(at, c)| &valid.as_bytes()[at..at + c.len_utf8()]);
        ends.chain(chunk.invalid().chunks(1))
    })
}

fn push_number(out: &mut Vec<u8>, number: u32) {
    use std::io::Write;
    // Writing to a vector cannot fail.
    let _ = write!(out, "{number}");
}
