//! The engine on a simulated disk, with a recording outside.

use super::*;
use crate::api::responses::AccountLimits;
use crate::consumers::AckFormat;
use crate::disk::{Disk as _, SimDisk};
use crate::stream::context::BatchLimits;
use bytes::Bytes;
use serde_json::Value;
use sublist::subject::match_literal;

/// What the engine asked for, with subscriptions by subject.
#[derive(Default)]
struct World {
    subscriptions: Vec<(String, String, Target)>,
    /// Subjects that somebody else listens on.
    listeners: Vec<String>,
    sent: Vec<(String, String, Vec<u8>, Vec<u8>)>,
    log: Vec<String>,
    watched: BTreeMap<u64, String>,
}

impl Outside for World {
    fn send(&mut self, _: &str, _: ClientId, message: Outgoing<'_>) {
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        self.sent.push((
            text(message.to),
            text(message.reply),
            message.header.to_vec(),
            message.payload.to_vec(),
        ));
    }

    fn send_system(&mut self, subject: &str, payload: &[u8]) {
        self.sent.push((subject.to_owned(), String::new(), Vec::new(), payload.to_vec()));
    }

    fn has_interest(&self, _: &str, subject: &[u8]) -> bool {
        self.listeners.iter().any(|listener| match_literal(subject, listener.as_bytes()))
    }

    fn subscribe(
        &mut self,
        account: &str,
        _: ClientId,
        subject: &str,
        _: Option<&str>,
        target: Target,
    ) {
        self.subscriptions.push((account.to_owned(), subject.to_owned(), target));
    }

    fn unsubscribe(&mut self, subject: &str, target: Target) {
        self.subscriptions.retain(|(_, s, t)| (s.as_str(), *t) != (subject, target));
    }

    fn unsubscribe_all(&mut self, target: Target) {
        self.subscriptions.retain(|(_, _, t)| *t != target);
    }

    fn watch(&mut self, _: &str, subject: Option<&str>, consumer: u64) {
        match subject {
            Some(subject) => self.watched.insert(consumer, subject.to_owned()),
            None => self.watched.remove(&consumer),
        };
    }

    fn log(&mut self, _: Level, text: &str) {
        self.log.push(text.to_owned());
    }
}

struct Counting(u8);

impl RandomSource for Counting {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
    }
}

/// An engine with its world, at a time that only goes on when told.
struct Bench {
    engine: JetStream,
    world: World,
    now: Timestamp,
    inboxes: u64,
}

fn settings() -> Settings {
    Settings {
        store_dir: "/js".into(),
        max_memory: 1 << 20,
        max_store: 1 << 30,
        domain: None,
        strict: true,
        commit: Commit::Durable,
        keys: None,
        server_name: "server".to_owned(),
        server_id: "ID".to_owned(),
        cluster: String::new(),
        max_payload: 1 << 20,
        max_pending: 64 << 20,
        max_duplicate_window: 0,
        max_ack_pending: 0,
        max_request_batch: 0,
        batches: BatchLimits::default(),
        ack_format: AckFormat::V1,
    }
}

fn tiers(limits: AccountLimits) -> Option<Tiers> {
    Some(Tiers::from([(usage::UNTIERED.to_owned(), limits)]))
}

impl Bench {
    fn with(disk: SharedDisk, settings: Settings, accounts: &[(&str, Option<Tiers>)]) -> Bench {
        let secrets: Secrets = Arc::new(|| Box::new(Counting(0)));
        let mut bench = Bench {
            engine: JetStream::new(settings, disk, secrets, 7),
            world: World::default(),
            now: Timestamp::from_seconds(1_700_000_000),
            inboxes: 0,
        };
        for (name, limits) in accounts {
            let facts = AccountFacts { name: (*name).to_owned(), limits: limits.clone() };
            let added = bench.engine.add_account(facts, bench.now, &mut bench.world);
            added.expect("the server has room");
        }
        bench.settle();
        bench
    }

