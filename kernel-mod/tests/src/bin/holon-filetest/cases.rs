//! Reading, writing, and the ends of pipes and files.

use std::{
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    peer::{expect, fails, same, told, Peer, Remote},
    sys, Case, Outcome,
};

const MIB: usize = 1 << 20;

pub(crate) static ALL: &[Case] = &[
    ("pipe-read", pipe_read),
    ("pipe-write", pipe_write),
    ("records", records),
    ("nonblock", nonblock),
    ("interrupted", interrupted),
    ("restarted", restarted),
    ("killed", killed),
    ("broken-pipe", broken_pipe),
    ("many-readers", many_readers),
    ("tokens", tokens),
    ("unlinked", unlinked),
    ("status", status),
    ("reopen", reopen),
    ("home", home),
    ("refusals", refusals),
];

/// What the agent read must be what we wrote.
fn check_read(peer: &mut Peer, sent: &[u8]) -> Outcome {
    let got: Vec<u64> = peer.ask("join")?;
    same("bytes and checksum", got, vec![sent.len() as u64, sys::hash(sent)])
}

fn pipe_read(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pipe-r", libc::O_RDONLY)?;
    peer.tell(&format!("write {} {} 7", remote.other, 4 * MIB))?;
    let begin = Instant::now();
    let got = sys::read_to(&remote.fd, 4 * MIB).map_err(told("read"))?;
    println!("     4 MiB read in {} ms", begin.elapsed().as_millis());
    expect("content", got == sys::patterned(7, 4 * MIB))?;
    peer.tell("join")?;
    peer.tell(&format!("close-after 200 {}", remote.other))?;
    same("end of file", sys::read(&remote.fd, &mut [0; 16]).map_err(told("read"))?, 0)
}

fn pipe_write(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pipe-w", libc::O_WRONLY)?;
    peer.tell(&format!("read {} {}", remote.other, 8 * MIB))?;
    let data = sys::patterned(9, 4 * MIB);
    for piece in data.chunks(MIB) {
        same("write", sys::write(&remote.fd, piece).map_err(told("write"))?, MIB)?;
    }
    peer.alone(&remote)?;
    // The agent sees the end when our last descriptor is closed.
    drop(remote);
    check_read(peer, &data)
}

fn records(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pipe-w", libc::O_WRONLY)?;
    peer.tell(&format!("check-records {} 300", remote.other))?;
    peer.tell(&format!("records {} z 100", remote.own))?;
    let fd = Arc::new(remote.fd);
    let writers = [b'a', b'b'].map(|letter| {
        let fd = Arc::clone(&fd);
        thread::spawn(move || (0..100).try_for_each(|_| sys::write_all(&fd, &[letter; 4096])))
    });
    for writer in writers {
        writer.join().map_err(|_| "panicked")?.map_err(told("write"))?;
    }
    peer.tell("join")?;
    same("records", peer.tell("join")?, format!("{} true", 300 * 4096))
}

fn nonblock(peer: &mut Peer) -> Outcome {
    let reader = peer.make("pipe-r", libc::O_RDONLY | libc::O_NONBLOCK)?;
    fails("empty", sys::read(&reader.fd, &mut [0; 16]), libc::EAGAIN)?;
    peer.tell(&format!("byte {} 65", reader.other))?;
    same("one", sys::read(&reader.fd, &mut [0; 16]).map_err(told("read"))?, 1)?;
    let writer = peer.make("pipe-w", libc::O_WRONLY)?;
    sys::nonblock(&writer.fd, true).map_err(told("nonblock"))?;
    let data = vec![1; 4096];
    let mut written = 0;
    let end = loop {
        match sys::write(&writer.fd, &data) {
            Ok(len) => written += len,
            Err(error) => break error.raw_os_error(),
        }
    };
    same("full", (written, end), (65_536, Some(libc::EAGAIN)))?;
    peer.tell(&format!("read {} 10000", writer.other))?;
    peer.tell("join")?;
    // Two pages are free now: a longer write is taken in part.
    same("part", sys::write(&writer.fd, &[2; 60_000]).map_err(told("write"))?, 8192)
}

fn interrupted(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pipe-r", libc::O_RDONLY)?;
    sys::count_signal(libc::SIGALRM, 0).map_err(told("sigaction"))?;
    sys::alarm(Duration::from_millis(300));
    fails("read", sys::read(&remote.fd, &mut [0; 16]), libc::EINTR)?;
    same("signals", sys::signals(), 1)?;
    // Nothing was lost by the cancel.
    peer.tell(&format!("byte {} 65", remote.other))?;
    same("after", sys::read(&remote.fd, &mut [0; 16]).map_err(told("read"))?, 1)?;
    let writer = peer.make("pipe-w", libc::O_WRONLY)?;
    sys::alarm(Duration::from_millis(500));
    let data = sys::patterned(3, 100_000);
    let len = sys::write(&writer.fd, &data).map_err(told("write"))?;
    expect(&format!("{len} of a long write"), len >= 61_440 && len < data.len())?;
    peer.alone(&writer)?;
    peer.tell(&format!("read {} 200000", writer.other))?;
    drop(writer);
    check_read(peer, &data[..len])
}

