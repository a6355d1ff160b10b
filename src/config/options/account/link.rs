//! Connecting imports with exports (spec 02 §5.8, "Linking"; spec 03 §14).
//!
//! The accounts of a running server do this again with their own data structures. The
//! configuration does it to refuse what could not work: imports of nothing, imports that are not
//! authorized, cycles.

use super::{AccountOptions, ServiceExport, ServiceImport, StreamImport};
use crate::config::options::Options;
use crate::config::text::quote;
use ::sublist::subject::{
    is_subset_match, is_valid_publish_subject, is_valid_subject, subject_has_wildcard,
    subjects_collide,
};
use ::sublist::transform::{
    SubjectTransform, TransformError, transform_tokenize, transform_untokenize,
};
use std::collections::{HashMap, HashSet};

/// Accounts visited before the search for a cycle gives up.
const MAX_CYCLE_DEPTH: usize = 1024;

const INVALID_SUBJECT: &str = "sublist: invalid subject";

/// An import that was found to be in order.
struct Linked {
    /// The exporting account.
    account: usize,
    /// For a service the subject here; for a stream the subject there.
    from: String,
    /// For a service the subject there; for a stream the subject here.
    to: String,
}

struct Linker<'o> {
    accounts: &'o [AccountOptions],
    /// Of several accounts of one name the last is meant.
    by_name: HashMap<&'o str, usize>,
    streams: Vec<Vec<Linked>>,
    services: Vec<Vec<Linked>>,
}

/// Checks exports and imports of the accounts from `first` on. Returns the errors.
pub(super) fn check(options: &Options, first: usize) -> Vec<String> {
    let accounts = options.accounts.as_slice();
    let by_name = accounts.iter().enumerate().map(|(i, a)| (a.name.as_str(), i)).collect();
    let empty = || accounts.iter().map(|_| Vec::new()).collect();
    let mut linker = Linker { accounts, by_name, streams: empty(), services: empty() };
    let mut errors = Vec::new();
    let own = || accounts.iter().enumerate().skip(first);
    for (_, account) in own() {
        for export in &account.stream_exports {
            linker.check_accounts(&mut errors, "stream", export.accounts.as_deref());
            let (subject, position) = (&export.subject, export.account_token_position);
            if let Err(error) = check_token_position(subject, position) {
                errors.push(format!("Error adding stream export {}: {error}", quote(subject)));
            }
        }
    }
    for (_, account) in own() {
        for export in &account.service_exports {
            linker.check_accounts(&mut errors, "service", export.accounts.as_deref());
            errors.extend(check_service_export(options, account, export).err());
        }
    }
    for (index, account) in own() {
        for import in &account.stream_imports {
            let subject = quote(&import.subject);
            match linker.stream_import(index, import) {
                Ok(()) => {}
                Err(None) => {
                    let name = quote(&import.account);
                    errors.push(format!("{name} account not defined for stream import"));
                }
                Err(Some(error)) => {
                    errors.push(format!("Error adding stream import {subject}: {error}"));
                }
            }
        }
    }
    for (index, account) in own() {
        for import in &account.service_imports {
            let subject = quote(&import.subject);
            match linker.service_import(index, import) {
                Ok(()) => {}
                Err(None) => {
                    let name = quote(&import.account);
                    errors.push(format!("{name} account not defined for service import"));
                }
                Err(Some(error)) => {
                    errors.push(format!("Error adding service import {subject}: {error}"));
                }
            }
        }
    }
    errors
}

/// The token an account name is expected at must be a wildcard.
fn check_token_position(subject: &str, position: u64) -> Result<(), &'static str> {
    if position == 0 {
        return Ok(());
    }
    let index = usize::try_from(position - 1).unwrap_or(usize::MAX);
    match subject.split('.').nth(index) {
        Some("*") => Ok(()),
        _ => Err(INVALID_SUBJECT),
    }
}

/// Whether a message can go from one subject to the other and back, as imports need. The wildcards
/// of `to` stand for those of `from` in order where it does not number them itself.
fn check_reversible(from: &str, to: &str) -> Result<(), TransformError> {
    let numbered = transform_tokenize(to.as_bytes());
    SubjectTransform::new_strict(from.as_bytes(), &numbered).map(|_| ())
}

/// The subject with wildcards in the place of references to wildcards.
fn with_wildcards(subject: &str) -> String {
    let (subject, _) = transform_untokenize(subject.as_bytes());
    String::from_utf8_lossy(&subject).into_owned()
}

