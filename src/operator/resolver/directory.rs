//! Account claims in a directory: one file `<account>.jwt` for each (spec 03 §22.3).
//!
//! What is in the directory is indexed when it is opened; after that this server is the only one
//! that writes there. A file is written beside its place and moved there, so that a crash leaves
//! the old or the new one.

use crate::config::options::operator::{DeleteMode, DirectoryResolver};
use crate::jwt::{Base, decode_generic};
use crate::nkey::{self, KeyType};
use parser::quote::quote;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Files and directories are the server's own business.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;
/// Expired claims are looked for at most this often, in seconds.
const LONGEST_CHECK: i64 = 60;
/// Nothing ever ends.
const NEVER: i64 = i64::MAX;

struct Entry {
    hash: [u8; 32],
    /// When it goes, in seconds since the epoch.
    until: i64,
    /// Counts up with every use.
    used: u64,
}

/// The directory.
pub struct Directory {
    path: PathBuf,
    limit: usize,
    /// A cache drops what was not used for longest when it is full, and what was not used for that
    /// many seconds, if any.
    evicts: bool,
    ttl: Option<i64>,
    delete: DeleteMode,
    /// Time between synchronisations; a cache has none.
    pub interval: Option<Duration>,
    /// How long other servers are waited for.
    pub fetch_timeout: Duration,
    entries: BTreeMap<String, Entry>,
    uses: u64,
}

fn error_text(error: &io::Error) -> String {
    crate::process::errno::error_text(error)
}

impl Directory {
    /// Opens the directory, which is made if it is not there.
    ///
    /// # Errors
    /// The text for the operator.
    pub fn open(o: &DirectoryResolver, cache: bool, now: i64) -> Result<Directory, String> {
        let path = std::path::absolute(&o.directory).map_err(|e| error_text(&e))?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(&path)
            .map_err(|e| format!("mkdir {}: {}", path.display(), error_text(&e)))?;
        let ttl = o.ttl.map(|ttl| i64::try_from(ttl.as_secs()).unwrap_or(NEVER).max(1));
        let mut directory = Directory {
            path,
            limit: usize::try_from(o.limit).unwrap_or(usize::MAX),
            evicts: cache,
            ttl: ttl.filter(|_| cache),
            delete: if cache { DeleteMode::Hard } else { o.delete },
            interval: (!cache).then_some(o.interval),
            fetch_timeout: o.fetch_timeout,
            entries: BTreeMap::new(),
            uses: 0,
        };
        directory.reread(now)?;
        Ok(directory)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether accounts may be deleted.
    #[must_use]
    pub fn allows_delete(&self) -> bool {
        self.delete != DeleteMode::None
    }

    fn file(&self, account: &str) -> PathBuf {
        self.path.join(format!("{account}.jwt"))
    }

    /// Reads the directory as it is now; files that are gone are forgotten. Returns the accounts
    /// whose claims are others than before.
    ///
    /// # Errors
    /// The text for the operator.
    pub fn reread(&mut self, now: i64) -> Result<Vec<String>, String> {
        let describe = |e: io::Error| format!("open {}: {}", self.path.display(), error_text(&e));
        let mut found = Vec::new();
        for file in fs::read_dir(&self.path).map_err(describe)? {
            let Ok(file) = file else { continue };
            let name = file.file_name();
            let account = name.to_str().and_then(|name| name.strip_suffix(".jwt"));
            // Files of other names are not ours.
            let Some(account) = account.filter(|a| nkey::is_public(KeyType::Account, a)) else {
                continue;
            };
            if let Ok(token) = fs::read_to_string(file.path())
                && let Ok(claims) = decode_generic(&token)
            {
                found.push((account.to_owned(), token, claims.base));
            }
        }
        self.entries.retain(|account, _| found.iter().any(|(name, ..)| name == account));
        let mut changed = Vec::new();
        for (account, token, base) in found {
            let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
            if self.entries.get(&account).is_none_or(|entry| entry.hash != hash) {
                self.index(&account, hash, &base, now);
                changed.push(account);
            }
        }
        Ok(changed)
    }

    fn index(&mut self, account: &str, hash: [u8; 32], base: &Base, now: i64) {
        self.uses += 1;
        let until = match (self.ttl, base.expires) {
            (Some(ttl), _) => now.saturating_add(ttl),
            (None, 0) => NEVER,
            (None, expires) => expires,
        };
        self.entries.insert(account.to_owned(), Entry { hash, until, used: self.uses });
    }

    /// The claims of an account.
    pub fn load(&mut self, account: &str, now: i64) -> Option<String> {
        let token = fs::read_to_string(self.file(account)).ok()?;
        self.touch(account, now).then_some(token)
    }

    /// Claims that are used stay for longer. Tells whether they are there.
    fn touch(&mut self, account: &str, now: i64) -> bool {
        let Some(entry) = self.entries.get_mut(account) else { return false };
        self.uses += 1;
        entry.used = self.uses;
        if let Some(ttl) = self.ttl {
            entry.until = now.saturating_add(ttl);
        }
        true
    }

    /// Keeps claims, unless those that are there are the same or newer. Tells whether it did.
    ///
    /// # Errors
    /// The text for whoever sent them.
    pub fn save_if_newer(&mut self, account: &str, token: &str, now: i64) -> Result<bool, String> {
        let new = decode_generic(token).map_err(|e| e.to_string())?.base;
        if new.subject != account {
            return Err("jwt subject nkey and provided nkey do not match".to_owned());
        }
        let existing = fs::read_to_string(self.file(account)).ok();
        if let Some(old) = existing.as_deref().and_then(|token| decode_generic(token).ok()) {
            let old = old.base;
            if old.id == new.id {
                return Ok(false);
            }
            if old.issued_at > new.issued_at {
                return Ok(false);
            }
            if old.subject != new.subject {
                return Err("subject of existing and new jwt do not match".to_owned());
            }
        }
        self.put(account, token, &new, now)
    }

    /// Keeps claims that somebody sends on purpose, however old they are. Tells whether they are
    /// others than before.
    ///
    /// # Errors
    /// The text for whoever sent them.
    pub fn save(&mut self, account: &str, token: &str, now: i64) -> Result<bool, String> {
        let base = decode_generic(token).map_err(|e| e.to_string())?.base;
        self.put(account, token, &base, now)
    }

    fn put(&mut self, account: &str, token: &str, base: &Base, now: i64) -> Result<bool, String> {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        self.touch(account, now);
        if self.entries.get(account).is_some_and(|entry| entry.hash == hash) {
            return Ok(false);
        }
        if !self.entries.contains_key(account) && self.entries.len() >= self.limit {
            if !self.evicts {
                return Err("jwt store is full".to_owned());
            }
            let longest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(account) = longest.map(|(account, _)| account.clone()) {
                self.remove(&account, DeleteMode::Hard).map_err(|e| error_text(&e))?;
            }
        }
        self.write(account, token).map_err(|e| error_text(&e))?;
        self.index(account, hash, base, now);
        Ok(true)
    }

    fn write(&self, account: &str, token: &str) -> io::Result<()> {
        let file = self.file(account);
        let beside = self.path.join(format!("{account}.jwt.tmp"));
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(FILE_MODE);
        let mut written = options.open(&beside)?;
        written.write_all(token.as_bytes())?;
        written.sync_all()?;
        fs::rename(&beside, &file)?;
        fs::File::open(&self.path)?.sync_all()
    }

    /// Deletes the claims of an account. One that is not there counts as deleted.
    ///
    /// # Errors
    /// The text for whoever asked for it.
    pub fn delete(&mut self, account: &str) -> Result<(), String> {
        if !self.allows_delete() {
            return Err("store is not set up to for delete".to_owned());
        }
        self.remove(account, self.delete).map_err(|e| error_text(&e))
    }

    fn remove(&mut self, account: &str, mode: DeleteMode) -> io::Result<()> {
        let file = self.file(account);
        let gone = match mode {
            DeleteMode::None => Ok(()),
            DeleteMode::Hard => fs::remove_file(&file),
            DeleteMode::Rename => {
                fs::rename(&file, self.path.join(format!("{account}.jwt.deleted")))
            }
        };
        match gone {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => {
                self.entries.remove(account);
                Ok(())
            }
        }
    }

    /// Removes what has ended. Returns the accounts.
    pub fn expire(&mut self, now: i64) -> Vec<String> {
        let over = self.entries.iter().filter(|(_, entry)| entry.until <= now);
        let over: Vec<String> = over.map(|(account, _)| account.clone()).collect();
        for account in &over {
            // What cannot be removed is tried again at the next start.
            let _ = self.remove(account, DeleteMode::Hard);
            self.entries.remove(account);
        }
        over
    }

    /// Seconds between two looks for what has ended.
    #[must_use]
    pub fn check_interval(&self) -> i64 {
        self.ttl.map_or(LONGEST_CHECK, |ttl| (ttl / 2).clamp(1, LONGEST_CHECK))
    }

    /// A hash of all claims, whatever their order.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut all = [0; 32];
        for entry in self.entries.values() {
            for (sum, byte) in all.iter_mut().zip(entry.hash) {
                *sum ^= byte;
            }
        }
        all
    }

