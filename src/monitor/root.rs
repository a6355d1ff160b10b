//! The page at the root of the monitoring port (spec 04 §2.1): what there is to see, with the
//! reference's links, and live figures that a script takes from the JSON documents.

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

/// What is shown live: titles, and the names under which the script finds them.
const FIGURES: [(&str, &str); 13] = [
    ("Messages in", "in_msgs"),
    ("Messages out", "out_msgs"),
    ("Bytes in", "in_bytes"),
    ("Bytes out", "out_bytes"),
    ("Connections", "connections"),
    ("Connections so far", "total_connections"),
    ("Subscriptions", "subscriptions"),
    ("Slow consumers", "slow_consumers"),
    ("Stale connections", "stale_connections"),
    ("Routes / leafnodes", "links"),
    ("Memory", "mem"),
    ("CPU", "cpu"),
    ("Uptime", "uptime"),
];

/// The same for JetStream, while it is enabled.
const STORAGE: [(&str, &str); 4] = [
    ("Streams", "streams"),
    ("Consumers", "consumers"),
    ("Messages", "messages"),
    ("Stored", "stored"),
];

const STYLE: &str = include_str!("status.css");
const SCRIPT: &str = include_str!("status.js");

fn figures(out: &mut String, figures: &[(&str, &str)]) {
    out.push_str("<div class=\"figures\">\n");
    for (title, id) in figures {
        out.push_str(&format!("<div><span>{title}</span><b id=\"{id}\">-</b></div>\n"));
    }
    out.push_str("</div>\n");
}

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
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>NATS server</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body data-base=\"{}\">\n\
         <h1>NATS server <a href=\"{source}\">v{version}</a> <span id=\"name\"></span></h1>\n\
         <p><span id=\"state\">loading</span></p>\n",
        attribute(base)
    );
    figures(&mut out, &FIGURES);
    out.push_str(
        "<h2>Messages a second</h2>\n\
         <svg viewBox=\"0 0 300 60\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"messages in and out over the last two minutes\">\n\
         <polyline id=\"line_in\"></polyline><polyline id=\"line_out\"></polyline></svg>\n\
         <div id=\"storage\" hidden>\n<h2>JetStream</h2>\n",
    );
    figures(&mut out, &STORAGE);
    out.push_str(
        "</div>\n<h2>Busiest connections</h2>\n<div class=\"table\"><table>\n<thead><tr><th>Id</th>\
         <th>Client</th><th>In</th><th>Out</th><th>Pending</th><th>Subscriptions</th></tr></thead>\n\
         <tbody id=\"busiest\"></tbody>\n</table></div>\n<h2>Documents</h2>\n<ul>\n",
    );
    for (title, path) in LINKS {
        // Relative to the page, so that it also works behind a proxy with a prefix of its own.
        let href = attribute(&format!(".{base}{path}"));
        out.push_str(&format!("<li><a href=\"{href}\">{title}</a><code>{path}</code></li>\n"));
    }
    out.push_str(&format!(
        "</ul>\n<a href=\"{HELP}\">Help</a>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    ));
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
        assert!(page.contains("<body data-base=\"/nats\">"));
    }

    #[test]
    fn the_version_links_to_the_source() {
        assert!(text("/").contains(&format!("<a href=\"{SOURCE}\">v2.14.5</a>")));
        assert!(text("/").contains("href=\"./varz\""));
    }

    #[test]
    fn the_script_finds_what_it_sets_and_loads_nothing_from_elsewhere() {
        let page = text("/");
        for id in SCRIPT.split("set(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        }
        for (_, id) in FIGURES.iter().chain(&STORAGE) {
            assert!(SCRIPT.contains(&format!("set(\"{id}\"")), "{id}");
        }
        for elsewhere in ["src=", "@import", "url(", "<link"] {
            assert!(!page.contains(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn a_base_path_cannot_leave_its_attribute() {
        let plain = text("/").matches("<script>").count();
        assert_eq!(text("/a\"><script>").matches("<script>").count(), plain);
    }
}
