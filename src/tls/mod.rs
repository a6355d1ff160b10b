//! TLS for connections of all kinds: from a `tls {}` block to what a handshake needs, and from a
//! handshake to what is known of the peer (spec 01 §10, spec 03 §5 and §9).
//!
//! * [`certificates`]: PEM files to a certificate chain with its key, and authorities;
//! * [`server`]: a block to the configuration of a listener, and its replacement while it is used;
//! * [`choice`]: which of several certificates a client gets;
//! * [`verifier`]: checking clients' certificates, and remembering why one was refused;
//! * [`peer`]: what the other side presented: names, fingerprints, pins;
//! * [`dn`]: distinguished names as certificates have them and as users are configured;
//! * [`failure`]: what a failed handshake is called in the log;
//! * [`rate`]: the limit of handshakes per second.
//!
//! The records themselves are the event loop's work. Nothing here opens a file or a socket, apart
//! from the system's authorities, which are read where no `ca_file` is configured.

pub mod certificates;
pub mod choice;
pub mod dn;
pub mod failure;
pub mod peer;
pub mod rate;
pub mod server;
pub mod verifier;

pub use peer::{Peer, PeerCertificate, TlsState};
pub use rate::RateLimit;
pub use server::ServerTls;
