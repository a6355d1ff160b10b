//! Reads what the reference server wrote (see `data/encodings/README.md`).

use jetstream::config::{ConsumerMeta, StreamMeta};
use jetstream::consumer::codec;
use jetstream::deletes::{DeleteBlock, ReplicatedState};
use jetstream::gojson;
use jetstream::schedules::Schedules;
use jetstream::seqset::SequenceSet;
use jetstream::time::Timestamp;
use jetstream::timewheel::TimeWheel;
use serde::de::DeserializeOwned;

fn bytes(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/encodings/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn json<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&bytes(name)).expect(name)
}

#[test]
fn sequence_sets_read_with_any_base() {
    for name in ["seqset-aligned", "seqset-unaligned"] {
        let encoded = bytes(&format!("{name}.bin"));
        let (set, len) = SequenceSet::decode(&encoded).expect(name);
        set.check_invariants();
        assert_eq!(len, encoded.len());
        assert_eq!(set.iter().collect::<Vec<_>>(), json::<Vec<u64>>(&format!("{name}.json")));
        // Ours is another tree of the same members, and as long.
        let mut own = Vec::new();
        set.encode_into(&mut own);
        assert_eq!(own.len(), encoded.len());
        assert_eq!(SequenceSet::decode(&own), Ok((set, own.len())));
    }
}

#[test]
fn expiries_read() {
    let (mut wheel, high) = TimeWheel::decode(&bytes("thw.db")).expect("valid");
    assert_eq!((wheel.len(), high), (40, 300));
    for (sequence, expiry) in json::<Vec<(u64, i64)>>("thw.json") {
        assert!(wheel.remove(sequence, Timestamp::from_nanos(expiry)), "{sequence}");
    }
    assert!(wheel.is_empty());
}

#[test]
fn schedules_read() {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Entry {
        subj: String,
        seq: u64,
        next: i64,
    }
    let (schedules, high) = Schedules::decode(&bytes("sched.db")).expect("valid");
    assert_eq!((schedules.len(), high), (20, 61));
    for Entry { subj, seq, next } in json::<Vec<Entry>>("sched.json") {
        let expected = (seq, Timestamp::from_nanos(next));
        assert_eq!(schedules.get(subj.as_bytes()), Some(expected), "{subj}");
    }
}

#[test]
fn consumer_state_reads() {
    let state = codec::decode(&bytes("o.dat")).expect("valid");
    let expected: serde_json::Value = json("o.json");
    assert_eq!(serde_json::to_value(state.delivered).expect("plain"), expected["delivered"]);
    assert_eq!(serde_json::to_value(state.ack_floor).expect("plain"), expected["ack_floor"]);
    assert_eq!((state.pending.len(), state.redelivered.len()), (30, 10));
    for (sequence, pending) in &state.pending {
        let entry = &expected["pending"][sequence.to_string()];
        assert_eq!(entry["Sequence"].as_u64(), Some(pending.sequence.get()));
        let seconds = entry["Timestamp"].as_i64().map(|nanos| nanos / 1_000_000_000);
        assert_eq!(seconds, Some(pending.timestamp.seconds()));
    }
    for (sequence, count) in &state.redelivered {
        assert_eq!(expected["redelivered"][sequence.to_string()].as_u64(), Some(*count));
    }
}

#[test]
fn stream_states_read() {
    let deleted = |name: &str| {
        let state = ReplicatedState::decode(&bytes(name)).expect(name);
        let mut deleted: Vec<u64> = state.deleted.iter().flat_map(DeleteBlock::iter).collect();
        deleted.sort_unstable();
        (state, deleted)
    };
    let (state, found) = deleted("state.bin");
    assert_eq!(found, (2..5000).step_by(3).collect::<Vec<u64>>());
    assert_eq!((state.messages, state.last.get(), state.failed), (3334, 5000, 9));
    let (state, found) = deleted("fstate.bin");
    assert_eq!(found, (300..1200).chain((1500..3000).step_by(5)).collect::<Vec<u64>>());
    assert_eq!((state.messages, state.last.get(), state.failed), (1800, 3000, 3));
}

#[test]
fn metadata_is_written_back_byte_for_byte() {
    for name in ["stream-full.inf", "stream-min.inf"] {
        let written = gojson::to_vec(&json::<StreamMeta>(name)).expect("plain");
        assert_eq!(String::from_utf8(written), String::from_utf8(bytes(name)), "{name}");
    }
    for name in ["consumer-full.inf", "consumer-min.inf"] {
        let written = gojson::to_vec(&json::<ConsumerMeta>(name)).expect("plain");
        assert_eq!(String::from_utf8(written), String::from_utf8(bytes(name)), "{name}");
    }
}
