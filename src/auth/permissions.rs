//! What a user may publish and subscribe to (spec 03 §12, spec 01 §7.3).
//!
//! [`Permissions`] are compiled once per user and shared by its connections; they hold no state.
//! Rules that are easy to get wrong:
//!
//! * A denial wins over an allowance.
//! * An empty list of subjects to publish to allows nothing, an empty list of subjects to subscribe
//!   to allows everything; loading the configuration has already turned lists that are *written*
//!   empty into none.
//! * The subject of a subscription is looked up token by token, its own wildcards being ordinary
//!   tokens: `foo.>` is accepted by an entry `foo.*`. What a subscription covers beyond a denied
//!   subject is filtered when messages are delivered, see [`super::screen`].

use crate::config::options::auth::{
    Permissions as Configured, ResponsePermission, SubjectPermission,
};
use crate::config::text::quote;
use ::sublist::subject::{
    is_subset_match, is_valid_subject, subject_has_wildcard, subjects_collide,
};
use ::sublist::{Matches, Sublist};
use std::sync::Arc;

/// An entry of a list: a subject, for subscriptions perhaps with a queue group.
struct Entry {
    subject: Box<[u8]>,
    queue: Option<Box<[u8]>>,
}

impl ::sublist::Subscription for Entry {
    fn subject(&self) -> &[u8] {
        &self.subject
    }

    fn queue(&self) -> Option<&[u8]> {
        self.queue.as_deref()
    }
}

/// A list of entries, to be asked which of them match.
struct Entries(Sublist<Arc<Entry>>);

/// What of a list matches a subject.
struct Found {
    plain: bool,
    /// There are entries with a queue group.
    queued: bool,
    /// One of these has the group asked for.
    queue: bool,
}

impl Entries {
    fn new() -> Entries {
        Entries(Sublist::without_cache())
    }

    fn has_plain(&self, subject: &[u8]) -> bool {
        let mut matches = Matches::new();
        self.0.match_into(subject, &mut matches);
        !matches.plain().is_empty()
    }

    fn find(&self, subject: &[u8], queue: &[u8]) -> Found {
        let mut matches = Matches::new();
        self.0.match_into(subject, &mut matches);
        Found {
            plain: !matches.plain().is_empty(),
            queued: !matches.queues().is_empty(),
            queue: matches.queues().iter().any(|group| queue_matches(queue, group.name())),
        }
    }
}

/// Whether a queue group is the one of an entry, which may have wildcards.
fn queue_matches(queue: &[u8], entry: &[u8]) -> bool {
    queue == entry || (subject_has_wildcard(entry) && is_subset_match(queue, entry))
}

/// Compiled permissions of a user.
pub struct Permissions {
    publish_allow: Option<Entries>,
    publish_deny: Option<Entries>,
    subscribe_allow: Option<Entries>,
    subscribe_deny: Option<Entries>,
    /// Subjects of `subscribe_deny`, for finding out which subscriptions reach into them.
    denied_subjects: Vec<Box<[u8]>>,
    responses: Option<ResponsePermission>,
    /// What they were compiled from.
    configured: Configured,
}

impl Permissions {
    /// What they were compiled from.
    pub fn configured(&self) -> &Configured {
        &self.configured
    }

    /// Compiles permissions. Entries that make no sense are left out; the texts to log for them
    /// come with the result. Permissions that the configuration's loader has accepted have none.
    pub fn compile(configured: &Configured) -> (Permissions, Vec<String>) {
        let mut errors = Vec::new();
        let mut permissions = Permissions {
            publish_allow: None,
            publish_deny: None,
            subscribe_allow: None,
            subscribe_deny: None,
            denied_subjects: Vec::new(),
            responses: configured.responses,
            configured: configured.clone(),
        };
        if let Some(publish) = &configured.publish {
            permissions.compile_publish(publish, &mut errors);
        }
        if let Some(subscribe) = &configured.subscribe {
            permissions.compile_subscribe(subscribe, &mut errors);
        }
        (permissions, errors)
    }

