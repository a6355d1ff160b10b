//! A deterministic model of a file system that behaves as badly as a real one may.
//!
//! Content and names have two states each: what a running process sees, and what a power loss
//! would leave. Writes wait, in order, until the file is synced; creations, renames and removals
//! wait until their directory is synced. [`SimDisk::power_loss`] keeps a part of what waits,
//! chosen by the seed: of every file some of the unsynced writes, the last of them possibly torn,
//! and of every directory a prefix of its unsynced changes. Nothing here uses a clock or a hash
//! map's order, so one seed is one run.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{DirEntry, Disk, DiskFile, Metadata, OpenMode};

/// What happens at a chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This call fails with an input/output error; a write may have been done in part.
    Fail,
    /// This call and all later changing calls fail with an input/output error.
    FailFromNow,
    /// The power goes: this call may be done in part, and every call after it fails until
    /// [`SimDisk::power_loss`].
    Crash,
}

/// How many syncs were asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SyncCounts {
    /// Calls of [`DiskFile::sync_data`].
    pub files: u64,
    /// Calls of [`Disk::sync_dir`].
    pub directories: u64,
    /// Calls of [`DiskFile::write_at`].
    pub writes: u64,
}

#[derive(Debug, Clone)]
enum Pending {
    Write { offset: usize, data: Vec<u8> },
    SetLen(usize),
}

#[derive(Debug, Clone, Default)]
struct Inode {
    current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File(usize),
}

type Names = BTreeMap<PathBuf, Node>;

#[derive(Debug, Clone)]
enum NameChange {
    Link(PathBuf, Node),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf),
}

fn moved(path: &mut PathBuf, from: &Path, to: &Path) {
    if let Ok(rest) = path.strip_prefix(from)
        && !rest.as_os_str().is_empty()
    {
        *path = to.join(rest);
    }
}

impl NameChange {
    fn moved(&mut self, from: &Path, to: &Path) {
        match self {
            NameChange::Link(path, _) | NameChange::Unlink(path) => moved(path, from, to),
            NameChange::Rename(old, new) => {
                moved(old, from, to);
                moved(new, from, to);
            }
        }
    }

    /// The directory whose sync makes the change durable. A rename across directories counts for
    /// its target, as journalling file systems do it in one transaction.
    fn dir(&self) -> &Path {
        let path = match self {
            NameChange::Link(path, _) | NameChange::Unlink(path) => path,
            NameChange::Rename(_, to) => to,
        };
        path.parent().unwrap_or(Path::new("/"))
    }
}

#[derive(Debug, Default)]
struct State {
    seed: u64,
    inodes: Vec<Inode>,
    names: Names,
    durable_names: Names,
    journal: Vec<NameChange>,
    calls: u64,
    fault: Option<(u64, Fault)>,
    failing: bool,
    crashed: bool,
    capacity: Option<u64>,
    counts: SyncCounts,
    generation: u64,
}

/// The simulated file system; clones are views of the same one.
#[derive(Debug, Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct SimFile {
    state: Arc<Mutex<State>>,
    inode: usize,
    writable: bool,
    generation: u64,
}

fn locked(state: &Arc<Mutex<State>>) -> MutexGuard<'_, State> {
    // A panic in a test thread must not hide behind a second one here.
    state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn io_error(text: &'static str) -> io::Error {
    io::Error::other(text)
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

fn apply(content: &mut Vec<u8>, change: &Pending) {
    match change {
        Pending::Write { offset, data } => {
            let end = offset + data.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*offset..end].copy_from_slice(data);
        }
        Pending::SetLen(len) => content.resize(*len, 0),
    }
}

fn apply_name(names: &mut Names, change: &NameChange) {
    match change {
        NameChange::Link(path, node) => {
            names.insert(path.clone(), *node);
        }
        NameChange::Unlink(path) => {
            names.retain(|name, _| !name.starts_with(path));
        }
        NameChange::Rename(from, to) => {
            let moved: Vec<(PathBuf, Node)> = names
                .iter()
                .filter(|(name, _)| name.starts_with(from))
                .map(|(name, node)| (name.clone(), *node))
                .collect();
            if moved.is_empty() {
                return;
            }
            names.retain(|name, _| !name.starts_with(from) && !name.starts_with(to));
            for (name, node) in moved {
                let rest = name.strip_prefix(from).expect("filtered by this prefix");
                let target = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
                names.insert(target, node);
            }
        }
    }
}

/// What a changing call is allowed to do.
enum Permit {
    Whole,
    /// Do this share (of 256) of it, then fail with the error.
    Part(u64, io::Error),
}

