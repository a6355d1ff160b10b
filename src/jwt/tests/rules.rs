//! Templates and times in every form that the reference knows.

use super::super::template::AccountFacts;
use super::super::user::{Permissions, SubjectLists, TimeRange};
use super::super::*;
use jiff::Timestamp;
use jiff::civil::Date;
use std::time::Duration;

fn texts(list: &[&str]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.iter().map(|&s| s.to_owned()).collect())
}

fn lists(allow: &[&str], deny: &[&str]) -> SubjectLists {
    SubjectLists { allow: texts(allow), deny: texts(deny) }
}

/// Fills a template for the user `myname` with tags, of the account `accname` with tags.
fn fill(publish: SubjectLists, subscribe: SubjectLists) -> Result<UserPermissions, String> {
    let mut user = UserClaims::new("UKEY");
    user.base.name = "myname".to_owned();
    user.issuer_account = "AKEY".to_owned();
    user.tags = ["foo:foo1", "foo:foo2", "bar:bar1", "bar:bar2", "bar:bar3", "bucket:a"]
        .map(str::to_owned)
        .to_vec();
    let tags = ["acc:acc1", "acc:acc2"].map(str::to_owned);
    let permissions = Permissions { publish, subscribe, ..Permissions::default() };
    let template = UserPermissions { permissions, ..UserPermissions::default() };
    template::expand(&template, &user, AccountFacts { name: "accname", tags: &tags })
}

#[test]
fn every_list_of_a_template_is_filled() {
    let publish =
        lists(&["{{tag(foo)}}.none.{{tag(bar)}}"], &["{{tag(foo)}}.{{account-tag(acc)}}"]);
    let who = "foo.{{name()}}.{{subject()}}.{{account-name()}}.{{account-subject()}}.bar";
    let subscribe = lists(&["{{tag(NOT_THERE)}}"], &[who]);
    let filled = fill(publish.clone(), subscribe.clone()).unwrap().permissions;
    let sorted = |list: Option<Vec<String>>| {
        let mut list = list.unwrap_or_default();
        list.sort();
        list
    };
    let all = |first: [&str; 2], then: &[&str]| -> Vec<String> {
        first.iter().flat_map(|a| then.iter().map(move |b| format!("{a}.{b}"))).collect()
    };
    let both = ["foo1", "foo2"];
    assert_eq!(sorted(filled.publish.allow), all(both, &["none.bar1", "none.bar2", "none.bar3"]));
    assert_eq!(sorted(filled.publish.deny), all(both, &["acc1", "acc2"]));
    assert_eq!(filled.subscribe.allow.unwrap_or_default(), Vec::<String>::new());
    // A list of which nothing is left must not allow everything.
    assert_eq!(filled.subscribe.deny, texts(&["foo.myname.UKEY.accname.AKEY.bar", ">"]));
    let mut publish = publish;
    publish.deny.get_or_insert_default().push("{{tag(NOT_THERE)}}".to_owned());
    let error = fill(publish, subscribe).unwrap_err();
    assert!(error.contains("generated invalid subject"), "{error}");
    // A place may be a part of a token.
    let inline = lists(&["$JS.API.STREAM.INFO.KV_{{tag(bucket)}}"], &[]);
    let filled = fill(inline, SubjectLists::default()).unwrap();
    assert_eq!(filled.permissions.publish.allow, texts(&["$JS.API.STREAM.INFO.KV_a"]));
}

#[test]
fn a_tag_that_is_there_does_not_make_up_for_one_that_is_not() {
    for deny in ["{{tag(NOT_THERE)}}.{{tag(foo)}}", "{{tag(foo)}}.{{tag(NOT_THERE)}}"] {
        let error = fill(lists(&[], &[deny]), SubjectLists::default()).unwrap_err();
        assert!(error.contains("generated invalid subject"), "{error}");
        let filled = fill(lists(&[deny], &[]), SubjectLists::default()).unwrap();
        assert_eq!(filled.permissions.publish.deny, texts(&[">"]));
    }
}

#[test]
fn operations_that_are_none_make_the_template_invalid_wherever_they_stand() {
    for subject in ["foo.{{x}}", "foo.{{unknown()}}", "{{tag(}}", "{{)}}", "{{ }}", "{{é()}}"] {
        for allowed in [false, true] {
            let list = if allowed { lists(&[subject], &[]) } else { lists(&[], &[subject]) };
            for error in [
                fill(list.clone(), SubjectLists::default()).unwrap_err(),
                fill(SubjectLists::default(), list.clone()).unwrap_err(),
            ] {
                assert!(error.ends_with(" is not defined"), "{subject}: {error}");
            }
        }
    }
}

#[test]
fn tags_that_multiply_beyond_a_bound_are_refused() {
    let mut user = UserClaims::new("UKEY");
    for n in 0..128 {
        user.tags.extend([format!("a:v{n}"), format!("b:v{n}")]);
    }
    let publish = lists(&["foo.{{tag(a)}}.{{tag(b)}}"], &[]);
    let template = UserPermissions {
        permissions: Permissions { publish, ..Permissions::default() },
        ..UserPermissions::default()
    };
    let account = AccountFacts { name: "", tags: &[] };
    let error = template::expand(&template, &user, account).unwrap_err();
    assert_eq!(error, "template expansion exceeds limit: 4096");
}

fn time_range((start, end): &(&str, &str)) -> TimeRange {
    TimeRange { start: (*start).to_owned(), end: (*end).to_owned() }
}

#[test]
fn the_time_that_is_left_ends_with_the_last_range_that_is_now() {
    let at = |hour: i8, minute: i8| -> Timestamp {
        let day: Date = "2026-03-04".parse().unwrap();
        day.at(hour, minute, 0, 0).in_tz("UTC").unwrap().timestamp()
    };
    let (day, night) = (("09:00:00", "17:00:00"), ("22:00:00", "06:00:00"));
    let early = ("00:00:00", "08:00:00");
    for (now, ranges, minutes) in [
        (at(14, 30), &[day][..], Some(150)),
        (at(8, 0), &[day], None),
        (at(18, 0), &[day], None),
        (at(23, 30), &[night], Some(390)),
        (at(5, 0), &[night], Some(60)),
        (at(21, 0), &[night], None),
        (at(7, 0), &[night], None),
        (at(1, 0), &[night, early], Some(420)),
        (at(1, 0), &[early, night], Some(420)),
        (at(12, 0), &[early, night], None),
        (at(12, 0), &[("15:00:00", "16:00:00"), day], Some(300)),
    ] {
        let user = UserPermissions {
            times: Some(ranges.iter().map(time_range).collect()),
            times_location: "UTC".to_owned(),
            ..UserPermissions::default()
        };
        let left = times::allows_time(&user, now).ok();
        assert_eq!(left, minutes.map(|m| Some(Duration::from_secs(m * 60))), "{now} {ranges:?}");
    }
}
