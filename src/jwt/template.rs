//! Permissions of scoped signing keys with places for what is particular to the user (spec 03 §24).

use super::user::{SubjectLists, UserClaims, UserPermissions};
use ::sublist::subject::is_valid_subject;
use parser::quote::quote;

/// The most subjects that one list may become.
const MAX_SUBJECTS: usize = 4096;

/// What the places of a template are filled with, besides the user's own claims.
#[derive(Clone, Copy, Debug)]
pub struct AccountFacts<'a> {
    /// The account's name for people.
    pub name: &'a str,
    /// Its tags.
    pub tags: &'a [String],
}

/// Fills the places of a template for a user.
///
/// # Errors
/// The text for the log: an operation is unknown, a denial would deny nothing, or there would be
/// too many subjects.
pub fn expand(
    template: &UserPermissions,
    user: &UserClaims,
    account: AccountFacts<'_>,
) -> Result<UserPermissions, String> {
    let mut expanded = template.clone();
    let permissions = &mut expanded.permissions;
    for lists in [&mut permissions.subscribe, &mut permissions.publish] {
        expand_lists(lists, user, account)?;
    }
    Ok(expanded)
}

fn expand_lists(
    lists: &mut SubjectLists,
    user: &UserClaims,
    account: AccountFacts<'_>,
) -> Result<(), String> {
    let had_allow = lists.allow.as_ref().is_some_and(|allow| !allow.is_empty());
    if let Some(allow) = &mut lists.allow {
        *allow = expand_list(allow, false, user, account)?;
    }
    if let Some(deny) = &mut lists.deny {
        *deny = expand_list(deny, true, user, account)?;
    }
    // A list of which nothing is left would allow everything.
    if had_allow && lists.allow.as_ref().is_none_or(Vec::is_empty) {
        let deny = lists.deny.get_or_insert_default();
        if !deny.iter().any(|subject| subject == ">") {
            deny.push(">".to_owned());
        }
    }
    Ok(())
}

/// The places in a subject: `{{`, at least one character that is no `}`, `}}`.
fn places(subject: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = subject.get(at..).and_then(|rest| rest.find("{{")).map(|n| at + n) {
        let inner = subject.get(start + 2..).unwrap_or_default();
        match inner.find('}') {
            Some(len) if len > 0 && inner.get(len..).is_some_and(|r| r.starts_with("}}")) => {
                let end = start + 2 + len + 2;
                found.push(subject.get(start..end).unwrap_or_default());
                at = end;
            }
            _ => at = start + 1,
        }
    }
    found
}

/// What an operation stands for.
enum Values {
    One(String),
    /// Of a tag, whose name goes with it.
    Tag(String, Vec<String>),
}

fn values(
    subject: &str,
    place: &str,
    user: &UserClaims,
    account: AccountFacts<'_>,
) -> Result<Values, String> {
    let inner = place.strip_prefix("{{").and_then(|p| p.strip_suffix("}}")).unwrap_or_default();
    let operation = inner.trim();
    for (name, value) in [
        ("name()", user.base.name.as_str()),
        ("subject()", user.base.subject.as_str()),
        ("account-name()", account.name),
        ("account-subject()", user.issuer_account.as_str()),
    ] {
        if operation.eq_ignore_ascii_case(name) {
            return Ok(Values::One(value.to_owned()));
        }
    }
    for (prefix, tags) in [("tag(", user.tags.as_slice()), ("account-tag(", account.tags)] {
        let is = operation.get(..prefix.len()).is_some_and(|p| p.eq_ignore_ascii_case(prefix));
        if !is || !operation.ends_with(')') {
            continue;
        }
        // In other letters the prefix is part of the name, which no tag has then.
        let name = operation.strip_prefix(prefix).unwrap_or(operation);
        let name = name.strip_suffix(')').unwrap_or(name);
        let key = format!("{}:", name.to_lowercase());
        let found = tags.iter().filter_map(|tag| tag.strip_prefix(&key).map(str::to_owned));
        return Ok(Values::Tag(name.to_owned(), found.collect()));
    }
    let (subject, operation) = (quote(subject.as_bytes()), quote(operation.as_bytes()));
    Err(format!("template operation in {subject}: {operation} is not defined"))
}

fn expand_list(
    list: &[String],
    denies: bool,
    user: &UserClaims,
    account: AccountFacts<'_>,
) -> Result<Vec<String>, String> {
    if list.iter().all(|subject| places(subject).is_empty()) {
        return Ok(list.to_vec());
    }
    let mut expanded = Vec::new();
    for subject in list {
        let mut variants = vec![subject.clone()];
        for place in places(subject) {
            let fillings = match values(subject, place, user, account)? {
                Values::One(value) => vec![value],
                Values::Tag(_, found) if !found.is_empty() => found,
                Values::Tag(name, _) if denies => {
                    let (subject, name) = (quote(subject.as_bytes()), quote(name.as_bytes()));
                    return Err(format!(
                        "generated invalid subject {subject}: {name} is not defined"
                    ));
                }
                // No subject has a blank, so this one is left out.
                Values::Tag(..) => vec![" ".to_owned()],
            };
            if variants.len().saturating_mul(fillings.len()) > MAX_SUBJECTS {
                return Err(too_many());
            }
            let fill = |variant: &String| -> Vec<String> {
                fillings.iter().map(|value| variant.replace(place, value)).collect()
            };
            variants = variants.iter().flat_map(fill).collect();
        }
        if expanded.len() + variants.len() > MAX_SUBJECTS {
            return Err(too_many());
        }
        for variant in variants {
            if is_valid_subject(variant.as_bytes()) {
                expanded.push(variant);
            } else if denies {
                return Err("generated invalid subject".to_owned());
            }
        }
    }
    Ok(expanded)
}

fn too_many() -> String {
    format!("template expansion exceeds limit: {MAX_SUBJECTS}")
}
