//! What becomes of users about whom the service decides, with claims and without (spec 03 §26).

use super::{AUTH, Asked, Service, now, refused_by};
use crate::realm::{Credentials, Realm, Tenant};
use crate::support::{Server, Wire};
use crate::{accepted, login};
use data_encoding::BASE64URL_NOPAD;
use nats_server::jwt::account::Scope;
use nats_server::jwt::user::Responses;
use nats_server::jwt::{AuthorizationResponse, UserClaims, UserPermissions};
use nkeys::{KeyPair, XKey};
use std::collections::BTreeMap;

/// An operator's server, whose account AUTH has the service for users of TEST.
struct World {
    realm: Realm,
    auth: Tenant,
    app: Tenant,
    server: Server,
    service: Service,
    /// What users send who have no token of their own.
    sentinel: String,
}

fn world(edit: impl FnOnce(&mut Tenant, &mut Tenant)) -> World {
    let realm = Realm::new();
    let (mut auth, mut app) = (Tenant::new("AUTH"), Tenant::new("TEST"));
    let user = auth.user();
    let authorization = &mut auth.claims.account.authorization;
    authorization.auth_users = vec![user.id()];
    authorization.allowed_accounts = vec![app.id()];
    edit(&mut auth, &mut app);
    let server = realm.server(&[&auth, &app]);
    let mut wire = user.accepted(&server);
    wire.send("SUB $SYS.REQ.USER.AUTH 1\r\n");
    wire.expect_nothing();
    let issuer = KeyPair::from_seed(&auth.key.seed().expect("a seed")).expect("a key");
    let service = Service { wire, issuer, xkey: None };
    let sentinel = auth.user_with(|claims| claims.user.bearer_token = true).jwt;
    World { realm, auth, app, server, service, sentinel }
}

