//! Terminals.

use std::{
    io::IsTerminal,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use libc::{POLLHUP, POLLIN};

use crate::{
    peer::{expect, fails, same, told, Peer},
    sys, Case, Outcome,
};

pub(crate) static ALL: &[Case] = &[
    ("tty-modes", tty_modes),
    ("tty-lines", tty_lines),
    ("tty-raw", tty_raw),
    ("tty-flow", tty_flow),
    ("tty-hangup", tty_hangup),
    ("tty-master", tty_master),
    ("tty-groups", tty_groups),
    ("not-a-tty", not_a_tty),
];

const LONG: Duration = Duration::from_secs(10);

fn raw(fd: &OwnedFd, min: u8, time: u8) -> Outcome {
    let mut settings = sys::termios(fd).map_err(told("tcgetattr"))?;
    settings.c_lflag &= !(libc::ICANON | libc::ECHO);
    settings.c_cc[libc::VMIN] = min;
    settings.c_cc[libc::VTIME] = time;
    sys::set_termios(fd, libc::TCSADRAIN, &settings).map_err(told("tcsetattr"))
}

fn tty_modes(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pty-s", libc::O_RDWR)?;
    expect("isatty", remote.fd.as_fd().is_terminal())?;
    let there: Vec<u32> = peer.ask(&format!("flags {}", remote.own))?;
    let here = sys::termios(&remote.fd).map_err(told("tcgetattr"))?;
    same("flags", vec![here.c_lflag, here.c_iflag], there)?;
    raw(&remote.fd, 1, 0)?;
    let there: Vec<u32> = peer.ask(&format!("flags {}", remote.own))?;
    same("raw there", there[0] & (libc::ICANON | libc::ECHO), 0)?;
    let mut size = libc::winsize { ws_row: 33, ws_col: 77, ws_xpixel: 0, ws_ypixel: 0 };
    sys::ioctl(&remote.fd, libc::TIOCSWINSZ, &mut size).map_err(told("TIOCSWINSZ"))?;
    same("size there", peer.tell(&format!("size {}", remote.other))?, "33 77".to_owned())?;
    size.ws_row = 0;
    sys::ioctl(&remote.fd, libc::TIOCGWINSZ, &mut size).map_err(told("TIOCGWINSZ"))?;
    same("size here", (size.ws_row, size.ws_col), (33, 77))?;
    let mut queued = -1;
    sys::ioctl(&remote.fd, libc::TIOCOUTQ, &mut queued).map_err(told("TIOCOUTQ"))?;
    same("queued", queued, 0)?;
    for (name, number) in [("TCFLSH", libc::TCFLSH), ("TCSBRK", libc::TCSBRK)] {
        sys::ioctl_number(&remote.fd, number, 1).map_err(told(name))?;
    }
    fails("unknown", sys::ioctl(&remote.fd, 0x5477, &mut queued), libc::ENOTTY)
}

fn tty_lines(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pty-s", libc::O_RDWR)?;
    peer.tell(&format!("text-after 100 {} half", remote.other))?;
    same(
        "no line yet",
        sys::poll(&remote.fd, POLLIN, Duration::from_millis(300)).map_err(told("poll"))?,
        0,
    )?;
    peer.tell(&format!("text-after 100 {} \\sline\\n", remote.other))?;
    let mut buffer = [0; 100];
    let len = sys::read(&remote.fd, &mut buffer).map_err(told("read"))?;
    same("line", &buffer[..len], b"half line\n")?;
    same("echo", peer.tell(&format!("once {} 100", remote.other))?, "half line\\r\\n".to_owned())?;
    sys::write_all(&remote.fd, b"out\n").map_err(told("write"))?;
    same("output", peer.tell(&format!("once {} 100", remote.other))?, "out\\r\\n".to_owned())?;
    // Ctrl-D alone is the end of the file, once.
    peer.tell(&format!("byte {} 4", remote.other))?;
    same("end", sys::read(&remote.fd, &mut buffer).map_err(told("read"))?, 0)?;
    peer.tell(&format!("text-after 100 {} more\\n", remote.other))?;
    same("after the end", sys::read(&remote.fd, &mut buffer).map_err(told("read"))?, 5)
}

fn tty_raw(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pty-s", libc::O_RDWR)?;
    let mut buffer = [0; 100];
    raw(&remote.fd, 0, 0)?;
    same("at once", sys::read(&remote.fd, &mut buffer).map_err(told("read"))?, 0)?;
    raw(&remote.fd, 0, 5)?;
    let begin = Instant::now();
    same("after half a second", sys::read(&remote.fd, &mut buffer).map_err(told("read"))?, 0)?;
    let ms = begin.elapsed().as_millis();
    expect(&format!("{ms} ms"), (400..2000).contains(&ms))?;
    raw(&remote.fd, 4, 0)?;
    peer.tell(&format!("text-after 50 {} ab", remote.other))?;
    peer.tell("join")?;
    peer.tell(&format!("text-after 400 {} cd", remote.other))?;
    same("four together", sys::read(&remote.fd, &mut buffer).map_err(told("read"))?, 4)?;
    sys::nonblock(&remote.fd, true).map_err(told("nonblock"))?;
    fails("nothing", sys::read(&remote.fd, &mut buffer), libc::EAGAIN)
}

/// Ctrl-S stops output, Ctrl-Q lets it go on; other requests still work meanwhile.
fn tty_flow(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pty-s", libc::O_RDWR)?;
    peer.tell(&format!("byte {} 19", remote.other))?;
    let fd = remote.fd.try_clone().map_err(told("clone"))?;
    let writer = std::thread::spawn(move || sys::write(&fd, b"held back"));
    std::thread::sleep(Duration::from_millis(300));
    expect("waits", !writer.is_finished())?;
    sys::termios(&remote.fd).map_err(told("tcgetattr meanwhile"))?;
    peer.tell(&format!("byte {} 17", remote.other))?;
    same("written", writer.join().map_err(|_| "panicked")?.map_err(told("write"))?, 9)?;
    let mut seen = String::new();
    while seen.len() < 9 {
        seen += &peer.tell(&format!("once {} 100", remote.other))?;
    }
    expect(&seen, seen.ends_with("held back"))?;
    // More than the terminal takes at once.
    let data = vec![b'x'; 100_000];
    peer.tell(&format!("read {} {}", remote.other, data.len()))?;
    sys::write_all(&remote.fd, &data).map_err(told("write"))?;
    let got: Vec<u64> = peer.ask("join")?;
    same("all", got, vec![data.len() as u64, sys::hash(&data)])
}

fn tty_hangup(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pty-s", libc::O_RDWR)?;
    peer.tell(&format!("close-after 300 {}", remote.other))?;
    let mut buffer = [0; 10];
    let end = sys::read(&remote.fd, &mut buffer);
    let ended =
        matches!(&end, Ok(0)) || end.as_ref().is_err_and(|e| e.raw_os_error() == Some(libc::EIO));
    expect(&format!("{end:?}"), ended)?;
    let ready = sys::poll(&remote.fd, POLLIN, LONG).map_err(told("poll"))?;
    same("hang-up", ready & POLLHUP, POLLHUP)?;
    fails("write", sys::write(&remote.fd, b"x"), libc::EIO)
}

fn tty_master(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pty-m", libc::O_RDWR)?;
    sys::write_all(&remote.fd, b"typed\n").map_err(told("write"))?;
    same("typed", peer.tell(&format!("once {} 100", remote.other))?, "typed\\n".to_owned())?;
    let mut buffer = [0; 100];
    let len = sys::read(&remote.fd, &mut buffer).map_err(told("read"))?;
    same("echo", &buffer[..len], b"typed\r\n")?;
    let mut index = -1;
    sys::ioctl(&remote.fd, libc::TIOCGPTN, &mut index).map_err(told("TIOCGPTN"))?;
    expect("index", index >= 0)
}

/// The foreground group is one of the terminal's own node; only groups of its session can be.
fn tty_groups(peer: &mut Peer) -> Outcome {
    let remote = peer.make("session", libc::O_RDWR)?;
    let (mut session, mut group) = (0, 0);
    sys::ioctl(&remote.fd, libc::TIOCGSID, &mut session).map_err(told("TIOCGSID"))?;
    same("session", session, remote.leader)?;
    sys::ioctl(&remote.fd, libc::TIOCGPGRP, &mut group).map_err(told("TIOCGPGRP"))?;
    same("group", group, remote.leader)?;
    sys::ioctl(&remote.fd, libc::TIOCSPGRP, &mut group).map_err(told("TIOCSPGRP"))?;
    for (wrong, errno) in [(4_000_000, libc::ESRCH), (1, libc::EPERM), (-1, libc::ESRCH)] {
        let mut group = wrong;
        let set = sys::ioctl(&remote.fd, libc::TIOCSPGRP, &mut group);
        fails(&format!("group {wrong}"), set, errno)?;
    }
    let other = peer.make("pty-s", libc::O_RDWR)?;
    fails("no session", sys::ioctl(&other.fd, libc::TIOCGSID, &mut session), libc::ENOTTY)
}

fn not_a_tty(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pipe-r", libc::O_RDONLY)?;
    expect("isatty", !remote.fd.as_fd().is_terminal())?;
    peer.tell(&format!("write {} 1000 1", remote.other))?;
    peer.tell("join")?;
    let mut unread = -1;
    sys::ioctl(&remote.fd, libc::FIONREAD, &mut unread).map_err(told("FIONREAD"))?;
    same("unread", unread, 1000)
}
