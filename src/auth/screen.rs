//! What stands between a message and a connection with permissions, at delivery: denied subjects
//! that a wide subscription would match, and reply subjects that the connection may answer to
//! (spec 03 §12.3 and §12.4).
//!
//! Any thread may deliver to a connection, so a screen is behind a lock; connections without such
//! permissions have none, and a flag says so (see `ClientShared`).

use super::permissions::Permissions;
use super::verdicts::Verdicts;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Verdicts on denied subjects that are kept.
const DENIED_CACHED: usize = 256;
/// Deliveries after which exhausted and expired replies are looked for.
const PRUNE_DELIVERIES: u32 = 4096;
/// The same, in time.
const PRUNE_INTERVAL: Duration = Duration::from_secs(1);
/// Reply subjects tracked for one connection. Requests that are never answered would otherwise
/// pile up for as long as their grants last; beyond this bound a request cannot be answered.
const MAX_REPLIES: usize = 1 << 20;

/// A reply subject that may be published to.
struct Reply {
    since: Instant,
    uses: i64,
}

/// The screen of one connection.
pub struct Screen {
    permissions: Arc<Permissions>,
    /// Set once a subscription can match denied messages.
    denied: Option<Verdicts>,
    replies: HashMap<Box<[u8]>, Reply>,
    deliveries_since_prune: u32,
    last_prune: Option<Instant>,
}

impl Screen {
    /// The permissions.
    pub fn permissions(&self) -> &Arc<Permissions> {
        &self.permissions
    }

    /// A screen that lets everything pass.
    pub fn new(permissions: Arc<Permissions>) -> Screen {
        Screen {
            permissions,
            denied: None,
            replies: HashMap::new(),
            deliveries_since_prune: 0,
            last_prune: None,
        }
    }

    /// From now on, denied messages are held back.
    pub fn hold_denied(&mut self) {
        self.denied.get_or_insert_with(|| Verdicts::new(DENIED_CACHED));
    }

    /// Whether a message may go to a subscription of that queue group (empty for none).
    pub fn passes(&mut self, subject: &[u8], queue: &[u8]) -> bool {
        let Some(denied) = &mut self.denied else { return true };
        let permissions = &self.permissions;
        !denied.get(subject, queue, || permissions.denies(subject, queue))
    }

    /// A message with a reply subject was delivered: the connection may answer it.
    pub fn delivered(&mut self, reply: &[u8], now: Instant) {
        if self.permissions.responses().is_none()
            || self.permissions.may_publish(reply)
            // As in the reference, a grant that is still good is used once instead of renewed.
            || self.takes_reply(reply, now)
        {
            return;
        }
        self.deliveries_since_prune += 1;
        let due = self.last_prune.is_none_or(|at| now.duration_since(at) > PRUNE_INTERVAL);
        if due || self.deliveries_since_prune > PRUNE_DELIVERIES {
            self.prune(now);
        }
        if self.replies.len() < MAX_REPLIES {
            self.replies.insert(reply.into(), Reply { since: now, uses: 0 });
        }
    }

    /// Whether the connection may publish to that subject because it is a reply; uses the grant.
    pub fn takes_reply(&mut self, subject: &[u8], now: Instant) -> bool {
        let Some(limits) = self.permissions.responses() else { return false };
        let Some(reply) = self.replies.get_mut(subject) else { return false };
        reply.uses = reply.uses.saturating_add(1);
        let exhausted = limits.max_messages > 0 && reply.uses > limits.max_messages;
        let expired = limits.expires.is_some_and(|ttl| now.duration_since(reply.since) > ttl);
        if exhausted || expired {
            self.replies.remove(subject);
            return false;
        }
        true
    }

    fn prune(&mut self, now: Instant) {
        self.deliveries_since_prune = 0;
        self.last_prune = Some(now);
        let Some(limits) = self.permissions.responses() else { return };
        self.replies.retain(|_, reply| {
            let exhausted = limits.max_messages > 0 && reply.uses >= limits.max_messages;
            let expired = limits.expires.is_some_and(|ttl| now.duration_since(reply.since) > ttl);
            !exhausted && !expired
        });
    }