fn restarted(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pipe-r", libc::O_RDONLY)?;
    sys::count_signal(libc::SIGALRM, libc::SA_RESTART).map_err(told("sigaction"))?;
    sys::alarm(Duration::from_millis(300));
    peer.tell(&format!("text-after 900 {} late", remote.other))?;
    let got = sys::read_to(&remote.fd, 4).map_err(told("read"))?;
    same("signals", sys::signals(), 1)?;
    same("text", got, b"late".to_vec())
}

fn killed(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pipe-r", libc::O_RDONLY)?;
    // SAFETY: the child only reads and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let _ = sys::read(&remote.fd, &mut [0; 16]);
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(0) };
    }
    thread::sleep(Duration::from_millis(300));
    let begin = Instant::now();
    let mut status = 0;
    // SAFETY: our child; room for the status.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, &mut status, 0);
    }
    same("signal", libc::WTERMSIG(status), libc::SIGKILL)?;
    expect("killed at once", begin.elapsed() < Duration::from_secs(2))?;
    peer.tell(&format!("byte {} 66", remote.other))?;
    // The dead reader's request must not take it.
    let mut buffer = [0; 4];
    same("byte", sys::read(&remote.fd, &mut buffer).map_err(told("read"))?, 1)?;
    same("byte", buffer[0], 66)
}

fn broken_pipe(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pipe-w", libc::O_WRONLY)?;
    sys::count_signal(libc::SIGPIPE, 0).map_err(told("sigaction"))?;
    peer.tell(&format!("close {}", remote.other))?;
    fails("write", sys::write(&remote.fd, b"x"), libc::EPIPE)?;
    same("signals", sys::signals(), 1)?;
    // A writer that waits is told too.
    let remote = peer.make("pipe-w", libc::O_WRONLY)?;
    peer.tell(&format!("close-after 1000 {}", remote.other))?;
    let len = sys::write(&remote.fd, &[0; 200_000]);
    expect(&format!("{len:?}"), matches!(len, Ok(61_440..=65_536)))?;
    fails("write", sys::write(&remote.fd, b"x"), libc::EPIPE)
}

fn join_all(readers: Vec<thread::JoinHandle<io::Result<usize>>>) -> Outcome {
    for reader in readers {
        let len = reader.join().map_err(|_| "panicked")?.map_err(told("read"))?;
        same("read", len, 1)?;
    }
    Ok(())
}

/// More waiting readers than the holder has workers.
fn many_readers(peer: &mut Peer) -> Outcome {
    let Remote { fd, other, .. } = peer.make("pipe-r", libc::O_RDONLY)?;
    let fd = Arc::new(fd);
    let readers = (0..200).map(|_| {
        let fd = Arc::clone(&fd);
        thread::spawn(move || sys::read(&fd, &mut [0; 1]))
    });
    let readers: Vec<_> = readers.collect();
    thread::sleep(Duration::from_millis(500));
    peer.tell(&format!("write {other} 200 1"))?;
    join_all(readers)
}

/// A make's jobserver: processes that opened the same pipe each for itself take bytes of it.
fn tokens(peer: &mut Peer) -> Outcome {
    let reader = peer.make("pipe-r", libc::O_RDONLY)?;
    peer.tell(&format!("write {} 4 1", reader.other))?;
    let again = (0..16).map(|_| peer.again(&reader, libc::O_RDONLY).map_err(told("open")));
    let fds: Vec<OwnedFd> = again.collect::<Result<_, _>>()?;
    let begin = Instant::now();
    let read = |fd| thread::spawn(move || sys::read(&fd, &mut [0; 1]));
    let threads: Vec<_> = fds.into_iter().map(read).collect();
    for _ in 0..12 {
        peer.tell(&format!("byte {} 43", reader.other))?;
    }
    join_all(threads)?;
    println!("     16 tokens in {} ms", begin.elapsed().as_millis());
    Ok(())
}

