//! Statistics of sublists, as the monitoring endpoint `/subsz` shows them (spec 01 §14).

use serde::Serialize;

use crate::cache::CacheStats;

/// Statistics of one sublist, or of several when added up with [`SublistStats::add`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct SublistStats {
    /// Subscriptions held now.
    pub num_subscriptions: u32,
    /// Results cached now.
    pub num_cache: u32,
    /// Subscriptions inserted so far.
    pub num_inserts: u64,
    /// Subscriptions removed so far.
    pub num_removes: u64,
    /// Matches asked for so far, cached or not.
    pub num_matches: u64,
    /// Cache hits per match; above one when interest was asked for more than matches.
    pub cache_hit_rate: f64,
    /// The most plain subscriptions and queue groups of a cached result.
    pub max_fanout: u32,
    /// Plain subscriptions and queue groups per cached result.
    pub avg_fanout: f64,
    #[serde(skip)]
    total_fan_out: u64,
    #[serde(skip)]
    cached_results: u64,
    #[serde(skip)]
    cache_hits: u64,
}

impl SublistStats {
    pub(crate) fn new(count: u64, inserts: u64, removes: u64, cache: CacheStats) -> Self {
        let mut stats = Self {
            num_subscriptions: clamp_u32(count),
            num_cache: clamp_u32(cache.entries as u64),
            num_inserts: inserts,
            num_removes: removes,
            num_matches: cache.matches,
            max_fanout: clamp_u32(cache.max_fan_out as u64),
            total_fan_out: cache.total_fan_out as u64,
            cached_results: cache.entries as u64,
            cache_hits: cache.hits,
            ..Self::default()
        };
        stats.derive_rates();
        stats
    }

    /// Adds the statistics of another sublist. The rates are those of the sums.
    pub fn add(&mut self, other: &Self) {
        self.num_subscriptions = self.num_subscriptions.saturating_add(other.num_subscriptions);
        self.num_cache = self.num_cache.saturating_add(other.num_cache);
        self.num_inserts = self.num_inserts.saturating_add(other.num_inserts);
        self.num_removes = self.num_removes.saturating_add(other.num_removes);
        self.num_matches = self.num_matches.saturating_add(other.num_matches);
        self.max_fanout = self.max_fanout.max(other.max_fanout);
        self.total_fan_out = self.total_fan_out.saturating_add(other.total_fan_out);
        self.cached_results = self.cached_results.saturating_add(other.cached_results);
        self.cache_hits = self.cache_hits.saturating_add(other.cache_hits);
        self.derive_rates();
    }

    /// Matches and interest queries answered from the cache.
    pub fn cache_hits(&self) -> u64 {
        self.cache_hits
    }

    fn derive_rates(&mut self) {
        if self.num_matches > 0 {
            self.cache_hit_rate = self.cache_hits as f64 / self.num_matches as f64;
        }
        if self.total_fan_out > 0 {
            self.avg_fanout = self.total_fan_out as f64 / self.cached_results as f64;
        }
    }
}

fn clamp_u32(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
