//! The window of a push consumer whose client confirms that it keeps up (spec 07b §B3.5).
//!
//! Bytes that were sent are outstanding until the client answers a request. A request is sent
//! when half of the window is outstanding; delivery rests when all of it is. Each answer makes
//! the window twice as large, up to its limit.

use bytes::Bytes;

/// The largest window in bytes.
const LIMIT: u64 = 32 << 20;
/// The first window in bytes.
const FIRST_WINDOW: u64 = LIMIT / 16;

/// The window and what is outstanding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct FlowControl {
    window: u64,
    /// Bytes sent and not confirmed.
    outstanding: u64,
    /// The request that was not answered yet.
    request: Option<Request>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Request {
    /// Where the answer is sent.
    reply: Bytes,
    /// Bytes it confirms.
    bytes: u64,
}

impl FlowControl {
    pub(super) fn new() -> Self {
        FlowControl { window: FIRST_WINDOW, outstanding: 0, request: None }
    }

    /// Whether delivery must rest.
    pub(super) fn is_stalled(&self) -> bool {
        self.outstanding > self.window
    }

    /// The reply subject of the request that was not answered yet.
    pub(super) fn unanswered(&self) -> Option<&Bytes> {
        self.request.as_ref().map(|request| &request.reply)
    }

    /// Counts a message that was sent; returns whether a request is due.
    ///
    /// `wants_acks` asks for a request also because too many messages are not acknowledged.
    pub(super) fn sent(&mut self, bytes: u64, wants_acks: bool) -> bool {
        self.outstanding = self.outstanding.saturating_add(bytes);
        match &mut self.request {
            None => self.outstanding > self.window / 2 || wants_acks,
            Some(request) => {
                // More went out than the window since the request: the answer confirms it too.
                if self.outstanding.saturating_sub(request.bytes) >= self.window {
                    request.bytes = request.bytes.saturating_add(bytes);
                }
                false
            }
        }
    }

    /// A request was sent.
    pub(super) fn requested(&mut self, reply: Bytes) {
        self.request = Some(Request { reply, bytes: self.outstanding });
    }

    /// An answer came; returns whether it answers the latest request.
    pub(super) fn answered(&mut self, reply: &[u8]) -> bool {
        let Some(request) = self.request.take_if(|request| request.reply == reply) else {
            return false;
        };
        self.window = self.window.saturating_mul(2).min(LIMIT);
        self.outstanding = self.outstanding.saturating_sub(request.bytes);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn request_is_due_at_half_of_the_window_and_delivery_rests_past_it() {
        let mut flow = FlowControl::new();
        assert!(!flow.sent(MIB, false));
        assert!(flow.sent(1, false));
        flow.requested(Bytes::from_static(b"r1"));
        assert!(!flow.sent(MIB - 1, false));
        assert!(!flow.is_stalled());
        assert!(!flow.sent(1, false));
        assert!(flow.is_stalled());
        assert!(!flow.answered(b"other"));
        assert!(flow.answered(b"r1"));
        assert!(!flow.is_stalled());
        assert_eq!((flow.window, flow.outstanding), (4 * MIB, MIB));
        assert!(!flow.answered(b"r1"));
    }

    #[test]
    fn window_grows_up_to_its_limit() {
        let mut flow = FlowControl::new();
        for round in 0..8 {
            flow.requested(Bytes::from_static(b"r"));
            assert!(flow.answered(b"r"));
            assert_eq!(flow.window, ((4 * MIB) << round).min(32 * MIB));
        }
    }

    #[test]
    fn what_exceeds_the_window_after_the_request_is_confirmed_with_it() {
        let mut flow = FlowControl::new();
        assert!(flow.sent(MIB + 1, false));
        flow.requested(Bytes::from_static(b"r"));
        assert!(!flow.sent(3 * MIB, false));
        assert!(flow.answered(b"r"));
        assert_eq!(flow.outstanding, 0);
    }

    #[test]
    fn request_is_due_when_acknowledgements_are_wanted() {
        let mut flow = FlowControl::new();
        assert!(flow.sent(1, true));
        flow.requested(Bytes::from_static(b"r"));
        assert!(!flow.sent(1, true));
    }
}
