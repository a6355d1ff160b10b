//! Connecting what accounts import with what others export (spec 03 §16.3 and §16.5).
//!
//! [`link`] makes the imports of one account anew from its definition. What stays the same is kept
//! as it is, so that nothing is lost for those who do not take part in a change. An import that is
//! not possible (any more) is left out and reported.
//!
//! Only one thread links at a time: see `Accounts::linking`.

use super::Account;
use super::imports::{ServiceImport, StreamImport};
use super::shares::{StreamExport, Terms, Wanted};
use crate::config::options::account as wanted;
use crate::subscription::{Destination, Subscription};
use ::sublist::subject::{
    is_subset_match, is_valid_subject, subject_has_wildcard, subjects_collide,
};
use ::sublist::transform::transform_untokenize;
use parser::quote::quote;
use std::collections::HashSet;
use std::sync::Arc;

/// Accounts visited before the search for a cycle gives up.
const MAX_CYCLE_DEPTH: usize = 1024;

/// Whether an import or export is about streams or services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareKind {
    /// Streams.
    Stream,
    /// Services.
    Service,
}

impl ShareKind {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ShareKind::Stream => "stream",
            ShareKind::Service => "service",
        }
    }
}

/// An import that could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlinked {
    /// The account that was to import.
    pub importer: String,
    /// The account it was to import from.
    pub exporter: String,
    /// What kind.
    pub kind: ShareKind,
    /// The subject there.
    pub subject: String,
    /// Why not.
    pub reason: String,
    /// The exporting account is not known.
    pub missing: bool,
}

/// Says whether an import that needs an activation has one: the exporting account, the terms, the
/// importing account, and the import.
pub trait Activations {
    /// For a stream.
    fn stream(
        &self,
        exporter: &Account,
        terms: &Terms,
        importer: &str,
        import: &Wanted<wanted::StreamImport>,
    ) -> bool;

    /// For a service.
    fn service(
        &self,
        exporter: &Account,
        terms: &Terms,
        importer: &str,
        import: &Wanted<wanted::ServiceImport>,
    ) -> bool;
}

/// Without operators there are no activations.
pub struct NoActivations;

impl Activations for NoActivations {
    fn stream(&self, _: &Account, _: &Terms, _: &str, _: &Wanted<wanted::StreamImport>) -> bool {
        false
    }

    fn service(&self, _: &Account, _: &Terms, _: &str, _: &Wanted<wanted::ServiceImport>) -> bool {
        false
    }
}

/// What came of linking one account.
#[derive(Default)]
pub struct Linked {
    /// The imports that could not be made.
    pub unlinked: Vec<Unlinked>,
    /// Its subscriptions need other shadows than before.
    pub streams_changed: bool,
}

/// Makes the imports of an account. `find` finds accounts by name.
pub(super) fn link(
    account: &Arc<Account>,
    find: &dyn Fn(&str) -> Option<Arc<Account>>,
    activations: &dyn Activations,
) -> Linked {
    let definition = account.definition();
    let mut linked = Linked::default();
    let before = account.stream_imports();
    let mut streams: Vec<Arc<StreamImport>> = Vec::new();
    for import in &definition.stream_imports {
        let Some(exporter) = find(&import.import.account) else {
            linked.unlinked.push(missing(
                account,
                ShareKind::Stream,
                &import.import.account,
                &import.import.subject,
            ));
            continue;
        };
        let made = stream(account, &exporter, import, &before, &streams, activations);
        match made {
            Ok(made) => streams.push(made),
            Err(reason) => linked.unlinked.push(Unlinked {
                importer: account.name.clone(),
                exporter: exporter.name.clone(),
                kind: ShareKind::Stream,
                subject: import.import.subject.clone(),
                reason,
                missing: false,
            }),
        }
    }
    let same = |a: &Arc<StreamImport>, b: &Arc<StreamImport>| Arc::ptr_eq(a, b);
    linked.streams_changed =
        before.len() != streams.len() || !before.iter().zip(&streams).all(|(a, b)| same(a, b));
    if linked.streams_changed {
        account.set_stream_imports(streams);
    }
    link_services(account, find, activations, &mut linked);
    linked
}

