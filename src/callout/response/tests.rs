//! Answers of a service, good and bad.

use super::*;
use crate::account::AccountLimits;
use crate::jwt::{AuthorizationResponse, Base};
use nkeys::KeyPair;

const NOW: i64 = 1_700_000_000;

struct Case {
    service: KeyPair,
    server: KeyPair,
    user: KeyPair,
}

impl Case {
    fn new() -> Case {
        Case {
            service: KeyPair::new_account(),
            server: KeyPair::new_server(),
            user: KeyPair::new_user(),
        }
    }

    fn user(&self) -> UserClaims {
        let mut claims = UserClaims::new(&self.user.public_key());
        claims.base.audience = "APP".to_owned();
        claims
    }

    fn response(&self, user: &UserClaims) -> AuthorizationResponse {
        AuthorizationResponse {
            base: Base {
                subject: self.user.public_key(),
                audience: self.server.public_key(),
                ..Base::default()
            },
            jwt: user.encode(&self.service, NOW).unwrap(),
            ..AuthorizationResponse::default()
        }
    }

    fn judge_as(
        &self,
        response: &AuthorizationResponse,
        authority: Authority<'_>,
    ) -> Result<String, String> {
        let body = response.encode(&self.service, NOW).unwrap();
        self.judge_bytes(body.as_bytes(), None, authority)
    }

    fn judge_bytes(
        &self,
        body: &[u8],
        open: Option<Open<'_>>,
        authority: Authority<'_>,
    ) -> Result<String, String> {
        let (user_key, server_id) = (self.user.public_key(), self.server.public_key());
        let expected = Expectation {
            account: "AUTH",
            user_key: &user_key,
            server_id: &server_id,
            authority,
            proxy_required: false,
            trusted_proxy: false,
            now: Timestamp::from_second(NOW).unwrap(),
        };
        judge(body, open, &expected).map(|j| j.placement).map_err(|r| r.text)
    }

    fn judge(&self, response: &AuthorizationResponse) -> Result<String, String> {
        self.judge_as(response, Authority::Issuer(&self.service.public_key()))
    }
}

#[test]
fn a_good_answer_names_the_account() {
    let case = Case::new();
    assert_eq!(case.judge(&case.response(&case.user())), Ok("APP".to_owned()));
}

#[test]
fn answers_that_do_not_fit_are_refused_with_the_reason() {
    let case = Case::new();
    let other = KeyPair::new_user().public_key();
    let refused = |edit: &dyn Fn(&mut AuthorizationResponse, &mut UserClaims), text: &str| {
        let mut user = case.user();
        let mut response = case.response(&user);
        edit(&mut response, &mut user);
        if user != case.user() {
            response.jwt = user.encode(&case.service, NOW).unwrap();
        }
        assert_eq!(case.judge(&response), Err(text.to_owned()));
    };
    refused(
        &|r, _| r.base.subject.clone_from(&other),
        "Auth callout violation: auth callout response is not for expected user",
    );
    refused(
        &|r, _| r.base.audience = KeyPair::new_server().public_key(),
        "Auth callout violation: auth callout response is not for server",
    );
    refused(
        &|r, _| r.base.audience = "x".to_owned(),
        "Authorization response had validation errors: Audience must be a server public key",
    );
    refused(
        &|r, _| r.jwt = String::new(),
        "Authorization response had validation errors: Error or Jwt is required",
    );
    refused(
        &|r, _| r.error = "no".to_owned(),
        "Authorization response had validation errors: Only Error or Jwt can be set",
    );
    refused(
        &|r, _| (r.jwt, r.error) = (String::new(), "no".to_owned()),
        "Auth callout service returned an error: no",
    );
    refused(
        &|r, _| r.base.expires = NOW - 5,
        "Authorization response had validation errors: claim is expired",
    );
    refused(&|r, _| r.jwt = "x".to_owned(), "Expected 3 chunks");
    refused(
        &|_, u| u.base.subject.clone_from(&other),
        &format!(
            "Expected authorized user of \"{}\" but got \"{other}\" on account \"AUTH\"",
            case.user.public_key()
        ),
    );
    refused(&|_, u| u.base.expires = NOW - 1, "Error validating user JWT: claim is expired");
    refused(&|_, u| u.user.proxy_required = true, "Proxy connection required");
    refused(
        &|_, u| u.user.allowed_connection_types = Some(vec!["X".to_owned()]),
        "Authorized user on account \"AUTH\" using invalid connection type",
    );
    let range = crate::jwt::user::TimeRange { start: "00:00:00".into(), end: "00:00:00".into() };
    refused(
        &|_, u| u.user.times = Some(vec![range.clone()]),
        "Authorized user on account \"AUTH\" outside of valid connect times",
    );
    refused(
        &|_, u| u.issuer_account = KeyPair::new_account().public_key(),
        "Error non operator mode account \"AUTH\": attempted to use issuer_account",
    );
    assert_eq!(
        case.judge_bytes(b"", None, Authority::Issuer("A")),
        Err("Auth callout violation: \"no reason supplied\" on account \"AUTH\"".to_owned())
    );
    let response = case.response(&case.user());
    assert_eq!(
        case.judge_as(&response, Authority::Issuer("AX")),
        Err(format!(
            "Wrong issuer for auth callout response on account \"AUTH\", expected \"AX\" got \
             \"{}\"",
            case.service.public_key()
        ))
    );
}

