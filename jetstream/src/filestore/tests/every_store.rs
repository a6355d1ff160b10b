//! The behaviours every store has, tested on this one: in the clear, compressed, encrypted with both
//! ciphers, and in blocks so small that most tests spread over several of them.

use std::path::Path;
use std::sync::Arc;

use super::{Rig, TestRandom};
use crate::config::{StorageType, StoreCompression, StreamConfig};
use crate::conformance::{self, Maker, START};
use crate::disk::SimDisk;
use crate::filestore::encryption::{Cipher, EncryptionConfig};
use crate::filestore::{FileStore, FileStoreOptions};
use crate::store::Store;
use crate::time::DateTime;

/// Runs a behaviour on every form of the file store.
fn on_every_form(behaviour: fn(Maker<'_>)) {
    for (block_size, cache_bytes) in [(0, 1 << 20), (400, 1)] {
        for cipher in [None, Some(Cipher::ChaCha), Some(Cipher::Aes)] {
            for compression in [StoreCompression::None, StoreCompression::S2] {
                behaviour(&|config: StreamConfig| -> Box<dyn Store> {
                    let config = StreamConfig { storage: StorageType::File, compression, ..config };
                    let created = DateTime::parse("2024-01-01T00:00:00Z").unwrap();
                    let mut options = FileStoreOptions::new(
                        Arc::new(SimDisk::new(3)),
                        Path::new(&Rig::dir()),
                        created,
                        Box::new(TestRandom(5)),
                    );
                    options.block_size = block_size;
                    options.cache_bytes = cache_bytes;
                    options.encryption =
                        cipher.map(|cipher| EncryptionConfig::new("key", "$G", cipher));
                    Box::new(FileStore::open(options, config, START).unwrap())
                });
            }
        }
    }
}

macro_rules! on_every_form {
    ($($behaviour:ident)*) => {
        $(
            #[test]
            fn $behaviour() {
                on_every_form(conformance::$behaviour);
            }
        )*
    };
}

on_every_form! {
    stored_message_reads_back
    limit_on_messages_drops_the_oldest
    raw_message_must_have_the_next_sequence
    discard_new_refuses_but_followers_accept
    bytes_limit_with_discard_new_refuses_and_keeps_what_it_has
    discard_new_lets_rollups_through
    subject_limit_is_enforced_when_set_or_lowered
    subject_limit_keeps_the_newest
    initial_first_sequence_is_honoured
    deleted_sequences_are_those_between_first_and_last
    removing_everything_leaves_first_one_past_last
    removal_effects_tell_what_went
    purge_keeps_the_last_sequence
    purge_of_an_unused_store_sets_first_to_one
    purge_up_to_one_does_nothing
    purge_of_a_subject_takes_only_its_messages
    purge_keeps_the_newest_of_what_remains
    purge_up_to_a_deleted_sequence
    compact_moves_first_past_deletes
    compact_over_a_fully_deleted_range_empties_the_store
    compact_past_the_end_sets_the_next_sequence
    compact_forgets_subjects
    truncate_removes_everything_above
    truncate_to_zero_resets
    truncate_to_a_removed_message
    skip_uses_up_sequences
    skip_keeps_the_last_time_unless_there_is_none
    skip_without_interest_dates_the_last_sequence
    next_message_of_a_union_of_filters
    next_message_of_a_wildcard_behind_many_others
    next_message_of_a_literal_and_its_bounds
    previous_message_by_filter
    subject_ends_follow_every_removal
    last_sequences_of_filters
    last_sequences_above_the_allowed_number_are_refused
    last_message_follows_removals
    pending_agrees_with_a_scan
    pending_last_per_subject_counts_subjects_not_messages
    sequence_from_time_steps_over_deletes
    message_ttl_removes_only_while_allowed
    max_age_removes_and_never_stays
    last_expired_message_of_a_subject_becomes_a_marker
    schedule_is_published_and_rearmed
    replicated_state_tells_all_deletes
    deletes_of_a_replica_are_followed
    closed_store_refuses
}
