//! Making an account what its claims say (spec 03 §13 and §25).

use super::Operators;
use super::user::{clamp, permissions};
use crate::account::linking::Activations;
use crate::account::shares::{
    DEFAULT_RESPONSE_THRESHOLD, ServiceExport, StreamExport, Terms, Wanted,
};
use crate::account::trust::Trust;
use crate::account::{Account, AccountLimits, Definition, Mappings};
use crate::auth::permissions::Permissions;
use crate::config::options::account::{
    MapDestination, Mapping, ResponseType, ServiceImport, ServiceLatency, StreamImport,
};
use crate::jwt::shares::{Export, Import};
use crate::jwt::{AccountClaims, ActivationClaims, Share, decode_account, decode_activation};
use crate::jwt::{is_revoked, shares};
use crate::logging::Logger;
use ::sublist::subject::is_valid_literal_subject;
use parser::quote::quote;
use std::sync::Arc;
use std::time::Duration;

/// Decodes an account's claims and checks them, their time and their issuer. `now` is in seconds
/// since the epoch.
///
/// # Errors
/// The reason.
pub fn verify(operators: &Operators, token: &str, now: i64) -> Result<AccountClaims, String> {
    let claims = decode_account(token).map_err(|e| e.to_string())?;
    if !operators.trusted.contains(&claims.base.issuer) || claims.validate(now).blocking(true) {
        return Err("account validation failed".to_owned());
    }
    Ok(claims)
}

/// What the claims say of the account's users.
#[must_use]
pub fn trust(operators: &Operators, claims: &AccountClaims, token: &str) -> Trust {
    let a = &claims.account;
    let mut signing_keys = a.signing_keys.clone();
    if !operators.strict.contains(&claims.base.issuer) {
        signing_keys.insert(claims.base.subject.clone(), None);
    }
    let defaults = permissions(&a.default_permissions);
    Trust {
        token: token.to_owned(),
        issuer: claims.base.issuer.clone(),
        issued_at: claims.base.issued_at,
        expires: claims.base.expires,
        name: claims.base.name.clone(),
        tags: a.tags.clone(),
        signing_keys,
        revocations: a.revocations.clone(),
        disallow_bearer: a.limits.disallow_bearer,
        default_permissions: defaults.map(|p| Arc::new(Permissions::compile(&p).0)),
        external: a.has_external_authorization().then(|| a.authorization.clone()),
    }
}

/// The account's limits.
#[must_use]
pub fn limits(claims: &AccountClaims) -> AccountLimits {
    let limits = &claims.account.limits;
    AccountLimits {
        max_subscriptions: clamp(limits.subs),
        max_payload: clamp(limits.payload),
        max_connections: clamp(limits.connections),
        max_leafnodes: clamp(limits.leafnodes),
    }
}

/// The account's mappings; those that cannot be made are left out.
#[must_use]
pub fn mappings(claims: &AccountClaims, cluster: &str) -> Option<Mappings> {
    let mut possible = Vec::new();
    for (source, destinations) in &claims.account.mappings {
        let destinations = destinations.iter().map(|d| MapDestination {
            subject: d.subject.clone(),
            weight: u8::try_from(d.percent()).unwrap_or(100),
            cluster: d.cluster.clone(),
        });
        let mapping = Mapping { source: source.clone(), destinations: destinations.collect() };
        if Mappings::new(std::slice::from_ref(&mapping), cluster).is_ok() {
            possible.push(mapping);
        }
    }
    Mappings::new(&possible, cluster).ok().flatten()
}

/// What the account shares and uses.
#[must_use]
pub fn definition(claims: &AccountClaims, has_system_account: bool) -> Definition {
    let mut definition = Definition::default();
    for export in &claims.account.exports {
        let terms = Terms {
            accounts: Vec::new(),
            token_position: u64::try_from(export.account_token_position).unwrap_or(0),
            token_required: export.token_required,
            revocations: export.revocations.clone(),
        };
        let subject = export.subject.clone();
        match export.share {
            Share::Stream => {
                definition.stream_exports.push(Arc::new(StreamExport { subject, terms }));
            }
            Share::Service => {
                let service = service_export(export, terms, claims, has_system_account);
                definition.service_exports.push(Arc::new(service));
            }
            // Claims with such an export are not valid.
            Share::Unknown => {}
        }
    }
    for import in &claims.account.imports {
        match import.share {
            Share::Stream => definition.stream_imports.push(stream_import(import)),
            Share::Service => definition.service_imports.push(service_import(import)),
            Share::Unknown => {}
        }
    }
    definition
}

