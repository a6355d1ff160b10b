//! The monitoring endpoints (spec 04 §1 to §3).
//!
//! Serving:
//! * [`service`]: the reactor of the monitoring port, with a thread of its own, so that building a
//!   large document never keeps a client waiting;
//! * [`http`]: the HTTP/1.1 connection engine: bytes in, requests out;
//! * [`response`]: what is sent back, byte for byte;
//! * [`request`]: a parsed request, its path and its query;
//! * [`parameters`]: the typed query parameters and their error texts;
//! * [`endpoints`]: which request gets which document.
//!
//! Documents, each a plain structure with the fields of the reference in its order, built from a
//! snapshot of the server: [`varz`], [`connz`], [`subsz`], [`accountz`], [`accstatz`], [`healthz`],
//! [`jsz`], [`links`] (routes, gateways, leafnodes), [`queues`], [`debug`] and the page in [`root`];
//! and [`metrics`], which the reference does not have. What they
//! say of subsystems that are switched off is what the reference says then.
//!
//! Invariant: nothing here holds a lock of the server for longer than a few microseconds at a time,
//! whatever the number of connections, nor one that a message on its way needs.

pub mod accountz;
pub mod accstatz;
pub mod connz;
pub mod debug;
pub mod endpoints;
pub mod format;
pub mod healthz;
pub mod histogram;
pub mod http;
pub mod jetstream;
pub mod jsz;
pub mod links;
pub mod metrics;
pub mod parameters;
pub mod queues;
pub mod request;
pub mod response;
pub mod root;
pub mod service;
pub mod subsz;
pub mod usage;
pub mod varz;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counted {
    ($($name:ident $path:literal,)*) => {
        /// The endpoints whose requests are counted (`http_req_stats`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counted {
            $(#[doc = $path] $name,)*
        }

        const COUNTED_PATHS: &[&str] = &[$($path,)*];
    };
}

counted! {
    Root "/",
    Varz "/varz",
    Connz "/connz",
    Routez "/routez",
    Gatewayz "/gatewayz",
    Leafz "/leafz",
    Subsz "/subsz",
    Accountz "/accountz",
    Accstatz "/accstatz",
    Jsz "/jsz",
    Healthz "/healthz",
}

/// What monitoring keeps for itself between requests.
#[derive(Default)]
pub struct Monitor {
    requests: [AtomicU64; COUNTED_PATHS.len()],
    /// Processor and memory use.
    pub usage: usage::Usage,
    /// The port, once it is served.
    pub port: OnceLock<service::Port>,
}

impl Monitor {
    /// Counts an HTTP request.
    pub fn count(&self, endpoint: Counted) {
        if let Some(n) = self.requests.get(endpoint as usize) {
            n.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Requests so far, by the path without the base path; endpoints never asked for are absent.
    pub fn requests(&self) -> BTreeMap<&'static str, u64> {
        COUNTED_PATHS
            .iter()
            .zip(&self.requests)
            .map(|(path, n)| (*path, n.load(Ordering::Relaxed)))
            .filter(|(_, n)| *n > 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_endpoints_asked_for_are_in_the_statistics() {
        let monitor = Monitor::default();
        assert!(monitor.requests().is_empty());
        monitor.count(Counted::Varz);
        monitor.count(Counted::Healthz);
        monitor.count(Counted::Varz);
        assert_eq!(monitor.requests(), BTreeMap::from([("/healthz", 1), ("/varz", 2)]));
    }
}
