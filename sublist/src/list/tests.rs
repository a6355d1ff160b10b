//! Behaviour of the sublist, with and without its result cache.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Barrier};

use super::*;
use crate::cache::{CACHE_MAX, CACHE_SWEEP};
use crate::subscription::{MAX_WEIGHT_SLOTS, Subscription};

#[derive(Debug)]
pub(super) struct Sub {
    subject: Vec<u8>,
    queue: Option<Vec<u8>>,
    weight: AtomicU32,
}

impl Subscription for Sub {
    fn subject(&self) -> &[u8] {
        &self.subject
    }

    fn queue(&self) -> Option<&[u8]> {
        self.queue.as_deref()
    }

    fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }
}

type List = Sublist<Arc<Sub>>;

fn remote(subject: &str, queue: &str, weight: u32) -> Arc<Sub> {
    Arc::new(Sub {
        subject: subject.into(),
        queue: Some(queue.into()),
        weight: AtomicU32::new(weight),
    })
}

fn member(subject: &str, queue: &str) -> Arc<Sub> {
    remote(subject, queue, 1)
}

fn plain(subject: &str) -> Arc<Sub> {
    Arc::new(Sub { subject: subject.into(), queue: None, weight: AtomicU32::new(1) })
}

/// Runs a check against a sublist with and one without cache, and looks at both afterwards.
fn with_and_without_cache(check: impl Fn(&List)) {
    for list in [List::with_cache(), List::without_cache()] {
        check(&list);
        list.check_invariants();
    }
}

/// Inserts plain subscriptions to all the subjects.
fn insert_all(list: &List, subjects: &[&str]) -> Vec<Arc<Sub>> {
    subjects
        .iter()
        .map(|subject| {
            let sub = plain(subject);
            list.insert(Arc::clone(&sub)).unwrap();
            sub
        })
        .collect()
}

/// The subjects of the plain subscriptions that match, sorted.
fn plain_matches(list: &List, subject: &str) -> Vec<String> {
    subjects_of(list.match_subject(subject.as_bytes()).plain())
}

fn subjects_of(subs: &[Arc<Sub>]) -> Vec<String> {
    let mut subjects: Vec<_> =
        subs.iter().map(|s| String::from_utf8(s.subject.clone()).unwrap()).collect();
    subjects.sort();
    subjects
}

fn holds(subs: &[Arc<Sub>], wanted: &Arc<Sub>) -> bool {
    subs.iter().any(|s| Arc::ptr_eq(s, wanted))
}

fn is_bare(list: &List) -> bool {
    let index = list.index.read();
    index.literals.iter().next().is_none() && index.trie.node_count() == 0
}

#[test]
fn insert_counts_and_new_list_is_empty() {
    with_and_without_cache(|list| {
        assert_eq!(list.count(), 0);
        insert_all(list, &["foo", "bar", "foo.bar"]);
        assert_eq!(list.count(), 3);
    });
}

#[test]
fn literal_subjects_of_any_depth_match_themselves_only() {
    with_and_without_cache(|list| {
        let subs = insert_all(list, &["foo", "foo.bar.baz"]);
        assert!(holds(list.match_subject(b"foo").plain(), &subs[0]));
        assert_eq!(plain_matches(list, "foo"), ["foo"]);
        assert_eq!(plain_matches(list, "foo.bar.baz"), ["foo.bar.baz"]);
        assert!(holds(list.match_subject(b"foo.bar.baz").plain(), &subs[1]));
        assert!(plain_matches(list, "foo.bar").is_empty());
        assert!(plain_matches(list, "foo.bar.baz.x").is_empty());
        assert!(plain_matches(list, "FOO").is_empty());
    });
}

#[test]
fn partial_wildcard_matches_exactly_one_token() {
    with_and_without_cache(|list| {
        insert_all(list, &["a.b.c", "a.*.c", "a.b.*"]);
        assert_eq!(plain_matches(list, "a.b.c"), ["a.*.c", "a.b.*", "a.b.c"]);
        assert_eq!(plain_matches(list, "a.x.c"), ["a.*.c"]);
        assert!(plain_matches(list, "a.c").is_empty());
        assert!(plain_matches(list, "a.b").is_empty());
        assert!(plain_matches(list, "a.b.c.d").is_empty());
    });
}

#[test]
fn full_wildcard_matches_one_or_more_tokens() {
    with_and_without_cache(|list| {
        insert_all(list, &["a.b.c", "a.>"]);
        assert_eq!(plain_matches(list, "a.b.c"), ["a.>", "a.b.c"]);
        assert_eq!(plain_matches(list, "a.x"), ["a.>"]);
        assert!(plain_matches(list, "a").is_empty());
        assert!(plain_matches(list, "b").is_empty());
    });
}

#[test]
fn published_wildcards_stand_for_themselves() {
    with_and_without_cache(|list| {
        insert_all(list, &["foo.*", "foo.>", ">", "*.*", "foo.bar", "a.>"]);
        assert_eq!(plain_matches(list, "foo.*"), ["*.*", ">", "foo.*", "foo.>"]);
        assert_eq!(plain_matches(list, "foo.>"), ["*.*", ">", "foo.*", "foo.>"]);
        assert_eq!(plain_matches(list, "a.>"), ["*.*", ">", "a.>"]);
        assert_eq!(plain_matches(list, "*"), [">"]);
    });
}

#[test]
fn wildcard_bytes_inside_tokens_are_inserted_matched_and_removed_as_literals() {
    with_and_without_cache(|list| {
        for subject in ["foo.*-", "foo.>-"] {
            let sub = plain(subject);
            list.insert(Arc::clone(&sub)).unwrap();
            assert!(plain_matches(list, "foo.bar").is_empty());
            assert_eq!(plain_matches(list, subject), [subject]);
            // Something that never was there cannot be removed.
            assert_eq!(list.remove(&plain("foo.bar")), Err(SublistError::NotFound));
            assert_eq!(list.count(), 1);
            list.remove(&sub).unwrap();
            assert_eq!(list.count(), 0);
        }
    });
}