impl World {
    /// Somebody comes with this secret.
    fn login(&self, secret: &str) -> Wire {
        let sentinel = &self.sentinel;
        let members =
            format!(r#""jwt":"{sentinel}","auth_token":"{secret}","headers":true,"protocol":1"#);
        let mut wire = login(&self.server, &members);
        wire.answer_pings();
        wire
    }

    /// The service puts who asked into TEST.
    fn grant(&mut self, asked: &Asked) {
        let claims = UserClaims::new(&asked.request.user_nkey);
        let jwt = claims.encode(&self.app.key, now()).expect("claims");
        let response = AuthorizationResponse { jwt, ..self.service.response(asked) };
        self.service.answer(asked, &response);
    }

    /// A user of TEST by the service's grace, and its key.
    fn user(&mut self) -> (Wire, String) {
        let mut wire = self.login("secret");
        let asked = self.service.next();
        assert_eq!(asked.request.connect_opts.auth_token, "secret");
        self.grant(&asked);
        assert_eq!(wire.until_pong(), Vec::<String>::new());
        assert_eq!(wire.info["remote_account"], self.app.id());
        (wire, asked.request.user_nkey)
    }
}

/// What the server says about the user itself.
fn user_info(wire: &mut Wire) -> serde_json::Value {
    wire.send("SUB _INBOX.info 99\r\nPUB $SYS.REQ.USER.INFO _INBOX.info 0\r\n\r\n");
    let (_, body) = wire.message();
    let answer: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    wire.send("UNSUB 99\r\n");
    answer["data"].clone()
}

#[test]
fn claims_name_the_key_that_requests_are_sealed_with() {
    let key = XKey::new();
    let mut world = world(|auth, _| {
        auth.claims.account.authorization.xkey = key.public_key();
    });
    world.service.xkey = Some(key);
    world.user();
    // An answer in the clear is good enough.
    let mut wire = world.login("secret");
    let asked = world.service.next();
    assert_eq!(asked.server_xkey.as_deref(), Some(asked.request.server_id.xkey.as_str()));
    world.service.xkey = None;
    world.grant(&asked);
    assert_eq!(wire.until_pong(), Vec::<String>::new());
}

#[test]
fn who_is_not_let_in_is_told_no_more_than_that() {
    let mut world = world(|_, _| {});
    let mut wire = world.login("x");
    let asked = world.service.next();
    world.service.send(&asked, b"");
    refused_by(&mut wire);
    let mut wire = world.login("x");
    let asked = world.service.next();
    world.service.refuse(&asked, "not today");
    refused_by(&mut wire);
}

#[test]
fn users_of_the_service_are_revoked_like_others() {
    let mut world = world(|_, _| {});
    let ((mut first, id), (mut second, _), (mut third, _)) =
        (world.user(), world.user(), world.user());
    let mut admin = world.realm.admin(&world.server);
    let revoke = |app: &mut Tenant, whom: Option<&str>| {
        let until = now() + 60;
        app.claims.account.revocations = whom.map(|w| (w.to_owned(), until)).into_iter().collect();
    };
    revoke(&mut world.app, Some(&id));
    admin.push(&world.realm, &world.app);
    first.expect_error("User Authentication Revoked");
    first.expect_close();
    revoke(&mut world.app, None);
    admin.push(&world.realm, &world.app);
    second.expect_nothing();
    third.expect_nothing();
    revoke(&mut world.app, Some("*"));
    admin.push(&world.realm, &world.app);
    for wire in [&mut second, &mut third] {
        wire.expect_error("User Authentication Revoked");
        wire.expect_close();
    }
}

#[test]
fn a_user_of_the_service_who_cannot_sign_is_refused_without_harm() {
    let realm = Realm::new();
    let mut auth = Tenant::new("AUTH");
    let user = auth.user();
    auth.claims.account.authorization.auth_users = vec![user.id()];
    auth.claims.account.authorization.allowed_accounts = vec!["*".to_owned()];
    let server = realm.server(&[&auth]);
    let stolen = Credentials { key: KeyPair::new_user(), jwt: user.jwt.clone() };
    stolen.refused(&server);
    user.accepted(&server);
}

#[test]
fn a_scoped_key_may_sign_for_the_service() {
    for all in [false, true] {
        let (signer, sentinel_signer) = (KeyPair::new_account(), KeyPair::new_account());
        let scope = |key: &KeyPair, template: UserPermissions| {
            let key = key.public_key();
            Some(Scope { key, role: "r".to_owned(), template, description: String::new() })
        };
        let texts = |list: &[&str]| Some(list.iter().map(|&s| s.to_owned()).collect());
        let mut template = UserPermissions::unlimited();
        let p = &mut template.permissions;
        p.publish.allow = texts(&["foo.>", "$SYS.REQ.USER.INFO"]);
        p.subscribe.allow = texts(&["foo.>", "_INBOX.>"]);
        p.responses = Some(Responses { max: 1, ttl: 0 });
        (template.max_subscriptions, template.max_payload) = (10, 512);
        let mut nothing = UserPermissions { bearer_token: true, ..UserPermissions::default() };
        nothing.permissions.publish.deny = texts(&[">"]);
        nothing.permissions.subscribe.deny = texts(&[">"]);
        let mut world = world(|auth, app| {
            let keys = &mut app.claims.account.signing_keys;
            keys.insert(signer.public_key(), scope(&signer, template));
            let keys = &mut auth.claims.account.signing_keys;
            keys.insert(sentinel_signer.public_key(), scope(&sentinel_signer, nothing));
            if all {
                auth.claims.account.authorization.allowed_accounts = vec!["*".to_owned()];
            }
        });
        let scoped = |subject: &str, account: &Tenant, signer: &KeyPair| {
            let mut claims = UserClaims::default();
            claims.base.subject = subject.to_owned();
            claims.base.name = "scoped".to_owned();
            claims.issuer_account = account.id();
            claims.encode(signer, now()).expect("claims")
        };
        let anybody = KeyPair::new_user().public_key();
        world.sentinel = scoped(&anybody, &world.auth, &sentinel_signer);
        let mut wire = world.login("secret");
        let asked = world.service.next();
        let jwt = scoped(&asked.request.user_nkey, &world.app, &signer);
        let response = AuthorizationResponse { jwt, ..world.service.response(&asked) };
        world.service.answer(&asked, &response);
        assert_eq!(wire.until_pong(), Vec::<String>::new());
        assert_eq!(wire.info["max_payload"], 512);
        let info = user_info(&mut wire);
        assert_eq!(info["account"], world.app.id(), "{info}");
        let allowed = &info["permissions"]["publish"]["allow"];
        assert_eq!(allowed.as_array().map(Vec::len), Some(2), "{info}");
        wire.send("SUB foo.> 1\r\nPUB foo.bar 2\r\nhi\r\nPUB bar 0\r\n\r\n");
        assert_eq!(
            wire.sync(),
            ["MSG foo.bar 1 2", "hi", "-ERR 'Permissions Violation for Publish to \"bar\"'"]
        );
    }
}

#[test]
fn the_service_is_asked_no_more_when_the_claims_name_none() {
    let mut world = world(|_, _| {});
    world.user();
    world.auth.claims.account.authorization = Default::default();
    world.realm.admin(&world.server).push(&world.realm, &world.auth);
    let mut wire = world.login("secret");
    assert_eq!(wire.until_pong(), Vec::<String>::new());
    assert_eq!(wire.info["remote_account"], world.auth.id());
    assert!(!world.service.wire.sync().iter().any(|line| line.contains("$SYS.REQ.USER.AUTH")));
}

fn configured(issuer: &KeyPair, accounts: &str, auth_users: &str) -> Server {
    Server::start(&format!(
        "accounts {{ AUTH {{ users = [ {{user: auth, password: pw}} ] }}, {accounts} }}\n\
         authorization {{ auth_callout {{ issuer: {}, account: AUTH, \
         auth_users: [ {auth_users} ] }} }}\n",
        issuer.public_key()
    ))
}

#[test]
fn users_of_the_service_come_and_go_in_their_accounts() {
    let issuer = KeyPair::new_account();
    let accounts = "FOO {}, BAR {}, $SYS { users = [ {user: admin, password: s} ] }";
    let server = configured(&issuer, accounts, "auth, admin");
    let mut service = Service::new(&server, issuer, AUTH);
    let mut events = accepted(&server, r#""user":"admin","pass":"s","protocol":1"#);
    events.answer_pings();
    events.send("SUB $SYS.ACCOUNT.*.CONNECT 1\r\nSUB $SYS.ACCOUNT.*.DISCONNECT 2\r\n");
    events.send("SUB $SYS.SERVER.ACCOUNT.*.CONNS 3\r\nSUB $SYS.ACCOUNT.*.SERVER.CONNS 4\r\n");
    events.expect_nothing();
    for (user, account) in [("dlc", "FOO"), ("rip", "BAR")] {
        // The next three events about the account, by the subscription that got them.
        let mut three = || -> BTreeMap<String, serde_json::Value> {
            let mut found = BTreeMap::new();
            while found.len() < 3 {
                let (line, body) = events.message();
                if line.contains(&format!(".{account}.")) {
                    let sid = line.split(' ').nth(2).expect("a subscription").to_owned();
                    let event = serde_json::from_slice(&body).expect("JSON");
                    assert!(found.insert(sid, event).is_none(), "twice: {line}");
                }
            }
            found
        };
        let mut wire = login(&server, &format!(r#""user":"{user}","pass":"x""#));
        let asked = service.next();
        service.grant(&asked, |claims| claims.base.audience = account.to_owned());
        assert_eq!(wire.until_pong(), Vec::<String>::new());
        let came = three();
        assert_eq!(came["1"]["client"]["user"], user);
        assert_eq!(came["1"]["client"]["acc"], account);
        for sid in ["3", "4"] {
            assert_eq!((&came[sid]["acc"], &came[sid]["conns"]), (&account.into(), &1.into()));
        }
        drop(wire);
        let went = three();
        assert_eq!(went["2"]["client"]["acc"], account);
        for sid in ["3", "4"] {
            assert_eq!((&went[sid]["acc"], &went[sid]["conns"]), (&account.into(), &0.into()));
        }
        events.expect_nothing();
    }
}

#[test]
fn a_user_that_needs_a_proxy_needs_it_whatever_the_service_says() {
    let issuer = KeyPair::new_account();
    let app = "APP { users = [ {user: proxy, password: pw, proxy_required: true} ] }";
    let server = configured(&issuer, app, "auth");
    let mut service = Service::new(&server, issuer, AUTH);
    let mut events = accepted(&server, AUTH);
    events.send("SUB $SYS.ACCOUNT.CLIENT.AUTH.ERR 1\r\n");
    events.expect_nothing();
    let mut wire = login(&server, r#""user":"proxy","pass":"pw""#);
    let asked = service.next();
    service.grant(&asked, |claims| claims.base.audience = "APP".to_owned());
    refused_by(&mut wire);
    let event: serde_json::Value = serde_json::from_slice(&events.message().1).expect("JSON");
    assert_eq!(event["reason"], "Proxy connection required", "{event}");
    service.wire.expect_nothing();
}

#[test]
fn the_service_sees_the_signature_of_a_user_with_a_key() {
    let (issuer, user) = (KeyPair::new_account(), KeyPair::new_user());
    let id = user.public_key();
    let server = Server::start(&format!(
        "authorization {{ timeout: 10, users: [ {{user: auth, password: pw}}, {{nkey: {id}}} ]\n\
         auth_callout {{ issuer: {}, auth_users: [ auth ] }} }}\n",
        issuer.public_key()
    ));
    let mut service = Service::new(&server, issuer, AUTH);
    let mut wire = server.connect();
    let nonce = wire.info["nonce"].as_str().expect("a nonce").to_owned();
    let signature = BASE64URL_NOPAD.encode(&user.sign(nonce.as_bytes()).expect("signs"));
    wire.send(crate::connect_line(&format!(r#""nkey":"{id}","sig":"{signature}""#)));
    let asked = service.next();
    assert_eq!(asked.request.client_info.nonce, nonce);
    assert_eq!(asked.request.connect_opts.sig, signature);
    service.grant(&asked, |claims| claims.base.audience = "$G".to_owned());
    assert_eq!(wire.until_pong(), Vec::<String>::new());
    wire.answer_pings();
    let info = user_info(&mut wire);
    assert_eq!((&info["user"], &info["account"]), (&id.into(), &"$G".into()), "{info}");
    let denied = serde_json::json!(["$SYS.REQ.USER.AUTH"]);
    assert_eq!(info["permissions"]["publish"]["deny"], denied, "{info}");
}
