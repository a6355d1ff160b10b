//! From options to a running server, and from signals to its end (spec 02 §8 and §9).

use crate::config::cli::Exit;
use crate::config::options::account::AccountOptions;
use crate::config::options::auth::ConnectionType;
use crate::config::options::ocsp::OcspMode;
use crate::config::options::{LogFormat, Options};
use crate::config::secret::Secret;
use crate::config::validate::validate;
use crate::jwt::{VerifiedClaims, decode_operator};
use crate::logging::{AfterFatal, LogOptions, Logger};
use crate::process::signals::{ServerSignal, SignalThread};
use crate::process::{banner, limits, pid_file};
use crate::reload;
use crate::server::{Launch, Server};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;

/// What the options ask for that this build does not have: it must not start as if it had.
pub fn missing_feature(o: &Options) -> Option<&'static str> {
    let leafnode = o.leafnode.port.is_set() || !o.leafnode.remotes.is_empty();
    let staples = o.ocsp.as_ref().is_some_and(|ocsp| ocsp.mode != OcspMode::Never);
    let table = [
        (staples, "ocsp"),
        (verifies_ocsp(o), "ocsp_peer"),
        (o.accounts.iter().any(measures_latency), "service latency"),
        (o.cluster.port.is_set() || !o.routes.is_empty(), "cluster"),
        (o.gateway.port.is_set() || !o.gateway.name.is_empty(), "gateway"),
        (leafnode, "leafnodes"),
        (o.websocket.port.is_set(), "websocket"),
        (o.mqtt.port.is_set(), "mqtt"),
    ];
    table.into_iter().find(|(asked, _)| *asked).map(|(_, name)| name)
}

/// Whether an account wants its services' latency measured.
fn measures_latency(account: &AccountOptions) -> bool {
    account.service_exports.iter().any(|export| export.latency.is_some())
}

/// Whether a password stands in the configuration as it is.
fn has_plaintext_password(o: &Options) -> bool {
    let plain = |password: &Secret| !banner::is_bcrypt(password.expose());
    let maps_certificates = o.tls.as_ref().is_some_and(|tls| tls.verify_and_map);
    (!o.password.is_empty() && plain(&o.password))
        || o.users.iter().any(|user| {
            // Such a user is known by its certificate.
            let by_certificate = user.password.is_empty()
                && maps_certificates
                && user.allowed_connection_types.allows(ConnectionType::Standard);
            !by_certificate && plain(&user.password)
        })
}

/// Whether the status of clients' certificates is to be asked for.
fn verifies_ocsp(o: &Options) -> bool {
    o.tls.as_ref().and_then(|tls| tls.ocsp_peer.as_ref()).is_some_and(|peer| peer.verify)
}

/// The part of the options that the log is configured from.
pub fn log_options(o: &Options) -> LogOptions {
    let some = |s: &str| (!s.is_empty()).then(|| s.to_owned());
    LogOptions {
        no_log: false,
        log_file: some(&o.log_file).map(Into::into),
        remote_syslog: some(&o.remote_syslog),
        syslog: o.syslog,
        logtime: o.logtime,
        logtime_utc: o.logtime_utc,
        json: o.log_format == LogFormat::Json,
        debug: o.debug,
        trace: o.trace,
        trace_verbose: o.trace_verbose,
        log_size_limit: o.log_size_limit,
        log_max_num: o.log_max_files,
    }
}

/// What the signal thread works on; signals that come before the server exists wait for it.
#[derive(Default)]
struct Target {
    server: Option<Arc<Server>>,
    early: Vec<ServerSignal>,
}

fn obey(server: &Arc<Server>, log: &Logger, signal: ServerSignal) {
    log.noticef(format_args!("Trapped \"{}\" signal", signal.name()));
    match signal {
        ServerSignal::Interrupt => server.shutdown(),
        ServerSignal::Terminate if server.is_lame_duck() => {}
        ServerSignal::Terminate => server.shutdown(),
        ServerSignal::User1 => {
            if let Err(e) = log.reopen() {
                log.errorf(format_args!("{e}"));
            }
        }
        ServerSignal::User2 => {
            let server = server.clone();
            // Later signals must be heard while the clients are being closed.
            let thread = std::thread::Builder::new().name("lame-duck".to_owned());
            if let Err(e) = thread.spawn(move || server.lame_duck_shutdown()) {
                log.errorf(format_args!("Lame duck mode could not be entered: {e}"));
            }
        }
        ServerSignal::Hangup => {
            if let Err(e) = reload::reload(server) {
                log.errorf(format_args!("Failed to reload server configuration: {e}"));
            }
        }
    }
}

