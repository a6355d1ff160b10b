//! What becomes of the stream's messages, and what that means here (spec 07b §B5.6, §B11).

use super::acks::UNACKED_DELETED;
use super::delivering::is_gone;
use super::{Consumer, Turn};
use crate::filter::SubjectFilter;
use crate::types::StreamSequence;
use sublist::subject;

/// How what was purged relates to what the consumer delivers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purged {
    /// Nothing of it.
    Nothing,
    /// All of it, up to the new first message.
    All,
    /// Some of it.
    Some,
}

impl Consumer {
    /// The stream stored a message. To be called for every message whose subject matches, in
    /// order; for others it costs one comparison.
    pub fn stored(&mut self, sequence: StreamSequence, subject: &[u8]) {
        if self.closed || !self.filter.matches(subject) {
            return;
        }
        if sequence > self.counted_through {
            self.num_pending += 1;
        }
        if sequence < self.progress.next_stream {
            return;
        }
        if self.caught_up {
            self.caught_up = false;
            self.progress.next_stream = sequence;
        }
        if !self.ready {
            self.ready = self.can_deliver() && !self.is_at_max_ack_pending();
        }
    }

    /// One message went away: it was deleted, expired, or pushed out by a limit.
    pub fn removed(&mut self, turn: &mut Turn<'_>, sequence: StreamSequence, subject: &[u8]) {
        if self.closed {
            return;
        }
        self.uncount_removed(sequence, subject);
        if self.progress.pending.contains_key(&sequence) {
            self.terminate_gone(turn, sequence, UNACKED_DELETED);
        } else if self.progress.redelivered.remove(&sequence).is_some() {
            self.redelivery.remove(sequence);
            // With sequence 0, only the count of redeliveries is forgotten.
            self.record_acked(0.into(), sequence, turn.now);
        }
        self.check_invariants();
    }

    fn uncount_removed(&mut self, sequence: StreamSequence, subject: &[u8]) {
        if let Some(resume) = self.skip_list.as_ref().map(|list| list.resume)
            && sequence <= resume
        {
            // Of what was there at the start, only the last of each subject are counted.
            if self.skip(sequence) {
                self.num_pending -= 1;
            }
        } else if sequence >= self.progress.next_stream && self.filter.matches(subject) {
            self.num_pending -= 1;
        }
    }

    /// Many messages went away at once, from the start of the stream or anywhere in it.
    pub fn removed_many(&mut self, turn: &mut Turn<'_>) {
        if self.closed {
            return;
        }
        self.forget_removed_redeliveries(turn);
        self.check_floor(turn);
        self.count_pending(turn);
        self.check_invariants();
    }

    /// The stream was purged: all of it, or messages of `purged` only.
    pub fn purged(&mut self, turn: &mut Turn<'_>, purged: Option<&str>) {
        if self.closed {
            return;
        }
        let state = turn.store.fast_state();
        let (kind, first) = match purged.filter(|purged| !purged.is_empty()) {
            None => (Purged::All, state.first_seq),
            Some(purged) => match self.share_of(purged) {
                Purged::All => {
                    let filter = SubjectFilter::new(purged);
                    let left = turn.store.filtered_state(state.first_seq, &filter);
                    // Nothing left of it: what comes next is behind the last message.
                    let first = left.map(|left| left.first).unwrap_or_default();
                    (Purged::All, if first.is_zero() { state.last_seq.next() } else { first })
                }
                other => (other, state.first_seq),
            },
        };
        if kind != Purged::Nothing {
            self.drop_purged(turn, first, kind == Purged::Some);
        }
        self.forget_removed_redeliveries(turn);
        self.count_pending(turn);
        self.check_invariants();
    }

    /// How much of what the consumer delivers is part of `purged`.
    fn share_of(&self, purged: &str) -> Purged {
        let purged = purged.as_bytes();
        let mut filters = self.config().filters().map(str::as_bytes).peekable();
        if filters.peek().is_none() {
            return Purged::Some;
        }
        let (mut all, mut some) = (true, false);
        for filter in filters {
            let is_part = subject::is_subset_match(filter, purged);
            all &= is_part;
            some |= is_part || subject::subjects_overlap(filter, purged);
        }
        match (all, some) {
            (true, _) => Purged::All,
            (false, true) => Purged::Some,
            (false, false) => Purged::Nothing,
        }
    }

    /// Goes on behind what was purged. With `look`, pending messages above are looked at, too.
    fn drop_purged(&mut self, turn: &mut Turn<'_>, first: StreamSequence, look: bool) {
        self.drop_purged_skips(turn, first);
        let progress = &mut self.progress;
        progress.next_stream = progress.next_stream.max(first);
        let above = if progress.floor.stream < first {
            progress.floor.stream = first.previous();
            progress.pending.split_off(&first)
        } else {
            std::mem::take(&mut progress.pending)
        };
        let below = std::mem::replace(&mut progress.pending, above);
        if !look {
            // Nothing of what the consumer delivers is left below.
            progress.redelivered = progress.redelivered.split_off(&first);
        }
        let mut gone: Vec<StreamSequence> = below.into_keys().collect();
        if look {
            let mut is_purged = |stream: &StreamSequence| {
                turn.store.load(*stream).is_err_and(|error| is_gone(&error))
            };
            gone.extend(progress.pending.keys().copied().filter(&mut is_purged));
            gone.extend(progress.redelivered.keys().copied().filter(&mut is_purged));
        }
        for stream in &gone {
            progress.pending.remove(stream);
            progress.redelivered.remove(stream);
            self.redelivery.remove(*stream);
        }
        if let Some(awaited) = progress.pending.values().map(|pending| pending.sequence).min() {
            progress.floor.consumer = progress.floor.consumer.max(awaited.previous());
        } else {
            progress.floor = progress.delivered();
        }
        self.ready = true;
        self.record_state("purge");
    }

    /// Of the last messages of each subject, those that were purged are not delivered.
    fn drop_purged_skips(&mut self, turn: &mut Turn<'_>, first: StreamSequence) {
        let Some(list) = &mut self.skip_list else { return };
        list.sequences.retain(|stream| *stream >= first && turn.store.load(*stream).is_ok());
        if list.sequences.is_empty() {
            self.progress.next_stream = self.progress.next_stream.max(list.resume.next());
            self.skip_list = None;
        }
    }
}
