//! The threads that check hashed passwords, so that no reactor waits for a hash function.
//!
//! A connection whose password is being checked is not read meanwhile, so the queue holds at most
//! one job per connection. The answer goes back to the connection's reactor as a message. Jobs of
//! connections that have gone are skipped.

use super::password::Hashed;
use crate::client::ClientShared;
use crate::worker::Message;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// Threads: a flood of logins must leave processors to the reactors.
const THREADS: usize = 2;

struct Job {
    client: Arc<ClientShared>,
    hashed: Hashed,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    ended: bool,
}

/// The pool. Without a thread until it is started.
#[derive(Default)]
pub struct HashPool {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl HashPool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(self: &Arc<Self>) -> io::Result<()> {
        for number in 0..THREADS {
            let pool = self.clone();
            std::thread::Builder::new()
                .name(format!("login-{number}"))
                .spawn(move || pool.run())?;
        }
        Ok(())
    }

    /// Checks the password of a connection; its reactor gets [`Message::PasswordChecked`].
    pub fn check(&self, client: Arc<ClientShared>, hashed: Hashed) {
        self.queue.lock().jobs.push_back(Job { client, hashed });
        self.changed.notify_one();
    }

    /// Ends the threads after the jobs they are at. They are not waited for: a hash may cost
    /// minutes, and nobody wants to know any more.
    pub fn stop(&self) {
        let mut queue = self.queue.lock();
        queue.ended = true;
        queue.jobs.clear();
        self.changed.notify_all();
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        loop {
            if queue.ended {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            self.changed.wait(&mut queue);
        }
    }

    fn run(&self) {
        while let Some(Job { client, hashed }) = self.next() {
            if client.egress.is_closed() {
                continue;
            }
            let matches = hashed.verify();
            if let Some(reactor) = client.server.reactor(client.reactor) {
                reactor.send(Message::PasswordChecked(client.token(), matches));
            }
        }
    }
}
