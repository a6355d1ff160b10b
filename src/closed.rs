//! Why connections end: the closed states with their numbers and texts (spec 01 §7.2), and the
//! ring in which the last closed connections are kept for monitoring.

use std::collections::VecDeque;

macro_rules! closed_states {
    ($($number:literal $name:ident $text:literal,)*) => {
        /// The reason for which a connection was closed. The first one recorded wins.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum ClosedState {
            $(#[doc = $text] $name = $number,)*
        }

        impl ClosedState {
            /// The text shown in logs, `/connz` and events.
            pub fn text(self) -> &'static str {
                match self { $(ClosedState::$name => $text,)* }
            }
        }
    };
}

closed_states! {
    1 ClientClosed "Client Closed",
    2 AuthenticationTimeout "Authentication Timeout",
    3 AuthenticationViolation "Authentication Failure",
    4 TlsHandshakeError "TLS Handshake Failure",
    5 SlowConsumerPendingBytes "Slow Consumer (Pending Bytes)",
    6 SlowConsumerWriteDeadline "Slow Consumer (Write Deadline)",
    7 WriteError "Write Error",
    8 ReadError "Read Error",
    9 ParseError "Parse Error",
    10 StaleConnection "Stale Connection",
    11 ProtocolViolation "Protocol Violation",
    12 BadClientProtocolVersion "Bad Client Protocol Version",
    13 WrongPort "Incorrect Port",
    14 MaxAccountConnectionsExceeded "Maximum Account Connections Exceeded",
    15 MaxConnectionsExceeded "Maximum Connections Exceeded",
    16 MaxPayloadExceeded "Maximum Message Payload Exceeded",
    17 MaxControlLineExceeded "Maximum Control Line Exceeded",
    18 MaxSubscriptionsExceeded "Maximum Subscriptions Exceeded",
    19 DuplicateRoute "Duplicate Route",
    20 RouteRemoved "Route Removed",
    21 ServerShutdown "Server Shutdown",
    22 AuthenticationExpired "Authentication Expired",
    23 WrongGateway "Wrong Gateway",
    24 MissingAccount "Missing Account",
    25 Revocation "Credentials Revoked",
    26 InternalClient "Internal Client",
    27 MsgHeaderViolation "Message Header Violation",
    28 NoRespondersRequiresHeaders "No Responders Requires Headers",
    29 ClusterNameConflict "Cluster Name Conflict",
    30 DuplicateRemoteLeafnodeConnection "Duplicate Remote LeafNode Connection",
    31 DuplicateClientId "Duplicate Client ID",
    32 DuplicateServerName "Duplicate Server Name",
    33 MinimumVersionRequired "Minimum Version Required",
    34 ClusterNamesIdentical "Cluster Names Identical",
    35 Kicked "Kicked",
    36 ProxyNotTrusted "Proxy Not Trusted",
    37 ProxyRequired "Proxy Required",
}

impl ClosedState {
    /// Whether what is still pending for the peer is dropped: after these, it cannot be delivered.
    pub fn skips_flush(self) -> bool {
        matches!(
            self,
            ClosedState::TlsHandshakeError
                | ClosedState::SlowConsumerPendingBytes
                | ClosedState::SlowConsumerWriteDeadline
                | ClosedState::WriteError
                | ClosedState::ReadError
        )
    }
}

/// The last closed connections, oldest first, and how many there have been in all.
pub struct ClosedRing<T> {
    entries: VecDeque<T>,
    capacity: usize,
    total: u64,
}

impl<T> ClosedRing<T> {
    /// A ring of at most `capacity` connections (`max_closed_clients`).
    pub fn new(capacity: usize) -> ClosedRing<T> {
        ClosedRing { entries: VecDeque::new(), capacity, total: 0 }
    }

    /// Adds a connection, forgetting the oldest one if the ring is full.
    pub fn push(&mut self, entry: T) {
        self.total += 1;
        if self.capacity == 0 {
            return;
        }
        if self.entries.len() == self.capacity {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// The kept connections, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.entries.iter()
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many connections have been closed since the start.
    pub fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_keeps_the_last_and_counts_all() {
        let mut ring = ClosedRing::new(3);
        for n in 0..5_u64 {
            ring.push(n);
            let kept: Vec<u64> = (n.saturating_sub(2)..=n).collect();
            assert_eq!(ring.iter().copied().collect::<Vec<_>>(), kept);
            assert_eq!(ring.total(), n + 1);
        }
        assert_eq!(ring.iter().copied().collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!((ring.len(), ring.total()), (3, 5));
        let mut none = ClosedRing::new(0);
        none.push(1);
        assert!(none.is_empty());
        assert_eq!(none.total(), 1);
    }

    #[test]
    fn states_have_the_numbers_and_texts_of_the_protocol() {
        assert_eq!(ClosedState::ClientClosed as u8, 1);
        assert_eq!(ClosedState::ServerShutdown as u8, 21);
        assert_eq!(ClosedState::ProxyRequired as u8, 37);
        assert_eq!(ClosedState::AuthenticationViolation.text(), "Authentication Failure");
        assert!(ClosedState::WriteError.skips_flush());
        assert!(!ClosedState::StaleConnection.skips_flush());
    }
}