#[test]
fn subject_with_empty_token_matches_nothing() {
    with_and_without_cache(|list| {
        list.insert(plain(">")).unwrap();
        list.insert(member(">", "queue")).unwrap();
        list.insert(plain("*.*")).unwrap();
        for subject in ["", ".", ".foo", "..foo", "foo..", "foo.", "foo..bar", "foo...bar"] {
            assert!(list.match_subject(subject.as_bytes()).is_empty(), "{subject}");
            assert!(!list.has_interest(subject.as_bytes()), "{subject}");
            assert_eq!(list.num_interest(subject.as_bytes()), (0, 0), "{subject}");
        }
        assert_eq!(list.cache_count(), 0, "invalid subjects are not cached");
    });
}

#[test]
fn remove_takes_exactly_that_subscription() {
    with_and_without_cache(|list| {
        let subs = insert_all(list, &["a.b.c.d", "a.b.*.d", "a.b.>", "a.b.c.d"]);
        assert_eq!(list.match_subject(b"a.b.c.d").plain().len(), 4);
        // Equal subject, but another subscription; and a prefix of a present subject.
        assert_eq!(list.remove(&plain("a.b.c.d")), Err(SublistError::NotFound));
        assert_eq!(list.remove(&plain("a.b.c")), Err(SublistError::NotFound));
        assert_eq!(list.remove(&plain("a.b.*")), Err(SublistError::NotFound));
        assert_eq!(list.remove(&plain("a.>")), Err(SublistError::NotFound));
        assert_eq!(list.remove(&member("a.b.>", "q")), Err(SublistError::NotFound));
        assert_eq!(list.count(), 4);
        for (left, sub) in [(3, &subs[0]), (2, &subs[2]), (1, &subs[1]), (0, &subs[3])] {
            list.remove(sub).unwrap();
            assert_eq!(list.count(), left);
            let result = list.match_subject(b"a.b.c.d");
            assert_eq!(result.plain().len() as u64, left);
            assert!(!holds(result.plain(), sub));
            assert_eq!(list.remove(sub), Err(SublistError::NotFound));
        }
        assert!(is_bare(list));
    });
}

#[test]
fn removing_the_last_subscription_leaves_nothing_behind() {
    with_and_without_cache(|list| {
        for subject in ["a.b.c.d.e.f", "a.b.*.d.e.>", ">", "*", "*.*.>", "a.*"] {
            assert!(is_bare(list));
            let sub = plain(subject);
            list.insert(Arc::clone(&sub)).unwrap();
            assert_eq!(list.all().len(), 1);
            list.check_invariants();
            list.remove(&sub).unwrap();
            assert!(is_bare(list));
            list.check_invariants();
        }
    });
}

#[test]
fn a_node_stays_while_others_need_it() {
    with_and_without_cache(|list| {
        let subs = insert_all(list, &["a.*.c.*", "a.*", "a.*.c.>", "a.*.x"]);
        assert_eq!(list.index.read().trie.node_count(), 5);
        list.remove(&subs[1]).unwrap();
        assert_eq!(list.index.read().trie.node_count(), 5);
        list.remove(&subs[0]).unwrap();
        assert_eq!(list.index.read().trie.node_count(), 4);
        assert_eq!(plain_matches(list, "a.b.c.d"), ["a.*.c.>"]);
        list.remove(&subs[2]).unwrap();
        assert_eq!(list.index.read().trie.node_count(), 3);
        assert_eq!(plain_matches(list, "a.b.x"), ["a.*.x"]);
        list.remove(&subs[3]).unwrap();
        assert!(is_bare(list));
    });
}

#[test]
fn many_subscriptions_to_one_subject_can_be_removed_from_anywhere() {
    with_and_without_cache(|list| {
        for _ in 0..512 {
            list.insert(plain("foo")).unwrap();
        }
        let result = list.match_subject(b"foo");
        assert_eq!(result.plain().len(), 512);
        for at in [256, 0, 511] {
            list.remove(&result.plain()[at]).unwrap();
        }
        let left = list.match_subject(b"foo");
        assert_eq!(left.plain().len(), 509);
        for at in [256, 0, 511] {
            assert!(!holds(left.plain(), &result.plain()[at]));
        }
        list.check_invariants();
        for sub in left.plain() {
            list.remove(sub).unwrap();
        }
        assert!(is_bare(list));
    });
}

#[test]
fn invalid_subjects_are_refused_by_insert_and_remove() {
    with_and_without_cache(|list| {
        for subject in
            ["", ".foo", "foo.", "foo..bar", "foo.bar..baz", "foo.>.bar", ">.*", "a.b..d"]
        {
            assert_eq!(list.insert(plain(subject)), Err(SublistError::InvalidSubject));
            assert_eq!(list.remove(&plain(subject)), Err(SublistError::InvalidSubject));
        }
        assert!(is_bare(list));
        assert_eq!((list.count(), list.generation()), (0, 0));
        assert_eq!(SublistError::InvalidSubject.to_string(), "sublist: invalid subject");
        assert_eq!(SublistError::NotFound.to_string(), "sublist: no matches found");
        assert_eq!(
            SublistError::AlreadyRegistered.to_string(),
            "sublist: notification already registered"
        );
    });
}

#[test]
fn any_bytes_but_the_separator_may_be_in_a_token() {
    with_and_without_cache(|list| {
        let subject = b"\0\xff.a b.\r\n\t".to_vec();
        let sub = Arc::new(Sub { subject, queue: None, weight: AtomicU32::new(1) });
        list.insert(Arc::clone(&sub)).unwrap();
        assert_eq!(list.match_subject(&sub.subject).plain().len(), 1);
        assert_eq!(list.match_subject(b"\0\xfe.a b.\r\n\t").plain().len(), 0);
        list.remove(&sub).unwrap();
    });
}