fn service_export(
    export: &Export,
    terms: Terms,
    claims: &AccountClaims,
    has_system_account: bool,
) -> ServiceExport {
    let response_type = match export.response_type.as_str() {
        "Stream" => ResponseType::Streamed,
        "Chunked" => ResponseType::Chunked,
        _ => ResponseType::Singleton,
    };
    let response_threshold = match u64::try_from(export.response_threshold) {
        Ok(nanos) if nanos > 0 => Duration::from_nanos(nanos),
        _ => DEFAULT_RESPONSE_THRESHOLD,
    };
    // Measurements that would be requests of a service themselves are not made.
    let exported = |subject: &str| {
        let services = claims.account.exports.iter().filter(|e| e.share == Share::Service);
        let mut subjects = services.map(|e| e.subject.as_bytes());
        subjects.any(|other| ::sublist::subject::is_subset_match(subject.as_bytes(), other))
    };
    let latency = export.latency.as_ref().filter(|latency| {
        has_system_account
            && response_type == ResponseType::Singleton
            && is_valid_literal_subject(latency.results.as_bytes())
            && !exported(&latency.results)
    });
    ServiceExport {
        subject: export.subject.clone(),
        response_type,
        response_threshold,
        latency: latency.map(|latency| ServiceLatency {
            sampling: u8::try_from(latency.sampling).unwrap_or(100),
            subject: latency.results.clone(),
        }),
        allow_trace: export.allow_trace,
        terms,
    }
}

fn stream_import(import: &Import) -> Wanted<StreamImport> {
    // The old form is a prefix.
    let prefix = if import.local_subject.is_empty() { import.to.clone() } else { String::new() };
    let wanted = StreamImport {
        account: import.account.clone(),
        subject: import.subject.clone(),
        prefix,
        to: import.local_subject.clone(),
        allow_trace: import.allow_trace,
    };
    Wanted { import: wanted, token: import.token.clone(), automatic: false }
}

fn service_import(import: &Import) -> Wanted<ServiceImport> {
    let (here, there) = if !import.local_subject.is_empty() {
        (&import.local_subject, &import.subject)
    } else if import.to.is_empty() {
        (&import.subject, &import.subject)
    } else {
        (&import.subject, &import.to)
    };
    let wanted = ServiceImport {
        account: import.account.clone(),
        subject: there.clone(),
        to: here.clone(),
        share: import.share_connection,
    };
    Wanted { import: wanted, token: import.token.clone(), automatic: false }
}

/// Checks activations at a point in time.
pub struct ActivationCheck<'a> {
    /// Seconds since the epoch.
    pub now: i64,
    /// For what is wrong with them.
    pub log: &'a Logger,
}

impl ActivationCheck<'_> {
    fn accepts(
        &self,
        exporter: &Account,
        terms: &Terms,
        importer: &str,
        token: &str,
        share: Share,
        subject: &str,
    ) -> bool {
        if token.is_empty() {
            return false;
        }
        let Ok(activation) = decode_activation(token) else { return false };
        // The claims of the importing account say nothing of the export.
        let import = Import {
            account: exporter.name.clone(),
            subject: subject.to_owned(),
            token: token.to_owned(),
            share,
            ..Import::default()
        };
        let mut issues = crate::jwt::Issues::default();
        import.validate(importer, &mut issues);
        let over = activation.base.expires != 0 && activation.base.expires <= self.now;
        !issues.blocking(true)
            && self.is_trusted(exporter, &activation)
            && !activation.validate(self.now).blocking(true)
            && !over
            && !is_revoked(&terms.revocations, &activation.base.subject, activation.base.issued_at)
    }

    fn is_trusted(&self, exporter: &Account, activation: &ActivationClaims) -> bool {
        if activation.issuer_account.is_empty() {
            return true;
        }
        if activation.issuer_account != exporter.name {
            self.log.errorf(format_args!(
                "Invalid issuer account {} in activation claim (subject: {} - type: {}) for \
                 account {}",
                quote(activation.issuer_account.as_bytes()),
                quote(activation.subject.as_bytes()),
                quote(activation.share.name().as_bytes()),
                quote(exporter.name.as_bytes())
            ));
            return false;
        }
        exporter.trust().is_some_and(|trust| trust.signer(&activation.base.issuer).is_some())
    }
}

