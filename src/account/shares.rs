//! What accounts share, as configuration or claims state it (spec 03 §16).
//!
//! A [`Definition`] is the whole statement of one account: what others may import from it, and
//! what it imports itself. [`Terms`] decide who may import.

use crate::config::options::account::{
    AccountOptions, ResponseType, ServiceExport as ConfiguredService, ServiceImport,
    ServiceLatency, StreamImport,
};
use ::sublist::subject::is_subset_match;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What the system account exports: the subject, how it answers, and the place of the importing
/// account's name in it, counted from 1.
const SYSTEM_EXPORTS: [(&str, ResponseType, u64); 4] = [
    ("$SYS.REQ.ACCOUNT.*.CONNZ", ResponseType::Streamed, 4),
    ("$SYS.REQ.ACCOUNT.*.STATZ", ResponseType::Streamed, 4),
    ("$SYS.DEBUG.SUBSCRIBERS", ResponseType::Singleton, 0),
    ("$SYS.REQ.USER.*.INFO", ResponseType::Singleton, 0),
];

/// How long an answer is waited for, unless configured (spec 03 §18).
pub const DEFAULT_RESPONSE_THRESHOLD: Duration = Duration::from_secs(120);

/// Who may import something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// These accounts; empty for all.
    pub accounts: Vec<String>,
    /// Token of the subject that must be the importing account's name, counted from 1; 0 for none.
    pub token_position: u64,
    /// An activation is needed.
    pub token_required: bool,
    /// Activations that count no longer: importing account (or `*`) and the time in seconds up to
    /// which they were issued.
    pub revocations: BTreeMap<String, i64>,
}

impl Terms {
    /// Whether that account may import `subject`. `exact` tells that it is the subject of the
    /// export itself, which names no account in the place of a token. `activated` is asked only
    /// where an activation is needed.
    pub fn admit(
        &self,
        importer: &str,
        subject: &str,
        exact: bool,
        activated: impl FnOnce() -> bool,
    ) -> bool {
        if self.token_position > 0 {
            let index = usize::try_from(self.token_position - 1).unwrap_or(usize::MAX);
            return !exact && subject.split('.').nth(index) == Some(importer);
        }
        if self.token_required {
            return activated();
        }
        self.accounts.is_empty() || self.accounts.iter().any(|name| name == importer)
    }
}

/// A stream that others may import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamExport {
    /// The subject exported.
    pub subject: String,
    /// Who may.
    pub terms: Terms,
}

/// A service that others may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceExport {
    /// The subject exported.
    pub subject: String,
    /// How many messages it answers with.
    pub response_type: ResponseType,
    /// How long an answer, or the next part of one, is waited for.
    pub response_threshold: Duration,
    /// Where measurements of its latency go.
    pub latency: Option<ServiceLatency>,
    /// Message traces go on into this account.
    pub allow_trace: bool,
    /// Who may use it.
    pub terms: Terms,
}

/// An import that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted<T> {
    /// What.
    pub import: T,
    /// The activation that came with it, a JWT; or empty.
    pub token: String,
    /// The server itself asks for it: nobody has to allow it.
    pub automatic: bool,
}

impl<T> Wanted<T> {
    /// An import without activation.
    pub fn plain(import: T) -> Wanted<T> {
        Wanted { import, token: String::new(), automatic: false }
    }

    /// An import of the server itself.
    fn automatic(import: T) -> Wanted<T> {
        Wanted { import, token: String::new(), automatic: true }
    }
}

/// What one account shares and uses.
#[derive(Clone, Debug, Default)]
pub struct Definition {
    /// Streams for others.
    pub stream_exports: Vec<Arc<StreamExport>>,
    /// Services for others.
    pub service_exports: Vec<Arc<ServiceExport>>,
    /// Streams of others.
    pub stream_imports: Vec<Wanted<StreamImport>>,
    /// Services of others.
    pub service_imports: Vec<Wanted<ServiceImport>>,
}

