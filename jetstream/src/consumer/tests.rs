use super::state::PendingDelivery;
use super::*;
use crate::config::AckPolicy;
use crate::disk::{Disk, Durability, Fault, SharedDisk, SimDisk};
use crate::filestore::encryption::{Cipher, EncryptionConfig};
use crate::types::SequencePair;
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
const DIR: &str = "/streams/TEST/obs/dlc";

fn config(ack_policy: AckPolicy) -> ConsumerConfig {
    ConsumerConfig {
        durable_name: "dlc".to_owned(),
        filter_subject: "foo.>".to_owned(),
        ack_policy,
        ..ConsumerConfig::default()
    }
}

fn memory(ack_policy: AckPolicy) -> ConsumerStore {
    ConsumerStore::in_memory("dlc", config(ack_policy)).expect("named")
}

fn pair(consumer: u64, stream: u64) -> SequencePair {
    SequencePair { consumer: consumer.into(), stream: stream.into() }
}

fn deliver(store: &mut ConsumerStore, consumer: u64, stream: u64, count: u64) -> StoreResult<()> {
    store.update_delivered(consumer.into(), stream.into(), count, NOW)
}

fn ack(store: &mut ConsumerStore, consumer: u64, stream: u64) -> StoreResult<()> {
    store.update_acks(consumer.into(), stream.into())
}

fn state(store: &ConsumerStore) -> &ConsumerState {
    store.state().expect("open")
}

fn pending(store: &ConsumerStore) -> Vec<u64> {
    state(store).pending.keys().map(|sequence| sequence.get()).collect()
}

#[test]
fn without_acknowledgements_floor_and_delivered_move_together() {
    let mut store = memory(AckPolicy::None);
    assert!(!store.has_state());
    assert_eq!(deliver(&mut store, 1, 1, 1), Ok(()));
    assert_eq!(deliver(&mut store, 2, 20, 1), Ok(()));
    assert_eq!(deliver(&mut store, 3, 20, 2), Err(StoreError::NoAckPolicy));
    assert_eq!(ack(&mut store, 1, 1), Err(StoreError::NoAckPolicy));
    assert_eq!((state(&store).delivered, state(&store).ack_floor), (pair(2, 20), pair(2, 20)));
    assert_eq!(deliver(&mut store, 1, 30, 1), Ok(()));
    assert_eq!(state(&store).delivered, pair(2, 20), "old deliveries are ignored");
    assert!(pending(&store).is_empty() && store.has_state());
}

#[test]
fn delivered_messages_are_pending_until_acknowledged() {
    let mut store = memory(AckPolicy::Explicit);
    for sequence in 1..=3 {
        assert_eq!(deliver(&mut store, sequence, sequence + 100, 1), Ok(()));
    }
    assert_eq!(pending(&store), [101, 102, 103]);
    assert_eq!(ack(&mut store, 2, 102), Ok(()));
    assert_eq!(state(&store).ack_floor, pair(0, 0), "the floor waits for the first");
    assert_eq!(ack(&mut store, 2, 102), Err(StoreError::MessageNotFound));
    assert_eq!(ack(&mut store, 9, 999), Err(StoreError::MessageNotFound));
    assert_eq!(ack(&mut store, 1, 101), Ok(()));
    assert_eq!(state(&store).ack_floor, pair(2, 102), "up to just before the next pending");
    assert_eq!(ack(&mut store, 3, 103), Ok(()));
    assert_eq!((state(&store).ack_floor, state(&store).delivered), (pair(3, 103), pair(3, 103)));
    assert_eq!(ack(&mut store, 3, 103), Ok(()), "below the floor nothing is asked");
}