#[test]
fn thousands_of_tokens_are_matched_without_deep_recursion() {
    with_and_without_cache(|list| {
        let deep = vec!["*"; 200_000].join(".");
        let sub = plain(&deep);
        list.insert(Arc::clone(&sub)).unwrap();
        let published = vec!["x"; 200_000].join(".");
        assert_eq!(list.match_subject(published.as_bytes()).plain().len(), 1);
        assert_eq!(list.reverse_match(deep.as_bytes()).plain().len(), 1);
        list.remove(&sub).unwrap();
        assert!(is_bare(list));
    });
}

#[test]
fn inserting_twice_keeps_one() {
    with_and_without_cache(|list| {
        for sub in [plain("foo"), plain("foo.*"), member("foo", "q")] {
            list.insert(Arc::clone(&sub)).unwrap();
            list.insert(Arc::clone(&sub)).unwrap();
        }
        assert_eq!(list.count(), 3);
        assert_eq!(list.stats().num_inserts, 6);
        let result = list.match_subject(b"foo");
        assert_eq!((result.plain().len(), result.slots()), (1, 2));
        assert_eq!(list.match_subject(b"foo.x").plain().len(), 1);
    });
}

#[test]
fn batch_removes_what_it_can_and_returns_the_first_error() {
    with_and_without_cache(|list| {
        let subs = insert_all(list, &["foo", "bar", "baz"]);
        let batch = [plain("not.there"), plain("a..b"), Arc::clone(&subs[0]), Arc::clone(&subs[2])];
        assert_eq!(list.remove_batch(&batch), Err(SublistError::NotFound));
        assert_eq!(list.count(), 1);
        assert_eq!(plain_matches(list, "bar"), ["bar"]);
        assert!(plain_matches(list, "foo").is_empty());
        assert!(plain_matches(list, "baz").is_empty());
    });
}

#[test]
fn batch_larger_than_one_step_removes_all() {
    with_and_without_cache(|list| {
        let subs: Vec<_> = (0..1000).map(|i| plain(&format!("foo.{i}"))).collect();
        subs.iter().for_each(|s| list.insert(Arc::clone(s)).unwrap());
        let before = list.generation();
        list.remove_batch(&subs).unwrap();
        assert!(is_bare(list));
        assert!(list.generation() > before);
    });
}

#[test]
fn batch_clears_the_cache_and_keeps_it_switched_as_it_was() {
    for enabled in [true, false] {
        let list = List::new(enabled);
        let subs = insert_all(&list, &["foo", "bar"]);
        list.match_subject(b"foo");
        assert_eq!(list.cache_count(), usize::from(enabled));
        let generation = list.generation();
        list.remove_batch(&[]).unwrap();
        assert_eq!((list.cache_count(), list.generation()), (usize::from(enabled), generation));
        list.remove_batch(&subs[1..]).unwrap();
        assert_eq!(list.cache_count(), 0);
        assert_eq!(list.cache_enabled(), enabled);
        list.match_subject(b"foo");
        assert_eq!(list.cache_count(), usize::from(enabled));
    }
}

#[test]
fn switching_the_cache_off_drops_it_and_on_fills_it_again() {
    let list = List::with_cache();
    insert_all(&list, &["foo"]);
    list.match_subject(b"foo");
    list.set_cache_enabled(false);
    assert_eq!((list.cache_enabled(), list.cache_count()), (false, 0));
    list.match_subject(b"foo");
    assert_eq!(list.cache_count(), 0);
    list.set_cache_enabled(true);
    list.match_subject(b"foo");
    assert_eq!((list.cache_enabled(), list.cache_count()), (true, 1));
    assert_eq!(list.stats().num_matches, 3);
}

#[test]
fn cached_results_follow_inserts_and_removes() {
    let list = List::with_cache();
    let mut subs = insert_all(&list, &["a.b.c.d"]);
    assert_eq!(plain_matches(&list, "a.b.c.d").len(), 1);
    subs.extend(insert_all(&list, &["a.b.*.d", "a.b.>", "x"]));
    assert_eq!(list.cache_count(), 1, "inserts update the entry");
    assert_eq!(plain_matches(&list, "a.b.c.d").len(), 3);
    assert_eq!(list.stats().cache_hits(), 1);
    for sub in &subs {
        list.remove(sub).unwrap();
    }
    assert_eq!((list.count(), list.cache_count()), (0, 0), "removes drop the entry");
    assert!(plain_matches(&list, "a.b.c.d").is_empty());

    // A negative entry becomes a positive one.
    assert!(plain_matches(&list, "foo.baz").is_empty());
    insert_all(&list, &["foo.*", "foo.bar"]);
    assert_eq!(plain_matches(&list, "foo.baz"), ["foo.*"]);
    assert_eq!(plain_matches(&list, "foo.bar"), ["foo.*", "foo.bar"]);
    insert_all(&list, &["foo.>"]);
    assert_eq!(plain_matches(&list, "foo.bar"), ["foo.*", "foo.>", "foo.bar"]);
    list.check_invariants();
}

#[test]
fn a_result_handed_out_does_not_change_afterwards() {
    let list = List::with_cache();
    insert_all(&list, &["foo"]);
    let before = list.match_subject(b"foo");
    insert_all(&list, &["foo", "*"]);
    assert_eq!(before.plain().len(), 1);
    assert_eq!(list.match_subject(b"foo").plain().len(), 3);
}

