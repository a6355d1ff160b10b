//! What the service is told of a connection (spec 03 §26.3).

use crate::client::{ClientShared, ConnectOptions};
use crate::jwt::Base;
use crate::jwt::authorization::{
    AuthorizationRequest, ClientInformation, ConnectInformation, ServerId, TlsInformation,
};
use crate::server::Server;
use data_encoding::BASE64;

/// What the connection's reactor knows and the thread that asks does not.
#[derive(Clone, Debug)]
pub struct Presented {
    /// What it sent.
    pub options: ConnectOptions,
    /// The challenge in its INFO.
    pub nonce: String,
    /// As whom it presents itself.
    pub user: String,
    /// The name and the tags of the user of its token.
    pub name_tag: String,
    /// See `name_tag`.
    pub tags: Vec<String>,
}

/// A request about a connection. `subject` is who is expected to answer, `user_key` the key under
/// which the user is to be known, and times are seconds since the epoch.
#[must_use]
pub fn build(
    server: &Server,
    client: &ClientShared,
    presented: &Presented,
    subject: &str,
    user_key: &str,
    expires: i64,
    sealed: bool,
) -> AuthorizationRequest {
    let info = server.info();
    let o = &presented.options;
    let some = |is: bool, text: &str| if is { text.to_owned() } else { String::new() };
    AuthorizationRequest {
        base: Base {
            subject: subject.to_owned(),
            audience: "nats-authorization-request".to_owned(),
            expires,
            ..Base::default()
        },
        server_id: ServerId {
            name: info.server_name.clone(),
            host: info.host.clone(),
            id: info.server_id.clone(),
            version: info.version.to_owned(),
            cluster: info.cluster.clone(),
            tags: server.options().server_tags.clone(),
            xkey: some(sealed, server.identity.xkey_public()),
        },
        user_nkey: user_key.to_owned(),
        client_info: ClientInformation {
            host: client.peer().ip().to_canonical().to_string(),
            id: client.cid,
            user: presented.user.clone(),
            name: o.name.clone(),
            tags: presented.tags.clone(),
            name_tag: presented.name_tag.clone(),
            kind: "Client".to_owned(),
            client_type: "nats".to_owned(),
            mqtt_id: String::new(),
            nonce: some(!o.sig.is_empty(), &presented.nonce),
        },
        connect_opts: ConnectInformation {
            jwt: o.jwt.clone(),
            nkey: o.nkey.clone(),
            sig: o.sig.clone(),
            auth_token: o.auth_token.clone(),
            user: o.user.clone(),
            pass: o.pass.clone(),
            name: o.name.clone(),
            lang: o.lang.clone(),
            version: o.version.clone(),
            protocol: o.protocol,
        },
        client_tls: tls(server, client),
    }
}

fn tls(server: &Server, client: &ClientShared) -> Option<TlsInformation> {
    let state = client.tls()?;
    let certificates: Vec<String> = state.presented.iter().map(|der| pem(der)).collect();
    let verified = server.tls().is_some_and(|tls| tls.verify);
    let mut information = TlsInformation {
        version: state.version.to_owned(),
        cipher: state.cipher_suite.clone(),
        ..TlsInformation::default()
    };
    if verified && !certificates.is_empty() {
        information.verified_chains = vec![certificates];
    } else {
        information.certs = certificates;
    }
    Some(information)
}

fn pem(der: &[u8]) -> String {
    const LINE: usize = 64;
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let encoded = BASE64.encode(der);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::pem;

    #[test]
    fn certificates_are_written_in_lines_of_64_characters() {
        let text = pem(&[0; 49]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!((lines[1].len(), lines[2].len()), (64, 4));
        assert_eq!(lines[2], "AA==");
    }
}
