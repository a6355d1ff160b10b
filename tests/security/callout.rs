//! The authorization callout (spec 03 §26).

use crate::support::{Server, Wire};
use crate::{accepted, connect_line, login};
use nats_server::jwt::{
    AuthorizationRequest, AuthorizationResponse, Base, UserClaims, decode_authorization_request,
};
use nkeys::{KeyPair, XKey};
use std::time::{SystemTime, UNIX_EPOCH};

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after the epoch");
    i64::try_from(since.as_secs()).expect("before its end")
}

/// The service, on a connection of its own.
struct Service {
    wire: Wire,
    issuer: KeyPair,
    xkey: Option<XKey>,
}

/// A request that waits for its answer.
struct Asked {
    reply: String,
    request: AuthorizationRequest,
    /// The key that the server wants answers sealed for.
    server_xkey: Option<String>,
}

impl Service {
    fn new(server: &Server, issuer: KeyPair, members: &str) -> Service {
        let members = format!("{members},\"headers\":true");
        let mut wire = accepted(server, &members);
        wire.send("SUB $SYS.REQ.USER.AUTH 1\r\n");
        wire.expect_nothing();
        Service { wire, issuer, xkey: None }
    }

    fn next(&mut self) -> Asked {
        let (line, mut payload) = self.wire.message();
        let fields: Vec<&str> = line.split(' ').collect();
        let mut server_xkey = None;
        if fields[0] == "HMSG" {
            let body = payload.split_off(fields[4].parse().expect("a length"));
            let header = String::from_utf8(payload).expect("text");
            let key = header.split("Nats-Server-Xkey: ").nth(1).expect("a key");
            server_xkey = Some(key.trim().to_owned());
            payload = body;
        }
        if let (Some(own), Some(sender)) = (&self.xkey, &server_xkey) {
            let sender = XKey::from_public_key(sender).expect("a key");
            payload = own.open(&payload, &sender).expect("opens");
        }
        let token = String::from_utf8(payload).expect("text");
        let request = decode_authorization_request(&token).expect("a request");
        Asked { reply: fields[3].to_owned(), request, server_xkey }
    }

    fn response(&self, asked: &Asked) -> AuthorizationResponse {
        AuthorizationResponse {
            base: Base {
                subject: asked.request.user_nkey.clone(),
                audience: asked.request.server_id.id.clone(),
                ..Base::default()
            },
            ..AuthorizationResponse::default()
        }
    }

    fn send(&mut self, asked: &Asked, body: &[u8]) {
        self.wire.send(format!("PUB {} {}\r\n", asked.reply, body.len()));
        self.wire.send(body);
        self.wire.send("\r\n");
    }

    fn answer(&mut self, asked: &Asked, response: &AuthorizationResponse) {
        let token = response.encode(&self.issuer, now()).expect("claims");
        let body = match (&self.xkey, &asked.server_xkey) {
            (Some(own), Some(server)) => {
                let server = XKey::from_public_key(server).expect("a key");
                own.seal(token.as_bytes(), &server).expect("seals")
            }
            _ => token.into_bytes(),
        };
        self.send(asked, &body);
    }

    /// Lets a user in.
    fn grant(&mut self, asked: &Asked, edit: impl FnOnce(&mut UserClaims)) {
        let mut claims = UserClaims::new(&asked.request.user_nkey);
        edit(&mut claims);
        let jwt = claims.encode(&self.issuer, now()).expect("claims");
        let response = AuthorizationResponse { jwt, ..self.response(asked) };
        self.answer(asked, &response);
    }

    fn refuse(&mut self, asked: &Asked, error: &str) {
        let response = AuthorizationResponse { error: error.to_owned(), ..self.response(asked) };
        self.answer(asked, &response);
    }
}

