//! The services of the system account: which subject asks for what, and the answers (spec 04 §6).

use super::Profiled;
use super::encoding::Encoding;
use super::events::{ConnectionsEvent, ServerInfo, server_subject};
use super::requests::{self, Field, Options};
use super::stats::StatszMessage;
use super::thread::Speaker;
use super::user_info::UserInfo;
use crate::account::Account;
use crate::closed::ClosedState;
use crate::delivery::Kind;
use crate::identity::node_hash;
use crate::internal::{Client, Interest, Received};
use crate::json;
use crate::monitor::accountz::{account_info, accountz};
use crate::monitor::accstatz::{AccountStat, Accstatz};
use crate::monitor::connz::{ConnzOptions, State, connz};
use crate::monitor::healthz::{HealthzOptions, healthz};
use crate::monitor::jsz::{Asked, JszOptions, jsz};
use crate::monitor::subsz::{SubszOptions, subsz};
use crate::monitor::{debug, links, queues, varz};
use crate::process::errno::error_text;
use crate::reload;
use crate::server::Server;
use crate::subscription::{Destination, Subscription};
use crate::worker::Message;
use ::sublist::subject::{is_subset_match, subject_has_wildcard};
use ::sublist::{Matches, Subscription as _};
use data_encoding::BASE64;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// What a subscription is for. Its number is the tag of the subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Idz,
    Statsz,
    Varz,
    Subsz,
    Connz,
    Routez,
    Gatewayz,
    Leafz,
    Accountz,
    Jsz,
    Healthz,
    Profilez,
    Expvarz,
    Ipqueuesz,
    Raftz,
    AccountSubsz,
    AccountConnz,
    AccountLeafz,
    AccountJsz,
    AccountInfo,
    AccountStatz,
    AccountConns,
    PingStatz,
    Reload,
    Kick,
    Ldm,
    UserInfo,
    DebugSubscribers,
    Nsubs,
    /// What other servers tell, of which this one makes nothing without a way to them.
    OtherServers,
}

/// The services of each server.
const SERVER_SERVICES: [(&str, Service); 15] = [
    ("IDZ", Service::Idz),
    ("STATSZ", Service::Statsz),
    ("VARZ", Service::Varz),
    ("SUBSZ", Service::Subsz),
    ("CONNZ", Service::Connz),
    ("ROUTEZ", Service::Routez),
    ("GATEWAYZ", Service::Gatewayz),
    ("LEAFZ", Service::Leafz),
    ("ACCOUNTZ", Service::Accountz),
    ("JSZ", Service::Jsz),
    ("HEALTHZ", Service::Healthz),
    ("PROFILEZ", Service::Profilez),
    ("EXPVARZ", Service::Expvarz),
    ("IPQUEUESZ", Service::Ipqueuesz),
    ("RAFTZ", Service::Raftz),
];

/// The services of each account.
const ACCOUNT_SERVICES: [(&str, Service); 7] = [
    ("SUBSZ", Service::AccountSubsz),
    ("CONNZ", Service::AccountConnz),
    ("LEAFZ", Service::AccountLeafz),
    ("JSZ", Service::AccountJsz),
    ("INFO", Service::AccountInfo),
    ("STATZ", Service::AccountStatz),
    ("CONNS", Service::AccountConns),
];

/// The account in `$SYS.REQ.ACCOUNT.<account>.<service>`, counted from 0.
const ACCOUNT_TOKEN: usize = 3;

