//! Reloading the configuration of a running server (spec 02 §11).
//!
//! * [`compare`]: which options changed, and whether they can;
//! * [`change`]: one of them, and what the log says of it;
//! * this file: the sequence. Everything that can fail is made before anything is changed, so that
//!   a file that cannot be used changes nothing.
//!
//! What a reload means for one connection stands in `client::reload`.
//!
//! Where this differs from the reference:
//! * The file is laid under the whole command line again, as at the start. The reference forgets
//!   most flags here: one that was started with `-n` or `-tls` refuses every reload.
//! * A log file that cannot be opened is an error of the reload; the reference exits.

pub mod change;
pub mod compare;

use crate::auth::Authenticator;
use crate::config::cli;
use crate::config::environment::ProcessEnvironment;
use crate::config::options::Options;
use crate::config::options::tls::TlsOptions;
use crate::config::validate::validate;
use crate::jwt::VerifiedClaims;
use crate::process::pid_file;
use crate::server::{Reloaded, Replacement, Server};
use crate::startup::{log_options, missing_feature};
use crate::tls::ServerTls;
use change::Change;
use compare::{Running, compare};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// Reads the configuration file again and puts it in force. Returns when all connections have been
/// looked at. Only one reload is made at a time.
///
/// # Errors
/// The text for the operator; nothing has changed then.
pub fn reload(server: &Arc<Server>) -> Result<(), String> {
    let _one_at_a_time = server.begin_reload();
    let old = server.options();
    let new = load(server)?;
    let running = Running {
        port: server.address().map_or(0, |a| a.port()),
        jetstream: old.jetstream.enabled,
    };
    let changes = compare(&old, &new, running)?;
    if let Some(feature) = missing_feature(&new) {
        return Err(format!("configured but not supported by this build: {feature}"));
    }
    let log = if changes.iter().any(Change::concerns_log) {
        Some(server.log.open(&log_options(&new)).map_err(|e| e.to_string())?)
    } else {
        None
    };
    let tls = made_tls(server, &old, &new, &changes)?;
    server.configure_accounts(&new)?;
    let new = Arc::new(new);
    let authenticator = {
        let account = |name: Option<&str>| server.account_or_global(name);
        Authenticator::new(&new, account, server.internal_user())
    };
    // From here on nothing fails.
    server.replace(Replacement {
        options: new.clone(),
        tls,
        authenticator: Arc::new(authenticator),
    });
    for change in &changes {
        apply(server, change, &old, &new);
    }
    if let Some(log) = log {
        server.log.install_opened(log);
    }
    for error in server.authenticator().errors() {
        server.log.errorf(format_args!("{error}"));
    }
    let untrusted = changes.iter().find_map(|change| match change {
        Change::Proxies { removed, .. } => Some(removed.clone()),
        _ => None,
    });
    let untrusted_proxies = untrusted.unwrap_or_default();
    server.reload_connections(Reloaded { untrusted_proxies });
    server.reload_claims(&new.resolver_preload);
    if changes.iter().any(|c| matches!(c, Change::Tags | Change::Metadata))
        && let Some(system) = server.system()
    {
        system.send_stats();
    }
    server.set_configured(SystemTime::now());
    let digest = if new.config_digest.is_empty() {
        String::new()
    } else {
        format!("({})", new.config_digest)
    };
    server.log.noticef(format_args!("Reloaded server configuration {digest}"));
    Ok(())
}

/// The options that the server would start with now.
fn load(server: &Server) -> Result<Options, String> {
    let without_file = "can only reload config when a file is provided using -c or --config";
    if server.options().config_file.is_empty() {
        return Err(without_file.to_owned());
    }
    let launch = server.launch().ok_or(without_file)?;
    let mut options = cli::load_again(&launch.arguments, &ProcessEnvironment, &VerifiedClaims)?;
    options.set_baseline();
    validate(&mut options, &VerifiedClaims)?;
    Ok(options)
}

/// TLS as it is to be from now on. What did not change stays, so that sessions can be resumed.
fn made_tls(
    server: &Server,
    old: &Options,
    new: &Options,
    changes: &[Change],
) -> Result<Option<Arc<ServerTls>>, String> {
    let changed = |c: &Change| {
        matches!(
            c,
            Change::Tls
                | Change::TlsPinnedCerts
                | Change::TlsHandshakeFirst
                | Change::TlsHandshakeFirstFallback
        )
    };
    if old.tls.is_some() == new.tls.is_some() && !changes.iter().any(changed) {
        return Ok(server.tls());
    }
    let make = |tls: &TlsOptions| ServerTls::new(tls).map(Arc::new);
    let made = new.tls.as_ref().map(make).transpose()?;
    for warning in made.iter().flat_map(|tls| &tls.warnings) {
        server.log.warnf(format_args!("{warning}"));
    }
    Ok(made)
}

/// What a change asks for besides the new options being there, and its lines in the log.
fn apply(server: &Arc<Server>, change: &Change, old: &Options, new: &Options) {
    match change {
        Change::MaxConnections => {
            let closed = server.close_over_limit(new.max_connections);
            if closed > 0 {
                server.log.noticef(format_args!(
                    "Closed {closed} connections to fall within max_connections"
                ));
            }
        }
        Change::PidFile if !new.pid_file.is_empty() => {
            if let Err(e) = pid_file::write(Path::new(&new.pid_file), std::process::id()) {
                server.log.errorf(format_args!("Failed to write pidfile: {e}"));
            }
        }
        Change::PortsFileDir if old.ports_file_dir != new.ports_file_dir => {
            server.remove_ports_file();
            server.write_ports_file();
        }
        _ => {}
    }
    for line in change.lines(new) {
        server.log.noticef(format_args!("{line}"));
    }
}
