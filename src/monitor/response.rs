//! Answers of the monitoring server ("spec 04, 2").
//!
//! Header order, framing and bodies follow the reference's HTTP stack: headers a handler set come
//! sorted, then date, length, a sniffed type, connection and transfer encoding. Bodies of up to
//! [`BUFFERED_BODY_BYTES`] have a length; larger ones are sent as one chunk, or up to the end of
//! the connection to a peer that speaks HTTP/1.0. Nothing is compressed: the reference ignores
//! `Accept-Encoding` here.

use std::io::Write;
use std::time::SystemTime;

use super::request::{Method, Request};

/// Largest body sent with a length.
pub const BUFFERED_BODY_BYTES: usize = 2048;

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// Status codes in use, with their phrases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 200
    Ok,
    /// 307
    TemporaryRedirect,
    /// 400
    BadRequest,
    /// 404
    NotFound,
    /// 500
    InternalServerError,
    /// 503
    ServiceUnavailable,
}

impl Status {
    /// The code.
    pub fn code(self) -> u16 {
        match self {
            Status::Ok => 200,
            Status::TemporaryRedirect => 307,
            Status::BadRequest => 400,
            Status::NotFound => 404,
            Status::InternalServerError => 500,
            Status::ServiceUnavailable => 503,
        }
    }

    /// Code and phrase.
    pub fn text(self) -> &'static str {
        match self {
            Status::Ok => "200 OK",
            Status::TemporaryRedirect => "307 Temporary Redirect",
            Status::BadRequest => "400 Bad Request",
            Status::NotFound => "404 Not Found",
            Status::InternalServerError => "500 Internal Server Error",
            Status::ServiceUnavailable => "503 Service Unavailable",
        }
    }
}

/// An answer; independent of the connection it is sent on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: Status,
    /// Headers set by the handler, sorted by name.
    headers: Vec<(&'static str, String)>,
    /// A content type derived from the body, which goes behind the length.
    sniffed_type: Option<&'static str>,
    body: Vec<u8>,
}

impl Response {
    /// An endpoint's answer. Also for `/stacksz`, whose text is labelled JSON all the same.
    pub fn json(status: Status, body: Vec<u8>) -> Self {
        let headers = vec![
            ("Access-Control-Allow-Origin", "*".to_owned()),
            ("Content-Type", JSON.to_owned()),
        ];
        Response { status, headers, sniffed_type: None, body }
    }

    /// The process's variables, which other pages may not read.
    pub fn variables(body: Vec<u8>) -> Self {
        let headers = vec![("Content-Type", "application/json; charset=utf-8".to_owned())];
        Response { status: Status::Ok, headers, sniffed_type: None, body }
    }

    /// Figures in OpenMetrics text.
    pub fn metrics(body: Vec<u8>) -> Self {
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        let headers = vec![("Content-Type", kind.to_owned())];
        Response { status: Status::Ok, headers, sniffed_type: None, body }
    }

    /// A file that is kept, not shown.
    pub fn download(name: &str, body: Vec<u8>) -> Self {
        let headers = vec![
            ("Content-Disposition", format!("attachment; filename=\"{name}\"")),
            ("Content-Type", "application/octet-stream".to_owned()),
            ("X-Content-Type-Options", "nosniff".to_owned()),
        ];
        Response { status: Status::Ok, headers, sniffed_type: None, body }
    }

    /// The bare text of an error.
    pub fn error(status: Status, text: &str) -> Self {
        Response {
            status,
            headers: Vec::new(),
            sniffed_type: Some(TEXT),
            body: text.as_bytes().to_vec(),
        }
    }

    /// A page.
    pub fn html(body: Vec<u8>) -> Self {
        Response { status: Status::Ok, headers: Vec::new(), sniffed_type: Some(HTML), body }
    }

    /// The answer for a path nothing is served at.
    pub fn not_found() -> Self {
        let headers = vec![
            ("Content-Type", TEXT.to_owned()),
            ("X-Content-Type-Options", "nosniff".to_owned()),
        ];
        let body = b"404 page not found\n".to_vec();
        Response { status: Status::NotFound, headers, sniffed_type: None, body }
    }