#[test]
fn redelivery_keeps_the_first_delivery_and_refreshes_its_time() {
    let mut store = memory(AckPolicy::Explicit);
    deliver(&mut store, 1, 1, 1).expect("valid");
    deliver(&mut store, 2, 2, 1).expect("valid");
    let later = Timestamp::from_seconds(1_700_000_100);
    store.update_delivered(3.into(), 1.into(), 2, later).expect("valid");
    let first = state(&store).pending[&1.into()];
    assert_eq!(first, PendingDelivery { sequence: 1.into(), timestamp: later });
    assert_eq!(state(&store).redelivered, [(1.into(), 1)].into());
    assert_eq!(state(&store).delivered, pair(3, 2));
    store.update_delivered(4.into(), 1.into(), 4, later).expect("valid");
    store.update_delivered(5.into(), 1.into(), 2, later).expect("valid");
    assert_eq!(state(&store).redelivered, [(1.into(), 3)].into(), "counts only grow");
    // The acknowledgement names the last delivery; the floor goes by the first.
    assert_eq!(ack(&mut store, 5, 1), Ok(()));
    assert_eq!(state(&store).ack_floor, pair(1, 1));
    assert!(state(&store).redelivered.is_empty());
}

#[test]
fn messages_delivered_too_often_are_no_longer_pending() {
    let config = ConsumerConfig { max_deliver: 2, ..config(AckPolicy::Explicit) };
    let mut store = ConsumerStore::in_memory("dlc", config).expect("named");
    deliver(&mut store, 1, 1, 1).expect("valid");
    deliver(&mut store, 2, 1, 2).expect("valid");
    assert_eq!(pending(&store), [1]);
    deliver(&mut store, 3, 1, 3).expect("valid");
    assert!(pending(&store).is_empty());
    assert_eq!(state(&store).redelivered, [(1.into(), 2)].into());
    store.remove_redelivered_below(0.into());
    store.remove_redelivered_below(1.into());
    assert_eq!(state(&store).redelivered.len(), 1);
    store.remove_redelivered_below(2.into());
    assert!(state(&store).redelivered.is_empty());
}

#[test]
fn acknowledging_all_takes_everything_before() {
    for policy in [AckPolicy::All, AckPolicy::FlowControl] {
        let mut store = memory(policy);
        for sequence in 1..=10 {
            deliver(&mut store, sequence, sequence * 10, 1).expect("valid");
        }
        deliver(&mut store, 11, 30, 2).expect("valid");
        deliver(&mut store, 12, 80, 2).expect("valid");
        assert_eq!(ack(&mut store, 5, 50), Ok(()));
        assert_eq!(pending(&store), [60, 70, 80, 90, 100]);
        assert_eq!(state(&store).redelivered, [(80.into(), 1)].into());
        assert_eq!(state(&store).ack_floor, pair(5, 50));
        assert_eq!(ack(&mut store, 6, 65), Err(StoreError::MessageNotFound));
    }
}

#[test]
fn redelivered_entry_goes_even_when_the_acknowledgement_fails() {
    let mut store = memory(AckPolicy::Explicit);
    deliver(&mut store, 1, 1, 1).expect("valid");
    deliver(&mut store, 2, 2, 1).expect("valid");
    deliver(&mut store, 3, 2, 2).expect("valid");
    ack(&mut store, 2, 2).expect("pending");
    deliver(&mut store, 4, 2, 3).expect("valid");
    assert_eq!(ack(&mut store, 4, 2), Err(StoreError::MessageNotFound));
    assert!(state(&store).redelivered.is_empty());
}

