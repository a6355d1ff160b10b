//! `/subsz`.

use crate::{numbers, start_bare, strings};
use serde_json::json;

#[test]
fn statistics_count_inserts_removes_and_matches() {
    let m = start_bare();
    let mut wire = m.client("");
    wire.send("SUB foo 1\r\nPUB foo 5\r\nhello\r\nUNSUB 1\r\n");
    wire.sync();
    for path in ["/subsz", "/subscriptionsz"] {
        let s = m.json(path);
        assert_eq!(s["num_subscriptions"], 0);
        assert_eq!(s["num_inserts"], 1);
        assert_eq!(s["num_removes"], 1);
        assert_eq!(s["num_matches"], 1);
        assert_eq!((&s["total"], &s["offset"], &s["limit"]), (&json!(0), &json!(0), &json!(1024)));
        assert!(s.get("subscriptions_list").is_none());
    }
    assert_eq!(m.json("/varz")["http_req_stats"]["/subsz"], 2, "both names count as one");
}

#[test]
fn subscriptions_are_counted_without_being_listed() {
    let m = start_bare();
    let mut wire = m.client("");
    wire.send("SUB foo 1\r\n");
    wire.sync();
    let s = m.json("/subscriptionsz");
    assert_eq!((&s["num_subscriptions"], &s["total"]), (&json!(1), &json!(0)));
    assert_eq!(m.json("/varz")["subscriptions"], 1);
    assert_eq!(m.json("/varz")["subscriptions"], 1, "looking does not add up");
}

#[test]
fn subscriptions_are_listed_with_all_fields() {
    let m = start_bare();
    let mut wire = m.client("");
    wire.send("SUB foo.* 1\r\nSUB foo.bar q 2\r\nUNSUB 2 9\r\nSUB foo.foo 3\r\n");
    wire.send("PUB foo.bar 5\r\nHello\r\nPUB foo.baz 5\r\nHello\r\nPUB foo.foo 5\r\nHello\r\n");
    wire.sync();
    let s = m.json("/subsz?subs=1");
    assert_eq!((&s["num_subscriptions"], &s["total"]), (&json!(3), &json!(3)));
    let mut list = s["subscriptions_list"].as_array().expect("a list").clone();
    list.sort_by_key(|s| s["sid"].to_string());
    let cid = &wire.info["client_id"];
    let of = |v: serde_json::Value| {
        let mut whole = json!({"account": "$G", "account_tag": "$G", "cid": cid});
        whole.as_object_mut().expect("an object").extend(v.as_object().expect("an object").clone());
        whole
    };
    assert_eq!(
        list,
        [
            of(json!({"subject": "foo.*", "sid": "1", "msgs": 3})),
            of(json!({"subject": "foo.bar", "qgroup": "q", "sid": "2", "msgs": 1, "max": 9})),
            of(json!({"subject": "foo.foo", "sid": "3", "msgs": 1})),
        ]
    );
}

#[test]
fn pages_have_offset_and_limit_and_never_overlap() {
    let m = start_bare();
    let mut wire = m.client("");
    for n in 0..200 {
        wire.send(format!("SUB foo.{n} {n}\r\n"));
    }
    wire.sync();
    let s = m.json("/subsz?subs=1&offset=10&limit=100");
    assert_eq!((&s["num_subscriptions"], &s["total"]), (&json!(200), &json!(200)));
    assert_eq!((&s["offset"], &s["limit"]), (&json!(10), &json!(100)));
    assert_eq!(numbers(&s["subscriptions_list"], "cid").len(), 100);
    let mut seen = Vec::new();
    for page in 0..4 {
        let s = m.json(&format!("/subsz?subs=1&offset={}&limit=60", page * 60));
        seen.extend(strings(&s["subscriptions_list"], "subject").into_iter().map(str::to_owned));
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 200);
    let max = i64::MAX;
    for query in [format!("offset={max}&limit=1"), format!("offset={max}&limit={max}")] {
        let s = m.json(&format!("/subsz?subs=1&{query}"));
        assert_eq!((s.get("subscriptions_list"), &s["total"]), (None, &json!(200)));
    }
    let s = m.json("/subsz?subs=1&offset=-5&limit=0");
    assert_eq!((&s["offset"], &s["limit"]), (&json!(0), &json!(1024)));
}

#[test]
fn a_test_subject_selects_those_who_would_get_it() {
    let m = start_bare();
    let mut wire = m.client("");
    wire.send("SUB foo.* 1\r\nSUB foo.bar 2\r\nSUB foo.foo 3\r\n");
    wire.sync();
    let s = m.json("/subsz?subs=1&test=foo.foo");
    assert_eq!(s["total"], 2);
    let mut subjects = strings(&s["subscriptions_list"], "subject");
    subjects.sort_unstable();
    assert_eq!(subjects, ["foo.*", "foo.foo"]);
    assert_eq!(m.json("/subsz?subs=1&test=foo")["total"], 0);
    for bad in ["*", "foo.*", "foo.>", "foo..bar"] {
        let text = format!("invalid test subject, must be valid publish subject: {bad}");
        m.expect_bad_request(&format!("/subsz?subs=1&test={bad}"), &text);
        m.expect_bad_request(&format!("/subsz?test={bad}"), &text);
    }
}

#[test]
fn an_account_is_looked_at_alone() {
    let m = start_bare();
    let mut wire = m.client("");
    wire.send("SUB foo 1\r\n");
    wire.sync();
    assert_eq!(m.json("/subsz?acc=$G&subs=1")["total"], 1);
    assert_eq!(m.json("/subsz?acc=nope&subs=1")["total"], 0);
    assert_eq!(m.json("/subsz?acc=nope")["num_inserts"], 0);
}

#[test]
fn details_are_no_value_of_subs_here() {
    let m = start_bare();
    m.expect_bad_request(
        "/subsz?subs=detail",
        "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"detail\": invalid syntax",
    );
}
