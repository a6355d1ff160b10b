//! The command line of `nats-server` (spec 02 §7): from arguments to what the process does.
//!
//! [`evaluate`] reads flags and configuration file and returns an [`Action`]; it prints nothing
//! and ends nothing. Flags are applied twice, before and after the file, since they name the file
//! and also win over it.

mod flags;
mod help;
mod redact;

use super::claims::ClaimsDecoder;
use super::environment::Environment;
use super::options::Options;
use super::options::listen::Port;
use super::options::tls::{CipherSuite, Curve, TlsOptions};
use super::report::ConfigError;
use super::secret::Secret;
use super::text::quote;
use super::url::{Url, split_host_port};
use flags::{Flags, Parsed};

pub use help::{USAGE, VERSION, tls_help};
pub use redact::redact_arguments;

/// The name that begins messages.
const PROGRAM: &str = "nats-server";

/// What the process is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Print and end.
    Exit(Exit),
    /// Signal another server. Success ends without output, failure with
    /// [`Exit::failure`].
    Signal(SignalRequest),
    /// Start the server.
    Run(Box<Startup>),
}

/// Texts to print, and the status to end with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// For standard output.
    pub stdout: String,
    /// For standard error, printed first.
    pub stderr: String,
    /// The exit status.
    pub code: u8,
}

impl Exit {
    /// The way every error ends the process: `nats-server: <error>` and status 1.
    #[must_use]
    pub fn failure(error: &str) -> Exit {
        Exit { stderr: format!("{PROGRAM}: {error}\n"), code: 1, ..Exit::default() }
    }

    fn printing(stdout: impl Into<String>) -> Exit {
        Exit { stdout: stdout.into(), ..Exit::default() }
    }
}

/// `--signal command[=target]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalRequest {
    /// The command; not checked yet.
    pub command: String,
    /// A process id, a prefix with `*`, or the path of a file with a process id.
    pub target: Option<String>,
}

/// A server to be started.
#[derive(Clone, Debug, PartialEq)]
pub struct Startup {
    /// The options of flags and file, before the baseline is set.
    pub options: Options,
    /// Warnings of the file, to be printed as they are on standard error.
    pub warnings: String,
}

/// Evaluates the arguments after the program's name.
#[must_use]
pub fn evaluate(
    arguments: &[String],
    environment: &dyn Environment,
    claims: &dyn ClaimsDecoder,
) -> Action {
    match try_evaluate(arguments, environment, claims) {
        Ok(action) => action,
        Err(error) => Action::Exit(Exit::failure(&error)),
    }
}

/// Evaluates the arguments of a running server again, for the file may have changed. Warnings are
/// dropped.
///
/// # Errors
/// What is wrong with the file.
pub fn load_again(
    arguments: &[String],
    environment: &dyn Environment,
    claims: &dyn ClaimsDecoder,
) -> Result<Options, String> {
    match try_evaluate(arguments, environment, claims)? {
        Action::Run(startup) => Ok(startup.options),
        // The same arguments have started the server.
        Action::Exit(_) | Action::Signal(_) => Err("no server is to be started".to_owned()),
    }
}

fn try_evaluate(
    arguments: &[String],
    environment: &dyn Environment,
    claims: &dyn ClaimsDecoder,
) -> Result<Action, String> {
    let parsed = match Parsed::parse(arguments) {
        Ok(parsed) => parsed,
        // Not knowing a flag is answered with help, which is no failure.
        Err(error) => {
            let stderr = format!("{error}\n");
            return Ok(Action::Exit(Exit { stderr, ..Exit::printing(USAGE) }));
        }
    };
    let mut flags = Flags::default();
    flags.options.logtime = true;
    parsed.apply(&mut flags);
    if let Some(exit) = information(&flags, &parsed.rest)? {
        return Ok(Action::Exit(exit));
    }
    if !flags.signal.is_empty() {
        return signal(&flags.signal).map(Action::Signal);
    }
    let mut warnings = String::new();
    let check = flags.options.check_config;
    if !flags.config.is_empty() {
        let path = flags.config.clone();
        match flags.options.load_file(environment, claims, &path) {
            Ok(report) if !report.is_empty() => {
                if check {
                    return Err(report.to_string());
                }
                warnings = report.to_string();
            }
            Ok(_) if check => {
                let digest = &flags.options.config_digest;
                let stderr = format!("{PROGRAM}: configuration file {path} is valid ({digest})\n");
                return Ok(Action::Exit(Exit { stderr, ..Exit::default() }));
            }
            Ok(_) => {}
            Err(ConfigError::Language(error)) => return Err(error.to_string()),
            Err(ConfigError::Content(report)) => return Err(report.to_string()),
        }
        parsed.apply(&mut flags);
    } else if check {
        let text = "must specify [-c, --config] option to check configuration file syntax";
        return Err(text.to_owned());
    }
    apply_groups(&mut flags, &parsed, environment)?;
    let options = flags.options;
    if !options.routes_text.is_empty()
        && options.cluster.listen_text.is_empty()
        && options.cluster.host.is_empty()
        && !options.cluster.port.is_set()
    {
        let text = "solicited routes require cluster capabilities, e.g. --cluster";
        return Err(text.to_owned());
    }
    Ok(Action::Run(Box::new(Startup { options, warnings })))
}