#[test]
fn states_that_contradict_themselves_or_go_back_are_refused() {
    let mut store = memory(AckPolicy::Explicit);
    let at = |stream: u64| {
        let delivery = PendingDelivery { sequence: 1.into(), timestamp: NOW };
        [(StreamSequence::new(stream), delivery)].into()
    };
    let base = ConsumerState { delivered: pair(100, 122), ..ConsumerState::default() };
    for (bad, error) in [
        (
            ConsumerState { ack_floor: pair(101, 0), ..base.clone() },
            StoreError::BadConsumerAckFloor,
        ),
        (ConsumerState { ack_floor: pair(0, 123), ..base.clone() }, StoreError::BadStreamAckFloor),
        (ConsumerState { pending: at(123), ..base.clone() }, StoreError::BadPendingEntry(123)),
        (
            ConsumerState { ack_floor: pair(1, 50), pending: at(50), ..base.clone() },
            StoreError::BadPendingEntry(50),
        ),
    ] {
        assert_eq!(store.update(bad.clone()), Err(error.clone()));
        assert_eq!(store.force_update(bad, NOW), Err(error));
    }
    let good = ConsumerState { ack_floor: pair(50, 72), pending: at(75), ..base };
    assert_eq!(store.update(good.clone()), Ok(()));
    let older = ConsumerState { delivered: pair(99, 122), ..good.clone() };
    assert_eq!(store.update(older.clone()), Err(StoreError::OldUpdate));
    let older_floor = ConsumerState { ack_floor: pair(49, 71), ..good };
    assert_eq!(store.update(older_floor), Err(StoreError::OldUpdate));
    assert_eq!(store.force_update(older.clone(), NOW), Ok(()));
    assert_eq!(state(&store), &older);
}

#[test]
fn starting_positions() {
    let mut store = memory(AckPolicy::Explicit);
    store.set_starting(10.into(), NOW).expect("memory");
    assert_eq!((state(&store).delivered, state(&store).ack_floor), (pair(0, 10), pair(0, 10)));
    store.update_starting(5.into());
    assert_eq!(state(&store).delivered, pair(0, 10));
    store.update_starting(15.into());
    assert_eq!((state(&store).delivered, state(&store).ack_floor), (pair(0, 15), pair(0, 10)));
    let mut none = memory(AckPolicy::None);
    none.update_starting(15.into());
    assert_eq!(state(&none).ack_floor, pair(0, 15));
    deliver(&mut store, 1, 16, 1).expect("valid");
    store.reset(3.into(), NOW).expect("memory");
    assert_eq!((state(&store).delivered, state(&store).ack_floor), (pair(0, 3), pair(0, 3)));
    assert!(pending(&store).is_empty());
}

#[test]
fn store_without_a_name_or_after_its_end_refuses() {
    let nameless = ConsumerStore::in_memory("", config(AckPolicy::None)).map(|_| ());
    assert_eq!(nameless, Err(StoreError::BadConsumerConfig));
    let mut store = memory(AckPolicy::None);
    assert_eq!(store.stop(NOW), Ok(()));
    assert_eq!(store.stop(NOW), Ok(()));
    assert_eq!(store.state().map(|_| ()), Err(StoreError::Closed));
    assert_eq!(deliver(&mut store, 1, 1, 1), Err(StoreError::Closed));
}

// The encoded state.

#[test]
fn empty_state_is_eight_bytes() {
    let empty = ConsumerState::default();
    assert_eq!(codec::encode(&empty, NOW), [0x16, 2, 0, 0, 0, 0, 0, 0]);
    assert_eq!(codec::decode(&[0x16, 2, 0, 0, 0, 0, 0, 0]), Ok(empty));
}

#[test]
fn known_state_reads() {
    let bytes =
        [22, 2, 1, 1, 3, 2, 1, 0x98, 0xf4, 0x8a, 0x8a, 0x0c, 1, 3, 0x86, 0xfa, 0x0a, 1, 0, 1];
    let state = codec::decode(&bytes).expect("an example of the specification");
    assert_eq!((state.ack_floor, state.delivered), (pair(1, 1), pair(3, 2)));
    let entry = state.pending[&2.into()];
    assert_eq!(entry.sequence.get(), 4);
    let base = 1_621_187_852;
    assert_eq!(entry.timestamp, Timestamp::from_seconds(base - 89_731));
    assert!(state.redelivered.is_empty(), "an entry without a difference is skipped");
}

#[test]
fn version_1_counts_from_the_floor() {
    // Floor (5, 7), one pending entry two above the floor, one second after the base.
    let bytes = [22, 1, 5, 7, 3, 4, 1, 20, 2, 2, 0];
    let state = codec::decode(&bytes).expect("valid");
    assert_eq!((state.ack_floor, state.delivered), (pair(5, 7), pair(7, 10)));
    let entry = PendingDelivery { sequence: 0.into(), timestamp: Timestamp::from_seconds(11) };
    assert_eq!(state.pending, [(9.into(), entry)].into());
}