fn missing(account: &Account, kind: ShareKind, exporter: &str, subject: &str) -> Unlinked {
    Unlinked {
        importer: account.name.clone(),
        exporter: exporter.to_owned(),
        kind,
        subject: subject.to_owned(),
        reason: "account missing".to_owned(),
        missing: true,
    }
}

fn stream(
    importer: &Arc<Account>,
    exporter: &Arc<Account>,
    import: &Wanted<wanted::StreamImport>,
    before: &[Arc<StreamImport>],
    made: &[Arc<StreamImport>],
    activations: &dyn Activations,
) -> Result<Arc<StreamImport>, String> {
    let wanted = &import.import;
    let there = wanted.subject.as_str();
    if !import.automatic {
        let allowed = is_valid_subject(there.as_bytes())
            && exporter.definition().stream_export(there).is_some_and(|(export, exact)| {
                let activated =
                    || activations.stream(exporter, &export.terms, &importer.name, import);
                export.terms.admit(&importer.name, there, exact, activated)
            });
        if !allowed {
            return Err("stream import not authorized".to_owned());
        }
    }
    let here = StreamImport::local_subject(wanted)?;
    for subject in [here.as_bytes(), there.as_bytes()] {
        let visited = &mut HashSet::from([importer.id]);
        stream_cycle(importer, made, exporter, subject, visited)?;
    }
    let again =
        made.iter().any(|m| Arc::ptr_eq(&m.exporter, exporter) && m.from == there.as_bytes());
    if again {
        return Err("stream import already exists".to_owned());
    }
    let same = |m: &&Arc<StreamImport>| m.wanted == *wanted && Arc::ptr_eq(&m.exporter, exporter);
    if let Some(same) = before.iter().find(same) {
        return Ok(same.clone());
    }
    Ok(Arc::new(StreamImport::new(exporter, wanted)?))
}

/// `made` are the imports of `importer`, which are not in force yet.
fn stream_cycle(
    importer: &Account,
    made: &[Arc<StreamImport>],
    account: &Account,
    to: &[u8],
    visited: &mut HashSet<u32>,
) -> Result<(), String> {
    if visited.len() >= MAX_CYCLE_DEPTH {
        return Err("search cycle depth exhausted".to_owned());
    }
    let definition = account.definition();
    let exports = |e: &Arc<StreamExport>| is_subset_match(to, e.subject.as_bytes());
    if !definition.stream_exports.iter().any(exports) {
        return Ok(());
    }
    let live = account.stream_imports();
    for import in if account.id == importer.id { made } else { &live } {
        if subjects_collide(to, &import.to) {
            if visited.contains(&import.exporter.id) {
                return Err("import forms a cycle".to_owned());
            }
            visited.insert(account.id);
            let next = if is_subset_match(&import.to, to) { &import.to[..] } else { to };
            stream_cycle(importer, made, &import.exporter, next, visited)?;
        }
    }
    Ok(())
}

