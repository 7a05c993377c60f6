//! What nodes.toml may say, and what is said of what it may not.

use super::*;

const GOOD: &str = r#"
    [holon]
    port = 7789
    timescale = 4
    place = ["cc1"]
    encryption = "plain"
    [[node]]
    slot = 1
    name = "node2"
    addr = "10.1.0.2:9"
    [[node]]
    slot = 0
    name = "node1"
    addr = "10.1.0.1"
"#;

const SEALED: &str = r#"
    [[node]]
    slot = 0
    name = "node1"
    addr = "10.1.0.1"
    key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
    [[node]]
    slot = 5
    name = "node2"
    addr = "[2001:db8::2]:65535"
    key = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
"#;

fn wrong(text: &str, host: &str, what: &str) {
    let error = Config::parse(text, host).expect_err("bad");
    let error = format!("{error:#}");
    assert!(error.contains(what), "{error}");
}

#[test]
fn finds_itself() {
    let config = Config::parse(GOOD, "node2.example.org").expect("good");
    assert_eq!((config.own, config.timescale, config.nodes.len()), (1, 4, 2));
    assert_eq!(config.nodes[0].addr, "10.1.0.1:7789".parse().expect("an address"));
    assert_eq!(config.own_node().addr.port(), 9);
    assert_eq!(config.scaled(Duration::from_secs(1)), Duration::from_secs(4));
    assert_eq!(config.encryption, Encryption::Plain);
    assert!(config.nodes.iter().all(|node| node.addr == node.outer));
}

#[test]
fn says_what_is_wrong() {
    wrong(GOOD, "node7", "node7");
    wrong(&GOOD.replace("slot = 1", "slot = 0"), "node1", "twice");
    wrong(&GOOD.replace("slot = 1", "slot = 64"), "node1", "64");
    wrong(&GOOD.replace("node2", "node1"), "node1", "another");
    wrong(&GOOD.replace("10.1.0.2:9", "10.1.0.1"), "node1", "another");
    wrong(&GOOD.replace("timescale = 4", "timescale = 0"), "node1", "timescale");
    wrong(&GOOD.replace("timescale", "timescales"), "node1", "timescales");
    wrong(&GOOD.replace("node2", "a b"), "node1", "name");
    wrong(&GOOD.replace("plain", "rot13"), "node1", "rot13");
    wrong("", "node1", "node1");
}

#[test]
fn majority_of_the_configured() {
    let config = Config::parse(GOOD, "node1").expect("good");
    assert!(!config.is_majority(1));
    assert!(config.is_majority(2));
}

#[test]
fn without_a_choice_traffic_is_encrypted() {
    let config = Config::parse(SEALED, "node1").expect("good");
    assert_eq!(config.encryption, Encryption::Wireguard);
    let node = |slot| config.node(slot).expect("a node");
    let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
    assert_eq!((node(0).addr, node(0).outer), (at("10.213.77.1:7789"), at("10.1.0.1:7788")));
    // The highest port has none above it.
    assert_eq!(node(5).addr, at("10.213.77.6:65534"));
    assert_eq!(node(5).outer, at("[2001:db8::2]:65535"));
}

#[test]
fn a_node_without_a_key_is_named() {
    let open = GOOD.replace("encryption = \"plain\"", "");
    wrong(&open, "node1", "no key for node1, node2");
    wrong(&open, "node1", "holond key");
    wrong(&open, "node1", "encryption = \"plain\"");
    let one = SEALED.replace("key = \"AQ", "# key = \"AQ");
    wrong(&one, "node2", "no key for node1:");
}

#[test]
fn bad_keys_and_networks_are_refused() {
    let first = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    let second = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    wrong(&SEALED.replace(second, first), "node1", "node2 has the key of node1");
    wrong(&SEALED.replace(second, "short"), "node1", "the key of node2");
    let with = |line: &str| format!("[holon]\nnetwork = \"{line}\"\n{SEALED}");
    wrong(&with("10.1.0.0/24"), "node1", "node1 is at 10.1.0.1");
    wrong(&with("10.1.0.0"), "node1", "10.1.0.0");
    let config = Config::parse(&with("172.20.5.128/25"), "node1").expect("good");
    assert_eq!(config.node(5).expect("a node").addr.ip().to_string(), "172.20.5.134");
}

#[test]
fn a_file_that_anybody_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::temp_dir().join(format!("holon-nodes-{}.toml", std::process::id()));
    fs::write(&path, GOOD).expect("writes");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("chmod");
    let error = Config::load(&path).expect_err("refused");
    assert!(error.to_string().contains("chmod o-w"), "{error}");
    let _ = fs::remove_file(&path);
}

#[test]
fn remote_memory() {
    let of = |table: &str| Config::parse(&format!("{GOOD}\n[memory]\n{table}"), "node1");
    let all = "scope = \"all\"\ncopies = 2\njob_max_mb = 1\nlend_max_mb = 2\nlend_keep_mb = 3\n\
               lend_owner_max_mb = 4\nlost_after_ms = 9000";
    let memory = of(all).expect("good").memory;
    assert_eq!((memory.scope, memory.copies), (Some(Scope::All), Some(2)));
    assert_eq!((memory.job_max_mb, memory.lend_max_mb), (Some(1), Some(2)));
    assert_eq!((memory.lend_keep_mb, memory.lend_owner_max_mb), (Some(3), Some(4)));
    assert_eq!(memory.lost_after, Duration::from_secs(9));
    assert_eq!(of("").expect("good").memory, MemoryConfig::default());
    for (table, what) in [
        ("copies = 3", "copies must be 1 or 2"),
        ("copies = 0", "copies must be 1 or 2"),
        ("lost_after_ms = 1", "lost_after_ms must be"),
        ("scope = \"some\"", "scope"),
        ("lend_max = 1", "lend_max"),
        ("lend_max_mb = -1", "lend_max_mb"),
    ] {
        wrong(&format!("{GOOD}\n[memory]\n{table}"), "node1", what);
    }
}