    fn on(disk: SharedDisk) -> Bench {
        Bench::with(disk, settings(), &[("$G", tiers(AccountLimits::UNLIMITED))])
    }

    fn new() -> Bench {
        Bench::on(Arc::new(SimDisk::new(1)))
    }

    /// Publishes as a client of an account would; the message goes to whoever subscribed.
    fn publish_in(&mut self, account: &str, subject: &str, reply: &str, header: &str, body: &str) {
        let matching = |(a, s, _): &&(String, String, Target)| {
            a == account && match_literal(subject.as_bytes(), s.as_bytes())
        };
        let targets: Vec<Target> =
            self.world.subscriptions.iter().filter(matching).map(|(.., t)| *t).collect();
        for target in targets {
            let message = Incoming {
                subject: Bytes::copy_from_slice(subject.as_bytes()),
                reply: Bytes::copy_from_slice(reply.as_bytes()),
                header: Bytes::copy_from_slice(header.as_bytes()),
                payload: Bytes::copy_from_slice(body.as_bytes()),
            };
            let (now, world) = (self.now, &mut self.world);
            self.engine.received(target, account, message, &NoRequester, now, world);
        }
    }

    /// Commits, and delivers until there is nothing more to deliver.
    fn settle(&mut self) {
        self.engine.commit(self.now, &mut self.world);
        while self.engine.has_work() {
            self.engine.work(self.now, &mut self.world);
            self.engine.commit(self.now, &mut self.world);
        }
    }

    /// What is sent to a reply subject for a message.
    fn request_in(
        &mut self,
        account: &str,
        subject: &str,
        header: &str,
        body: &str,
    ) -> Vec<String> {
        self.inboxes += 1;
        let inbox = format!("_INBOX.{}", self.inboxes);
        self.world.listeners.push(inbox.clone());
        self.publish_in(account, subject, &inbox, header, body);
        self.settle();
        let mine = self.world.sent.iter().filter(|(to, ..)| *to == inbox);
        mine.map(|(_, _, header, body)| {
            String::from_utf8_lossy(&[&header[..], &body[..]].concat()).into_owned()
        })
        .collect()
    }

    fn request(&mut self, subject: &str, body: &str) -> String {
        let mut answers = self.request_in("$G", subject, "", body);
        assert_eq!(answers.len(), 1, "{subject}: {answers:?}");
        answers.remove(0)
    }

    fn api(&mut self, call: &str, body: &str) -> Value {
        let answer = self.request(&format!("$JS.API.{call}"), body);
        serde_json::from_str(&answer).expect("JSON")
    }

