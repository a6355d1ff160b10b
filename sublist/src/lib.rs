//! Subjects, the subscription trie and other subject-keyed structures.

pub mod stree;
