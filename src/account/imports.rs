//! What accounts share: exported services, imports of streams and of services (spec 03 §16 to §18).
//!
//! The configuration has been checked when it was loaded, so linking here only builds what
//! deliveries need. Everything is made before the first connection and does not change.
//!
//! A *stream import* has no subscription of its own: every subscription in the importing account
//! that could match it gets a shadow in the exporting account, see [`StreamImport::shadow_subject`].
//! A *service import* is a subscription in the importing account whose messages go on to the
//! exporting one.

use super::{Account, Accounts};
use crate::config::options::Options;
use crate::config::options::account::{
    AccountOptions, ResponseType, ServiceExport as ConfiguredExport,
    ServiceImport as ConfiguredService, StreamImport as ConfiguredStream,
};
use crate::subscription::{Destination, Shadow, Subscription};
use ::sublist::Subscription as _;
use ::sublist::subject::{is_subset_match, subject_has_wildcard};
use ::sublist::transform::{SubjectTransform, transform_tokenize, transform_untokenize};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long an answer is waited for, unless configured (spec 03 §18).
const DEFAULT_RESPONSE_THRESHOLD: Duration = Duration::from_secs(120);

/// A service that others may use.
#[derive(Debug)]
pub struct ServiceExport {
    /// The subject exported.
    pub subject: String,
    /// How many messages it answers with.
    pub response_type: ResponseType,
    /// How long an answer, or the next part of one, is waited for.
    pub response_threshold: Duration,
}

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

impl ServiceImport {
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
    /// The subject there.
    from: Vec<u8>,
    /// The subject here, possibly with wildcards.
    to: Vec<u8>,
    target: Target,
    /// From subjects here to those there, where they differ.
    reverse: Option<SubjectTransform>,
}

impl StreamImport {
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

/// The subscriptions to make in other accounts for one of `account`, each with the account that
/// exports to it (spec 03 §17).
pub(crate) fn shadows<'a>(
    account: &'a Arc<Account>,
    subscription: &'a Arc<Subscription>,
) -> impl Iterator<Item = (&'a Arc<Account>, Arc<Subscription>)> + 'a {
    account.stream_imports().iter().filter_map(move |import| {
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

/// Makes the imports of all accounts.
///
/// # Errors
/// The text to print where an import cannot be made, which the configuration's checks exclude.
pub(super) fn link(o: &Options, accounts: &Accounts) -> Result<(), String> {
    let mut exports: HashMap<&str, Vec<Arc<ServiceExport>>> = HashMap::new();
    for account in &o.accounts {
        let list = account.service_exports.iter().map(|e| Arc::new(export(e))).collect();
        exports.insert(account.name.as_str(), list);
    }
    for configured in &o.accounts {
        let Some(account) = accounts.get(&configured.name) else { continue };
        let streams = configured.stream_imports.iter().map(|i| stream_import(accounts, i));
        account.set_stream_imports(streams.collect::<Result<_, _>>()?);
        for import in &configured.service_imports {
            let known = exports.get(import.account.as_str()).map(Vec::as_slice);
            add_service_import(accounts, configured, account, import, known.unwrap_or_default())?;
        }
    }
    Ok(())
}

fn export(configured: &ConfiguredExport) -> ServiceExport {
    ServiceExport {
        subject: configured.subject.clone(),
        response_type: configured.response_type,
        response_threshold: configured.response_threshold.unwrap_or(DEFAULT_RESPONSE_THRESHOLD),
    }
}

fn stream_import(
    accounts: &Accounts,
    configured: &ConfiguredStream,
) -> Result<Arc<StreamImport>, String> {
    let ConfiguredStream { account, subject, prefix, to, .. } = configured;
    let error = |text: &str| format!("Error adding stream import {subject:?}: {text}");
    let exporter = accounts.get(account).ok_or_else(|| error("account missing"))?.clone();
    let from = subject.as_bytes().to_vec();
    let here = if !prefix.is_empty() {
        format!("{}.{subject}", prefix.strip_suffix('.').unwrap_or(prefix)).into_bytes()
    } else if to.is_empty() {
        from.clone()
    } else {
        to.as_bytes().to_vec()
    };
    if !subject_has_wildcard(&from) {
        let target = Target::Fixed(here.clone());
        return Ok(Arc::new(StreamImport { exporter, from, to: here, target, reverse: None }));
    }
    if here == from {
        let target = Target::Same;
        return Ok(Arc::new(StreamImport { exporter, from, to: here, target, reverse: None }));
    }
    let transform = SubjectTransform::new_strict(&from, &transform_tokenize(&here))
        .map_err(|e| error(&e.to_string()))?
        .ok_or_else(|| error("invalid subject"))?;
    let reverse = transform.reverse();
    let (to, _) = transform_untokenize(&here);
    let target = Target::Transformed(transform);
    Ok(Arc::new(StreamImport { exporter, from, to, target, reverse }))
}

fn add_service_import(
    accounts: &Accounts,
    importer: &AccountOptions,
    account: &Arc<Account>,
    configured: &ConfiguredService,
    exports: &[Arc<ServiceExport>],
) -> Result<(), String> {
    let subject = configured.subject.as_bytes();
    let error =
        |text: &str| format!("Error adding service import {:?}: {text}", configured.subject);
    let exporter = accounts.get(&configured.account).ok_or_else(|| error("account missing"))?;
    let exact = exports.iter().rfind(|e| e.subject.as_bytes() == subject);
    let export = exact
        .or_else(|| exports.iter().find(|e| is_subset_match(subject, e.subject.as_bytes())))
        .ok_or_else(|| error("service import not authorized"))?;
    let mut from = configured.to.as_bytes().to_vec();
    let target = if !subject_has_wildcard(subject) {
        Target::Fixed(subject.to_vec())
    } else if from == subject {
        Target::Same
    } else {
        // Placeholders may stand on either side; the transform is made from the side that has
        // wildcards, and turned around.
        let (there, _) = transform_untokenize(subject);
        let transform = SubjectTransform::new_strict(&there, &transform_tokenize(&from))
            .map_err(|e| error(&e.to_string()))?
            .and_then(|t| t.reverse())
            .ok_or_else(|| error("invalid subject"))?;
        from = transform_untokenize(&from).0;
        Target::Transformed(transform)
    };
    let import = ServiceImport {
        importer_name: importer.name.clone(),
        importer: Arc::downgrade(account),
        exporter: exporter.clone(),
        export: export.clone(),
        target,
        share: configured.share,
    };
    let to = Destination::Service(Arc::new(import));
    let subscription = Arc::new(Subscription::new(&from, None, b"", to));
    account.sublist.insert(subscription).map_err(|_| error("invalid subject"))
}

#[cfg(test)]
mod tests;