#[test]
fn entries_below_the_floor_survive() {
    let entry = PendingDelivery { sequence: 2.into(), timestamp: Timestamp::from_seconds(5) };
    let state = ConsumerState {
        delivered: pair(10, 10),
        ack_floor: pair(5, 5),
        pending: [(2.into(), entry)].into(),
        redelivered: [(3.into(), 4)].into(),
    };
    assert_eq!(codec::decode(&codec::encode(&state, NOW)), Ok(state));
}

#[test]
fn broken_states_are_corrupt_but_a_cut_tail_of_redeliveries_is_not() {
    let corrupt = Err(StoreError::CorruptState);
    for bytes in [
        &[][..],
        &[22],
        &[23, 2, 0, 0, 0, 0, 0, 0],
        &[22, 2, 0, 0, 0],
        &[22, 2, 1, 1, 3, 2, 1],
        &[22, 2, 1, 1, 3, 2, 1, 0x98],
        &[22, 2, 1, 1, 3, 2, 1, 2, 1, 3],
        // A pending entry that resolves to sequence 0.
        &[22, 2, 0, 0, 3, 2, 1, 2, 0, 0, 0, 0],
        // The top bit of the floor.
        &[22, 2, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 3, 2, 0, 0],
    ] {
        assert_eq!(codec::decode(bytes), corrupt, "{bytes:?}");
    }
    let unknown = codec::decode(&[22, 3, 0, 0, 0, 0, 0, 0]).expect_err("version 3");
    assert_eq!(unknown.to_string(), "unsupported version: 3");
    let cut = codec::decode(&[22, 2, 1, 1, 3, 2, 0, 9, 1, 5, 1]).expect("readable");
    assert_eq!(cut.redelivered, [(2.into(), 5)].into());
}

proptest! {
    #[test]
    fn every_state_survives_in_whole_seconds(
        floor in (any::<u64>(), 0..u64::MAX >> 1),
        delivered in (any::<u64>(), 0..u64::MAX >> 1),
        pending in prop::collection::btree_map(1..u64::MAX, (any::<u64>(), 0..4_000_000_000_i64), 0..20),
        redelivered in prop::collection::btree_map(1..u64::MAX, 1..u64::MAX, 0..20),
    ) {
        let mut state = ConsumerState {
            delivered: pair(delivered.0, delivered.1),
            ack_floor: pair(floor.0, floor.1),
            ..ConsumerState::default()
        };
        for (stream, (consumer, seconds)) in pending {
            let timestamp = Timestamp::from_seconds(seconds);
            state.pending.insert(stream.into(), PendingDelivery { sequence: consumer.into(), timestamp });
        }
        let above = |(stream, _): &(u64, u64)| *stream != floor.1;
        state.redelivered =
            redelivered.into_iter().filter(above).map(|(stream, count)| (stream.into(), count)).collect();
        prop_assert_eq!(codec::decode(&codec::encode(&state, NOW)), Ok(state));
    }

    #[test]
    fn any_bytes_decode_or_fail_cleanly(
        version in 1_u8..3,
        tail in prop::collection::vec(prop_oneof![0_u8..9, any::<u8>()], 0..60),
    ) {
        let bytes = [&[22, version][..], &tail].concat();
        if let Ok(state) = codec::decode(&bytes) {
            prop_assert!(state.pending.len() <= tail.len());
        }
    }

    #[test]
    fn acknowledging_everything_in_any_order_ends_at_what_was_delivered(
        mut order in Just((1..=30_u64).collect::<Vec<_>>()).prop_shuffle(),
        redelivered in prop::collection::vec(1..=30_u64, 0..10),
    ) {
        let mut store = memory(AckPolicy::Explicit);
        for sequence in 1..=30 {
            deliver(&mut store, sequence, sequence * 3, 1).expect("valid");
        }
        for (index, sequence) in (31..).zip(&redelivered) {
            deliver(&mut store, index, sequence * 3, 2).expect("valid");
        }
        let mut outstanding: Vec<u64> = (1..=30).collect();
        for sequence in order.drain(..) {
            ack(&mut store, sequence, sequence * 3).expect("pending");
            outstanding.retain(|other| *other != sequence);
            prop_assert_eq!(state(&store).check(), Ok(()));
            prop_assert_eq!(pending(&store).len(), outstanding.len());
            if let Some(first) = outstanding.first() {
                prop_assert!(state(&store).ack_floor.stream.get() < first * 3);
                // Nothing acknowledged is left above the floor but below the first pending one.
                prop_assert_eq!(state(&store).ack_floor.consumer.get(), first - 1);
            }
        }
        prop_assert_eq!(state(&store).ack_floor, state(&store).delivered);
    }
}