fn subscriptions(server: &Server) -> Vec<(String, Service)> {
    let info = server.info();
    let (id, hash) = (&info.server_id, node_hash(&info.server_name));
    let mut all = vec![
        (format!("$SYS._INBOX.{hash}.*"), Service::OtherServers),
        ("$SYS.SERVER.ACCOUNT.*.CONNS".to_owned(), Service::OtherServers),
        (format!("$SYS._INBOX_.{id}"), Service::OtherServers),
        ("$SYS.REQ.ACCOUNT.NSUBS".to_owned(), Service::Nsubs),
        (server_subject("*", "STATSZ"), Service::OtherServers),
        (server_subject("*", "SHUTDOWN"), Service::OtherServers),
        (server_subject("*", "LAMEDUCK"), Service::OtherServers),
        ("$SYS.REQ.SERVER.PING".to_owned(), Service::Statsz),
    ];
    for (name, service) in SERVER_SERVICES {
        all.push((format!("$SYS.REQ.SERVER.{id}.{name}"), service));
        all.push((format!("$SYS.REQ.SERVER.PING.{name}"), service));
    }
    for (name, service) in ACCOUNT_SERVICES {
        all.push((format!("$SYS.REQ.ACCOUNT.*.{name}"), service));
    }
    all.extend([
        ("$SYS.REQ.ACCOUNT.PING.STATZ".to_owned(), Service::PingStatz),
        ("$SYS.ACCOUNT.*.LEAFNODE.CONNECT".to_owned(), Service::OtherServers),
        (format!("$SYS.LATENCY.M2.{hash}"), Service::OtherServers),
        ("$SYS.REQ.USER.*.INFO".to_owned(), Service::UserInfo),
        ("$SYS.DEBUG.SUBSCRIBERS".to_owned(), Service::DebugSubscribers),
        (format!("$SYS.REQ.SERVER.{id}.RELOAD"), Service::Reload),
        (format!("$SYS.REQ.SERVER.{id}.KICK"), Service::Kick),
        (format!("$SYS.REQ.SERVER.{id}.LDM"), Service::Ldm),
    ]);
    all
}

const SERVICES: [Service; 30] = [
    Service::Idz,
    Service::Statsz,
    Service::Varz,
    Service::Subsz,
    Service::Connz,
    Service::Routez,
    Service::Gatewayz,
    Service::Leafz,
    Service::Accountz,
    Service::Jsz,
    Service::Healthz,
    Service::Profilez,
    Service::Expvarz,
    Service::Ipqueuesz,
    Service::Raftz,
    Service::AccountSubsz,
    Service::AccountConnz,
    Service::AccountLeafz,
    Service::AccountJsz,
    Service::AccountInfo,
    Service::AccountStatz,
    Service::AccountConns,
    Service::PingStatz,
    Service::Reload,
    Service::Kick,
    Service::Ldm,
    Service::UserInfo,
    Service::DebugSubscribers,
    Service::Nsubs,
    Service::OtherServers,
];

/// Subscribes to everything that is served.
pub(super) fn subscribe(server: &Server, client: &Arc<Client>) -> Vec<Interest> {
    let mut interests = Vec::new();
    for (subject, service) in subscriptions(server) {
        match client.subscribe(subject.as_bytes(), None, service as u64) {
            Ok(interest) => interests.push(interest),
            Err(e) => server
                .log
                .errorf(format_args!("Error setting up internal tracking for {subject}: {e}")),
        }
    }
    interests
}

/// What comes of a request.
enum Outcome {
    /// The JSON of `data`.
    Data(Vec<u8>),
    /// Done; there is nothing to show.
    Done,
    /// It failed. `null` says that `data` is shown all the same.
    Failed { text: String, null: bool },
    /// The body was no request.
    BadRequest(String),
    /// No answer.
    Silent,
}

fn data(document: &impl Serialize) -> Outcome {
    // Plain structures in memory always serialise.
    Outcome::Data(json::to_vec(document).unwrap_or_default())
}

fn result(result: Result<impl Serialize, String>) -> Outcome {
    match result {
        Ok(document) => data(&document),
        Err(text) => Outcome::Failed { text, null: true },
    }
}

/// An envelope.
#[derive(Serialize)]
struct Failure<'a> {
    code: u16,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
}

/// Puts the parts of an answer together.
pub(super) fn envelope(
    server: &ServerInfo,
    data: Option<&[u8]>,
    error: Option<(u16, &str)>,
) -> Vec<u8> {
    let mut out = b"{\"server\":".to_vec();
    out.extend(json::to_vec(server).unwrap_or_default());
    if let Some(data) = data {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(data);
    }
    if let Some((code, description)) = error {
        out.extend_from_slice(b",\"error\":");
        out.extend(json::to_vec(&Failure { code, description }).unwrap_or_default());
    }
    out.push(b'}');
    out
}

/// A request with its options decoded, where it has some.
struct Request<'a> {
    message: &'a Received<'a>,
    server: Arc<Server>,
}