impl Activations for ActivationCheck<'_> {
    fn stream(
        &self,
        exporter: &Account,
        terms: &Terms,
        importer: &str,
        import: &Wanted<StreamImport>,
    ) -> bool {
        let subject = &import.import.subject;
        self.accepts(exporter, terms, importer, &import.token, Share::Stream, subject)
    }

    fn service(
        &self,
        exporter: &Account,
        terms: &Terms,
        importer: &str,
        import: &Wanted<ServiceImport>,
    ) -> bool {
        let subject = &import.import.subject;
        self.accepts(exporter, terms, importer, &import.token, Share::Service, subject)
    }
}

/// When the first of the account's activations ends, in seconds since the epoch.
#[must_use]
pub fn next_activation_end(definition: &Definition, now: i64) -> Option<i64> {
    let streams = definition.stream_imports.iter().map(|w| &w.token);
    let services = definition.service_imports.iter().map(|w| &w.token);
    let tokens = streams.chain(services).filter(|token| !token.is_empty());
    let ends = tokens.filter_map(|token| Some(decode_activation(token).ok()?.base.expires));
    ends.filter(|end| *end > now).min()
}

/// The accounts whose claims are needed for those of an account.
pub fn exporters(claims: &AccountClaims) -> impl Iterator<Item = &str> {
    claims.account.imports.iter().map(|import: &shares::Import| import.account.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::shares::Latency;

    fn claims() -> AccountClaims {
        AccountClaims::new("ACCOUNT")
    }

    fn service(subject: &str, edit: impl FnOnce(&mut Export)) -> Export {
        let mut export =
            Export { subject: subject.to_owned(), share: Share::Service, ..Export::default() };
        edit(&mut export);
        export
    }

    #[test]
    fn limits_are_kept_in_32_bits() {
        let mut claims = claims();
        let l = &mut claims.account.limits;
        let more = i64::from(i32::MAX) + 1;
        (l.connections, l.leafnodes, l.subs, l.payload) = (more, more, more, more);
        let max = i64::from(i32::MAX);
        let limits = limits(&claims);
        assert_eq!((limits.max_connections, limits.max_leafnodes), (max, max));
        assert_eq!((limits.max_subscriptions, limits.max_payload), (max, max));
    }

    #[test]
    fn services_answer_as_the_claims_say() {
        let mut claims = claims();
        claims.account.exports = vec![
            service("stream", |e| e.response_type = "Stream".to_owned()),
            service("chunk", |e| e.response_type = "Chunked".to_owned()),
            service("single", |e| {
                e.response_type = "Singleton".to_owned();
                e.token_required = true;
                e.response_threshold = 20_000_000;
            }),
            service("old", |_| {}),
        ];
        let definition = definition(&claims, true);
        let got: Vec<_> = definition
            .service_exports
            .iter()
            .map(|e| (e.subject.as_str(), e.response_type, e.terms.token_required))
            .collect();
        assert_eq!(
            got,
            [
                ("stream", ResponseType::Streamed, false),
                ("chunk", ResponseType::Chunked, false),
                ("single", ResponseType::Singleton, true),
                ("old", ResponseType::Singleton, false),
            ]
        );
        let thresholds: Vec<_> =
            definition.service_exports.iter().map(|e| e.response_threshold).collect();
        assert_eq!(thresholds[2], Duration::from_millis(20));
        assert_eq!(thresholds[3], DEFAULT_RESPONSE_THRESHOLD);
    }

    #[test]
    fn measurements_that_cannot_be_made_are_left_out() {
        let mut claims = claims();
        let latency = |results: &str| Some(Latency { sampling: 0, results: results.to_owned() });
        claims.account.exports = vec![
            service("good", |e| e.latency = latency("results")),
            service("itself", |e| e.latency = latency("good")),
            service("wild", |e| e.latency = latency("a.*")),
            service("many", |e| {
                e.latency = latency("results");
                e.response_type = "Stream".to_owned();
            }),
        ];
        let measured = |has_system: bool| {
            let definition = definition(&claims, has_system);
            let some = definition.service_exports.iter().filter(|e| e.latency.is_some());
            some.map(|e| e.subject.clone()).collect::<Vec<_>>()
        };
        assert_eq!(measured(true), ["good"]);
        assert_eq!(measured(false), Vec::<String>::new());
    }
}
