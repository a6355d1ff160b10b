//! The decision tables of publish and subscribe permissions.

use super::*;

fn subjects(list: &[&str]) -> Vec<String> {
    list.iter().map(|&s| s.to_owned()).collect()
}

fn rule(allow: Option<&[&str]>, deny: &[&str]) -> SubjectPermission {
    SubjectPermission { allow: allow.map(subjects), deny: subjects(deny) }
}

fn publishing(allow: Option<&[&str]>, deny: &[&str]) -> Permissions {
    let configured = Configured { publish: Some(rule(allow, deny)), ..Configured::default() };
    let (permissions, errors) = Permissions::compile(&configured);
    assert_eq!(errors, Vec::<String>::new());
    permissions
}

fn subscribing(allow: &[&str], deny: &[&str]) -> Permissions {
    let allow = (!allow.is_empty()).then_some(allow);
    let configured = Configured { subscribe: Some(rule(allow, deny)), ..Configured::default() };
    let (permissions, errors) = Permissions::compile(&configured);
    assert_eq!(errors, Vec::<String>::new());
    permissions
}

#[test]
fn publishing_follows_allow_then_deny() {
    // allow, deny, subject, allowed
    type Row = (Option<&'static [&'static str]>, &'static [&'static str], &'static str, bool);
    let table: &[Row] = &[
        (None, &[], "anything", true),
        (Some(&[]), &[], "anything", false),
        (Some(&["foo"]), &[], "foo", true),
        (Some(&["foo"]), &[], "foo.bar", false),
        (Some(&["foo.*"]), &[], "foo.bar", true),
        (Some(&["foo.*"]), &[], "foo", false),
        (Some(&["foo.>"]), &[], "foo.bar.baz", true),
        (Some(&["foo.>"]), &["foo.bar"], "foo.bar", false),
        (Some(&["foo.>"]), &["foo.bar"], "foo.baz", true),
        (Some(&["foo"]), &["foo"], "foo", false),
        (None, &["foo.*"], "foo.bar", false),
        (None, &["foo.*"], "foo", true),
        (Some(&[">"]), &["$SYS.>"], "$SYS.x", false),
        (Some(&["foo", "bar"]), &[], "bar", true),
        // A message that a mapping dropped has no subject.
        (Some(&[">"]), &[], "", false),
        (None, &["foo"], "", true),
    ];
    for &(allow, deny, subject, allowed) in table {
        let p = publishing(allow, deny);
        assert_eq!(p.may_publish(subject.as_bytes()), allowed, "{allow:?} {deny:?} {subject:?}");
    }
}

#[test]
fn subscribing_follows_allow_then_deny_with_queue_groups() {
    // allow, deny, subject, queue, allowed
    type Row = (&'static [&'static str], &'static [&'static str], &'static str, &'static str, bool);
    let table: &[Row] = &[
        (&[], &[], "foo", "", true),
        (&[], &[], ">", "q", true),
        (&["foo"], &[], "foo", "", true),
        (&["foo"], &[], "foo", "any", true),
        (&["foo"], &[], "bar", "", false),
        (&["foo"], &[], "bar", "any", false),
        // Only the queue group.
        (&["foo v1"], &[], "foo", "", false),
        (&["foo v1"], &[], "foo", "v1", true),
        (&["foo v1"], &[], "foo", "v2", false),
        // Plain subscriptions, and one queue group.
        (&["foo", "foo v1"], &[], "foo", "", true),
        (&["foo", "foo v1"], &[], "foo", "v1", true),
        (&["foo", "foo v1"], &[], "foo", "v2", false),
        // Groups with wildcards.
        (&["foo *.dev"], &[], "foo", "v1.dev", true),
        (&["foo *.dev"], &[], "foo", "v1.prod", false),
        (&["foo *.dev"], &[], "foo", "*.dev", true),
        (&["foo v1.>"], &[], "foo", "v1.a.b", true),
        (&["foo v1.>"], &[], "foo", "v2.a", false),
        (&["foo.* q"], &[], "foo.bar", "q", true),
        // Wildcards of the subscription are tokens like others.
        (&["foo.bar"], &[], "foo.*", "", false),
        (&["foo.>"], &[], "foo.*", "", true),
        (&["foo.>"], &[], "foo.>", "", true),
        (&["foo.*"], &[], "foo.*", "", true),
        (&["foo.*"], &[], "foo.>", "", true),
        (&["foo.*"], &[], ">", "", false),
        // Denials.
        (&[], &["foo"], "foo", "", false),
        (&[], &["foo"], "foo", "q", false),
        (&[], &["foo"], "*", "", true),
        (&[], &["foo.*"], "foo.>", "", false),
        (&[], &["foo q"], "foo", "", true),
        (&[], &["foo q"], "foo", "q", false),
        (&[], &["foo q"], "foo", "p", true),
        (&[], &["foo *.dev"], "foo", "v1.dev", false),
        (&[], &["foo *.dev"], "foo", "v1", true),
        (&["foo"], &["foo q"], "foo", "q", false),
        (&["foo", "foo v1"], &["foo v1"], "foo", "v1", false),
        (&["bar", "foo.>"], &["foo.baz"], "foo.baz", "", false),
        (&["bar", "foo.>"], &["foo.baz"], "foo.*", "", true),
    ];
    for &(allow, deny, subject, queue, allowed) in table {
        let p = subscribing(allow, deny);
        assert_eq!(
            p.may_subscribe(subject.as_bytes(), queue.as_bytes()),
            allowed,
            "{allow:?} {deny:?} {subject:?} {queue:?}"
        );
    }
}

