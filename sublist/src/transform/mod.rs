//! Subject transforms: from a subject that matches a source to a destination made of its tokens
//! (spec 03 §15.2), and the weighted mappings of an account built on them (spec 03 §15.1).
//!
//! A transform is checked and resolved when it is made; applying it cannot fail, touches no state,
//! and writes into a buffer of the caller. Randomness comes from the caller: a source of 32 uniformly
//! distributed bits per call.

mod error;
mod function;
mod mapping;
#[cfg(test)]
mod tests;

use smallvec::SmallVec;

pub use error::{DestinationFault, TransformError};
pub use mapping::{MapDestination, Mapped, MappingError, SubjectMapping, SubjectMappings};

use crate::subject::{self, FULL_WILDCARD, PARTIAL_WILDCARD, TOKEN_SEPARATOR};
use function::{Cut, Placeholder};

const FULL: &[u8] = &[FULL_WILDCARD];
const PARTIAL: &[u8] = &[PARTIAL_WILDCARD];

/// The tokens of one subject, on the stack unless there are many.
type TokenList<'a> = SmallVec<[&'a [u8]; 32]>;

/// A checked transform from source to destination.
#[derive(Clone, Debug)]
pub struct SubjectTransform {
    source: Box<[u8]>,
    destination: Box<[u8]>,
    source_token_count: usize,
    steps: Box<[Step]>,
}

/// What one destination token becomes. Positions count the tokens of the subject from zero.
#[derive(Clone, Debug)]
enum Step {
    Literal(Box<[u8]>),
    Wildcard(usize),
    /// Of the tokens at `positions`, or of the whole subject if there are none.
    Partition {
        buckets: i32,
        positions: Box<[usize]>,
    },
    Random {
        ceiling: i32,
    },
    Cut {
        position: usize,
        cut: Cut,
    },
    /// `>`: the tokens that the `>` of the source stands for.
    Rest,
}

impl SubjectTransform {
    /// Makes a transform. An empty source stands for `>`; an empty destination means that there is
    /// no transform.
    pub fn new(source: &[u8], destination: &[u8]) -> Result<Option<Self>, TransformError> {
        Self::build(source, destination, false)
    }

    /// Makes a transform that can be reversed, as imports need: of the functions only `wildcard`
    /// is allowed, and every wildcard of the source has to be used.
    pub fn new_strict(source: &[u8], destination: &[u8]) -> Result<Option<Self>, TransformError> {
        Self::build(source, destination, true)
    }

    fn build(
        source: &[u8],
        destination: &[u8],
        strict: bool,
    ) -> Result<Option<Self>, TransformError> {
        if destination.is_empty() {
            return Ok(None);
        }
        let source = if source.is_empty() { FULL } else { source };
        let from = Outline::of(source)?;
        let to = Outline::of(destination)?;
        if !to.wildcard_positions.is_empty() || from.ends_full != to.ends_full {
            return Err(TransformError::InvalidSubject);
        }
        let has_wildcard = !from.wildcard_positions.is_empty() || from.ends_full;
        let mut used_wildcards = 0;
        let steps = subject::tokens(destination)
            .map(|token| {
                let placeholder = Placeholder::parse(token)?;
                if !has_wildcard {
                    return resolve_for_literal_source(token, placeholder);
                }
                if strict && !matches!(placeholder, Placeholder::Literal | Placeholder::Wildcard(_))
                {
                    return Err(TransformError::at(token, DestinationFault::NotSupportedForImport));
                }
                used_wildcards += usize::from(matches!(placeholder, Placeholder::Wildcard(_)));
                resolve(token, placeholder, &from.wildcard_positions)
            })
            .collect::<Result<_, _>>()?;
        if strict && used_wildcards < from.wildcard_positions.len() {
            return Err(TransformError::at(destination, DestinationFault::NotUsingAllWildcards));
        }
        Ok(Some(Self {
            source: source.into(),
            destination: destination.into(),
            source_token_count: subject::num_tokens(source),
            steps,
        }))
    }

    /// The source, `>` if none was given.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// The destination as it was written.
    pub fn destination(&self) -> &[u8] {
        &self.destination
    }

    /// Appends to `out` what becomes of a literal subject that matches the source.
    ///
    /// # Errors
    ///
    /// [`TransformError::NoMatchingTransform`] if it does not match, and
    /// [`TransformError::InvalidSubject`] if it is no literal subject; the latter is not asked of a
    /// transform from `>` to `>`, which changes nothing. Then `out` is as before.
    pub fn match_into(
        &self,
        subject: &[u8],
        random: impl FnMut() -> u32,
        out: &mut Vec<u8>,
    ) -> Result<(), TransformError> {
        let takes_all = *self.source == *FULL;
        if takes_all && *self.destination == *FULL {
            out.extend_from_slice(subject);
            return Ok(());
        }
        if !subject::is_valid_literal_subject(subject) {
            return Err(TransformError::InvalidSubject);
        }
        if !takes_all && !subject::is_subset_match(subject, &self.source) {
            return Err(TransformError::NoMatchingTransform);
        }
        self.transform_into(subject, random, out);
        Ok(())
    }

