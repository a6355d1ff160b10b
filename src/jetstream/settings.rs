//! The settings of JetStream, from the options and the machine (spec 07a §A1.1, §A1.2).

use crate::config::options::Options;
use crate::config::options::jetstream::{JetStreamOptions, StoreCipher};
use crate::server::Server;
use jetstream::api::responses::AccountLimits;
use jetstream::consumers::AckFormat;
use jetstream::filestore::encryption::Cipher;
use jetstream::server::{AccountFacts, Commit, Keys, Settings, Tiers, usage};
use jetstream::stream::context::BatchLimits;
use std::fmt;
use std::path::{Path, PathBuf};

/// Memory that is assumed where the machine does not tell, and disk.
const FALLBACK_MEMORY: i64 = 256 << 20;
const FALLBACK_STORE: i64 = 1 << 40;

/// Why JetStream did not start.
#[derive(Debug)]
pub struct StartError(pub String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// The settings of this server. The store directory is made, and checked.
pub(super) fn of(server: &Server, options: &Options) -> Result<Settings, StartError> {
    let o = &options.jetstream;
    let store_dir = store_dir(server, options);
    prepare_store_dir(&store_dir)?;
    let info = server.info();
    let max_memory = if o.max_memory_set || o.max_memory > 0 {
        o.max_memory
    } else {
        system_memory().map_or(FALLBACK_MEMORY, three_quarters)
    };
    let max_store = if o.max_store_set || o.max_store > 0 {
        o.max_store
    } else {
        free_disk(&store_dir).map_or(FALLBACK_STORE, three_quarters)
    };
    let positive = |n: i64| u64::try_from(n).unwrap_or(0);
    let v2 = options.feature_flags.get("js_ack_fc_v2").copied().unwrap_or(false);
    Ok(Settings {
        store_dir,
        max_memory,
        max_store,
        domain: (!o.domain.is_empty()).then(|| o.domain.clone()),
        strict: !o.no_strict,
        // Whoever asks for an interval gets the reference's way of waiting for none.
        commit: if o.sync_set && !o.sync_always {
            Commit::Lazy(o.sync_interval)
        } else {
            Commit::Durable
        },
        keys: keys(o),
        server_name: info.server_name.clone(),
        server_id: info.server_id.clone(),
        cluster: info.cluster.clone(),
        max_payload: positive(i64::from(options.max_payload)),
        max_pending: server.settings().max_pending_bytes as u64,
        max_duplicate_window: i64::try_from(o.limits.duplicate_window.as_nanos())
            .unwrap_or(i64::MAX),
        max_ack_pending: o.limits.max_ack_pending,
        max_request_batch: o.limits.max_request_batch,
        batches: batches(o),
        ack_format: if v2 { AckFormat::V2 } else { AckFormat::V1 },
    })
}

fn batches(o: &JetStreamOptions) -> BatchLimits {
    let defaults = BatchLimits::default();
    let count = |n: i64, default: usize| match usize::try_from(n) {
        Ok(n) if n > 0 => n,
        _ => default,
    };
    let limits = &o.limits;
    BatchLimits {
        atomic_per_stream: count(limits.max_batch_inflight_per_stream, defaults.atomic_per_stream),
        atomic_total: count(limits.max_batch_inflight_total, defaults.atomic_total),
        fast_per_stream: count(limits.max_batch_inflight_per_stream, defaults.fast_per_stream),
        fast_total: count(limits.max_batch_inflight_total, defaults.fast_total),
        max_messages: u64::try_from(limits.max_batch_messages)
            .ok()
            .filter(|n| *n > 0)
            .unwrap_or(defaults.max_messages),
        timeout: if limits.max_batch_timeout.is_zero() {
            defaults.timeout
        } else {
            limits.max_batch_timeout
        },
    }
}

fn keys(o: &JetStreamOptions) -> Option<Keys> {
    let key = o.key.expose();
    (!key.is_empty()).then(|| Keys {
        current: key.to_owned(),
        previous: o.previous_key.expose().to_owned(),
        cipher: match o.cipher {
            StoreCipher::ChaCha => Cipher::ChaCha,
            StoreCipher::Aes => Cipher::Aes,
        },
    })
}

/// What the banner says of encryption.
pub(super) fn encryption_name(settings: &Settings) -> Option<&'static str> {
    settings.keys.as_ref().map(|keys| match keys.cipher {
        Cipher::ChaCha => "ChaCha20-Poly1305",
        Cipher::Aes => "AES-GCM",
    })
}

