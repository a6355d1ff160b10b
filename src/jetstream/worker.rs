//! The thread that owns the engine.
//!
//! One pass: take everything that has come, hand it to the engine, commit, deliver, hand over. While
//! a client that is sent messages takes them too slowly, no more are read from the stores for a
//! moment: they would only move from the disk into memory.

use super::driver::{Driver, Subscriptions};
use super::requester::Sender;
use super::settings::{StartError, accounts, encryption_name};
use super::{Counts, Handle};
use crate::internal::{self, Batch, Context, Inbox, Wake};
use crate::process::banner;
use crate::server::Server;
use eventloop::{Egress, HOLD_UNTIL_BYTES};
use jetstream::api_level::API_LEVEL;
use jetstream::disk::RealDisk;
use jetstream::server::{Incoming, JetStream, Secrets, Settings};
use jetstream::store::RandomSource;
use jetstream::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest that deliveries wait for one slow client.
const HOLD: Duration = Duration::from_millis(10);
/// How often slow clients are looked at meanwhile.
const HOLD_CHECK: Duration = Duration::from_millis(1);

/// Randomness of the system.
struct SystemRandom;

impl RandomSource for SystemRandom {
    fn fill(&mut self, buffer: &mut [u8]) {
        // The start has shown that there is some; without it, what is erased is overwritten with
        // what was there, and nonces would repeat: better to stop.
        if let Err(error) = getrandom::fill(buffer) {
            panic!("no randomness from the system: {error}");
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

struct Worker {
    engine: JetStream,
    subscriptions: Subscriptions,
    handle: Arc<Handle>,
    slow: Vec<(Arc<Egress>, Instant)>,
}

/// Starts the worker and waits until everything stored is back.
pub(super) fn start(server: &Arc<Server>, settings: Settings) -> Result<Arc<Handle>, StartError> {
    let began = Instant::now();
    server.log.noticef(format_args!("Starting JetStream"));
    announce(server, &settings);
    let secrets: Secrets = Arc::new(|| Box::new(SystemRandom));
    let seed = server.random_below(u64::MAX);
    let engine = JetStream::new(settings.clone(), Arc::new(RealDisk), secrets, seed);
    let inbox = Inbox::new();
    let handle = Arc::new(Handle::new(settings, engine.usage().clone(), inbox.clone()));
    let worker_handle = handle.clone();
    let (started, ready) = sync_channel(1);
    let run = move |mut context: Context| {
        let subscriptions = Subscriptions::new(context.server(), context.inbox());
        let mut worker = Worker { engine, subscriptions, handle: worker_handle, slow: Vec::new() };
        let outcome = worker.recover(&mut context);
        let failed = outcome.is_err();
        // Whoever started this waits for it.
        let _ = started.send(outcome);
        if !failed {
            worker.run(&mut context);
        }
    };
    internal::spawn(server, "jetstream", inbox, run)
        .map_err(|error| StartError(error.to_string()))?;
    match ready.recv() {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(StartError(error)),
        Err(_) => return Err(StartError("JetStream could not be started".to_owned())),
    }
    server.log.noticef(format_args!(
        "Took {} to start JetStream",
        crate::client::GoDuration(began.elapsed())
    ));
    Ok(handle)
}

fn announce(server: &Server, settings: &Settings) {
    let dir = settings.store_dir.display().to_string();
    let facts = banner::JetStreamFacts {
        no_art: false,
        strict: settings.strict,
        max_memory: settings.max_memory,
        max_store: settings.max_store,
        store_dir: &dir,
        domain: settings.domain.as_deref(),
        encryption: encryption_name(settings),
        api_level: API_LEVEL,
    };
    for (level, line) in banner::jetstream(&facts) {
        server.log.at_level(level, format_args!("{line}"));
    }
}

impl Worker {
    /// Brings back what is stored, account by account.
    fn recover(&mut self, context: &mut Context) -> Result<(), String> {
        let server = context.server().clone();
        for account in accounts(&server, &server.options()) {
            let mut out = Driver {
                subscriptions: &mut self.subscriptions,
                publisher: &mut context.publisher,
            };
            self.engine.add_account(account, now(), &mut out).map_err(|error| error.to_string())?;
        }
        let mut out =
            Driver { subscriptions: &mut self.subscriptions, publisher: &mut context.publisher };
        self.engine.commit(now(), &mut out);
        Ok(())
    }

    fn run(&mut self, context: &mut Context) {
        let mut changed = Vec::new();
        loop {
            let wake = context.wait(self.deadline());
            let time = now();
            while let Some(batch) = context.next_batch() {
                self.take(context, &batch, time);
                context.settle(batch);
            }
            context.inbox().take_changed(&mut changed);
            let Worker { engine, subscriptions, .. } = self;
            let mut out = Driver { subscriptions, publisher: &mut context.publisher };
            for (consumer, active) in changed.drain(..) {
                engine.interest_changed(consumer, active, time, &mut out);
            }
            if engine.next_deadline().is_some_and(|deadline| deadline <= time) {
                engine.tick(time, &mut out);
            }
            engine.commit(time, &mut out);
            if self.may_deliver() {
                let Worker { engine, subscriptions, .. } = self;
                let mut out = Driver { subscriptions, publisher: &mut context.publisher };
                engine.work(time, &mut out);
                context.publisher.hand_over();
                self.note_slow(context.publisher.take_heavy());
            }
            let questions = self.handle.questions.take();
            for question in questions {
                let Worker { engine, subscriptions, .. } = self;
                let mut out = Driver { subscriptions, publisher: &mut context.publisher };
                question(engine, time, &mut out);
            }
            self.publish_counts(context.server());
            if wake == Wake::Closed {
                return self.stop(context);
            }
        }
    }

    fn take(&mut self, context: &mut Context, batch: &Batch, time: Timestamp) {
        for message in batch.iter() {
            let Some(target) = self.subscriptions.target(message.tag()) else { continue };
            let Some(account) = message.account() else { continue };
            let incoming = Incoming {
                subject: message.subject_bytes(),
                reply: message.reply_bytes(),
                header: message.header_bytes(),
                payload: message.body_bytes(),
            };
            let mut out = Driver {
                subscriptions: &mut self.subscriptions,
                publisher: &mut context.publisher,
            };
            let sender = Sender(message);
            self.engine.received(target, &account.name, incoming, &sender, time, &mut out);
        }
    }

    /// When the next pass is due.
    fn deadline(&self) -> Option<Instant> {
        let work = self.engine.has_work().then(|| {
            if self.slow.is_empty() { Instant::now() } else { Instant::now() + HOLD_CHECK }
        });
        let due = self.engine.next_deadline().map(|at| Instant::now() + at.saturating_since(now()));
        work.into_iter().chain(due).min()
    }

    /// Whether no client is waited for.
    fn may_deliver(&mut self) -> bool {
        self.slow.retain(|(egress, since)| {
            egress.pending_bytes() > HOLD_UNTIL_BYTES
                && !egress.is_closed()
                && since.elapsed() < HOLD
        });
        self.slow.is_empty() && self.engine.has_work()
    }

    fn note_slow(&mut self, heavy: Vec<Arc<Egress>>) {
        let since = Instant::now();
        self.slow.extend(heavy.into_iter().map(|egress| (egress, since)));
    }

    fn publish_counts(&self, server: &Server) {
        let Counts { api_total, api_errors } = &self.handle.counts;
        let (total, errors) = self.engine.api_counts();
        api_total.store(total, Ordering::Relaxed);
        api_errors.store(errors, Ordering::Relaxed);
        if let Some(error) = self.engine.failed()
            && self.handle.is_enabled()
        {
            server.log.errorf(format_args!("JetStream is shut down: {error}"));
            self.handle.disable(&error.to_string());
            server.jetstream_ended();
        }
    }

    fn stop(&mut self, context: &mut Context) {
        let mut out =
            Driver { subscriptions: &mut self.subscriptions, publisher: &mut context.publisher };
        self.engine.stop(now(), &mut out);
        context.publisher.hand_over();
    }
}