    fn compile_publish(&mut self, publish: &SubjectPermission, errors: &mut Vec<String>) {
        if let Some(allow) = &publish.allow {
            let entries = Entries::new();
            for text in allow {
                if insert(&entries, text.as_bytes(), None).is_err() {
                    errors.push(format!("invalid publish subject {}", quote(text)));
                }
            }
            self.publish_allow = Some(entries);
        }
        if !publish.deny.is_empty() {
            let entries = Entries::new();
            for text in &publish.deny {
                let subject = match split(text) {
                    Ok((subject, queue)) => {
                        if queue.is_some() {
                            // The subject stays denied: what was meant to be denied must not
                            // become allowed.
                            errors.push(format!(
                                "queue qualifier is not valid for publish deny subject {}",
                                quote(text)
                            ));
                        }
                        subject
                    }
                    Err(_) => {
                        errors.push(format!("invalid publish deny subject {}", quote(text)));
                        continue;
                    }
                };
                if insert(&entries, subject.as_bytes(), None).is_err() {
                    errors.push(format!("invalid publish deny subject {}", quote(text)));
                }
            }
            self.publish_deny = Some(entries);
        }
    }

    fn compile_subscribe(&mut self, subscribe: &SubjectPermission, errors: &mut Vec<String>) {
        let mut compile = |texts: &[String], what: &str, subjects: &mut Vec<Box<[u8]>>| {
            let entries = Entries::new();
            for text in texts {
                let (subject, queue) = match split(text) {
                    Ok(parts) => parts,
                    Err(error) => {
                        errors.push(error);
                        continue;
                    }
                };
                if insert(&entries, subject.as_bytes(), queue).is_err() {
                    errors.push(format!("invalid subscribe {what} subject {}", quote(text)));
                    continue;
                }
                subjects.push(subject.as_bytes().into());
            }
            (!texts.is_empty()).then_some(entries)
        };
        let allow = subscribe.allow.as_deref().unwrap_or_default();
        self.subscribe_allow = compile(allow, "allow", &mut Vec::new());
        self.subscribe_deny = compile(&subscribe.deny, "deny", &mut self.denied_subjects);
    }

    /// Whether publishing is restricted at all.
    pub fn restrict_publish(&self) -> bool {
        self.publish_allow.is_some() || self.publish_deny.is_some()
    }

    /// Whether a subject may be published to, as far as the lists say.
    pub fn may_publish(&self, subject: &[u8]) -> bool {
        self.publish_allow.as_ref().is_none_or(|allow| allow.has_plain(subject))
            && self.publish_deny.as_ref().is_none_or(|deny| !deny.has_plain(subject))
    }

    /// Whether a client may subscribe to a subject, as a member of `queue` unless that is empty.
    pub fn may_subscribe(&self, subject: &[u8], queue: &[u8]) -> bool {
        if let Some(allow) = &self.subscribe_allow {
            let found = allow.find(subject, queue);
            // Entries with a group restrict the groups, but only where one matches.
            let ok = if !queue.is_empty() && found.queued { found.queue } else { found.plain };
            if !ok {
                return false;
            }
        }
        !self.denies(subject, queue)
    }

    /// Whether the list of denied subjects matches a subject and queue group (empty for none): asked
    /// of subscriptions, and of messages on their way to one.
    pub fn denies(&self, subject: &[u8], queue: &[u8]) -> bool {
        self.subscribe_deny.as_ref().is_some_and(|deny| {
            let found = deny.find(subject, queue);
            found.plain || (!queue.is_empty() && found.queue)
        })
    }

    /// Whether a subscription that was accepted can still match denied messages.
    pub fn reaches_denied(&self, subject: &[u8], has_queue: bool) -> bool {
        (has_queue || subject_has_wildcard(subject))
            && self.denied_subjects.iter().any(|denied| subjects_collide(denied, subject))
    }

    /// How far reply subjects of received messages may be published to.
    pub fn responses(&self) -> Option<&ResponsePermission> {
        self.responses.as_ref()
    }
}

fn insert(entries: &Entries, subject: &[u8], queue: Option<&str>) -> Result<(), ()> {
    if !is_valid_subject(subject) {
        return Err(());
    }
    let queue = queue.map(|q| q.as_bytes().into());
    entries.0.insert(Arc::new(Entry { subject: subject.into(), queue })).map_err(|_| ())
}

/// The subject and the queue group of an entry.
fn split(text: &str) -> Result<(&str, Option<&str>), String> {
    let mut words = text.split_whitespace();
    let (subject, queue) = (words.next(), words.next());
    match subject {
        Some(subject)
            if words.next().is_none()
                && is_valid_subject(subject.as_bytes())
                && queue.is_none_or(|q| is_valid_subject(q.as_bytes())) =>
        {
            Ok((subject, queue))
        }
        _ => Err(format!("invalid subject-queue {}", quote(text))),
    }
}

#[cfg(test)]
mod tests;
