//! Distinguished names: as certificates have them, as users are configured, and as they are printed
//! (spec 03 §5.1 and §5.2).
//!
//! Three forms of one subject are in use, because users have been configured with each of them:
//! * the relative names in reverse order, for matching ([`DistinguishedName`]);
//! * the standard attributes regrouped in a fixed order ([`regrouped`]);
//! * the same with every other attribute behind it, as monitoring shows it ([`shown`]).

use std::fmt::Write;
use x509_parser::der_parser::asn1_rs::{Any, Tag};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The attributes that have a name, by their object identifiers.
const NAMES: [(&str, &str); 10] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.17", "POSTALCODE"),
    ("0.9.2342.19200300.100.1.25", "DC"),
];

const DOMAIN_COMPONENT: &str = "DC";

/// The order in which [`regrouped`] goes through the standard attributes, before it is reversed.
const GROUPS: [&str; 9] = ["C", "ST", "L", "STREET", "POSTALCODE", "O", "OU", "CN", "SERIALNUMBER"];

fn name_of(oid: &str) -> Option<&'static str> {
    NAMES.iter().find(|(id, _)| *id == oid).map(|(_, name)| *name)
}

/// An attribute: a type and a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its name; case does not matter.
    pub kind: String,
    /// Its value; case matters.
    pub value: String,
}

impl Attribute {
    fn matches(&self, other: &Attribute) -> bool {
        // The reference folds case by Unicode's simple rules; names are ASCII.
        self.kind.eq_ignore_ascii_case(&other.kind) && self.value == other.value
    }
}

/// A distinguished name, most specific part first; each part has one or more attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DistinguishedName {
    parts: Vec<Vec<Attribute>>,
}

impl DistinguishedName {
    /// The subject of a certificate. `None` if an attribute has no known name or is no text: such a
    /// certificate is not matched this way.
    #[must_use]
    pub fn from_subject(subject: &X509Name<'_>) -> Option<DistinguishedName> {
        let mut parts = Vec::new();
        for rdn in subject.iter_rdn() {
            let mut part = Vec::new();
            for attribute in rdn.iter() {
                let kind = name_of(&attribute.attr_type().to_id_string())?;
                let value = text(attribute.attr_value())?;
                part.push(Attribute { kind: kind.to_owned(), value });
            }
            if !part.is_empty() {
                parts.push(part);
            }
        }
        parts.reverse();
        Some(DistinguishedName { parts })
    }

    /// A name in the notation of RFC 4514. `None` if it is none.
    #[must_use]
    pub fn parse(name: &str) -> Option<DistinguishedName> {
        let mut parser = Parser::default();
        let mut bytes = name.bytes().peekable();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\\' => {
                    let next = bytes.next()?;
                    let byte = match next {
                        b' ' | b'"' | b'#' | b'+' | b',' | b';' | b'<' | b'=' | b'>' | b'\\' => {
                            next
                        }
                        _ => hex_digit(next)? << 4 | hex_digit(bytes.next()?)?,
                    };
                    parser.literal(byte);
                }
                b'=' => {
                    parser.kind = Some(parser.text()?);
                    // What follows would be encoded in BER.
                    if bytes.peek() == Some(&b'#') {
                        return None;
                    }
                }
                b',' | b'+' => parser.end_attribute(byte == b',')?,
                b' ' if parser.buffer.is_empty() => {}
                b' ' => {
                    parser.buffer.push(b' ');
                    parser.trailing_blanks += 1;
                }
                _ => parser.literal(byte),
            }
        }
        if !parser.buffer.is_empty() {
            parser.end_attribute(true)?;
        }
        Some(DistinguishedName { parts: parser.parts })
    }

    /// Whether both have the same parts in the same places.
    #[must_use]
    pub fn equals(&self, other: &DistinguishedName) -> bool {
        self.parts.len() == other.parts.len()
            && self.parts.iter().zip(&other.parts).all(|(a, b)| same_part(a, b))
    }

    /// Whether both have the same parts in whatever order.
    #[must_use]
    pub fn equals_in_any_order(&self, other: &DistinguishedName) -> bool {
        if self.parts.len() != other.parts.len() {
            return false;
        }
        let mut left: Vec<&Vec<Attribute>> = other.parts.iter().collect();
        self.parts.iter().all(|part| {
            let at = left.iter().position(|candidate| same_part(part, candidate));
            at.map(|at| left.swap_remove(at)).is_some()
        })
    }
}

