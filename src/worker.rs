//! What runs on a reactor: the connections of all kinds, and the thread's delivery context.

use crate::account::TrafficBatch;
use crate::callout::Outcome;
use crate::client::{Client, ClientShared};
use crate::closed::ClosedState;
use crate::delivery::Fanout;
use crate::logging::{ConnectionKind, ConnectionLabel};
use crate::server::{CLIENT_LISTENER, Reloaded, Server};
use eventloop::{
    Cause, Core, DeadlineAction, Egress, Input, Io, Limits, ListenerId, Recovery, Service, Stall,
    Taken, TcpStream, Token,
};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Input of at least this size is timed.
const TIMED_INPUT_BYTES: usize = 4 * 1024;
/// Input that takes this long is told of in the log (spec 01 §1, read-loop slow warning).
const SLOW_INPUT: Duration = Duration::from_secs(2);

/// What other threads send to a reactor.
pub enum Message {
    /// Take over a client's socket.
    Adopt(TcpStream, SocketAddr),
    /// Close a connection.
    Close(Token, ClosedState),
    /// Whether the password of a connection matches its hash.
    PasswordChecked(Token, bool),
    /// Close a connection that is beyond the limit.
    Refuse(Token),
    /// The options have changed; the other end is dropped when all connections were looked at.
    Reloaded(Arc<Reloaded>, mpsc::Sender<()>),
    /// The account that a connection waits for is there, or the reason why it is not.
    AccountFetched(Token, Result<(), String>),
    /// What the authorization service has decided about a connection.
    CalloutAnswered(Token, Box<Outcome>),
    /// Close a connection after telling it why.
    Expel(Token, ClosedState, &'static str),
    /// The account of a connection has changed.
    AccountChanged(Token),
    /// Tell a client that it should go elsewhere.
    TellLameDuck(Token),
    /// Stop accepting, and tell the clients.
    LameDuck,
    /// Close everything and end.
    Shutdown,
}

/// A connection of any kind.
pub enum Connection {
    /// A client.
    Client(Box<Client>),
}

/// A reactor's part of the server.
pub struct Worker {
    server: Arc<Server>,
    index: usize,
    fanout: Fanout,
    traffic: TrafficBatch,
    holds_producers: bool,
}

impl Worker {
    /// The worker of reactor `index`.
    pub fn new(server: Arc<Server>, index: usize) -> Worker {
        let drop_when_gated = server.settings().drop_when_gated;
        let seed = server.random_below(u64::MAX);
        Worker {
            server,
            index,
            fanout: Fanout::new(seed, drop_when_gated),
            traffic: TrafficBatch::default(),
            holds_producers: !drop_when_gated,
        }
    }

    fn adopt(&mut self, core: &mut Core<Worker>, stream: TcpStream, peer: SocketAddr) {
        let server = self.server.clone();
        if server.is_shutting_down() {
            return server.release_reactor(self.index);
        }
        // Small messages must not wait for more; failing to say so is no reason to refuse.
        let _ = stream.set_nodelay(true);
        let settings = server.settings();
        let limits = Limits {
            max_pending_bytes: settings.max_pending_bytes,
            write_deadline_ms: settings.write_deadline_ms,
        };
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let index = self.index;
        let made = core.adopt(stream, limits, |io| {
            let cid = server.next_cid();
            let label = ConnectionLabel::new(ConnectionKind::Client, peer, None, cid);
            let shared = Arc::new(ClientShared::new(
                server.clone(),
                cid,
                peer,
                io.egress().clone(),
                index,
                label,
            ));
            let room = server.client_opened(&shared);
            let client = Client::accepted(shared, &settings, room, io);
            Connection::Client(Box::new(client))
        });
        if let Err(e) = made {
            self.server.release_reactor(self.index);
            self.server.log.errorf(format_args!("Client connection could not be registered: {e}"));
        }
    }
}

impl Service for Worker {
    type Conn = Connection;
    type Message = Message;

    fn accepted(
        &mut self,
        core: &mut Core<Worker>,
        _listener: ListenerId,
        stream: TcpStream,
        peer: SocketAddr,
    ) {
        let index = self.server.choose_reactor();
        if index == self.index {
            return self.adopt(core, stream, peer);
        }
        match self.server.reactor(index) {
            Some(reactor) => reactor.send(Message::Adopt(stream, peer)),
            None => self.server.release_reactor(index),
        }
    }

    fn accept_failed(&mut self, _listener: ListenerId, error: &io::Error, pause: Duration) {
        let address = self.server.address().map(|a| a.to_string()).unwrap_or_default();
        let text = crate::process::errno::error_text(error);
        self.server.log.errorf(format_args!(
            "Temporary Client Accept Error(accept tcp {address}: accept4: {text}), sleeping {}ms",
            pause.as_millis()
        ));
    }

