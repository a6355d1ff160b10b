//! The flags of the command line and what they set (spec 02 §7.1).

use crate::config::options::Options;
use crate::config::options::listen::Port;
use crate::config::secret::Secret;
use crate::config::text::quote;
use std::collections::BTreeSet;

/// Everything flags can set.
#[derive(Clone, Debug, Default)]
pub(super) struct Flags {
    pub options: Options,
    pub show_version: bool,
    pub show_help: bool,
    pub show_tls_help: bool,
    pub signal: String,
    pub config: String,
    pub debug_and_trace: bool,
    pub verbose_trace: bool,
    pub debug_and_verbose_trace: bool,
    pub tls: bool,
    pub tls_verify: bool,
    pub tls_cert: String,
    pub tls_key: String,
    pub tls_ca: String,
}

/// What a flag takes and does.
enum Setter {
    Text(fn(&mut Flags, String)),
    Number(fn(&mut Flags, i64)),
    Switch(fn(&mut Flags, bool)),
}

/// The effect of a flag. Several flags may share one.
fn setter(name: &str) -> Option<Setter> {
    use Setter::{Number, Switch, Text};
    Some(match name {
        "h" | "help" => Switch(|f, on| f.show_help = on),
        "v" | "version" => Switch(|f, on| f.show_version = on),
        "help_tls" => Switch(|f, on| f.show_tls_help = on),
        "p" | "port" => Number(|f, n| f.options.port = Port::new(n)),
        "n" | "name" | "server_name" => Text(|f, t| f.options.server_name = t),
        "a" | "addr" | "net" => Text(|f, t| f.options.host = t),
        "client_advertise" => Text(|f, t| f.options.client_advertise = t),
        "D" | "debug" => Switch(|f, on| f.options.debug = on),
        "V" | "trace" => Switch(|f, on| f.options.trace = on),
        "VV" => Switch(|f, on| f.verbose_trace = on),
        "DV" => Switch(|f, on| f.debug_and_trace = on),
        "DVV" => Switch(|f, on| f.debug_and_verbose_trace = on),
        "T" | "logtime" => Switch(|f, on| f.options.logtime = on),
        "logtime_utc" => Switch(|f, on| f.options.logtime_utc = on),
        "user" => Text(|f, t| f.options.username = t),
        "pass" => Text(|f, t| f.options.password = Secret::new(t)),
        "auth" => Text(|f, t| f.options.authorization = Secret::new(t)),
        "m" | "http_port" => Number(|f, n| f.options.http_port = Port::new(n)),
        "ms" | "https_port" => Number(|f, n| f.options.https_port = Port::new(n)),
        "c" | "config" => Text(|f, t| f.config = t),
        "t" => Switch(|f, on| f.options.check_config = on),
        "sl" | "signal" => Text(|f, t| f.signal = t),
        "P" | "pid" => Text(|f, t| f.options.pid_file = t),
        "ports_file_dir" => Text(|f, t| f.options.ports_file_dir = t),
        "l" | "log" => Text(|f, t| f.options.log_file = t),
        "log_size_limit" => Number(|f, n| f.options.log_size_limit = n),
        "s" | "syslog" => Switch(|f, on| f.options.syslog = on),
        "r" | "remote_syslog" => Text(|f, t| f.options.remote_syslog = t),
        "profile" => Number(|f, n| f.options.prof_port = Port::new(n)),
        "routes" => Text(|f, t| f.options.routes_text = t),
        "cluster" | "cluster_listen" => Text(|f, t| f.options.cluster.listen_text = t),
        "cluster_advertise" => Text(|f, t| f.options.cluster.advertise = t),
        "no_advertise" => Switch(|f, on| f.options.cluster.no_advertise = on),
        "connect_retries" => Number(|f, n| f.options.cluster.connect_retries = n),
        "cluster_name" => Text(|f, t| f.options.cluster.name = t),
        "tls" => Switch(|f, on| f.tls = on),
        "tlsverify" => Switch(|f, on| f.tls_verify = on),
        "tlscert" => Text(|f, t| f.tls_cert = t),
        "tlskey" => Text(|f, t| f.tls_key = t),
        "tlscacert" => Text(|f, t| f.tls_ca = t),
        "max_traced_msg_len" => Number(|f, n| f.options.max_traced_msg_len = n),
        "js" | "jetstream" => Switch(|f, on| f.options.jetstream.enabled = on),
        "sd" | "store_dir" => Text(|f, t| f.options.store_dir = t),
        _ => return None,
    })
}

enum Assignment {
    Text(fn(&mut Flags, String), String),
    Number(fn(&mut Flags, i64), i64),
    Switch(fn(&mut Flags, bool), bool),
}

/// A command line that was parsed.
pub(super) struct Parsed {
    assignments: Vec<Assignment>,
    /// The names of the flags that were given, in lexical order.
    pub names: BTreeSet<String>,
    /// What follows the flags.
    pub rest: Vec<String>,
}

