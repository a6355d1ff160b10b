//! Operations on a subject tree against a sorted map, and filters against a scan of it.

#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sublist::gsl::SimpleSublist;
use sublist::stree::{SubjectTree, intersect_gsl};

#[derive(Arbitrary, Debug)]
enum Step {
    Insert(Vec<u8>, u32),
    Delete(Vec<u8>),
    DeleteNth(u16),
    Match(Vec<u8>),
    Interest(Vec<Vec<u8>>),
    Shrink,
}

fn naive_match(filter: &[u8], subject: &[u8]) -> bool {
    let wanted: Vec<&[u8]> = filter.split(|&b| b == b'.').collect();
    let tokens: Vec<&[u8]> = subject.split(|&b| b == b'.').collect();
    for (index, &token) in wanted.iter().enumerate() {
        if token == b">" && index + 1 == wanted.len() {
            return tokens.len() > index;
        }
        let Some(&actual) = tokens.get(index) else { return false };
        let is_last = index + 1 == tokens.len();
        let fits = if token == b"*" { !(actual.is_empty() && is_last) } else { token == actual };
        if !fits {
            return false;
        }
    }
    !filter.is_empty() && wanted.len() == tokens.len()
}

fuzz_target!(|steps: Vec<Step>| {
    let mut tree = SubjectTree::new();
    let mut model: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Insert(subject, value) => {
                let old = tree.insert(&subject, value);
                if subject.contains(&127) {
                    assert_eq!(old, None);
                } else {
                    assert_eq!(old, model.insert(subject, value));
                }
            }
            Step::Delete(subject) => assert_eq!(tree.delete(&subject), model.remove(&subject)),
            Step::DeleteNth(n) => {
                let subject = model.keys().nth(usize::from(n) % model.len().max(1)).cloned();
                if let Some(subject) = subject {
                    assert_eq!(tree.find(&subject), model.get(&subject));
                    assert_eq!(tree.delete(&subject), model.remove(&subject));
                }
            }
            Step::Match(filter) => {
                let mut found = Vec::new();
                tree.match_filter(&filter, |subject, _| found.push(subject.to_vec()));
                let expected = model.keys().filter(|subject| naive_match(&filter, subject));
                assert!(found.iter().eq(expected));
            }
            Step::Interest(filters) => {
                let mut list = SimpleSublist::new();
                for filter in filters {
                    // Filters that are no subjects are refused, which is as good here.
                    let _ = list.insert(&filter, ());
                }
                list.check_invariants();
                let mut found = Vec::new();
                intersect_gsl(&tree, &list, |subject, _| {
                    found.push(subject.to_vec());
                    true
                });
                let expected = model.keys().filter(|subject| list.has_interest(subject));
                assert!(found.iter().eq(expected));
            }
            Step::Shrink => tree.shrink_to_fit(),
        }
        tree.check_invariants();
        assert_eq!(tree.len(), model.len());
    }
    let mut walked = Vec::new();
    tree.iter_ordered(|subject, value| {
        walked.push((subject.to_vec(), *value));
        true
    });
    assert!(walked.into_iter().eq(model));
});