#[test]
fn a_sealed_answer_is_opened() {
    let case = Case::new();
    let body = case.response(&case.user()).encode(&case.service, NOW).unwrap();
    let issuer = case.service.public_key();
    let good: Open<'_> = &|sealed: &[u8]| {
        assert_eq!(sealed, b"sealed");
        Ok(body.clone().into_bytes())
    };
    let judged = case.judge_bytes(b"sealed", Some(good), Authority::Issuer(&issuer));
    assert_eq!(judged, Ok("APP".to_owned()));
    // One that is not sealed is taken as it is.
    let never: Open<'_> = &|_| Err("no".to_owned());
    let judged = case.judge_bytes(body.as_bytes(), Some(never), Authority::Issuer(&issuer));
    assert_eq!(judged, Ok("APP".to_owned()));
    assert_eq!(
        case.judge_bytes(b"sealed", Some(never), Authority::Issuer(&issuer)),
        Err("Error decrypting auth callout response on account \"AUTH\": no".to_owned())
    );
}

#[test]
fn with_claims_the_account_or_a_key_of_it_answers() {
    let case = Case::new();
    let me = case.service.public_key();
    let mut trust = Trust::default();
    let response = case.response(&case.user());
    let refused = case.judge_as(&response, Authority::Account(&trust, &[]));
    assert_eq!(refused, Err("Auth callout signing key is unknown".to_owned()));
    trust.signing_keys.insert(me.clone(), None);
    let text = format!(
        "Account \"{me}\" not permitted as valid account option for auth callout for account \
         \"AUTH\""
    );
    assert_eq!(case.judge_as(&response, Authority::Account(&trust, &[])), Err(text));
    for allowed in ["*".to_owned(), me.clone()] {
        let judged = case.judge_as(&response, Authority::Account(&trust, &[allowed]));
        assert_eq!(judged, Ok(me.clone()));
    }
}

#[test]
fn the_user_has_the_permissions_of_its_token_and_no_other_limits() {
    let case = Case::new();
    let account = Arc::new(Account::new("APP", AccountLimits::default(), false));
    let mut claims = case.user();
    claims.user.permissions.publish.allow = Some(vec!["x".to_owned()]);
    claims.user.max_subscriptions = 1;
    claims.base.expires = NOW + 10;
    let now = Timestamp::from_second(NOW).unwrap();
    let user = place(claims, account, now).ok().unwrap();
    assert!(user.permissions.as_ref().is_some_and(|p| p.may_publish(b"x") && !p.may_publish(b"y")));
    let token = user.token.unwrap();
    assert_eq!((token.max_subscriptions, token.max_payload), (-1, -1));
    assert_eq!(token.valid_for, Some(std::time::Duration::from_secs(10)));
}

#[test]
fn with_claims_the_users_signer_must_be_one_of_the_accounts() {
    let case = Case::new();
    let account = Arc::new(Account::new("APP", AccountLimits::default(), false));
    account.set_trust(Trust::default());
    let claims = decode_user(&case.user().encode(&case.service, NOW).unwrap()).unwrap();
    let now = Timestamp::from_second(NOW).unwrap();
    let refused = place(claims, account, now).err().unwrap();
    assert_eq!(
        refused.text,
        format!("User JWT issuer \"{}\" is not known", case.service.public_key())
    );
}
