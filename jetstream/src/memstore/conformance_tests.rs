//! The behaviours every store has, tested on this one.

use super::tests::make;
use crate::conformance;

#[test]
fn stored_message_reads_back() {
    conformance::stored_message_reads_back(&make);
}

#[test]
fn limit_on_messages_drops_the_oldest() {
    conformance::limit_on_messages_drops_the_oldest(&make);
}

#[test]
fn raw_message_must_have_the_next_sequence() {
    conformance::raw_message_must_have_the_next_sequence(&make);
}

#[test]
fn discard_new_refuses_but_followers_accept() {
    conformance::discard_new_refuses_but_followers_accept(&make);
}

#[test]
fn bytes_limit_with_discard_new_refuses_and_keeps_what_it_has() {
    conformance::bytes_limit_with_discard_new_refuses_and_keeps_what_it_has(&make);
}

#[test]
fn discard_new_lets_rollups_through() {
    conformance::discard_new_lets_rollups_through(&make);
}

#[test]
fn subject_limit_is_enforced_when_set_or_lowered() {
    conformance::subject_limit_is_enforced_when_set_or_lowered(&make);
}

#[test]
fn subject_limit_keeps_the_newest() {
    conformance::subject_limit_keeps_the_newest(&make);
}

#[test]
fn initial_first_sequence_is_honoured() {
    conformance::initial_first_sequence_is_honoured(&make);
}

#[test]
fn deleted_sequences_are_those_between_first_and_last() {
    conformance::deleted_sequences_are_those_between_first_and_last(&make);
}

#[test]
fn removing_everything_leaves_first_one_past_last() {
    conformance::removing_everything_leaves_first_one_past_last(&make);
}

#[test]
fn removal_effects_tell_what_went() {
    conformance::removal_effects_tell_what_went(&make);
}

#[test]
fn purge_keeps_the_last_sequence() {
    conformance::purge_keeps_the_last_sequence(&make);
}

#[test]
fn purge_of_an_unused_store_sets_first_to_one() {
    conformance::purge_of_an_unused_store_sets_first_to_one(&make);
}

#[test]
fn purge_up_to_one_does_nothing() {
    conformance::purge_up_to_one_does_nothing(&make);
}

#[test]
fn purge_of_a_subject_takes_only_its_messages() {
    conformance::purge_of_a_subject_takes_only_its_messages(&make);
}

#[test]
fn purge_keeps_the_newest_of_what_remains() {
    conformance::purge_keeps_the_newest_of_what_remains(&make);
}

#[test]
fn purge_up_to_a_deleted_sequence() {
    conformance::purge_up_to_a_deleted_sequence(&make);
}

#[test]
fn compact_moves_first_past_deletes() {
    conformance::compact_moves_first_past_deletes(&make);
}

#[test]
fn compact_over_a_fully_deleted_range_empties_the_store() {
    conformance::compact_over_a_fully_deleted_range_empties_the_store(&make);
}

#[test]
fn compact_past_the_end_sets_the_next_sequence() {
    conformance::compact_past_the_end_sets_the_next_sequence(&make);
}

#[test]
fn compact_forgets_subjects() {
    conformance::compact_forgets_subjects(&make);
}

#[test]
fn truncate_removes_everything_above() {
    conformance::truncate_removes_everything_above(&make);
}

#[test]
fn truncate_to_zero_resets() {
    conformance::truncate_to_zero_resets(&make);
}

#[test]
fn truncate_to_a_removed_message() {
    conformance::truncate_to_a_removed_message(&make);
}

#[test]
fn skip_uses_up_sequences() {
    conformance::skip_uses_up_sequences(&make);
}

#[test]
fn skip_keeps_the_last_time_unless_there_is_none() {
    conformance::skip_keeps_the_last_time_unless_there_is_none(&make);
}

#[test]
fn skip_without_interest_dates_the_last_sequence() {
    conformance::skip_without_interest_dates_the_last_sequence(&make);
}

#[test]
fn next_message_of_a_union_of_filters() {
    conformance::next_message_of_a_union_of_filters(&make);
}

#[test]
fn next_message_of_a_wildcard_behind_many_others() {
    conformance::next_message_of_a_wildcard_behind_many_others(&make);
}

#[test]
fn next_message_of_a_literal_and_its_bounds() {
    conformance::next_message_of_a_literal_and_its_bounds(&make);
}

#[test]
fn previous_message_by_filter() {
    conformance::previous_message_by_filter(&make);
}

#[test]
fn subject_ends_follow_every_removal() {
    conformance::subject_ends_follow_every_removal(&make);
}

#[test]
fn last_sequences_of_filters() {
    conformance::last_sequences_of_filters(&make);
}

#[test]
fn last_sequences_above_the_allowed_number_are_refused() {
    conformance::last_sequences_above_the_allowed_number_are_refused(&make);
}

#[test]
fn last_message_follows_removals() {
    conformance::last_message_follows_removals(&make);
}

#[test]
fn pending_agrees_with_a_scan() {
    conformance::pending_agrees_with_a_scan(&make);
}

#[test]
fn pending_last_per_subject_counts_subjects_not_messages() {
    conformance::pending_last_per_subject_counts_subjects_not_messages(&make);
}

#[test]
fn sequence_from_time_steps_over_deletes() {
    conformance::sequence_from_time_steps_over_deletes(&make);
}

#[test]
fn message_ttl_removes_only_while_allowed() {
    conformance::message_ttl_removes_only_while_allowed(&make);
}

#[test]
fn max_age_removes_and_never_stays() {
    conformance::max_age_removes_and_never_stays(&make);
}

#[test]
fn last_expired_message_of_a_subject_becomes_a_marker() {
    conformance::last_expired_message_of_a_subject_becomes_a_marker(&make);
}

#[test]
fn schedule_is_published_and_rearmed() {
    conformance::schedule_is_published_and_rearmed(&make);
}

#[test]
fn replicated_state_tells_all_deletes() {
    conformance::replicated_state_tells_all_deletes(&make);
}

#[test]
fn deletes_of_a_replica_are_followed() {
    conformance::deletes_of_a_replica_are_followed(&make);
}

#[test]
fn closed_store_refuses() {
    conformance::closed_store_refuses(&make);
}