fn store_dir(server: &Server, options: &Options) -> PathBuf {
    const NAME: &str = "jetstream";
    if !options.store_dir.is_empty() {
        return Path::new(&options.store_dir).join(NAME);
    }
    server.log.warnf(format_args!(
        "Temporary storage directory used, data could be lost on system reboot"
    ));
    let o = &options.jetstream;
    let temporary = std::env::temp_dir();
    if o.max_memory_set && o.max_store_set {
        temporary.join(NAME)
    } else {
        temporary.join("nats").join(NAME)
    }
}

/// Makes the directory if it is not there, and proves that files can be made in it.
fn prepare_store_dir(dir: &Path) -> Result<(), StartError> {
    let text = |error: &std::io::Error| {
        let path = dir.display();
        format!("mkdir {path}: {}", crate::process::errno::error_text(error))
    };
    match std::fs::metadata(dir) {
        Ok(found) if !found.is_dir() => {
            return Err(StartError("storage directory is not a directory".to_owned()));
        }
        Ok(_) => {}
        Err(_) => std::fs::create_dir_all(dir).map_err(|error| {
            StartError(format!("could not create storage directory - {}", text(&error)))
        })?,
    }
    let probe = dir.join(format!("_test_{}", std::process::id()));
    let made = std::fs::File::create(&probe);
    made.map_err(|_| StartError("storage directory is not writable".to_owned()))?;
    // A probe that cannot be removed is found, and not minded, at the next start.
    let _ = std::fs::remove_file(&probe);
    Ok(())
}

fn three_quarters(bytes: i64) -> i64 {
    bytes / 4 * 3
}

/// Memory of the machine in bytes.
fn system_memory() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: i64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

/// Bytes that unprivileged users can still write where `dir` is.
fn free_disk(dir: &Path) -> Option<i64> {
    let found = nix::sys::statvfs::statvfs(dir).ok()?;
    let bytes = u128::from(found.blocks_available()) * u128::from(found.fragment_size());
    i64::try_from(bytes).ok()
}

/// The accounts that may use JetStream, and those that may not.
pub(super) fn accounts(server: &Server, options: &Options) -> Vec<AccountFacts> {
    let system = server.system_account_name();
    let configured: Vec<_> = options.accounts.iter().filter(|a| a.name != system).collect();
    let everybody = |limits| Tiers::from([(usage::UNTIERED.to_owned(), limits)]);
    let mut all: Vec<AccountFacts> = Vec::new();
    for account in server.accounts() {
        if account.name == system {
            continue;
        }
        let limits = if configured.is_empty() {
            Some(everybody(AccountLimits::UNLIMITED))
        } else {
            let found = configured.iter().find(|a| a.name == account.name);
            found.and_then(|a| a.jetstream.as_ref()).map(|l| {
                everybody(AccountLimits {
                    max_memory: l.max_memory,
                    max_storage: l.max_store,
                    max_streams: l.max_streams,
                    max_consumers: l.max_consumers,
                    max_ack_pending: l.max_ack_pending,
                    memory_max_stream_bytes: l.memory_max_stream_bytes,
                    storage_max_stream_bytes: l.store_max_stream_bytes,
                    max_bytes_required: l.max_bytes_required,
                })
            })
        };
        all.push(AccountFacts { name: account.name.clone(), limits });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}
