//! Random operations against a naive model, with crashes.
//!
//! A run keeps every state the stream had since the last sync that succeeded. After a crash the
//! recovered stream must be explained by them: nothing is served that was not stored, nothing is
//! missing that was durable and not removed since, nothing comes back that was durably removed.
//!
//! `FILESTORE_MODEL_SEEDS` in the environment runs other seeds than the constant tells: a count, or
//! a range as `120..500`.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::config::StoreCompression;
use crate::disk::Fault;
use crate::filestore::encryption::Cipher;
use crate::store::PurgeRequest;

const SEEDS: u64 = 120;
const STEPS: usize = 90;

fn seeds() -> std::ops::Range<u64> {
    let Ok(asked) = std::env::var("FILESTORE_MODEL_SEEDS") else { return 0..SEEDS };
    let number = |text: &str| text.parse().expect("FILESTORE_MODEL_SEEDS is a count or a range");
    match asked.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => 0..number(&asked),
    }
}

type Message = (String, String);

/// The stream as it should be.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    messages: BTreeMap<u64, Message>,
    last: u64,
}

impl Model {
    fn store(&mut self, config: &StreamConfig, subject: &str, payload: &str) -> u64 {
        self.last += 1;
        self.messages.insert(self.last, (subject.to_owned(), payload.to_owned()));
        self.enforce(config);
        self.last
    }

    fn enforce(&mut self, config: &StreamConfig) {
        if config.max_msgs_per_subject > 0 {
            let mut counts: BTreeMap<String, i64> = BTreeMap::new();
            let mut gone = Vec::new();
            for (number, (subject, _)) in self.messages.iter().rev() {
                let count = counts.entry(subject.clone()).or_default();
                *count += 1;
                if *count > config.max_msgs_per_subject {
                    gone.push(*number);
                }
            }
            for number in gone {
                self.messages.remove(&number);
            }
        }
        if config.max_msgs > 0 {
            while self.messages.len() as i64 > config.max_msgs {
                self.messages.pop_first();
            }
        }
    }
}

/// What happened since the last sync.
struct History {
    states: Vec<Model>,
    /// Sequences removed on request since then, by whatever call.
    removed: BTreeSet<u64>,
    /// Everything ever stored under a sequence since then, or before it.
    stored: BTreeMap<u64, BTreeSet<Message>>,
    /// What was done since the run began, told when it fails.
    log: Vec<String>,
}

impl Drop for History {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log.join("\n"));
        }
    }
}

impl History {
    fn synced(&mut self, model: &Model) {
        self.states = vec![model.clone()];
        self.removed.clear();
        self.stored.clear();
        for (number, message) in &model.messages {
            self.stored.entry(*number).or_default().insert(message.clone());
        }
    }
}

fn contents(rig: &mut Rig) -> BTreeMap<u64, Message> {
    rig.all()
        .into_iter()
        .map(|(number, subject, _, payload)| (number, (subject, payload)))
        .collect()
}

/// Every record of every block, to see what went wrong.
fn dump(rig: &mut Rig) {
    let disk = rig.disk.clone();
    let store = rig.store();
    for position in 0..store.blocks.len() {
        store.load_block(position).unwrap();
        let block = &mut store.blocks[position];
        let content = block.loaded.as_mut().unwrap().contiguous();
        eprintln!("block {} first {:?} last {:?}", block.index, block.first, block.last);
        for (raw, at) in super::super::purge::records(&content) {
            eprintln!("  {at}: {:?} {}", raw.kind, raw.seq);
        }
    }
    for dir in ["", "msgs", "__msgs__", "__new_msgs__"] {
        eprintln!(
            "{dir}: {:?}",
            disk.list(&Rig::dir().join(dir))
                .map(|all| all.into_iter().map(|e| e.name).collect::<Vec<_>>())
        );
    }
}

fn check_live(rig: &mut Rig, model: &Model, context: &str) {
    rig.store().check_invariants();
    let found = contents(rig);
    if found != model.messages {
        dump(rig);
    }
    assert_eq!(found, model.messages, "{context}");
    let state = rig.store().fast_state();
    assert_eq!(state.last_seq.get(), model.last, "{context}");
    assert_eq!(state.messages, model.messages.len() as u64, "{context}");
    let first = model.messages.keys().next().copied();
    if let Some(first) = first {
        assert_eq!(state.first_seq.get(), first, "{context}");
    }
    let mut totals: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for (subject, _) in model.messages.values() {
        *totals.entry(subject.clone().into_bytes()).or_default() += 1;
    }
    let found = rig.store().subjects_totals(b"").unwrap();
    let found: BTreeMap<Vec<u8>, u64> = found.into_iter().map(|(s, n)| (s.into(), n)).collect();
    assert_eq!(found, totals, "{context}");
    for (subject, _) in found {
        let which = SubjectFilter::new(&subject);
        let last = rig.store().load_last(&which).unwrap().sequence().get();
        let of = |(number, (s, _)): (&u64, &Message)| (s.as_bytes() == subject).then_some(*number);
        assert_eq!(model.messages.iter().rev().find_map(of), Some(last), "{context}");
        let first = rig.store().subjects_state(&which).unwrap()[0].1.first.get();
        assert_eq!(model.messages.iter().find_map(of), Some(first), "{context}");
    }
}

