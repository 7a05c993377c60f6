//! Which commands come of what there is.

use super::super::tests::config;
use super::*;
use crate::wire::key;

const SECRET: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

/// As iproute2 prints it.
const LINKS: &str = r#"[
    {"ifindex":1,"ifname":"lo","flags":["LOOPBACK"],"mtu":65536,
     "addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host"},
                  {"family":"inet6","local":"::1","prefixlen":128}]},
    {"ifindex":3,"ifname":"eth1","mtu":1500,"linkinfo":{},
     "addr_info":[{"family":"inet","local":"10.77.0.1","prefixlen":24}]},
    {}]"#;

fn links(more: &str) -> Vec<Link> {
    let mut all: Vec<Link> = serde_json::from_str(LINKS).expect("a list");
    if !more.is_empty() {
        all.push(serde_json::from_str(more).expect("a link"));
    }
    all
}

fn ours_with(addresses: &str, kind: &str) -> Vec<Link> {
    links(&format!(
        r#"{{"ifindex":7,"ifname":"holon0","mtu":1420,"linkinfo":{{"info_kind":"{kind}"}},
            "addr_info":[{addresses}]}}"#
    ))
}

fn planned(links: &[Link], index: Option<u32>) -> Result<Vec<String>, Problem> {
    let calls = commands(&config(), links, 1420, index, &key::tests::private(SECRET))?;
    Ok(calls.iter().map(ToString::to_string).collect())
}

const WALL: &str = "ip route replace blackhole 10.213.77.0/24 metric 65535 proto 177";
const REST: [&str; 3] = [
    "ip link set dev holon0 mtu 1420",
    "wg syncconf holon0 /dev/stdin",
    "ip link set dev holon0 up",
];

#[test]
fn an_interface_is_made_from_nothing() {
    let calls = planned(&links(""), None).expect("a plan");
    let first = [
        "ip link add name holon0 type wireguard",
        WALL,
        "ip address add 10.213.77.1/24 dev holon0",
    ];
    assert_eq!(calls, [&first[..], &REST].concat());
    let again = planned(&links(""), Some(7)).expect("a plan");
    assert_eq!(again[0], "ip link add name holon0 index 7 type wireguard");
}

#[test]
fn what_is_there_stays() {
    let right = r#"{"family":"inet","local":"10.213.77.1","prefixlen":24}"#;
    let calls = planned(&ours_with(right, "wireguard"), Some(7)).expect("a plan");
    assert_eq!(calls, [&[WALL][..], &REST].concat());
    let old = r#"{"family":"inet","local":"10.9.9.1","prefixlen":24}"#;
    let calls = planned(&ours_with(old, "wireguard"), None).expect("a plan");
    let first =
        [WALL, "ip address del 10.9.9.1/24 dev holon0", "ip address add 10.213.77.1/24 dev holon0"];
    assert_eq!(calls, [&first[..], &REST].concat());
}

#[test]
fn what_belongs_to_others_is_refused_by_name() {
    assert_eq!(planned(&ours_with("", "dummy"), None), Err(Problem::NotOurs));
    let taken = links(
        r#"{"ifindex":9,"ifname":"docker0","mtu":1500,
            "addr_info":[{"family":"inet","local":"10.213.0.1","prefixlen":16}]}"#,
    );
    let problem = planned(&taken, None).expect_err("taken");
    assert_eq!(problem, Problem::AddressTaken("docker0".into(), Network::default()));
    assert!(problem.to_string().contains("docker0 has an address in 10.213.77.0/24"), "{problem}");
}

#[test]
fn peers_may_speak_for_themselves_alone() {
    let text = settings(&config(), &key::tests::private(SECRET));
    assert_eq!(
        text,
        format!(
            "[Interface]\nPrivateKey = {SECRET}\nListenPort = 7788\n\
             [Peer]\nPublicKey = AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n\
             AllowedIPs = 10.213.77.2/32\nEndpoint = 10.77.0.2:7788\n\
             [Peer]\nPublicKey = AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n\
             AllowedIPs = 10.213.77.3/32\nEndpoint = 10.77.0.3:7788\n"
        )
    );
}

#[test]
fn the_key_is_in_no_argument() {
    let calls = commands(&config(), &links(""), 1420, None, &key::tests::private(SECRET));
    let shown = format!("{calls:?}");
    assert!(shown.contains("syncconf") && !shown.contains(SECRET), "{shown}");
}

#[test]
fn the_tunnel_fits_the_narrowest_way() {
    let all = links(r#"{"ifindex":4,"ifname":"eth2","mtu":9000}"#);
    let of = |text: &str| mtu(&all, &serde_json::from_str::<Vec<Route>>(text).expect("routes"));
    assert_eq!(of("[]"), 1420);
    assert_eq!(of(r#"[{"dst":"10.77.0.2","dev":"eth1"}]"#), 1420);
    assert_eq!(of(r#"[{"dev":"eth2","metrics":[]}]"#), 8920);
    assert_eq!(of(r#"[{"dev":"eth2"},{"dev":"eth1"}]"#), 1420);
    assert_eq!(of(r#"[{"dev":"eth2","metrics":[{"mtu":1400}]}]"#), 1320);
    assert_eq!(of(r#"[{"dev":"lo"}]"#), 8988);
    assert_eq!(of(r#"[{"dev":"eth1","metrics":[{"mtu":576}]}]"#), 576);
    assert_eq!((payload(1420), payload(576), payload(8988)), (1392, 548, 8960));
}

#[test]
fn failures_get_their_names() {
    let failed = |command: &str, said: &str| Problem::Failed(command.into(), said.into());
    let add = "ip link add name holon0 type wireguard";
    let name = |problem| explain(problem, 7788).name();
    assert_eq!(name(failed(add, "Error: Unknown device type.")), "no-wireguard");
    assert_eq!(name(failed(add, "RTNETLINK answers: Operation not supported")), "no-wireguard");
    let up = failed("ip link set dev holon0 up", "RTNETLINK answers: Address already in use");
    assert_eq!(explain(up, 7788), Problem::PortTaken(7788));
    assert_eq!(name(failed(add, "RTNETLINK answers: File exists")), "command-failed");
    assert_eq!(name(Problem::Gone), "interface-gone");
}
