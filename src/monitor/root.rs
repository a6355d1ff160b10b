//! The page at the root of the monitoring port (spec 04 §2.1): what there is to see, with links.

use crate::info::Info;

const SOURCE: &str = "https://github.com/nats-io/nats-server";
const HELP: &str = "https://docs.nats.io/running-a-nats-service/nats_admin/monitoring";

/// Titles and paths, in the order of the page.
const LINKS: [(&str, &str); 12] = [
    ("General", "/varz"),
    ("JetStream", "/jsz"),
    ("Connections", "/connz"),
    ("Accounts", "/accountz"),
    ("Account Stats", "/accstatz"),
    ("Subscriptions", "/subsz"),
    ("Routes", "/routez"),
    ("LeafNodes", "/leafz"),
    ("Gateways", "/gatewayz"),
    ("Raft Groups", "/raftz"),
    ("Health Probe", "/healthz"),
    ("Expvar", "/debug/vars"),
];

const STYLE: &str = "body{font:16px/1.6 system-ui,sans-serif;margin:2rem;color:#222}\
    h1{font-size:1.4rem}li{list-style:none}ul{padding:0}\
    a{color:#27408b;text-decoration:none}a:hover{text-decoration:underline}\
    code{color:#888;font-size:.8rem;margin-left:.5rem}";

/// The page. `base_path` is normalized: `/`, or a path without a slash at its end.
pub fn page(info: &Info, base_path: &str) -> Vec<u8> {
    let base = base_path.trim_end_matches('/');
    let version = info.version;
    let source = if info.git_commit.is_empty() {
        SOURCE.to_owned()
    } else {
        format!("{SOURCE}/tree/{}", info.git_commit)
    };
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<title>NATS server</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>NATS server <a href=\"{source}\">v{version}</a></h1>\n<ul>\n"
    );
    for (title, path) in LINKS {
        // Relative to the page, so that it also works behind a proxy with a prefix of its own.
        let href = attribute(&format!(".{base}{path}"));
        out.push_str(&format!("<li><a href=\"{href}\">{title}</a><code>{path}</code></li>\n"));
    }
    out.push_str(&format!("</ul>\n<a href=\"{HELP}\">Help</a>\n</body>\n</html>\n"));
    out.into_bytes()
}

/// Text in a double-quoted attribute.
fn attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(base_path: &str) -> String {
        let info = Info { version: "2.14.5", ..Info::default() };
        String::from_utf8(page(&info, base_path)).expect("ASCII")
    }

    #[test]
    fn links_are_below_the_base_path_in_order() {
        let page = text("/nats");
        let mut at = 0;
        for (_, path) in LINKS {
            let found = page[at..].find(&format!("href=\".{}{path}\"", "/nats"));
            at += found.unwrap_or_else(|| panic!("{path} is missing or out of order"));
        }
        assert!(page[at..].contains(HELP));
        assert!(page.is_ascii());
    }

    #[test]
    fn the_version_links_to_the_source() {
        assert!(text("/").contains(&format!("<a href=\"{SOURCE}\">v2.14.5</a>")));
        assert!(text("/").contains("href=\"./varz\""));
    }

    #[test]
    fn a_base_path_cannot_leave_its_attribute() {
        assert!(!text("/a\"><script>").contains("<script>"));
    }
}
