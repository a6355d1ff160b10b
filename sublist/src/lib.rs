//! Subjects, the subscription trie and other subject-keyed structures.

#![forbid(unsafe_code)]

pub mod stree;
pub mod subject;
