//! Calls `/dev/holon` by hand: `holon-devtest COMMAND [ARGUMENT…]`.

mod abuse;
mod device;

use std::{
    env, io,
    net::Ipv4Addr,
    process::ExitCode,
    time::{Duration, Instant},
};

use device::{fixed, text, Device};
use holon_uapi::{base, event};
use zerocopy::{FromBytes, FromZeros};

type Outcome = Result<(), String>;

fn os(what: &str) -> impl Fn(io::Error) -> String + '_ {
    move |error| format!("{what}: {error}")
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text}: not a number"))
}

fn version(device: &Device) -> Outcome {
    let mut version = base::Version::new_zeroed();
    device.call(base::VERSION, &mut version).map_err(os("version"))?;
    println!("abi {} module {}", version.abi, version.module_version);
    Ok(())
}

fn config(device: &Device, slot: &str, port: &str, timescale: &str, name: &str) -> Outcome {
    let mut config = base::Config {
        slot: number(slot)?,
        timescale: number(timescale)?,
        port: number(port)?,
        name: fixed(name),
        ..base::Config::new_zeroed()
    };
    device.call(base::CONFIG, &mut config).map(drop).map_err(os("config"))
}

fn peer(device: &Device, slot: &str, ip: &str, name: &str) -> Outcome {
    let ip: Ipv4Addr = number(ip)?;
    let mut peer = base::PeerAdd {
        slot: number(slot)?,
        ipv4: ip.octets(),
        name: fixed(name),
        ..base::PeerAdd::new_zeroed()
    };
    device.call(base::PEER_ADD, &mut peer).map(drop).map_err(os("peer"))
}

fn list<T: FromZeros + Clone>(device: &Device, number: u32) -> Result<Vec<T>, String> {
    let mut entries = vec![T::new_zeroed(); 128];
    let mut list = base::List { ptr: entries.as_mut_ptr().addr() as u64, count: 128, flags: 0 };
    device.call(number, &mut list).map_err(os("list"))?;
    entries.truncate(list.count as usize);
    Ok(entries)
}

fn peers(device: &Device) -> Outcome {
    for peer in list::<base::Peer>(device, base::PEER_LIST)? {
        let state = ["connecting", "up", "down"][peer.state as usize];
        println!("peer {} {} {state} rtt {} us", peer.slot, text(&peer.name), peer.rtt_us);
    }
    Ok(())
}

