//! JetStream in the monitoring documents.

use crate::{client, consumer, create, request, start};

#[test]
fn monitoring_shows_streams_and_what_they_hold() {
    let store = tempfile::tempdir().expect("a directory");
    let limits = "max_memory_store: 1MB, max_file_store: 1GB, sync_interval: always";
    let server = start(store.path(), limits, "");
    let mut wire = client(&server, "");
    create(&mut wire, "S", r#","max_bytes":10000"#);
    consumer(&mut wire, "S", "c", "");
    request(&mut wire, "S", "hello");
    let jsz = server.monitor("/jsz?consumers=1&config=1");
    assert_eq!(jsz["config"]["max_memory"], 1 << 20);
    assert_eq!(jsz["config"]["sync_always"], true);
    assert_eq!((&jsz["streams"], &jsz["consumers"]), (&1.into(), &1.into()));
    assert_eq!(jsz["reserved_storage"], 10_000);
    assert_eq!(jsz["messages"], 1);
    let stream = &jsz["account_details"][0]["stream_detail"][0];
    assert_eq!(stream["state"]["messages"], 1);
    assert_eq!(stream["config"]["max_bytes"], 10_000);
    assert_eq!(stream["consumer_detail"][0]["config"]["durable_name"], "c");
    assert!(server.monitor("/jsz")["account_details"].is_null());
    let varz = server.monitor("/varz");
    assert_eq!(varz["jetstream"]["stats"]["storage"], jsz["storage"]);
    assert_eq!(varz["jetstream"]["stats"]["accounts"], 1);
    assert_eq!(server.monitor("/accountz?acc=$G")["account_detail"]["jetstream_enabled"], true);
}

#[test]
fn health_tells_of_what_is_missing_and_of_what_was_not_recovered() {
    let store = tempfile::tempdir().expect("a directory");
    let server = start(store.path(), "", "");
    let mut wire = client(&server, "");
    create(&mut wire, "S", "");
    assert_eq!(server.monitor("/healthz")["status"], "ok");
    let missing = server.monitor("/healthz?account=$G&stream=nope");
    assert_eq!(missing["error"], "JetStream stream \"nope\" not found on account \"$G\"");
    std::fs::create_dir_all(store.path().join("jetstream/$G/streams/LOST")).expect("a directory");
    let broken = server.monitor("/healthz");
    assert_eq!(broken["error"], "JetStream stream '$G > LOST' could not be recovered");
}
