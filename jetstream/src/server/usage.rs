//! What accounts and the server hold, what they may hold, and what they promised (spec 07a §A1.2
//! to §A1.5).

use crate::api::responses::AccountLimits;
use crate::api_error::{ApiError, ErrorKind};
use crate::config::{StorageType, StreamConfig};
use crate::stream::context::Resources;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The name of the limits of an account without tiers.
pub const UNTIERED: &str = "";

/// The limits of an account: under one name without tiers, or one set a tier.
pub type Tiers = BTreeMap<String, AccountLimits>;

/// Bytes in memory and in files.
#[derive(Debug, Default)]
pub struct Bytes {
    memory: AtomicI64,
    files: AtomicI64,
}

impl Bytes {
    fn of(&self, storage: StorageType) -> &AtomicI64 {
        match storage {
            StorageType::Memory => &self.memory,
            StorageType::File => &self.files,
        }
    }

    /// How many there are.
    pub fn get(&self, storage: StorageType) -> i64 {
        self.of(storage).load(Ordering::Relaxed)
    }

    /// Adds some, or takes some away.
    pub fn add(&self, storage: StorageType, delta: i64) {
        self.of(storage).fetch_add(delta, Ordering::Relaxed);
    }
}

/// What the whole server holds and may hold.
#[derive(Debug)]
pub struct ServerUsage {
    /// What it holds.
    pub used: Bytes,
    /// What it promised to streams.
    pub reserved: Bytes,
    max_memory: i64,
    max_store: i64,
}

impl ServerUsage {
    /// Nothing yet, of so many bytes.
    pub fn new(max_memory: i64, max_store: i64) -> ServerUsage {
        ServerUsage { used: Bytes::default(), reserved: Bytes::default(), max_memory, max_store }
    }

    /// The most it may hold.
    pub fn max(&self, storage: StorageType) -> i64 {
        match storage {
            StorageType::Memory => self.max_memory,
            StorageType::File => self.max_store,
        }
    }
}

/// What an account holds and may hold, tier by tier.
#[derive(Debug, Default)]
pub struct AccountUsage {
    tiers: BTreeMap<String, (AccountLimits, Bytes)>,
}

impl AccountUsage {
    /// Nothing yet, within these limits.
    pub fn new(limits: &Tiers) -> AccountUsage {
        let tiers = limits.iter().map(|(name, l)| (name.clone(), (*l, Bytes::default())));
        AccountUsage { tiers: tiers.collect() }
    }

    /// The tier for streams of so many replicas, and whether accounts without tiers are meant.
    pub fn tier(&self, replicas: i64) -> Option<(&str, &AccountLimits, &Bytes)> {
        let named = |name: &str| {
            self.tiers.get_key_value(name).map(|(name, (limits, used))| (&**name, limits, used))
        };
        named(UNTIERED).or_else(|| named(&tier_name(replicas)))
    }

    /// Whether there are tiers.
    pub fn is_tiered(&self) -> bool {
        !self.tiers.contains_key(UNTIERED)
    }

    /// All tiers with their limits and what they hold.
    pub fn tiers(&self) -> impl Iterator<Item = (&str, &AccountLimits, &Bytes)> {
        self.tiers.iter().map(|(name, (limits, used))| (&**name, limits, used))
    }
}

/// The name of the tier for so many replicas.
pub fn tier_name(replicas: i64) -> String {
    format!("R{}", replicas.max(1))
}

/// The limit of an account for one kind of storage.
pub fn storage_limit(limits: &AccountLimits, storage: StorageType) -> i64 {
    match storage {
        StorageType::Memory => limits.max_memory,
        StorageType::File => limits.max_storage,
    }
}

/// The error for a kind of storage that has no room.
pub fn exceeded(storage: StorageType) -> ApiError {
    match storage {
        StorageType::Memory => ErrorKind::MemoryResourcesExceeded.into(),
        StorageType::File => ErrorKind::StorageResourcesExceeded.into(),
    }
}

/// What a stream asks whether there is room.
#[derive(Debug)]
pub struct StreamResources {
    /// The server's part.
    pub server: Arc<ServerUsage>,
    /// The account's part.
    pub account: Arc<AccountUsage>,
}

impl Resources for StreamResources {
    fn server_exhausted(&self, storage: StorageType) -> bool {
        let max = self.server.max(storage);
        max >= 0 && self.server.used.get(storage) > max
    }

    fn account_allows(
        &self,
        storage: StorageType,
        replicas: i64,
        bytes: u64,
    ) -> Result<(), ApiError> {
        let Some((tier, limits, used)) = self.account.tier(replicas) else {
            return Err(ErrorKind::NoLimits.into());
        };
        let limit = storage_limit(limits, storage);
        if limit < 0 {
            return Ok(());
        }
        let copies = replicas.max(1);
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX).saturating_mul(copies);
        let limit = if tier == UNTIERED { limit } else { limit.saturating_mul(copies) };
        if used.get(storage).saturating_add(bytes) > limit {
            return Err(ErrorKind::AccountResourcesExceeded.into());
        }
        Ok(())
    }
}

/// What a stream reserves of an account: bytes with all copies, or of one.
pub fn account_reservation(config: &StreamConfig, tiered: bool) -> i64 {
    // A stream without a limit still needs something.
    let bytes = if config.max_bytes < 0 { 1 } else { config.max_bytes };
    if tiered { bytes } else { bytes.saturating_mul(config.num_replicas.max(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max_storage: i64) -> AccountLimits {
        AccountLimits { max_storage, ..AccountLimits::UNLIMITED }
    }

    fn resources(tiers: &[(&str, AccountLimits)]) -> StreamResources {
        let tiers: Tiers = tiers.iter().map(|(name, l)| ((*name).to_owned(), *l)).collect();
        StreamResources {
            server: Arc::new(ServerUsage::new(100, 1_000)),
            account: Arc::new(AccountUsage::new(&tiers)),
        }
    }

    #[test]
    fn accounts_count_all_copies_unless_they_have_tiers() {
        let flat = resources(&[(UNTIERED, limits(100))]);
        assert!(flat.account_allows(StorageType::File, 1, 100).is_ok());
        assert!(flat.account_allows(StorageType::File, 3, 34).is_err());
        assert!(flat.account_allows(StorageType::Memory, 1, 1 << 40).is_ok());
        let tiered = resources(&[("R3", limits(100))]);
        assert!(tiered.account_allows(StorageType::File, 3, 100).is_ok());
        assert!(tiered.account_allows(StorageType::File, 3, 101).is_err());
        let missing = tiered.account_allows(StorageType::File, 1, 1).expect_err("no such tier");
        assert!(missing.is(ErrorKind::NoLimits));
    }

    #[test]
    fn a_server_is_exhausted_once_it_holds_more_than_it_may() {
        let resources = resources(&[]);
        resources.server.used.add(StorageType::Memory, 100);
        assert!(!resources.server_exhausted(StorageType::Memory));
        resources.server.used.add(StorageType::Memory, 1);
        assert!(resources.server_exhausted(StorageType::Memory));
        assert!(!resources.server_exhausted(StorageType::File));
    }
}
