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

#[test]
fn stored_message_reads_back() {
    on_every_form(conformance::stored_message_reads_back);
}

#[test]
fn limit_on_messages_drops_the_oldest() {
    on_every_form(conformance::limit_on_messages_drops_the_oldest);
}

#[test]
fn raw_message_must_have_the_next_sequence() {
    on_every_form(conformance::raw_message_must_have_the_next_sequence);
}

#[test]
fn discard_new_refuses_but_followers_accept() {
    on_every_form(conformance::discard_new_refuses_but_followers_accept);
}

#[test]
fn bytes_limit_with_discard_new_refuses_and_keeps_what_it_has() {
    on_every_form(conformance::bytes_limit_with_discard_new_refuses_and_keeps_what_it_has);
}

#[test]
fn discard_new_lets_rollups_through() {
    on_every_form(conformance::discard_new_lets_rollups_through);
}

#[test]
fn subject_limit_is_enforced_when_set_or_lowered() {
    on_every_form(conformance::subject_limit_is_enforced_when_set_or_lowered);
}

#[test]
fn subject_limit_keeps_the_newest() {
    on_every_form(conformance::subject_limit_keeps_the_newest);
}

#[test]
fn initial_first_sequence_is_honoured() {
    on_every_form(conformance::initial_first_sequence_is_honoured);
}

#[test]
fn deleted_sequences_are_those_between_first_and_last() {
    on_every_form(conformance::deleted_sequences_are_those_between_first_and_last);
}

#[test]
fn removing_everything_leaves_first_one_past_last() {
    on_every_form(conformance::removing_everything_leaves_first_one_past_last);
}

#[test]
fn removal_effects_tell_what_went() {
    on_every_form(conformance::removal_effects_tell_what_went);
}

#[test]
fn purge_keeps_the_last_sequence() {
    on_every_form(conformance::purge_keeps_the_last_sequence);
}

#[test]
fn purge_of_an_unused_store_sets_first_to_one() {
    on_every_form(conformance::purge_of_an_unused_store_sets_first_to_one);
}

#[test]
fn purge_up_to_one_does_nothing() {
    on_every_form(conformance::purge_up_to_one_does_nothing);
}

#[test]
fn purge_of_a_subject_takes_only_its_messages() {
    on_every_form(conformance::purge_of_a_subject_takes_only_its_messages);
}

#[test]
fn purge_keeps_the_newest_of_what_remains() {
    on_every_form(conformance::purge_keeps_the_newest_of_what_remains);
}

#[test]
fn purge_up_to_a_deleted_sequence() {
    on_every_form(conformance::purge_up_to_a_deleted_sequence);
}

#[test]
fn compact_moves_first_past_deletes() {
    on_every_form(conformance::compact_moves_first_past_deletes);
}

#[test]
fn compact_over_a_fully_deleted_range_empties_the_store() {
    on_every_form(conformance::compact_over_a_fully_deleted_range_empties_the_store);
}

#[test]
fn compact_past_the_end_sets_the_next_sequence() {
    on_every_form(conformance::compact_past_the_end_sets_the_next_sequence);
}

#[test]
fn compact_forgets_subjects() {
    on_every_form(conformance::compact_forgets_subjects);
}

#[test]
fn truncate_removes_everything_above() {
    on_every_form(conformance::truncate_removes_everything_above);
}

#[test]
fn truncate_to_zero_resets() {
    on_every_form(conformance::truncate_to_zero_resets);
}

#[test]
fn truncate_to_a_removed_message() {
    on_every_form(conformance::truncate_to_a_removed_message);
}

#[test]
fn skip_uses_up_sequences() {
    on_every_form(conformance::skip_uses_up_sequences);
}

#[test]
fn skip_keeps_the_last_time_unless_there_is_none() {
    on_every_form(conformance::skip_keeps_the_last_time_unless_there_is_none);
}

#[test]
fn skip_without_interest_dates_the_last_sequence() {
    on_every_form(conformance::skip_without_interest_dates_the_last_sequence);
}

#[test]
fn next_message_of_a_union_of_filters() {
    on_every_form(conformance::next_message_of_a_union_of_filters);
}

#[test]
fn next_message_of_a_wildcard_behind_many_others() {
    on_every_form(conformance::next_message_of_a_wildcard_behind_many_others);
}

#[test]
fn next_message_of_a_literal_and_its_bounds() {
    on_every_form(conformance::next_message_of_a_literal_and_its_bounds);
}

#[test]
fn previous_message_by_filter() {
    on_every_form(conformance::previous_message_by_filter);
}

#[test]
fn subject_ends_follow_every_removal() {
    on_every_form(conformance::subject_ends_follow_every_removal);
}

#[test]
fn last_sequences_of_filters() {
    on_every_form(conformance::last_sequences_of_filters);
}

#[test]
fn last_sequences_above_the_allowed_number_are_refused() {
    on_every_form(conformance::last_sequences_above_the_allowed_number_are_refused);
}

#[test]
fn last_message_follows_removals() {
    on_every_form(conformance::last_message_follows_removals);
}

#[test]
fn pending_agrees_with_a_scan() {
    on_every_form(conformance::pending_agrees_with_a_scan);
}

#[test]
fn pending_last_per_subject_counts_subjects_not_messages() {
    on_every_form(conformance::pending_last_per_subject_counts_subjects_not_messages);
}

#[test]
fn sequence_from_time_steps_over_deletes() {
    on_every_form(conformance::sequence_from_time_steps_over_deletes);
}

#[test]
fn message_ttl_removes_only_while_allowed() {
    on_every_form(conformance::message_ttl_removes_only_while_allowed);
}

#[test]
fn max_age_removes_and_never_stays() {
    on_every_form(conformance::max_age_removes_and_never_stays);
}

#[test]
fn last_expired_message_of_a_subject_becomes_a_marker() {
    on_every_form(conformance::last_expired_message_of_a_subject_becomes_a_marker);
}

#[test]
fn schedule_is_published_and_rearmed() {
    on_every_form(conformance::schedule_is_published_and_rearmed);
}

#[test]
fn replicated_state_tells_all_deletes() {
    on_every_form(conformance::replicated_state_tells_all_deletes);
}

#[test]
fn deletes_of_a_replica_are_followed() {
    on_every_form(conformance::deletes_of_a_replica_are_followed);
}

#[test]
fn closed_store_refuses() {
    on_every_form(conformance::closed_store_refuses);
}
