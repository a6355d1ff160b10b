//! The subjects by which clients answer a consumer: acknowledgements, flow control, requests
//! (spec 07b §B3.2, §B3.5, §B6, §B9).
//!
//! ```text
//! v1: $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>
//! v2: $JS.ACK.<domain or _>.<account hash>.<stream>.<consumer>.<the same>[.<more>]
//! ```
//! Both are understood whichever is written.

use crate::stream::sourcing::names::short_hash;
use bytes::{BufMut, BytesMut};

const ACK_PREFIX: &str = "$JS.ACK.";
const FLOW_CONTROL_PREFIX: &str = "$JS.FC.";
/// Tokens of an acknowledgement's subject.
const V1_TOKENS: usize = 9;
const V2_TOKENS: usize = 11;
/// What stands for the domain when there is none.
const NO_DOMAIN: &str = "_";

/// What all consumers of an account share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerContext {
    /// The account's name.
    pub account: String,
    /// The server's domain, if it has one.
    pub domain: Option<String>,
    /// Which form of subjects is written.
    pub ack_format: AckFormat,
    /// The longest message of the account; what a rate limit lets through at once, unless the
    /// stream has a limit of its own. 0 for none.
    pub max_payload: u64,
}

/// The form of acknowledgement and flow control subjects.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AckFormat {
    /// Without domain and account.
    #[default]
    V1,
    /// With domain and account, by the feature flag `js_ack_fc_v2`.
    V2,
}

impl ConsumerContext {
    /// What stands between `$JS.ACK.` and the stream's name in version 2.
    fn place(&self) -> String {
        let domain = self.domain.as_deref().filter(|domain| !domain.is_empty());
        format!("{}.{}.", domain.unwrap_or(NO_DOMAIN), short_hash(&self.account))
    }

    fn written_place(&self) -> String {
        match self.ack_format {
            AckFormat::V1 => String::new(),
            AckFormat::V2 => self.place(),
        }
    }

    /// What acknowledgement subjects of a consumer start with, up to the numbers.
    pub(super) fn ack_prefix(&self, stream: &str, consumer: &str) -> String {
        format!("{ACK_PREFIX}{}{stream}.{consumer}.", self.written_place())
    }

    /// What flow control subjects of a consumer start with.
    pub(super) fn flow_control_prefix(&self, stream: &str, consumer: &str) -> String {
        format!("{FLOW_CONTROL_PREFIX}{}{stream}.{consumer}.", self.written_place())
    }

    /// The subjects on which a consumer gets acknowledgements.
    pub fn ack_subscriptions(&self, stream: &str, consumer: &str) -> [String; 2] {
        let place = self.place();
        [
            format!("{ACK_PREFIX}{stream}.{consumer}.*.*.*.*.*"),
            format!("{ACK_PREFIX}{place}{stream}.{consumer}.*.*.*.*.>"),
        ]
    }

    /// The subjects on which a consumer gets answers to flow control.
    pub fn flow_control_subscriptions(&self, stream: &str, consumer: &str) -> [String; 2] {
        let place = self.place();
        [
            format!("{FLOW_CONTROL_PREFIX}{stream}.{consumer}.*"),
            format!("{FLOW_CONTROL_PREFIX}{place}{stream}.{consumer}.*"),
        ]
    }
}

/// The subject on which a consumer gets pull requests.
pub fn next_subscription(stream: &str, consumer: &str) -> String {
    format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}")
}

/// The subject on which a consumer is asked to start anew.
pub fn reset_subscription(stream: &str, consumer: &str) -> String {
    format!("$JS.API.CONSUMER.RESET.{stream}.{consumer}")
}

/// What an acknowledgement's subject tells of a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AckInfo {
    /// How often the message was delivered.
    pub deliveries: u64,
    /// Its sequence in the stream.
    pub stream: u64,
    /// The number of the delivery.
    pub consumer: u64,
    /// When the message was stored, in nanoseconds.
    pub timestamp: u64,
    /// Messages left when it was delivered.
    pub pending: u64,
}

impl AckInfo {
    /// Appends the numbers of a subject.
    pub(super) fn write(&self, out: &mut BytesMut) {
        let numbers = [self.deliveries, self.stream, self.consumer, self.timestamp, self.pending];
        for (at, number) in numbers.into_iter().enumerate() {
            if at > 0 {
                out.put_u8(b'.');
            }
            put_number(number, out);
        }
    }

