//! Who sent a request, as advisories tell it (spec 07c §C8).

use crate::delivery::client_info;
use crate::internal::Received;
use jetstream::server::Requester;
use serde_json::Value;

/// The sender of a message that was received.
pub(super) struct Sender<'a>(pub Received<'a>);

impl Requester for Sender<'_> {
    fn info(&self) -> Value {
        if let Some(json) = self.0.request_info() {
            let mut info: Value = serde_json::from_slice(json).unwrap_or(Value::Null);
            if let Some(members) = info.as_object_mut() {
                members.remove("jwt");
                members.remove("alts");
            }
            return info;
        }
        self.0.client.map_or(Value::Null, |client| client_info(client))
    }
}
