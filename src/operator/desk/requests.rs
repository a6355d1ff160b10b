//! Requests about the claims of accounts, on the system account (spec 03 §22.4).

use super::{Desk, Resolver, unix_now};
use crate::internal::{Outgoing, Received};
use crate::jwt::{AccountClaims, decode_account, decode_generic};
use crate::nkey::{self, KeyType};
use crate::system::events::ServerInfo;
use parser::quote::quote;
use serde::Serialize;
use std::time::Instant;

const UPDATE_OF_ACCOUNT: u64 = 1;
const UPDATE: u64 = 2;
const LOOKUP: u64 = 3;
const PACK: u64 = 4;
const PACK_ANSWER: u64 = 5;
const LIST: u64 = 6;
const DELETE: u64 = 7;
/// Answers to look-ups are taken by who waits for them.
pub(super) const LOOKUP_ANSWER: u64 = 8;

#[derive(Serialize)]
struct Answer<'a> {
    server: ServerInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure<'a>>,
}

#[derive(Serialize)]
struct Status<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    account: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    code: u16,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
}

#[derive(Serialize)]
struct Failure<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    account: &'a str,
    code: u16,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
}

#[expect(clippy::trivially_copy_pass_by_ref)] // Serde asks so.
fn is_zero(n: &u16) -> bool {
    *n == 0
}