fn check_service_export(
    options: &Options,
    account: &AccountOptions,
    export: &ServiceExport,
) -> Result<(), String> {
    let subject = quote(&export.subject);
    check_token_position(&export.subject, export.account_token_position)
        .map_err(|error| format!("Error adding service export {subject}: {error}"))?;
    let Some(latency) = &export.latency else { return Ok(()) };
    if options.no_system_account {
        return Err(format!(
            "Error adding service latency sampling for {subject}: system account not setup"
        ));
    }
    let results = latency.subject.as_str();
    let exported = |results: &str| {
        let known = account.service_exports.iter();
        let mut known = known.take_while(|other| !std::ptr::eq(*other, export)).chain([export]);
        known.any(|other| {
            other.subject == results
                || is_subset_match(results.as_bytes(), other.subject.as_bytes())
        })
    };
    // Measurements must not be requests of the service that is measured.
    let error = if !is_valid_publish_subject(results.as_bytes()) || exported(results) {
        "invalid publish subject"
    } else if export.response_type != super::ResponseType::Singleton {
        "bad service response type"
    } else {
        return Ok(());
    };
    let results = quote(results);
    Err(format!(
        "Error adding service latency sampling for {subject} on subject {results}: {error}"
    ))
}

impl Linker<'_> {
    fn check_accounts(&self, errors: &mut Vec<String>, kind: &str, names: Option<&[String]>) {
        for name in names.unwrap_or_default() {
            if !self.by_name.contains_key(name.as_str()) {
                errors.push(format!("{} account not defined for {kind} export", quote(name)));
            }
        }
    }

    fn name(&self, account: usize) -> &str {
        self.accounts.get(account).map_or("", |account| account.name.as_str())
    }

    fn may_import(
        &self,
        importer: usize,
        subject: &str,
        exact: bool,
        accounts: Option<&[String]>,
        position: u64,
    ) -> bool {
        let name = self.name(importer);
        let known = accounts.map(|names| {
            names.iter().filter(|name| self.by_name.contains_key(name.as_str())).collect::<Vec<_>>()
        });
        if position > 0 {
            // An exact match names no account in that place.
            let index = usize::try_from(position - 1).unwrap_or(usize::MAX);
            return !exact && subject.split('.').nth(index) == Some(name);
        }
        known.is_none_or(|names| names.is_empty() || names.iter().any(|known| *known == name))
    }

    fn may_import_stream(&self, importer: usize, exporter: usize, subject: &str) -> bool {
        let Some(account) = self.accounts.get(exporter) else { return false };
        if !is_valid_subject(subject.as_bytes()) {
            return false;
        }
        let exports = &account.stream_exports;
        let exact = exports.iter().rfind(|export| export.subject == subject);
        let covers = |export: &str| is_subset_match(subject.as_bytes(), export.as_bytes());
        let wider = || exports.iter().find(|export| covers(&export.subject));
        exact.or_else(wider).is_some_and(|export| {
            let names = export.accounts.as_deref();
            let position = export.account_token_position;
            self.may_import(importer, subject, exact.is_some(), names, position)
        })
    }

    fn may_import_service(&self, importer: usize, exporter: usize, subject: &str) -> bool {
        let Some(account) = self.accounts.get(exporter) else { return false };
        let exports = &account.service_exports;
        let exact = exports.iter().rfind(|export| export.subject == subject);
        let covers = |export: &str| is_subset_match(subject.as_bytes(), export.as_bytes());
        let wider = || exports.iter().find(|export| covers(&export.subject));
        exact.or_else(wider).is_some_and(|export| {
            let names = export.accounts.as_deref();
            let position = export.account_token_position;
            self.may_import(importer, subject, exact.is_some(), names, position)
        })
    }

    /// `Err(None)` means that there is no such account.
    fn stream_import(
        &mut self,
        importer: usize,
        import: &StreamImport,
    ) -> Result<(), Option<String>> {
        let exporter = *self.by_name.get(import.account.as_str()).ok_or(None)?;
        let from = import.subject.as_str();
        if !self.may_import_stream(importer, exporter, from) {
            return Err(Some("stream import not authorized".to_owned()));
        }
        let to = if import.prefix.is_empty() {
            if import.to.is_empty() { from.to_owned() } else { import.to.clone() }
        } else {
            if subject_has_wildcard(import.prefix.as_bytes()) || import.prefix.is_empty() {
                let text = "stream import prefix can not contain wildcard tokens";
                return Err(Some(text.to_owned()));
            }
            format!("{}.{from}", import.prefix.strip_suffix('.').unwrap_or(&import.prefix))
        };
        for subject in [to.as_str(), from] {
            let visited = &mut HashSet::from([self.name(importer).to_owned()]);
            self.stream_cycle(exporter, subject, visited).map_err(Some)?;
        }
        let mut here = to.clone();
        if subject_has_wildcard(from.as_bytes()) && to != from {
            check_reversible(from, &to).map_err(|error| {
                let (from, to) = (quote(from), quote(&to));
                Some(format!(
                    "failed to create mapping transform for stream import subject from {from} to \
                     {to}: {error}"
                ))
            })?;
            here = with_wildcards(&to);
        }
        let Some(linked) = self.streams.get_mut(importer) else { return Ok(()) };
        if linked.iter().any(|other| other.account == exporter && other.from == from) {
            return Err(Some("stream import already exists".to_owned()));
        }
        linked.push(Linked { account: exporter, from: from.to_owned(), to: here });
        Ok(())
    }

    fn stream_cycle(
        &self,
        account: usize,
        to: &str,
        visited: &mut HashSet<String>,
    ) -> Result<(), String> {
        if visited.len() >= MAX_CYCLE_DEPTH {
            return Err("search cycle depth exhausted".to_owned());
        }
        let exports = self.accounts.get(account).map_or(&[][..], |a| &a.stream_exports);
        let covers = |export: &str| is_subset_match(to.as_bytes(), export.as_bytes());
        if !exports.iter().any(|export| covers(&export.subject)) {
            return Ok(());
        }
        for linked in self.streams.get(account).into_iter().flatten() {
            if subjects_collide(to.as_bytes(), linked.to.as_bytes()) {
                if visited.contains(self.name(linked.account)) {
                    return Err("import forms a cycle".to_owned());
                }
                visited.insert(self.name(account).to_owned());
                let next = if is_subset_match(linked.to.as_bytes(), to.as_bytes()) {
                    &linked.to
                } else {
                    to
                };
                self.stream_cycle(linked.account, next, visited)?;
            }
        }
        Ok(())
    }

    /// `Err(None)` means that there is no such account.
    fn service_import(
        &mut self,
        importer: usize,
        import: &ServiceImport,
    ) -> Result<(), Option<String>> {
        let exporter = *self.by_name.get(import.account.as_str()).ok_or(None)?;
        let (mut from, mut to) = (import.to.clone(), import.subject.clone());
        if !is_valid_subject(from.as_bytes()) || !is_valid_subject(to.as_bytes()) {
            return Err(Some(INVALID_SUBJECT.to_owned()));
        }
        if !self.may_import_service(importer, exporter, &to) {
            return Err(Some("service import not authorized".to_owned()));
        }
        let searched =
            if subject_has_wildcard(to.as_bytes()) { with_wildcards(&from) } else { from.clone() };
        let visited = &mut HashSet::from([self.name(importer).to_owned()]);
        self.service_cycle(exporter, &searched, visited).map_err(Some)?;
        let name = self.name(exporter).to_owned();
        if let Some(duplicate) = self.services.get(importer).and_then(|linked| {
            linked.iter().find(|other| other.account == exporter && other.from == from)
        }) {
            let (from, to) = (quote(&from), quote(&duplicate.to));
            return Err(Some(format!(
                "duplicate service import subject {from}, previously used in import for account \
                 {}, subject {to}",
                quote(&name)
            )));
        }
        if subject_has_wildcard(to.as_bytes()) && to != from {
            to = with_wildcards(&to);
            check_reversible(&to, &from).map_err(|error| {
                let (from, to) = (quote(&from), quote(&to));
                Some(format!(
                    "failed to create mapping transform for service import subject from {from} to \
                     {to}: {error}"
                ))
            })?;
            from = with_wildcards(&from);
        }
        if let Some(linked) = self.services.get_mut(importer) {
            linked.push(Linked { account: exporter, from, to });
        }
        Ok(())
    }

    fn service_cycle(
        &self,
        account: usize,
        from: &str,
        visited: &mut HashSet<String>,
    ) -> Result<(), String> {
        if visited.len() >= MAX_CYCLE_DEPTH {
            return Err("search cycle depth exhausted".to_owned());
        }
        for linked in self.services.get(account).into_iter().flatten() {
            if subjects_collide(from.as_bytes(), linked.to.as_bytes()) {
                if visited.contains(self.name(linked.account)) {
                    return Err("import forms a cycle".to_owned());
                }
                visited.insert(self.name(account).to_owned());
                let next = if is_subset_match(linked.from.as_bytes(), from.as_bytes()) {
                    &linked.from
                } else {
                    from
                };
                self.service_cycle(linked.account, next, visited)?;
            }
        }
        Ok(())
    }
}
