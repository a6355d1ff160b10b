//! Counting against a plain recount.

use super::*;
use crate::error::StoreError;

fn build(cache: usize) -> (Rig, Vec<(u64, String)>) {
    let mut rig = Rig::small(700, |_| {});
    rig.cache_bytes = cache;
    rig.reopen();
    let mut random = TestRandom(11);
    let subjects = ["a.x", "a.y", "b.x", "b.y.z", "c", "d.1", "d.2", "d.3"];
    for _ in 0..250 {
        let subject = subjects[random.below(8) as usize];
        rig.put(subject, "payload");
    }
    for _ in 0..100 {
        let _ = rig.store().remove(seq(random.below(250) + 1));
    }
    let all = rig.all().into_iter().map(|(number, subject, ..)| (number, subject)).collect();
    (rig, all)
}

fn filters() -> Vec<SubjectFilter> {
    vec![
        filter(">"),
        filter("a.x"),
        filter("a.*"),
        filter("*.x"),
        filter("d.>"),
        filter("nothing"),
        SubjectFilter::any(["a.y", "b.y.*", "d.2"]),
    ]
}

#[test]
fn pending_and_filtered_state_agree_with_a_recount() {
    for cache in [1, 1 << 20] {
        let (mut rig, all) = build(cache);
        for which in filters() {
            for start in (0..=252).step_by(3) {
                let matching: Vec<u64> = all
                    .iter()
                    .filter(|(n, s)| *n >= start && which.matches(s.as_bytes()))
                    .map(|(n, _)| *n)
                    .collect();
                let pending = rig.store().num_pending(seq(start), &which, false).unwrap();
                assert_eq!(pending.total, matching.len() as u64, "{which:?} {start}");
                assert_eq!(pending.valid_through, seq(250));
                let state = rig.store().filtered_state(seq(start), &which).unwrap();
                if start > 250 {
                    assert_eq!((state.messages, state.last), (0, seq(250)));
                    continue;
                }
                assert_eq!(state.messages, matching.len() as u64);
                let first = matching.first().copied().unwrap_or(0);
                assert_eq!(state.first.get(), first, "{which:?} {start}");
                if !which.is_all() {
                    assert_eq!(state.last.get(), matching.last().copied().unwrap_or(0));
                }
            }
        }
    }
}

#[test]
fn pending_by_last_of_subject_agrees_with_a_recount() {
    for reopened in [false, true] {
        let (mut rig, all) = build(1 << 20);
        if reopened {
            rig.reopen();
        }
        for which in filters() {
            for start in (0..=252).step_by(5) {
                let mut last = std::collections::BTreeMap::new();
                for (number, subject) in &all {
                    if which.matches(subject.as_bytes()) {
                        last.insert(subject.clone(), *number);
                    }
                }
                let expected = last.values().filter(|number| **number >= start).count() as u64;
                let pending = rig.store().num_pending(seq(start), &which, true).unwrap();
                assert_eq!(pending.total, expected, "{which:?} {start}");
            }
        }
    }
}

#[test]
fn last_sequences_are_those_of_each_subject() {
    let (mut rig, all) = build(1 << 20);
    rig.reopen();
    for max in [0, 1, 60, 125, 249, 250] {
        let mut last = std::collections::BTreeMap::new();
        for (number, subject) in &all {
            if max == 0 || *number <= max {
                last.insert(subject.clone(), *number);
            }
        }
        let mut expected: Vec<u64> = last.values().copied().collect();
        expected.sort_unstable();
        let first = all[0].0;
        if max != 0 && max < first {
            expected.clear();
        }
        let found =
            rig.store().multi_last_sequences(&[filter(">"), filter("a.*")], seq(max), 0).unwrap();
        assert_eq!(found.iter().map(|s| s.get()).collect::<Vec<_>>(), expected, "{max}");
        if max == 0 {
            assert_eq!(rig.store().all_last_sequences().unwrap(), found);
        }
    }
    let past_end = rig.store().multi_last_sequences(&[filter(">")], seq(251), 0).unwrap();
    assert!(past_end.is_empty());
    assert_eq!(
        rig.store().multi_last_sequences(&[filter("d.*")], seq(0), 2),
        Err(StoreError::TooManyResults)
    );
    assert_eq!(
        rig.store().multi_last_sequences(&[filter("d.*")], seq(0), 3).map(|found| found.len()),
        Ok(3)
    );
}

#[test]
fn subject_totals_and_states_agree_with_a_recount() {
    let (mut rig, all) = build(1 << 20);
    for _ in 0..2 {
        for which in ["", ">", "a.*", "d.>", "c", "nothing"] {
            let mut expected: std::collections::BTreeMap<String, Vec<u64>> = Default::default();
            for (number, subject) in &all {
                if filter(which).matches(subject.as_bytes()) {
                    expected.entry(subject.clone()).or_default().push(*number);
                }
            }
            let totals = rig.store().subjects_totals(which.as_bytes()).unwrap();
            let totals: Vec<(String, u64)> = totals
                .into_iter()
                .map(|(s, n)| (String::from_utf8(s.into()).unwrap(), n))
                .collect();
            let counted: Vec<(String, u64)> =
                expected.iter().map(|(s, n)| (s.clone(), n.len() as u64)).collect();
            assert_eq!(totals, counted);
            let states = rig.store().subjects_state(&filter(which)).unwrap();
            for ((subject, state), (name, numbers)) in states.iter().zip(&expected) {
                assert_eq!(&**subject, name.as_bytes());
                assert_eq!(state.messages, numbers.len() as u64);
                assert_eq!(state.first.get(), numbers[0]);
                assert_eq!(Some(&state.last.get()), numbers.last());
            }
            assert_eq!(states.len(), expected.len());
        }
        rig.reopen();
    }
}

#[test]
fn subject_is_told_for_a_sequence() {
    let mut rig = Rig::new();
    rig.put("foo.bar", "x");
    rig.put("baz", "x");
    rig.remove(2);
    assert_eq!(rig.store().subject_for_sequence(seq(1)).unwrap().as_ref(), b"foo.bar");
    for missing in [0, 2, 3] {
        let error = rig.store().subject_for_sequence(seq(missing)).unwrap_err();
        assert_eq!(error, StoreError::MessageNotFound);
    }
}

#[test]
fn subjects_with_byte_127_are_stored_and_not_indexed() {
    let mut rig = Rig::new();
    rig.put("a\u{7f}b", "x");
    rig.put("foo", "x");
    for _ in 0..2 {
        assert_eq!(rig.shape(), (2, 1, 2));
        assert_eq!(rig.state().num_subjects, 1);
        let found = rig.store().load_next(&filter("a\u{7f}b"), seq(1)).unwrap();
        assert_eq!(found.sequence(), seq(1));
        rig.lose_index();
    }
    assert!(rig.remove(1));
}

#[test]
fn utilization_counts_dead_bytes() {
    let mut rig = Rig::new();
    rig.put_many("foo", 10);
    assert_eq!(rig.store().utilization().unwrap(), (400, 400));
    rig.remove(5);
    assert_eq!(rig.store().utilization().unwrap(), (430, 360));
}
