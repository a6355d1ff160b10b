//! Operators, accounts and users for tests: keys, claims, and servers that know them.

use crate::connect_line;
use crate::support::{Server, Wire};
use data_encoding::BASE64URL_NOPAD;
use nats_server::jwt::{AccountClaims, OperatorClaims, UserClaims};
use nkeys::KeyPair;
use std::time::{SystemTime, UNIX_EPOCH};

pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after the epoch");
    i64::try_from(since.as_secs()).expect("before its end")
}

/// An operator with a system account.
pub struct Realm {
    /// When the operator's claims were issued: they stay the same.
    pub born: i64,
    pub operator: KeyPair,
    pub system: Tenant,
    pub claims: OperatorClaims,
}

/// An account and its key.
pub struct Tenant {
    pub key: KeyPair,
    pub claims: AccountClaims,
}

impl Tenant {
    pub fn new(name: &str) -> Tenant {
        let key = KeyPair::new_account();
        let mut claims = AccountClaims::new(&key.public_key());
        claims.base.name = name.to_owned();
        Tenant { key, claims }
    }

    pub fn id(&self) -> String {
        self.key.public_key()
    }

    /// A new user without restrictions.
    pub fn user(&self) -> Credentials {
        self.user_with(|_| {})
    }

    pub fn user_with(&self, edit: impl FnOnce(&mut UserClaims)) -> Credentials {
        let key = KeyPair::new_user();
        let mut claims = UserClaims::new(&key.public_key());
        edit(&mut claims);
        let jwt = claims.encode(&self.key, now()).expect("claims");
        Credentials { key, jwt }
    }
}

/// What a user connects with.
pub struct Credentials {
    pub key: KeyPair,
    pub jwt: String,
}

impl Credentials {
    pub fn id(&self) -> String {
        self.key.public_key()
    }

    /// Connects, and sends CONNECT and PING.
    pub fn login(&self, server: &Server) -> Wire {
        let mut wire = server.connect();
        let nonce = wire.info["nonce"].as_str().expect("a nonce").to_owned();
        let signature = self.key.sign(nonce.as_bytes()).expect("signs");
        let signature = BASE64URL_NOPAD.encode(&signature);
        let jwt = &self.jwt;
        let members = format!(
            r#""jwt":"{jwt}","sig":"{signature}","headers":true,"no_responders":true,"protocol":1"#
        );
        wire.answer_pings();
        wire.send(connect_line(&members));
        wire
    }

    pub fn accepted(&self, server: &Server) -> Wire {
        let mut wire = self.login(server);
        assert_eq!(wire.until_pong(), Vec::<String>::new());
        wire
    }

    pub fn refused(&self, server: &Server) {
        let mut wire = self.login(server);
        wire.expect_error("Authorization Violation");
        wire.expect_close();
    }
}

impl Realm {
    pub fn new() -> Realm {
        let operator = KeyPair::new_operator();
        let mut claims = OperatorClaims::default();
        claims.base.subject = operator.public_key();
        claims.base.name = "op".to_owned();
        Realm { born: now(), operator, system: Tenant::new("SYS"), claims }
    }

    pub fn token(&self, tenant: &Tenant) -> String {
        tenant.claims.encode(&self.operator, now()).expect("claims")
    }

    /// Operator and system account.
    pub fn head(&self) -> String {
        let jwt = self.claims.encode(&self.operator, self.born).expect("claims");
        format!("debug: true\noperator: {jwt}\nsystem_account: {}\n", self.system.id())
    }

    pub fn preload(&self, tenants: &[&Tenant]) -> String {
        let lines: Vec<String> =
            tenants.iter().map(|t| format!("{}: {}", t.id(), self.token(t))).collect();
        format!("resolver_preload: {{ {} }}\n", lines.join("\n"))
    }

    pub fn memory(&self, tenants: &[&Tenant]) -> String {
        let mut all = vec![&self.system];
        all.extend(tenants);
        format!("{}resolver: MEMORY\n{}", self.head(), self.preload(&all))
    }

    /// A server that knows these accounts.
    pub fn server(&self, tenants: &[&Tenant]) -> Server {
        Server::start(&self.memory(tenants))
    }

    /// A user of the system account that takes answers.
    pub fn admin(&self, server: &Server) -> Admin {
        let mut wire = self.system.user().accepted(server);
        wire.send("SUB answers.> 1\r\n");
        wire.expect_nothing();
        Admin { wire }
    }
}

pub struct Admin {
    pub wire: Wire,
}

impl Admin {
    pub fn ask(&mut self, subject: &str, body: &str) -> Vec<u8> {
        self.wire.send(format!("PUB {subject} answers.1 {}\r\n{body}\r\n", body.len()));
        self.wire.message().1
    }

    pub fn ask_json(&mut self, subject: &str, body: &str) -> serde_json::Value {
        let answer = self.ask(subject, body);
        serde_json::from_slice(&answer).expect("JSON")
    }

    /// Sends claims of an account to the server, which takes them.
    pub fn push(&mut self, realm: &Realm, tenant: &Tenant) {
        let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", tenant.id());
        let answer = self.ask_json(&subject, &realm.token(tenant));
        assert_eq!(answer["data"]["message"], "jwt updated", "{answer}");
        assert_eq!(answer["data"]["account"], tenant.id());
        assert_eq!(answer["data"]["code"], 200);
    }
}

/// What comes of a message from one user to another.
pub fn reaches(from: &mut Wire, to: &mut Wire, subject: &str) -> bool {
    to.send(format!("SUB {subject} 77\r\n"));
    to.expect_nothing();
    from.send(format!("PUB {subject} 1\r\nx\r\n"));
    from.sync();
    let got = to.sync();
    to.send("UNSUB 77\r\n");
    got.iter().any(|line| line.starts_with("MSG "))
}