#[test]
fn wide_cached_result_in_use_is_not_copied_but_found_anew() {
    let list = List::with_cache();
    for _ in 0..3000 {
        list.insert(plain("foo")).unwrap();
    }
    let held = list.match_subject(b"foo");
    list.insert(plain("foo")).unwrap();
    assert_eq!((held.plain().len(), list.cache_count()), (3000, 0));
    drop(held);
    assert_eq!(list.match_subject(b"foo").plain().len(), 3001);
    list.insert(plain("foo")).unwrap();
    assert_eq!(list.cache_count(), 1);
    assert_eq!(list.match_subject(b"foo").plain().len(), 3002);
    list.check_invariants();
}

#[test]
fn cache_over_its_maximum_is_reduced() {
    let list = List::with_cache();
    let mut reduced_to = None;
    for i in 0..=CACHE_MAX {
        list.match_subject(format!("foo-{i}").as_bytes());
        if i + 1 == CACHE_MAX {
            assert_eq!(list.cache_count(), CACHE_MAX);
        }
        reduced_to = Some(list.cache_count());
    }
    assert!(reduced_to.is_some_and(|n| n > 0 && n <= CACHE_SWEEP), "{reduced_to:?}");
    for i in 0..4 * CACHE_MAX {
        list.match_subject(format!("bar-{i}").as_bytes());
        assert!(list.cache_count() <= CACHE_MAX);
    }
    list.check_invariants();
}

#[test]
fn empty_results_are_shared() {
    for list in [List::with_cache(), List::without_cache()] {
        let (a, b, c) =
            (list.match_subject(b"foo"), list.match_subject(b"bar"), list.match_subject(b"a..b"));
        assert!(a.is_empty() && Arc::ptr_eq(&a, &b) && Arc::ptr_eq(&b, &c));
    }
}

#[test]
fn queue_groups_are_listed_once_each_and_vanish_with_their_last_member() {
    with_and_without_cache(|list| {
        let subs = [
            member("foo", "bar"),
            member("foo", "baz"),
            plain("foo"),
            member("foo", "bar"),
            member("foo", "baz"),
        ];
        let sizes = |list: &List| {
            let result = list.match_subject(b"foo");
            for sub in &subs {
                if let Some(group) = sub.queue.as_deref().and_then(|q| result.queue(q)) {
                    assert!(group.members().iter().all(|m| m.queue == sub.queue));
                }
            }
            let size = |q: &[u8]| result.queue(q).map_or(0, |g| g.members().len());
            (result.plain().len(), result.queues().len(), size(b"bar"), size(b"baz"))
        };
        let mut expected =
            [(0, 1, 1, 0), (0, 2, 1, 1), (1, 2, 1, 1), (1, 2, 2, 1), (1, 2, 2, 2)].into_iter();
        for sub in &subs {
            list.insert(Arc::clone(sub)).unwrap();
            assert_eq!(Some(sizes(list)), expected.next());
            let result = list.match_subject(b"foo");
            match &sub.queue {
                None => assert!(holds(result.plain(), sub)),
                Some(q) => assert!(holds(result.queue(q).unwrap().members(), sub)),
            }
        }
        let removals = [
            (2, (0, 2, 2, 2)),
            (0, (0, 2, 1, 2)),
            (3, (0, 1, 0, 2)),
            (1, (0, 1, 0, 1)),
            (4, (0, 0, 0, 0)),
        ];
        for (at, expected) in removals {
            list.remove(&subs[at]).unwrap();
            assert_eq!(sizes(list), expected);
        }
        assert!(is_bare(list));
    });
}

#[test]
fn one_group_gathers_members_of_different_subjects() {
    with_and_without_cache(|list| {
        for subject in ["foo.bar", "foo.*", "foo.>", ">", "other"] {
            list.insert(member(subject, "q")).unwrap();
        }
        list.insert(member("foo.*", "r")).unwrap();
        let result = list.match_subject(b"foo.bar");
        assert_eq!(result.fan_out(), 2);
        assert_eq!(result.queue(b"q").map(|g| g.members().len()), Some(4));
        assert_eq!(result.queue(b"r").map(|g| g.members().len()), Some(1));
        assert!(result.queue(b"s").is_none());
    });
}

#[test]
fn hundreds_of_groups_on_overlapping_subjects_are_merged_by_name() {
    with_and_without_cache(|list| {
        let mut subs = Vec::new();
        for subject in ["foo.bar", "foo.*", "*.bar"] {
            for group in 0..300 {
                subs.push(member(subject, &format!("group-{group}")));
            }
        }
        subs.iter().for_each(|s| list.insert(Arc::clone(s)).unwrap());
        list.check_invariants();
        let result = list.match_subject(b"foo.bar");
        assert_eq!(result.queues().len(), 300);
        for group in result.queues() {
            assert_eq!(group.members().len(), 3);
            assert!(group.members().iter().all(|m| m.queue.as_deref() == Some(group.name())));
        }
        for sub in &subs {
            list.remove(sub).unwrap();
        }
        assert!(is_bare(list));
    });
}

#[test]
fn remote_queue_subscriptions_take_as_many_slots_as_their_weight() {
    with_and_without_cache(|list| {
        let (local, remote_one, remote_two) =
            (member("foo", "bar"), remote("foo", "bar", 10), remote("foo", "bar", 10));
        for sub in [&local, &member("foo", "bar"), &remote_one, &remote_two] {
            list.insert(Arc::clone(sub)).unwrap();
        }
        let slots = || {
            let result = list.match_subject(b"foo");
            assert!(result.plain().is_empty());
            assert_eq!(result.queues().len(), 1);
            result.queues()[0].members().len()
        };
        assert_eq!((list.count(), slots()), (4, 22));
        // A remote member that comes while the result is cached has its weight at once.
        let late = remote("foo", "bar", 5);
        list.insert(Arc::clone(&late)).unwrap();
        assert_eq!(slots(), 27);
        list.remove(&late).unwrap();
        list.remove(&local).unwrap();
        list.remove(&remote_one).unwrap();
        assert_eq!((list.count(), slots()), (2, 11));
        let generation = list.generation();
        remote_two.weight.store(1, Ordering::Relaxed);
        list.update_remote_queue_sub(&remote_two);
        assert!(list.generation() > generation);
        assert_eq!(slots(), 2);
    });
}