impl Request<'_> {
    /// Decodes the options, and asks `then` if the request is for this server.
    fn with(
        &self,
        name: &str,
        fields: &[Field],
        then: impl FnOnce(&Options) -> Outcome,
    ) -> Outcome {
        self.decoded(Options::decode(self.message.body, name, fields), then)
    }

    /// The same for requests with nothing but a filter.
    fn filtered(&self, then: impl FnOnce(&Options) -> Outcome) -> Outcome {
        self.decoded(Options::decode_filter(self.message.body), then)
    }

    fn decoded(
        &self,
        options: Result<Options, String>,
        then: impl FnOnce(&Options) -> Outcome,
    ) -> Outcome {
        match options {
            Err(text) => Outcome::BadRequest(text),
            Ok(options) if !options.concerns(&self.server) => Outcome::Silent,
            Ok(options) => then(&options),
        }
    }

    /// The account that the subject names.
    fn account(&self) -> String {
        let subject = String::from_utf8_lossy(self.message.subject);
        subject.split('.').nth(ACCOUNT_TOKEN).unwrap_or_default().to_owned()
    }

    fn connz(&self, account: Option<String>) -> Outcome {
        self.with("ConnzEventOptions", &requests::CONNZ, |o| {
            let options = ConnzOptions {
                sort: o.text("sort"),
                auth: o.switch("auth"),
                subscriptions: o.switch("subscriptions"),
                subscriptions_detail: o.switch("subscriptions_detail"),
                offset: o.number("offset"),
                limit: o.number("limit"),
                cid: u64::try_from(o.number("cid")).unwrap_or(0),
                state: match o.number("state") {
                    0 => State::Open,
                    1 => State::Closed,
                    2 => State::All,
                    _ => State::None,
                },
                user: o.text("user"),
                account: account.unwrap_or_else(|| o.text("acc")),
                mqtt_client: o.text("mqtt_client"),
                filter_subject: o.text("filter_subject"),
            };
            result(connz(&self.server, &options))
        })
    }

    fn subsz(&self, account: Option<String>) -> Outcome {
        self.with("SubszEventOptions", &requests::SUBSZ, |o| {
            let options = SubszOptions {
                subscriptions: account.is_some() || o.switch("subscriptions"),
                offset: o.number("offset"),
                limit: o.number("limit"),
                account: account.unwrap_or_else(|| o.text("account")),
                test: o.text("test"),
            };
            result(subsz(&self.server, &options))
        })
    }

    fn leafz(&self) -> Outcome {
        self.with("LeafzEventOptions", &requests::LEAFZ, |_| data(&links::leafz(&self.server)))
    }

    fn healthz(&self) -> Outcome {
        self.with("HealthzEventOptions", &requests::HEALTHZ, |o| {
            let options = HealthzOptions {
                js_enabled_only: o.switch("js-enabled-only") || o.switch("js-enabled"),
                js_server_only: o.switch("js-server-only"),
                js_meta_only: o.switch("js-meta-only"),
                account: o.text("account"),
                stream: o.text("stream"),
                consumer: o.text("consumer"),
                details: o.switch("details"),
            };
            let (status, document) = healthz(&self.server, &options);
            data(&document.with_code(status))
        })
    }

    fn account_statz(&self, account: Option<String>) -> Outcome {
        self.with("AccountStatzEventOptions", &requests::STATZ, |o| {
            let unused = o.switch("include_unused");
            let names = match account {
                Some(account) => vec![account],
                None => o.texts("accounts").to_vec(),
            };
            let document = if names.is_empty() {
                Accstatz::of(&self.server, self.server.accounts(), unused)
            } else {
                let known = names.iter().filter_map(|name| self.server.account(name));
                Accstatz::of(&self.server, known.collect(), unused)
            };
            if document.is_empty() && !unused { Outcome::Silent } else { data(&document) }
        })
    }

    fn kick(&self, cid: u64) -> Outcome {
        let kicked = self.server.client(cid).is_some_and(|client| {
            self.server.close_client(&client, ClosedState::Kicked);
            true
        });
        if kicked {
            return Outcome::Done;
        }
        Outcome::Failed { text: "no such client or leafnode id".to_owned(), null: false }
    }

    fn lame_duck(&self, cid: u64) -> Outcome {
        let failed = |text: &str| Outcome::Failed { text: text.to_owned(), null: false };
        let Some(client) = self.server.client(cid) else { return failed("no such client id") };
        if !client.takes_async_info() {
            return failed(
                "client does not support Lame Duck Mode or is not ready to receive the notification",
            );
        }
        if let Some(reactor) = self.server.reactor(client.reactor) {
            reactor.send(Message::TellLameDuck(client.token()));
        }
        Outcome::Done
    }

    fn outcome(&self, service: Service) -> Outcome {
        let server = &self.server;
        match service {
            Service::Varz => self.with("VarzEventOptions", &[], |_| data(&varz::varz(server))),
            Service::Subsz => self.subsz(None),
            Service::Connz => self.connz(None),
            Service::Routez => {
                self.with("RoutezEventOptions", &requests::ROUTEZ, |_| data(&links::routez(server)))
            }
            Service::Gatewayz => self.with("GatewayzEventOptions", &requests::GATEWAYZ, |_| {
                data(&links::gatewayz(server))
            }),
            Service::Leafz => self.leafz(),
            Service::Accountz => self.with("AccountzEventOptions", &requests::ACCOUNTZ, |o| {
                result(accountz(server, &o.text("account")))
            }),
            Service::Jsz => self.with("JszEventOptions", &requests::JSZ, |o| {
                let leader_only = o.switch("leader_only");
                let asked = Asked {
                    account: o.text("account"),
                    accounts: o.switch("accounts"),
                    streams: o.switch("streams"),
                    consumers: o.switch("consumer"),
                    direct_consumers: o.switch("direct_consumer"),
                    config: o.switch("config"),
                    offset: o.number("offset"),
                    limit: o.number("limit"),
                };
                match jsz(server, &JszOptions { leader_only, wanted: asked.into() }) {
                    // Only the leader answers.
                    Err(_) => Outcome::Silent,
                    Ok(document) => data(&document),
                }
            }),
            Service::Healthz => self.healthz(),
            Service::Expvarz => self.with("ExpvarzEventOptions", &[], |_| data(&debug::expvarz())),
            Service::Ipqueuesz => self.with("IpqueueszEventOptions", &requests::IPQUEUESZ, |o| {
                data(&queues::queues(server, o.switch("all"), &o.text("filter"), true))
            }),
            Service::Raftz => {
                self.with("RaftzEventOptions", &requests::RAFTZ, |_| Outcome::Data(b"{}".to_vec()))
            }
            Service::AccountSubsz => self.subsz(Some(self.account())),
            Service::AccountConnz => self.connz(Some(self.account())),
            Service::AccountLeafz => self.leafz(),
            Service::AccountJsz => self.with("JszEventOptions", &requests::JSZ, |_| {
                Outcome::Failed { text: "jetstream not enabled".to_owned(), null: true }
            }),
            Service::AccountInfo => self.with("AccInfoEventOptions", &[], |_| {
                let name = self.account();
                result(match server.account(&name) {
                    Some(account) => Ok(account_info(server, &account)),
                    None => Err(format!("Account {name} does not exist")),
                })
            }),
            // The wildcard also matches the subject of the ping, which has an answer of its own.
            Service::AccountStatz if self.account() == "PING" => Outcome::Silent,
            Service::AccountStatz => self.account_statz(Some(self.account())),
            Service::PingStatz => self.account_statz(None),
            Service::Reload => self.filtered(|_| match reload::reload(server) {
                Ok(()) => Outcome::Done,
                Err(text) => Outcome::Failed { text, null: false },
            }),
            Service::Kick | Service::Ldm => {
                let (name, what) = if service == Service::Kick {
                    ("KickClientReq", Request::kick as fn(&Self, u64) -> Outcome)
                } else {
                    ("LDMClientReq", Request::lame_duck as fn(&Self, u64) -> Outcome)
                };
                match Options::decode_bare(self.message.body, name, &requests::CID) {
                    Err(text) => {
                        server.log.errorf(format_args!(
                            "SYSTEM - Error unmarshalling kick client request: {text}"
                        ));
                        Outcome::Silent
                    }
                    Ok(o) => {
                        let cid = u64::try_from(o.number("cid")).unwrap_or(0);
                        self.filtered(|_| what(self, cid))
                    }
                }
            }
            Service::UserInfo => match self.message.client {
                Some(client) => data(&UserInfo::of(server, client)),
                // The server that a user is connected to knows about it.
                None => Outcome::Silent,
            },
            // These have no envelope.
            Service::Idz
            | Service::Statsz
            | Service::Profilez
            | Service::AccountConns
            | Service::DebugSubscribers
            | Service::Nsubs
            | Service::OtherServers => Outcome::Silent,
        }
    }
}

