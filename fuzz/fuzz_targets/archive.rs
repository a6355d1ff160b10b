//! Any bytes are an archive or none, the same whatever pieces they arrive in, and unpacking them
//! writes nothing outside its directory. What is written is read back.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use arbitrary::Arbitrary;
use jetstream::disk::{Disk, SimDisk};
use jetstream::filestore::archive::{ArchiveEvent, ArchiveReader, ArchiveWriter, Entry};
use jetstream::filestore::compression::StreamEncoder;
use jetstream::filestore::restore::Restore;
use jetstream::time::Timestamp;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    noise: &'a [u8],
    entries: Vec<(String, &'a [u8])>,
    flips: Vec<(u16, u8)>,
    piece: u16,
}

/// The files of an archive with their content, up to where it ends or breaks.
fn read(data: &[u8], piece: usize) -> (Vec<(String, Vec<u8>)>, bool) {
    let mut reader = ArchiveReader::default();
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for part in data.chunks(piece.max(1)) {
        reader.feed(part);
        loop {
            match reader.next_event() {
                Ok(Some(ArchiveEvent::Start { name, .. })) => files.push((name, Vec::new())),
                Ok(Some(ArchiveEvent::Content(bytes))) => {
                    files.last_mut().expect("it started").1.extend_from_slice(&bytes);
                }
                Ok(Some(ArchiveEvent::End)) => {}
                Ok(Some(ArchiveEvent::Finished)) => return (files, true),
                Ok(None) => break,
                Err(_) => return (files, false),
            }
        }
    }
    (files, false)
}

fn unpack(stream: &[u8], piece: usize) {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/top/in")).expect("a directory");
    let mut restore = Restore::new(Arc::new(disk.clone()), Path::new("/top/in/side"), 1 << 20);
    if stream.chunks(piece.max(1)).all(|part| restore.feed(part).is_ok()) {
        let _ = restore.finish();
    }
    for (dir, allowed) in [("/top", "in"), ("/top/in", "side")] {
        let found = disk.list(Path::new(dir)).expect("there");
        assert!(found.iter().all(|entry| entry.name == allowed), "{dir}: {found:?}");
    }
}

fuzz_target!(|input: Input<'_>| {
    let piece = usize::from(input.piece % 700);
    let mut writer = ArchiveWriter::new(Timestamp::from_nanos(1_700_000_000_123_456_789));
    let mut archive = Vec::new();
    let mut expected = Vec::new();
    for (name, content) in &input.entries {
        // A name with a zero byte, or none, cannot stand in an archive.
        if name.is_empty() || name.contains('\0') {
            continue;
        }
        writer.entry(&Entry { name, content }, &mut archive);
        expected.push((name.clone(), content.to_vec()));
    }
    writer.finish(&mut archive);
    assert_eq!(read(&archive, piece), (expected, true));
    for (at, mask) in input.flips.iter().take(8) {
        let len = archive.len();
        archive[usize::from(*at) % len] ^= mask;
    }
    archive.extend_from_slice(input.noise);
    assert_eq!(read(&archive, piece), read(&archive, usize::MAX));
    assert_eq!(read(input.noise, piece), read(input.noise, usize::MAX));
    let (mut encoder, mut stream) = (StreamEncoder::default(), Vec::new());
    encoder.write(&archive, &mut stream);
    encoder.finish(&mut stream);
    unpack(&stream, piece);
    for (at, mask) in input.flips.iter().take(4) {
        let len = stream.len();
        stream[usize::from(*at) % len] ^= mask;
    }
    unpack(&stream, piece);
    unpack(input.noise, piece);
});
