//! Poll, epoll, and the loss of the other node.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use libc::{POLLERR, POLLHUP, POLLIN, POLLOUT};

use crate::{
    peer::{expect, fails, same, told, Peer},
    sys, Case, Outcome,
};

pub(crate) static ALL: &[Case] = &[
    ("poll-read", poll_read),
    ("poll-write", poll_write),
    ("poll-ends", poll_ends),
    ("poll-stolen", poll_stolen),
    ("epoll", epoll),
];

const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(10);

fn poll(fd: &OwnedFd, events: i16, timeout: Duration) -> Result<i16, String> {
    sys::poll(fd, events, timeout).map_err(told("poll"))
}

fn poll_read(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pipe-r", libc::O_RDONLY)?;
    same("nothing yet", poll(&remote.fd, POLLIN, NOW)?, 0)?;
    same("still nothing", poll(&remote.fd, POLLIN, Duration::from_millis(200))?, 0)?;
    for round in 0..20 {
        let begin = Instant::now();
        peer.tell(&format!("text-after 50 {} abc", remote.other))?;
        same("ready", poll(&remote.fd, POLLIN, LONG)?, POLLIN)?;
        expect("at once", begin.elapsed() < Duration::from_secs(2))?;
        same("ready still", poll(&remote.fd, POLLIN, NOW)?, POLLIN)?;
        let len = sys::read(&remote.fd, &mut [0; 16]).map_err(told("read"))?;
        same(&format!("round {round}"), len, 3)?;
        same("empty", poll(&remote.fd, POLLIN, NOW)?, 0)?;
    }
    Ok(())
}

fn poll_write(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pipe-w", libc::O_WRONLY | libc::O_NONBLOCK)?;
    same("room", poll(&remote.fd, POLLOUT, NOW)?, POLLOUT)?;
    while sys::write(&remote.fd, &[0; 4096]).is_ok() {}
    same("full", poll(&remote.fd, POLLOUT, Duration::from_millis(100))?, 0)?;
    peer.tell(&format!("read {} 65536", remote.other))?;
    same("room again", poll(&remote.fd, POLLOUT, LONG)?, POLLOUT)
}

fn poll_ends(peer: &mut Peer) -> Outcome {
    let reader = peer.make("pipe-r", libc::O_RDONLY)?;
    peer.tell(&format!("close-after 300 {}", reader.other))?;
    same("hang-up", poll(&reader.fd, POLLIN, LONG)?, POLLHUP)?;
    let writer = peer.make("pipe-w", libc::O_WRONLY)?;
    peer.tell(&format!("close-after 300 {}", writer.other))?;
    same("error", poll(&writer.fd, 0, LONG)?, POLLERR)
}

/// What was ready when it was last told may have been taken by somebody else.
fn poll_stolen(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pipe-r", libc::O_RDONLY)?;
    peer.tell(&format!("byte {} 65", remote.other))?;
    same("ready", poll(&remote.fd, POLLIN, LONG)?, POLLIN)?;
    peer.tell(&format!("once {} 10", remote.own))?;
    same("stolen", poll(&remote.fd, POLLIN, NOW)?, 0)
}

fn epoll(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pipe-r", libc::O_RDONLY)?;
    // SAFETY: no memory is involved.
    let set = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: 7 };
    // SAFETY: a complete structure.
    let added =
        unsafe { libc::epoll_ctl(set, libc::EPOLL_CTL_ADD, remote.fd.as_raw_fd(), &mut event) };
    same("add", added, 0)?;
    let wait = |timeout_ms| {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: room for one event.
        unsafe { libc::epoll_wait(set, &mut event, 1, timeout_ms) }
    };
    same("nothing", wait(100), 0)?;
    for round in 0..10 {
        peer.tell(&format!("text-after 30 {} edge", remote.other))?;
        same(&format!("edge {round}"), wait(5000), 1)?;
        same("no second edge", wait(50), 0)?;
    }
    let got = sys::read_to(&remote.fd, 40).map_err(told("read"))?;
    // SAFETY: ours.
    unsafe { libc::close(set) };
    same("bytes", got.len(), 40)
}

/// Keeps the only write end of a pipe there, until this node is killed.
pub(crate) fn hold(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pipe-w", libc::O_WRONLY)?;
    sys::write_all(&remote.fd, b"last words").map_err(told("write"))?;
    peer.tell(&format!("close {}", remote.own))?;
    peer.tell(&format!("say-end {}", remote.other))?;
    println!("holding");
    loop {
        thread::park();
    }
}

/// The agent's node is to be killed now: whoever waits must hear of it.
pub(crate) fn wait_lost(peer: &mut Peer) -> Outcome {
    let reader = peer.make("pipe-r", libc::O_RDONLY)?;
    let polled = peer.again(&reader, libc::O_RDONLY).map_err(told("open"))?;
    let writer = peer.make("pipe-w", libc::O_WRONLY)?;
    let poller = thread::spawn(move || (sys::poll(&polled, POLLIN, LONG * 6), polled));
    let blocked = writer.fd.try_clone().map_err(told("clone"))?;
    let filler = thread::spawn(move || -> io::Result<()> {
        loop {
            sys::write(&blocked, &[0; 4096])?;
        }
    });
    println!("waiting for the loss");
    let begin = Instant::now();
    fails("blocked read", sys::read(&reader.fd, &mut [0; 16]), libc::EIO)?;
    println!("lost after {} ms", begin.elapsed().as_millis());
    let (ready, polled) = poller.join().map_err(|_| "panicked")?;
    let ready = ready.map_err(told("poll"))?;
    same("poll", ready & (POLLERR | POLLHUP), POLLERR | POLLHUP)?;
    let filled = filler.join().map_err(|_| "panicked")?;
    fails("blocked write", filled, libc::EIO)?;
    same("poll later", poll(&polled, POLLIN, NOW)? & POLLERR, POLLERR)?;
    fails("read later", sys::read(&polled, &mut [0; 16]), libc::EIO)?;
    fails("write later", sys::write(&writer.fd, b"x"), libc::EIO)?;
    println!("ok   wait-lost");
    Ok(())
}
