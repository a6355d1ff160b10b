//! Any text is a distinguished name or none, and a name is the same as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nats_server::tls::dn::DistinguishedName;

fuzz_target!(|text: &str| {
    if let Some(name) = DistinguishedName::parse(text) {
        assert!(name.equals(&name));
        assert!(name.equals_in_any_order(&name));
    }
});