fn same_part(a: &[Attribute], b: &[Attribute]) -> bool {
    let contains = |all: &[Attribute], one: &Attribute| all.iter().any(|o| o.matches(one));
    a.len() == b.len()
        && a.iter().all(|one| contains(b, one))
        && b.iter().all(|one| contains(a, one))
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[derive(Default)]
struct Parser {
    parts: Vec<Vec<Attribute>>,
    part: Vec<Attribute>,
    kind: Option<String>,
    buffer: Vec<u8>,
    trailing_blanks: usize,
}

impl Parser {
    fn literal(&mut self, byte: u8) {
        self.buffer.push(byte);
        self.trailing_blanks = 0;
    }

    fn text(&mut self) -> Option<String> {
        let length = self.buffer.len() - self.trailing_blanks;
        self.trailing_blanks = 0;
        let mut bytes = std::mem::take(&mut self.buffer);
        bytes.truncate(length);
        // Values of certificates are text: what is none matches nothing.
        String::from_utf8(bytes).ok()
    }

    fn end_attribute(&mut self, end_part: bool) -> Option<()> {
        let kind = self.kind.take().filter(|kind| !kind.is_empty())?;
        let value = self.text()?;
        self.part.push(Attribute { kind, value });
        if end_part {
            self.parts.push(std::mem::take(&mut self.part));
        }
        Some(())
    }
}

/// The text of an attribute's value, if it is one of the kinds of text.
fn text(value: &Any<'_>) -> Option<String> {
    let utf16 = |bytes: &[u8]| {
        let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        String::from_utf16(&units.collect::<Vec<_>>()).ok()
    };
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString => {
            String::from_utf8(value.data.to_vec()).ok()
        }
        // The sets of this ancient kind are not told apart; the reference reads Latin 1.
        Tag::T61String => Some(value.data.iter().map(|b| char::from(*b)).collect()),
        Tag::BmpString if value.data.len().is_multiple_of(2) => utf16(value.data),
        _ => None,
    }
}

fn values<'a>(subject: &'a X509Name<'_>, name: &str) -> Vec<String> {
    let named =
        |a: &&AttributeTypeAndValue<'a>| name_of(&a.attr_type().to_id_string()) == Some(name);
    subject.iter_attributes().filter(named).filter_map(|a| text(a.attr_value())).collect()
}

/// The standard attributes of a subject, regrouped: `SERIALNUMBER=…,CN=…,OU=…,O=…,…,C=…`. Several
/// values of one attribute are joined by `+`, except that the last common name and serial number
/// count alone. Other attributes are left out.
#[must_use]
pub fn regrouped(subject: &X509Name<'_>) -> String {
    let mut out = String::new();
    for name in GROUPS.into_iter().rev() {
        let mut values = values(subject, name);
        if matches!(name, "CN" | "SERIALNUMBER") {
            values = values.pop().filter(|value| !value.is_empty()).into_iter().collect();
        }
        if values.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(',');
        }
        push_values(&mut out, name, &values);
    }
    out
}

fn push_values(out: &mut String, name: &str, values: &[String]) {
    for (n, value) in values.iter().enumerate() {
        if n > 0 {
            out.push('+');
        }
        out.push_str(name);
        out.push('=');
        push_escaped(out, value);
    }
}

/// [`regrouped`] with the domain components behind it, in the certificate's order; `None` if the
/// subject has none.
#[must_use]
pub fn regrouped_with_domain_components(subject: &X509Name<'_>) -> Option<String> {
    let components = values(subject, DOMAIN_COMPONENT);
    if components.is_empty() {
        return None;
    }
    let components: Vec<String> = components.iter().map(|dc| format!("DC={dc}")).collect();
    Some(format!("{},{}", regrouped(subject), components.join(",")))
}

