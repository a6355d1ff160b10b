//! What was imported from other accounts: services and streams (spec 03 §16 to §18).
//!
//! A *stream import* has no subscription of its own: every subscription in the importing account
//! that could match it gets a shadow in the exporting account, see [`StreamImport::shadow_subject`].
//! A *service import* is a subscription in the importing account whose messages go on to the
//! exporting one. Which imports an account has is decided in [`super::linking`].

use super::Account;
use super::shares::ServiceExport;
use crate::config::options::account::{
    ServiceImport as WantedService, StreamImport as WantedStream,
};
use crate::subscription::{Destination, Shadow, Subscription};
use ::sublist::Subscription as _;
use ::sublist::subject::{is_subset_match, is_valid_subject, subject_has_wildcard};
use ::sublist::transform::{SubjectTransform, transform_tokenize, transform_untokenize};
use parser::quote::quote;
use std::sync::{Arc, Weak};

/// A service of another account, as a subscription of the importing one.
pub struct ServiceImport {
    /// Name of the account that imports.
    pub importer_name: String,
    /// That account, which owns the subscription that leads here.
    importer: Weak<Account>,
    /// The account that has the service.
    pub exporter: Arc<Account>,
    /// The export that allows it.
    pub export: Arc<ServiceExport>,
    /// What was asked for.
    pub wanted: WantedService,
    /// The subject here, possibly with wildcards.
    pub from: Vec<u8>,
    /// The subject there, possibly with wildcards.
    pub to: Vec<u8>,
    target: Target,
    /// The service is told all about the requesting connection.
    pub share: bool,
}

/// The subject that something imported has on the other side.
enum Target {
    /// The subject published to.
    Same,
    /// Always this one.
    Fixed(Vec<u8>),
    Transformed(SubjectTransform),
}

impl Target {
    fn of(&self, subject: &[u8]) -> Vec<u8> {
        match self {
            Target::Same => subject.to_vec(),
            Target::Fixed(to) => to.clone(),
            // Transforms of imports have no random parts.
            Target::Transformed(transform) => transform.transform(subject, || 0),
        }
    }
}

fn no_transform(kind: &str, from: &[u8], to: &[u8], reason: &str) -> String {
    let (from, to) = (quote(from), quote(to));
    format!(
        "failed to create mapping transform for {kind} import subject from {from} to {to}: {reason}"
    )
}

impl ServiceImport {
    /// An import that `export` allows.
    ///
    /// # Errors
    /// The subjects do not fit together.
    pub(super) fn new(
        importer: &Arc<Account>,
        exporter: &Arc<Account>,
        export: Arc<ServiceExport>,
        wanted: &WantedService,
    ) -> Result<ServiceImport, String> {
        let mut to = wanted.subject.as_bytes().to_vec();
        let mut from = wanted.to.as_bytes().to_vec();
        if !is_valid_subject(&from) || !is_valid_subject(&to) {
            return Err("invalid subject".to_owned());
        }
        let target = if !subject_has_wildcard(&to) {
            Target::Fixed(to.clone())
        } else if from == to {
            Target::Same
        } else {
            // Placeholders may stand on either side; the transform is made from the side that has
            // wildcards, and turned around.
            to = transform_untokenize(&to).0;
            let transform = SubjectTransform::new_strict(&to, &transform_tokenize(&from))
                .map_err(|e| no_transform("service", &from, &to, &e.to_string()))?
                .and_then(|t| t.reverse())
                .ok_or_else(|| no_transform("service", &from, &to, "invalid subject"))?;
            from = transform_untokenize(&from).0;
            Target::Transformed(transform)
        };
        Ok(ServiceImport {
            importer_name: importer.name.clone(),
            importer: Arc::downgrade(importer),
            exporter: exporter.clone(),
            export,
            wanted: wanted.clone(),
            from,
            to,
            target,
            share: wanted.share,
        })
    }

    /// The account that imports.
    pub fn importer(&self) -> Option<Arc<Account>> {
        self.importer.upgrade()
    }

    /// The subject that a request has in the exporting account.
    pub fn target(&self, subject: &[u8]) -> Vec<u8> {
        self.target.of(subject)
    }
}

/// A stream of another account.
pub struct StreamImport {
    /// The account that has the stream.
    pub exporter: Arc<Account>,
    /// What was asked for.
    pub wanted: WantedStream,
    /// The subject there.
    pub from: Vec<u8>,
    /// The subject here, possibly with wildcards.
    pub to: Vec<u8>,
    target: Target,
    /// From subjects here to those there, where they differ.
    reverse: Option<SubjectTransform>,
}