#[test]
fn weight_zero_takes_no_slot_and_makes_no_group() {
    with_and_without_cache(|list| {
        list.insert(remote("foo", "bar", 0)).unwrap();
        list.insert(remote("foo", "baz", 0)).unwrap();
        assert!(list.match_subject(b"foo").is_empty());
        list.insert(remote("foo", "bar", 2)).unwrap();
        let result = list.match_subject(b"foo");
        assert_eq!((result.queues().len(), result.slots()), (1, 2));
    });
}

#[test]
fn absurd_weights_do_not_exhaust_memory_and_leave_everyone_a_slot() {
    with_and_without_cache(|list| {
        for _ in 0..3 {
            list.insert(remote("foo", "bar", u32::MAX)).unwrap();
        }
        let local = member("foo", "bar");
        list.insert(Arc::clone(&local)).unwrap();
        let result = list.match_subject(b"foo");
        assert_eq!(result.slots(), MAX_WEIGHT_SLOTS + 4);
        assert!(holds(result.queues()[0].members(), &local));
    });
}

#[test]
fn interest_is_what_a_match_would_find() {
    // What is inserted, and which subjects of interest it makes.
    let table: [(&str, &[&str], &[&str]); 7] = [
        ("foo", &["foo"], &["foo.bar", "bar"]),
        ("foo.*", &["foo.bar"], &["foo", "foo.bar.baz"]),
        ("foo.>", &["foo.bar", "foo.bar.baz"], &["foo"]),
        ("*.>", &["foo.bar", "foo.baz", "foo.bar.baz"], &["foo"]),
        ("*.bar", &["foo.bar"], &["foo", "foo.baz"]),
        ("*", &["foo", "bar"], &["foo.bar"]),
        ("stream.A.child", &["stream.A.child"], &["stream.A"]),
    ];
    with_and_without_cache(|list| {
        for (subject, matching, others) in table {
            // One plain subscription, then members of one group and two of another.
            let groups: [&[Arc<Sub>]; 2] = [
                &[plain(subject)],
                &[member(subject, "bar"), member(subject, "baz"), member(subject, "baz")],
            ];
            for subs in groups {
                for (before, sub) in subs.iter().enumerate() {
                    let queue = usize::from(sub.queue.is_some());
                    list.insert(Arc::clone(sub)).unwrap();
                    for published in matching {
                        assert!(list.has_interest(published.as_bytes()), "{subject} {published}");
                        let expected = if queue == 1 { (0, before + 1) } else { (before + 1, 0) };
                        assert_eq!(list.num_interest(published.as_bytes()), expected);
                    }
                    for published in others {
                        assert!(!list.has_interest(published.as_bytes()), "{subject} {published}");
                        assert_eq!(list.num_interest(published.as_bytes()), (0, 0));
                    }
                }
                for (removed, sub) in subs.iter().enumerate() {
                    list.remove(sub).unwrap();
                    let left = subs.len() - removed - 1;
                    for published in matching {
                        let (plain, queue) = list.num_interest(published.as_bytes());
                        assert_eq!(plain + queue, left, "{subject} {published}");
                        assert_eq!(list.has_interest(published.as_bytes()), left > 0);
                    }
                }
            }
        }
    });
}

#[test]
fn interest_is_found_beside_a_dead_end_in_the_trie() {
    with_and_without_cache(|list| {
        insert_all(list, &["stream.A.child", "stream.A.*.x", "stream.*"]);
        assert!(list.has_interest(b"stream.A.child"));
        assert!(list.has_interest(b"stream.A"));
        assert!(!list.has_interest(b"stream.A.B"));
    });
}

#[test]
fn interest_queries_count_hits_but_no_matches() {
    let list = List::with_cache();
    let sub = plain("foo");
    list.insert(Arc::clone(&sub)).unwrap();
    let counters = || (list.stats().num_matches, list.stats().cache_hits());
    assert!(list.has_interest(b"foo"));
    assert!(!list.has_interest(b"bar"));
    assert_eq!(list.num_interest(b"foo"), (1, 0));
    assert_eq!((counters(), list.cache_count()), ((0, 0), 0), "interest alone caches nothing");
    list.match_subject(b"foo");
    assert_eq!(counters(), (1, 0));
    for hits in 1..=5 {
        assert!(list.has_interest(b"foo"));
        assert_eq!(counters(), (1, 2 * hits - 1));
        assert_eq!(list.num_interest(b"foo"), (1, 0));
        assert_eq!(counters(), (1, 2 * hits));
    }
    assert_eq!(list.stats().cache_hit_rate, 10.0);
    // A negative result is cached as well.
    list.match_subject(b"bar");
    assert!(!list.has_interest(b"bar"));
    assert_eq!(list.num_interest(b"bar"), (0, 0));
    assert_eq!(counters(), (2, 12));
    list.remove(&sub).unwrap();
    assert!(!list.has_interest(b"foo"));
    assert_eq!(counters(), (2, 12));
}

#[test]
fn match_into_reuses_a_buffer_and_passes_by_the_cache() {
    with_and_without_cache(|list| {
        insert_all(list, &["foo", "*"]);
        list.insert(member("foo", "q")).unwrap();
        list.insert(member("bar", "r")).unwrap();
        let mut buffer = Matches::new();
        for _ in 0..3 {
            list.match_into(b"foo", &mut buffer);
            assert_eq!((buffer.plain().len(), buffer.queues().len()), (2, 1));
            assert_eq!(buffer.queues()[0].name(), b"q");
            list.match_into(b"bar", &mut buffer);
            assert_eq!((buffer.plain().len(), buffer.queues().len()), (1, 1));
            assert_eq!(buffer.queues()[0].name(), b"r");
            list.match_into(b"a..b", &mut buffer);
            assert!(buffer.is_empty());
        }
        assert_eq!((list.cache_count(), list.stats().num_matches), (0, 9));
    });
}

