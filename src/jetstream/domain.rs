//! The subjects of a domain (spec 07a §A1.6): mappings to those of the API, in every account.

use crate::account::Mappings;
use crate::server::Server;

/// What follows `$JS.<domain>.API.`, and what it becomes.
const MAPPED: [(&str, &str); 9] = [
    ("INFO", "$JS.API.INFO"),
    ("STREAM.>", "$JS.API.STREAM.>"),
    ("CONSUMER.>", "$JS.API.CONSUMER.>"),
    ("DIRECT.>", "$JS.API.DIRECT.>"),
    ("META.>", "$JS.API.META.>"),
    ("SERVER.>", "$JS.API.SERVER.>"),
    ("ACCOUNT.>", "$JS.API.ACCOUNT.>"),
    ("$KV.>", "$KV.>"),
    ("$OBJ.>", "$OBJ.>"),
];

/// Adds the mappings of a domain to all accounts but the system's.
pub(super) fn map(server: &Server, domain: &str) {
    for account in server.accounts() {
        if server.is_system_account(&account) {
            continue;
        }
        for (suffix, destination) in MAPPED {
            let source = format!("$JS.{domain}.API.{suffix}");
            let existing = account.mappings();
            if let Some(mappings) = Mappings::with(existing.as_deref(), &source, destination) {
                account.set_mappings(Some(mappings));
            }
        }
    }
}
