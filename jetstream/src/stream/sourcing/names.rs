//! Names of sources and of the consumers made for them (spec 07a §A11.1, §A11.2).

use crate::config::{ExternalStream, StreamSource};
use sha2::{Digest, Sha256};

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Length of the hashes in names.
pub(crate) const HASH_LEN: usize = 8;

/// The character that stands for a number in names.
pub(crate) fn digit(number: u64) -> char {
    char::from(DIGITS[usize::try_from(number % 62).unwrap_or(0)])
}

/// The short hash the reference makes names from: bytes of SHA-256 in base 62.
pub fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .take(HASH_LEN)
        .map(|byte| digit((*byte).into()))
        .collect()
}

/// The first part of a source's names: the origin's name, and a hash of the API it is behind.
fn origin_name(name: &str, external: Option<&ExternalStream>) -> String {
    match external {
        Some(external) => format!("{name}:{}", short_hash(&external.api_prefix)),
        None => name.to_owned(),
    }
}

/// How streams before subject filters were told apart named a source in their messages.
pub(crate) fn old_origin_name(source: &StreamSource) -> String {
    origin_name(&source.name, source.external.as_ref())
}

fn or_all(subject: &str) -> &str {
    if subject.is_empty() { ">" } else { subject }
}

/// The name that tells a source from the stream's others: origin, filters and destinations. It is
/// also the header of its messages, but for sequence and subject.
pub fn index_name(source: &StreamSource) -> String {
    let mut name = origin_name(&source.name, source.external.as_ref());
    if let Some(consumer) = &source.consumer {
        name.push_str(":C=");
        name.push_str(&short_hash(&consumer.name));
    }
    if source.subject_transforms.is_empty() {
        return format!("{name} {} >", or_all(&source.filter_subject));
    }
    let join = |part: fn(&crate::config::SubjectTransformConfig) -> &str| {
        source.subject_transforms.iter().map(part).collect::<Vec<_>>().join("\x0c")
    };
    let sources = join(|transform| or_all(&transform.source));
    let destinations = join(|transform| or_all(&transform.destination));
    format!("{name} {sources} {destinations}")
}

/// The name that tells a source's provided consumer from those of the stream's other sources.
pub(crate) fn consumer_index_name(source: &StreamSource) -> String {
    let consumer = source.consumer.as_ref().map_or("", |consumer| consumer.name.as_str());
    format!("{} {consumer}", origin_name(&source.name, source.external.as_ref()))
}

/// The part of a mirror's consumer name that stays the same over restarts and servers.
pub fn mirror_hash(stream: &str, account: &str, domain: Option<&str>) -> String {
    match domain {
        Some(domain) => short_hash(&format!("{stream} {account} {domain}")),
        None => short_hash(&format!("{stream} {account}")),
    }
}

/// The same for a source: longer names are hashed when an origin is among `sources` twice.
pub fn source_hash(
    stream: &str,
    account: &str,
    domain: Option<&str>,
    source: &StreamSource,
    sources: &[StreamSource],
) -> String {
    let id = mirror_hash(stream, account, domain);
    if sources.iter().filter(|other| other.name == source.name).count() > 1 {
        short_hash(&format!("{id} {}", index_name(source)))
    } else {
        short_hash(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{StreamConsumerSource, SubjectTransformConfig};

    fn source(name: &str) -> StreamSource {
        StreamSource { name: name.to_owned(), ..StreamSource::default() }
    }

    #[test]
    fn hashes_are_bytes_of_sha_256_in_base_62() {
        assert_eq!(short_hash("foo"), "icujg7CJ");
        assert_eq!(mirror_hash("S", "$G", None), "yOgWADAs");
        assert_eq!(mirror_hash("S", "$G", Some("hub")), "4Jl2uz2S");
    }

    #[test]
    fn index_name_has_origin_filters_and_destinations() {
        assert_eq!(index_name(&source("A")), "A > >");
        let filtered = StreamSource { filter_subject: "foo.*".to_owned(), ..source("A") };
        assert_eq!(index_name(&filtered), "A foo.* >");
        let external =
            ExternalStream { api_prefix: "$JS.hub.API".to_owned(), deliver_prefix: String::new() };
        let hash = short_hash("$JS.hub.API");
        let external = StreamSource { external: Some(external), ..source("A") };
        assert_eq!(index_name(&external), format!("A:{hash} > >"));
        let transform = |from: &str, to: &str| SubjectTransformConfig {
            source: from.to_owned(),
            destination: to.to_owned(),
        };
        let transformed = StreamSource {
            subject_transforms: vec![transform("a.*", "b.$1"), transform("", "")],
            ..source("A")
        };
        assert_eq!(index_name(&transformed), "A a.*\x0c> b.$1\x0c>");
        let consumer =
            StreamConsumerSource { name: "C".to_owned(), deliver_subject: "d".to_owned() };
        let durable = StreamSource { consumer: Some(consumer), ..source("A") };
        assert_eq!(index_name(&durable), format!("A:C={} > >", short_hash("C")));
    }

    #[test]
    fn origin_used_twice_gets_longer_consumer_names() {
        let sources = [source("A"), StreamSource { filter_subject: "x".to_owned(), ..source("A") }];
        let id = mirror_hash("S", "$G", None);
        assert_eq!(source_hash("S", "$G", None, &sources[0], &sources[..1]), short_hash(&id));
        assert_eq!(
            source_hash("S", "$G", None, &sources[1], &sources),
            short_hash(&format!("{id} A x >"))
        );
    }
}