// The files.

struct Place {
    disk: SimDisk,
    encryption: Option<EncryptionConfig>,
}

impl Place {
    fn new(encryption: Option<EncryptionConfig>) -> Self {
        let disk = SimDisk::new(7);
        disk.create_dir_all(Path::new("/streams/TEST/obs")).expect("empty disk");
        disk.sync_all();
        Place { disk, encryption }
    }

    fn open(&self) -> StoreResult<ConsumerStore> {
        self.open_with(config(AckPolicy::Explicit))
    }

    fn open_with(&self, config: ConsumerConfig) -> StoreResult<ConsumerStore> {
        let mut next = 0_u8;
        let directory = ConsumerDirectory {
            disk: Arc::new(self.disk.clone()) as SharedDisk,
            path: DIR.into(),
            stream: "TEST".to_owned(),
            durability: Durability::Synced,
            encryption: self.encryption.clone(),
            random: Box::new(move |buffer| {
                buffer.iter_mut().for_each(|byte| {
                    next = next.wrapping_mul(5).wrapping_add(7);
                    *byte = next;
                });
            }),
        };
        let created = DateTime::parse("2022-03-07T23:59:11.834611Z").expect("valid");
        ConsumerStore::in_files(directory, "dlc", created, config)
    }

    fn read(&self, file: &str) -> Vec<u8> {
        self.disk.read(&Path::new(DIR).join(file)).unwrap_or_default()
    }
}

fn key(text: &str, cipher: Cipher) -> Option<EncryptionConfig> {
    Some(EncryptionConfig::new(text, "$G", cipher))
}

