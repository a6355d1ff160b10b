//! Profiles of the processor (spec 04 §11): where the threads of the process spend their time, as
//! `go tool pprof` reads it. [`service`] serves them on a port of their own.
//!
//! Samples are taken by a signal while a profile is made, and at no other time.

pub mod service;

use flate2::Compression;
use flate2::write::GzEncoder;
use pprof::protos::Message as _;
use std::io::Write as _;

/// Samples a second of processor time.
const FREQUENCY: i32 = 100;
/// Libraries whose code is not interrupted for a sample: unwinding may need what they hold.
const LEFT_OUT: [&str; 4] = ["libc", "libgcc", "pthread", "vdso"];

/// A profile that is being made. There is one at a time.
pub struct CpuProfile {
    guard: pprof::ProfilerGuard<'static>,
}

impl CpuProfile {
    /// Begins to take samples.
    ///
    /// # Errors
    /// When another profile is being made, or the system does not let it take samples.
    pub fn start() -> Result<CpuProfile, String> {
        let builder = pprof::ProfilerGuardBuilder::default();
        let guard =
            builder.frequency(FREQUENCY).blocklist(&LEFT_OUT).build().map_err(|e| match e {
                pprof::Error::Running => "cpu profiling already in use".to_owned(),
                other => other.to_string(),
            })?;
        Ok(CpuProfile { guard })
    }

    /// Ends it: a compressed protocol buffer.
    ///
    /// # Errors
    /// When the samples cannot be made sense of.
    pub fn finish(self) -> Result<Vec<u8>, String> {
        let report = self.guard.report().frames_post_processor(without_sampler).build();
        let report = report.map_err(|e| e.to_string())?;
        drop(self.guard);
        let profile = report.pprof().map_err(|e| e.to_string())?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let written = encoder.write_all(&profile.encode_to_vec());
        written.and_then(|()| encoder.finish()).map_err(|e| e.to_string())
    }
}

/// Leaves out what took the sample: the innermost frames.
fn without_sampler(frames: &mut pprof::Frames) {
    let sampler = |symbols: &Vec<pprof::Symbol>| {
        symbols.iter().any(|symbol| symbol.name().contains("pprof::backtrace"))
    };
    if let Some(last) = frames.frames.iter().rposition(sampler) {
        frames.frames.drain(..=last);
    }
}