impl State {
    fn random(&mut self) -> u64 {
        // SplitMix64: small, seedable, good enough to choose what a crash keeps.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.random() % bound as u64) as usize }
    }

    /// Counts a call that changes something and says how far it may go.
    fn change(&mut self) -> io::Result<Permit> {
        if self.crashed {
            return Err(io_error("simulated power loss"));
        }
        if self.failing {
            return Err(io_error("simulated input/output error"));
        }
        let call = self.calls;
        self.calls += 1;
        match self.fault {
            Some((at, fault)) if at == call => {
                match fault {
                    Fault::Fail => {}
                    Fault::FailFromNow => self.failing = true,
                    Fault::Crash => self.crashed = true,
                }
                let part = self.random() % 257;
                let text = if fault == Fault::Crash {
                    "simulated power loss"
                } else {
                    "simulated input/output error"
                };
                Ok(Permit::Part(part, io_error(text)))
            }
            _ => Ok(Permit::Whole),
        }
    }

    /// As [`State::change`], for calls that happen wholly or not at all.
    fn change_atomic(&mut self) -> io::Result<Option<io::Error>> {
        match self.change()? {
            Permit::Whole => Ok(None),
            Permit::Part(part, error) if part >= 128 => Ok(Some(error)),
            Permit::Part(_, error) => Err(error),
        }
    }

    fn read_call(&self) -> io::Result<()> {
        if self.crashed { Err(io_error("simulated power loss")) } else { Ok(()) }
    }

    fn used(&self) -> u64 {
        self.names
            .values()
            .map(|node| match node {
                Node::Dir => 0,
                Node::File(inode) => self.inodes[*inode].current.len() as u64,
            })
            .sum()
    }

    fn rename_or_unlink(&mut self, change: NameChange) -> io::Result<()> {
        let late = self.change_atomic()?;
        apply_name(&mut self.names, &change);
        self.journal.push(change);
        late.map_or(Ok(()), Err)
    }

    fn link(&mut self, path: &Path, node: Node) -> io::Result<()> {
        let late = self.change_atomic()?;
        let change = NameChange::Link(path.to_path_buf(), node);
        apply_name(&mut self.names, &change);
        self.journal.push(change);
        late.map_or(Ok(()), Err)
    }
}

impl SimDisk {
    /// An empty disk; `seed` decides everything that is left to chance.
    pub fn new(seed: u64) -> SimDisk {
        let state = State { seed, ..State::default() };
        SimDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// Lets `fault` happen at the `call`-th changing call from the start (0 is the first).
    pub fn set_fault(&self, call: u64, fault: Fault) {
        locked(&self.state).fault = Some((call, fault));
    }

    /// Takes back faults that have not happened, and ends [`Fault::FailFromNow`].
    pub fn clear_faults(&self) {
        let mut state = locked(&self.state);
        state.fault = None;
        state.failing = false;
    }

    /// Limits what all files together may hold; writes beyond it fail as on a full disk.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        locked(&self.state).capacity = bytes;
    }

    /// How many changing calls there have been.
    pub fn calls(&self) -> u64 {
        locked(&self.state).calls
    }

    /// Whether a [`Fault::Crash`] has happened and [`SimDisk::power_loss`] is due.
    pub fn is_crashed(&self) -> bool {
        locked(&self.state).crashed
    }

    /// How many writes and syncs there have been.
    pub fn sync_counts(&self) -> SyncCounts {
        locked(&self.state).counts
    }