/// A subject as monitoring and logs show it: [`regrouped`], and behind it all other attributes, the
/// last one of the certificate first, as object identifier and encoded value.
#[must_use]
pub fn shown(subject: &X509Name<'_>) -> String {
    let mut out = regrouped(subject);
    let others: Vec<_> = subject
        .iter_attributes()
        .filter(|a| {
            let name = name_of(&a.attr_type().to_id_string());
            name.is_none_or(|name| name == DOMAIN_COMPONENT)
        })
        .collect();
    for attribute in others.into_iter().rev() {
        if !out.is_empty() {
            out.push(',');
        }
        let _ = write!(out, "{}=#", attribute.attr_type().to_id_string());
        push_encoded(&mut out, attribute.attr_value());
    }
    out
}

/// A value in DER, as hexadecimal digits. Text is encoded anew, in the plainest kind that holds it.
fn push_encoded(out: &mut String, value: &Any<'_>) {
    let text = text(value);
    let (tag, content) = match &text {
        Some(text) if text.bytes().all(is_printable) => (0x13, text.as_bytes()),
        Some(text) => (0x0c, text.as_bytes()),
        None => (value.tag().0, value.data),
    };
    let mut der = vec![u8::try_from(tag).unwrap_or(0)];
    match u8::try_from(content.len()) {
        Ok(short @ 0..=0x7f) => der.push(short),
        _ => {
            let bytes = content.len().to_be_bytes();
            let zeros = bytes.iter().take_while(|b| **b == 0).count();
            let digits = bytes.get(zeros..).unwrap_or_default();
            der.push(0x80 | u8::try_from(digits.len()).unwrap_or(0));
            der.extend_from_slice(digits);
        }
    }
    der.extend_from_slice(content);
    for byte in der {
        let _ = write!(out, "{byte:02x}");
    }
}

fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte)
}

