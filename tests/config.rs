//! Configurations from text to checked options, with every text an operator may see.
//!
//! The expected texts were compared with those of the reference server.

#[path = "config/accounts.rs"]
mod accounts;
#[path = "config/blocks.rs"]
mod blocks;
#[path = "config/language.rs"]
mod language;
#[path = "config/misuse.rs"]
mod misuse;
#[path = "config/support.rs"]
mod support;
#[path = "config/top_level.rs"]
mod top_level;
#[path = "config/validation.rs"]
mod validation;
