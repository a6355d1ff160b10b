//! Subjects, the subscription trie and other subject-keyed structures.

#![forbid(unsafe_code)]

pub mod gsl;
pub mod stree;
pub mod subject;
pub mod transform;