    /// Reply subjects that are tracked.
    pub fn tracked_replies(&self) -> usize {
        self.replies.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::auth::{
        Permissions as Configured, ResponsePermission, SubjectPermission,
    };

    fn screen(responses: Option<ResponsePermission>, allow: &[&str], deny: &[&str]) -> Screen {
        let subjects = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect::<Vec<_>>();
        let configured = Configured {
            publish: Some(SubjectPermission { allow: Some(subjects(allow)), deny: Vec::new() }),
            subscribe: Some(SubjectPermission { allow: None, deny: subjects(deny) }),
            responses,
        };
        Screen::new(Arc::new(Permissions::compile(&configured).0))
    }

    fn responses(max_messages: i64, seconds: Option<u64>) -> Option<ResponsePermission> {
        Some(ResponsePermission { max_messages, expires: seconds.map(Duration::from_secs) })
    }

    #[test]
    fn a_reply_may_be_used_as_often_as_allowed() {
        let now = Instant::now();
        for (max, uses) in [(1, 1), (3, 3), (-1, 1000)] {
            let mut s = screen(responses(max, Some(120)), &[], &[]);
            assert!(!s.takes_reply(b"inbox", now), "nothing was delivered yet");
            s.delivered(b"inbox", now);
            for _ in 0..uses {
                assert!(s.takes_reply(b"inbox", now), "max {max}");
            }
            assert_eq!(s.takes_reply(b"inbox", now), max < 0, "max {max}");
            assert!(!s.takes_reply(b"other", now));
        }
    }

    #[test]
    fn a_reply_may_be_used_until_it_expires() {
        let start = Instant::now();
        let mut s = screen(responses(-1, Some(10)), &[], &[]);
        s.delivered(b"inbox", start);
        assert!(s.takes_reply(b"inbox", start + Duration::from_secs(10)));
        assert!(!s.takes_reply(b"inbox", start + Duration::from_secs(11)));
        let mut s = screen(responses(-1, None), &[], &[]);
        s.delivered(b"inbox", start);
        assert!(s.takes_reply(b"inbox", start + Duration::from_secs(1_000_000)));
    }

    #[test]
    fn a_second_delivery_uses_a_good_grant_and_renews_a_spent_one() {
        let now = Instant::now();
        let mut s = screen(responses(1, Some(120)), &[], &[]);
        s.delivered(b"inbox", now);
        s.delivered(b"inbox", now);
        assert!(!s.takes_reply(b"inbox", now), "the second delivery used the only answer");
        s.delivered(b"inbox", now);
        assert!(s.takes_reply(b"inbox", now));
    }

    #[test]
    fn replies_that_may_be_published_to_anyway_are_not_tracked() {
        let now = Instant::now();
        let mut s = screen(responses(1, Some(120)), &["_INBOX.>"], &[]);
        s.delivered(b"_INBOX.a", now);
        s.delivered(b"other", now);
        assert_eq!(s.tracked_replies(), 1);
    }

    #[test]
    fn connections_that_may_not_respond_track_nothing() {
        let now = Instant::now();
        let mut s = screen(None, &[], &[]);
        s.delivered(b"inbox", now);
        assert_eq!(s.tracked_replies(), 0);
        assert!(!s.takes_reply(b"inbox", now));
    }

    #[test]
    fn spent_and_expired_replies_are_forgotten() {
        let start = Instant::now();
        let mut s = screen(responses(1, Some(10)), &[], &[]);
        for n in 0..100 {
            s.delivered(format!("inbox.{n}").as_bytes(), start);
        }
        for n in 0..50 {
            assert!(s.takes_reply(format!("inbox.{n}").as_bytes(), start));
        }
        s.delivered(b"later", start + Duration::from_secs(2));
        assert_eq!(s.tracked_replies(), 51);
        s.delivered(b"last", start + Duration::from_secs(11));
        assert_eq!(s.tracked_replies(), 2);
        for n in 0..3 * PRUNE_DELIVERIES {
            let at = start + Duration::from_secs(11);
            let subject = format!("many.{n}");
            s.delivered(subject.as_bytes(), at);
            assert!(s.takes_reply(subject.as_bytes(), at));
            assert!(s.tracked_replies() <= PRUNE_DELIVERIES as usize + 4);
        }
    }

    #[test]
    fn denied_messages_are_held_back_once_a_subscription_reaches_them() {
        let mut s = screen(None, &[], &["foo.secret", "jobs q"]);
        assert!(s.passes(b"foo.secret", b""));
        s.hold_denied();
        for _ in 0..2 {
            assert!(!s.passes(b"foo.secret", b""));
            assert!(s.passes(b"foo.open", b""));
            assert!(!s.passes(b"jobs", b"q"));
            assert!(s.passes(b"jobs", b"p"));
            assert!(s.passes(b"jobs", b""));
        }
    }
}