    fn input(&mut self, conn: &mut Connection, io: &mut Io<'_>, input: &mut Input<'_>) -> Taken {
        match conn {
            Connection::Client(c) => {
                // Little input takes little time, and a clock costs more than a small command.
                let long = input.bytes().len() >= TIMED_INPUT_BYTES;
                let began = long.then(Instant::now);
                let taken = c.input(&mut self.fanout, &mut self.traffic, io, input);
                if let Some(took) = began.map(|began| began.elapsed())
                    && took >= SLOW_INPUT
                {
                    c.slow_read(took);
                }
                taken
            }
        }
    }

    fn secured(
        &mut self,
        conn: &mut Connection,
        io: &mut Io<'_>,
        session: &eventloop::rustls::CommonState,
    ) {
        match conn {
            Connection::Client(c) => c.secured(io, session),
        }
    }

    fn timer(&mut self, conn: &mut Connection, io: &mut Io<'_>, kind: u8) {
        match conn {
            Connection::Client(c) => c.timer(io, kind),
        }
    }

    fn write_deadline(
        &mut self,
        conn: &mut Connection,
        bytes: usize,
        chunks: usize,
        progress: bool,
    ) -> DeadlineAction {
        match conn {
            Connection::Client(c) => c.write_deadline(bytes, chunks, progress),
        }
    }

    fn stalled(&mut self, conn: &mut Connection, _destination: &Arc<Egress>) {
        match conn {
            Connection::Client(c) => c.stalled(),
        }
    }

    fn unstalled(&mut self, conn: &mut Connection, stall: Stall) {
        match conn {
            Connection::Client(c) => c.unstalled(stall),
        }
    }

    fn recovered(&mut self, conn: &mut Connection, recovery: Recovery) {
        match conn {
            Connection::Client(c) => c.recovered(recovery),
        }
    }

    fn holds_producers(&self) -> bool {
        self.holds_producers
    }

    fn closed(&mut self, conn: Connection, io: &mut Io<'_>, cause: Cause) {
        match conn {
            Connection::Client(c) => c.closed(io, &cause),
        }
    }

    fn message(&mut self, core: &mut Core<Worker>, message: Message) {
        match message {
            Message::Adopt(stream, peer) => self.adopt(core, stream, peer),
            Message::Close(token, reason) => core.with(self, token, |_, conn, io| match conn {
                Connection::Client(c) => c.close(io, reason),
            }),
            Message::PasswordChecked(token, matches) => {
                core.with(self, token, |_, conn, io| match conn {
                    Connection::Client(c) => c.password_checked(io, matches),
                });
            }
            Message::TellLameDuck(token) => core.with(self, token, |_, conn, io| match conn {
                Connection::Client(c) => c.lame_duck(io),
            }),
            Message::Refuse(token) => core.with(self, token, |_, conn, io| match conn {
                Connection::Client(c) => c.refuse_over_limit(io),
            }),
            Message::Reloaded(reloaded, done) => {
                let drop_when_gated = self.server.settings().drop_when_gated;
                self.fanout.drop_when_gated = drop_when_gated;
                self.holds_producers = !drop_when_gated;
                core.for_each(self, |_, conn, io| match conn {
                    Connection::Client(c) => c.reloaded(io, &reloaded),
                });
                drop(done);
            }
            Message::AccountFetched(token, fetched) => {
                core.with(self, token, |_, conn, io| match conn {
                    Connection::Client(c) => c.account_fetched(io, fetched),
                });
            }
            Message::CalloutAnswered(token, outcome) => {
                core.with(self, token, |_, conn, io| match conn {
                    Connection::Client(c) => c.callout_answered(io, *outcome),
                });
            }
            Message::Expel(token, reason, text) => {
                core.with(self, token, |_, conn, io| match conn {
                    Connection::Client(c) => c.expel(io, reason, text),
                });
            }
            Message::AccountChanged(token) => core.with(self, token, |_, conn, io| match conn {
                Connection::Client(c) => c.account_changed(io),
            }),
            Message::LameDuck => {
                core.unlisten(CLIENT_LISTENER);
                core.for_each(self, |_, conn, io| match conn {
                    Connection::Client(c) => c.lame_duck(io),
                });
            }
            Message::Shutdown => {
                core.unlisten(CLIENT_LISTENER);
                core.for_each(self, |_, conn, io| match conn {
                    Connection::Client(c) => c.close(io, ClosedState::ServerShutdown),
                });
                core.stop_when_drained();
            }
        }
    }

    fn pass_ended(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.server.note_pass(self.index, nanos);
        // What clients sent; connections to other servers will have a batch of their own.
        let t = std::mem::take(&mut self.traffic);
        self.server.stats.client_traffic.add(&t);
    }
}
