//! The sublist against a naive model: random sequences of changes and questions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sublist::subject::{is_valid_literal_subject, match_literal, subject_has_wildcard};
use sublist::{Matches, Sublist, SublistError, Subscription};

#[derive(Debug)]
struct Sub {
    number: usize,
    subject: String,
    queue: Option<String>,
    weight: AtomicU32,
}

impl Subscription for Sub {
    fn subject(&self) -> &[u8] {
        self.subject.as_bytes()
    }

    fn queue(&self) -> Option<&[u8]> {
        self.queue.as_ref().map(String::as_bytes)
    }

    fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }
}

/// Whether a subject may be subscribed to, said once more in the simplest way.
fn is_valid(subject: &str) -> bool {
    let tokens: Vec<_> = subject.split('.').collect();
    let last = tokens.len() - 1;
    tokens.iter().enumerate().all(|(i, t)| !t.is_empty() && (*t != ">" || i == last))
}

/// Whether a subscription gets what is published on a subject.
fn fits(subject: &[&str], filter: &[&str]) -> bool {
    if subject.iter().any(|t| t.is_empty()) {
        return false;
    }
    match (subject, filter) {
        ([], []) => true,
        ([_, ..], [">"]) => true,
        ([_, subject @ ..], ["*", filter @ ..]) => fits(subject, filter),
        ([s, subject @ ..], [f, filter @ ..]) => s == f && fits(subject, filter),
        _ => false,
    }
}

/// Whether some literal subject fits both. Asks for every literal that could tell the two
/// apart: over the model's tokens, one token of neither, and one token more than either has.
fn overlap(a: &str, b: &str) -> bool {
    let (a, b): (Vec<_>, Vec<_>) = (a.split('.').collect(), b.split('.').collect());
    let longest = a.len().max(b.len());
    fn extend<'a>(
        subject: &mut Vec<&'a str>,
        a: &[&'a str],
        b: &[&'a str],
        longest: usize,
    ) -> bool {
        if fits(subject, a) && fits(subject, b) {
            return true;
        }
        if subject.len() > longest {
            return false;
        }
        let candidates: Vec<_> =
            [a, b].iter().filter_map(|s| s.get(subject.len()).copied()).chain(["?"]).collect();
        candidates.into_iter().filter(|t| *t != "*" && *t != ">").any(|token| {
            subject.push(token);
            let found = extend(subject, a, b, longest);
            subject.pop();
            found
        })
    }
    extend(&mut Vec::new(), &a, &b, longest)
}

#[derive(Default)]
struct Model {
    subs: Vec<Arc<Sub>>,
}

impl Model {
    /// Plain numbers, and group with numbers by weight; all sorted.
    fn expected(&self, selected: impl Fn(&str) -> bool) -> (Vec<usize>, Vec<(String, Vec<usize>)>) {
        let mut plain = Vec::new();
        let mut queues = std::collections::BTreeMap::<String, Vec<usize>>::new();
        for sub in self.subs.iter().filter(|s| selected(&s.subject)) {
            match &sub.queue {
                None => plain.push(sub.number),
                Some(q) => {
                    let slots = sub.weight.load(Ordering::Relaxed) as usize;
                    if slots > 0 {
                        let group = queues.entry(q.clone()).or_default();
                        group.extend(std::iter::repeat_n(sub.number, slots));
                    }
                }
            }
        }
        plain.sort_unstable();
        queues.values_mut().for_each(|group| group.sort_unstable());
        (plain, queues.into_iter().collect())
    }
}

fn found(matches: &Matches<Arc<Sub>>) -> (Vec<usize>, Vec<(String, Vec<usize>)>) {
    let mut plain: Vec<_> = matches.plain().iter().map(|s| s.number).collect();
    plain.sort_unstable();
    let mut queues: Vec<_> = matches
        .queues()
        .iter()
        .map(|g| {
            let mut members: Vec<_> = g.members().iter().map(|s| s.number).collect();
            members.sort_unstable();
            (String::from_utf8_lossy(g.name()).into_owned(), members)
        })
        .collect();
    queues.sort();
    (plain, queues)
}

#[derive(Clone, Debug)]
enum Step {
    Insert { subject: String, queue: Option<String>, weight: u32 },
    InsertAgain(prop::sample::Index),
    Remove(prop::sample::Index),
    RemoveUnknown(String),
    RemoveBatch(Vec<prop::sample::Index>),
    Weigh(prop::sample::Index, u32),
    Match(String),
    ReverseMatch(String),
}

fn token() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["a", "b", "cc", "a", "b", "*", "*", ">", "*a", ">>", ""][..])
}

fn subject() -> impl Strategy<Value = String> {
    prop::collection::vec(token(), 1..5).prop_map(|tokens| tokens.join("."))
}

fn valid_subject() -> impl Strategy<Value = String> {
    subject().prop_filter("valid", |s| is_valid(s))
}

fn step() -> impl Strategy<Value = Step> {
    use prop::sample::Index;
    let queue = prop::option::weighted(0.4, prop::sample::select(&["q", "r", "s"][..]));
    prop_oneof![
        8 => (valid_subject(), queue, 0_u32..4).prop_map(|(subject, queue, weight)| Step::Insert {
            subject,
            queue: queue.map(str::to_owned),
            weight,
        }),
        1 => (subject(), Just(None), Just(1))
            .prop_map(|(subject, queue, weight)| Step::Insert { subject, queue, weight }),
        1 => any::<Index>().prop_map(Step::InsertAgain),
        4 => any::<Index>().prop_map(Step::Remove),
        1 => subject().prop_map(Step::RemoveUnknown),
        1 => prop::collection::vec(any::<Index>(), 0..6).prop_map(Step::RemoveBatch),
        1 => (any::<Index>(), 0_u32..4).prop_map(|(index, weight)| Step::Weigh(index, weight)),
        8 => subject().prop_map(Step::Match),
        2 => valid_subject().prop_map(Step::ReverseMatch),
    ]
}

