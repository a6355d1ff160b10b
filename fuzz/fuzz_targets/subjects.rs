//! Subjects of any bytes: every relation agrees with its naive definition over
//! token vectors, and a sublist with and one without cache agree with a list
//! that is searched from end to end.
//!
//! The input is lines; the first two are related to each other. Each line is
//! then a step by its first byte: `-` removes what is subscribed to the rest of
//! the line, `?` publishes on it, `<` asks for what overlaps it, anything else
//! subscribes to the whole line, in a queue group when it holds a tab.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sublist::subject::*;
use sublist::{Matches, Sublist, Subscription};

type Tokens<'a> = Vec<&'a [u8]>;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n');
    let (a, b) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    for subject in [a, b] {
        check_subject(subject);
    }
    for (a, b) in [(a, b), (b, a)] {
        check_relations(a, b);
    }
    // A sequence of steps costs their square.
    let steps: Vec<_> = data.split(|byte| *byte == b'\n').take(64).collect();
    for list in [Sublist::with_cache(), Sublist::without_cache()] {
        check_steps(&list, &steps);
    }
});

fn split(subject: &[u8]) -> Tokens<'_> {
    subject.split(|byte| *byte == b'.').collect()
}

fn is_wildcard(token: &[u8]) -> bool {
    token == b"*" || token == b">"
}

fn is_subscribable(subject: &[u8]) -> bool {
    let tokens = split(subject);
    let (last, head) = tokens.split_last().expect("a split yields one part at least");
    !last.is_empty() && head.iter().all(|token| !token.is_empty() && *token != b">")
}

fn check_subject(subject: &[u8]) {
    let expected = split(subject);
    assert_eq!(tokens(subject).collect::<Vec<_>>(), expected);
    assert_eq!(num_tokens(subject), if subject.is_empty() { 0 } else { expected.len() });
    for (index, token) in expected.iter().enumerate() {
        assert_eq!(token_at(subject, index + 1), *token);
    }
    assert!(token_at(subject, 0).is_empty() && token_at(subject, expected.len() + 1).is_empty());

    let wildcard = expected.iter().any(|token| is_wildcard(token));
    assert_eq!(subject_has_wildcard(subject), wildcard);
    assert_eq!(subject_is_literal(subject), !wildcard);

    let spaced = subject.iter().any(|byte| b" \t\n\r\x0c".contains(byte));
    let valid = is_subscribable(subject) && !spaced;
    assert_eq!(subscription_shape(subject).is_some(), is_subscribable(subject));
    assert_eq!(is_valid_subject(subject), valid);
    assert_eq!(is_valid_publish_subject(subject), valid && !wildcard);
    assert_eq!(is_valid_literal_subject(subject), is_subscribable(subject) && !wildcard);
    let text = String::from_utf8_lossy(subject);
    let clean = !text.contains('\u{fffd}') && !text.contains('\0');
    assert_eq!(is_valid_subject_with_rune_check(subject), valid && clean);
}

/// Every token of the subject stands for itself.
fn fits(subject: &[&[u8]], filter: &[&[u8]]) -> bool {
    match (subject, filter) {
        ([], []) => true,
        ([first, ..], _) if first.is_empty() => false,
        (_, [b">"]) => !subject.is_empty() && subject.iter().all(|token| !token.is_empty()),
        ([token, subject @ ..], [wanted, filter @ ..]) => {
            (*wanted == b"*" || token == wanted) && fits(subject, filter)
        }
        _ => false,
    }
}

/// Some literal subject fits both. Both are valid for subscribing.
fn meet(a: &[&[u8]], b: &[&[u8]]) -> bool {
    match (a, b) {
        ([], []) => true,
        ([b">"], [_, ..]) | ([_, ..], [b">"]) => true,
        ([x, a @ ..], [y, b @ ..]) => (*x == b"*" || *y == b"*" || x == y) && meet(a, b),
        _ => false,
    }
}