impl Definition {
    /// As configured. Accounts that `exists` does not know are no importers.
    pub fn of(configured: &AccountOptions, exists: impl Fn(&str) -> bool) -> Definition {
        let terms = |accounts: &Option<Vec<String>>, token_position| {
            let names = accounts.iter().flatten().filter(|name| exists(name));
            Terms { accounts: names.cloned().collect(), token_position, ..Terms::default() }
        };
        let service = |e: &ConfiguredService| {
            let threshold = e.response_threshold.unwrap_or(DEFAULT_RESPONSE_THRESHOLD);
            Arc::new(ServiceExport {
                subject: e.subject.clone(),
                response_type: e.response_type,
                response_threshold: threshold,
                latency: e.latency.clone(),
                allow_trace: e.allow_trace,
                terms: terms(&e.accounts, e.account_token_position),
            })
        };
        let streams = configured.stream_exports.iter().map(|e| {
            let terms = terms(&e.accounts, e.account_token_position);
            Arc::new(StreamExport { subject: e.subject.clone(), terms })
        });
        let wanted_streams = configured.stream_imports.iter().cloned();
        let wanted_services = configured.service_imports.iter().cloned();
        Definition {
            stream_exports: streams.collect(),
            service_exports: configured.service_exports.iter().map(service).collect(),
            stream_imports: wanted_streams.map(Wanted::plain).collect(),
            service_imports: wanted_services.map(Wanted::plain).collect(),
        }
    }

    /// Adds what every account has of the system account: what the server answers about the account,
    /// and to each user about itself (spec 04 §6.3). The system account exports that, unless it is
    /// configured to.
    pub(super) fn add_system(&mut self, account: &str, system: &str) {
        let user_info = |to: String| ServiceImport {
            account: system.to_owned(),
            subject: to,
            to: "$SYS.REQ.USER.INFO".to_owned(),
            share: true,
        };
        let own_info = user_info(format!("$SYS.REQ.USER.{account}.INFO"));
        if account == system {
            for (subject, response_type, token_position) in SYSTEM_EXPORTS {
                let covered = |e: &Arc<ServiceExport>| {
                    is_subset_match(subject.as_bytes(), e.subject.as_bytes())
                };
                if self.service_exports.iter().any(covered) {
                    continue;
                }
                self.service_exports.push(Arc::new(ServiceExport {
                    subject: subject.to_owned(),
                    response_type,
                    response_threshold: DEFAULT_RESPONSE_THRESHOLD,
                    latency: None,
                    allow_trace: false,
                    terms: Terms { token_position, ..Terms::default() },
                }));
            }
            self.service_imports.push(Wanted::automatic(own_info));
            return;
        }
        let about = |to: &str, service: &str| ServiceImport {
            account: system.to_owned(),
            subject: format!("$SYS.REQ.ACCOUNT.{account}.{service}"),
            to: to.to_owned(),
            share: false,
        };
        let imports = [
            about("$SYS.REQ.ACCOUNT.PING.CONNZ", "CONNZ"),
            about("$SYS.REQ.SERVER.PING.CONNZ", "CONNZ"),
            about("$SYS.REQ.ACCOUNT.PING.STATZ", "STATZ"),
            own_info,
        ];
        for import in imports {
            let taken =
                |w: &Wanted<ServiceImport>| w.import.account == system && w.import.to == import.to;
            if !self.service_imports.iter().any(taken) {
                self.service_imports.push(Wanted::automatic(import));
            }
        }
    }

    /// Puts the exports of `before` in the place of those that are the same, so that what hangs on
    /// them need not be made again.
    pub(super) fn reuse(&mut self, before: &Definition) {
        reuse(&mut self.stream_exports, &before.stream_exports);
        reuse(&mut self.service_exports, &before.service_exports);
    }

    /// The stream export that an import of `subject` goes by, and whether it is exactly that one.
    pub fn stream_export(&self, subject: &str) -> Option<(&Arc<StreamExport>, bool)> {
        choose(&self.stream_exports, subject, |e| &e.subject)
    }

    /// The service export that an import of `subject` goes by, and whether it is exactly that one.
    pub fn service_export(&self, subject: &str) -> Option<(&Arc<ServiceExport>, bool)> {
        choose(&self.service_exports, subject, |e| &e.subject)
    }

    /// The accounts that it imports from.
    pub fn exporters(&self) -> impl Iterator<Item = &str> {
        let streams = self.stream_imports.iter().map(|w| w.import.account.as_str());
        streams.chain(self.service_imports.iter().map(|w| w.import.account.as_str()))
    }
}

fn reuse<T: PartialEq>(exports: &mut [Arc<T>], before: &[Arc<T>]) {
    for export in exports {
        if let Some(same) = before.iter().find(|other| *other == export) {
            export.clone_from(same);
        }
    }
}

/// The last export of exactly that subject, or else the first that covers it.
fn choose<'a, T>(
    exports: &'a [Arc<T>],
    subject: &str,
    of: impl Fn(&T) -> &str,
) -> Option<(&'a Arc<T>, bool)> {
    let exact = exports.iter().rfind(|e| of(e) == subject).map(|e| (e, true));
    exact.or_else(|| {
        let covers = |e: &&Arc<T>| is_subset_match(subject.as_bytes(), of(e).as_bytes());
        exports.iter().find(covers).map(|e| (e, false))
    })
}