    /// Cuts the power and turns it on again: only what was synced is sure to be there. Files open
    /// before it are of no use after it.
    pub fn power_loss(&self) {
        let mut state = locked(&self.state);
        let state = &mut *state;
        for index in 0..state.inodes.len() {
            let pending = std::mem::take(&mut state.inodes[index].pending);
            let mut content = std::mem::take(&mut state.inodes[index].durable);
            // Either the disk kept the order of the writes, or each went its own way.
            let ordered = state.random().is_multiple_of(2);
            let keep = state.below(pending.len() + 1);
            for (number, change) in pending.iter().enumerate() {
                let kept = if ordered { number < keep } else { state.random().is_multiple_of(2) };
                if kept {
                    apply(&mut content, change);
                } else if let Pending::Write { offset, data } = change
                    && (!ordered || number == keep)
                    && state.random().is_multiple_of(2)
                {
                    let part = state.below(data.len() + 1);
                    let torn = Pending::Write { offset: *offset, data: data[..part].to_vec() };
                    apply(&mut content, &torn);
                }
                if ordered && number >= keep {
                    break;
                }
            }
            state.inodes[index].current.clone_from(&content);
            state.inodes[index].durable = content;
        }
        let journal = std::mem::take(&mut state.journal);
        let mut kept_of_dir: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for change in &journal {
            *kept_of_dir.entry(change.dir().to_path_buf()).or_default() += 1;
        }
        for kept in kept_of_dir.values_mut() {
            *kept = state.below(*kept + 1);
        }
        for change in &journal {
            let kept = kept_of_dir.get_mut(change.dir()).expect("every directory was counted");
            if *kept > 0 {
                *kept -= 1;
                apply_name(&mut state.durable_names, change);
            }
        }
        // A name below a directory that did not survive is out of reach.
        let dirs: Vec<PathBuf> = state
            .durable_names
            .iter()
            .filter(|(_, node)| **node == Node::Dir)
            .map(|(path, _)| path.clone())
            .collect();
        state.durable_names.retain(|path, _| {
            path.ancestors().skip(1).all(|above| {
                above.parent().is_none() || dirs.binary_search(&above.to_path_buf()).is_ok()
            })
        });
        state.names = state.durable_names.clone();
        state.crashed = false;
        state.failing = false;
        state.fault = None;
        state.generation += 1;
    }

    /// Makes everything durable, as a clean shutdown of the machine would.
    pub fn sync_all(&self) {
        let mut state = locked(&self.state);
        let state = &mut *state;
        for inode in &mut state.inodes {
            inode.pending.clear();
            inode.durable.clone_from(&inode.current);
        }
        state.journal.clear();
        state.durable_names = state.names.clone();
    }

    /// Inverts one bit of a file, both seen and durable; whether the file has that byte.
    pub fn flip_bit(&self, path: &Path, offset: usize, bit: u8) -> bool {
        let mut state = locked(&self.state);
        let Some(Node::File(inode)) = state.names.get(path).copied() else { return false };
        let inode = &mut state.inodes[inode];
        let mask = 1u8 << (bit & 7);
        let Some(byte) = inode.current.get_mut(offset) else { return false };
        *byte ^= mask;
        if let Some(byte) = inode.durable.get_mut(offset) {
            *byte ^= mask;
        }
        true
    }