    /// Sends the peer elsewhere; a short page goes with it for those who asked with GET.
    pub(super) fn redirect(location: &str, method: Method) -> Self {
        let location = location.replace('"', "%22");
        let mut headers = Vec::new();
        if matches!(method, Method::Get | Method::Head) {
            headers.push(("Content-Type", HTML.to_owned()));
        }
        let page = format!("<a href=\"{}\">Temporary Redirect</a>.\n\n", escape_html(&location));
        headers.push(("Location", location));
        let body = if method == Method::Get { page.into_bytes() } else { Vec::new() };
        Response { status: Status::TemporaryRedirect, headers, sniffed_type: None, body }
    }

    /// The answer to `OPTIONS *`.
    pub(super) fn options() -> Self {
        Response { status: Status::Ok, headers: Vec::new(), sniffed_type: None, body: Vec::new() }
    }

    /// Appends the answer to a request; true when the connection is to be closed behind it.
    pub fn encode(&self, request: &Request, now: SystemTime, out: &mut Vec<u8>) -> bool {
        let is_head = request.method == Method::Head;
        let has_length =
            self.body.len() <= BUFFERED_BODY_BYTES && !(is_head && self.body.is_empty());
        let is_chunked = !has_length && !is_head && request.is_http11;
        let ends_by_close = !has_length && !is_head && !request.is_http11;
        let closes = !request.keep_alive || ends_by_close;

        let version = if request.is_http11 { "HTTP/1.1" } else { "HTTP/1.0" };
        line(out, &[version, " ", self.status.text()]);
        for (name, value) in &self.headers {
            line(out, &[name, ": ", value]);
        }
        line(out, &["Date: ", &http_date(now)]);
        if has_length {
            line(out, &["Content-Length: ", &self.body.len().to_string()]);
        }
        if let Some(sniffed) = self.sniffed_type {
            line(out, &["Content-Type: ", sniffed]);
        }
        match (request.is_http11, closes) {
            (true, true) => line(out, &["Connection: close"]),
            (false, false) => line(out, &["Connection: keep-alive"]),
            _ => {}
        }
        if is_chunked {
            line(out, &["Transfer-Encoding: chunked"]);
        }
        line(out, &[]);
        if !is_head {
            if is_chunked {
                line(out, &[&format!("{:x}", self.body.len())]);
                out.extend_from_slice(&self.body);
                out.extend_from_slice(b"\r\n0\r\n\r\n");
            } else {
                out.extend_from_slice(&self.body);
            }
        }
        closes
    }
}

/// The answer to what is not a request this server understands; the connection ends with it.
pub(super) fn rejection(status: &str, body: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    let written =
        write!(out, "HTTP/1.1 {status}\r\nContent-Type: {TEXT}\r\nConnection: close\r\n\r\n{body}");
    debug_assert!(written.is_ok(), "a vector accepts every write");
    out
}