impl StreamImport {
    /// An import that was allowed.
    ///
    /// # Errors
    /// The subjects do not fit together.
    pub(super) fn new(
        exporter: &Arc<Account>,
        wanted: &WantedStream,
    ) -> Result<StreamImport, String> {
        let from = wanted.subject.as_bytes().to_vec();
        let here = StreamImport::local_subject(wanted)?.into_bytes();
        let (target, reverse, to) = if !subject_has_wildcard(&from) {
            (Target::Fixed(here.clone()), None, here)
        } else if here == from {
            (Target::Same, None, here)
        } else {
            let transform = SubjectTransform::new_strict(&from, &transform_tokenize(&here))
                .map_err(|e| no_transform("stream", &from, &here, &e.to_string()))?
                .ok_or_else(|| no_transform("stream", &from, &here, "invalid subject"))?;
            let reverse = transform.reverse();
            (Target::Transformed(transform), reverse, transform_untokenize(&here).0)
        };
        let (exporter, wanted) = (exporter.clone(), wanted.clone());
        Ok(StreamImport { exporter, wanted, from, to, target, reverse })
    }

    /// The subject here, as it was asked for.
    ///
    /// # Errors
    /// A prefix that is no literal subject.
    pub(super) fn local_subject(wanted: &WantedStream) -> Result<String, String> {
        let WantedStream { subject, prefix, to, .. } = wanted;
        if !prefix.is_empty() {
            if subject_has_wildcard(prefix.as_bytes()) {
                let text = "stream import prefix can not contain wildcard tokens";
                return Err(text.to_owned());
            }
            Ok(format!("{}.{subject}", prefix.strip_suffix('.').unwrap_or(prefix)))
        } else if to.is_empty() {
            Ok(subject.clone())
        } else {
            Ok(to.clone())
        }
    }

    /// The subject that a message of the stream has here.
    pub fn delivered_subject(&self, subject: &[u8]) -> Vec<u8> {
        self.target.of(subject)
    }

    /// The subject to subscribe to in the exporting account for a subscription here; `None` if the
    /// stream has nothing for it.
    pub fn shadow_subject(&self, subject: &[u8]) -> Option<Vec<u8>> {
        if subject == self.to {
            return Some(self.from.clone());
        }
        if is_subset_match(subject, &self.to) {
            return Some(self.subject_there(subject));
        }
        if !subject_has_wildcard(subject) {
            return None;
        }
        if is_subset_match(&self.to, subject) {
            return Some(self.from.clone());
        }
        let overlap = overlap(subject, &self.to);
        is_subset_match(&overlap, &self.to).then(|| self.subject_there(&overlap))
    }

    fn subject_there(&self, subject: &[u8]) -> Vec<u8> {
        match (&self.target, &self.reverse) {
            (Target::Same, _) => subject.to_vec(),
            (Target::Transformed(_), Some(reverse)) => reverse.transform(subject, || 0),
            _ => self.from.clone(),
        }
    }
}

/// The subscriptions to make in other accounts for one of `account`, which imports these streams;
/// each with the account that exports to it (spec 03 §17).
pub(crate) fn shadows<'a>(
    account: &'a Arc<Account>,
    subscription: &'a Arc<Subscription>,
    imports: &'a [Arc<StreamImport>],
) -> impl Iterator<Item = (&'a Arc<Account>, Arc<Subscription>)> + 'a {
    imports.iter().filter_map(move |import| {
        let there = import.shadow_subject(subscription.subject())?;
        let shadow = Shadow {
            import: import.clone(),
            importer: account.clone(),
            parent: subscription.clone(),
        };
        let to = Destination::Shadow(Box::new(shadow));
        let (queue, sid) = (subscription.queue(), subscription.sid());
        let shadow = Arc::new(Subscription::new(&there, queue, sid, to));
        Some((&import.exporter, shadow))
    })
}

/// What two subjects with wildcards have in common, as far as the first can be narrowed to the
/// second token by token.
fn overlap(subject: &[u8], other: &[u8]) -> Vec<u8> {
    let mut tokens: Vec<&[u8]> = ::sublist::subject::tokens(subject).collect();
    let others: Vec<&[u8]> = ::sublist::subject::tokens(other).collect();
    for (token, other) in tokens.iter_mut().zip(&others) {
        if *token == b"*" && *other != b">" {
            *token = other;
        }
    }
    if tokens.last() == Some(&&b">"[..]) && others.len() >= tokens.len() {
        let from = tokens.len() - 1;
        tokens.pop();
        tokens.extend(others.get(from..).unwrap_or_default());
    }
    tokens.join(&b'.')
}

#[cfg(test)]
mod tests;