#[derive(Serialize)]
struct Idz {
    name: String,
    host: String,
    id: String,
}

/// Looks at a message that came for a service.
pub(super) fn serve(speaker: &mut Speaker<'_>, message: &Received<'_>) {
    let index = usize::try_from(message.tag()).unwrap_or(usize::MAX);
    let Some(service) = SERVICES.get(index).copied() else { return };
    let request = Request { message, server: speaker.server().clone() };
    match service {
        Service::OtherServers => {}
        Service::Statsz => serve_statsz(speaker, &request),
        Service::AccountConns => serve_conns(speaker, &request),
        Service::Nsubs => serve_nsubs(speaker, &request),
        _ if message.reply.is_empty() => {}
        Service::Idz => {
            let info = request.server.info();
            let (name, host) = (info.server_name.clone(), info.host.clone());
            let id = Idz { name, host, id: info.server_id.clone() };
            speaker.send(message.reply, &json::to_vec(&id).unwrap_or_default());
        }
        Service::DebugSubscribers => serve_debug_subscribers(speaker, &request),
        Service::Profilez => serve_profile(speaker, &request),
        _ => answer(speaker, message, request.outcome(service)),
    }
}

/// Sends the answer to a request.
fn answer(speaker: &mut Speaker<'_>, message: &Received<'_>, outcome: Outcome) {
    answer_to(speaker, message.reply, message.header, outcome);
}