#[test]
fn generation_grows_with_every_change_only() {
    with_and_without_cache(|list| {
        let mut last = list.generation();
        let mut grew = || {
            let now = list.generation();
            let grew = now > last;
            last = now;
            grew
        };
        let sub = member("foo", "q");
        list.insert(Arc::clone(&sub)).unwrap();
        assert!(grew());
        list.match_subject(b"foo");
        list.match_subject(b"bar");
        list.has_interest(b"foo");
        assert!(!grew());
        list.update_remote_queue_sub(&sub);
        assert!(grew());
        list.remove(&sub).unwrap();
        assert!(grew());
        assert!(list.remove(&sub).is_err());
        assert!(!grew());
        list.insert(Arc::clone(&sub)).unwrap();
        assert!(grew());
        list.remove_batch([&sub]).unwrap();
        assert!(grew());
    });
}

#[test]
fn all_and_filtered_list_subscriptions_wherever_they_are() {
    let list = List::without_cache();
    let subs = insert_all(&list, &["foo.bar.baz", "foo", "a.*", "a.>", ">", "foo"]);
    list.insert(member("a.*", "q")).unwrap();
    list.insert(member("foo", "q")).unwrap();
    assert_eq!(list.all().len(), 8);
    assert!(subs.iter().all(|s| holds(&list.all(), s)));
    let queued = list.filtered(|s| s.queue.is_some());
    assert_eq!(subjects_of(&queued), ["a.*", "foo"]);
}

#[test]
fn reverse_match_finds_what_a_subject_covers() {
    with_and_without_cache(|list| {
        insert_all(list, &["foo", "bar", "foo.bar", "foo.baz", "foo.bar.baz"]);
        let table: [(&str, &[&str]); 11] = [
            ("foo", &["foo"]),
            ("bar", &["bar"]),
            ("*", &["bar", "foo"]),
            ("baz", &[]),
            ("foo.*", &["foo.bar", "foo.baz"]),
            ("*.*", &["foo.bar", "foo.baz"]),
            ("*.bar", &["foo.bar"]),
            ("*.baz", &["foo.baz"]),
            ("bar.*", &[]),
            ("*.bat", &[]),
            ("foo.>", &["foo.bar", "foo.bar.baz", "foo.baz"]),
        ];
        for (subject, expected) in table {
            let found = subjects_of(list.reverse_match(subject.as_bytes()).plain());
            assert_eq!(found, expected, "{subject}");
        }
        assert_eq!(list.reverse_match(b">").plain().len(), 5);
    });
}

#[test]
fn reverse_match_finds_wildcards_that_reach_into_a_subject() {
    with_and_without_cache(|list| {
        insert_all(list, &["uplink.*.*.>"]);
        for subject in ["uplink.1.*.*.>", "uplink.1.2.3.>", "uplink.1.2.3", ">", "*.>"] {
            let found = subjects_of(list.reverse_match(subject.as_bytes()).plain());
            assert_eq!(found, ["uplink.*.*.>"], "{subject}");
        }
        for subject in ["uplink.1.2", "uplink.*.*", "downlink.>", "uplink"] {
            assert!(list.reverse_match(subject.as_bytes()).is_empty(), "{subject}");
        }
        list.insert(member("uplink.*.x.y", "q")).unwrap();
        assert_eq!(list.reverse_match(b"uplink.>").queues().len(), 1);
    });
}

#[test]
fn statistics_show_counts_and_fan_out_under_their_names() {
    let list = List::with_cache();
    let subs = insert_all(&list, &["foo", "foo", "bar", "*"]);
    list.insert(remote("foo", "q", 3)).unwrap();
    list.remove(&subs[2]).unwrap();
    for subject in ["foo", "foo", "bar", "foo", "a.b"] {
        list.match_subject(subject.as_bytes());
    }
    // Fan-out: foo has three plain ones and a group, bar has one, a.b none.
    let json = serde_json::to_value(list.stats()).unwrap();
    let expected = serde_json::json!({
        "num_subscriptions": 4, "num_cache": 3, "num_inserts": 5, "num_removes": 1,
        "num_matches": 5, "cache_hit_rate": 0.4, "max_fanout": 4, "avg_fanout": 5.0 / 3.0,
    });
    assert_eq!(json, expected);
}

#[test]
fn statistics_of_an_uncached_list_have_no_cache_figures() {
    let list = List::without_cache();
    insert_all(&list, &["foo", "bar", "baz", "foo.bar.baz"]);
    list.match_subject(b"a.b.c");
    list.match_subject(b"bar");
    let stats = list.stats();
    assert_eq!((stats.num_cache, stats.num_matches, stats.max_fanout), (0, 2, 0));
    assert_eq!((stats.cache_hit_rate, stats.avg_fanout), (0.0, 0.0));
}

#[test]
fn added_statistics_derive_rates_from_the_sums() {
    let mut total = SublistStats::default();
    for (subject, copies) in [("foo", 1), ("bar", 3)] {
        let list = List::with_cache();
        (0..copies).for_each(|_| list.insert(plain(subject)).unwrap());
        (0..4).for_each(|_| drop(list.match_subject(subject.as_bytes())));
        assert_eq!(list.stats().cache_hit_rate, 0.75);
        total.add(&list.stats());
    }
    assert_eq!((total.cache_hit_rate, total.avg_fanout, total.max_fanout), (0.75, 2.0, 3));
    assert_eq!((total.num_subscriptions, total.num_cache, total.num_matches), (4, 2, 8));
}