fn unlinked(peer: &mut Peer) -> Outcome {
    let remote = peer.make("tmp", libc::O_RDWR)?;
    let data = sys::patterned(5, 300_000);
    same("write", sys::write(&remote.fd, &data).map_err(told("write"))?, data.len())?;
    same("position there", peer.tell(&format!("seek {}", remote.own))?, "300000".to_owned())?;
    let stat = sys::stat(&remote.fd).map_err(told("stat"))?;
    same("size", stat.st_size, 300_000)?;
    same("seek", sys::seek(&remote.fd, 1000, libc::SEEK_SET).map_err(told("seek"))?, 1000)?;
    let got = sys::read_to(&remote.fd, 200_000).map_err(told("read"))?;
    expect("content", got == data[1000..201_000])?;
    let mut some = [0; 100];
    same("pread", sys::pread(&remote.fd, &mut some, 0).map_err(told("pread"))?, 100)?;
    expect("content at 0", some[..] == data[..100])?;
    same("pwrite", sys::pwrite(&remote.fd, b"holon", 50).map_err(told("pwrite"))?, 5)?;
    same("position", sys::seek(&remote.fd, 0, libc::SEEK_CUR).map_err(told("seek"))?, 201_000)?;
    same("rest", sys::read_to(&remote.fd, 1 << 20).map_err(told("read"))?.len(), 99_000)?;
    same("pread", sys::pread(&remote.fd, &mut some[..5], 50).map_err(told("pread"))?, 5)?;
    same("written", &some[..5], b"holon")?;
    // SAFETY: no memory is involved.
    same("fsync", unsafe { libc::fsync(remote.fd.as_raw_fd()) }, 0)
}

fn status(peer: &mut Peer) -> Outcome {
    for (kind, mark) in [("pipe-r", "pipe:["), ("pty-s", "/dev/pts/")] {
        let remote = peer.make(kind, libc::O_RDONLY)?;
        let there: Vec<u64> = peer.ask(&format!("status {}", remote.own))?;
        let here = sys::stat(&remote.fd).map_err(told("stat"))?;
        let here = vec![u64::from(here.st_mode), here.st_ino, here.st_rdev, here.st_dev];
        same(kind, here, there)?;
        let link = format!("/proc/self/fd/{}", remote.fd.as_raw_fd());
        let name = fs::read_link(&link).map_err(told("readlink"))?;
        expect(&format!("{name:?}"), name.to_string_lossy().starts_with(mark))?;
        let info = fs::read_to_string(link.replace("/fd/", "/fdinfo/")).map_err(told("fdinfo"))?;
        expect("fdinfo", info.contains(&format!("holon-file:\t{:016x}", remote.file)))?;
    }
    Ok(())
}

fn reopen(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pipe-w", libc::O_WRONLY)?;
    let link = format!("/proc/self/fd/{}", remote.fd.as_raw_fd());
    fs::write(&link, b"through the link").map_err(told("reopen"))?;
    same("text", peer.tell(&format!("once {} 100", remote.other))?, "through the link".to_owned())?;
    let remote = peer.make("pty-s", libc::O_RDWR)?;
    let link = format!("/proc/self/fd/{}", remote.fd.as_raw_fd());
    fs::write(&link, b"tty").map_err(told("reopen"))?;
    same("text", peer.tell(&format!("once {} 100", remote.other))?, "tty".to_owned())
}

/// On its own node it is the very same file; handed on from here it is still that node's.
fn home(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pipe-r", libc::O_RDONLY)?;
    let Remote { slot, file, own, .. } = remote;
    let there = peer.tell(&format!("home {slot} {file} {own}"))?;
    same("home", there, "true".to_owned())?;
    let handed_on = peer.export(&remote.fd).map_err(told("export"))?;
    same("handed on", handed_on, (slot, file))
}

fn refusals(peer: &mut Peer) -> Outcome {
    let remote = peer.make("pipe-r", libc::O_RDWR)?;
    fails("write to a read end", sys::write(&remote.fd, b"x"), libc::EBADF)?;
    let wrong = Remote { file: remote.file ^ 1, ..remote };
    fails("unknown file", peer.again(&wrong, libc::O_RDONLY), libc::ESTALE)?;
    let (own_slot, _) = peer.local_number().map_err(told("export"))?;
    let nobody = Remote { slot: 63, ..wrong };
    fails("no such node", peer.again(&nobody, libc::O_RDONLY), libc::EIO)?;
    let bad = Remote { slot: 64, ..nobody };
    fails("no such slot", peer.again(&bad, libc::O_RDONLY), libc::EINVAL)?;
    let stale = Remote { slot: own_slot, ..bad };
    fails("unknown file here", peer.again(&stale, libc::O_RDONLY), libc::ESTALE)?;
    // SAFETY: no memory is involved.
    let locked = unsafe { libc::flock(stale.fd.as_raw_fd(), libc::LOCK_EX) };
    same("flock", (locked, io::Error::last_os_error().raw_os_error()), (-1, Some(libc::ENOLCK)))
}