    /// As [`match_into`](Self::match_into), into a new buffer.
    pub fn match_subject(
        &self,
        subject: &[u8],
        random: impl FnMut() -> u32,
    ) -> Result<Vec<u8>, TransformError> {
        let mut out = Vec::new();
        self.match_into(subject, random, &mut out).map(|()| out)
    }

    /// Appends to `out` what becomes of a subject that is known to match the source. A subject that
    /// does not is transformed as far as its tokens reach: those it lacks are empty.
    pub fn transform_into(&self, subject: &[u8], random: impl FnMut() -> u32, out: &mut Vec<u8>) {
        let tokens: TokenList<'_> = subject::tokens(subject).collect();
        self.transform_tokens_into(&tokens, random, out);
    }

    /// As [`transform_into`](Self::transform_into), into a new buffer.
    pub fn transform(&self, subject: &[u8], random: impl FnMut() -> u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.destination.len() + subject.len());
        self.transform_into(subject, random, &mut out);
        out
    }

    fn transform_tokens_into(
        &self,
        tokens: &[&[u8]],
        mut random: impl FnMut() -> u32,
        out: &mut Vec<u8>,
    ) {
        let token_at = |position: usize| tokens.get(position).copied().unwrap_or_default();
        for (index, step) in self.steps.iter().enumerate() {
            if index > 0 {
                out.push(TOKEN_SEPARATOR);
            }
            match step {
                Step::Literal(token) => out.extend_from_slice(token),
                Step::Wildcard(position) => out.extend_from_slice(token_at(*position)),
                Step::Partition { buckets, positions } if positions.is_empty() => {
                    let separators = std::iter::once(&b""[..]).chain(std::iter::repeat(&b"."[..]));
                    let joined = separators.zip(tokens).flat_map(|(s, &token)| [s, token]);
                    function::push_partition(out, joined, *buckets);
                }
                Step::Partition { buckets, positions } => {
                    let chosen = positions.iter().map(|&position| token_at(position));
                    function::push_partition(out, chosen, *buckets);
                }
                Step::Random { ceiling } => function::push_random(out, random(), *ceiling),
                Step::Cut { position, cut } => cut.apply(token_at(*position), out),
                Step::Rest => {
                    let rest = tokens.get(self.source_token_count - 1..).unwrap_or_default();
                    for (index, token) in rest.iter().enumerate() {
                        if index > 0 {
                            out.push(TOKEN_SEPARATOR);
                        }
                        out.extend_from_slice(token);
                    }
                }
            }
        }
    }

    /// The transform that leads back, if there is one: from the destination with its wildcards to
    /// the source. There is none when functions other than `wildcard` are used, or wildcards of the
    /// source are left out or used twice.
    ///
    /// The reference pairs wildcards in the order they are written, which leads back only as long
    /// as the destination does no more than swap pairs; here each finds its place.
    pub fn reverse(&self) -> Option<Self> {
        let wildcard_positions = Outline::of(&self.source).ok()?.wildcard_positions;
        // For each wildcard of the destination, the source position it was taken from.
        let mut taken_from = Vec::new();
        let mut new_source = Vec::new();
        for step in &self.steps {
            let token = match step {
                Step::Literal(token) => token,
                Step::Rest => FULL,
                Step::Wildcard(position) => {
                    taken_from.push(*position);
                    PARTIAL
                }
                Step::Partition { .. } | Step::Random { .. } | Step::Cut { .. } => return None,
            };
            new_source.push(token);
        }
        if taken_from.len() != wildcard_positions.len() {
            return None;
        }
        let new_destination = subject::tokens(&self.source)
            .enumerate()
            .map(|(position, token)| {
                if !wildcard_positions.contains(&position) {
                    return Some(token.to_vec());
                }
                let index = taken_from.iter().position(|&taken| taken == position)?;
                Some(format!("${}", index + 1).into_bytes())
            })
            .collect::<Option<Vec<_>>>()?
            .join(&TOKEN_SEPARATOR);
        let new_source = new_source.join(&TOKEN_SEPARATOR);
        Self::new_strict(&new_source, &new_destination).ok().flatten()
    }
}

