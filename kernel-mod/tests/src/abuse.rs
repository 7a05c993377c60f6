//! What must be refused: malformed calls, and garbage at the port.

use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
};

use holon_simkit::Rng;
use holon_uapi::base;
use zerocopy::FromZeros;

use crate::device::Device;

/// All runs send the same.
const SEED: u64 = 1;

fn expect(what: &str, got: io::Result<i32>, errno: i32) -> Result<(), String> {
    match got {
        Err(error) if error.raw_os_error() == Some(errno) => Ok(()),
        other => Err(format!("{what}: {other:?} instead of errno {errno}")),
    }
}

/// Makes calls that must fail, each with one certain error.
pub(crate) fn ioctls(device: &Device) -> Result<(), String> {
    expect("unknown number", device.call_raw(0x4821, 0), libc::ENOTTY)?;
    for number in (0..=u16::MAX).map(|low| u32::from(low) | 0xc010_0000) {
        if number != base::PEER_LIST && number != base::STATS && number & 0xff00 != 0x4800 {
            expect("any number", device.call_raw(number, 1), libc::ENOTTY)?;
        }
    }
    expect("version to null", device.call_raw(base::VERSION, 0), libc::EFAULT)?;
    expect("version to the kernel", device.call_raw(base::VERSION, !0xfff), libc::EFAULT)?;
    expect("config from nowhere", device.call_raw(base::CONFIG, 0x10), libc::EFAULT)?;
    let mut config = base::Config::new_zeroed();
    expect("config without port", device.call(base::CONFIG, &mut config), libc::EINVAL)?;
    config.port = 7788;
    expect("config without timescale", device.call(base::CONFIG, &mut config), libc::EINVAL)?;
    config.slot = 64;
    expect("config of slot 64", device.call(base::CONFIG, &mut config), libc::EINVAL)?;
    let mut peer = base::PeerAdd::new_zeroed();
    peer.flags = 1;
    expect("peer with flags", device.call(base::PEER_ADD, &mut peer), libc::EINVAL)?;
    let mut send = base::Send::new_zeroed();
    send.len = u32::MAX;
    expect("send of 4 GiB", device.call(base::SEND, &mut send), libc::E2BIG)?;
    send.len = 10;
    expect("send from null", device.call(base::SEND, &mut send), libc::EFAULT)?;
    let mut list = base::List { ptr: 8, count: 4, flags: 0 };
    expect("stats to nowhere", device.call(base::STATS, &mut list), libc::EFAULT)?;
    list.flags = 4;
    expect("stats with flags", device.call(base::STATS, &mut list), libc::EINVAL)
}

/// Sends `count` datagrams of all lengths to a port: random bytes, and some that begin well.
pub(crate) fn packets(ip: Ipv4Addr, port: u16, count: u64) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let mut rng = Rng::new(SEED);
    let mut bytes = vec![0; 20_000];
    for round in 0..count {
        bytes.iter_mut().for_each(|byte| *byte = rng.byte());
        if round % 2 == 0 {
            let (kind, class) = (rng.pick(&[1, 2, 3, 4, 5]), rng.pick(&[0, 1, 2, 3]));
            bytes[..8].copy_from_slice(&[b'H', b'O', b'L', b'N', 1, kind, class, 0]);
        }
        let len = match round % 8 {
            0 => 0,
            1 => 20_000,
            2 => 64,
            _ => rng.index(9000),
        };
        // A full socket loses the datagram, which does not matter here.
        let _ = socket.send_to(&bytes[..len], (ip, port));
    }
    Ok(())
}