#[test]
fn wide_subscriptions_reach_into_denied_subjects() {
    // deny, subject, queue?, reached
    let table: &[(&[&str], &str, bool, bool)] = &[
        (&["foo.bar"], "foo.*", false, true),
        (&["foo.bar"], ">", false, true),
        (&["foo.bar"], "foo.baz", false, false),
        (&["foo.bar"], "foo.bar", false, false),
        (&["foo q"], "foo", true, true),
        (&["foo q"], "bar", true, false),
        (&["foo.*"], "*.bar", false, true),
        (&["foo.*.x"], "foo.*", false, false),
        (&[], ">", true, false),
    ];
    for &(deny, subject, queue, reached) in table {
        let p = subscribing(&[], deny);
        assert_eq!(p.reaches_denied(subject.as_bytes(), queue), reached, "{deny:?} {subject}");
    }
}

#[test]
fn messages_are_denied_by_subject_and_queue_group() {
    let p = subscribing(&[], &["foo.secret", "jobs q*", "jobs dev.*"]);
    for (subject, queue, denied) in [
        ("foo.secret", "", true),
        ("foo.secret", "any", true),
        ("foo.open", "", false),
        ("jobs", "", false),
        ("jobs", "q*", true),
        ("jobs", "dev.1", true),
        ("jobs", "prod.1", false),
    ] {
        assert_eq!(p.denies(subject.as_bytes(), queue.as_bytes()), denied, "{subject} {queue}");
    }
}

#[test]
fn entries_that_make_no_sense_are_named_and_left_out() {
    let configured = Configured {
        publish: Some(rule(Some(&["a..b", "ok"]), &["c d", "e f g", "h."])),
        subscribe: Some(rule(Some(&["a b c", "fine"]), &["", "x y"])),
        responses: None,
    };
    let (p, errors) = Permissions::compile(&configured);
    assert_eq!(
        errors,
        [
            "invalid publish subject \"a..b\"",
            "queue qualifier is not valid for publish deny subject \"c d\"",
            "invalid publish deny subject \"e f g\"",
            "invalid publish deny subject \"h.\"",
            "invalid subject-queue \"a b c\"",
            "invalid subject-queue \"\"",
        ]
    );
    assert!(p.may_publish(b"ok") && !p.may_publish(b"c"));
    assert!(p.may_subscribe(b"fine", b"") && !p.may_subscribe(b"a", b""));
}

#[test]
fn an_empty_list_of_subscriptions_allows_everything() {
    let configured = Configured { subscribe: Some(rule(Some(&[]), &[])), ..Configured::default() };
    assert!(Permissions::compile(&configured).0.may_subscribe(b"foo.>", b"q"));
}
