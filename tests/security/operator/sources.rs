//! Claims that come from a server or a directory, or do not come (spec 03 §22.3 and §22.4).

use super::{Realm, Tenant, full, now};
use crate::certificates::Authority;
use crate::support::{Server, wait_until};
use eventloop::rustls::crypto::aws_lc_rs;
use eventloop::rustls::server::WebPkiClientVerifier;
use eventloop::rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use nats_server::jwt::Share;
use nats_server::jwt::shares::{Export, Import};
use nkeys::KeyPair;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a server of claims has, and what it was asked for.
#[derive(Default)]
struct Known {
    /// Claims by account; those of no account are the answer to who asks whether anybody is here.
    answers: BTreeMap<String, String>,
    asked: Vec<String>,
    /// Who is kept waiting.
    waiting: Vec<TcpStream>,
}

/// A server of claims. It does not answer at all for accounts whose claims are `?`.
#[derive(Clone)]
struct Source {
    url: String,
    known: Arc<Mutex<Known>>,
}

impl Source {
    fn start(realm: &Realm, tenants: &[&Tenant]) -> Source {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/A/", listener.local_addr().expect("an address"));
        let source = Source { url, known: Arc::default() };
        source.set("", "ok");
        for tenant in tenants.iter().copied().chain([&realm.system]) {
            source.set(&tenant.id(), &realm.token(tenant));
        }
        let known = source.known.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { break };
                if serve(&mut stream, &known) == Served::Waits {
                    known.lock().unwrap().waiting.push(stream);
                }
            }
        });
        source
    }

    /// The same over TLS, for who has a certificate of the authority.
    fn start_encrypted(realm: &Realm, tenants: &[&Tenant], authority: &Authority) -> Source {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let source = Source::start(realm, tenants);
        let known = source.known.clone();
        let pair = authority.server("localhost");
        let mut roots = RootCertStore::empty();
        roots.add(authority.der()).expect("an authority");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(clients.build().expect("a verifier"))
            .with_single_cert(vec![pair.der()], pair.key_der())
            .expect("a certificate");
        let config = Arc::new(config);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { break };
                let session = ServerConnection::new(config.clone()).expect("a session");
                let mut stream = StreamOwned::new(session, stream);
                serve(&mut stream, &known);
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        Source { url: format!("https://localhost:{port}/A/"), known: source.known }
    }

    fn set(&self, account: &str, token: &str) {
        self.known.lock().unwrap().answers.insert(account.to_owned(), token.to_owned());
    }

    fn forget(&self, account: &str) {
        self.known.lock().unwrap().answers.remove(account);
    }

    /// How often it was asked for these claims.
    fn asked(&self, account: &str) -> usize {
        self.known.lock().unwrap().asked.iter().filter(|a| *a == account).count()
    }

    fn total(&self) -> usize {
        self.known.lock().unwrap().asked.len()
    }

    fn config(&self, realm: &Realm) -> String {
        format!("{}resolver: URL(\"{}\")\n", realm.head(), self.url)
    }
}

#[derive(PartialEq, Eq)]
enum Served {
    Done,
    Waits,
}

fn serve(stream: &mut (impl Read + Write), known: &Mutex<Known>) -> Served {
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => request.extend_from_slice(&chunk[..n]),
            _ => return Served::Done,
        }
    }
    let text = String::from_utf8_lossy(&request);
    let path = text.split(' ').nth(1).unwrap_or_default();
    let account = path.strip_prefix("/A/").unwrap_or("no path of ours").to_owned();
    let answer = {
        let mut known = known.lock().unwrap();
        let answer = known.answers.get(&account).cloned();
        known.asked.push(account);
        answer
    };
    let answer = match answer.as_deref() {
        Some("?") => return Served::Waits,
        Some(body) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
    };
    let _ = stream.write_all(answer.as_bytes());
    Served::Done
}

#[test]
fn claims_come_over_tls_to_who_shows_a_certificate() {
    let realm = Realm::new();
    let a = Tenant::new("A");
    let authority = Authority::new();
    let source = Source::start_encrypted(&realm, &[&a], &authority);
    let (cert, key) = authority.write("resolver", &authority.client("resolver"));
    let ca = authority.dir.path().join("ca.pem");
    let config = source.config(&realm);
    let server = Server::start(&format!(
        "{config}resolver_tls {{ cert_file: {cert:?}, key_file: {key:?}, ca_file: {ca:?} }}\n"
    ));
    let wire = a.user().accepted(&server);
    assert_eq!(wire.info["remote_account"], a.id());
    let without = format!("port: -1\n{config}resolver_tls {{ ca_file: {ca:?} }}\n");
    let (code, output) = Server::launch(Some(&without), &[]).wait_for_exit();
    assert_eq!(code, Some(1));
    assert!(output.contains("could not fetch"), "{output}");
}