/// A server whose service is in account AUTH; the account APP has a user of its own.
fn server(issuer: &KeyPair, more: &str) -> Server {
    Server::start(&format!(
        "debug: true\nhttp: \"127.0.0.1:-1\"\n\
         server_tags: [ foo, bar ]\ncluster {{ name: HUB }}\n\
         accounts {{ AUTH {{ users = [ {{user: auth, password: pw}} ] }}, \
         APP {{ users = [ {{user: app, password: pw}} ] }}, OTHER {{}} }}\n\
         authorization {{ timeout: 1s, auth_callout {{ issuer: {}, account: AUTH, \
         auth_users: [ auth ] {more} }} }}\n",
        issuer.public_key()
    ))
}

const AUTH: &str = r#""user":"auth","pass":"pw""#;

fn refused_by(wire: &mut Wire) {
    wire.expect_error("Authorization Violation");
    wire.expect_close();
}

#[test]
fn the_service_decides_about_users_the_server_does_not_know() {
    let issuer = KeyPair::new_account();
    let server = server(&issuer, "");
    let mut service = Service::new(&server, issuer, AUTH);
    let mut user =
        login(&server, r#""user":"joe","pass":"secret","name":"app","lang":"x","protocol":1"#);
    let asked = service.next();
    let request = &asked.request;
    assert_eq!(request.base.audience, "nats-authorization-request");
    assert_eq!(request.base.subject, service.issuer.public_key());
    assert_eq!(request.base.issuer, request.server_id.id);
    assert_eq!(request.server_id.id, user.info["server_id"].as_str().expect("an id"));
    assert_eq!(request.server_id.tags, ["foo", "bar"]);
    assert_eq!(request.server_id.cluster, "HUB");
    assert_eq!(request.server_id.version, user.info["version"].as_str().expect("a version"));
    assert!(request.server_id.xkey.is_empty() && asked.server_xkey.is_none());
    assert_eq!(request.client_info.user, "joe");
    assert_eq!(request.client_info.host, "127.0.0.1");
    assert_eq!(
        (request.client_info.kind.as_str(), request.client_info.name.as_str()),
        ("Client", "app")
    );
    let options = &request.connect_opts;
    assert_eq!((options.user.as_str(), options.pass.as_str()), ("joe", "secret"));
    assert!(asked.reply.starts_with("$SYS._INBOX."), "{}", asked.reply);
    service.grant(&asked, |claims| {
        claims.base.audience = "APP".to_owned();
        claims.base.name = "joseph".to_owned();
        claims.user.permissions.publish.deny = Some(vec!["no".to_owned()]);
    });
    assert_eq!(user.until_pong(), Vec::<String>::new());
    assert_eq!(user.info["remote_account"], "APP");
    user.send("PUB no 0\r\n\r\n");
    assert_eq!(user.sync(), ["-ERR 'Permissions Violation for Publish to \"no\"'"]);
    let connz = server.monitor("/connz?auth=1&acc=APP");
    assert_eq!(connz["connections"][0]["authorized_user"], "joseph");
}

#[test]
fn refusals_and_answers_that_make_no_sense_end_the_connection() {
    let issuer = KeyPair::new_account();
    let server = server(&issuer, "");
    let mut service = Service::new(&server, issuer, AUTH);
    let mut events = accepted(&server, AUTH);
    events.send("SUB $SYS.ACCOUNT.CLIENT.AUTH.ERR 1\r\n");
    events.expect_nothing();
    let mut user = login(&server, r#""user":"joe""#);
    let asked = service.next();
    service.refuse(&asked, "not you");
    refused_by(&mut user);
    let event: serde_json::Value = serde_json::from_slice(&events.message().1).expect("JSON");
    assert_eq!(event["reason"], "Auth callout service returned an error: not you");
    let mut user = login(&server, r#""user":"joe""#);
    let asked = service.next();
    service.grant(&asked, |claims| {
        claims.base.audience = "APP".to_owned();
        claims.user.proxy_required = true;
    });
    refused_by(&mut user);
    let event: serde_json::Value = serde_json::from_slice(&events.message().1).expect("JSON");
    assert_eq!(event["reason"], "Proxy connection required");
    server.wait_for_log("Auth callout service returned an error: not you");
    let mut user = login(&server, r#""auth_token":"t""#);
    let asked = service.next();
    assert_eq!(asked.request.client_info.user, "[REDACTED]");
    assert_eq!(asked.request.connect_opts.auth_token, "t");
    service.send(&asked, b"");
    refused_by(&mut user);
    server.wait_for_log("Auth callout violation: \"no reason supplied\" on account \"AUTH\"");
    let mut user = login(&server, "");
    let asked = service.next();
    service.send(&asked, b"nonsense");
    refused_by(&mut user);
    let mut user = login(&server, "");
    let asked = service.next();
    service.grant(&asked, |claims| claims.base.audience = "NOWHERE".to_owned());
    refused_by(&mut user);
    server.wait_for_log(
        "No valid account \"NOWHERE\" for auth callout response on account \"AUTH\": account missing",
    );
    service.wire.expect_nothing();
}

#[test]
fn a_wrong_password_is_the_services_business_unless_it_is_its_own_users() {
    let issuer = KeyPair::new_account();
    let server = server(&issuer, "");
    crate::refused(&server, r#""user":"auth","pass":"wrong""#);
    let mut service = Service::new(&server, issuer, AUTH);
    let mut user = login(&server, r#""user":"app","pass":"wrong""#);
    let asked = service.next();
    service.grant(&asked, |claims| claims.base.audience = "OTHER".to_owned());
    user.until_pong();
    // And so is a right one.
    let mut user = login(&server, r#""user":"app","pass":"pw""#);
    let asked = service.next();
    service.refuse(&asked, "no");
    refused_by(&mut user);
}

#[test]
fn accounts_that_are_not_the_services_decide_for_themselves() {
    let issuer = KeyPair::new_account();
    let server = server(&issuer, ", allowed_accounts: [ OTHER ]");
    let mut service = Service::new(&server, issuer, AUTH);
    accepted(&server, r#""user":"app","pass":"pw""#);
    service.wire.expect_nothing();
    let mut user = login(&server, r#""user":"app","pass":"wrong""#);
    let asked = service.next();
    service.refuse(&asked, "no");
    refused_by(&mut user);
}

#[test]
fn nobody_but_the_server_asks_the_service() {
    let issuer = KeyPair::new_account();
    let server = server(&issuer, "");
    let mut service = Service::new(&server, issuer, AUTH);
    service.wire.send("PUB $SYS.REQ.USER.AUTH 0\r\n\r\n");
    let violation = "-ERR 'Permissions Violation for Publish to \"$SYS.REQ.USER.AUTH\"'";
    assert_eq!(service.wire.sync(), [violation]);
    let mut user = login(&server, "");
    let asked = service.next();
    service.grant(&asked, |claims| claims.base.audience = "AUTH".to_owned());
    user.until_pong();
    user.send("PUB $SYS.REQ.USER.AUTH 0\r\n\r\n");
    assert_eq!(user.sync(), [violation]);
}

#[test]
fn a_service_that_does_not_answer_in_time_lets_nobody_in() {
    let issuer = KeyPair::new_account();
    let server = server(&issuer, "");
    // Nobody listens at all, or nobody answers.
    refused_by(&mut login(&server, ""));
    server.wait_for_log("Authorization callout response not received in time on account \"AUTH\"");
    let mut service = Service::new(&server, issuer, AUTH);
    let mut events = accepted(&server, AUTH);
    events.send("SUB $SYS.ACCOUNT.CLIENT.AUTH.ERR 1\r\n");
    events.expect_nothing();
    let mut user = login(&server, r#""user":"joe""#);
    let asked = service.next();
    refused_by(&mut user);
    // An answer that comes too late is nobody's.
    service.grant(&asked, |claims| claims.base.audience = "APP".to_owned());
    service.wire.expect_nothing();
    let (_, body) = events.message();
    let event: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((&event["client"]["user"], &event["reason"]), (&"joe".into(), &"".into()));
}

#[test]
fn requests_and_answers_are_sealed_where_a_key_is_configured() {
    let issuer = KeyPair::new_account();
    let xkey = XKey::new();
    let server = server(&issuer, &format!(", xkey: {}", xkey.public_key()));
    let mut service = Service::new(&server, issuer, AUTH);
    service.xkey = Some(xkey);
    let mut user = login(&server, r#""user":"joe""#);
    let asked = service.next();
    assert_eq!(asked.server_xkey.as_deref(), user.info["xkey"].as_str());
    assert_eq!(asked.request.server_id.xkey, user.info["xkey"].as_str().expect("a key"));
    service.grant(&asked, |claims| claims.base.audience = "APP".to_owned());
    assert_eq!(user.until_pong(), Vec::<String>::new());
    // What is sealed for somebody else is not opened; what is not sealed is taken.
    let mut user = login(&server, "");
    let asked = service.next();
    service.send(&asked, &[b'x'; 100]);
    refused_by(&mut user);
    server.wait_for_log("Error decrypting auth callout response on account \"AUTH\"");
    service.xkey = None;
    let mut user = login(&server, "");
    let (line, _) = service.wire.message();
    assert!(line.starts_with("HMSG "), "{line}");
    user.expect_error("Authorization Violation");
}

#[test]
fn the_time_the_service_gives_a_user_ends() {
    let issuer = KeyPair::new_account();
    let server = server(&issuer, "");
    let mut service = Service::new(&server, issuer, AUTH);
    let mut user = server.connect();
    user.answer_pings();
    user.send(connect_line(""));
    let asked = service.next();
    service.grant(&asked, |claims| {
        claims.base.audience = "APP".to_owned();
        claims.base.expires = now() + 2;
    });
    user.until_pong();
    user.expect_error("User Authentication Expired");
    user.expect_close();
}

#[test]
fn commands_behind_connect_wait_for_the_answer() {
    let issuer = KeyPair::new_account();
    let server = server(&issuer, "");
    let mut service = Service::new(&server, issuer, AUTH);
    let mut user = server.connect();
    user.send(format!("{}SUB a 1\r\nPUB a 2\r\nhi\r\nPING\r\n", connect_line("")));
    let asked = service.next();
    service.grant(&asked, |claims| claims.base.audience = "APP".to_owned());
    assert_eq!(user.until_pong(), Vec::<String>::new());
    assert_eq!(user.until_pong(), ["MSG a 1 2", "hi"]);
}

#[test]
fn a_connection_that_need_not_authenticate_is_delegated_before_its_first_command() {
    let issuer = KeyPair::new_account();
    let server = Server::start(&format!(
        "accounts {{ AUTH {{ users = [ {{user: auth, password: pw}} ] }}, \
         APP {{ users = [ {{user: app, password: pw}} ] }} }}\nno_auth_user: app\n\
         authorization {{ timeout: 1s, auth_callout {{ issuer: {}, account: AUTH, \
         auth_users: [ auth ] }} }}\n",
        issuer.public_key()
    ));
    let mut service = Service::new(&server, issuer, AUTH);
    let mut user = server.connect();
    user.send("PING\r\n");
    let asked = service.next();
    service.send(&asked, b"");
    refused_by(&mut user);
    let mut user = server.connect();
    user.send("PING\r\n");
    let asked = service.next();
    service.grant(&asked, |claims| {
        claims.base.audience = "APP".to_owned();
        claims.base.expires = now() + 2;
    });
    user.answer_pings();
    user.until_pong();
    user.expect_error("User Authentication Expired");
    user.expect_close();
}

mod with_operators {
    use super::*;
    use data_encoding::BASE64URL_NOPAD;
    use nats_server::jwt::{AccountClaims, OperatorClaims};

    /// A user's key and token.
    struct Token {
        key: KeyPair,
        jwt: String,
    }

    fn token(account: &KeyPair, edit: impl FnOnce(&mut UserClaims)) -> Token {
        let key = KeyPair::new_user();
        let mut claims = UserClaims::new(&key.public_key());
        edit(&mut claims);
        let jwt = claims.encode(account, now()).expect("claims");
        Token { key, jwt }
    }

    fn login_with(server: &Server, token: &Token, more: &str) -> Wire {
        let mut wire = server.connect();
        wire.answer_pings();
        let nonce = wire.info["nonce"].as_str().expect("a nonce").to_owned();
        let signature = BASE64URL_NOPAD.encode(&token.key.sign(nonce.as_bytes()).expect("signs"));
        let jwt = &token.jwt;
        wire.send(connect_line(&format!(
            r#""jwt":"{jwt}","sig":"{signature}","headers":true{more}"#
        )));
        wire
    }

    struct World {
        server: Server,
        service: Service,
        sentinel: Token,
        app: KeyPair,
    }

    fn world(allowed: bool) -> World {
        let operator = KeyPair::new_operator();
        let (system, auth, app) =
            (KeyPair::new_account(), KeyPair::new_account(), KeyPair::new_account());
        let mut op = OperatorClaims::default();
        op.base.subject = operator.public_key();
        let op = op.encode(&operator, now()).expect("claims");
        let user = token(&auth, |_| {});
        let mut claims = AccountClaims::new(&auth.public_key());
        claims.account.authorization.auth_users = vec![user.key.public_key()];
        if allowed {
            claims.account.authorization.allowed_accounts = vec![app.public_key()];
        }
        let line = |key: &KeyPair, claims: &AccountClaims| {
            format!("{}: {}\n", key.public_key(), claims.encode(&operator, now()).expect("claims"))
        };
        let plain = |key: &KeyPair| line(key, &AccountClaims::new(&key.public_key()));
        let server = Server::start(&format!(
            "operator: {op}\nsystem_account: {}\nresolver: MEMORY\n\
             resolver_preload: {{ {}{}{} }}\n",
            system.public_key(),
            plain(&system),
            plain(&app),
            line(&auth, &claims)
        ));
        let mut wire = login_with(&server, &user, "");
        assert_eq!(wire.until_pong(), Vec::<String>::new());
        wire.send("SUB $SYS.REQ.USER.AUTH 1\r\n");
        wire.expect_nothing();
        let sentinel = token(&auth, |claims| claims.base.name = "sentinel".to_owned());
        let service = Service { wire, issuer: auth, xkey: None };
        World { server, service, sentinel, app }
    }

    /// Grants with a token that the target account signs.
    fn grant(world: &mut World, asked: &Asked) {
        let mut claims = UserClaims::new(&asked.request.user_nkey);
        claims.base.name = "joe".to_owned();
        let jwt = claims.encode(&world.app, now()).expect("claims");
        let response = AuthorizationResponse { jwt, ..world.service.response(asked) };
        world.service.answer(asked, &response);
    }

    #[test]
    fn the_account_of_the_token_names_the_service() {
        let mut world = world(true);
        let mut user = login_with(&world.server, &world.sentinel, r#","protocol":1,"user":"joe""#);
        let asked = world.service.next();
        assert_eq!(asked.request.client_info.name_tag, "sentinel");
        assert_eq!(asked.request.connect_opts.jwt, world.sentinel.jwt);
        assert_eq!(asked.request.base.subject, world.service.issuer.public_key());
        // The account into which the user is put is fetched for it.
        grant(&mut world, &asked);
        assert_eq!(user.until_pong(), Vec::<String>::new());
        assert_eq!(user.info["remote_account"], world.app.public_key());
        world.service.wire.expect_nothing();
    }

    #[test]
    fn a_service_puts_users_only_where_it_may() {
        let mut world = world(false);
        let mut user = login_with(&world.server, &world.sentinel, "");
        let asked = world.service.next();
        grant(&mut world, &asked);
        user.expect_error("Authorization Violation");
        world.server.wait_for_log("not permitted as valid account option for auth callout");
        let mut user = login_with(&world.server, &world.sentinel, r#","protocol":1"#);
        let asked = world.service.next();
        world.service.grant(&asked, |_| {});
        assert_eq!(user.until_pong(), Vec::<String>::new());
        assert_eq!(user.info["remote_account"], world.service.issuer.public_key());
        user.send("PUB $SYS.REQ.USER.AUTH 0\r\n\r\n");
        user.expect_error("Permissions Violation for Publish to \"$SYS.REQ.USER.AUTH\"");
    }
}

mod users;
