//! Behaviour of transforms and mappings, among it what the reference's own tests ask for.

use proptest::prelude::*;

use super::*;

fn make(source: &str, destination: &str) -> SubjectTransform {
    SubjectTransform::new(source.as_bytes(), destination.as_bytes())
        .unwrap_or_else(|error| panic!("{source} {destination}: {error}"))
        .unwrap_or_else(|| panic!("{source} {destination}: no transform"))
}

fn refusal(source: &str, destination: &str, strict: bool) -> String {
    let result = if strict {
        SubjectTransform::new_strict(source.as_bytes(), destination.as_bytes())
    } else {
        SubjectTransform::new(source.as_bytes(), destination.as_bytes())
    };
    match result {
        Ok(made) => panic!("{source} {destination} was accepted: {made:?}"),
        Err(error) => error.to_string(),
    }
}

fn apply(source: &str, destination: &str, subject: &str) -> Result<String, TransformError> {
    let out = make(source, destination).match_subject(subject.as_bytes(), || 0)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn destination_tokens_are_read_with_their_arguments() {
    let wildcards = vec![1, 2, 3];
    let cut = |wildcard, cut| Placeholder::Cut { wildcard, cut };
    for (token, expected) in [
        ("$1", Placeholder::Wildcard(1)),
        ("$12", Placeholder::Wildcard(12)),
        ("$foo", Placeholder::Literal),
        ("$", Placeholder::Literal),
        ("{{}}", Placeholder::Literal),
        ("bar", Placeholder::Literal),
        (
            "{{partition(10,1,2,3)}}",
            Placeholder::Partition { buckets: 10, wildcards: wildcards.clone() },
        ),
        (
            "{{ Partition (10,1,2,3) }}",
            Placeholder::Partition { buckets: 10, wildcards: wildcards.clone() },
        ),
        ("{{partition( 10 ,\t1 , 2,3 )}}", Placeholder::Partition { buckets: 10, wildcards }),
        ("{{wildcard(2)}}", Placeholder::Wildcard(2)),
        ("{{Wildcard( 2 )}}", Placeholder::Wildcard(2)),
        ("{{SplitFromLeft(2,1)}}", cut(2, Cut::SplitFromLeft(1))),
        ("{{splitfromleft(2,1)}}", cut(2, Cut::SplitFromLeft(1))),
        ("{{SplitFromRight(3,2)}}", cut(3, Cut::SplitFromRight(2))),
        ("{{SliceFromLeft(2,2)}}", cut(2, Cut::SliceFromLeft(2))),
        ("{{sliceFromRight(2,2)}}", cut(2, Cut::SliceFromRight(2))),
        ("{{Left(3,2)}}", cut(3, Cut::Left(2))),
        ("{{Right(3,-2)}}", cut(3, Cut::Right(-2))),
        ("{{split(1, -)}}", cut(1, Cut::Split(b"-".to_vec()))),
        ("{{random(6)}}", Placeholder::Random { ceiling: 6 }),
        ("{{random(2147483647)}}", Placeholder::Random { ceiling: i32::MAX }),
    ] {
        assert_eq!(Placeholder::parse(token.as_bytes()), Ok(expected), "{token}");
    }
}

#[test]
fn wrong_destination_tokens_are_named_with_the_reason() {
    const UNKNOWN: &str = "unknown function";
    const FEW: &str = "not enough arguments passed to the function";
    const MANY: &str = "too many arguments passed to the function";
    const WRONG: &str = "function argument is invalid or in the wrong format";
    for (token, what) in [
        ("{{unimplemented(1)}}", UNKNOWN),
        ("{{WILDCARD(1)}}", UNKNOWN),
        ("{{ wildcard5) }}", UNKNOWN),
        ("{{splitLeft(2,2}}", UNKNOWN),
        ("{{wildcard()}}", FEW),
        ("{{wildcard(1,2)}}", MANY),
        ("{{wildcard(foo)}}", WRONG),
        ("{{wildcard( )}}", WRONG),
        ("{{partition()}}", WRONG),
        ("{{partition(10,x)}}", WRONG),
        ("{{partition(2147483648)}}", WRONG),
        ("{{random()}}", WRONG),
        ("{{random(1,2)}}", FEW),
        ("{{random(2147483648)}}", WRONG),
        ("{{left(1)}}", FEW),
        ("{{right(1,2,3)}}", MANY),
        ("{{SliceFromLeft(x,2)}}", WRONG),
        ("{{SliceFromRight(1,2147483648)}}", WRONG),
        ("{{split(1)}}", FEW),
        ("{{split(1,-,-)}}", MANY),
        ("{{split(x,-)}}", WRONG),
        ("{{split(1,- )}}", WRONG),
    ] {
        let expected = format!("invalid mapping destination: {what} in {token}");
        assert_eq!(refusal("foo.*", &format!("bar.{token}"), false), expected);
    }
}

#[test]
fn source_and_destination_must_fit_each_other() {
    for (source, destination) in [
        ("foo..", "bar"),
        ("foo", "bar..baz"),
        ("foo.*", "bar.*"),
        ("foo.*", "bar.$1.>"),
        ("foo.>", "bar.baz"),
        ("foo.>.bar", "baz"),
    ] {
        assert_eq!(
            refusal(source, destination, false),
            "invalid subject",
            "{source} {destination}"
        );
    }
    let range = |token: &str| {
        format!("invalid mapping destination: wildcard index out of range in {token}")
    };
    assert_eq!(refusal("foo.*", "bar.$2", false), range("$2: [2]"));
    assert_eq!(refusal("foo.*", "foo.{{wildcard(2)}}", false), range("{{wildcard(2)}}: [2]"));
    assert_eq!(
        refusal("foo.*", "x.{{partition(9,1,3)}}", false),
        range("{{partition(9,1,3)}}: [3]")
    );
    assert_eq!(refusal("foo.>", "bar.$1.>", false), range("$1: [1]"));
    assert_eq!(refusal("foo", "bla.{{wildcard(1)}}", false), range("{{wildcard(1)}}"));
    assert_eq!(refusal("foo", "bla.{{left(1,1)}}", false), range("{{left(1,1)}}"));
}

#[test]
fn strict_transforms_use_all_wildcards_and_no_other_function() {
    let fail = "invalid mapping destination:";
    let unused = format!("{fail} not using all of the token wildcard(s)");
    assert_eq!(refusal("foo.*.*", "bar.$2", true), format!("{unused} in bar.$2"));
    assert_eq!(refusal("foo.*", "foo.$foo", true), format!("{unused} in foo.$foo"));
    assert_eq!(
        refusal("foo.*", "bar.{{Partition(2,1)}}", true),
        format!(
            "{fail} the only mapping function allowed for import transforms is {{{{Wildcard()}}}} \
             in {{{{Partition(2,1)}}}}"
        )
    );
    assert!(SubjectTransform::new_strict(b"foo.*", b"bar.{{Wildcard(1)}}").unwrap().is_some());
}

#[test]
fn accepted_transforms() {
    for (source, destination) in [
        ("foo.*.*", "bar.$2"),
        ("foo.*.*", "bar.{{wildcard(1)}}"),
        ("foo.*.*", "bar.{{partition(1)}}"),
        ("foo.*.*", "bar.{{random(5)}}"),
        ("foo", "bar"),
        ("foo.*.bar.*.baz", "req.$2.$1"),
        ("baz.>", "mybaz.>"),
        ("*", "{{splitfromleft(1,1)}}"),
        ("", "prefix.>"),
        ("*.*", "{{partition(10,1,2)}}"),
        ("foo.*.*", "foo.{{wildcard(1)}}.{{wildcard(2)}}.{{partition(5,1,2)}}"),
        ("foo.*", "foo.{{partition(2147483647)}}"),
        ("foo.*", "foo.{{random(2147483647)}}"),
        ("foo.bar", "foo.{{random(2147483647)}}"),
        ("foo.bar", "baz.{{partition(10)}}"),
    ] {
        make(source, destination);
    }
    assert!(SubjectTransform::new(b"foo", b"").unwrap().is_none());
}

#[test]
fn transforms_of_matching_subjects() {
    for (source, destination, subject, expected) in [
        ("", "prefix.>", "foo", "prefix.foo"),
        ("foo", "bar", "foo", "bar"),
        ("foo.*.bar.*.baz", "req.$2.$1", "foo.A.bar.B.baz", "req.B.A"),
        ("foo.*.bar.*.baz", "req.{{wildcard(2)}}.{{wildcard(1)}}", "foo.A.bar.B.baz", "req.B.A"),
        ("baz.>", "my.pre.>", "baz.1.2.3", "my.pre.1.2.3"),
        ("baz.>", "foo.bar.>", "baz.1.2.3", "foo.bar.1.2.3"),
        ("a.*.>", "b.$1.x.>", "a.1.2.3", "b.1.x.2.3"),
        (">", ">", "any.thing", "any.thing"),
        ("*", "foo.bar.$1", "foo", "foo.bar.foo"),
        ("*", "foo.$0.$-1", "foo", "foo.foo.foo"),
        ("*", "{{splitfromleft(1,3)}}", "12345", "123.45"),
        ("*", "{{splitfromleft(1,5)}}", "12345", "12345"),
        ("*", "{{SplitFromRight(1,3)}}", "12345", "12.345"),
        ("*", "{{SplitFromRight(1,0)}}", "12345", "12345"),
        ("*", "{{SliceFromLeft(1,3)}}", "1234567890", "123.456.789.0"),
        ("*", "{{SliceFromLeft(1,5)}}", "1234567890", "12345.67890"),
        ("*", "{{SliceFromRight(1,3)}}", "1234567890", "1.234.567.890"),
        ("*", "{{SliceFromRight(1,5)}}", "1234567890", "12345.67890"),
        ("*", "{{SliceFromRight(1,-1)}}", "123", "123"),
        ("*", "{{split(1,-)}}", "-abc-def--ghi-", "abc.def.ghi"),
        ("*", "{{split(1,-)}}", "abc-def--ghi-", "abc.def.ghi"),
        ("*", "{{split(1,)}}", "abé", "a.b.é"),
        ("*", "{{split(1,ab)}}", "1ab2aab3", "1.2a.3"),
        (
            "*.*",
            "{{split(2,-)}}.{{splitfromleft(1,2)}}",
            "foo.-abc-def--ghij-",
            "abc.def.ghij.fo.o",
        ),
        ("*", "{{right(1,1)}}", "1234", "4"),
        ("*", "{{right(1,3)}}", "1234", "234"),
        ("*", "{{right(1,6)}}", "1234", "1234"),
        ("*", "{{left(1,1)}}", "1234", "1"),
        ("*", "{{left(1,3)}}", "1234", "123"),
        ("*", "{{left(1,6)}}", "1234", "1234"),
        ("*", "bar.{{partition(0)}}", "baz", "bar.0"),
        ("*", "bar.{{partition(10, 0)}}", "foo", "bar.3"),
        ("*", "bar.{{partition(10)}}", "foo", "bar.3"),
        ("*", "bar.{{partition(10)}}", "baz", "bar.0"),
        ("*", "bar.{{partition(10)}}", "qux", "bar.9"),
        ("*.*", "bar.{{partition(10)}}", "foo.bar", "bar.6"),
        ("foo.bar", "baz.{{partition(10)}}", "foo.bar", "baz.6"),
        ("foo.baz", "qux.{{partition(10)}}", "foo.baz", "qux.4"),
        ("test.subject", "result.{{partition(5)}}", "test.subject", "result.0"),
    ] {
        let result = apply(source, destination, subject);
        assert_eq!(result.as_deref(), Ok(expected), "{source} {destination} {subject}");
    }
}

#[test]
fn subjects_that_do_not_match_are_refused() {
    let out_of_place = Err(TransformError::NoMatchingTransform);
    assert_eq!(apply("foo.*", "bar.$1", "foo"), out_of_place);
    assert_eq!(apply("foo.*", "bar.$1", "foo.a.b"), out_of_place);
    assert_eq!(apply("foo.*", "bar.$1", "foo.*"), Err(TransformError::InvalidSubject));
    assert_eq!(apply("foo.*", "bar.$1", "foo..a"), Err(TransformError::InvalidSubject));
    // From everything to everything, nothing is looked at.
    assert_eq!(apply(">", ">", "foo..*").as_deref(), Ok("foo..*"));
    let text = TransformError::NoMatchingTransform.to_string();
    assert_eq!(text, "no matching transforms available");
}

#[test]
fn transform_appends_and_leaves_the_buffer_alone_on_refusal() {
    let transform = make("foo.*", "bar.$1");
    let mut out = b"keep:".to_vec();
    transform.match_into(b"foo.x", || 0, &mut out).unwrap();
    assert_eq!(out, b"keep:bar.x");
    transform.match_into(b"other", || 0, &mut out).unwrap_err();
    assert_eq!(out, b"keep:bar.x");
}

#[test]
fn random_stays_below_its_ceiling() {
    let transform = make("*", "bar.{{random(6)}}");
    let drawn = |bits: u32| transform.match_subject(b"qux", || bits).unwrap();
    assert_eq!(drawn(0), b"bar.0");
    assert_eq!(drawn(11), b"bar.5");
    assert_eq!(drawn(12), b"bar.0");
    assert_eq!(drawn(u32::MAX), format!("bar.{}", (i32::MAX) % 6).into_bytes());
    assert_eq!(apply("*", "bar.{{random(0)}}", "qux").as_deref(), Ok("bar.0"));
    assert_eq!(apply("*", "bar.{{random(-6)}}", "qux").as_deref(), Ok("bar.0"));
}

#[test]
fn tokens_that_a_subject_lacks_are_empty() {
    assert_eq!(make("foo.*", "one.two.{{wildcard(1)}}").transform(b"foo", || 0), b"one.two.");
    assert_eq!(make("foo.*", "a.{{left(1,2)}}.b").transform(b"foo", || 0), b"a..b");
    assert_eq!(make("foo.*.>", "a.$1.>").transform(b"foo", || 0), b"a..");
}

#[test]
fn destinations_turn_into_filters_and_back() {
    let untokenized = |destination: &str| {
        let (filter, placeholders) = transform_untokenize(destination.as_bytes());
        let texts = placeholders.into_iter().map(|p| String::from_utf8(p).unwrap());
        (String::from_utf8(filter).unwrap(), texts.collect::<Vec<_>>())
    };
    assert_eq!(untokenized("bar"), ("bar".into(), vec![]));
    assert_eq!(untokenized("foo.$2.$1"), ("foo.*.*".into(), vec!["$2".into(), "$1".into()]));
    assert_eq!(
        untokenized("foo.{{wildcard(2)}}.{{wildcard(1)}}"),
        ("foo.*.*".into(), vec!["{{wildcard(2)}}".into(), "{{wildcard(1)}}".into()])
    );
    assert_eq!(untokenized("foo.$0.{{wildcard()}}"), ("foo.$0.{{wildcard()}}".into(), vec![]));
    assert_eq!(transform_tokenize(b"foo.*.bar.*.>"), b"foo.$1.bar.$2.>");
}

#[test]
fn reverse_leads_back() {
    for (source, destination, subject) in [
        ("foo.*.*", "bar.$2.{{Wildcard(1)}}", "foo.b.a"),
        ("foo.*.*.*", "bar.$2.$3.$1", "foo.a.b.c"),
        ("foo", "bar.baz", "foo"),
        ("foo.*.>", "bar.x.$1.>", "foo.a.b.c"),
    ] {
        let transform = make(source, destination);
        let there = transform.match_subject(subject.as_bytes(), || 0).unwrap();
        let back = transform.reverse().unwrap().match_subject(&there, || 0).unwrap();
        assert_eq!(back, subject.as_bytes(), "{source} {destination}");
    }
    for (source, destination) in
        [("*.*", "a.$1"), ("*", "a.$1.$1"), ("*", "{{left(1,2)}}"), ("*", "a.{{partition(2)}}")]
    {
        assert!(make(source, destination).reverse().is_none(), "{source} {destination}");
    }
}

#[test]
fn mapping_destinations_are_validated_more_narrowly() {
    let check = |destination: &str| {
        validate_mapping(b"foo.*", destination.as_bytes()).map_err(|error| error.to_string())
    };
    let fail = |text: &str| Err(format!("invalid mapping destination: {text}"));
    assert_eq!(check(""), Ok(()));
    assert_eq!(check("bar.$1"), Ok(()));
    assert_eq!(check("bar.{{ SliceFromLeft (1, 2) }}"), Ok(()));
    assert_eq!(check("bar.{{left(1,2)}}"), fail("unknown function in {{left(1,2)}}"));
    assert_eq!(check("bar.{{right(1,2)}}"), fail("unknown function in {{right(1,2)}}"));
    assert_eq!(check("bar..x"), fail("invalid transform"));
    assert_eq!(check("bar.>.x"), fail("invalid transform in x"));
    assert_eq!(check("bar.x y"), fail("invalid transform"));
    assert_eq!(check("bar.$3"), fail("wildcard index out of range in $3: [3]"));
    assert_eq!(check("bar.*"), Err("invalid subject".into()));
}

fn mapping(source: &str, destinations: &[(&str, u8, &str)]) -> Result<SubjectMapping, String> {
    let destinations: Vec<MapDestination> = destinations
        .iter()
        .map(|&(subject, weight, cluster)| MapDestination {
            cluster: cluster.into(),
            ..MapDestination::new(subject, weight)
        })
        .collect();
    SubjectMapping::new(source.as_bytes(), &destinations).map_err(|error| error.to_string())
}

/// How many percent of messages on `subject` go where; dropped ones are under `-`.
fn spread(
    mapping: SubjectMapping,
    cluster: &str,
    subject: &str,
) -> std::collections::BTreeMap<String, u32> {
    let mut mappings = SubjectMappings::default();
    mappings.insert(mapping);
    let mut counts = std::collections::BTreeMap::new();
    for percent in 0..100u64 {
        let bits = u32::try_from(((percent << 32) + (1 << 31)) / 100).unwrap();
        let mut out = Vec::new();
        let name = match mappings.map_into(subject.as_bytes(), cluster, || bits, &mut out) {
            Mapped::Changed => String::from_utf8(out).unwrap(),
            Mapped::Dropped => "-".into(),
            Mapped::Unchanged => panic!("{subject} is not mapped"),
        };
        *counts.entry(name).or_default() += 1;
    }
    counts
}

#[test]
fn weights_share_out_messages() {
    let counts = |mapping: Result<SubjectMapping, String>, cluster, subject| {
        spread(mapping.unwrap(), cluster, subject).into_iter().collect::<Vec<_>>()
    };
    let to = |name: &str, percent| (name.to_owned(), percent);
    let all = mapping("foo.*", &[("bar.$1", 100, "")]);
    assert_eq!(counts(all, "", "foo.x"), [to("bar.x", 100)]);
    let shared = mapping("foo.*", &[("a.$1", 60, ""), ("b.$1", 40, "")]);
    assert_eq!(counts(shared, "", "foo.x"), [to("a.x", 60), to("b.x", 40)]);
    let remainder_stays = mapping("foo.*", &[("a.$1", 30, ""), ("b", 20, "")]);
    let expected = [to("a.x", 30), to("b", 20), to("foo.x", 50)];
    assert_eq!(counts(remainder_stays, "", "foo.x"), expected);
    let remainder_is_lost = mapping("foo", &[("bar", 30, ""), ("foo", 20, "")]);
    let expected = [to("-", 50), to("bar", 30), to("foo", 20)];
    assert_eq!(counts(remainder_is_lost, "", "foo"), expected);
    assert_eq!(counts(mapping("foo", &[]), "", "foo"), [to("foo", 100)]);
    let scoped = mapping("foo", &[("east", 100, "E"), ("west", 10, "W"), ("any", 70, "")]);
    let scoped = scoped.unwrap();
    assert_eq!(counts(Ok(scoped.clone()), "E", "foo"), [to("east", 100)]);
    assert_eq!(counts(Ok(scoped.clone()), "W", "foo"), [to("foo", 90), to("west", 10)]);
    assert_eq!(counts(Ok(scoped), "X", "foo"), [to("any", 70), to("foo", 30)]);
    let only_scoped = mapping("foo", &[("east", 100, "E")]);
    assert_eq!(counts(only_scoped, "", "foo"), [to("foo", 100)]);
}

#[test]
fn wrong_mappings_are_refused() {
    let fails = |source: &str, destinations: &[(&str, u8, &str)], text: &str| {
        assert_eq!(mapping(source, destinations).unwrap_err(), text);
    };
    fails("foo..", &[("bar", 100, "")], "invalid subject");
    fails("foo", &[("", 100, "")], "invalid subject");
    fails("foo", &[("bar", 50, ""), ("bar", 50, "E")], "duplicate entry for \"bar\"");
    fails("foo", &[("bar", 101, "")], "individual weights need to be <= 100");
    fails("foo", &[("bar", 60, ""), ("baz", 41, "")], "total weight needs to be <= 100");
    fails(
        "foo",
        &[("{{left(1,1)}}", 1, "")],
        "invalid mapping destination: unknown function in {{left(1,1)}}",
    );
    assert!(mapping("foo", &[("bar", 60, "E"), ("baz", 41, "W"), ("x", 100, "")]).is_ok());
}

#[test]
fn first_matching_mapping_applies_and_can_be_replaced() {
    let mut mappings = SubjectMappings::default();
    let map = |mappings: &SubjectMappings, subject: &str| {
        let mut out = Vec::new();
        let mapped = mappings.map_into(subject.as_bytes(), "", || 0, &mut out);
        (mapped, String::from_utf8(out).unwrap())
    };
    assert!(mappings.is_empty());
    assert_eq!(map(&mappings, "foo.a"), (Mapped::Unchanged, String::new()));
    mappings.insert(mapping("foo.*", &[("wild.$1", 100, "")]).unwrap());
    mappings.insert(mapping("foo.a", &[("exact", 100, "")]).unwrap());
    assert_eq!(map(&mappings, "foo.a"), (Mapped::Changed, "wild.a".into()));
    mappings.insert(mapping("foo.*", &[("other.$1", 100, "")]).unwrap());
    assert_eq!(mappings.iter().count(), 2);
    assert_eq!(map(&mappings, "foo.a"), (Mapped::Changed, "other.a".into()));
    assert!(mappings.remove(b"foo.*"));
    assert!(!mappings.remove(b"foo.*"));
    assert_eq!(map(&mappings, "foo.a"), (Mapped::Changed, "exact".into()));
    assert_eq!(map(&mappings, "foo.b"), (Mapped::Unchanged, String::new()));
}

#[test]
fn literal_mapping_at_the_head_partitions_the_empty_key() {
    let mut mappings = SubjectMappings::default();
    mappings.insert(mapping("foo.bar", &[("x.{{partition(10)}}", 100, "")]).unwrap());
    mappings.insert(mapping("foo.baz", &[("x.{{partition(10)}}", 100, "")]).unwrap());
    let map = |subject: &str| {
        let mut out = Vec::new();
        assert_eq!(mappings.map_into(subject.as_bytes(), "", || 0, &mut out), Mapped::Changed);
        String::from_utf8(out).unwrap()
    };
    // The hash of nothing is 2166136261.
    assert_eq!(map("foo.bar"), "x.1");
    assert_eq!(map("foo.baz"), "x.4");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(14),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_input_breaks_a_transform(
        source in "([a*]\\.){0,3}[a*>]?",
        function in "(wildcard|Partition|split|random|left|sliceFromRight|right|x)",
        arguments in "[-0-9, )(}\\{é]{0,8}",
        tail in "(\\.>)?",
        subject in prop::collection::vec(any::<u8>(), 0..20),
        bits: u32,
    ) {
        let destination = format!("b.{{{{{function}({arguments})}}}}{tail}");
        for strict in [false, true] {
            let made = SubjectTransform::build(source.as_bytes(), destination.as_bytes(), strict);
            if let Ok(Some(transform)) = made {
                transform.transform(&subject, || bits);
                let result = transform.match_subject(&subject, || bits);
                prop_assert_eq!(
                    result.is_ok(),
                    subject::is_valid_literal_subject(&subject)
                        && subject::is_subset_match(&subject, transform.source())
                );
                transform.reverse();
            }
        }
        let _ = validate_mapping(source.as_bytes(), destination.as_bytes());
    }

    #[test]
    fn reverse_of_any_order_of_wildcards_leads_back(
        order in Just((1..=5).collect::<Vec<_>>()).prop_shuffle(),
        tokens in prop::collection::vec("[a-z]{1,3}", 5),
    ) {
        let destination: Vec<String> = order.iter().map(|n| format!("${n}")).collect();
        let transform = make("in.*.*.*.*.*", &format!("out.{}", destination.join(".")));
        let subject = format!("in.{}", tokens.join("."));
        let there = transform.match_subject(subject.as_bytes(), || 0).unwrap();
        let back = transform.reverse().unwrap().match_subject(&there, || 0).unwrap();
        prop_assert_eq!(back, subject.into_bytes());
    }
}