fn link_services(
    account: &Arc<Account>,
    find: &dyn Fn(&str) -> Option<Arc<Account>>,
    activations: &dyn Activations,
    linked: &mut Linked,
) {
    let definition = account.definition();
    let before = account.service_imports();
    let mut kept = vec![false; before.len()];
    let mut services: Vec<Arc<Subscription>> = Vec::new();
    for import in &definition.service_imports {
        let wanted = &import.import;
        let Some(exporter) = find(&wanted.account) else {
            let missing = missing(account, ShareKind::Service, &wanted.account, &wanted.subject);
            linked.unlinked.push(missing);
            continue;
        };
        let made = service(account, &exporter, import, &services, activations).and_then(|export| {
            let same = |old: &Arc<Subscription>| match &old.to {
                Destination::Service(s) => {
                    s.wanted == *wanted
                        && Arc::ptr_eq(&s.exporter, &exporter)
                        && Arc::ptr_eq(&s.export, &export)
                }
                _ => false,
            };
            if let Some(at) = before.iter().position(same)
                && let Some((kept, old)) = kept.get_mut(at).zip(before.get(at))
                && !std::mem::replace(kept, true)
            {
                return Ok(old.clone());
            }
            let import = ServiceImport::new(account, &exporter, export, wanted)?;
            let subject = import.from.clone();
            let to = Destination::Service(Arc::new(import));
            let subscription = Arc::new(Subscription::new(&subject, None, b"", to));
            account
                .sublist
                .insert(subscription.clone())
                .map_err(|_| "invalid subject".to_owned())?;
            Ok(subscription)
        });
        match made {
            Ok(subscription) => services.push(subscription),
            Err(reason) => linked.unlinked.push(Unlinked {
                importer: account.name.clone(),
                exporter: exporter.name.clone(),
                kind: ShareKind::Service,
                subject: wanted.subject.clone(),
                reason,
                missing: false,
            }),
        }
    }
    account.set_service_imports(services);
    for (old, kept) in before.iter().zip(kept) {
        if !kept {
            old.close();
            // It was inserted when it was made, and nobody else removes it.
            let _ = account.sublist.remove(old);
        }
    }
}

/// The export that allows an import.
fn service(
    importer: &Arc<Account>,
    exporter: &Arc<Account>,
    import: &Wanted<wanted::ServiceImport>,
    made: &[Arc<Subscription>],
    activations: &dyn Activations,
) -> Result<Arc<super::shares::ServiceExport>, String> {
    let wanted = &import.import;
    let (here, there) = (wanted.to.as_bytes(), wanted.subject.as_bytes());
    if !is_valid_subject(here) || !is_valid_subject(there) {
        return Err("invalid subject".to_owned());
    }
    let definition = exporter.definition();
    let found = definition.service_export(&wanted.subject);
    let allowed = found.filter(|(export, exact)| {
        let terms = &export.terms;
        import.automatic
            || terms.admit(&importer.name, &wanted.subject, *exact, || {
                activations.service(exporter, terms, &importer.name, import)
            })
    });
    let Some((export, _)) = allowed else {
        return Err("service import not authorized".to_owned());
    };
    let searched =
        if subject_has_wildcard(there) { transform_untokenize(here).0 } else { here.to_vec() };
    let visited = &mut HashSet::from([importer.id]);
    service_cycle(importer, made, exporter, &searched, visited)?;
    let duplicate = made
        .iter()
        .filter_map(service_of)
        .find(|other| Arc::ptr_eq(&other.exporter, exporter) && other.from == here);
    if let Some(duplicate) = duplicate {
        return Err(format!(
            "duplicate service import subject {}, previously used in import for account {}, \
             subject {}",
            quote(here),
            quote(exporter.name.as_bytes()),
            quote(&duplicate.to)
        ));
    }
    Ok(export.clone())
}

fn service_of(subscription: &Arc<Subscription>) -> Option<&Arc<ServiceImport>> {
    match &subscription.to {
        Destination::Service(import) => Some(import),
        _ => None,
    }
}

/// `made` are the imports of `importer`, which are not in force yet.
fn service_cycle(
    importer: &Account,
    made: &[Arc<Subscription>],
    account: &Account,
    from: &[u8],
    visited: &mut HashSet<u32>,
) -> Result<(), String> {
    if visited.len() >= MAX_CYCLE_DEPTH {
        return Err("search cycle depth exhausted".to_owned());
    }
    let live = account.service_imports();
    let imports = if account.id == importer.id { made } else { &live };
    for import in imports.iter().filter_map(service_of) {
        if subjects_collide(from, &import.to) {
            if visited.contains(&import.exporter.id) {
                return Err("import forms a cycle".to_owned());
            }
            visited.insert(account.id);
            let next = if is_subset_match(&import.from, from) { &import.from[..] } else { from };
            service_cycle(importer, made, &import.exporter, next, visited)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