fn check_relations(a: &[u8], b: &[u8]) {
    assert_eq!(match_literal(a, b), fits(&split(a), &split(b)));
    assert_eq!(subjects_collide(a, b), subjects_collide(b, a));
    assert_eq!(subject_matches_filter(a, b), is_subset_match(a, b));
    if !is_subscribable(a) || !is_subscribable(b) {
        return;
    }
    let overlap = meet(&split(a), &split(b));
    assert_eq!(subjects_overlap(a, b), overlap);
    assert!(!overlap || subjects_collide(a, b), "a collision may be a false yes, never a false no");
    // Tokens that merely start with `*` are the reference's corner.
    let plain = |subject| split(subject).iter().all(|t| is_wildcard(t) || !t.starts_with(b"*"));
    if plain(a) && plain(b) {
        if subject_is_literal(a) {
            assert_eq!(is_subset_match(a, b), match_literal(a, b));
        }
        assert!(!is_subset_match(a, b) || overlap, "a part overlaps the whole");
    }
}

struct Sub {
    subject: Vec<u8>,
    queue: Option<Vec<u8>>,
}

impl Subscription for Sub {
    fn subject(&self) -> &[u8] {
        &self.subject
    }

    fn queue(&self) -> Option<&[u8]> {
        self.queue.as_deref()
    }
}

fn check_steps(list: &Sublist<Arc<Sub>>, steps: &[&[u8]]) {
    let mut held: Vec<Arc<Sub>> = Vec::new();
    for step in steps {
        match step {
            [b'-', subject @ ..] => {
                if let Some(at) = held.iter().position(|sub| sub.subject == subject) {
                    let sub = held.swap_remove(at);
                    assert!(list.remove(&sub).is_ok() && list.remove(&sub).is_err());
                }
            }
            [b'?', subject @ ..] => {
                let expected = expect(&held, |filter| fits(&split(subject), &split(filter)));
                let mut buffer = Matches::new();
                list.match_into(subject, &mut buffer);
                assert_eq!(addresses(&buffer), expected);
                assert_eq!(addresses(&list.match_subject(subject)), expected);
                assert_eq!(list.has_interest(subject), !expected.is_empty());
            }
            [b'<', subject @ ..] if is_subscribable(subject) => {
                let expected = expect(&held, |stored| match subject_is_literal(subject) {
                    true => fits(&split(subject), &split(stored)),
                    false => meet(&split(subject), &split(stored)),
                });
                assert_eq!(addresses(&list.reverse_match(subject)), expected);
            }
            line => {
                let queue = line.iter().position(|byte| *byte == b'\t');
                let sub = Arc::new(Sub {
                    subject: line.to_vec(),
                    queue: queue.map(|at| line[..at].to_vec()),
                });
                assert_eq!(list.insert(Arc::clone(&sub)).is_ok(), is_subscribable(line));
                if is_subscribable(line) {
                    held.push(sub);
                }
            }
        }
        list.check_invariants();
    }
    assert_eq!(list.count(), held.len() as u64);
    assert!(list.remove_batch(&held).is_ok());
    assert!(list.all().is_empty());
    list.check_invariants();
}

fn expect(held: &[Arc<Sub>], selected: impl Fn(&[u8]) -> bool) -> Vec<usize> {
    sorted(held.iter().filter(|sub| selected(&sub.subject)))
}

fn addresses(matches: &Matches<Arc<Sub>>) -> Vec<usize> {
    let queues = matches.queues().iter().flat_map(|group| {
        assert!(group.members().iter().all(|sub| sub.queue.as_deref() == Some(group.name())));
        group.members()
    });
    sorted(matches.plain().iter().chain(queues))
}

fn sorted<'a>(subs: impl Iterator<Item = &'a Arc<Sub>>) -> Vec<usize> {
    let mut addresses: Vec<_> = subs.map(|sub| Arc::as_ptr(sub).addr()).collect();
    addresses.sort_unstable();
    addresses
}