fn line(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn http_date(now: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::monitor::request::Query;

    const DATE: &str = "Date: Thu, 29 Feb 2024 23:59:58 GMT\r\n";

    fn request(method: Method, is_http11: bool, keep_alive: bool) -> Request {
        Request {
            method,
            raw_path: "/".into(),
            path: "/".into(),
            raw_query: String::new(),
            query: Query::default(),
            is_http11,
            keep_alive,
        }
    }

    fn encode(response: &Response, request: &Request) -> (String, bool) {
        let mut out = Vec::new();
        let now = UNIX_EPOCH + Duration::from_secs(1_709_251_198);
        let closes = response.encode(request, now, &mut out);
        (String::from_utf8(out).expect("text"), closes)
    }

    fn healthy() -> Response {
        Response::json(Status::Ok, br#"{"status":"ok"}"#.to_vec())
    }

    #[test]
    fn json_is_sent_with_length_and_cors_header() {
        let expected = format!(
            "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: application/json\r\n\
             {DATE}Content-Length: 15\r\n\r\n{{\"status\":\"ok\"}}"
        );
        let sent = encode(&healthy(), &request(Method::Get, true, true));
        assert_eq!(sent, (expected.clone(), false));
        let (head, _) = encode(&healthy(), &request(Method::Head, true, true));
        assert_eq!(head, expected.strip_suffix("{\"status\":\"ok\"}").expect("the body is last"));
        let other = encode(&healthy(), &request(Method::Other, true, true));
        assert_eq!(other, (expected, false));
    }

    #[test]
    fn connection_is_mentioned_only_where_it_is_not_the_default() {
        let mentioned = |is_http11, keep_alive| {
            let (text, closes) = encode(&healthy(), &request(Method::Get, is_http11, keep_alive));
            assert_eq!(closes, !keep_alive);
            let found = text.lines().find_map(|line| line.strip_prefix("Connection: "));
            found.map(str::to_owned)
        };
        assert_eq!(mentioned(true, true), None);
        assert_eq!(mentioned(true, false).as_deref(), Some("close"));
        assert_eq!(mentioned(false, true).as_deref(), Some("keep-alive"));
        assert_eq!(mentioned(false, false), None);
    }

    #[test]
    fn large_bodies_are_chunked_or_end_with_the_connection() {
        let body = |length| Response::json(Status::Ok, vec![b'x'; length]);
        let (text, _) = encode(&body(2048), &request(Method::Get, true, true));
        assert!(text.contains("Content-Length: 2048\r\n"));
        let (text, closes) = encode(&body(2049), &request(Method::Get, true, true));
        assert!(text.contains("Transfer-Encoding: chunked\r\n\r\n801\r\nxxx"));
        assert!(text.ends_with("x\r\n0\r\n\r\n") && !text.contains("Content-Length"));
        assert!(!closes);
        let (text, closes) = encode(&body(2049), &request(Method::Get, false, true));
        assert_eq!(text.split_once("\r\n\r\n").expect("a head").1.len(), 2049);
        assert!(!text.contains("Content-Length") && !text.contains("Connection"));
        assert!(closes);
        let (text, closes) = encode(&body(2049), &request(Method::Head, true, true));
        assert!(text.ends_with("\r\n\r\n") && !text.contains("chunked"));
        assert!(!text.contains("Content-Length") && !closes);
    }

    #[test]
    fn errors_are_bare_text_without_cors_header() {
        let error = Response::error(Status::BadRequest, "Error decoding state for x");
        let (text, _) = encode(&error, &request(Method::Get, true, true));
        let expected = format!(
            "HTTP/1.1 400 Bad Request\r\n{DATE}Content-Length: 26\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\nError decoding state for x"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn unknown_paths_get_a_page_that_must_not_be_sniffed() {
        let (text, _) = encode(&Response::not_found(), &request(Method::Get, true, true));
        let expected = format!(
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n\
             X-Content-Type-Options: nosniff\r\n{DATE}Content-Length: 19\r\n\r\n\
             404 page not found\n"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn redirects_depend_on_the_method() {
        let sent = |method| {
            let response = Response::redirect("/varz?a=1&b=<", method);
            encode(&response, &request(method, true, true)).0
        };
        assert_eq!(
            sent(Method::Get),
            format!(
                "HTTP/1.1 307 Temporary Redirect\r\nContent-Type: text/html; charset=utf-8\r\n\
                 Location: /varz?a=1&b=<\r\n{DATE}Content-Length: 56\r\n\r\n\
                 <a href=\"/varz?a=1&amp;b=&lt;\">Temporary Redirect</a>.\n\n"
            )
        );
        assert_eq!(
            sent(Method::Head),
            format!(
                "HTTP/1.1 307 Temporary Redirect\r\nContent-Type: text/html; charset=utf-8\r\n\
                 Location: /varz?a=1&b=<\r\n{DATE}\r\n"
            )
        );
        assert_eq!(
            sent(Method::Other),
            format!(
                "HTTP/1.1 307 Temporary Redirect\r\nLocation: /varz?a=1&b=<\r\n\
                 {DATE}Content-Length: 0\r\n\r\n"
            )
        );
    }
}