/// Requests for nothing but a text.
fn information(flags: &Flags, rest: &[String]) -> Result<Option<Exit>, String> {
    if flags.show_version {
        return Ok(Some(Exit::printing(VERSION)));
    }
    if flags.show_help {
        return Ok(Some(Exit::printing(USAGE)));
    }
    if flags.show_tls_help {
        return Ok(Some(Exit::printing(tls_help())));
    }
    let Some(word) = rest.first() else { return Ok(None) };
    match word.to_lowercase().as_str() {
        "version" => Ok(Some(Exit::printing(VERSION))),
        "help" => Ok(Some(Exit::printing(USAGE))),
        _ => Err(format!("unrecognized command: {}", quote(word))),
    }
}

fn signal(text: &str) -> Result<SignalRequest, String> {
    let parts: Vec<&str> = text.split('=').collect();
    match parts.as_slice() {
        [command] => Ok(SignalRequest { command: (*command).to_owned(), target: None }),
        [command, target] => {
            Ok(SignalRequest { command: (*command).to_owned(), target: Some((*target).to_owned()) })
        }
        [_, _, rest @ ..] => Err(format!("invalid signal parameters: [{}]", rest.join(" "))),
        [] => Err("invalid signal parameters: []".to_owned()),
    }
}

/// Flags that stand for several options, in lexical order.
fn apply_groups(
    flags: &mut Flags,
    parsed: &Parsed,
    environment: &dyn Environment,
) -> Result<(), String> {
    let mut override_tls = false;
    let mut tls_disabled = false;
    for name in &parsed.names {
        let options = &mut flags.options;
        match name.as_str() {
            "VV" => {
                options.trace = flags.verbose_trace;
                options.trace_verbose = flags.verbose_trace;
            }
            "DVV" => {
                options.debug = flags.debug_and_verbose_trace;
                options.trace = flags.debug_and_verbose_trace;
                options.trace_verbose = flags.debug_and_verbose_trace;
            }
            "DV" => {
                options.debug = flags.debug_and_trace;
                options.trace = flags.debug_and_trace;
            }
            "cluster" | "cluster_listen" => override_cluster(options)?,
            "routes" => options.routes = routes(&options.routes_text),
            "tls" if !flags.tls => {
                options.tls = None;
                tls_disabled = true;
                override_tls = false;
            }
            name if name.starts_with("tls") => override_tls |= !tls_disabled,
            _ => {}
        }
    }
    if override_tls {
        flags.options.tls = Some(tls_of_flags(flags, environment)?);
    }
    Ok(())
}

/// The URLs of a comma-separated list; what is no URL is left out.
#[must_use]
pub fn routes(list: &str) -> Vec<Url> {
    if list.is_empty() {
        return Vec::new();
    }
    list.split(',').filter_map(|text| Url::parse(text.trim()).ok()).collect()
}

/// TLS for clients from flags alone. What the file says about mapping users, pinned certificates
/// and the handshake stays in force.
fn tls_of_flags(flags: &Flags, environment: &dyn Environment) -> Result<TlsOptions, String> {
    if flags.tls_cert.is_empty() {
        return Err("TLS Server certificate must be present and valid".to_owned());
    }
    if flags.tls_key.is_empty() {
        return Err("TLS Server private key must be present and valid".to_owned());
    }
    let configured = flags.options.tls.clone().unwrap_or_default();
    let mut tls = TlsOptions {
        cert_file: flags.tls_cert.clone(),
        key_file: flags.tls_key.clone(),
        ca_file: flags.tls_ca.clone(),
        verify: flags.tls_verify,
        cipher_suites: CipherSuite::defaults(),
        curve_preferences: Curve::ALL.to_vec(),
        verify_and_map: configured.verify_and_map,
        pinned_certs: configured.pinned_certs,
        connection_rate_limit: configured.connection_rate_limit,
        handshake_first: configured.handshake_first,
        handshake_first_fallback: configured.handshake_first_fallback,
        timeout: configured.timeout,
        ..TlsOptions::default()
    };
    super::options::tls::files::read(environment, &mut tls)?;
    Ok(tls)
}

