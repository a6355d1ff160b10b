//! What a client asks for when it pulls (spec 07b §B6, §B7).

use crate::time::Timestamp;
use parser::json_input::{self, INT, Kind, Value};
use std::time::Duration;

const NAME: &str = "JSApiConsumerGetNextRequest";
const DURATION: Kind = Kind::Integer("time.Duration", i64::MIN, i64::MAX);
const INT64: Kind = Kind::Integer("int64", i64::MIN, i64::MAX);
const FIELDS: [(&str, Kind); 10] = [
    ("expires", DURATION),
    ("batch", INT),
    ("max_bytes", INT),
    ("no_wait", Kind::Bool),
    ("idle_heartbeat", DURATION),
    ("PriorityGroup.group", Kind::Text),
    ("PriorityGroup.min_pending", INT64),
    ("PriorityGroup.min_ack_pending", INT64),
    ("PriorityGroup.id", Kind::Text),
    ("PriorityGroup.priority", INT),
];

/// How a request takes part in a priority group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PriorityRequest {
    /// The group.
    pub group: String,
    /// Take part when so many messages are waiting; 0 for any number.
    pub min_pending: i64,
    /// Take part when so many messages are not acknowledged; 0 for any number.
    pub min_ack_pending: i64,
    /// The id that was given to the client when it was pinned.
    pub id: String,
    /// From 0, which is served first, to 9.
    pub priority: i64,
}

/// A request as it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullRequest {
    /// How long it waits; `None` for as long as somebody listens.
    pub expires: Option<i64>,
    /// Messages asked for. Nothing and less count as one.
    pub batch: i64,
    /// Bytes asked for; 0 for any number.
    pub max_bytes: i64,
    /// Whether it ends when there is nothing to deliver.
    pub no_wait: bool,
    /// Time between heartbeats; zero for none.
    pub heartbeat: Duration,
    /// How it takes part in a priority group; `None` for a request that is not JSON.
    pub priority: Option<Box<PriorityRequest>>,
}

impl Default for PullRequest {
    fn default() -> Self {
        PullRequest {
            expires: None,
            batch: 1,
            max_bytes: 0,
            no_wait: false,
            heartbeat: Duration::ZERO,
            priority: None,
        }
    }
}

impl PullRequest {
    /// Reads the body of a request: nothing, a number, or an object. Anything else asks for one
    /// message.
    ///
    /// # Errors
    /// What is wrong with an object, as the client is told.
    pub fn parse(body: &[u8]) -> Result<PullRequest, String> {
        let body = body.trim_ascii();
        if body.first() == Some(&b'{') {
            return Self::parse_object(body);
        }
        let number = std::str::from_utf8(body).ok().and_then(|text| text.parse().ok());
        Ok(PullRequest { batch: number.unwrap_or(1), ..PullRequest::default() })
    }

    fn parse_object(body: &[u8]) -> Result<PullRequest, String> {
        let mut request = PullRequest { batch: 0, ..PullRequest::default() };
        let mut priority = PriorityRequest::default();
        let (mut expires, mut heartbeat) = (0_i64, 0_i64);
        json_input::decode(body, NAME, &FIELDS, &mut |at, value| match (at, value) {
            (0, Value::Integer(nanos)) => expires = nanos,
            (1, Value::Integer(batch)) => request.batch = batch,
            (2, Value::Integer(bytes)) => request.max_bytes = bytes,
            (3, Value::Bool(no_wait)) => request.no_wait = no_wait,
            (4, Value::Integer(nanos)) => heartbeat = nanos,
            (5, Value::Text(group)) => priority.group = group,
            (6, Value::Integer(minimum)) => priority.min_pending = minimum,
            (7, Value::Integer(minimum)) => priority.min_ack_pending = minimum,
            (8, Value::Text(id)) => priority.id = id,
            (9, Value::Integer(number)) => priority.priority = number,
            _ => {}
        })
        .map_err(|error| error.to_string())?;
        if heartbeat > 0 && heartbeat.saturating_mul(2) > expires {
            return Err("heartbeat value too large".to_owned());
        }
        request.heartbeat = Duration::from_nanos(u64::try_from(heartbeat).unwrap_or(0));
        request.expires = Some(expires).filter(|expires| *expires != 0);
        request.priority = Some(Box::new(priority));
        Ok(request)
    }

    /// When it ends, if received now.
    pub fn deadline(&self, now: Timestamp) -> Option<Timestamp> {
        self.expires.map(|nanos| Timestamp::from_nanos(now.nanos().saturating_add(nanos)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_bodies_give_a_batch() {
        for (body, batch) in
            [("", 1), ("  ", 1), ("10", 10), (" 7 ", 7), ("0", 0), ("-3", -3), ("x", 1), ("[5]", 1)]
        {
            let request = PullRequest { batch, ..PullRequest::default() };
            assert_eq!(PullRequest::parse(body.as_bytes()), Ok(request), "{body:?}");
        }
    }

    #[test]
    fn objects_give_every_field_in_any_case() {
        let body = br#"{"Expires":5000000000,"batch":3,"max_bytes":9,"no_wait":true,
            "idle_heartbeat":1000000000,"group":"A","min_pending":1,"min_ack_pending":2,
            "id":"x","priority":4,"unknown":[1]}"#;
        let priority = PriorityRequest {
            group: "A".to_owned(),
            min_pending: 1,
            min_ack_pending: 2,
            id: "x".to_owned(),
            priority: 4,
        };
        assert_eq!(
            PullRequest::parse(body),
            Ok(PullRequest {
                expires: Some(5_000_000_000),
                batch: 3,
                max_bytes: 9,
                no_wait: true,
                heartbeat: Duration::from_secs(1),
                priority: Some(Box::new(priority)),
            })
        );
        let empty = PullRequest::parse(b"{}").expect("an object");
        assert_eq!((empty.batch, empty.expires), (0, None));
        assert!(empty.priority.is_some());
    }

    #[test]
    fn errors_are_those_of_the_reference() {
        let place = "json: cannot unmarshal";
        for (body, error) in [
            (r#"{"batch":1"#, "unexpected end of JSON input".to_owned()),
            (r#"{} x"#, "invalid character 'x' after top-level value".to_owned()),
            (
                r#"{"batch":"x"}"#,
                format!("{place} string into Go struct field {NAME}.batch of type int"),
            ),
            (
                r#"{"expires":1.5}"#,
                format!(
                    "{place} number 1.5 into Go struct field {NAME}.expires of type time.Duration"
                ),
            ),
            (
                r#"{"group":5}"#,
                format!(
                    "{place} number into Go struct field {NAME}.PriorityGroup.group of type string"
                ),
            ),
            (
                r#"{"min_pending":"x"}"#,
                format!(
                    "{place} string into Go struct field {NAME}.PriorityGroup.min_pending of type int64"
                ),
            ),
            (r#"{"idle_heartbeat":100,"expires":150}"#, "heartbeat value too large".to_owned()),
            (r#"{"idle_heartbeat":100}"#, "heartbeat value too large".to_owned()),
        ] {
            assert_eq!(PullRequest::parse(body.as_bytes()), Err(error), "{body}");
        }
    }
}