/// The same, to a request of which reply subject and header are left.
fn answer_to(speaker: &mut Speaker<'_>, reply: &[u8], header: &[u8], outcome: Outcome) {
    let encoding = Encoding::of(header);
    let (data, error) = match &outcome {
        Outcome::Silent => return,
        Outcome::Data(data) => (Some(data.as_slice()), None),
        Outcome::Done => (None, None),
        Outcome::Failed { text, null } => {
            (null.then_some(&b"null"[..]), Some((500, text.as_str())))
        }
        Outcome::BadRequest(text) => (None, Some((400, text.as_str()))),
    };
    let body = envelope(&speaker.stamp(), data, error);
    if error.is_some() {
        return speaker.send(reply, &body);
    }
    let (header, body) = encoding.encode(body);
    speaker.send_with(reply, &header, &body);
}

fn serve_statsz(speaker: &mut Speaker<'_>, request: &Request<'_>) {
    let message = request.message;
    let broadcast = server_subject(&request.server.info().server_id, "STATSZ");
    let reply = if message.reply.is_empty() {
        speaker.schedule.forget_last();
        broadcast.as_bytes()
    } else {
        message.reply
    };
    match Options::decode(message.body, "StatszEventOptions", &[]) {
        Err(text) => {
            let body = envelope(&speaker.stamp(), None, Some((400, &text)));
            speaker.send(reply, &body);
        }
        Ok(options) if !options.concerns(&request.server) => {}
        Ok(_) if message.reply.is_empty() => speaker.broadcast_stats(),
        Ok(_) => speaker.send_stats(reply),
    }
}

/// The number of an account's connections, without envelope.
fn serve_conns(speaker: &mut Speaker<'_>, request: &Request<'_>) {
    let message = request.message;
    let name = request.account();
    let log = &request.server.log;
    if !message.body.is_empty() {
        let options = Options::decode_bare(message.body, "accNumConnsReq", &requests::CONNS);
        match options.map(|o| o.text("acc")) {
            Err(text) => {
                return log.errorf(format_args!(
                    "SYSTEM - Error unmarshalling account connections request message: {text}"
                ));
            }
            Ok(asked) if !asked.is_empty() && asked != name => {
                return log.errorf(format_args!(
                    "SYSTEM - Error unmarshalled account does not match subject"
                ));
            }
            Ok(_) => {}
        }
    }
    let account = request.server.account(&name).filter(|a| a.client_count() > 0);
    if let Some(account) = account
        && !message.reply.is_empty()
    {
        let event =
            ConnectionsEvent::new(speaker.next_id(), speaker.stamp(), AccountStat::of(&account));
        speaker.send(message.reply, &json::to_vec(&event).unwrap_or_default());
    }
}

/// How many clients subscribe to that in that account, in that queue group if one is named.
fn count_subscribers(account: &Account, subject: &str, queue: Option<&[u8]>) -> usize {
    let counts = |s: &Arc<Subscription>| {
        matches!(s.to, Destination::Client(_)) && queue.is_none_or(|q| s.queue() == Some(q))
    };
    if subject_has_wildcard(subject.as_bytes()) {
        let within =
            |s: &Arc<Subscription>| is_subset_match(s.subject(), subject.as_bytes()) && counts(s);
        let count = |found: &mut usize, s: &Arc<Subscription>| *found += usize::from(within(s));
        return account.sublist.scan(|| 0, count);
    }
    let mut matches = Matches::<Arc<Subscription>>::new();
    account.sublist.match_into(subject.as_bytes(), &mut matches);
    let grouped = matches.queues().iter().flat_map(|group| group.members());
    matches.plain().iter().chain(grouped).filter(|s| counts(s)).count()
}