fn check_match(list: &Sublist<Arc<Sub>>, model: &Model, subject: &str) {
    let tokens: Vec<_> = subject.split('.').collect();
    let selected = |filter: &str| fits(&tokens, &filter.split('.').collect::<Vec<_>>());
    let expected = model.expected(selected);
    assert_eq!(found(&list.match_subject(subject.as_bytes())), expected, "{subject}");
    let mut buffer = Matches::new();
    list.match_into(subject.as_bytes(), &mut buffer);
    assert_eq!(found(&buffer), expected, "{subject}");
    let (plain, queue) = list.num_interest(subject.as_bytes());
    let slots: usize = expected.1.iter().map(|(_, group)| group.len()).sum();
    assert_eq!(plain, expected.0.len());
    assert!(slots == 0 || queue > 0);
    assert!(expected == Default::default() || list.has_interest(subject.as_bytes()));
    for sub in &model.subs {
        assert_eq!(
            match_literal(subject.as_bytes(), sub.subject.as_bytes()),
            selected(&sub.subject)
        );
    }
}

fn run(list: &Sublist<Arc<Sub>>, steps: Vec<Step>) {
    let mut model = Model::default();
    let mut number = 0;
    let mut new_sub = |subject: String, queue, weight| {
        number += 1;
        Arc::new(Sub { number, subject, queue, weight: AtomicU32::new(weight) })
    };
    for step in steps {
        let generation = list.generation();
        let mut changed = true;
        match step {
            Step::Insert { subject, queue, weight } => {
                let sub = new_sub(subject, queue, weight);
                if is_valid(&sub.subject) {
                    assert_eq!(list.insert(Arc::clone(&sub)), Ok(()));
                    model.subs.push(sub);
                } else {
                    assert_eq!(list.insert(sub), Err(SublistError::InvalidSubject));
                    changed = false;
                }
            }
            Step::InsertAgain(index) => {
                changed = false;
                if !model.subs.is_empty() {
                    assert_eq!(list.insert(Arc::clone(index.get(&model.subs))), Ok(()));
                }
            }
            Step::Remove(index) => {
                changed = !model.subs.is_empty();
                if changed {
                    let sub = model.subs.swap_remove(index.index(model.subs.len()));
                    assert_eq!(list.remove(&sub), Ok(()));
                    assert_eq!(list.remove(&sub), Err(SublistError::NotFound));
                }
            }
            Step::RemoveUnknown(subject) => {
                changed = false;
                let expected = match is_valid(&subject) {
                    true => SublistError::NotFound,
                    false => SublistError::InvalidSubject,
                };
                assert_eq!(list.remove(&new_sub(subject, None, 1)), Err(expected));
            }
            Step::RemoveBatch(indices) => {
                let mut batch = Vec::new();
                for index in indices {
                    let len = model.subs.len() - batch.len();
                    if len > 0 {
                        let at = index.index(len);
                        model.subs.swap(at, len - 1);
                        batch.push(Arc::clone(&model.subs[len - 1]));
                    }
                }
                model.subs.truncate(model.subs.len() - batch.len());
                changed = !batch.is_empty();
                assert_eq!(list.remove_batch(&batch), Ok(()));
            }
            Step::Weigh(index, weight) => {
                changed = !model.subs.is_empty();
                if changed {
                    let sub = index.get(&model.subs);
                    sub.weight.store(weight, Ordering::Relaxed);
                    list.update_remote_queue_sub(sub);
                }
            }
            Step::Match(subject) => {
                changed = false;
                check_match(list, &model, &subject);
            }
            Step::ReverseMatch(subject) => {
                changed = false;
                let expected =
                    model.expected(|stored| match subject_has_wildcard(subject.as_bytes()) {
                        true => overlap(stored, &subject),
                        false => {
                            let tokens: Vec<_> = subject.split('.').collect();
                            fits(&tokens, &stored.split('.').collect::<Vec<_>>())
                        }
                    });
                assert_eq!(found(&list.reverse_match(subject.as_bytes())), expected, "{subject}");
            }
        }
        assert_eq!(list.generation() > generation, changed);
        assert_eq!(list.count(), model.subs.len() as u64);
        list.check_invariants();
    }
    // Every subject still held matches what it should, then everything goes.
    for sub in &model.subs {
        if is_valid_literal_subject(sub.subject.as_bytes()) {
            check_match(list, &model, &sub.subject);
        }
    }
    for sub in model.subs.drain(..) {
        list.remove(&sub).unwrap();
    }
    assert!(list.all().is_empty());
    list.check_invariants();
}

/// The same cases in every run: new ones are the fuzz target's business.
fn fixed_seed() -> ProptestConfig {
    ProptestConfig {
        cases: 384,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x5EED),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(fixed_seed())]

    #[test]
    fn cached_list_agrees_with_the_model(steps in prop::collection::vec(step(), 1..80)) {
        run(&Sublist::with_cache(), steps);
    }

    #[test]
    fn uncached_list_agrees_with_the_model(steps in prop::collection::vec(step(), 1..80)) {
        run(&Sublist::without_cache(), steps);
    }
}
