//! Account mappings: one source, several destinations with weights, some of them for one cluster
//! only (spec 03 §15.1).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{SubjectTransform, TokenList, TransformError, transform_tokenize, validate_mapping};
use crate::subject;

/// Weights are shares of this.
const WHOLE: u8 = 100;

/// A destination of a mapping, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapDestination {
    /// The destination of the transform.
    pub subject: Vec<u8>,
    /// The share of messages in percent.
    pub weight: u8,
    /// The name of the cluster whose servers use it; empty for all that have none of their own.
    pub cluster: String,
}

impl MapDestination {
    /// A destination for every cluster.
    pub fn new(subject: impl Into<Vec<u8>>, weight: u8) -> Self {
        Self { subject: subject.into(), weight, cluster: String::new() }
    }
}

/// Why a mapping was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MappingError {
    /// The source is no valid subject, or a destination is empty.
    InvalidSubject,
    /// The same destination is given twice.
    DuplicateEntry(String),
    /// A weight is over 100.
    WeightTooLarge,
    /// The weights of one cluster sum up to more than 100.
    TotalWeightTooLarge,
    /// The transform to a destination cannot be made.
    Transform(TransformError),
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidSubject => f.write_str("invalid subject"),
            Self::DuplicateEntry(subject) => write!(f, "duplicate entry for {subject:?}"),
            Self::WeightTooLarge => f.write_str("individual weights need to be <= 100"),
            Self::TotalWeightTooLarge => f.write_str("total weight needs to be <= 100"),
            Self::Transform(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for MappingError {}

impl From<TransformError> for MappingError {
    fn from(error: TransformError) -> Self {
        Self::Transform(error)
    }
}

/// The mapping of one source.
#[derive(Clone, Debug)]
pub struct SubjectMapping {
    source: Vec<u8>,
    is_literal: bool,
    everywhere: Shares,
    by_cluster: BTreeMap<String, Shares>,
}

/// Transforms in order of the upper end of their share: the shares before and their own added up.
type Shares = Vec<(u8, SubjectTransform)>;

impl SubjectMapping {
    /// Checks and resolves a mapping. Where the weights of a cluster, or of the destinations for
    /// all, do not sum up to 100, the remainder stays with the source, unless the source is among
    /// the destinations itself: then the remainder is dropped.
    pub fn new(source: &[u8], destinations: &[MapDestination]) -> Result<Self, MappingError> {
        if !subject::is_valid_subject(source) {
            return Err(MappingError::InvalidSubject);
        }
        let mut seen = BTreeSet::new();
        let mut totals: BTreeMap<&str, u8> = BTreeMap::new();
        let mut by_cluster: BTreeMap<String, Shares> = BTreeMap::new();
        by_cluster.insert(String::new(), Vec::new());
        for destination in destinations {
            if !seen.insert(&*destination.subject) {
                let subject = String::from_utf8_lossy(&destination.subject).into_owned();
                return Err(MappingError::DuplicateEntry(subject));
            }
            if destination.weight > WHOLE {
                return Err(MappingError::WeightTooLarge);
            }
            let total = totals.entry(&destination.cluster).or_default();
            *total += destination.weight;
            if *total > WHOLE {
                return Err(MappingError::TotalWeightTooLarge);
            }
            validate_mapping(source, &destination.subject)?;
            let transform = SubjectTransform::new(source, &destination.subject)?
                .ok_or(MappingError::InvalidSubject)?;
            let shares = by_cluster.entry(destination.cluster.clone()).or_default();
            shares.push((destination.weight, transform));
        }
        if !seen.contains(source) {
            for shares in by_cluster.values_mut() {
                add_remainder(source, shares)?;
            }
        }
        for shares in by_cluster.values_mut() {
            shares.sort_by_key(|&(weight, _)| weight);
            let mut end = 0;
            for (weight, _) in shares {
                end += *weight;
                *weight = end;
            }
        }
        let everywhere = by_cluster.remove("").unwrap_or_default();
        let is_literal = subject::subject_is_literal(source);
        Ok(Self { source: source.to_vec(), is_literal, everywhere, by_cluster })
    }

    /// The subjects that are mapped.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// The transforms with the upper ends of their shares in percent, those for all clusters first,
    /// each with the name of its cluster or nothing.
    pub fn shares(&self) -> impl Iterator<Item = (&SubjectTransform, u8, &str)> {
        let everywhere = self.everywhere.iter().map(|(end, transform)| (transform, *end, ""));
        let of_clusters = self.by_cluster.iter().flat_map(|(cluster, shares)| {
            shares.iter().map(move |(end, transform)| (transform, *end, cluster.as_str()))
        });
        everywhere.chain(of_clusters)
    }

    /// Whether `subject` is mapped.
    pub fn matches(&self, subject: &[u8]) -> bool {
        if self.is_literal && self.source == subject {
            return true;
        }
        subject::is_subset_match(subject, &self.source)
    }

    /// Chooses a transform for a server of `cluster`, or none if the message is to be dropped.
    /// Randomness is asked for only when there is a choice.
    pub fn select(
        &self,
        cluster: &str,
        mut random: impl FnMut() -> u32,
    ) -> Option<&SubjectTransform> {
        let shares = self.by_cluster.get(cluster).unwrap_or(&self.everywhere);
        if let [(WHOLE, transform)] = &shares[..] {
            return Some(transform);
        }
        // Multiplying instead of dividing: the upper half of random * 100 is below 100.
        let drawn = (u64::from(random()) * u64::from(WHOLE)) >> 32;
        shares.iter().find(|&&(end, _)| drawn < u64::from(end)).map(|(_, transform)| transform)
    }
}

/// Leaves to the source what the shares do not take up.
fn add_remainder(source: &[u8], shares: &mut Shares) -> Result<(), TransformError> {
    let total: u8 = shares.iter().map(|&(weight, _)| weight).sum();
    if total == WHOLE {
        return Ok(());
    }
    if let Some(identity) = SubjectTransform::new(source, &transform_tokenize(source))? {
        shares.push((WHOLE - total, identity));
    }
    Ok(())
}

/// What became of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapped {
    /// No mapping applies.
    Unchanged,
    /// The new subject was appended to the buffer; it may equal the old one.
    Changed,
    /// A mapping applies, and the message is not to be delivered.
    Dropped,
}