/// Waits until the peers that are up are this many.
fn wait_up(device: &Device, wanted: &str, seconds: &str) -> Outcome {
    let wanted: usize = number(wanted)?;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(number(seconds)?) {
        let peers = list::<base::Peer>(device, base::PEER_LIST)?;
        if peers.iter().filter(|peer| peer.state == base::PEER_UP).count() == wanted {
            println!("{wanted} up after {} ms", begin.elapsed().as_millis());
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    peers(device)?;
    Err(format!("not {wanted} peers up"))
}

fn stats(device: &Device) -> Outcome {
    for counter in list::<base::Counter>(device, base::STATS)? {
        println!("{} {}", text(&counter.name), counter.value);
    }
    Ok(())
}

fn send(device: &Device, slot: &str, message: &[u8]) -> Outcome {
    let mut send = base::Send {
        slot: number(slot)?,
        len: u32::try_from(message.len()).map_err(|_| "too long")?,
        ptr: message.as_ptr().addr() as u64,
        ..base::Send::new_zeroed()
    };
    device.call(base::SEND, &mut send).map(drop).map_err(os("send"))
}

/// Sends messages of a length that keep the queue full.
fn flood(device: &Device, slot: &str, count: &str, len: &str) -> Outcome {
    let message = vec![0x5a; number(len)?];
    let begin = Instant::now();
    let mut busy = 0_u64;
    for _ in 0..number::<u64>(count)? {
        while let Err(error) = send(device, slot, &message) {
            if !error.contains("os error 11") {
                return Err(error);
            }
            busy += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    println!("{count} x {len} bytes in {} ms, busy {busy}", begin.elapsed().as_millis());
    Ok(())
}

/// Measures the transport; only with a module that has its self-tests.
fn measure(device: &Device, op: u64, arguments: &[&str]) -> Result<[u64; 6], String> {
    let mut test = base::NetTest { op, arg: [0; 6] };
    for (place, argument) in test.arg.iter_mut().zip(arguments) {
        *place = number(argument)?;
    }
    device.call(base::NET_TEST, &mut test).map_err(os("measure"))?;
    Ok(test.arg)
}

fn flow(device: &Device, arguments: &[&str]) -> Outcome {
    let [_, count, len, ns, ..] = measure(device, base::NET_FLOW, arguments)?;
    println!("mbit_s {:.1}", (count * len * 8) as f64 * 1e3 / ns.max(1) as f64);
    Ok(())
}

fn ask(device: &Device, arguments: &[&str]) -> Outcome {
    let [.., median, p99] = measure(device, base::NET_ASK, arguments)?;
    println!("median_us {:.1} p99_us {:.1}", median as f64 / 1e3, p99 as f64 / 1e3);
    Ok(())
}

fn print_events(mut bytes: &[u8]) -> Result<u64, String> {
    let mut count = 0;
    while !bytes.is_empty() {
        let (head, rest) = event::Head::read_from_prefix(bytes).map_err(|_| "short event")?;
        let (payload, rest) = rest.split_at(head.len.get() as usize);
        bytes = rest;
        count += 1;
        let slot = head.slot;
        match head.kind.get() {
            event::PEER_UP => println!("event: peer {slot} up"),
            event::PEER_DOWN => {
                let down = event::PeerDown::read_from_bytes(payload).map_err(|_| "bad event")?;
                println!("event: peer {slot} down, reason {}", down.reason);
            }
            event::MESSAGE if payload.len() < 100 => {
                println!("event: from {slot}: {}", String::from_utf8_lossy(payload));
            }
            event::MESSAGE => println!("event: from {slot}: {} bytes", payload.len()),
            other => println!("event: kind {other} slot {slot}"),
        }
    }
    Ok(count)
}

/// Becomes the daemon and prints events for some seconds.
fn listen(device: &mut Device, seconds: &str) -> Outcome {
    device.call_raw(base::ATTACH_DAEMON, 0).map_err(os("attach"))?;
    let end = Instant::now() + Duration::from_secs(number(seconds)?);
    let mut buffer = vec![0; 1 << 17];
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        if device.poll(left).map_err(os("poll"))? {
            let len = device.read(&mut buffer).map_err(os("read"))?;
            print_events(&buffer[..len])?;
        }
    }
    Ok(())
}

fn quiesce(device: &Device) -> Outcome {
    let mut report = base::Quiesce::new_zeroed();
    let result = device.call(base::QUIESCE, &mut report);
    for held in &report.held[..report.count as usize] {
        println!("{} {}", text(&held.name), held.count);
    }
    result.map(drop).map_err(os("quiesce"))
}

fn run(arguments: &[&str]) -> Outcome {
    let mut device = Device::open().map_err(os("/dev/holon"))?;
    match arguments {
        ["version"] => version(&device),
        ["config", slot, port, timescale, name] => config(&device, slot, port, timescale, name),
        ["peer", slot, ip, name] => peer(&device, slot, ip, name),
        ["peers"] => peers(&device),
        ["wait-up", wanted, seconds] => wait_up(&device, wanted, seconds),
        ["stats"] => stats(&device),
        ["send", slot, message] => send(&device, slot, message.as_bytes()),
        ["flood", slot, count, len] => flood(&device, slot, count, len),
        ["listen", seconds] => listen(&mut device, seconds),
        ["flow", arguments @ ..] if arguments.len() == 3 => flow(&device, arguments),
        ["ask", arguments @ ..] if arguments.len() == 4 => ask(&device, arguments),
        ["quiesce"] => quiesce(&device),
        ["bad-ioctls"] => abuse::ioctls(&device),
        ["bad-packets", ip, port, count] => {
            abuse::packets(number(ip)?, number(port)?, number(count)?).map_err(os("packets"))
        }
        _ => Err("unknown command".to_owned()),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("holon-devtest: {error}");
            ExitCode::FAILURE
        }
    }
}
