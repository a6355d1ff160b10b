//! Imports that come, stay and go when accounts change.

use super::*;
use crate::account::Accounts;
use crate::config::options::Options;
use crate::config::options::account::{AccountOptions, ServiceExport, StreamExport as Exported};

fn stream(account: &str, subject: &str) -> wanted::StreamImport {
    wanted::StreamImport {
        account: account.to_owned(),
        subject: subject.to_owned(),
        ..Default::default()
    }
}

fn service(account: &str, subject: &str, to: &str) -> wanted::ServiceImport {
    wanted::ServiceImport {
        account: account.to_owned(),
        subject: subject.to_owned(),
        to: to.to_owned(),
        share: false,
    }
}

/// A exports the stream `s.>` and the service `q.>`, B imports of both.
fn options() -> Options {
    let mut a = AccountOptions::new("A");
    a.stream_exports = vec![Exported { subject: "s.>".to_owned(), ..Default::default() }];
    a.service_exports = vec![ServiceExport { subject: "q.>".to_owned(), ..Default::default() }];
    let mut b = AccountOptions::new("B");
    b.stream_imports = vec![stream("A", "s.1"), stream("A", "s.2")];
    b.service_imports = vec![service("A", "q.1", "one"), service("A", "q.2", "two")];
    // Without a system account there are no imports but these.
    Options { accounts: vec![a, b], no_system_account: true, ..Options::with_defaults() }
}

fn services(account: &Account) -> Vec<Arc<Subscription>> {
    account.service_imports().to_vec()
}

#[test]
fn imports_that_stay_are_the_same_as_before_a_change() {
    let mut o = options();
    let accounts = Accounts::new(&o, 1).unwrap();
    let b = accounts.get("B").unwrap();
    let (streams, requests) = (b.stream_imports(), services(&b));
    o.accounts[1].stream_imports.remove(0);
    o.accounts[1].service_imports.remove(0);
    o.accounts[1].service_imports.push(service("A", "q.3", "three"));
    let changes = accounts.configure(&o).unwrap();
    assert!(changes.unlinked.is_empty() && changes.removed.is_empty());
    assert!(Arc::ptr_eq(&accounts.get("B").unwrap(), &b));
    let after = b.stream_imports();
    assert!(after.len() == 1 && Arc::ptr_eq(&after[0], &streams[1]));
    let [two, three] = services(&b).try_into().ok().unwrap();
    assert!(Arc::ptr_eq(&two, &requests[1]) && !two.is_closed());
    assert!(requests[0].is_closed());
    let mut all = b.sublist.all();
    all.retain(|s| !Arc::ptr_eq(s, &two) && !Arc::ptr_eq(s, &three));
    assert!(all.is_empty(), "what is imported no more is subscribed to no more");
}

#[test]
fn an_export_that_goes_takes_the_imports_with_it_and_one_that_comes_brings_them_back() {
    let o = options();
    let accounts = Accounts::new(&o, 1).unwrap();
    let b = accounts.get("B").unwrap();
    let mut closed = o.clone();
    closed.accounts[0].stream_exports.clear();
    closed.accounts[0].service_exports[0].accounts = Some(vec!["A".to_owned()]);
    let changes = accounts.configure(&closed).unwrap();
    let reasons: Vec<&str> = changes.unlinked.iter().map(|u| u.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "stream import not authorized",
            "stream import not authorized",
            "service import not authorized",
            "service import not authorized"
        ]
    );
    assert!(b.stream_imports().is_empty() && !b.has_stream_imports() && services(&b).is_empty());
    assert_eq!(b.sublist.count(), 0);
    assert!(accounts.configure(&o).unwrap().unlinked.is_empty());
    assert_eq!((b.stream_imports().len(), services(&b).len()), (2, 2));
}

