//! Reading `authorization {}`, users and permissions (spec 02 §5.7).

use super::account::GLOBAL_ACCOUNT;
use super::auth::{
    AuthCallout, ConnectionType, ConnectionTypes, NkeyUser, Permissions, ResponsePermission,
    SubjectPermission, User,
};
use crate::config::lang::{Kind, Value};
use crate::config::load::{Loader, array, boolean, integer, string, table};
use crate::config::permissions;
use crate::config::report::Diagnostic;
use crate::config::secret::Secret;
use crate::config::text::{self, quote, quote_list};
use crate::nkey::{self, KeyType};
use std::sync::Arc;
use std::time::Duration;

/// An `authorization {}` block.
#[derive(Default)]
pub(super) struct Authorization {
    pub username: String,
    pub password: Secret,
    pub token: Secret,
    pub timeout: Duration,
    /// `None` without a `users` key, even an empty one.
    pub users: Option<UserList>,
    pub default_permissions: Option<Arc<Permissions>>,
    pub callout: Option<AuthCallout>,
    pub proxy_required: bool,
}

/// The `users` of a block.
#[derive(Default)]
pub(super) struct UserList {
    pub users: Vec<User>,
    pub nkeys: Vec<NkeyUser>,
}

impl UserList {
    /// Gives the permissions to users that have none of their own.
    pub fn apply_default_permissions(&mut self, permissions: Option<&Arc<Permissions>>) {
        let all = self
            .users
            .iter_mut()
            .map(|user| &mut user.permissions)
            .chain(self.nkeys.iter_mut().map(|user| &mut user.permissions));
        for own in all.filter(|own| own.is_none()) {
            *own = permissions.cloned();
        }
    }
}

/// The block of a WebSocket or MQTT listener.
#[derive(Default)]
pub(super) struct SimpleAuthorization {
    pub username: String,
    pub password: Secret,
    pub token: Secret,
    pub timeout: Duration,
}