/// Runs a server until it is told to stop. `options` are those of flags and file, their baseline
/// not set yet; `launch` says how the process was started.
///
/// # Errors
/// How the process ends when the server cannot start.
pub fn run(mut options: Options, launch: Launch) -> Result<(), Exit> {
    options.set_baseline();
    validate(&mut options, &VerifiedClaims).map_err(|e| Exit::failure(&e))?;
    if let Some(feature) = missing_feature(&options) {
        return Err(Exit::failure(&format!(
            "configured but not supported by this build: {feature}"
        )));
    }
    let log = Arc::new(Logger::new());
    let target = Arc::new(Mutex::new(Target::default()));
    let signals = {
        let (log, target) = (log.clone(), target.clone());
        SignalThread::spawn(move |signal| {
            let server = {
                let mut target = target.lock();
                match &target.server {
                    Some(server) => server.clone(),
                    None => return target.early.push(signal),
                }
            };
            obey(&server, &log, signal);
        })
    };
    let failed = |e: &dyn std::fmt::Display| Exit::failure(&e.to_string());
    // The thread lives as long as this value.
    let _signals = signals.map_err(|e| failed(&e))?;
    log.configure(&log_options(&options)).map_err(|e| failed(&e))?;
    let limit = limits::raise_open_files();
    let options = Arc::new(options);
    let server = Server::new(options.clone(), log.clone()).map_err(|e| failed(&e))?;
    server.set_launch(launch);
    if let Err(e) = server.start_profiling() {
        return Err(fatal(&log, &format!("error starting profiler: {e}")));
    }
    announce(&server, &options, &log);
    for error in server.authenticator().errors() {
        log.errorf(format_args!("{error}"));
    }
    if let Err(e) = limit {
        log.debugf(format_args!("The limit of open files could not be raised: {e}"));
    }
    if !options.pid_file.is_empty() {
        let path = Path::new(&options.pid_file);
        if let Err(e) = pid_file::write(path, std::process::id()) {
            return Err(fatal(&log, &format!("Could not write pidfile: {e}")));
        }
    }
    if let Err(e) = server.start() {
        return Err(fatal(&log, &e.to_string()));
    }
    server.write_ports_file();
    let early = {
        let mut target = target.lock();
        target.server = Some(server.clone());
        std::mem::take(&mut target.early)
    };
    for signal in early {
        obey(&server, &log, signal);
    }
    server.wait_for_shutdown();
    server.remove_ports_file();
    Ok(())
}

/// Logs why the start failed; the log has said it all.
fn fatal(log: &Logger, text: &str) -> Exit {
    // A start that failed ends the process, wherever the line went.
    let (AfterFatal::Exit | AfterFatal::Continue) = log.fatalf(format_args!("{text}"));
    Exit { code: 1, ..Exit::default() }
}

fn announce(server: &Server, options: &Options, log: &Logger) {
    let info = server.info();
    let flags: Vec<(String, bool)> =
        options.feature_flags.iter().map(|(name, on)| (name.clone(), *on)).collect();
    let mut lines = banner::head(&banner::HeadFacts {
        git: info.git_commit,
        build: info.go,
        cluster: None,
        name: &info.server_name,
        node: None,
        id: &info.server_id,
        feature_flags: &flags,
    });
    let file = (!options.config_file.is_empty())
        .then_some((options.config_file.as_str(), options.config_digest.as_str()));
    let claims: Vec<_> =
        options.operators.iter().filter_map(|op| decode_operator(&op.jwt).ok()).collect();
    let operators: Vec<banner::Operator<'_>> = claims
        .iter()
        .map(|claims| banner::Operator {
            system_account: &claims.base.audience,
            name: &claims.base.name,
            issued_at: claims.base.issued_at,
            expires_at: claims.base.expires,
        })
        .collect();
    lines.extend(banner::configuration(&banner::ConfigurationFacts {
        plaintext_passwords: has_plaintext_password(options),
        profile_port: server.profiling_address().map(|address| address.port()),
        block_profile_rate: options.prof_block_rate,
        configuration_file: file,
        operators: &operators,
        has_system_account: server.system_account().is_some(),
        max_payload: i64::from(options.max_payload),
        has_default_js_domain: false,
    }));
    for (level, line) in lines {
        log.at_level(level, format_args!("{line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::listen::Port;

    #[test]
    fn what_this_build_lacks_is_named() {
        let mut o = Options::default();
        o.set_baseline();
        assert_eq!(missing_feature(&o), None);
        o.cluster.port = Port::from(6222);
        assert_eq!(missing_feature(&o), Some("cluster"));
    }
}