/// Checks a destination by the rules of account mappings and stream transforms, which know neither
/// `left` nor `right` and allow no white space; an empty one is in order. Then checks that the
/// transform can be made.
pub fn validate_mapping(source: &[u8], destination: &[u8]) -> Result<(), TransformError> {
    if destination.is_empty() {
        return Ok(());
    }
    let mut ended = false;
    for token in subject::tokens(destination) {
        if token.is_empty() || ended {
            return Err(TransformError::at(token, DestinationFault::InvalidTransform));
        }
        if function::is_function(token) {
            if !function::is_mapping_function(token) {
                return Err(TransformError::at(token, DestinationFault::UnknownFunction));
            }
        } else if token == FULL {
            ended = true;
        } else if token.iter().any(|b| b"\t\n\x0c\r ".contains(b)) {
            return Err(TransformError::at(b"", DestinationFault::InvalidTransform));
        }
    }
    SubjectTransform::new(source, destination).map(|_| ())
}

/// A subject with its wildcards numbered, as a destination: `foo.*.*` becomes `foo.$1.$2`.
pub fn transform_tokenize(subject: &[u8]) -> Vec<u8> {
    let mut wildcards = 0;
    let tokens: Vec<Vec<u8>> = subject::tokens(subject)
        .map(|token| {
            if token == PARTIAL {
                wildcards += 1;
                format!("${wildcards}").into_bytes()
            } else {
                token.to_vec()
            }
        })
        .collect();
    tokens.join(&TOKEN_SEPARATOR)
}

/// A destination as a subject with wildcards, and the tokens they stand for in order:
/// `foo.$2.{{wildcard(1)}}` becomes `foo.*.*` with `$2` and `{{wildcard(1)}}`.
pub fn transform_untokenize(destination: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut placeholders = Vec::new();
    let tokens: Vec<&[u8]> = subject::tokens(destination)
        .map(|token| {
            if matches!(token, [b'$', b'1'..=b'9', ..]) || function::is_wildcard_function(token) {
                placeholders.push(token.to_vec());
                PARTIAL
            } else {
                token
            }
        })
        .collect();
    (tokens.join(&TOKEN_SEPARATOR), placeholders)
}

/// The shape of a subject that may have wildcards.
struct Outline {
    /// Where its `*` tokens are, counted from zero.
    wildcard_positions: Vec<usize>,
    /// Whether it ends with `>`.
    ends_full: bool,
}

impl Outline {
    fn of(subject: &[u8]) -> Result<Self, TransformError> {
        if subject::subscription_shape(subject).is_none() {
            return Err(TransformError::InvalidSubject);
        }
        let tokens = || subject::tokens(subject);
        Ok(Self {
            wildcard_positions: tokens()
                .enumerate()
                .filter_map(|(position, token)| (token == PARTIAL).then_some(position))
                .collect(),
            ends_full: tokens().last() == Some(FULL),
        })
    }
}

/// Finds the tokens that a destination token of a source with wildcards refers to.
fn resolve(
    token: &[u8],
    placeholder: Placeholder,
    wildcard_positions: &[usize],
) -> Result<Step, TransformError> {
    let position_of = |wildcard: i64| match usize::try_from(wildcard) {
        Ok(index @ 1..) => wildcard_positions.get(index - 1).copied().ok_or_else(|| {
            let token = [token, format!(": [{wildcard}]").as_bytes()].concat();
            TransformError::at(&token, DestinationFault::IndexOutOfRange)
        }),
        // Numbers below one stand for the first token, as in the reference.
        Ok(0) | Err(_) => Ok(0),
    };
    Ok(match placeholder {
        Placeholder::Literal if token == FULL => Step::Rest,
        Placeholder::Literal => Step::Literal(token.into()),
        Placeholder::Wildcard(wildcard) => Step::Wildcard(position_of(wildcard)?),
        Placeholder::Partition { buckets, wildcards } => {
            let positions = wildcards.into_iter().map(position_of).collect::<Result<_, _>>()?;
            Step::Partition { buckets, positions }
        }
        Placeholder::Random { ceiling } => Step::Random { ceiling },
        Placeholder::Cut { wildcard, cut } => Step::Cut { position: position_of(wildcard)?, cut },
    })
}

/// A source without wildcards has none to refer to; a partition is of the whole subject.
fn resolve_for_literal_source(
    token: &[u8],
    placeholder: Placeholder,
) -> Result<Step, TransformError> {
    match placeholder {
        Placeholder::Literal => Ok(Step::Literal(token.into())),
        Placeholder::Partition { buckets, .. } => {
            Ok(Step::Partition { buckets, positions: Box::default() })
        }
        Placeholder::Random { ceiling } => Ok(Step::Random { ceiling }),
        Placeholder::Wildcard(_) | Placeholder::Cut { .. } => {
            Err(TransformError::at(token, DestinationFault::IndexOutOfRange))
        }
    }
}