#[test]
fn claims_are_fetched_when_a_user_comes_and_not_by_a_reload() {
    let realm = Realm::new();
    let a = Tenant::new("A");
    let source = Source::start(&realm, &[&a]);
    let server = Server::start(&source.config(&realm));
    assert_eq!((source.asked(""), source.asked(&a.id())), (1, 0));
    let mut wire = a.user().accepted(&server);
    a.user().accepted(&server);
    assert_eq!(source.asked(&a.id()), 1);
    let before = source.total();
    assert_eq!(server.reload(&format!("max_payload: 1000\n{}", source.config(&realm))), Ok(()));
    a.user().accepted(&server);
    wire.expect_nothing();
    assert_eq!(source.total(), before);
    // Nobody is there to ask at the next start.
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/A/", gone.local_addr().expect("an address"));
    drop(gone);
    let config = format!("port: -1\n{}resolver: URL(\"{url}\")\n", realm.head());
    let (code, output) = Server::launch(Some(&config), &[]).wait_for_exit();
    assert_eq!(code, Some(1));
    assert!(output.contains("could not fetch"), "{output}");
}

#[test]
fn a_source_that_does_not_answer_keeps_nobody_waiting_for_ever() {
    let realm = Realm::new();
    let (a, b) = (Tenant::new("A"), Tenant::new("B"));
    let source = Source::start(&realm, &[&a]);
    source.set(&b.id(), "?");
    let server =
        Server::start(&format!("{}authorization {{ timeout: 30 }}\n", source.config(&realm)));
    let mut other = a.user().accepted(&server);
    let mut waits = b.user().login(&server);
    wait_until("it is asked", || (source.asked(&b.id()) > 0).then_some(()));
    // Connections that are there notice nothing of it.
    other.expect_nothing();
    waits.expect_error("Authorization Violation");
    waits.expect_close();
    server.wait_for_log("could not fetch");
}

#[test]
fn an_exporter_that_could_not_be_fetched_first_is_imported_from_when_it_comes() {
    let realm = Realm::new();
    let (mut a, mut b) = (Tenant::new("A"), Tenant::new("B"));
    a.claims.account.exports =
        vec![Export { subject: "test".to_owned(), share: Share::Stream, ..Export::default() }];
    b.claims.account.imports = vec![Import {
        account: a.id(),
        subject: "test".to_owned(),
        share: Share::Stream,
        ..Import::default()
    }];
    let source = Source::start(&realm, &[&a, &b]);
    source.forget(&a.id());
    let server = Server::start(&source.config(&realm));
    let mut importer = b.user().accepted(&server);
    importer.send("SUB test 1\r\n");
    importer.expect_nothing();
    assert_eq!(source.asked(&a.id()), 1);
    source.set(&a.id(), &realm.token(&a));
    let mut exporter = a.user().accepted(&server);
    assert_eq!(source.asked(&a.id()), 2);
    wait_until("the import is made", || {
        exporter.send("PUB test 0\r\n\r\n");
        exporter.expect_nothing();
        (!importer.sync().is_empty()).then_some(())
    });
}

#[test]
fn imports_of_what_nobody_exports_are_given_up() {
    let realm = Realm::new();
    let (mut a, mut b) = (Tenant::new("A"), Tenant::new("B"));
    let test = |of: &Tenant| Import {
        account: of.id(),
        subject: "test".to_owned(),
        share: Share::Stream,
        ..Import::default()
    };
    let (of_a, of_b) = (test(&a), test(&b));
    a.claims.account.imports = vec![of_b];
    b.claims.account.imports = vec![of_a];
    let source = Source::start(&realm, &[&a, &b]);
    let server = Server::start(&source.config(&realm));
    let (mut one, mut two) = (a.user().accepted(&server), b.user().accepted(&server));
    let text = "Error adding stream import to account";
    server.wait_for_log(text);
    let mut admin = realm.admin(&server);
    for tenant in [&mut a, &mut b] {
        tenant.claims.base.name.push('2');
        admin.push(&realm, tenant);
    }
    one.expect_nothing();
    two.expect_nothing();
    // Each account was fetched when it was needed, and not again and again.
    assert_eq!((source.asked(&a.id()), source.asked(&b.id())), (1, 1));
    assert!(server.log_lines().iter().filter(|line| line.contains(text)).count() <= 8);
}

