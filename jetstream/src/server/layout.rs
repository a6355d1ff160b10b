//! Where everything is in the store directory (spec 06 §1 to §3, spec 07c §C7).

use std::path::{Path, PathBuf};

const STREAMS: &str = "streams";
const CONSUMERS: &str = "obs";
const BATCHES: &str = "batches";

/// The directory of an account.
pub(super) fn account(store: &Path, account: &str) -> PathBuf {
    store.join(account)
}

/// The directory of an account's streams.
pub(super) fn streams(store: &Path, account: &str) -> PathBuf {
    store.join(account).join(STREAMS)
}

/// The directory of a stream.
pub(super) fn stream(store: &Path, account: &str, name: &str) -> PathBuf {
    streams(store, account).join(name)
}

/// The directory of a stream's consumers.
pub(super) fn consumers(stream: &Path) -> PathBuf {
    stream.join(CONSUMERS)
}

/// The directory of a stream's unfinished batches.
pub(super) fn batches(stream: &Path) -> PathBuf {
    stream.join(BATCHES)
}
