//! JetStream of this server: from its configuration to its thread (spec 07a §A1).
//!
//! The engine ([`jetstream::server::JetStream`]) belongs to one worker thread. What streams and
//! consumers subscribe to arrives in the worker's inbox; it hands all of it to the engine, commits
//! once, and sends what the engine says: one sync a stream for everything that was queued.
//! Others ask the worker by [`Handle::ask`], and read counters that it keeps.

mod domain;
mod driver;
mod requester;
mod settings;
mod worker;

pub use settings::StartError;

use crate::internal::{Inbox, Mail};
use crate::server::Server;
use jetstream::server::usage::ServerUsage;
use jetstream::server::{JetStream, Outside, Settings};
use jetstream::time::Timestamp;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

/// How long monitoring waits for the worker.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What the worker is asked to do with the engine.
type Question = Box<dyn FnOnce(&mut JetStream, Timestamp, &mut dyn Outside) + Send>;

/// JetStream as other threads see it.
pub struct Handle {
    settings: Settings,
    usage: Arc<ServerUsage>,
    questions: Mail<Question>,
    /// Streams, consumers and answers of the API, as of the last pass of the worker.
    counts: Counts,
    failed: Mutex<Option<String>>,
    disabled: AtomicBool,
}

/// Numbers that monitoring shows.
#[derive(Default)]
pub struct Counts {
    /// Answers of the API.
    pub api_total: AtomicU64,
    /// Those that were errors.
    pub api_errors: AtomicU64,
}

impl Handle {
    fn new(settings: Settings, usage: Arc<ServerUsage>, inbox: Arc<Inbox>) -> Handle {
        Handle {
            settings,
            usage,
            questions: Mail::new(inbox),
            counts: Counts::default(),
            failed: Mutex::new(None),
            disabled: AtomicBool::new(false),
        }
    }

    /// How it is configured.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What the server holds and promised.
    pub fn usage(&self) -> &ServerUsage {
        &self.usage
    }

    /// Answers of the API, and how many of them were errors.
    pub fn api_counts(&self) -> (u64, u64) {
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        (load(&self.counts.api_total), load(&self.counts.api_errors))
    }

    /// Why it takes nothing any more, if that is so.
    pub fn failed(&self) -> Option<String> {
        self.failed.lock().clone()
    }

    /// Whether it works.
    pub fn is_enabled(&self) -> bool {
        !self.disabled.load(Ordering::Relaxed)
    }

    /// Has the worker look at the engine between two passes. `None` if it does not come to it in
    /// time, or has ended.
    pub fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut JetStream, Timestamp, &mut dyn Outside) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered): (SyncSender<T>, _) = sync_channel(1);
        let question: Question = Box::new(move |engine, now, out| {
            // Whoever asked may have given up.
            let _ = answer.send(question(engine, now, out));
        });
        self.questions.send(question).ok()?;
        answered.recv_timeout(ANSWER_TIMEOUT).ok()
    }

    /// It takes nothing any more, for this reason.
    pub fn disable(&self, error: &str) {
        *self.failed.lock() = Some(error.to_owned());
        self.disabled.store(true, Ordering::Relaxed);
    }
}

/// Whether an account may use JetStream on this server.
pub fn is_enabled_for(server: &Server, account: &str) -> bool {
    let enabled = server.jetstream().is_some_and(|handle| handle.is_enabled());
    enabled
        && settings::accounts(server, &server.options())
            .iter()
            .any(|facts| facts.name == account && facts.limits.is_some())
}

/// Starts JetStream where it is configured. Returns when everything stored is back.
///
/// # Errors
/// What keeps it from starting, as the reference words it.
pub fn start(server: &Arc<Server>) -> Result<Option<Arc<Handle>>, StartError> {
    let options = server.options();
    if !options.jetstream.enabled {
        return Ok(None);
    }
    let settings = settings::of(server, &options)?;
    if let Some(domain) = &settings.domain {
        domain::map(server, domain);
    }
    worker::start(server, settings).map(Some)
}
