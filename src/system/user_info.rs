//! What a user is told about itself (spec 03 §12.5).

use crate::client::ClientShared;
use crate::config::options::auth::{Permissions, SubjectPermission};
use crate::server::Server;
use serde::Serialize;
use std::time::{Duration, SystemTime};

#[derive(Serialize)]
struct Lists {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allow: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deny: Vec<String>,
}

impl Lists {
    fn of(permission: Option<&SubjectPermission>) -> Lists {
        let allow = permission.and_then(|p| p.allow.clone()).unwrap_or_default();
        let deny = permission.map(|p| p.deny.clone()).unwrap_or_default();
        Lists { allow, deny }
    }
}

#[derive(Serialize)]
struct Responses {
    max: i64,
    /// Nanoseconds.
    ttl: i64,
}

#[derive(Serialize)]
struct Shown {
    publish: Lists,
    subscribe: Lists,
    #[serde(skip_serializing_if = "Option::is_none")]
    responses: Option<Responses>,
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

impl Shown {
    fn of(permissions: &Permissions) -> Shown {
        let responses = permissions.responses.map(|responses| Responses {
            max: responses.max_messages,
            ttl: responses.expires.map_or(-1, nanos),
        });
        Shown {
            publish: Lists::of(permissions.publish.as_ref()),
            subscribe: Lists::of(permissions.subscribe.as_ref()),
            responses,
        }
    }
}

/// The answer.
#[derive(Serialize)]
pub(super) struct UserInfo {
    user: String,
    account: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    account_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    user_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Shown>,
    /// Nanoseconds, in whole seconds.
    #[serde(skip_serializing_if = "is_zero")]
    expires: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref)] // Serde asks so.
fn is_zero(n: &i64) -> bool {
    *n == 0
}

impl UserInfo {
    /// About the user of a connection.
    pub fn of(server: &Server, client: &ClientShared) -> UserInfo {
        let details = client.details();
        let left = details.expires.and_then(|at| at.duration_since(SystemTime::now()).ok());
        let account = server.account(&details.account);
        UserInfo {
            user: details.user,
            account_name: account.map(|account| account.name_tag()).unwrap_or_default(),
            account: details.account,
            user_name: details.user_name,
            permissions: client.permissions().map(|p| Shown::of(p.configured())),
            expires: left.map_or(0, |left| nanos(Duration::from_secs(left.as_secs()))),
        }
    }
}