/// Takes host, port and credentials of the cluster from `-cluster`; an empty one turns clustering
/// off. Also used when the file is reloaded.
///
/// # Errors
/// The text of the failure.
pub fn override_cluster(options: &mut Options) -> Result<(), String> {
    let cluster = &mut options.cluster;
    if cluster.listen_text.is_empty() {
        cluster.port = Port::UNSET;
        return Ok(());
    }
    // A random port is no port a URL can have.
    let random = match cluster.listen_text.strip_suffix(":-1") {
        Some(host) => {
            cluster.listen_text = format!("{host}:0");
            true
        }
        None => false,
    };
    let url = Url::parse(&cluster.listen_text)?;
    let (host, port) = split_host_port(&url.host)?;
    host.clone_into(&mut cluster.host);
    cluster.port = if random {
        Port::RANDOM
    } else if port.is_empty() {
        return Err("unexpected EOF".to_owned());
    } else {
        // The URL parser let nothing but digits through.
        Port::new(port.parse().map_err(|_| {
            let port = quote(port);
            format!("strconv.ParseInt: parsing {port}: value out of range")
        })?)
    };
    match url.user {
        Some(user) => {
            let Some(password) = user.password else {
                return Err("expected cluster password to be set".to_owned());
            };
            cluster.username = user.name;
            cluster.password = password;
        }
        // Credentials of the file belong to the address of the file.
        None => {
            cluster.username.clear();
            cluster.password = Secret::default();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::claims::UnverifiedClaims;
    use crate::config::environment::ProcessEnvironment;
    use std::fs;

    fn run(line: &[&str]) -> Action {
        let arguments: Vec<String> = line.iter().map(|&a| a.to_owned()).collect();
        evaluate(&arguments, &ProcessEnvironment, &UnverifiedClaims)
    }

    fn options(line: &[&str]) -> Options {
        match run(line) {
            Action::Run(startup) => startup.options,
            other => panic!("{other:?}"),
        }
    }

    fn failure(line: &[&str]) -> String {
        match run(line) {
            Action::Exit(Exit { stdout, stderr, code: 1 }) if stdout.is_empty() => {
                stderr.strip_prefix("nats-server: ").unwrap_or(&stderr).trim_end().to_owned()
            }
            other => panic!("{other:?}"),
        }
    }

    fn file(directory: &tempfile::TempDir, name: &str, text: &str) -> String {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn version_help_and_errors_exit_with_success_or_usage() {
        let version = Action::Exit(Exit::printing("nats-server: v2.14.5\n"));
        for line in [["-v"], ["--version"], ["version"], ["VERSION"]] {
            assert_eq!(run(&line), version);
        }
        assert_eq!(run(&["-v", "-h"]), version);
        for line in [["-h"], ["--help"], ["help"]] {
            assert_eq!(run(&line), Action::Exit(Exit::printing(USAGE)));
        }
        let Action::Exit(exit) = run(&["-unknown"]) else { panic!() };
        assert_eq!(exit.stderr, "flag provided but not defined: -unknown\n");
        assert_eq!((exit.stdout.as_str(), exit.code), (USAGE, 0));
        assert!(tls_help().contains("    TLS_AES_128_GCM_SHA256\n"));
        assert_eq!(failure(&["foo"]), "unrecognized command: \"foo\"");
    }

    #[test]
    fn signal_is_split_into_command_and_target() {
        let signal = |command: &str, target: Option<&str>| {
            let (command, target) = (command.to_owned(), target.map(str::to_owned));
            Action::Signal(SignalRequest { command, target })
        };
        assert_eq!(run(&["--signal", "reload"]), signal("reload", None));
        assert_eq!(run(&["-sl=stop=12*"]), signal("stop", Some("12*")));
        assert_eq!(failure(&["-sl", "a=b=c=d"]), "invalid signal parameters: [c d]");
    }

    #[test]
    fn flags_win_over_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory, "a.conf", "port: 1\ndebug: true\nhost: h\ntrace: true\n");
        let options = options(&["-c", &path, "-p", "2", "-D=false"]);
        assert_eq!((options.port, options.host.as_str()), (Port::new(2), "h"));
        assert!(!options.debug && options.trace);
        assert!(options.logtime, "timestamps are on unless turned off");
        let path = file(
            &directory,
            "b.conf",
            "port: 1\nhttp: 1\nprof_port: 1\nmax_payload: 5\ncluster { port: 1, name: c }\n",
        );
        let options = self::options(&[
            "-c",
            &path,
            "-p",
            "2222",
            "-m",
            "8222",
            "-profile",
            "6789",
            "-no_advertise",
            "-connect_retries",
            "2",
            "-js",
            "-sd",
            "/store/dir",
        ]);
        let ports = (options.port, options.http_port, options.prof_port);
        assert_eq!(ports, (Port::new(2222), Port::new(8222), Port::new(6789)));
        assert!(options.cluster.no_advertise && options.jetstream.enabled);
        assert_eq!(
            (options.cluster.connect_retries, options.store_dir.as_str()),
            (2, "/store/dir")
        );
        assert_eq!((options.max_payload, options.cluster.name.as_str()), (5, "c"));
    }

    #[test]
    fn switches_are_as_the_flags_say_however_often_the_file_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let cluster = |no_advertise: &str| {
            format!("cluster {{ name: c, port: -1, no_advertise: {no_advertise} }}")
        };
        let (advertises, silent) = (cluster("false"), cluster("true"));
        type Is = fn(&Options) -> bool;
        let rows: [(&[&str], &str, &str, &str, Is); 7] = [
            (&["-T", "-logtime"], "logtime: false", "logtime: true", "true", |o| o.logtime),
            (&["-D", "-debug"], "debug: false", "debug: true", "false", |o| o.debug),
            (&["-V", "-trace"], "trace: false", "trace: true", "false", |o| o.trace),
            (&["-s", "-syslog"], "syslog: false", "syslog: true", "false", |o| o.syslog),
            (&["-no_advertise"], &advertises, &silent, "false", |o| o.cluster.no_advertise),
            (&["-js"], "jetstream: false", "jetstream: true", "false", |o| o.jetstream.enabled),
            (&["-DV"], "debug: false, trace: false", "debug: true, trace: true", "false", |o| {
                o.debug && o.trace
            }),
        ];
        for (flags, off, on, default, is) in rows {
            let neither =
                if flags[0] == "-no_advertise" { "cluster { name: c, port: -1 }" } else { "" };
            let mut cases =
                vec![(neither, None, default == "true"), (off, None, false), (on, None, true)];
            for flag in flags {
                cases.push((neither, Some((*flag).to_owned()), true));
                cases.push((off, Some((*flag).to_owned()), true));
                cases.push((on, Some(format!("{flag}=false")), false));
            }
            for (text, flag, expected) in cases {
                let text = format!("listen: \"127.0.0.1:-1\"\n{text}\n");
                let path = file(&directory, "switch.conf", &text);
                let mut arguments = vec!["-c".to_owned(), path];
                arguments.extend(flag);
                let line: Vec<&str> = arguments.iter().map(String::as_str).collect();
                assert_eq!(is(&options(&line)), expected, "{arguments:?} {text}");
                file(&directory, "switch.conf", &format!("{text}max_connections: 1000\n"));
                let again = load_again(&arguments, &ProcessEnvironment, &UnverifiedClaims).unwrap();
                assert_eq!(is(&again), expected, "{arguments:?} {text}");
                assert_eq!(again.max_connections, 1000);
            }
        }
    }

    #[test]
    fn store_directory_of_flag_and_file_conflict() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory, "a.conf", "store_dir: /a\n");
        assert_eq!(
            failure(&["-sd", "/b", "-c", &path]),
            format!("{path}:1:0: Duplicate 'store_dir' configuration")
        );
    }

    #[test]
    fn check_reports_validity_with_the_digest() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory, "a.conf", "port: 4222\n");
        let Action::Exit(exit) = run(&["-t", "-c", &path]) else { panic!() };
        let prefix = format!("nats-server: configuration file {path} is valid (sha256:");
        assert!(exit.stderr.starts_with(&prefix) && exit.stderr.ends_with(")\n"));
        assert_eq!((exit.stdout.as_str(), exit.code), ("", 0));
        assert_eq!(
            failure(&["-t"]),
            "must specify [-c, --config] option to check configuration file syntax"
        );
        let missing = format!("{path}.missing");
        assert_eq!(
            failure(&["-t", "-c", &missing]),
            format!("open {missing}: no such file or directory")
        );
    }

    #[test]
    fn warnings_are_fatal_only_when_checking() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory, "a.conf", "");
        let warning = format!("{path}: config has no values or is empty");
        assert_eq!(failure(&["-t", "-c", &path]), warning);
        let Action::Run(startup) = run(&["-c", &path]) else { panic!() };
        assert_eq!(startup.warnings, format!("{warning}\n"));
    }

    #[test]
    fn grouped_trace_flags_set_all_their_options() {
        let o = options(&["-DV"]);
        assert!(o.debug && o.trace && !o.trace_verbose);
        let o = options(&["-VV"]);
        assert!(!o.debug && o.trace && o.trace_verbose);
        let o = options(&["-DVV"]);
        assert!(o.debug && o.trace && o.trace_verbose);
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory, "a.conf", "debug: true, trace: true\n");
        let o = options(&["-c", &path, "-DV=false"]);
        assert!(!o.debug && !o.trace);
    }

    #[test]
    fn cluster_flag_replaces_address_and_credentials() {
        let directory = tempfile::tempdir().unwrap();
        let text = "cluster { name: c, listen: 'h:1', authorization { user: u, password: p }\n\
                    routes: ['nats://h:9'] }\n";
        let path = file(&directory, "a.conf", text);
        let o = options(&["-c", &path, "-cluster", "nats://127.0.0.1:-1"]);
        assert_eq!((o.cluster.host.as_str(), o.cluster.port), ("127.0.0.1", Port::RANDOM));
        assert_eq!((o.cluster.username.as_str(), o.cluster.password.is_empty()), ("", true));
        assert_eq!((o.cluster.name.as_str(), o.routes.len()), ("c", 1));
        let o = options(&["-cluster", "nats://a:b@h:5"]);
        assert_eq!((o.cluster.username.as_str(), o.cluster.port), ("a", Port::new(5)));
        let o = options(&["-c", &path, "-cluster", ""]);
        assert!(!o.cluster.port.is_set());
        for (url, error) in [
            ("nats://a@h:5", "expected cluster password to be set"),
            (":", "parse \":\": missing protocol scheme"),
            ("nats://a:127.0.0.1:5", "address a:127.0.0.1:5: too many colons in address"),
            ("nats://h", "address h: missing port in address"),
            ("nats://h:x", "parse \"nats://h:x\": invalid port \":x\" after host"),
            ("nats://h:", "unexpected EOF"),
        ] {
            assert_eq!(failure(&["-cluster", url]), error);
        }
    }

    #[test]
    fn routes_flag_needs_a_cluster() {
        assert_eq!(
            failure(&["-routes", "nats://h:1"]),
            "solicited routes require cluster capabilities, e.g. --cluster"
        );
        let o = options(&["-routes", "nats://h:1, nats://h:2", "-cluster", "nats://h:3"]);
        let routes: Vec<String> = o.routes.iter().map(Url::to_string).collect();
        assert_eq!(routes, ["nats://h:1", "nats://h:2"]);
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory, "a.conf", "cluster { port: 1, routes: ['nats://h:9'] }\n");
        assert!(options(&["-c", &path, "-routes", ""]).routes.is_empty());
        for (list, routes) in [
            ("nats://u:p@h:5", &["nats://u:p@h:5"][..]),
            ("nats://u:p@h:5, nats://u:p@h:6", &["nats://u:p@h:5", "nats://u:p@h:6"]),
        ] {
            let o = options(&["-c", &path, "-routes", list]);
            assert_eq!(o.routes.iter().map(Url::to_string).collect::<Vec<_>>(), routes);
            assert_eq!((o.routes_text.as_str(), o.cluster.port), (list, Port::new(1)));
        }
    }

    #[test]
    fn tls_flags_replace_the_file_or_turn_tls_off() {
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let cert = file(&directory, "cert.pem", &made.cert.pem());
        let key = file(&directory, "key.pem", &made.signing_key.serialize_pem());
        let path = file(&directory, "a.conf", "tls { timeout: 3 }\n");
        assert!(options(&["-c", &path]).tls.is_some());
        assert!(options(&["-c", &path, "-tls=false", "-tlsverify"]).tls.is_none());
        assert_eq!(failure(&["-tls"]), "TLS Server certificate must be present and valid");
        assert_eq!(
            failure(&["-tlsverify", "-tlscert", &cert]),
            "TLS Server private key must be present and valid"
        );
        assert_eq!(
            failure(&["-tls", "-tlscert", &cert, "-tlskey", "notfound.pem"]),
            "error parsing X509 certificate/key pair: open notfound.pem: no such file or directory"
        );
        let tls = options(&["--tlsverify", "--tlscert", &cert, "--tlskey", &key]).tls.unwrap();
        assert!(tls.verify && tls.certificates.len() == 1);
    }
}