#[test]
fn accounts_come_and_go_with_the_configuration() {
    let mut o = Options { no_system_account: false, ..options() };
    let accounts = Accounts::new(&o, 1).unwrap();
    o.accounts.remove(1);
    o.accounts.push(AccountOptions::new("C"));
    let b = accounts.get("B").unwrap();
    let changes = accounts.configure(&o).unwrap();
    assert_eq!(changes.removed.len(), 1);
    assert!(Arc::ptr_eq(&changes.removed[0], &b) && b.stream_imports().is_empty());
    assert!(accounts.get("B").is_none() && accounts.get("C").is_some());
    // The global and the system account are always there.
    assert!(accounts.get("$G").is_some() && accounts.get("$SYS").is_some());
}

/// What is wrong with the imports of A, B and C.
fn wrong(edit: impl FnOnce(&mut [AccountOptions])) -> Option<String> {
    let mut o = Options {
        accounts: ["A", "B", "C"].map(AccountOptions::new).to_vec(),
        ..Options::with_defaults()
    };
    for account in &mut o.accounts {
        account.stream_exports = vec![Exported { subject: ">".to_owned(), ..Default::default() }];
        account.service_exports =
            vec![ServiceExport { subject: ">".to_owned(), ..Default::default() }];
    }
    edit(&mut o.accounts);
    Accounts::new(&o, 1).err()
}

#[test]
fn imports_that_make_no_sense_are_refused() {
    assert_eq!(wrong(|_| {}), None);
    let cycle = wrong(|a| {
        a[0].service_imports = vec![service("B", "q", "q")];
        a[1].service_imports = vec![service("C", "q", "q")];
        a[2].service_imports = vec![service("A", "q", "q")];
    });
    assert_eq!(cycle.as_deref(), Some("Error adding service import \"q\": import forms a cycle"));
    let cycle = wrong(|a| {
        a[0].stream_imports = vec![stream("B", "s")];
        a[1].stream_imports = vec![stream("A", "s")];
    });
    assert_eq!(cycle.as_deref(), Some("Error adding stream import \"s\": import forms a cycle"));
    let twice = wrong(|a| a[0].stream_imports = vec![stream("B", "s"), stream("B", "s")]);
    assert_eq!(
        twice.as_deref(),
        Some("Error adding stream import \"s\": stream import already exists")
    );
    let twice = wrong(|a| {
        a[0].service_imports = vec![service("B", "q", "x"), service("B", "r", "x")];
    });
    assert_eq!(
        twice.as_deref(),
        Some(
            "Error adding service import \"r\": duplicate service import subject \"x\", \
             previously used in import for account \"B\", subject \"q\""
        )
    );
    let prefix = wrong(|a| {
        a[0].stream_imports =
            vec![wanted::StreamImport { prefix: "*".to_owned(), ..stream("B", "s") }];
    });
    assert_eq!(
        prefix.as_deref(),
        Some(
            "Error adding stream import \"s\": stream import prefix can not contain wildcard tokens"
        )
    );
    let unknown = wrong(|a| a[0].stream_imports = vec![stream("D", "s")]);
    assert_eq!(unknown.as_deref(), Some("Error adding stream import \"s\": account missing"));
}

#[test]
fn terms_say_who_may_import() {
    let terms = |accounts: &[&str], token_position, token_required| Terms {
        accounts: accounts.iter().map(|&a| a.to_owned()).collect(),
        token_position,
        token_required,
        ..Terms::default()
    };
    // terms, importer, subject, exactly that export, activated, may
    for (terms, importer, subject, exact, activated, may) in [
        (terms(&[], 0, false), "A", "x", true, false, true),
        (terms(&["A", "B"], 0, false), "B", "x", true, false, true),
        (terms(&["A", "B"], 0, false), "C", "x", true, false, false),
        (terms(&[], 2, false), "A", "x.A", false, false, true),
        (terms(&[], 2, false), "A", "x.B", false, false, false),
        (terms(&[], 2, false), "A", "x", false, false, false),
        (terms(&[], 2, false), "*", "x.*", true, false, false),
        (terms(&[], 0, true), "A", "x", true, false, false),
        (terms(&[], 0, true), "A", "x", true, true, true),
    ] {
        let got = terms.admit(importer, subject, exact, || activated);
        assert_eq!(got, may, "{terms:?} {importer} {subject}");
    }
}