/// Who has to be named in an answer, and what came of the request.
type Outcome = (String, &'static str, Result<(), String>);

impl Desk {
    pub(super) fn subscribe(&mut self) {
        let Some(system) = self.system.clone() else { return };
        let mut wanted: Vec<(String, Option<&str>, u64)> = vec![
            ("$SYS.REQ.ACCOUNT.*.CLAIMS.UPDATE".to_owned(), None, UPDATE_OF_ACCOUNT),
            ("$SYS.ACCOUNT.*.CLAIMS.UPDATE".to_owned(), None, UPDATE_OF_ACCOUNT),
        ];
        let directory = match &self.resolver {
            Resolver::Memory(_) | Resolver::Url(_) => None,
            Resolver::Full(directory) => Some(("all", directory)),
            Resolver::Cache(directory) => Some(("some", directory)),
        };
        if let Some((what, directory)) = directory {
            self.server.log.noticef(format_args!(
                "Managing {what} jwt in exclusive directory {}",
                directory.path().display()
            ));
            wanted.push(("$SYS.REQ.CLAIMS.UPDATE".to_owned(), None, UPDATE));
            wanted.push(("$SYS.REQ.CLAIMS.LIST".to_owned(), None, LIST));
            wanted.push(("$SYS.REQ.CLAIMS.DELETE".to_owned(), None, DELETE));
        }
        if matches!(self.resolver, Resolver::Full(_)) {
            wanted.push(("$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP".to_owned(), None, LOOKUP));
            wanted.push(("$SYS.REQ.CLAIMS.PACK".to_owned(), Some("responder"), PACK));
            self.pack_inbox = self.inbox_subject();
            wanted.push((self.pack_inbox.clone(), None, PACK_ANSWER));
        }
        for (subject, queue, tag) in wanted {
            match system.subscribe(subject.as_bytes(), queue.map(str::as_bytes), tag) {
                Ok(interest) => self.subscriptions.push(interest),
                Err(e) => {
                    self.server.log.errorf(format_args!("error setting up update handling: {e}"))
                }
            }
        }
    }

    pub(super) fn request(&mut self, message: &Received<'_>) {
        match message.tag() {
            UPDATE_OF_ACCOUNT => self.update_of_account(message),
            UPDATE => self.update_request(message),
            LOOKUP => self.lookup_request(message),
            PACK => self.pack_request(message),
            PACK_ANSWER => self.merge_answer(message),
            LIST => self.list_request(message),
            DELETE => self.delete_request(message),
            _ => {}
        }
    }

    /// The account that the subject names.
    fn update_of_account(&mut self, message: &Received<'_>) {
        let subject = String::from_utf8_lossy(message.subject);
        let legacy = subject.starts_with("$SYS.ACCOUNT.");
        let Some(account) = subject.split('.').nth(if legacy { 2 } else { 3 }) else { return };
        let outcome = match &self.resolver {
            Resolver::Memory(_) | Resolver::Url(_) => self.update_loaded(account, message.body),
            Resolver::Full(_) | Resolver::Cache(_) => {
                self.update_stored(Some(account), message.body)
            }
        };
        self.answer(message.reply, outcome);
    }

    fn update_request(&mut self, message: &Received<'_>) {
        let outcome = self.update_stored(None, message.body);
        self.answer(message.reply, outcome);
    }

    /// Claims for a server that stores none.
    fn update_loaded(&mut self, account: &str, body: &[u8]) -> Outcome {
        let of = account.to_owned();
        const FAILED: &str = "jwt update resulted in error";
        if body.is_empty() {
            return (of, "jwt update error", Err("request body is empty".to_owned()));
        }
        let token = String::from_utf8_lossy(body);
        let claims = match decode_account(&token) {
            Ok(claims) => claims,
            Err(e) => return (of, FAILED, Err(e.to_string())),
        };
        if claims.base.subject != account {
            return (of, FAILED, Err("subject does not match jwt content".to_owned()));
        }
        if !self.is_loaded(account) {
            return (of, "jwt update skipped", Ok(()));
        }
        let Some(known) = self.server.account(account) else { return (of, FAILED, Ok(())) };
        match self.update(&known, &token) {
            Ok(()) => (of, "jwt updated", Ok(())),
            Err(error) => (of, FAILED, Err(error)),
        }
    }

    /// Claims for a directory.
    fn update_stored(&mut self, account: Option<&str>, body: &[u8]) -> Outcome {
        let cache = matches!(self.resolver, Resolver::Cache(_));
        let (failed, invalid, updated) = if cache {
            (
                "jwt update cache resulted in error",
                "jwt update cache validation failed",
                "jwt updated cache",
            )
        } else {
            ("jwt update resulted in error", "jwt validation failed", "jwt updated")
        };
        let token = String::from_utf8_lossy(body).into_owned();
        let claims = match decode_account(&token) {
            Ok(claims) => claims,
            Err(e) => {
                let of = account.filter(|_| cache).unwrap_or("n/a").to_owned();
                return (of, failed, Err(e.to_string()));
            }
        };
        let of = account.unwrap_or(&claims.base.subject).to_owned();
        let issues = validation(&claims);
        if !cache && let Err(error) = &issues {
            return (claims.base.subject, invalid, Err(error.clone()));
        }
        if claims.base.subject != of {
            return (of, failed, Err("subject does not match jwt content".to_owned()));
        }
        if self.operators.strict_identity.as_ref() == Some(&claims.base.issuer) {
            let error = "operator requires issuer to be a signing key";
            return (of, failed, Err(error.to_owned()));
        }
        if cache && !self.is_loaded(&of) {
            return (of, "jwt update cache skipped", Ok(()));
        }
        if let Err(error) = issues {
            return (of, invalid, Err(error));
        }
        match self.resolver.update(&of, &token, unix_now()) {
            Err(error) => (of, failed, Err(error)),
            Ok(changed) => {
                if changed {
                    self.apply_stored(&of);
                }
                (of, updated, Ok(()))
            }
        }
    }

    /// Claims of an account were stored: if it is loaded, they are put in force.
    fn apply_stored(&mut self, account: &str) {
        if !self.is_loaded(account) {
            return;
        }
        if let Err(error) = self.update_from_resolver(account) {
            let account = quote(account.as_bytes());
            self.server.log.errorf(format_args!(
                "DirResolver - Update for account {account} resulted in error {error}"
            ));
        }
    }

    fn answer(&mut self, reply: &[u8], outcome: Outcome) {
        let (account, text, result) = outcome;
        let log = self.server.log.clone();
        let mut description = text.to_owned();
        match &result {
            Ok(()) if account.is_empty() => log.debugf(format_args!("{text}")),
            Ok(()) => log.debugf(format_args!("{text} - {account}")),
            Err(error) => {
                description = format!("{text} - {error}");
                if account.is_empty() {
                    log.errorf(format_args!("{text} - {error}"));
                } else {
                    log.errorf(format_args!("{text} - {account} - {error}"));
                }
            }
        }
        if reply.is_empty() {
            return;
        }
        let server = self.server_part();
        let (data, error) = match &result {
            Ok(()) => (Some(Status { account: &account, code: 200, message: text }), None),
            Err(_) => {
                (None, Some(Failure { account: &account, code: 500, description: &description }))
            }
        };
        self.send_json(reply, &Answer { server, data, error });
    }

    fn server_part(&mut self) -> ServerInfo {
        self.sequence += 1;
        ServerInfo::stamp(&self.server, self.sequence)
    }

    fn send_json(&mut self, subject: &[u8], value: &impl Serialize) {
        // Serialising a plain structure into memory cannot fail.
        let json = crate::json::to_vec(value).unwrap_or_default();
        self.send(subject, b"", &json);
    }

    fn send(&mut self, subject: &[u8], reply: &[u8], body: &[u8]) {
        let Some(system) = &self.system else { return };
        let message = Outgoing { subject, reply, body, ..Outgoing::default() };
        self.context.publisher.publish(system, &message);
    }

    fn lookup_request(&mut self, message: &Received<'_>) {
        let subject = String::from_utf8_lossy(message.subject);
        let Some(account) = subject.split('.').nth(3).filter(|_| !message.reply.is_empty()) else {
            return;
        };
        let found = self.resolver.directory().and_then(|d| d.load(account, unix_now()));
        if found.is_none() {
            let account = quote(account.as_bytes());
            self.server.log.debugf(format_args!("DirResolver - Could not find account {account}"));
        }
        self.send(message.reply, b"", found.unwrap_or_default().as_bytes());
    }

    fn pack_request(&mut self, message: &Received<'_>) {
        if message.reply.is_empty() {
            return;
        }
        let now = unix_now();
        let Some(directory) = self.resolver.directory() else { return };
        let hash = directory.hash();
        if message.body != hash {
            for (account, token) in directory.accounts_and_claims(now) {
                self.send(message.reply, b"", format!("{account}|{token}").as_bytes());
            }
        }
        self.send(message.reply, b"", b"");
    }

    /// Another server's claims.
    fn merge_answer(&mut self, message: &Received<'_>) {
        if message.body.is_empty() {
            return;
        }
        let lines = String::from_utf8_lossy(message.body).into_owned();
        for line in lines.split('\n').filter(|line| !line.is_empty()) {
            let Some(directory) = self.resolver.directory() else { return };
            match directory.merge(line, unix_now()) {
                Ok(None) => {}
                Ok(Some(account)) => self.apply_stored(&account),
                Err(error) => {
                    let text = "DirResolver - Merging resulted in error";
                    return self.server.log.errorf(format_args!("{text}: {error}"));
                }
            }
        }
    }

    /// Asks another server for what it has and this one has not.
    pub(super) fn synchronise(&mut self, now: Instant) {
        let Some(directory) = self.resolver.directory() else { return };
        self.next_sync = directory.interval.map(|interval| now + interval);
        let (hash, reply) = (directory.hash(), self.pack_inbox.clone());
        self.send(b"$SYS.REQ.CLAIMS.PACK", reply.as_bytes(), &hash);
    }

    fn list_request(&mut self, message: &Received<'_>) {
        #[derive(Serialize)]
        struct List {
            data: Vec<String>,
            server: ServerInfo,
        }
        if message.reply.is_empty() {
            return;
        }
        let Some(directory) = self.resolver.directory() else { return };
        let data = directory.accounts(unix_now());
        self.server
            .log
            .debugf(format_args!("list request responded with {} account ids", data.len()));
        let server = self.server_part();
        self.send_json(message.reply, &List { data, server });
    }

    fn delete_request(&mut self, message: &Received<'_>) {
        let token = String::from_utf8_lossy(message.body).into_owned();
        let (by, accounts) = self.deletion(&token);
        let accounts = match accounts {
            Ok(accounts) => accounts,
            Err(error) => {
                let text = format!("delete accounts request by {by} failed");
                return self.answer_text(message.reply, &text, Err(error));
            }
        };
        let mut errors = Vec::new();
        let mut deleted = 0;
        for account in accounts {
            let Some(directory) = self.resolver.directory() else { return };
            match directory.delete(&account) {
                Ok(()) => {
                    deleted += 1;
                    self.disable(&account);
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            return self.answer_text(message.reply, &format!("deleted {deleted} accounts"), Ok(()));
        }
        let text = format!("deleted {deleted} accounts, failed for {}", errors.len());
        self.answer_text(message.reply, &text, Err(errors.join("\n")));
    }

    fn answer_text(&mut self, reply: &[u8], text: &str, result: Result<(), String>) {
        let log = self.server.log.clone();
        let failed = result.as_ref().err().map(|error| format!("{text} - {error}"));
        match &failed {
            None => log.debugf(format_args!("{text}")),
            Some(line) => log.errorf(format_args!("{line}")),
        }
        if reply.is_empty() {
            return;
        }
        let server = self.server_part();
        let (data, error) = match &failed {
            None => (Some(Status { account: "", code: 200, message: text }), None),
            Some(line) => (None, Some(Failure { account: "", code: 500, description: line })),
        };
        self.send_json(reply, &Answer { server, data, error });
    }

    /// Who asks for a deletion, and the accounts to delete.
    fn deletion(&mut self, token: &str) -> (String, Result<Vec<String>, String>) {
        let claims = match decode_generic(token) {
            Ok(claims) => claims,
            Err(e) => return (String::new(), Err(e.to_string())),
        };
        let by = claims.base.subject.clone();
        let refuse = |text: &str| Err(text.to_owned());
        if !self.resolver.directory().is_some_and(|d| d.allows_delete()) {
            return (by, refuse("delete must be enabled in server config"));
        }
        if claims.base.subject != claims.base.issuer {
            return (by, refuse("not self signed"));
        }
        if !self.operators.deleters.contains(&claims.base.issuer) {
            return (by, refuse("not trusted"));
        }
        let Some(list) = claims.data.get("accounts").and_then(serde_json::Value::as_array) else {
            return (by, refuse("malformed request"));
        };
        let system = self.server.system_account_name();
        let mut accounts = Vec::new();
        for entry in list {
            let account = entry.as_str().filter(|a| nkey::is_public(KeyType::Account, a));
            let Some(account) = account else { return (by, refuse("malformed request")) };
            if account == system {
                return (by, refuse("not allowed to delete system account"));
            }
            accounts.push(account.to_owned());
        }
        (by, Ok(accounts))
    }
}

fn validation(claims: &AccountClaims) -> Result<(), String> {
    let issues = claims.validate(unix_now());
    if issues.blocking(false) {
        return Err(format!("validation errors: [{}]", issues.errors().join(" ")));
    }
    Ok(())
}
