//! Reactor threads, timers, pooled buffers and egress queues. Knows no NATS verb.
//!
//! A [`Reactor`] is one thread around one mio poll. It owns connections, each with a state machine
//! of the application (the type `Conn` of a [`Service`]); it reads into pooled blocks, hands the
//! bytes to the state machine, and hands over what the state machine staged for any connection of
//! the process when the read batch ends.
#![forbid(unsafe_code)]

mod egress;
mod intake;
mod mailbox;
mod pool;
mod reactor;
mod stage;
mod timer;
mod tls;

pub use egress::{
    Chunk, DeadlineCheck, Egress, HOLD_ABOVE_BYTES, HOLD_UNTIL_BYTES, HandOver, Limits, Recovery,
    Staged, WriteMode,
};
pub use intake::{Intake, Parcel, Waiter};
pub use mailbox::{Mailbox, Note, Sender};
pub use mio::net::{TcpListener, TcpStream};
pub use pool::{BLOCK_BYTES, Block, Pool};
pub use reactor::{
    Cause, Core, DeadlineAction, Input, Io, ListenerId, Reactor, Service, Slots, Stall, Taken,
};
pub use rustls;
pub use stage::{STAGING_BUDGET_BYTES, Stage, Stager};
pub use timer::TimerWheel;
pub use tls::TlsSession;

/// Names a connection within its reactor: a slab key and the generation of that key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// Slab key.
    pub key: u32,
    /// Distinguishes successive connections with the same key.
    pub generation: u32,
}

impl Token {
    fn pack(self) -> usize {
        ((self.generation as usize & 0x3fff_ffff) << 32) | self.key as usize
    }

    fn unpack(value: usize) -> Token {
        Token { key: value as u32, generation: (value >> 32) as u32 }
    }
}

const _: () = assert!(usize::BITS == 64, "tokens pack a key and a generation into 64 bits");