fn serve_debug_subscribers(speaker: &mut Speaker<'_>, request: &Request<'_>) {
    let message = request.message;
    if message.kind != Kind::Client {
        return;
    }
    let asked_by = message.request_info().and_then(requestor);
    let account = match asked_by {
        Some(name) => request.server.account(&name),
        None => request.server.system_account().cloned(),
    };
    let Some(account) = account else { return };
    let body = String::from_utf8_lossy(message.body);
    let mut words = body.trim().split(' ');
    let subject = words.next().unwrap_or_default();
    let count = count_subscribers(&account, subject, words.next().map(str::as_bytes));
    speaker.send(message.reply, count.to_string().as_bytes());
}

/// The account that a request came from or through, as its header tells.
fn requestor(info: &[u8]) -> Option<String> {
    let info: serde_json::Value = serde_json::from_slice(info).ok()?;
    let text = |key: &str| info.get(key)?.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    text("svc").or_else(|| text("acc"))
}

/// Another server asks how many subscribe to something here.
fn serve_nsubs(speaker: &mut Speaker<'_>, request: &Request<'_>) {
    let message = request.message;
    if message.reply.is_empty() {
        return;
    }
    let options = Options::decode_bare(message.body, "accNumSubsReq", &requests::NSUBS);
    let Ok(options) = options else { return };
    let account = request.server.account(&options.text("acc")).filter(|a| a.client_count() > 0);
    let Some(account) = account else { return };
    let queue = BASE64.decode(options.text("queue").as_bytes()).unwrap_or_default();
    let queue = Some(queue.as_slice()).filter(|q| !q.is_empty());
    let count = count_subscribers(&account, &options.text("subject"), queue);
    speaker.send(message.reply, count.to_string().as_bytes());
}

/// A profile, or why there is none.
#[derive(Serialize)]
struct Profile {
    profile: Option<String>,
    error: String,
}

fn serve_profile(speaker: &mut Speaker<'_>, request: &Request<'_>) {
    let outcome = request.with("ProfilezEventOptions", &requests::PROFILEZ, |o| {
        let failed = |error: String| data(&Profile { profile: None, error });
        let name = o.text("name");
        let duration = o.number("duration");
        match name.as_str() {
            "" => failed("Profile name not specified".to_owned()),
            "cpu" if duration <= 0 || duration > 15_000_000_000 => {
                let shown = crate::config::text::SignedDuration::from_nanos(duration);
                failed(format!("Duration {shown} should be between 0s and 15s"))
            }
            "cpu" => {
                let duration = Duration::from_nanos(duration.unsigned_abs());
                match speaker.profile(request.message, duration) {
                    // It answers when the time is over.
                    Ok(()) => Outcome::Silent,
                    Err(e) => failed(format!("Failed to start CPU profile: {}", error_text(&e))),
                }
            }
            _ => failed(format!("Profile {} not found", parser::quote::quoted(&name))),
        }
    });
    answer(speaker, request.message, outcome);
}

/// Answers a request for a profile that was made meanwhile.
pub(super) fn answer_profile(speaker: &mut Speaker<'_>, done: &Profiled) {
    let profile = match &done.outcome {
        Ok(bytes) => Profile { profile: Some(BASE64.encode(bytes)), error: String::new() },
        Err(text) => Profile { profile: None, error: text.clone() },
    };
    answer_to(speaker, &done.reply, &done.header, data(&profile));
}

/// The statistics for whoever asked.
pub(super) fn stats_body(speaker: &mut Speaker<'_>) -> Vec<u8> {
    let stamp = speaker.stamp();
    json::to_vec(&StatszMessage::of(speaker.server(), stamp)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_lead_back_to_their_service() {
        for (index, service) in SERVICES.into_iter().enumerate() {
            assert_eq!(service as usize, index);
        }
    }

    #[test]
    fn the_requestor_is_the_account_the_request_came_through() {
        assert_eq!(requestor(br#"{"acc":"A","svc":"B"}"#).as_deref(), Some("B"));
        assert_eq!(requestor(br#"{"acc":"A"}"#).as_deref(), Some("A"));
        assert_eq!(requestor(b"{}"), None);
        assert_eq!(requestor(b"["), None);
    }
}
