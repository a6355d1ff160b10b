//! Delivery of signals to the server ("spec 02, 9.1").
//!
//! One thread waits for the five signals the server obeys and hands them, one at a time, to a
//! callback; while the callback works (a reload, say) later signals wait, and repeats of the same
//! signal become one. SIGPIPE needs nothing: the language's runtime ignores it, so a write to a
//! closed socket is an ordinary error. SIGQUIT keeps its default.

use std::io;
use std::thread::{self, JoinHandle};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::{Handle, Signals};

/// A signal the server obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerSignal {
    /// SIGINT: shut down, also while in lame duck mode.
    Interrupt,
    /// SIGTERM: shut down, unless in lame duck mode.
    Terminate,
    /// SIGHUP: reload the configuration.
    Hangup,
    /// SIGUSR1: open the log file anew.
    User1,
    /// SIGUSR2: enter lame duck mode.
    User2,
}

impl ServerSignal {
    /// The name in the line `Trapped "<name>" signal`.
    pub fn name(self) -> &'static str {
        match self {
            ServerSignal::Interrupt => "interrupt",
            ServerSignal::Terminate => "terminated",
            ServerSignal::Hangup => "hangup",
            ServerSignal::User1 => "user defined signal 1",
            ServerSignal::User2 => "user defined signal 2",
        }
    }

    fn from_number(number: i32) -> Option<Self> {
        match number {
            SIGINT => Some(ServerSignal::Interrupt),
            SIGTERM => Some(ServerSignal::Terminate),
            SIGHUP => Some(ServerSignal::Hangup),
            SIGUSR1 => Some(ServerSignal::User1),
            SIGUSR2 => Some(ServerSignal::User2),
            _ => None,
        }
    }
}

/// The thread that waits for signals; it ends when this is dropped.
pub struct SignalThread {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl SignalThread {
    /// Installs the handlers and starts the thread. To be called before the log is configured,
    /// so that no signal sent early kills the server.
    ///
    /// # Errors
    /// When the handlers cannot be installed or the thread cannot be started.
    pub fn spawn(mut on_signal: impl FnMut(ServerSignal) + Send + 'static) -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2])?;
        let handle = signals.handle();
        let thread = thread::Builder::new().name("signals".into()).spawn(move || {
            for number in signals.forever() {
                if let Some(signal) = ServerSignal::from_number(number) {
                    on_signal(signal);
                }
            }
        })?;
        Ok(SignalThread { handle, thread: Some(thread) })
    }
}

impl Drop for SignalThread {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // A callback that panicked has nothing left to tell here.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use nix::sys::signal::{Signal, raise};

    use super::*;

    #[test]
    fn every_signal_reaches_the_callback_and_none_kills() {
        let (sender, receiver) = mpsc::channel();
        let thread = SignalThread::spawn(move |signal| {
            let _ = sender.send(signal);
        })
        .expect("handlers are installed");
        let table = [
            (Signal::SIGHUP, ServerSignal::Hangup, "hangup"),
            (Signal::SIGUSR1, ServerSignal::User1, "user defined signal 1"),
            (Signal::SIGUSR2, ServerSignal::User2, "user defined signal 2"),
            (Signal::SIGTERM, ServerSignal::Terminate, "terminated"),
            (Signal::SIGINT, ServerSignal::Interrupt, "interrupt"),
        ];
        // Twice, since one signal must not be the last.
        for (raised, expected, name) in table.iter().chain(&table) {
            raise(*raised).expect("raised");
            let received = receiver.recv_timeout(Duration::from_secs(30)).expect("delivered");
            assert_eq!(received, *expected);
            assert_eq!(received.name(), *name);
        }
        drop(thread);
        let end = receiver.recv_timeout(Duration::from_secs(30));
        assert_eq!(end, Err(mpsc::RecvTimeoutError::Disconnected), "the thread has ended");
    }

    #[test]
    fn writing_to_a_closed_socket_is_an_error_and_not_a_signal() {
        use std::io::Write;
        let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        drop(theirs);
        let error = ours.write(b"x").expect_err("the other end is gone");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
