//! Subjects of imports on both sides.

use super::*;
use crate::account::Accounts;
use crate::config::options::Options;
use crate::config::options::account::{
    AccountOptions, ServiceExport as ConfiguredExport, ServiceImport as ConfiguredService,
    StreamImport as ConfiguredStream,
};
use crate::subscription::Destination;

fn options() -> Options {
    Options {
        accounts: vec![AccountOptions::new("A"), AccountOptions::new("B")],
        no_system_account: true,
        ..Options::with_defaults()
    }
}

fn stream(subject: &str, prefix: &str, to: &str) -> Arc<StreamImport> {
    let accounts = Accounts::new(&options(), 1).unwrap();
    let configured = ConfiguredStream {
        account: "A".to_owned(),
        subject: subject.to_owned(),
        prefix: prefix.to_owned(),
        to: to.to_owned(),
        allow_trace: false,
    };
    let exporter = accounts.get("A").unwrap();
    Arc::new(StreamImport::new(&exporter, &configured).unwrap())
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn messages_of_a_stream_have_the_subject_of_the_import() {
    // subject, prefix, to, published there, delivered here
    for (subject, prefix, to, published, delivered) in [
        ("foo", "", "", "foo", "foo"),
        ("foo", "", "bar.baz", "foo", "bar.baz"),
        ("foo", "pre", "", "foo", "pre.foo"),
        ("foo", "pre.", "", "foo", "pre.foo"),
        ("foo.*", "", "", "foo.x", "foo.x"),
        ("foo.>", "pre", "", "foo.x.y", "pre.foo.x.y"),
        ("foo.*.*", "", "bar.$2.$1", "foo.x.y", "bar.y.x"),
        ("foo.*", "", "bar.*", "foo.x", "bar.x"),
    ] {
        let import = stream(subject, prefix, to);
        let got = text(import.delivered_subject(published.as_bytes()));
        assert_eq!(got, delivered, "{subject} {prefix} {to}");
    }
}

#[test]
fn subscriptions_have_a_shadow_where_the_stream_has_something_for_them() {
    // subject, prefix, to, subscribed here, subscribed there
    for (subject, prefix, to, here, there) in [
        ("foo", "", "", "foo", Some("foo")),
        ("foo", "", "bar", "bar", Some("foo")),
        ("foo", "", "bar", "foo", None),
        ("foo", "", "bar", "*", Some("foo")),
        ("foo", "", "bar", ">", Some("foo")),
        ("foo.*", "", "", "foo.x", Some("foo.x")),
        ("foo.*", "", "", "foo.*", Some("foo.*")),
        ("foo.*", "", "", "foo.>", Some("foo.*")),
        ("foo.*", "", "", "foo.x.y", None),
        ("foo.>", "pre", "", "pre.foo.x", Some("foo.x")),
        ("foo.>", "pre", "", "pre.>", Some("foo.>")),
        ("foo.>", "pre", "", "foo.x", None),
        ("foo.*.*", "", "bar.$2.$1", "bar.y.*", Some("foo.*.y")),
        ("foo.*.*", "", "bar.$2.$1", "bar.y.x", Some("foo.x.y")),
        // Both reach beyond the other: what they have in common is subscribed to.
        ("*.new", "", "", "orders.*", Some("orders.new")),
        ("*.*.a", "", "", "x.*.*", Some("x.*.a")),
        ("*.a.>", "", "", "x.>", Some("x.a.>")),
        ("a.*", "", "b.$1.c", "b.x.*", Some("a.x")),
    ] {
        let import = stream(subject, prefix, to);
        let got = import.shadow_subject(here.as_bytes()).map(text);
        assert_eq!(got.as_deref(), there, "{subject} {prefix} {to} {here}");
    }
}

fn service_target(subject: &str, to: &str, published: &str) -> (String, String) {
    let mut o = options();
    o.accounts[0].service_exports =
        vec![ConfiguredExport { subject: ">".to_owned(), ..Default::default() }];
    o.accounts[1].service_imports = vec![ConfiguredService {
        account: "A".to_owned(),
        subject: subject.to_owned(),
        to: to.to_owned(),
        share: false,
    }];
    let accounts = Accounts::new(&o, 1).unwrap();
    let all = accounts.get("B").unwrap().sublist.all();
    let [subscription] = all.as_slice() else { panic!("one import") };
    let Destination::Service(import) = &subscription.to else { panic!("a service") };
    let here = text(::sublist::Subscription::subject(&**subscription).to_vec());
    (here, text(import.target(published.as_bytes())))
}

#[test]
fn requests_have_the_subject_of_the_service() {
    // there, here, subscribed, published, target
    for (subject, to, here, published, target) in [
        ("req", "req", "req", "req", "req"),
        ("req", "my.req", "my.req", "my.req", "req"),
        ("req.*", "req.*", "req.*", "req.x", "req.x"),
        ("req.>", "req.>", "req.>", "req.x.y", "req.x.y"),
        ("req.*", "my.*", "my.*", "my.x", "req.x"),
        ("req.$1.$2", "my.*.*", "my.*.*", "my.x.y", "req.$1.$2"),
        ("req.*.*", "my.$2.$1", "my.*.*", "my.a.b", "req.b.a"),
    ] {
        let got = service_target(subject, to, published);
        assert_eq!(got, (here.to_owned(), target.to_owned()), "{subject} {to}");
    }
}