/// The mappings of an account, in the order they were added. The first that matches applies.
#[derive(Clone, Debug, Default)]
pub struct SubjectMappings {
    mappings: Vec<SubjectMapping>,
}

impl SubjectMappings {
    /// Whether there is no mapping.
    pub fn is_empty(&self) -> bool {
        self.mappings.is_empty()
    }

    /// Adds a mapping, in the place of an earlier one of the same source.
    pub fn insert(&mut self, mapping: SubjectMapping) {
        match self.mappings.iter_mut().find(|earlier| earlier.source == mapping.source) {
            Some(earlier) => *earlier = mapping,
            None => self.mappings.push(mapping),
        }
    }

    /// Removes the mapping of `source`; returns whether there was one.
    pub fn remove(&mut self, source: &[u8]) -> bool {
        let before = self.mappings.len();
        self.mappings.retain(|mapping| mapping.source != source);
        self.mappings.len() != before
    }

    /// The mappings in order.
    pub fn iter(&self) -> impl Iterator<Item = &SubjectMapping> {
        self.mappings.iter()
    }

    /// Maps `subject` for a server of `cluster`, appending the result to `out`. The mappings are
    /// not applied to the result again.
    pub fn map_into(
        &self,
        subject: &[u8],
        cluster: &str,
        mut random: impl FnMut() -> u32,
        out: &mut Vec<u8>,
    ) -> Mapped {
        let found = self.mappings.iter().enumerate().find(|(_, mapping)| mapping.matches(subject));
        let Some((index, mapping)) = found else { return Mapped::Unchanged };
        let Some(transform) = mapping.select(cluster, &mut random) else { return Mapped::Dropped };
        // The reference takes the subject apart when it first looks at a mapping that is not
        // literally the subject. A literal mapping at the head of the list therefore never sees
        // tokens, and all its messages go to the partition of the empty key.
        let tokens: TokenList<'_> = if index == 0 && mapping.is_literal && mapping.source == subject
        {
            TokenList::new()
        } else {
            subject::tokens(subject).collect()
        };
        transform.transform_tokens_into(&tokens, random, out);
        Mapped::Changed
    }
}