fn push_escaped(out: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (n, c) in value.chars().enumerate() {
        let escape = match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            ' ' => n == 0 || n == last,
            '#' => n == 0,
            _ => false,
        };
        if escape {
            out.push('\\');
        }
        out.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::prelude::FromDer;

    fn parsed(name: &str) -> DistinguishedName {
        DistinguishedName::parse(name).unwrap_or_else(|| panic!("{name:?} is no name"))
    }

    const CN: &[u8] = &[0x55, 4, 3];
    const C: &[u8] = &[0x55, 4, 6];
    const O: &[u8] = &[0x55, 4, 10];
    const OU: &[u8] = &[0x55, 4, 11];
    const DC: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19];
    const EMAIL: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01];

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![tag, u8::try_from(content.len()).ok().filter(|n| *n < 128).unwrap()];
        out.extend_from_slice(content);
        out
    }

    /// A subject of parts, each of attributes.
    fn subject(parts: &[&[(&[u8], &str)]]) -> Vec<u8> {
        let attribute = |(oid, value): &(&[u8], &str)| {
            der(0x30, &[der(0x06, oid), der(0x0c, value.as_bytes())].concat())
        };
        let part = |attributes: &&[(&[u8], &str)]| {
            der(0x31, &attributes.iter().map(attribute).collect::<Vec<_>>().concat())
        };
        der(0x30, &parts.iter().map(part).collect::<Vec<_>>().concat())
    }

    #[test]
    fn subjects_are_printed_in_the_fixed_order() {
        let made = subject(&[
            &[(CN, "*.server")],
            &[(OU, "a+b")],
            &[(C, "US")],
            &[(DC, "x")],
            &[(O, " o ")],
        ]);
        let (_, name) = X509Name::from_der(&made).unwrap();
        assert_eq!(regrouped(&name), r"CN=*.server,OU=a\+b,O=\ o\ ,C=US");
        assert_eq!(
            regrouped_with_domain_components(&name).unwrap(),
            r"CN=*.server,OU=a\+b,O=\ o\ ,C=US,DC=x"
        );
        assert_eq!(
            shown(&name),
            r"CN=*.server,OU=a\+b,O=\ o\ ,C=US,0.9.2342.19200300.100.1.25=#130178"
        );
        let made = subject(&[&[(CN, "#x")], &[(EMAIL, "a@b")]]);
        let (_, name) = X509Name::from_der(&made).unwrap();
        assert_eq!(regrouped(&name), r"CN=\#x");
        assert!(regrouped_with_domain_components(&name).is_none());
        assert_eq!(shown(&name), r"CN=\#x,1.2.840.113549.1.9.1=#0c03614062");
        assert_eq!(DistinguishedName::from_subject(&name), None);
    }

    #[test]
    fn several_values_are_joined_and_the_last_common_name_counts() {
        let made = subject(&[&[(OU, "b"), (OU, "a")], &[(CN, "first")], &[(CN, "last")]]);
        let (_, name) = X509Name::from_der(&made).unwrap();
        assert_eq!(regrouped(&name), "CN=last,OU=b+OU=a");
        let full = DistinguishedName::from_subject(&name).unwrap();
        assert!(full.equals(&parsed("CN=last,CN=first,OU=a+OU=b")));
    }

    #[test]
    fn a_subject_matches_its_parts_from_the_last_to_the_first() {
        let made = subject(&[&[(DC, "com")], &[(DC, "example")], &[(O, "x")], &[(CN, "Jim")]]);
        let (_, name) = X509Name::from_der(&made).unwrap();
        let name = DistinguishedName::from_subject(&name).unwrap();
        let equal = ["CN=Jim,O=x,DC=example,DC=com", "cn=Jim, o = x ,dc=example, dc=com"];
        for text in equal {
            assert!(name.equals(&parsed(text)), "{text}");
            assert!(name.equals_in_any_order(&parsed(text)), "{text}");
        }
        let reordered = parsed("DC=com,DC=example,O=x,CN=Jim");
        assert!(!name.equals(&reordered) && name.equals_in_any_order(&reordered));
        for other in ["CN=jim,O=x,DC=example,DC=com", "CN=Jim,O=x,DC=example", "CN=Jim"] {
            assert!(!name.equals_in_any_order(&parsed(other)), "{other}");
        }
        assert!(!parsed("DC=a,DC=a,DC=b").equals_in_any_order(&parsed("DC=a,DC=b,DC=b")));
    }

    #[test]
    fn attributes_of_one_part_have_no_order() {
        assert!(parsed("CN=a+OU=b,O=c").equals(&parsed("OU=b+CN=a,O=c")));
        assert!(!parsed("CN=a+OU=b").equals_in_any_order(&parsed("CN=a,OU=b")));
    }

    #[test]
    fn escapes_and_blanks_are_read_as_rfc_4514_says() {
        let one =
            |value: &str| vec![vec![Attribute { kind: "CN".to_owned(), value: value.to_owned() }]];
        let table = [
            (r"CN=Smith\, Jim", "Smith, Jim"),
            (r"CN=  a  ", "a"),
            (r"CN=\ a\ ", " a "),
            (r"CN=L\c3\a9o", "Léo"),
            (r"CN=a\\b\+c", r"a\b+c"),
            ("CN=a=b", "b"),
        ];
        for (text, value) in table {
            let mut want = one(value);
            if text == "CN=a=b" {
                want[0][0].kind = "a".to_owned();
            }
            assert_eq!(parsed(text).parts, want, "{text}");
        }
        assert_eq!(parsed("").parts, Vec::<Vec<Attribute>>::new());
        for bad in ["CN", "CN=a,b", r"CN=a\", r"CN=\zz", "CN=#0401", ",CN=a", "=a", r"CN=\c3"] {
            assert_eq!(DistinguishedName::parse(bad), None, "{bad}");
        }
    }
}