impl Parsed {
    /// Parses the arguments after the program's name, up to the first that is no flag.
    ///
    /// # Errors
    /// The text of the error; the usage is printed after it.
    pub(super) fn parse(arguments: &[String]) -> Result<Parsed, String> {
        let mut parsed =
            Parsed { assignments: Vec::new(), names: BTreeSet::new(), rest: Vec::new() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let Some(flag) = argument.strip_prefix('-').filter(|flag| !flag.is_empty()) else {
                parsed.rest.push(argument.clone());
                break;
            };
            if flag == "-" {
                break;
            }
            let flag = flag.strip_prefix('-').unwrap_or(flag);
            if flag.is_empty() || flag.starts_with(['-', '=']) {
                return Err(format!("bad flag syntax: {argument}"));
            }
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            let Some(setter) = setter(name) else {
                return Err(format!("flag provided but not defined: -{name}"));
            };
            let mut with_value = || {
                let value = value.clone().or_else(|| arguments.next().cloned());
                value.ok_or_else(|| format!("flag needs an argument: -{name}"))
            };
            let assignment = match setter {
                Setter::Switch(set) => {
                    let on = parse_switch(value.as_deref().unwrap_or("true")).ok_or_else(|| {
                        let value = quote(value.as_deref().unwrap_or_default());
                        format!("invalid boolean value {value} for -{name}: parse error")
                    })?;
                    Assignment::Switch(set, on)
                }
                Setter::Number(set) => {
                    let value = with_value()?;
                    let number = parse_number(&value).map_err(|error| {
                        format!("invalid value {} for flag -{name}: {error}", quote(&value))
                    })?;
                    Assignment::Number(set, number)
                }
                Setter::Text(set) => Assignment::Text(set, with_value()?),
            };
            parsed.assignments.push(assignment);
            parsed.names.insert(name.to_owned());
        }
        parsed.rest.extend(arguments.cloned());
        Ok(parsed)
    }

    /// Sets everything that was given, leaving the rest as it is.
    pub(super) fn apply(&self, flags: &mut Flags) {
        for assignment in &self.assignments {
            match assignment {
                Assignment::Text(set, text) => set(flags, text.clone()),
                Assignment::Number(set, number) => set(flags, *number),
                Assignment::Switch(set, on) => set(flags, *on),
            }
        }
    }
}

fn parse_switch(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A whole number, in another base if it has that base's prefix. Underscores may separate digits
/// then.
fn parse_number(text: &str) -> Result<i64, &'static str> {
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = if let Some(body) = lower.strip_prefix("0x") {
        (16, body)
    } else if let Some(body) = lower.strip_prefix("0b") {
        (2, body)
    } else if let Some(body) = lower.strip_prefix("0o") {
        (8, body)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, lower.get(1..).unwrap_or(""))
    } else {
        (10, lower.as_str())
    };
    let plain: String = body.chars().filter(|c| *c != '_').collect();
    let separated = body.len() != plain.len();
    let misplaced = separated
        && (radix == 10 || body.ends_with('_') || body.contains("__") || plain.is_empty());
    if misplaced || plain.is_empty() || !plain.chars().all(|c| c.is_digit(radix)) {
        return Err("parse error");
    }
    let magnitude = u64::from_str_radix(&plain, radix).map_err(|_| "value out of range")?;
    let number =
        if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() };
    number.ok_or("value out of range")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Parsed, String> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Parsed::parse(&arguments)
    }

    #[test]
    fn flags_take_their_values_in_every_form() {
        let parsed = parse("-p 1 --addr=h -D -js=false -m=0x10 -- rest").unwrap();
        let mut flags = Flags::default();
        flags.options.jetstream.enabled = true;
        parsed.apply(&mut flags);
        let options = flags.options;
        assert_eq!((options.port, options.http_port), (Port::new(1), Port::new(16)));
        assert_eq!(options.host, "h");
        assert!(options.debug && !options.jetstream.enabled);
        assert_eq!(parsed.rest, ["rest"]);
    }

    #[test]
    fn parsing_stops_at_the_first_argument() {
        let parsed = parse("-D help -V").unwrap();
        assert_eq!(parsed.rest, ["help", "-V"]);
        assert!(parsed.names.contains("D") && !parsed.names.contains("V"));
    }

    #[test]
    fn errors_name_the_flag() {
        for (line, error) in [
            ("-zz", "flag provided but not defined: -zz"),
            ("-p x", "invalid value \"x\" for flag -p: parse error"),
            ("-p", "flag needs an argument: -p"),
            ("-D=x", "invalid boolean value \"x\" for -D: parse error"),
            ("---x", "bad flag syntax: ---x"),
            ("-=x", "bad flag syntax: -=x"),
            (
                "-p 99999999999999999999",
                "invalid value \"99999999999999999999\" for flag -p: value out of range",
            ),
        ] {
            assert_eq!(parse(line).err().as_deref(), Some(error), "{line}");
        }
    }

    #[test]
    fn numbers_may_have_a_base_prefix() {
        for (text, number) in [
            ("10", Ok(10)),
            ("-1", Ok(-1)),
            ("+7", Ok(7)),
            ("0x1F", Ok(31)),
            ("0b11", Ok(3)),
            ("0o17", Ok(15)),
            ("017", Ok(15)),
            ("0x1_0", Ok(16)),
            ("1_0", Err("parse error")),
            ("09", Err("parse error")),
            ("", Err("parse error")),
            ("0x", Err("parse error")),
            ("-9223372036854775808", Ok(i64::MIN)),
            ("9223372036854775808", Err("value out of range")),
        ] {
            assert_eq!(parse_number(text), number, "{text}");
        }
    }
}