    /// An independent copy of the disk as it is seen now, everything durable, without faults.
    pub fn fork(&self, seed: u64) -> SimDisk {
        let state = locked(&self.state);
        let copy = State {
            seed,
            inodes: state.inodes.clone(),
            names: state.names.clone(),
            ..State::default()
        };
        drop(state);
        let copy = SimDisk { state: Arc::new(Mutex::new(copy)) };
        copy.sync_all();
        copy
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = locked(&self.state);
        state.read_call()?;
        self.check(&state)?;
        let content = &state.inodes[self.inode].current;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let count = buf.len().min(content.len() - start);
        buf[..count].copy_from_slice(&content[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut state = locked(&self.state);
        self.check(&state)?;
        if !self.writable {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        let permit = state.change()?;
        state.counts.writes += 1;
        let offset = usize::try_from(offset).map_err(|_| io_error("offset out of range"))?;
        let (mut count, mut error) = match permit {
            Permit::Whole => (data.len(), None),
            Permit::Part(part, error) => ((data.len() as u64 * part / 256) as usize, Some(error)),
        };
        if let Some(capacity) = state.capacity {
            let held = state.inodes[self.inode].current.len();
            let grown = (offset + count).saturating_sub(held) as u64;
            let free = capacity.saturating_sub(state.used());
            if grown > free {
                count = count.saturating_sub((grown - free) as usize);
                error = Some(io::Error::from(io::ErrorKind::StorageFull));
            }
        }
        if count > 0 {
            let change = Pending::Write { offset, data: data[..count].to_vec() };
            let inode = &mut state.inodes[self.inode];
            apply(&mut inode.current, &change);
            inode.pending.push(change);
        }
        error.map_or(Ok(()), Err)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = locked(&self.state);
        self.check(&state)?;
        let late = state.change_atomic()?;
        let len = usize::try_from(len).map_err(|_| io_error("length out of range"))?;
        let change = Pending::SetLen(len);
        let inode = &mut state.inodes[self.inode];
        apply(&mut inode.current, &change);
        inode.pending.push(change);
        late.map_or(Ok(()), Err)
    }

    fn len(&self) -> io::Result<u64> {
        let state = locked(&self.state);
        state.read_call()?;
        self.check(&state)?;
        Ok(state.inodes[self.inode].current.len() as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = locked(&self.state);
        self.check(&state)?;
        let late = state.change_atomic()?;
        state.counts.files += 1;
        let inode = &mut state.inodes[self.inode];
        inode.pending.clear();
        inode.durable.clone_from(&inode.current);
        late.map_or(Ok(()), Err)
    }
}

impl SimFile {
    fn check(&self, state: &State) -> io::Result<()> {
        if self.generation == state.generation {
            Ok(())
        } else {
            Err(io_error("file was open before the simulated power loss"))
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut state = locked(&self.state);
        state.read_call()?;
        let inode = match state.names.get(path).copied() {
            Some(Node::File(inode)) => {
                if mode == OpenMode::CreateTruncate && !state.inodes[inode].current.is_empty() {
                    let late = state.change_atomic()?;
                    let change = Pending::SetLen(0);
                    apply(&mut state.inodes[inode].current, &change);
                    state.inodes[inode].pending.push(change);
                    if let Some(error) = late {
                        return Err(error);
                    }
                }
                inode
            }
            Some(Node::Dir) => return Err(io_error("is a directory")),
            None if matches!(mode, OpenMode::Read | OpenMode::ReadWrite) => {
                return Err(not_found());
            }
            None => {
                let parent = path.parent().unwrap_or(Path::new("/"));
                if parent.parent().is_some() && state.names.get(parent) != Some(&Node::Dir) {
                    return Err(not_found());
                }
                if state.capacity == Some(0) {
                    return Err(io::Error::from(io::ErrorKind::StorageFull));
                }
                let inode = state.inodes.len();
                state.inodes.push(Inode::default());
                state.link(path, Node::File(inode))?;
                inode
            }
        };
        let generation = state.generation;
        drop(state);
        Ok(Box::new(SimFile {
            state: Arc::clone(&self.state),
            inode,
            writable: mode != OpenMode::Read,
            generation,
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = locked(&self.state);
        let mut missing = Vec::new();
        for above in path.ancestors() {
            if above.parent().is_none() {
                break;
            }
            match state.names.get(above) {
                Some(Node::Dir) => break,
                Some(Node::File(_)) => return Err(io_error("not a directory")),
                None => missing.push(above.to_path_buf()),
            }
        }
        for dir in missing.into_iter().rev() {
            state.link(&dir, Node::Dir)?;
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let state = locked(&self.state);
        state.read_call()?;
        if state.names.get(dir) != Some(&Node::Dir) {
            return Err(not_found());
        }
        let mut entries: Vec<DirEntry> = state
            .names
            .iter()
            .filter(|(path, _)| path.parent() == Some(dir))
            .filter_map(|(path, node)| {
                let name = path.file_name()?.to_str()?.to_owned();
                Some(DirEntry { name, is_dir: *node == Node::Dir })
            })
            .collect();
        entries.sort();
        Ok(entries)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let state = locked(&self.state);
        state.read_call()?;
        match state.names.get(path) {
            Some(Node::Dir) => Ok(Metadata { len: 0, is_dir: true }),
            Some(Node::File(inode)) => {
                Ok(Metadata { len: state.inodes[*inode].current.len() as u64, is_dir: false })
            }
            None => Err(not_found()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = locked(&self.state);
        if !state.names.contains_key(from) {
            state.read_call()?;
            return Err(not_found());
        }
        state.rename_or_unlink(NameChange::Rename(from.to_path_buf(), to.to_path_buf()))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = locked(&self.state);
        match state.names.get(path) {
            Some(Node::File(_)) => state.rename_or_unlink(NameChange::Unlink(path.to_path_buf())),
            Some(Node::Dir) => Err(io_error("is a directory")),
            None => {
                state.read_call()?;
                Err(not_found())
            }
        }
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = locked(&self.state);
        match state.names.get(path) {
            Some(Node::Dir) => state.rename_or_unlink(NameChange::Unlink(path.to_path_buf())),
            Some(Node::File(_)) => Err(io_error("not a directory")),
            None => {
                state.read_call()?;
                Err(not_found())
            }
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = locked(&self.state);
        if dir.parent().is_some() && !state.names.contains_key(dir) {
            state.read_call()?;
            return Err(not_found());
        }
        let late = state.change_atomic()?;
        state.counts.directories += 1;
        let journal = std::mem::take(&mut state.journal);
        for change in journal {
            if change.dir() == dir {
                apply_name(&mut state.durable_names, &change);
                if let NameChange::Rename(from, to) = &change {
                    // What waits in a directory that is renamed goes along with it.
                    state.journal.iter_mut().for_each(|waiting| waiting.moved(from, to));
                }
            } else {
                state.journal.push(change);
            }
        }
        late.map_or(Ok(()), Err)
    }
}