/// Checks a recovered stream against the history; it is the model from then on.
fn check_recovered(rig: &mut Rig, history: &History, context: &str) -> Model {
    rig.store().check_invariants();
    let found = contents(rig);
    let state = rig.store().fast_state();
    let last = state.last_seq.get();
    let durable = &history.states[0];
    if last < history.states.iter().map(|model| model.last).min().unwrap_or(0) {
        dump(rig);
    }
    let lowest_last = history.states.iter().map(|model| model.last).min().unwrap_or(0);
    assert!(last >= lowest_last, "{context}: last sequence {last} went back");
    for (number, message) in &found {
        let known = history.stored.get(number).is_some_and(|all| all.contains(message));
        assert!(known, "{context}: {number} {message:?} was never stored");
        let live_once =
            history.states.iter().any(|model| model.messages.get(number) == Some(message));
        assert!(live_once, "{context}: {number} came back");
    }
    let config = rig.config.clone();
    for (number, message) in &durable.messages {
        if found.get(number) == Some(message) || history.removed.contains(number) {
            continue;
        }
        let always_live =
            history.states.iter().all(|model| model.messages.get(number) == Some(message));
        if !always_live && !history.removed.is_empty() {
            // A limit displaced it, and what displaced it may have been removed since.
            continue;
        }
        let newer = found.iter().filter(|(n, _)| *n > number);
        let of_subject = newer.clone().filter(|(_, (s, _))| *s == message.0).count() as i64;
        let displaced = (config.max_msgs > 0 && newer.count() as i64 >= config.max_msgs)
            || (config.max_msgs_per_subject > 0 && of_subject >= config.max_msgs_per_subject);
        assert!(displaced, "{context}: {number} was durable and is lost");
    }
    let model = Model { messages: found, last };
    let lost = rig.state().lost.and_then(|lost| lost.messages).unwrap_or_default();
    for number in lost {
        let acknowledged = durable.messages.contains_key(&number);
        assert!(!acknowledged || history.removed.contains(&number), "{context}: lost {number}");
    }
    check_live(rig, &model, context);
    model
}

/// One random step; `Err` when the disk failed.
fn step(
    rig: &mut Rig,
    model: &mut Model,
    history: &mut History,
    random: &mut TestRandom,
) -> Result<(), ()> {
    let config = rig.config.clone();
    let failed = |_| ();
    let before: BTreeSet<u64> = model.messages.keys().copied().collect();
    let pick = random.below(model.last + 2);
    let mut removed: BTreeSet<u64> = BTreeSet::new();
    let choice = random.below(100);
    let held: Vec<u64> = model.messages.keys().copied().collect();
    history.log.push(format!("{choice} on {pick}, holding {held:?} up to {}", model.last));
    match choice {
        0..=49 => {
            let subject = format!("s.{}", random.below(5));
            let payload = format!("{:x}", random.next()).repeat(1 + random.below(4) as usize);
            let number = model.last + 1;
            history.stored.entry(number).or_default().insert((subject.clone(), payload.clone()));
            model.store(&config, &subject, &payload);
            history.states.push(model.clone());
            rig.try_put(&subject, "", &payload).map_err(failed)?;
        }
        50..=64 => {
            if model.messages.remove(&pick).is_some() {
                removed.insert(pick);
            }
            history.removed.extend(&removed);
            history.states.push(model.clone());
            let result = if random.below(5) == 0 {
                rig.store().erase(seq(pick), &mut TestRandom(pick))
            } else {
                rig.store().remove(seq(pick))
            };
            let expected = !removed.is_empty();
            match result {
                Ok(gone) => assert_eq!(gone, expected),
                Err(crate::error::StoreError::MessageNotFound | crate::error::StoreError::Eof) => {
                    assert!(!expected);
                }
                Err(_) => return Err(()),
            }
        }
        65..=66 => {
            model.messages.clear();
            history.removed.extend(&before);
            history.states.push(model.clone());
            rig.store().purge().map_err(failed)?;
        }
        67..=70 => {
            let subject = format!("s.{}", random.below(5));
            let keep = random.below(3);
            let of: Vec<u64> = model
                .messages
                .iter()
                .filter(|(_, (s, _))| *s == subject)
                .map(|(number, _)| *number)
                .collect();
            let count = (of.len() as u64).saturating_sub(keep) as usize;
            for number in &of[..count] {
                model.messages.remove(number);
                history.removed.insert(*number);
                history.states.push(model.clone());
            }
            history.states.push(model.clone());
            let request = PurgeRequest { filter: filter(&subject), below: seq(0), keep };
            let purged = rig.store().purge_matching(&request).map_err(failed)?;
            assert_eq!(purged, count as u64);
        }
        71..=74 => {
            let gone: Vec<u64> = model.messages.range(..pick.max(1)).map(|(n, _)| *n).collect();
            if pick > 0 {
                for number in gone {
                    model.messages.remove(&number);
                    history.removed.insert(number);
                    history.states.push(model.clone());
                }
                rig.store().compact(seq(pick)).map_err(failed)?;
            }
        }
        75..=77 => {
            if pick > 0 && pick < model.last {
                let gone: Vec<u64> = model.messages.range(pick + 1..).map(|(n, _)| *n).collect();
                for number in gone.iter().rev() {
                    history.removed.insert(*number);
                    model.messages.remove(number);
                    history.states.push(model.clone());
                }
                model.last = pick;
                history.states.push(model.clone());
                let now = rig.time();
                rig.store().truncate(seq(pick), now).map_err(failed)?;
            }
        }
        78..=80 => {
            let count = 1 + random.below(4);
            model.last += count;
            history.states.push(model.clone());
            let now = rig.time();
            rig.store().skip_many(seq(0), count, now).map_err(failed)?;
        }
        81..=88 => {
            rig.wait(1.0);
            let now = rig.time();
            rig.store().tick(now).map_err(failed)?;
        }
        89..=95 => {
            rig.store().sync().map_err(failed)?;
            history.synced(model);
        }
        96..=97 => {
            rig.wait(130.0);
            let now = rig.time();
            rig.store().tick(now).map_err(failed)?;
            rig.store().tick(now).map_err(failed)?;
        }
        _ => {
            let now = rig.time();
            rig.store().stop(now).map_err(failed)?;
            history.synced(model);
            rig.close_roughly();
            rig.try_open().map_err(|_| ())?;
        }
    }
    Ok(())
}