#[test]
fn claims_that_have_ended_are_fetched_again_when_a_user_comes() {
    let realm = Realm::new();
    let mut a = Tenant::new("A");
    a.claims.base.expires = now() + 2;
    a.claims.account.limits.connections = 10;
    let source = Source::start(&realm, &[&a]);
    let server = Server::start(&source.config(&realm));
    let wires = [(); 4].map(|()| a.user().accepted(&server));
    for mut wire in wires {
        wire.expect_error("Account Authentication Expired");
        wire.expect_close();
    }
    a.user().refused(&server);
    a.claims.base.expires = now() + 1000;
    a.claims.account.limits.connections = 2;
    source.set(&a.id(), &realm.token(&a));
    let first = wait_until("it is fetched again", || {
        let mut wire = a.user().login(&server);
        (wire.line() == "PONG").then_some(wire)
    });
    let _second = a.user().accepted(&server);
    let mut third = a.user().login(&server);
    third.expect_error("maximum account active connections exceeded");
    third.expect_close();
    drop(first);
}

#[test]
fn nobody_who_knows_the_claims_means_a_refusal_in_time() {
    let realm = Realm::new();
    let a = Tenant::new("A");
    for kind in ["full", "cache"] {
        let server = Server::start(&format!(
            "{}resolver: {{ type: {kind}, dir: \"./jwt\", timeout: \"100ms\" }}\n{}",
            realm.head(),
            realm.preload(&[&realm.system])
        ));
        a.user().refused(&server);
        server.wait_for_log("Account fetch failed: ");
        realm.admin(&server);
    }
}

#[test]
fn accounts_are_deleted_from_directories_of_both_kinds() {
    let mut realm = Realm::new();
    let signer = KeyPair::new_operator();
    realm.claims.signing_keys = vec![signer.public_key()];
    let a = Tenant::new("A");
    let by_signer = |tenant: &Tenant| tenant.claims.encode(&signer, now()).expect("claims");
    for resolver in ["type: full, allow_delete: true", "type: cache"] {
        let server = Server::start(&format!(
            "{}resolver: {{ {resolver}, dir: \"./jwt\" }}\nresolver_preload: {{ {}: {}\n{}: {} }}\n",
            realm.head(),
            realm.system.id(),
            by_signer(&realm.system),
            a.id(),
            by_signer(&a)
        ));
        let mut wire = a.user().accepted(&server);
        let mut admin = realm.admin(&server);
        let mut delete = |key: &KeyPair, accounts: &[String]| {
            let base = nats_server::jwt::Base { subject: key.public_key(), ..Default::default() };
            let body = serde_json::json!({ "accounts": accounts });
            let token = nats_server::jwt::encode(&base, &body, key, now()).expect("claims");
            let answer = admin.ask_json("$SYS.REQ.CLAIMS.DELETE", &token);
            let list = admin.ask_json("$SYS.REQ.CLAIMS.LIST", "")["data"].to_string();
            assert!(list.contains(&realm.system.id()), "{list}");
            let text = answer["data"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
            (text.to_owned(), list.contains(&a.id()))
        };
        assert_eq!(delete(&realm.operator, &[]), ("deleted 0 accounts".to_owned(), true));
        // Who is not there any more counts as deleted.
        for _ in 0..2 {
            assert_eq!(delete(&signer, &[a.id()]), ("deleted 1 accounts".to_owned(), false));
        }
        wire.expect_error("Account Authentication Expired");
        wire.expect_close();
    }
}

#[test]
fn nothing_is_deleted_from_a_directory_that_does_not_allow_it() {
    let realm = Realm::new();
    let a = Tenant::new("A");
    let config = format!("{}{}", full(&realm, ""), realm.preload(&[&realm.system, &a]));
    let server = Server::start(&config);
    let base =
        nats_server::jwt::Base { subject: realm.operator.public_key(), ..Default::default() };
    let body = serde_json::json!({ "accounts": [a.id()] });
    let token = nats_server::jwt::encode(&base, &body, &realm.operator, now()).expect("claims");
    let mut admin = realm.admin(&server);
    let answer = admin.ask_json("$SYS.REQ.CLAIMS.DELETE", &token);
    let text = answer["error"]["description"].as_str().expect("an error");
    assert!(text.ends_with("delete must be enabled in server config"), "{answer}");
    a.user().accepted(&server);
}
