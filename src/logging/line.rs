//! The text of one log line ("spec 02, 10.2").
//!
//! `[<pid>] YYYY/MM/DD HH:MM:SS.uuuuuu [LVL] message\n`: the time part is left out without
//! `logtime`, and the newline is not doubled when the message brings one. A [`LineFormat`]
//! renders into a buffer the sink reuses; date and time down to the second are kept from one
//! line to the next, since the conversion to local time is the dearest part of a line.
//!
//! With `log_format: json`, which the reference does not have, each line is an object instead:
//! `{"time":"<RFC 3339>","level":"info","pid":<pid>,"msg":"<message>"}`.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;

/// How important a line is; also its three-letter label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The server cannot go on.
    Fatal,
    /// Something failed.
    Error,
    /// Something an operator should look at.
    Warn,
    /// Normal events; labelled `INF`.
    Notice,
    /// Details for debugging; only with the debug switch.
    Debug,
    /// Protocol traffic; only with the trace switch.
    Trace,
}

impl Level {
    /// The label between the brackets.
    pub fn label(self) -> &'static str {
        match self {
            Level::Fatal => "FTL",
            Level::Error => "ERR",
            Level::Warn => "WRN",
            Level::Notice => "INF",
            Level::Debug => "DBG",
            Level::Trace => "TRC",
        }
    }

    /// The name in lines that are JSON.
    fn name(self) -> &'static str {
        match self {
            Level::Fatal => "fatal",
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Notice => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }

    /// The parameters of the terminal's colour sequence.
    fn color(self) -> &'static str {
        match self {
            Level::Fatal | Level::Error => "31",
            Level::Warn => "0;93",
            Level::Notice => "32",
            Level::Debug => "36",
            Level::Trace => "33",
        }
    }
}

/// Which clock zone a stamp is shown in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zone {
    Local,
    Utc,
}

/// Renders lines for the stderr and file destinations.
pub struct LineFormat {
    pid: Option<u32>,
    pid_prefix: String,
    time: Option<Zone>,
    colors: bool,
    json: bool,
    stamps: Stamps,
}

impl LineFormat {
    /// A format with the given prefix parts; `utc` matters only with `time`.
    pub fn new(pid: Option<u32>, time: bool, utc: bool, colors: bool) -> Self {
        let zone = if utc { Zone::Utc } else { Zone::Local };
        LineFormat {
            pid,
            pid_prefix: pid.map(|pid| format!("[{pid}] ")).unwrap_or_default(),
            time: time.then_some(zone),
            colors,
            json: false,
            stamps: Stamps::new(TimeZone::system()),
        }
    }

    /// The same with lines that are JSON objects, if `json` is set.
    #[must_use]
    pub fn as_json(self, json: bool) -> Self {
        LineFormat { json, ..self }
    }

    fn json_line(&self, out: &mut Vec<u8>, level: Level, now: SystemTime, message: &[u8]) {
        let message = message.strip_suffix(b"\n").unwrap_or(message);
        let message = serde_json::Value::from(String::from_utf8_lossy(message));
        out.push(b'{');
        if let Some(zone) = self.time {
            let time = self.stamps.rfc3339(now, zone);
            out.extend_from_slice(format!("\"time\":\"{time}\",").as_bytes());
        }
        out.extend_from_slice(format!("\"level\":\"{}\",", level.name()).as_bytes());
        if let Some(pid) = self.pid {
            out.extend_from_slice(format!("\"pid\":{pid},").as_bytes());
        }
        out.extend_from_slice(format!("\"msg\":{message}}}\n").as_bytes());
    }

    /// Appends a whole line, newline included.
    pub fn line(&mut self, out: &mut Vec<u8>, level: Level, now: SystemTime, message: &[u8]) {
        if self.json {
            return self.json_line(out, level, now, message);
        }
        out.extend_from_slice(self.pid_prefix.as_bytes());
        if let Some(zone) = self.time {
            self.stamps.append(out, now, zone);
        }
        if self.colors {
            for part in ["[\x1b[", level.color(), "m", level.label(), "\x1b[0m] "] {
                out.extend_from_slice(part.as_bytes());
            }
        } else {
            append_label(out, level);
        }
        out.extend_from_slice(message);
        if message.last() != Some(&b'\n') {
            out.push(b'\n');
        }
    }