fn rig_for(seed: u64) -> Rig {
    let mut random = TestRandom(seed ^ 0xfeed);
    let mut rig = Rig::with(|config| {
        config.compression =
            if random.below(2) == 0 { StoreCompression::None } else { StoreCompression::S2 };
        config.max_msgs_per_subject = [0, 0, 1, 3][random.below(4) as usize];
        config.max_msgs = [0, 0, 8][random.below(3) as usize];
    });
    rig.close_roughly();
    rig.disk = SimDisk::new(seed);
    rig.block_size = 150 + random.below(600);
    rig.cache_bytes = if random.below(2) == 0 { 1 } else { 1 << 20 };
    rig.encryption = match random.below(4) {
        0 => Some(EncryptionConfig::new("key", "$G", Cipher::ChaCha)),
        1 => Some(EncryptionConfig::new("key", "$G", Cipher::Aes)),
        _ => None,
    };
    rig.open();
    rig
}

#[test]
fn store_behaves_like_its_model() {
    for seed in seeds() {
        let mut rig = rig_for(seed);
        let mut random = TestRandom(seed);
        let mut model = Model::default();
        let mut history = History {
            states: vec![model.clone()],
            removed: BTreeSet::new(),
            stored: BTreeMap::new(),
            log: Vec::new(),
        };
        for number in 0..STEPS {
            let result = step(&mut rig, &mut model, &mut history, &mut random);
            assert!(
                result.is_ok(),
                "seed {seed} step {number}: {:?}",
                rig.store.as_ref().map(|s| &s.failed)
            );
            check_live(&mut rig, &model, &format!("seed {seed} step {number}"));
        }
        rig.lose_index();
        check_live(&mut rig, &model, &format!("seed {seed} without index"));
        rig.reopen();
        check_live(&mut rig, &model, &format!("seed {seed} with index"));
    }
}

#[test]
fn store_survives_a_crash_at_any_call() {
    for seed in seeds() {
        let mut rig = rig_for(seed);
        let mut random = TestRandom(seed);
        let mut model = Model::default();
        let mut history = History {
            states: vec![model.clone()],
            removed: BTreeSet::new(),
            stored: BTreeMap::new(),
            log: Vec::new(),
        };
        for crash in 0..8 {
            let call = rig.disk.calls() + random.below(60);
            rig.disk.set_fault(call, Fault::Crash);
            for _ in 0..STEPS {
                if step(&mut rig, &mut model, &mut history, &mut random).is_err() {
                    break;
                }
            }
            rig.close_roughly();
            rig.disk.power_loss();
            rig.open();
            history.log.push(format!("crash {crash}: {:?}", contents(&mut rig)));
            let context = format!("seed {seed} crash {crash}");
            model = check_recovered(&mut rig, &history, &context);
            history.synced(&model);
        }
    }
}
