//! Golden texts: what other programs parse must not change by accident.

use super::*;

fn process() -> ProcessRow {
    ProcessRow {
        id: ProcessId { job: 3, pid: 17 },
        job: 3,
        pid: 17,
        user: "root".into(),
        home: "node1".into(),
        node: "node2".into(),
        state: "running".into(),
        local_bytes: 4096,
        remote_bytes: 8192,
        command: "sh -c true".into(),
    }
}

#[test]
fn process_list() {
    let json = serde_json::to_string(&List::new("ProcessList", vec![process()])).expect("encodes");
    assert_eq!(
        json,
        concat!(
            r#"{"apiVersion":"clusterctl/v1","kind":"ProcessList","items":[{"id":"3.17","job":3,"#,
            r#""pid":17,"user":"root","home":"node1","node":"node2","state":"running","#,
            r#""local_bytes":4096,"remote_bytes":8192,"command":"sh -c true"}]}"#
        )
    );
}

#[test]
fn missing_nodes_are_named() {
    let mut list = List::<ProcessRow>::new("ProcessList", vec![]);
    list.missing.push("node3".into());
    let json = serde_json::to_string(&list).expect("encodes");
    assert!(json.ends_with(r#""items":[],"missing":["node3"]}"#), "{json}");
}

#[test]
fn event_list_has_only_what_applies() {
    let event = EventRow {
        time: "2026-11-21T03:08:29.000Z".into(),
        kind: "migrate-done".into(),
        node: "node1".into(),
        process: Some(ProcessId { job: 3, pid: 17 }),
        job: Some(3),
        from: Some("node1".into()),
        to: Some("node2".into()),
        reason: None,
        freeze_us: Some(900),
        total_us: Some(12_000),
        seq: 7,
    };
    let json = serde_json::to_string(&List::new("EventList", vec![event])).expect("encodes");
    assert_eq!(
        json,
        concat!(
            r#"{"apiVersion":"clusterctl/v1","kind":"EventList","items":[{"#,
            r#""time":"2026-11-21T03:08:29.000Z","type":"migrate-done","node":"node1","#,
            r#""process":"3.17","job":3,"from":"node1","to":"node2","freeze_us":900,"#,
            r#""total_us":12000,"seq":7}]}"#
        )
    );
}

#[test]
fn rows_survive_json() {
    let json = serde_json::to_string(&process()).expect("encodes");
    assert_eq!(serde_json::from_str::<ProcessRow>(&json).expect("decodes"), process());
}

#[test]
fn encryption_has_only_what_applies() {
    let peer = TunnelPeerRow {
        node: "node2".into(),
        address: "10.213.77.2:7789".into(),
        endpoint: "192.0.2.2:7788".into(),
        handshake: "fresh".into(),
        age_s: Some(12),
    };
    let mut row = EncryptionRow {
        mode: "wireguard".into(),
        chosen: "wireguard".into(),
        interface: Some("holon0".into()),
        peers: vec![peer],
        problem: None,
    };
    assert_eq!(
        serde_json::to_string(&row).expect("encodes"),
        concat!(
            r#"{"mode":"wireguard","chosen":"wireguard","interface":"holon0","peers":[{"#,
            r#""node":"node2","address":"10.213.77.2:7789","endpoint":"192.0.2.2:7788","#,
            r#""handshake":"fresh","age_s":12}]}"#
        )
    );
    row = EncryptionRow { mode: "none".into(), chosen: "plain".into(), ..EncryptionRow::default() };
    let json = serde_json::to_string(&row).expect("encodes");
    assert_eq!(json, r#"{"mode":"none","chosen":"plain"}"#);
}