    fn create(&mut self, name: &str, rest: &str) -> Value {
        let body = format!(r#"{{"name":"{name}"{rest}}}"#);
        self.api(&format!("STREAM.CREATE.{name}"), &body)
    }

    fn consumer(&mut self, stream: &str, name: &str, rest: &str) -> Value {
        let body = format!(
            r#"{{"stream_name":"{stream}","config":{{"durable_name":"{name}","ack_policy":"explicit"{rest}}}}}"#
        );
        self.api(&format!("CONSUMER.CREATE.{stream}.{name}"), &body)
    }

    fn after(&mut self, seconds: i64) {
        self.now = Timestamp::from_nanos(self.now.nanos() + seconds * 1_000_000_000);
        while self.engine.next_deadline().is_some_and(|at| at <= self.now) {
            self.engine.tick(self.now, &mut self.world);
            self.settle();
        }
    }
}

fn code(answer: &Value) -> u64 {
    answer["error"]["err_code"].as_u64().unwrap_or(0)
}

#[test]
fn a_stream_stores_what_is_published_and_answers() {
    let mut bench = Bench::new();
    let created = bench.create("S", r#","subjects":["s.*"]"#);
    assert_eq!(created["did_create"], true);
    assert_eq!(bench.request("s.a", "one"), r#"{"stream":"S","seq":1}"#);
    assert_eq!(bench.request("s.b", "two"), r#"{"stream":"S","seq":2}"#);
    let info = bench.api("STREAM.INFO.S", r#"{"subjects_filter":">"}"#);
    assert_eq!(info["state"]["messages"], 2);
    assert_eq!(info["state"]["subjects"]["s.a"], 1);
    assert_eq!(info["total"], 2);
    assert_eq!(info["cluster"]["leader"], "server");
    let got = bench.api("STREAM.MSG.GET.S", r#"{"seq":2}"#);
    assert_eq!(got["message"]["data"], "dHdv");
    assert_eq!(bench.api("STREAM.PURGE.S", "")["purged"], 2);
    assert_eq!(bench.api("STREAM.DELETE.S", "")["success"], true);
    assert_eq!(code(&bench.api("STREAM.DELETE.S", "")), 10059);
    assert!(bench.world.subscriptions.iter().all(|(.., target)| *target == Target::Api));
}

#[test]
fn nothing_is_acknowledged_before_the_commit() {
    let mut bench = Bench::new();
    bench.create("S", "");
    for reply in ["a", "b"] {
        bench.publish_in("$G", "S", reply, "", "x");
    }
    let acked =
        |bench: &Bench| bench.world.sent.iter().filter(|(to, ..)| to == "a" || to == "b").count();
    assert_eq!(acked(&bench), 0);
    bench.engine.commit(bench.now, &mut bench.world);
    assert_eq!(acked(&bench), 2);
}

#[test]
fn lazy_commits_are_made_durable_by_the_interval() {
    let disk = Arc::new(SimDisk::new(1));
    let interval = std::time::Duration::from_secs(120);
    let settings = Settings { commit: Commit::Lazy(interval), ..settings() };
    let mut bench = Bench::with(disk.clone(), settings, &[("$G", tiers(AccountLimits::UNLIMITED))]);
    bench.create("S", "");
    let before = disk.sync_counts().files;
    assert_eq!(bench.request("S", "x"), r#"{"stream":"S","seq":1}"#);
    assert_eq!(disk.sync_counts().files, before, "acknowledged without a sync");
    bench.after(121);
    assert_ne!(disk.sync_counts().files, before);
}

#[test]
fn everything_comes_back_after_a_restart() {
    let disk = Arc::new(SimDisk::new(1));
    let mut bench = Bench::on(disk.clone());
    bench.create("S", r#","subjects":["s.*"],"metadata":{"a":"b"}"#);
    bench.create("M", r#","storage":"memory""#);
    bench.consumer("S", "c", "");
    for n in 0..5 {
        bench.request("s.a", &n.to_string());
    }
    let first = bench.request_in("$G", "$JS.API.CONSUMER.MSG.NEXT.S.c", "", "2");
    assert_eq!(first, ["0", "1"]);
    let acks: Vec<String> = bench.world.sent.iter().map(|(_, reply, ..)| reply.clone()).collect();
    let acks: Vec<String> = acks.into_iter().filter(|r| r.starts_with("$JS.ACK.")).collect();
    for ack in &acks {
        bench.publish_in("$G", ack, "", "", "+ACK");
    }
    bench.settle();
    bench.engine.stop(bench.now, &mut bench.world);
    let mut bench = Bench::on(disk);
    assert_eq!(bench.api("STREAM.NAMES", "")["streams"], serde_json::json!(["S"]));
    let info = bench.api("STREAM.INFO.S", "");
    assert_eq!(info["state"]["messages"], 5);
    assert_eq!(info["config"]["metadata"]["a"], "b");
    let info = bench.api("CONSUMER.INFO.S.c", "");
    assert_eq!(info["ack_floor"]["stream_seq"], 2);
    assert_eq!(info["num_pending"], 3);
    let next = bench.request_in("$G", "$JS.API.CONSUMER.MSG.NEXT.S.c", "", "1");
    assert_eq!(next, ["2"]);
}

#[test]
fn acknowledged_messages_survive_a_power_loss() {
    let disk = Arc::new(SimDisk::new(1));
    let mut bench = Bench::on(disk.clone());
    bench.create("S", "");
    for n in 0..20 {
        assert!(bench.request("S", &n.to_string()).contains("\"seq\""));
    }
    drop(bench);
    disk.power_loss();
    let mut bench = Bench::on(disk);
    assert_eq!(bench.api("STREAM.INFO.S", "")["state"]["messages"], 20);
}

#[test]
fn identical_streams_are_created_twice_and_others_refused() {
    let mut bench = Bench::new();
    bench.create("S", r#","subjects":["a"]"#);
    assert_eq!(code(&bench.create("S", r#","subjects":["a"]"#)), 0);
    assert_eq!(code(&bench.create("S", r#","subjects":["b"]"#)), 10058);
    assert_eq!(code(&bench.create("T", r#","subjects":["a"]"#)), 10065);
    assert_eq!(code(&bench.create("R", r#","num_replicas":3"#)), 10074);
    assert_eq!(code(&bench.api("STREAM.CREATE.X", r#"{"name":"Y"}"#)), 10056);
    assert_eq!(code(&bench.api("STREAM.CREATE.X", r#"{"name":"X","sealed":true}"#)), 10052);
    assert_eq!(code(&bench.api("STREAM.UPDATE.X", r#"{"name":"X"}"#)), 10059);
}

#[test]
fn updates_move_subscriptions_and_limits() {
    let mut bench = Bench::new();
    bench.create("S", r#","subjects":["a","b"],"max_bytes":1000"#);
    assert_eq!(bench.engine.usage().reserved.get(StorageType::File), 1000);
    let updated = bench.api(
        "STREAM.UPDATE.S",
        r#"{"name":"S","subjects":["b","c"],"allow_direct":true,"max_bytes":3000}"#,
    );
    assert_eq!(updated["config"]["max_bytes"], 3000);
    assert_eq!(bench.engine.usage().reserved.get(StorageType::File), 3000);
    assert_eq!(bench.request_in("$G", "a", "", "x"), [] as [String; 0]);
    assert_eq!(bench.request("c", "x"), r#"{"stream":"S","seq":1}"#);
    let direct = bench.request("$JS.API.DIRECT.GET.S", r#"{"seq":1}"#);
    assert!(direct.ends_with("\r\n\r\nx"), "{direct}");
    let last = bench.request("$JS.API.DIRECT.GET.S.c", "");
    assert!(last.contains("Nats-Sequence: 1\r\n"), "{last}");
    bench.api("STREAM.DELETE.S", "");
    assert_eq!(bench.engine.usage().reserved.get(StorageType::File), 0);
}

#[test]
fn accounts_have_limits_of_their_own() {
    let limits = AccountLimits {
        max_storage: 200,
        max_streams: 1,
        max_consumers: 1,
        ..AccountLimits::UNLIMITED
    };
    let accounts = [("A", tiers(limits)), ("B", None)];
    let mut bench = Bench::with(Arc::new(SimDisk::new(1)), settings(), &accounts);
    let mut api = |account: &str, call: &str, body: &str| -> Value {
        let answers = bench.request_in(account, &format!("$JS.API.{call}"), "", body);
        serde_json::from_str(&answers[0]).expect("JSON")
    };
    assert_eq!(code(&api("A", "STREAM.CREATE.S", r#"{"name":"S","max_bytes":300}"#)), 10047);
    assert_eq!(code(&api("A", "STREAM.CREATE.S", r#"{"name":"S"}"#)), 0);
    assert_eq!(code(&api("A", "STREAM.CREATE.T", r#"{"name":"T"}"#)), 10027);
    let consumer = |name: &str| {
        format!(
            r#"{{"stream_name":"S","config":{{"durable_name":"{name}","ack_policy":"explicit"}}}}"#
        )
    };
    assert_eq!(code(&api("A", "CONSUMER.CREATE.S.a", &consumer("a"))), 0);
    assert_eq!(code(&api("A", "CONSUMER.CREATE.S.b", &consumer("b"))), 10026);
    assert_eq!(code(&api("B", "STREAM.CREATE.S", r#"{"name":"S"}"#)), 10039);
    let payload = "x".repeat(100);
    let ack = bench.request_in("A", "S", "", &payload);
    assert_eq!(ack, [r#"{"stream":"S","seq":1}"#]);
    let refused = bench.request_in("A", "S", "", &payload);
    assert!(refused[0].contains("\"err_code\":10002"), "{refused:?}");
}

#[test]
fn promises_to_accounts_must_be_kept() {
    let secrets: Secrets = Arc::new(|| Box::new(Counting(0)));
    let mut engine = JetStream::new(settings(), Arc::new(SimDisk::new(1)), secrets, 7);
    let limits = AccountLimits { max_memory: 1 << 19, ..AccountLimits::UNLIMITED };
    let mut add = |name: &str| {
        let facts = AccountFacts { name: name.to_owned(), limits: tiers(limits) };
        engine.add_account(facts, Timestamp::from_seconds(1), &mut World::default())
    };
    assert!(add("A").is_ok() && add("B").is_ok());
    assert!(add("C").is_err_and(|error| error.err_code == 10028));
}

#[test]
fn interest_streams_keep_only_what_somebody_needs() {
    let mut bench = Bench::new();
    bench.create("I", r#","retention":"interest""#);
    bench.request("I", "nobody");
    let messages = |bench: &mut Bench| bench.api("STREAM.INFO.I", "")["state"]["messages"].clone();
    assert_eq!(messages(&mut bench), 0);
    bench.consumer("I", "a", "");
    bench.consumer("I", "b", "");
    bench.request("I", "both");
    assert_eq!(messages(&mut bench), 1);
    for consumer in ["a", "b"] {
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.I.{consumer}");
        assert_eq!(bench.request_in("$G", &subject, "", "1"), ["both"]);
        bench.publish_in("$G", &format!("$JS.ACK.I.{consumer}.1.2.1.0.0"), "", "", "+ACK");
        bench.settle();
        assert_eq!(messages(&mut bench), if consumer == "a" { 1 } else { 0 });
    }
    bench.request("I", "again");
    bench.api("CONSUMER.DELETE.I.a", "");
    assert_eq!(messages(&mut bench), 1);
    bench.api("CONSUMER.DELETE.I.b", "");
    assert_eq!(messages(&mut bench), 0, "the last consumer is gone");
}

#[test]
fn push_consumers_deliver_while_somebody_listens() {
    let mut bench = Bench::new();
    bench.create("S", "");
    bench.consumer("S", "p", r#","deliver_subject":"out""#);
    bench.request("S", "1");
    let delivered = |bench: &Bench| bench.world.sent.iter().filter(|(to, ..)| to == "out").count();
    assert_eq!(delivered(&bench), 0);
    let (consumer, subject) = bench.world.watched.pop_first().expect("its interest is watched");
    assert_eq!(subject, "out");
    bench.world.listeners.push("out".to_owned());
    bench.engine.interest_changed(consumer, true, bench.now, &mut bench.world);
    bench.settle();
    assert_eq!(delivered(&bench), 1);
}

#[test]
fn idle_consumers_go_away_with_their_subscriptions() {
    let mut bench = Bench::new();
    bench.create("S", "");
    let before = bench.world.subscriptions.len();
    let body = r#"{"stream_name":"S","config":{"ack_policy":"explicit"}}"#;
    let created = bench.api("CONSUMER.CREATE.S", body);
    assert_eq!(created["name"].as_str().map(str::len), Some(8));
    assert!(bench.world.subscriptions.len() > before);
    bench.after(30);
    assert_eq!(bench.api("CONSUMER.NAMES.S", "")["total"], 0);
    assert_eq!(bench.world.subscriptions.len(), before);
}

#[test]
fn answers_count_and_are_told_to_who_listens() {
    let mut bench = Bench::new();
    bench.world.listeners.push("$JS.EVENT.ADVISORY.>".to_owned());
    bench.create("S", "");
    bench.api("STREAM.INFO.nope", "");
    assert_eq!(bench.engine.api_counts(), (2, 1));
    let told: Vec<&str> = bench.world.sent.iter().map(|(to, ..)| to.as_str()).collect();
    assert!(told.contains(&"$JS.EVENT.ADVISORY.STREAM.CREATED.S"));
    assert_eq!(told.iter().filter(|to| **to == "$JS.EVENT.ADVISORY.API").count(), 2);
    assert_eq!(bench.api("INFO", "")["api"]["total"], 2);
}

#[test]
fn requests_for_a_newer_api_are_refused() {
    let mut bench = Bench::new();
    let header = "NATS/1.0\r\nNats-Required-Api-Level: 5\r\n\r\n";
    let answers = bench.request_in("$G", "$JS.API.STREAM.NAMES", header, "");
    let answer: Value = serde_json::from_str(&answers[0]).expect("JSON");
    assert_eq!(code(&answer), 10185);
}

#[test]
fn a_damaged_stream_is_told_of_and_left_alone() {
    let disk = Arc::new(SimDisk::new(1));
    let mut bench = Bench::on(disk.clone());
    bench.create("S", "");
    bench.create("T", "");
    bench.engine.stop(bench.now, &mut bench.world);
    let sum = std::path::Path::new("/js/$G/streams/S/meta.sum");
    disk.write_atomic(sum, b"0000000000000000", crate::disk::Durability::Synced).expect("writes");
    let mut bench = Bench::on(disk);
    assert_eq!(bench.api("STREAM.NAMES", "")["streams"], serde_json::json!(["T"]));
    assert!(bench.world.log.iter().any(|line| line.contains("checksums do not match")));
    assert_eq!(
        bench.engine.check_health("", "", ""),
        Err(vec![Unhealthy::Broken("JetStream stream '$G > S' could not be recovered".to_owned())])
    );
    assert!(matches!(
        bench.engine.check_health("$G", "nope", "").as_ref().map_err(|w| &w[0]),
        Err(Unhealthy::Missing(_))
    ));
}

#[test]
fn random_requests_never_panic_and_create_nothing() {
    let mut bench = Bench::new();
    let subjects = [
        "STREAM.CREATE.S",
        "STREAM.UPDATE.S",
        "STREAM.INFO.S",
        "STREAM.PURGE.S",
        "STREAM.MSG.GET.S",
        "STREAM.MSG.DELETE.S",
        "CONSUMER.CREATE.S.c",
        "CONSUMER.PAUSE.S.c",
        "CONSUMER.UNPIN.S.c",
        "STREAM.SNAPSHOT.S",
        "STREAM.RESTORE.S",
    ];
    let bodies = [
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        "{\"name\":{}}",
        "{\"name\":\"S\",\"max_age\":-1}",
        "{\"name\":\"S\",\"first_seq\":99999999999999999999999}",
        "{\"name\":\"S\",\"x\":1}",
        "{\"seq\":-1}",
        "\u{0}\u{1}",
        "{\"stream_name\":\"S\",\"config\":{\"backoff\":[1,\"x\"]}}",
    ];
    for subject in subjects {
        for body in bodies {
            let answer = bench.api(subject, body);
            assert_ne!(code(&answer), 0, "{subject} {body}");
        }
    }
    assert_eq!(bench.engine.totals().streams, 0);
}