    /// Reads a subject of either version. What is no number reads as the largest one, which no
    /// sequence has.
    ///
    /// Returns `None` for a subject that has another number of tokens.
    pub fn parse(subject: &[u8]) -> Option<AckInfo> {
        let count = memchr::memchr_iter(b'.', subject).count() + 1;
        if !subject.starts_with(ACK_PREFIX.as_bytes()) || (count != V1_TOKENS && count < V2_TOKENS)
        {
            return None;
        }
        // The names of stream and consumer, in version 2 also domain and account.
        let skipped = if count == V1_TOKENS { 4 } else { 6 };
        let mut numbers = subject.split(|byte| *byte == b'.').skip(skipped).map(number);
        Some(AckInfo {
            deliveries: numbers.next()?,
            stream: numbers.next()?,
            consumer: numbers.next()?,
            timestamp: numbers.next()?,
            pending: numbers.next()?,
        })
    }
}

/// Appends a number; written with each message, so without the machinery of formatting.
fn put_number(mut number: u64, out: &mut BytesMut) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

fn number(token: &[u8]) -> u64 {
    let value = token.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    });
    value.filter(|_| !token.is_empty()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: AckInfo =
        AckInfo { deliveries: 1, stream: 22, consumer: 333, timestamp: 4_444, pending: 0 };

    fn context(ack_format: AckFormat) -> ConsumerContext {
        ConsumerContext { account: "$G".to_owned(), domain: None, ack_format, max_payload: 1 << 20 }
    }

    fn written(ack_format: AckFormat) -> String {
        let prefix = context(ack_format).ack_prefix("OR%DERS", "c%d");
        let mut out = BytesMut::from(prefix.as_bytes());
        INFO.write(&mut out);
        String::from_utf8(out.to_vec()).expect("ASCII")
    }

    #[test]
    fn both_versions_are_written_and_read_back() {
        let v1 = written(AckFormat::V1);
        assert_eq!(v1, "$JS.ACK.OR%DERS.c%d.1.22.333.4444.0");
        let v2 = written(AckFormat::V2);
        let hash = short_hash("$G");
        assert_eq!(v2, format!("$JS.ACK._.{hash}.OR%DERS.c%d.1.22.333.4444.0"));
        for subject in [v1, v2.clone(), format!("{v2}.more.tokens")] {
            assert_eq!(AckInfo::parse(subject.as_bytes()), Some(INFO), "{subject}");
        }
    }

    #[test]
    fn numbers_are_written_in_full() {
        let mut out = BytesMut::new();
        for number in [0, 9, 10, 1_234_567_890, u64::MAX] {
            put_number(number, &mut out);
            out.put_u8(b' ');
        }
        assert_eq!(&out[..], b"0 9 10 1234567890 18446744073709551615 ");
    }

    #[test]
    fn domain_and_account_are_part_of_the_second_version() {
        let context = ConsumerContext { domain: Some("HUB".to_owned()), ..context(AckFormat::V2) };
        let hash = short_hash("$G");
        assert_eq!(hash.len(), 8);
        assert_eq!(context.ack_prefix("S", "C"), format!("$JS.ACK.HUB.{hash}.S.C."));
        assert_eq!(context.flow_control_prefix("S", "C"), format!("$JS.FC.HUB.{hash}.S.C."));
        assert_eq!(
            context.ack_subscriptions("S", "C"),
            ["$JS.ACK.S.C.*.*.*.*.*".to_owned(), format!("$JS.ACK.HUB.{hash}.S.C.*.*.*.*.>"),]
        );
    }

    #[test]
    fn subjects_with_other_tokens_are_refused_and_odd_numbers_match_nothing() {
        for subject in
            ["", "$JS.ACK.S.C.1.2.3.4", "$JS.ACK.S.C.1.2.3.4.5.6", "$JS.NAK.S.C.1.2.3.4.5"]
        {
            assert_eq!(AckInfo::parse(subject.as_bytes()), None, "{subject}");
        }
        let info = AckInfo::parse(b"$JS.ACK.S.C.x.-1..99999999999999999999.5").expect("9 tokens");
        assert_eq!(
            [info.deliveries, info.stream, info.consumer, info.timestamp, info.pending],
            [u64::MAX, u64::MAX, u64::MAX, u64::MAX, 5]
        );
    }
}