#[test]
fn meta_files_have_the_exact_contents() {
    let place = Place::new(None);
    let mut store = place.open().expect("new");
    let json = concat!(
        r#"{"Created":"2022-03-07T23:59:11.834611Z","Name":"dlc","durable_name":"dlc","#,
        r#""deliver_policy":"all","ack_policy":"explicit","filter_subject":"foo.\u003e","#,
        r#""replay_policy":"instant","num_replicas":0}"#
    );
    assert_eq!(String::from_utf8(place.read("meta.inf")).as_deref(), Ok(json));
    let hash = crate::filestore::record::NamedHash::new("TEST/dlc").sum(json.as_bytes());
    let sum: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(place.read("meta.sum"), sum.as_bytes());
    assert!(!store.has_state() && place.read("o.dat").is_empty());
    store.update_config(ConsumerConfig { max_deliver: 5, ..store.config().clone() }).expect("ok");
    let text = String::from_utf8(place.read("meta.inf")).expect("text");
    assert!(text.contains(r#""max_deliver":5"#));
}

#[test]
fn changes_are_written_when_due_and_found_again() {
    for encryption in [None, key("secret", Cipher::ChaCha), key("secret", Cipher::Aes)] {
        let place = Place::new(encryption);
        let mut store = place.open().expect("new");
        assert_eq!(store.next_deadline(), None);
        deliver(&mut store, 1, 1, 1).expect("valid");
        assert!(store.next_deadline().is_some_and(|deadline| deadline <= NOW));
        store.tick(NOW).expect("written");
        deliver(&mut store, 2, 2, 1).expect("valid");
        let due = NOW.saturating_add(WRITE_INTERVAL);
        assert_eq!(store.next_deadline(), Some(due));
        store.tick(NOW).expect("not yet");
        let reopened = place.open().expect("valid");
        assert_eq!(pending(&reopened), [1], "only what was written");
        store.tick(due).expect("written");
        let written = state(&store).clone();
        assert_eq!(store.next_deadline(), None);
        assert_eq!(state(&place.open().expect("valid")), &written);
        assert_eq!(place.read("o.dat").starts_with(&[22, 2]), place.encryption.is_none());
        ack(&mut store, 1, 1).expect("pending");
        store.stop(due).expect("written");
        assert_eq!(pending(&place.open().expect("valid")), [2]);
    }
}

#[test]
fn positions_that_are_set_are_written_at_once() {
    let place = Place::new(None);
    let mut store = place.open().expect("new");
    store.set_starting(22.into(), NOW).expect("written");
    assert_eq!(state(&place.open().expect("valid")).delivered, pair(0, 22));
    let forced = ConsumerState { delivered: pair(5, 6), ..ConsumerState::default() };
    store.force_update(forced.clone(), NOW).expect("written");
    assert_eq!(state(&place.open().expect("valid")), &forced);
    store.reset(3.into(), NOW).expect("written");
    assert_eq!(state(&place.open().expect("valid")).ack_floor, pair(0, 3));
    assert_eq!(store.next_deadline(), None);
}

#[test]
fn a_write_that_fails_is_tried_again() {
    let place = Place::new(None);
    let mut store = place.open().expect("new");
    deliver(&mut store, 1, 1, 1).expect("valid");
    place.disk.set_fault(place.disk.calls() + 1, Fault::Fail);
    assert!(store.tick(NOW).is_err());
    let due = store.next_deadline().expect("still to be written");
    assert_eq!(due, NOW.saturating_add(WRITE_INTERVAL));
    place.disk.clear_faults();
    store.tick(due).expect("written");
    assert_eq!(pending(&place.open().expect("valid")), [1]);
}

#[test]
fn floor_stops_just_before_the_next_pending_message() {
    let place = Place::new(None);
    let mut store = place.open().expect("new");
    for (consumer, stream) in [(1, 100), (2, 110), (3, 130), (4, 150), (5, 165)] {
        deliver(&mut store, consumer, stream, 1).expect("valid");
        assert_eq!(state(&store).delivered, pair(consumer, stream));
    }
    assert!(ack(&mut store, 3, 101).is_err() && ack(&mut store, 1, 1).is_err());
    for ((consumer, stream), floor, left) in [
        ((1, 100), (1, 109), 4),
        ((3, 130), (1, 109), 3),
        ((2, 110), (3, 149), 2),
        ((5, 165), (3, 149), 1),
        ((4, 150), (5, 165), 0),
    ] {
        ack(&mut store, consumer, stream).expect("pending");
        assert_eq!(state(&store).ack_floor, pair(floor.0, floor.1));
        assert_eq!(pending(&store).len(), left);
    }
    for (consumer, stream) in [(6, 170), (7, 171), (8, 172), (9, 173), (10, 200)] {
        deliver(&mut store, consumer, stream, 1).expect("valid");
    }
    for (consumer, stream) in [(7, 171), (8, 172)] {
        ack(&mut store, consumer, stream).expect("pending");
        assert_eq!(state(&store).ack_floor, pair(5, 165));
    }
    let expected = state(&store).clone();
    store.stop(NOW).expect("written");
    assert_eq!(*state(&place.open().expect("valid")), expected);
}

#[test]
fn redelivered_entry_that_a_failing_acknowledgement_drops_leaves_the_file_too() {
    let place = Place::new(None);
    let config = ConsumerConfig { max_deliver: 1, ..config(AckPolicy::Explicit) };
    let mut store = place.open_with(config.clone()).expect("new");
    deliver(&mut store, 1, 1, 1).expect("valid");
    deliver(&mut store, 2, 1, 2).expect("valid");
    store.stop(NOW).expect("written");
    let mut store = place.open_with(config.clone()).expect("valid");
    assert_eq!((pending(&store).len(), state(&store).redelivered.len()), (0, 1));
    assert_eq!(ack(&mut store, 2, 1), Err(StoreError::MessageNotFound));
    store.stop(NOW).expect("written");
    let store = place.open_with(config).expect("valid");
    assert!(state(&store).redelivered.is_empty());
}

#[test]
fn corrupt_state_fails_the_opening() {
    let place = Place::new(None);
    place.open().expect("new").set_starting(1.into(), NOW).expect("written");
    let path = Path::new(DIR).join("o.dat");
    place.disk.write_atomic(&path, &[22, 9, 1], Durability::Synced).expect("written");
    assert_eq!(place.open().map(|_| ()), Err(StoreError::UnsupportedVersion(9)));
    place.disk.write_atomic(&path, b"o", Durability::Synced).expect("written");
    assert_eq!(place.open().map(|_| ()), Err(StoreError::CorruptState));
    place.disk.write_atomic(&path, b"", Durability::Synced).expect("written");
    assert_eq!(place.open().map(|store| store.has_state()), Ok(false), "empty is no state");
}

#[test]
fn keys_are_changed_and_missing_ones_told() {
    let mut place = Place::new(None);
    place.open().expect("new").set_starting(22.into(), NOW).expect("written");
    let previous = EncryptionConfig::new("third", "$G", Cipher::Aes).with_previous_key("second");
    for encryption in [
        key("second", Cipher::ChaCha),
        key("second", Cipher::Aes),
        Some(previous),
        key("third", Cipher::Aes),
    ] {
        place.encryption = encryption;
        let store = place.open().expect("converted");
        assert_eq!(state(&store).delivered, pair(0, 22));
        assert!(!place.disk.exists(&Path::new(DIR).join("o.dat.new")));
        assert!(!place.read("meta.inf").starts_with(b"{"));
    }
    place.encryption = key("other", Cipher::Aes);
    assert_eq!(place.open().map(|_| ()), Err(StoreError::UnableToRecoverKeys));
    place.encryption = None;
    assert_eq!(place.open().map(|_| ()), Err(StoreError::NoMainKey));
}

#[test]
fn deleting_removes_the_directory() {
    let place = Place::new(None);
    let mut store = place.open().expect("new");
    store.set_starting(1.into(), NOW).expect("written");
    store.delete().expect("removed");
    assert!(!place.disk.exists(Path::new(DIR)));
    assert_eq!(store.delete(), Ok(()));
}

/// Power is lost at every call of a run that writes two states and changes the key; what is found
/// afterwards is one of the states that were written, and never an error.
#[test]
fn power_loss_at_any_call_leaves_a_state_that_was_written() {
    let run = |place: &mut Place| -> StoreResult<()> {
        place.encryption = key("first", Cipher::ChaCha);
        let mut store = place.open()?;
        store.set_starting(1.into(), NOW)?;
        store.set_starting(2.into(), NOW)?;
        place.encryption = key("first", Cipher::Aes);
        place.open()?.set_starting(3.into(), NOW)
    };
    let mut place = Place::new(None);
    run(&mut place).expect("no fault");
    let calls = place.disk.calls();
    assert!(calls > 20);
    for call in 0..=calls {
        let mut place = Place::new(None);
        place.disk.set_fault(call, Fault::Crash);
        let finished = run(&mut place).is_ok();
        place.disk.power_loss();
        place.disk.clear_faults();
        let store = match place.open() {
            Ok(store) => store,
            Err(error) => panic!("crash at call {call}: {error}"),
        };
        let delivered = state(&store).delivered.stream.get();
        assert!(delivered <= 3, "crash at call {call}");
        assert!(!finished || delivered == 3, "crash at call {call}: written state lost");
    }
}