impl Loader<'_> {
    pub(super) fn authorization(&mut self, block: &Value) -> Result<Authorization, Diagnostic> {
        let mut auth = Authorization::default();
        for (key, value) in table(block)?.iter() {
            match key.to_lowercase().as_str() {
                "user" | "username" => auth.username = string(value)?,
                "pass" | "password" => auth.password = string(value)?.into(),
                "token" => auth.token = string(value)?.into(),
                "timeout" => {
                    auth.timeout = self.auth_timeout("authorization", key, value)?;
                }
                "users" => {
                    let users = self.users(value);
                    auth.users = self.ok(users);
                }
                "default_permission" | "default_permissions" | "permissions" => {
                    auth.default_permissions = self.permissions(value).map(Arc::new);
                }
                "auth_callout" | "auth_hook" => {
                    let callout = self.auth_callout(value);
                    auth.callout = self.ok(callout);
                }
                "proxy_required" => auth.proxy_required = boolean(value)?,
                _ => self.unknown(key, value),
            }
        }
        if let Some(users) = &mut auth.users {
            users.apply_default_permissions(auth.default_permissions.as_ref());
        }
        Ok(auth)
    }

    /// An `authorization {}` block with nothing but one user or token. Errors end it.
    pub(super) fn simple_authorization(&mut self, block: &Value) -> SimpleAuthorization {
        let mut auth = SimpleAuthorization::default();
        let result = self.simple_authorization_into(&mut auth, block);
        self.ok(result);
        auth
    }

    fn simple_authorization_into(
        &mut self,
        auth: &mut SimpleAuthorization,
        block: &Value,
    ) -> Result<(), Diagnostic> {
        for (key, value) in table(block)?.iter() {
            match key.to_lowercase().as_str() {
                "user" | "username" => auth.username = string(value)?,
                "pass" | "password" => auth.password = string(value)?.into(),
                "token" => auth.token = string(value)?.into(),
                "timeout" => {
                    // Anything but a number stands for one second.
                    #[expect(clippy::cast_precision_loss)]
                    let timeout = match value.kind {
                        Kind::Integer(number) => number as f64,
                        Kind::Float(number) => number,
                        _ => 1.0,
                    };
                    auth.timeout = text::seconds(timeout);
                }
                _ => self.unknown(key, value),
            }
        }
        Ok(())
    }

    pub(super) fn users(&mut self, value: &Value) -> Result<UserList, Diagnostic> {
        let Some(items) = value.as_array() else {
            let text = format!("Expected users field to be an array, got {value}");
            return Err(Diagnostic::at(value, text));
        };
        let mut list = UserList::default();
        for item in items {
            if item.as_table().is_none() {
                self.error(item, format!("Expected user entry to be a map/struct, got {item}"));
                continue;
            }
            self.user(&mut list, item)?;
        }
        Ok(list)
    }

    fn user(&mut self, list: &mut UserList, entry: &Value) -> Result<(), Diagnostic> {
        let mut user = User::default();
        let mut nkey = String::new();
        let mut last = entry;
        for (key, value) in table(entry)?.iter() {
            last = value;
            match key.to_lowercase().as_str() {
                "nkey" => nkey = string(value)?,
                "user" | "username" => user.username = string(value)?,
                "pass" | "password" => user.password = string(value)?.into(),
                "permission" | "permissions" | "authorization" => {
                    user.permissions = self.permissions(value).map(Arc::new);
                }
                "allowed_connection_types" | "connection_types" | "clients" => {
                    user.allowed_connection_types = self.connection_types(value);
                }
                "proxy_required" => user.proxy_required = boolean(value)?,
                _ => self.unknown(key, value),
            }
        }
        let fail = |text: &str| Err(Diagnostic::at(last, text));
        if nkey.is_empty() {
            if user.username.is_empty() {
                return fail("User entry requires a user");
            }
            list.users.push(user);
            return Ok(());
        }
        if !nkey::is_public(KeyType::User, &nkey) {
            return fail("Not a valid public nkey for a user");
        }
        if !user.username.is_empty() || !user.password.is_empty() {
            return fail("Nkey users do not take usernames or passwords");
        }
        list.nkeys.push(NkeyUser {
            nkey,
            permissions: user.permissions,
            account: None,
            allowed_connection_types: user.allowed_connection_types,
            proxy_required: user.proxy_required,
        });
        Ok(())
    }

    fn connection_types(&mut self, value: &Value) -> ConnectionTypes {
        let mut types = ConnectionTypes::default();
        let names = self.string_array("allowed connection types", value).unwrap_or_default();
        let mut unknown = Vec::new();
        for name in names.iter().map(|name| name.to_uppercase()) {
            match ConnectionType::from_name(&name) {
                Some(kind) => types.insert(kind),
                None => unknown.push(name),
            }
        }
        if !unknown.is_empty() {
            self.error(value, format!("invalid connection types {}", quote_list(unknown)));
        }
        types
    }

    fn auth_callout(&mut self, block: &Value) -> Result<AuthCallout, Diagnostic> {
        let Some(fields) = block.as_table() else {
            let text = format!("Expected authorization callout to be a map/struct, got {block}");
            return Err(Diagnostic::at(block, text));
        };
        let mut callout = AuthCallout::default();
        let mut last = block;
        // The printed type is that of the wrapper around the value.
        let not_array = |value: &Value, field: &str| {
            let text = format!("Expected {field} to be an array, got *conf.token");
            Diagnostic::at(value, text)
        };
        for (key, value) in fields.iter() {
            last = value;
            match key.to_lowercase().as_str() {
                "issuer" => {
                    callout.issuer = string(value)?;
                    if !nkey::is_public(KeyType::Account, &callout.issuer) {
                        let issuer = quote(&callout.issuer);
                        return Err(Diagnostic::at(
                            value,
                            format!(
                                "Expected callout user to be a valid public account nkey, got \
                                 {issuer}"
                            ),
                        ));
                    }
                }
                "account" | "acc" => callout.account = string(value)?,
                "auth_users" | "users" => {
                    let items = value.as_array();
                    let items = items.ok_or_else(|| not_array(value, "auth_users field"))?;
                    for item in items {
                        callout.auth_users.push(string(item)?);
                    }
                }
                "xkey" | "key" => {
                    callout.xkey = string(value)?;
                    if !nkey::is_public(KeyType::Curve, &callout.xkey) {
                        let xkey = quote(&callout.xkey);
                        return Err(Diagnostic::at(
                            value,
                            format!("Expected callout xkey to be a valid public xkey, got {xkey}"),
                        ));
                    }
                }
                "allowed_accounts" => {
                    let items = value.as_array();
                    let items = items.ok_or_else(|| not_array(value, "allowed accounts field"))?;
                    for item in items {
                        callout.allowed_accounts.push(string(item)?);
                    }
                }
                _ => {
                    let key = quote(key);
                    let text = format!("Unknown field {key} parsing authorization callout");
                    self.unknown_as(value, text);
                }
            }
        }
        if callout.account.is_empty() {
            GLOBAL_ACCOUNT.clone_into(&mut callout.account);
        }
        if callout.issuer.is_empty() {
            let text = "Authorization callouts require an issuer to be specified";
            return Err(Diagnostic::at(last, text));
        }
        if callout.auth_users.is_empty() {
            let text = "Authorization callouts require authorized users to be specified";
            return Err(Diagnostic::at(last, text));
        }
        Ok(callout)
    }

    /// `permissions {}`; `None` if it is not even a table or broke off.
    pub(super) fn permissions(&mut self, block: &Value) -> Option<Permissions> {
        let permissions = self.permissions_of(block);
        self.ok(permissions)
    }

    fn permissions_of(&mut self, block: &Value) -> Result<Permissions, Diagnostic> {
        let Some(fields) = block.as_table() else {
            let text = format!("Expected permissions to be a map/struct, got {block}");
            return Err(Diagnostic::at(block, text));
        };
        let mut permissions = Permissions::default();
        for (key, value) in fields.iter() {
            match key.to_lowercase().as_str() {
                "pub" | "publish" | "import" => {
                    permissions.publish = self.subject_permission(value, false);
                }
                "sub" | "subscribe" | "export" => {
                    permissions.subscribe = self.subject_permission(value, true);
                }
                "publish_allow_responses" | "allow_responses" => {
                    permissions.responses = match value.kind {
                        Kind::Bool(allow) => allow.then(ResponsePermission::default),
                        _ => {
                            let responses = self.response_permission(value);
                            self.ok(responses)
                        }
                    };
                }
                _ => {
                    let text = format!("Unknown field {} parsing permissions", quote(key));
                    self.unknown_as(value, text);
                }
            }
        }
        // Who may only answer must not publish anything else.
        if permissions.responses.is_some() {
            permissions.publish.get_or_insert_default().allow.get_or_insert_default();
        }
        Ok(permissions)
    }

    /// A subject, a list of subjects, or `{allow, deny}`.
    fn subject_permission(&mut self, value: &Value, queues: bool) -> Option<SubjectPermission> {
        let Some(fields) = value.as_table() else {
            // In this older form errors about the list as a whole have no position.
            let allow = permission_subjects(value, queues).map_err(|error| {
                let whole = error.position() == value.position.as_ref();
                if whole { error.without_position() } else { error }
            });
            let allow = self.ok(allow)?;
            return Some(SubjectPermission { allow: non_empty(allow), deny: Vec::new() });
        };
        if fields.is_empty() {
            return None;
        }
        let mut permission = SubjectPermission::default();
        for (key, value) in fields.iter() {
            match key.to_lowercase().as_str() {
                "allow" => {
                    permission.allow = self.permission_subjects(value, queues).and_then(non_empty);
                }
                "deny" => {
                    permission.deny = self.permission_subjects(value, queues).unwrap_or_default();
                }
                _ => {
                    let key = quote(key);
                    let text = format!(
                        "Unknown field name {key} parsing subject permissions, only 'allow' or \
                         'deny' are permitted"
                    );
                    self.unknown_as(value, text);
                }
            }
        }
        Some(permission)
    }

    /// A subject or a list of subjects; `None` after reporting an error.
    pub(super) fn permission_subjects(
        &mut self,
        value: &Value,
        queues: bool,
    ) -> Option<Vec<String>> {
        let subjects = permission_subjects(value, queues);
        self.ok(subjects)
    }

    fn response_permission(&mut self, block: &Value) -> Result<ResponsePermission, Diagnostic> {
        let Some(fields) = block.as_table() else {
            let text = "error parsing response permissions, expected a boolean or a map";
            return Err(Diagnostic::at(block, text));
        };
        let mut permission = ResponsePermission::default();
        for (key, value) in fields.iter() {
            match key.to_lowercase().as_str() {
                "max" | "max_msgs" | "max_messages" | "max_responses" => {
                    let max = integer(value)?;
                    if max != 0 {
                        permission.max_messages = max;
                    }
                }
                "expires" | "expiration" | "ttl" => {
                    let Some(text) = value.as_text() else {
                        let text = "error parsing expires, not a duration string";
                        return Err(Diagnostic::at(value, text));
                    };
                    let expires = text::parse_duration(&text).map_err(|error| {
                        Diagnostic::at(value, format!("error parsing expires: {error}"))
                    })?;
                    if expires.is_negative() {
                        permission.expires = None;
                    } else if expires.as_nanos() > 0 {
                        permission.expires = Some(expires.clamp_to_zero());
                    }
                }
                _ => {
                    let text = format!("Unknown field {} parsing permissions", quote(key));
                    self.unknown_as(value, text);
                }
            }
        }
        Ok(permission)
    }
}

/// A configured list that is empty restricts nothing.
fn non_empty(subjects: Vec<String>) -> Option<Vec<String>> {
    (!subjects.is_empty()).then_some(subjects)
}

fn permission_subjects(value: &Value, queues: bool) -> Result<Vec<String>, Diagnostic> {
    let subjects = match &value.kind {
        Kind::String(_) => vec![string(value)?],
        Kind::Array(_) => {
            let mut subjects = Vec::new();
            for item in array(value)? {
                subjects.push(string(item).map_err(|_| {
                    let text = "Subject in permissions array cannot be cast to string";
                    Diagnostic::at(item, text)
                })?);
            }
            subjects
        }
        _ => {
            let found = value.type_name();
            return Err(Diagnostic::at(
                value,
                format!(
                    "Expected subject permissions to be a subject, or array of subjects, got \
                     {found}"
                ),
            ));
        }
    };
    permissions::check(&subjects, queues).map_err(|error| Diagnostic::at(value, error))?;
    Ok(subjects)
}
