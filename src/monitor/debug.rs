//! `/stacksz` and `/debug/vars` (spec 04 §3.13): a look at the process.

use crate::config::cli::redact_arguments;
use crate::json;
use crate::process::usage::ProcessStat;
use serde::Serialize;
use std::fmt::Write;
use std::fs;

/// The threads of the process, one paragraph each, in the place of the reference's goroutines:
/// number, state, name, and what it waits for in the kernel where the system tells.
pub fn stacks() -> Vec<u8> {
    let mut ids: Vec<u64> = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    ids.sort_unstable();
    let mut out = String::new();
    for id in ids {
        // A thread may end while it is looked at.
        let read = |file: &str| {
            let text = fs::read_to_string(format!("/proc/self/task/{id}/{file}"));
            text.map(|t| t.trim().to_owned()).unwrap_or_default()
        };
        let state = read("stat")
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.trim_start().chars().next())
            .map_or("unknown", state_name);
        let wait = match read("wchan") {
            wait if wait.is_empty() || wait == "0" => String::new(),
            wait => format!("\n\t{wait}"),
        };
        let written = writeln!(out, "thread {id} [{state}]:\n{}{wait}\n", read("comm"));
        debug_assert!(written.is_ok(), "a string accepts every write");
    }
    if out.is_empty() {
        out.push_str("threads are not visible: /proc is not mounted\n");
    }
    out.into_bytes()
}

fn state_name(letter: char) -> &'static str {
    match letter {
        'R' => "running",
        'S' => "sleeping",
        'D' => "waiting for disk",
        'T' | 't' => "stopped",
        _ => "unknown",
    }
}

/// Memory statistics under the names that scrapers of the reference's runtime know. Memory is
/// counted by the system, not by an allocator of our own; what only a garbage collector has is
/// zero.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MemoryStatistics {
    alloc: u64,
    total_alloc: u64,
    sys: u64,
    lookups: u64,
    mallocs: u64,
    frees: u64,
    heap_alloc: u64,
    heap_sys: u64,
    heap_idle: u64,
    heap_inuse: u64,
    heap_released: u64,
    heap_objects: u64,
    stack_inuse: u64,
    stack_sys: u64,
    #[serde(rename = "NextGC")]
    next_gc: u64,
    #[serde(rename = "LastGC")]
    last_gc: u64,
    pause_total_ns: u64,
    #[serde(rename = "NumGC")]
    num_gc: u32,
    #[serde(rename = "NumForcedGC")]
    num_forced_gc: u32,
    #[serde(rename = "GCCPUFraction")]
    gc_cpu_fraction: f64,
    #[serde(rename = "EnableGC")]
    enable_gc: bool,
    #[serde(rename = "DebugGC")]
    debug_gc: bool,
}

/// The command line, without secrets.
pub fn arguments() -> Vec<String> {
    let mut arguments: Vec<String> =
        std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    redact_arguments(&mut arguments);
    arguments
}

fn memory() -> MemoryStatistics {
    let resident = ProcessStat::read().map_or(0, |stat| stat.resident_bytes);
    MemoryStatistics {
        alloc: resident,
        sys: resident,
        heap_alloc: resident,
        heap_sys: resident,
        heap_inuse: resident,
        ..MemoryStatistics::default()
    }
}

/// The variables as the system account's service shows them.
#[derive(Clone, Debug, Serialize)]
pub struct Expvarz {
    memstats: MemoryStatistics,
    cmdline: Vec<String>,
}

/// Takes the snapshot.
pub fn expvarz() -> Expvarz {
    Expvarz { memstats: memory(), cmdline: arguments() }
}

/// The document at `/debug/vars`, in its own layout: one line per variable.
pub fn vars() -> Vec<u8> {
    let (arguments, memory) = (arguments(), memory());
    // Plain structures in memory always serialise.
    let value = |json: serde_json::Result<Vec<u8>>| json.unwrap_or_default();
    let mut out = b"{\n\"cmdline\": ".to_vec();
    out.extend(value(json::to_vec(&arguments)));
    out.extend_from_slice(b",\n\"memstats\": ");
    out.extend(value(json::to_vec(&memory)));
    out.extend_from_slice(b"\n}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_that_asks_is_among_the_threads() {
        let text = String::from_utf8(stacks()).expect("text");
        assert!(text.contains("[running]:"), "{text}");
    }

    #[test]
    fn variables_are_json_with_command_line_and_memory() {
        let vars: serde_json::Value = serde_json::from_slice(&vars()).expect("JSON");
        assert!(vars["cmdline"][0].is_string());
        assert!(vars["memstats"]["HeapAlloc"].as_u64().is_some_and(|n| n > 0));
    }
}
