//! Configuration: the language of configuration files, the options of a server, their validation
//! and the command line (spec 02 §1-§7).
//!
//! The path of a configuration file: [`lang`] turns its text into a table of values with
//! positions, `options` turns the table into one typed [`Options`] tree and
//! collects errors and warnings, [`Options::set_baseline`] adds the defaults, `validate` checks
//! what belongs together. [`cli`] drives all of it for the command. Nothing here opens a socket
//! or starts a thread; files and variables are reached through [`environment::Environment`].

pub mod claims;
pub mod cli;
pub mod environment;
pub mod lang;
mod load;
pub mod options;
pub mod permissions;
pub mod report;
pub mod secret;
pub mod text;
pub mod url;
pub mod validate;

pub use options::Options;
pub use secret::Secret;