    /// The accounts, by key, whose claims have not ended.
    #[must_use]
    pub fn accounts(&self, now: i64) -> Vec<String> {
        let all = self.accounts_and_claims(now);
        all.into_iter().map(|(account, _)| account).collect()
    }

    /// All accounts with their claims, unless these have ended.
    #[must_use]
    pub fn accounts_and_claims(&self, now: i64) -> Vec<(String, String)> {
        let read = |account: &String| {
            let token = fs::read_to_string(self.file(account)).ok()?;
            let expires = decode_generic(&token).ok()?.base.expires;
            (expires == 0 || expires > now).then(|| (account.clone(), token))
        };
        self.entries.keys().filter_map(read).collect()
    }

    /// Takes over a line `account|claims` of another server, unless what is here is newer. Returns
    /// the account if it brought something new.
    ///
    /// # Errors
    /// The text for the log.
    pub fn merge(&mut self, line: &str, now: i64) -> Result<Option<String>, String> {
        let Some((account, token)) = line.split_once('|').filter(|(_, t)| !t.contains('|')) else {
            let line = quote(line.as_bytes());
            return Err(format!("line in package didn't contain 2 entries: {line}"));
        };
        if !nkey::is_public(KeyType::Account, account) {
            return Err("key to merge is not a valid public account key".to_owned());
        }
        Ok(self.save_if_newer(account, token, now)?.then(|| account.to_owned()))
    }
}

#[cfg(test)]
mod keeping;
#[cfg(test)]
mod tests;