    /// Appends a line the file destination writes about itself.
    ///
    /// These have always been stamped in local time and ended by CRLF, and log shippers may
    /// rely on either.
    pub(super) fn own_line(
        &mut self,
        out: &mut Vec<u8>,
        level: Level,
        now: SystemTime,
        message: &str,
    ) {
        if self.json {
            return self.json_line(out, level, now, message.as_bytes());
        }
        out.extend_from_slice(self.pid_prefix.as_bytes());
        if self.time.is_some() {
            self.stamps.append(out, now, Zone::Local);
        }
        append_label(out, level);
        out.extend_from_slice(message.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// The suffix of a rotated file: local time, dots between all parts, nine digits at the end.
    pub(super) fn backup_suffix(&self, now: SystemTime) -> String {
        let at = self.stamps.civil(now, Zone::Local);
        format!(
            "{:04}.{:02}.{:02}.{:02}.{:02}.{:02}.{:09}",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.subsec_nanosecond()
        )
    }
}

fn append_label(out: &mut Vec<u8>, level: Level) {
    out.push(b'[');
    out.extend_from_slice(level.label().as_bytes());
    out.extend_from_slice(b"] ");
}

/// Converts instants to text, remembering the last second rendered.
struct Stamps {
    local: TimeZone,
    cached: Option<(u64, Zone)>,
    text: Vec<u8>,
}

impl Stamps {
    fn new(local: TimeZone) -> Self {
        Stamps { local, cached: None, text: Vec::with_capacity(20) }
    }

    fn append(&mut self, out: &mut Vec<u8>, now: SystemTime, zone: Zone) {
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let key = Some((since_epoch.as_secs(), zone));
        if self.cached != key {
            let at = self.civil(now, zone);
            self.text.clear();
            let rendered = write!(
                self.text,
                "{:04}/{:02}/{:02} {:02}:{:02}:{:02}.",
                at.year(),
                at.month(),
                at.day(),
                at.hour(),
                at.minute(),
                at.second()
            );
            debug_assert!(rendered.is_ok(), "a vector accepts every write");
            self.cached = key;
        }
        out.extend_from_slice(&self.text);
        let rendered = write!(out, "{:06} ", since_epoch.subsec_micros());
        debug_assert!(rendered.is_ok(), "a vector accepts every write");
    }

    /// The same as RFC 3339 has it, with microseconds.
    fn rfc3339(&self, now: SystemTime, zone: Zone) -> String {
        let at = jiff::Timestamp::try_from(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let zone = match zone {
            Zone::Local => self.local.clone(),
            Zone::Utc => TimeZone::UTC,
        };
        let utc = zone.to_offset(at).is_zero();
        let format = if utc { "%Y-%m-%dT%H:%M:%S.%6fZ" } else { "%Y-%m-%dT%H:%M:%S.%6f%:z" };
        at.to_zoned(zone).strftime(format).to_string()
    }

    /// Date and time of day; a clock outside the calendar's range shows the epoch.
    fn civil(&self, now: SystemTime, zone: Zone) -> jiff::civil::DateTime {
        let at = jiff::Timestamp::try_from(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        match zone {
            Zone::Local => self.local.to_datetime(at),
            Zone::Utc => TimeZone::UTC.to_datetime(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// 2024-02-29 23:59:58.000123456 UTC.
    fn leap_day() -> SystemTime {
        UNIX_EPOCH + Duration::new(1_709_251_198, 123_456)
    }

    fn render(format: &mut LineFormat, level: Level, now: SystemTime, message: &str) -> String {
        let mut out = Vec::new();
        format.line(&mut out, level, now, message.as_bytes());
        String::from_utf8(out).expect("lines are text here")
    }

    #[test]
    fn plain_labels_follow_the_table() {
        let mut format = LineFormat::new(None, false, false, false);
        let table = [
            (Level::Notice, "[INF] foo\n"),
            (Level::Warn, "[WRN] foo\n"),
            (Level::Error, "[ERR] foo\n"),
            (Level::Fatal, "[FTL] foo\n"),
            (Level::Debug, "[DBG] foo\n"),
            (Level::Trace, "[TRC] foo\n"),
        ];
        for (level, expected) in table {
            assert_eq!(render(&mut format, level, UNIX_EPOCH, "foo"), expected);
        }
    }

    #[test]
    fn colored_labels_follow_the_table() {
        let mut format = LineFormat::new(None, false, false, true);
        let table = [
            (Level::Notice, "[\x1b[32mINF\x1b[0m] foo\n"),
            (Level::Warn, "[\x1b[0;93mWRN\x1b[0m] foo\n"),
            (Level::Error, "[\x1b[31mERR\x1b[0m] foo\n"),
            (Level::Fatal, "[\x1b[31mFTL\x1b[0m] foo\n"),
            (Level::Debug, "[\x1b[36mDBG\x1b[0m] foo\n"),
            (Level::Trace, "[\x1b[33mTRC\x1b[0m] foo\n"),
        ];
        for (level, expected) in table {
            assert_eq!(render(&mut format, level, UNIX_EPOCH, "foo"), expected);
        }
    }

    #[test]
    fn json_lines_are_objects_with_the_same_parts() {
        let mut format = LineFormat::new(Some(42), true, true, true).as_json(true);
        let line = render(&mut format, Level::Error, leap_day(), "a \"b\"\\\u{1b}\n");
        assert_eq!(
            line,
            "{\"time\":\"2024-02-29T23:59:58.000123Z\",\"level\":\"error\",\"pid\":42,\
             \"msg\":\"a \\\"b\\\"\\\\\\u001b\"}\n"
        );
        let mut bare = LineFormat::new(None, false, false, false).as_json(true);
        assert_eq!(
            render(&mut bare, Level::Notice, leap_day(), "x"),
            "{\"level\":\"info\",\"msg\":\"x\"}\n"
        );
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a valid rule");
        let stamps = Stamps::new(zone);
        assert_eq!(stamps.rfc3339(leap_day(), Zone::Local), "2024-03-01T00:59:58.000123+01:00");
    }

    #[test]
    fn pid_and_utc_stamp_precede_the_label() {
        let mut format = LineFormat::new(Some(42), true, true, false);
        let line = render(&mut format, Level::Error, leap_day(), "foo");
        assert_eq!(line, "[42] 2024/02/29 23:59:58.000123 [ERR] foo\n");
        let later = leap_day() + Duration::from_micros(500);
        let line = render(&mut format, Level::Error, later, "foo");
        assert_eq!(line, "[42] 2024/02/29 23:59:58.000623 [ERR] foo\n");
        let next_day = leap_day() + Duration::from_secs(2);
        let line = render(&mut format, Level::Error, next_day, "foo");
        assert_eq!(line, "[42] 2024/03/01 00:00:00.000123 [ERR] foo\n");
    }

    #[test]
    fn local_stamp_uses_the_zone_and_its_daylight_saving() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a valid rule");
        let mut stamps = Stamps::new(zone);
        let mut out = Vec::new();
        stamps.append(&mut out, leap_day(), Zone::Local);
        assert_eq!(out, b"2024/03/01 00:59:58.000123 ");
        out.clear();
        // Half a year later the same zone is two hours ahead.
        stamps.append(&mut out, leap_day() + Duration::from_secs(180 * 86_400), Zone::Local);
        assert_eq!(out, b"2024/08/28 01:59:58.000123 ");
        out.clear();
        stamps.append(&mut out, leap_day(), Zone::Utc);
        assert_eq!(out, b"2024/02/29 23:59:58.000123 ");
    }

    #[test]
    fn a_message_that_ends_with_a_newline_gets_no_second_one() {
        let mut format = LineFormat::new(None, false, false, false);
        assert_eq!(render(&mut format, Level::Notice, UNIX_EPOCH, "foo\n"), "[INF] foo\n");
        assert_eq!(render(&mut format, Level::Notice, UNIX_EPOCH, ""), "[INF] \n");
    }

    #[test]
    fn a_clock_before_the_epoch_shows_a_stamp_all_the_same() {
        let mut format = LineFormat::new(None, true, true, false);
        let line = render(&mut format, Level::Notice, UNIX_EPOCH - Duration::from_secs(1), "x");
        assert_eq!(line, "1969/12/31 23:59:59.000000 [INF] x\n");
    }

    #[test]
    fn backup_suffix_has_nine_digits_of_nanoseconds() {
        let mut format = LineFormat::new(None, true, false, false);
        format.stamps = Stamps::new(TimeZone::UTC);
        assert_eq!(format.backup_suffix(leap_day()), "2024.02.29.23.59.58.000123456");
    }
}