/// A listener and the end where its values arrive. One value is held, more are dropped.
fn listener() -> (Arc<dyn InterestListener>, Receiver<bool>) {
    let (sender, receiver) = sync_channel(1);
    (Arc::new(sender), receiver)
}

#[test]
fn notification_tells_the_state_and_then_first_and_last_interest() {
    let list = List::with_cache();
    let (watcher, told) = listener();
    let next = || told.try_recv().ok();
    list.register_notification(b"foo", Arc::clone(&watcher)).unwrap();
    assert_eq!(next(), Some(false));
    let subs = [plain("foo"), plain("foo"), plain("foo")];
    list.insert(Arc::clone(&subs[0])).unwrap();
    assert_eq!(next(), Some(true));
    list.insert(Arc::clone(&subs[1])).unwrap();
    list.register_notification(b"bar", Arc::clone(&watcher)).unwrap();
    assert_eq!(next(), Some(false));
    list.insert(Arc::clone(&subs[2])).unwrap();
    list.remove(&subs[0]).unwrap();
    list.remove(&subs[1]).unwrap();
    assert_eq!(next(), None);
    list.remove(&subs[2]).unwrap();
    assert_eq!(next(), Some(false));

    // Subjects above and below are other subjects.
    list.register_notification(b"test.node", Arc::clone(&watcher)).unwrap();
    assert_eq!(next(), Some(false));
    let deeper = plain("test.node.already.exist");
    list.insert(Arc::clone(&deeper)).unwrap();
    assert_eq!(next(), None);
    let exact = plain("test.node");
    list.insert(Arc::clone(&exact)).unwrap();
    assert_eq!(next(), Some(true));
    list.remove(&deeper).unwrap();
    assert_eq!(next(), None);
    list.remove(&exact).unwrap();
    assert_eq!(next(), Some(false));

    // Registered while there is interest, it starts with true.
    list.insert(plain("late")).unwrap();
    list.register_notification(b"late", Arc::clone(&watcher)).unwrap();
    assert_eq!(next(), Some(true));
}

#[test]
fn notification_needs_a_literal_subject_and_is_registered_once() {
    let list = List::with_cache();
    let (watcher, told) = listener();
    for subject in ["foo.*", ">"] {
        assert_eq!(
            list.register_notification(subject.as_bytes(), Arc::clone(&watcher)),
            Err(SublistError::InvalidSubject)
        );
    }
    assert!(!list.clear_notification(b"foo", &watcher));
    list.register_notification(b"foo", Arc::clone(&watcher)).unwrap();
    assert_eq!(told.try_recv(), Ok(false));
    assert_eq!(
        list.register_notification(b"foo", Arc::clone(&watcher)),
        Err(SublistError::AlreadyRegistered)
    );
    assert!(told.try_recv().is_err());
    let (other, _other_told) = listener();
    assert!(!list.clear_notification(b"foo", &other));
    list.register_notification(b"foo", Arc::clone(&other)).unwrap();
    assert!(list.clear_notification(b"foo", &watcher));
    assert!(list.clear_notification(b"foo", &other));
    assert!(!list.clear_notification(b"foo", &watcher));
    list.insert(plain("foo")).unwrap();
    assert!(told.try_recv().is_err());
}

#[test]
fn wildcards_and_queue_members_do_not_notify_plain_watchers() {
    let list = List::with_cache();
    let (watcher, told) = listener();
    let next = || told.try_recv().ok();
    let wild = insert_all(&list, &["*", ">", "foo.*"]);
    list.register_notification(b"foo", Arc::clone(&watcher)).unwrap();
    assert_eq!(next(), Some(false));
    let (sub, queued) = (plain("foo"), member("foo", "q"));
    list.insert(Arc::clone(&queued)).unwrap();
    assert_eq!(next(), None);
    list.insert(Arc::clone(&sub)).unwrap();
    assert_eq!(next(), Some(true));
    list.remove(&sub).unwrap();
    assert_eq!(next(), Some(false));
    list.remove_batch(wild.iter().chain([&queued])).unwrap();
    assert_eq!(next(), None);

    let all = [plain("foo"), plain("foo"), plain("*"), plain(">")];
    all.iter().for_each(|s| list.insert(Arc::clone(s)).unwrap());
    assert_eq!(next(), Some(true));
    list.remove_batch(&all).unwrap();
    assert_eq!((next(), next()), (Some(false), None));
}

#[test]
fn queue_notification_watches_one_group_of_one_subject() {
    let list = List::with_cache();
    let ((one, told_one), (two, told_two)) = (listener(), listener());
    list.register_queue_notification(b"some.subject", b"q1", Arc::clone(&one)).unwrap();
    list.register_queue_notification(b"some.subject", b"q2", Arc::clone(&two)).unwrap();
    assert_eq!((told_one.try_recv(), told_two.try_recv()), (Ok(false), Ok(false)));
    // None of these is that group of that subject.
    let others = [
        member("some.subject.deeper", "q1"),
        member("some.subject", "q3"),
        member("some.other", "q1"),
        member("some.*", "q1"),
        plain("some.subject"),
    ];
    others.iter().for_each(|s| list.insert(Arc::clone(s)).unwrap());
    assert!(told_one.try_recv().is_err() && told_two.try_recv().is_err());
    let members =
        [member("some.subject", "q1"), member("some.subject", "q1"), member("some.subject", "q2")];
    list.insert(Arc::clone(&members[0])).unwrap();
    assert_eq!(told_one.try_recv(), Ok(true));
    list.insert(Arc::clone(&members[1])).unwrap();
    assert!(told_one.try_recv().is_err() && told_two.try_recv().is_err());
    list.insert(Arc::clone(&members[2])).unwrap();
    assert_eq!(told_two.try_recv(), Ok(true));
    list.remove(&members[0]).unwrap();
    list.remove(&others[1]).unwrap();
    assert!(told_one.try_recv().is_err());
    list.remove(&members[1]).unwrap();
    assert_eq!(told_one.try_recv(), Ok(false));
    assert!(told_two.try_recv().is_err());
    assert!(list.clear_queue_notification(b"some.subject", b"q1", &one));
    assert!(!list.clear_queue_notification(b"some.subject", b"q1", &two));
    assert!(list.clear_queue_notification(b"some.subject", b"q2", &two));
    list.remove(&members[2]).unwrap();
    assert!(told_two.try_recv().is_err());
}

