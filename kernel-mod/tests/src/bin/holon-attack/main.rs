//! A node of the cluster that turns hostile: `holon-attack FROM TO PORT COUNT`, its address, that
//! of the victim, Holon's port (and the next, for what is urgent), and how many datagrams to say.
//!
//! It listens to what the module of its own node says to the victim, and says that again with one
//! thing changed: so the session is a good one, and the checksum right. Messages of the daemon are
//! let be: whoever may speak for it can have the cluster do anything, and that is no fault of the
//! module's. Prints how many it said of each kind.

mod sys;

use std::{collections::BTreeMap, env, net::Ipv4Addr, process::ExitCode};

use holon_simkit::{
    mutate::{mutate, put, EDGES},
    Rng,
};
use netproto::{
    wire::{checksum, DatagramKind},
    Kind,
};
use sys::{Ears, Mouth};

/// What is said of each datagram that is heard.
const VARIANTS: u64 = 8;
/// Holon's part of a header that all kinds have, and where in it things are.
const FRONT_LEN: usize = 32;
const KIND: usize = 5;
const PACKET: usize = 16;
const BODY_LEN: usize = 24;
const CHECKSUM: usize = 28;
/// Places of header fields that are numbers.
const FIELDS: [usize; 8] = [6, 7, 8, 12, 16, 26, 32, 36];
/// A UDP datagram's header.
const UDP_LEN: usize = 8;
/// Longer ones don't fit the path.
const SAID_MAX: usize = 1400;

fn number(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + width)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

/// The first datagram of Holon's in an IP packet between these, and its port; bursts are heard as
/// one packet.
fn first(packet: &[u8], from: Ipv4Addr, to: Ipv4Addr, port: u16) -> Option<(u16, &[u8])> {
    let udp = packet.get(usize::from(packet.first()? & 15) * 4..)?;
    let said_to = u16::from_be_bytes(udp.get(2..4)?.try_into().ok()?);
    let is_ours = packet.first()? >> 4 == 4
        && packet.get(8) != Some(&sys::TTL)
        && packet.get(9) == Some(&17)
        && packet.get(12..16) == Some(&from.octets())
        && packet.get(16..20) == Some(&to.octets())
        && (said_to == port || Some(said_to) == port.checked_add(1));
    let said = udp.get(UDP_LEN..).filter(|_| is_ours)?;
    let kind = DatagramKind::from_number(*said.get(KIND)?)?;
    Some((said_to, said.get(..kind.header_len() + number(said, BODY_LEN, 2)?)?))
}

/// Whether it has a part of a message of the daemon, or frames that this does not know.
fn is_daemons(datagram: &[u8]) -> bool {
    if datagram.get(KIND) != Some(&DatagramKind::Link.number()) {
        return false;
    }
    let mut at = DatagramKind::Link.header_len();
    while let Some(frame) = datagram.get(at..).filter(|frame| !frame.is_empty()) {
        let len = match frame[0] {
            1 if number(frame, 2, 2) == Some(Kind::DAEMON.0.into()) => return true,
            1 => number(frame, 20, 2).map(|len| 22 + len),
            2 => number(frame, 1, 1).map(|more| 16 + 8 * more),
            3 => Some(20),
            4 | 5 => Some(12),
            _ => None,
        };
        match len {
            Some(len) => at += len,
            None => return true,
        }
    }
    false
}

/// As if it came next: what was said already is not looked at again.
fn as_next(bytes: &mut [u8], rng: &mut Rng) {
    let body = DatagramKind::Link.header_len();
    if bytes.get(KIND) != Some(&DatagramKind::Link.number()) {
        return;
    }
    raise(bytes, PACKET, 1 + rng.below(64));
    // A part of a message: its number.
    if bytes.get(body) == Some(&1) {
        raise(bytes, body + 4, 1 + rng.below(3));
    }
}

fn raise(bytes: &mut [u8], at: usize, by: u64) {
    let before = number(bytes, at, 8).unwrap_or(0) as u64;
    put(bytes, at, 8, before.wrapping_add(by));
}

/// One thing is changed: in what it says, or in its header; or nothing, so it is said twice.
fn changed(good: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = good.to_vec();
    if rng.coin() {
        as_next(&mut bytes, rng);
    }
    let header_len = |bytes: &[u8]| {
        let kind = bytes.get(KIND).and_then(|kind| DatagramKind::from_number(*kind));
        kind.map_or(FRONT_LEN, DatagramKind::header_len).min(bytes.len())
    };
    match rng.below(8) {
        0 => put(&mut bytes, rng.pick(&FIELDS), rng.pick(&[1, 2, 4, 8]), rng.pick(&EDGES)),
        1 => bytes[KIND] = rng.byte(),
        2 => (),
        _ => {
            let mut body = bytes.split_off(header_len(&bytes));
            mutate(&mut body, rng);
            bytes.extend(body);
        }
    }
    bytes.truncate(SAID_MAX);
    let body_len = bytes.len() - header_len(&bytes);
    put(&mut bytes, BODY_LEN, 2, body_len as u64);
    let sum = checksum(&[&bytes[..CHECKSUM], &bytes[FRONT_LEN.min(bytes.len())..]]);
    put(&mut bytes, CHECKSUM, 4, sum.into());
    bytes
}

fn udp(port: u16, said: &[u8]) -> Vec<u8> {
    let len = (UDP_LEN + said.len()) as u16;
    // Without a checksum: that is allowed.
    let mut bytes: Vec<u8> = [port, port, len, 0].iter().flat_map(|n| n.to_be_bytes()).collect();
    bytes.extend(said);
    bytes
}

fn attack(words: &[String]) -> Result<BTreeMap<u8, u64>, String> {
    let [from, to, port, count] = words else {
        return Err("usage: holon-attack FROM TO PORT COUNT".into());
    };
    let address = |word: &String| word.parse::<Ipv4Addr>().map_err(|e| format!("{word}: {e}"));
    let (from, to) = (address(from)?, address(to)?);
    let port = port.parse::<u16>().map_err(|e| format!("{port}: {e}"))?;
    let count = count.parse::<u64>().map_err(|e| format!("{count}: {e}"))?;
    let ears = Ears::open().map_err(|e| format!("to listen: {e}"))?;
    let mouth = Mouth::open(from, to).map_err(|e| format!("to speak: {e}"))?;
    let (mut rng, mut said, mut total) = (Rng::new(count), BTreeMap::new(), 0);
    let mut packet = vec![0; 1 << 17];
    while total < count {
        let len = ears.hear(&mut packet).map_err(|e| format!("hears nothing: {e}"))?;
        let heard = first(&packet[..len], from, to, port);
        let Some((port, good)) = heard.filter(|(_, good)| !is_daemons(good)) else { continue };
        for _ in 0..VARIANTS {
            // A full queue is no reason to end.
            let _ = mouth.say(&udp(port, &changed(good, &mut rng)));
        }
        total += VARIANTS;
        *said.entry(good[KIND]).or_insert(0) += VARIANTS;
    }
    Ok(said)
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    match attack(&words) {
        Ok(said) => {
            said.iter().for_each(|(kind, count)| println!("kind {kind} said {count}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("holon-attack: {error}");
            ExitCode::FAILURE
        }
    }
}