#[test]
fn a_full_notification_channel_does_not_block_changes() {
    let list = List::with_cache();
    let (watcher, told) = listener();
    list.register_notification(b"bar", Arc::clone(&watcher)).unwrap();
    list.register_notification(b"baz", Arc::clone(&watcher)).unwrap();
    insert_all(&list, &["baz", "bar", "*"]);
    assert_eq!(told.try_recv(), Ok(false));
    assert!(told.try_recv().is_err());
}

#[test]
fn matches_during_changes_see_only_what_fits_and_end_up_right() {
    for list in [List::with_cache(), List::without_cache()] {
        let stable = insert_all(&list, &["foo.bar", "foo.*", "*.bar", "foo.>"]);
        let start = Barrier::new(5);
        std::thread::scope(|scope| {
            for writer in 0..2 {
                let (list, start) = (&list, &start);
                scope.spawn(move || {
                    start.wait();
                    for round in 0..200 {
                        let mine = [
                            plain("foo.bar"),
                            plain("foo.*"),
                            member("foo.bar", "workers"),
                            member("*.bar", "workers"),
                            plain(&format!("foo.{writer}.{round}")),
                        ];
                        mine.iter().for_each(|s| list.insert(Arc::clone(s)).unwrap());
                        if round % 2 == 0 {
                            mine.iter().for_each(|s| list.remove(s).unwrap());
                        } else {
                            list.remove_batch(&mine).unwrap();
                        }
                    }
                });
            }
            for reader in 0..3 {
                let (list, start, stable) = (&list, &start, &stable);
                scope.spawn(move || {
                    let mut buffer = Matches::new();
                    start.wait();
                    for round in 0..600 {
                        let result = list.match_subject(b"foo.bar");
                        for sub in stable {
                            assert!(holds(result.plain(), sub));
                        }
                        let subjects = subjects_of(result.plain());
                        assert!(subjects.iter().all(|s| match_literal(b"foo.bar", s.as_bytes())));
                        for group in result.queues() {
                            assert_eq!(group.name(), b"workers");
                            assert!(group.members().iter().all(|m| m.queue.is_some()));
                        }
                        list.match_into(format!("foo.{reader}.{round}").as_bytes(), &mut buffer);
                        assert!(holds(buffer.plain(), &stable[3]));
                        list.match_subject(format!("foo.{reader}.{round}").as_bytes());
                    }
                });
            }
        });
        assert_eq!(list.count(), 4);
        list.check_invariants();
        assert_eq!(list.match_subject(b"foo.bar").slots(), 4);
    }
}

#[test]
fn result_kept_under_a_generation_never_misses_a_finished_change() {
    for list in [List::with_cache(), List::without_cache()] {
        let finished = AtomicU32::new(0);
        let start = Barrier::new(3);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                for i in 0..2000 {
                    list.insert(plain(if i % 2 == 0 { "foo.bar" } else { "foo.*" })).unwrap();
                    finished.store(i + 1, Ordering::Release);
                }
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut kept = (list.generation(), list.match_subject(b"foo.bar"));
                    start.wait();
                    loop {
                        let at_least = finished.load(Ordering::Acquire);
                        let generation = list.generation();
                        if generation != kept.0 {
                            kept = (generation, list.match_subject(b"foo.bar"));
                        }
                        assert!(kept.1.plain().len() >= at_least as usize);
                        if at_least == 2000 {
                            break;
                        }
                    }
                });
            }
        });
        list.check_invariants();
    }
}

#[test]
fn a_scan_sees_everything_that_stays_exactly_once_whatever_comes_and_goes() {
    let list = Arc::new(List::with_cache());
    let staying: Vec<String> = (0..20_000)
        .map(|n| if n % 3 == 0 { format!("stay.{n}.*") } else { format!("stay.{n}.x") })
        .collect();
    let subjects: Vec<&str> = staying.iter().map(String::as_str).collect();
    insert_all(&list, &subjects);
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let changes = std::thread::spawn({
        let (list, stop) = (Arc::clone(&list), Arc::clone(&stop));
        move || {
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                round += 1;
                let batch: Vec<_> = (0..3_000)
                    .map(|n| {
                        plain(&format!("go.{round}.{n}{}", if n % 2 == 0 { ".*" } else { "" }))
                    })
                    .collect();
                for sub in &batch {
                    list.insert(Arc::clone(sub)).unwrap();
                }
                for sub in &batch {
                    list.remove(sub).unwrap();
                }
            }
        }
    });
    for _ in 0..50 {
        let seen = list.scan(std::collections::HashMap::new, |seen, sub: &Arc<Sub>| {
            *seen.entry(sub.subject.clone()).or_insert(0) += 1;
        });
        assert!(staying.iter().all(|s| seen.get(s.as_bytes()) == Some(&1)));
        assert!(seen.values().all(|times| *times == 1));
    }
    stop.store(true, Ordering::Relaxed);
    changes.join().unwrap();
    list.check_invariants();
    assert_eq!(list.scan(|| 0, |count, _| *count += 1), 20_000);
}

#[test]
fn a_scan_of_nothing_sees_nothing() {
    with_and_without_cache(|list| assert_eq!(list.scan(|| 0, |count, _| *count += 1), 0));
}
