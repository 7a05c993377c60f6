//! The node where the files stand: makes them, and does to their other ends what it is told.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    sys::{self, Device},
    Outcome,
};

/// One connection's files: all end with it.
struct Session {
    device: Option<Device>,
    files: BTreeMap<u32, Arc<OwnedFd>>,
    jobs: Vec<JoinHandle<io::Result<String>>>,
    leaders: Vec<Leader>,
    last: u32,
}

/// A child that is killed with the connection.
struct Leader(i32);

impl Drop for Leader {
    fn drop(&mut self) {
        sys::end_child(self.0);
    }
}

/// Answers connections, each in a thread.
pub(crate) fn serve(port: &str) -> Outcome {
    let listener =
        TcpListener::bind(format!("0.0.0.0:{port}")).map_err(|error| format!("bind: {error}"))?;
    for stream in listener.incoming().flatten() {
        thread::spawn(move || converse(stream));
    }
    Ok(())
}

fn converse(stream: TcpStream) -> io::Result<()> {
    let mut session = Session {
        device: Some(Device::open()?),
        files: BTreeMap::new(),
        jobs: Vec::new(),
        leaders: Vec::new(),
        last: 0,
    };
    let mut reply = stream.try_clone()?;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        match session.command(&words) {
            Ok(answer) => writeln!(reply, "ok {answer}")?,
            Err(error) => writeln!(reply, "err {error}")?,
        }
    }
    Ok(())
}

fn bad(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}

fn number<T: std::str::FromStr>(text: &str) -> io::Result<T> {
    text.parse().map_err(|_| bad("not a number"))
}

fn unlinked() -> io::Result<OwnedFd> {
    let path = "/tmp/holon-filetest.tmp";
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    fs::remove_file(path)?;
    Ok(file.into())
}

impl Session {
    fn keep(&mut self, fd: OwnedFd) -> u32 {
        self.last += 1;
        self.files.insert(self.last, Arc::new(fd));
        self.last
    }

    fn file(&self, handle: &str) -> io::Result<Arc<OwnedFd>> {
        self.files.get(&number(handle)?).cloned().ok_or_else(|| bad("no such handle"))
    }

    /// Exports `fd`; the answer: slot, number, handle of the other end, handle of the exported one.
    fn give(&mut self, fd: OwnedFd, other: Option<OwnedFd>) -> io::Result<String> {
        let device = self.device.as_ref().ok_or_else(|| bad("released"))?;
        let (slot, file) = device.export(&fd)?;
        if device.export(&fd)? != (slot, file) {
            return Err(bad("a second export gave another number"));
        }
        let other = other.map_or(0, |other| self.keep(other));
        let own = self.keep(fd);
        Ok(format!("{slot} {file} {other} {own}"))
    }

    fn make(&mut self, kind: &str) -> io::Result<String> {
        match kind {
            "pipe-r" => sys::pipe().and_then(|(read, write)| self.give(read, Some(write))),
            "pipe-w" => sys::pipe().and_then(|(read, write)| self.give(write, Some(read))),
            "pty-s" => sys::pty().and_then(|(master, slave)| self.give(slave, Some(master))),
            "pty-m" => sys::pty().and_then(|(master, slave)| self.give(master, Some(slave))),
            "tmp" => unlinked().and_then(|file| self.give(file, None)),
            "session" => sys::pty().and_then(|(master, slave)| self.session(master, slave)),
            "null" => File::open("/dev/null").and_then(|file| self.give(file.into(), None)),
            "named" => File::open("/init.sh").and_then(|file| self.give(file.into(), None)),
            _ => Err(bad("unknown kind")),
        }
    }

    /// A terminal with a session of its own; the leader's pid comes last.
    fn session(&mut self, master: OwnedFd, slave: OwnedFd) -> io::Result<String> {
        let leader = sys::session_leader(&slave)?;
        self.leaders.push(Leader(leader));
        self.give(slave, Some(master)).map(|answer| format!("{answer} {leader}"))
    }

    fn job(&mut self, body: impl FnOnce() -> io::Result<String> + Send + 'static) -> String {
        self.jobs.push(thread::spawn(body));
        String::new()
    }

    fn command(&mut self, words: &[&str]) -> io::Result<String> {
        match words {
            ["make", kind] => self.make(kind),
            ["write", handle, len, seed] => {
                let (file, len, seed) = (self.file(handle)?, number(len)?, number(seed)?);
                Ok(self.job(move || {
                    sys::write_all(&file, &sys::patterned(seed, len)).map(|()| String::new())
                }))
            }
            ["records", handle, letter, count] => {
                let (file, count) = (self.file(handle)?, number::<u32>(count)?);
                let record = vec![letter.as_bytes()[0]; 4096];
                Ok(self.job(move || {
                    (0..count).try_for_each(|_| sys::write_all(&file, &record))?;
                    Ok(String::new())
                }))
            }
            ["check-records", handle, count] => {
                let (file, count) = (self.file(handle)?, number::<usize>(count)?);
                Ok(self.job(move || {
                    let all = sys::read_to(&file, count * 4096)?;
                    let whole =
                        all.chunks(4096).all(|record| record.iter().all(|b| *b == record[0]));
                    Ok(format!("{} {whole}", all.len()))
                }))
            }
            ["read", handle, len] => {
                let (file, len) = (self.file(handle)?, number(len)?);
                Ok(self.job(move || {
                    let all = sys::read_to(&file, len)?;
                    Ok(format!("{} {}", all.len(), sys::hash(&all)))
                }))
            }
            ["text-after", ms, handle, text] => {
                let (file, text) =
                    (self.file(handle)?, text.replace("\\n", "\n").replace("\\s", " "));
                let pause = Duration::from_millis(number(ms)?);
                Ok(self.job(move || {
                    thread::sleep(pause);
                    sys::write_all(&file, text.as_bytes()).map(|()| String::new())
                }))
            }
            ["byte", handle, byte] => {
                sys::write_all(&*self.file(handle)?, &[number(byte)?]).map(|()| String::new())
            }
            ["join"] => {
                let job = self.jobs.pop().ok_or_else(|| bad("no job"))?;
                job.join().map_err(|_| bad("job panicked"))?
            }
            ["close", handle] => {
                self.files.remove(&number(handle)?).ok_or_else(|| bad("no such handle"))?;
                Ok(String::new())
            }
            ["close-after", ms, handle] => {
                let file =
                    self.files.remove(&number(handle)?).ok_or_else(|| bad("no such handle"))?;
                let pause = Duration::from_millis(number(ms)?);
                Ok(self.job(move || {
                    thread::sleep(pause);
                    drop(file);
                    Ok(String::new())
                }))
            }
            // For when the connection is no more: says on this node's console when the end came.
            ["say-end", handle] => {
                let file = self.file(handle)?;
                self.device = None;
                thread::spawn(move || {
                    let end = sys::read_to(&file, 1 << 20).map(|all| all.len());
                    println!("end of the held pipe: {end:?}");
                });
                Ok(String::new())
            }
            ["release"] => {
                self.device = None;
                Ok(String::new())
            }
            ["once", handle, len] => {
                let mut buffer = vec![0; number(len)?];
                let len = sys::read(&*self.file(handle)?, &mut buffer)?;
                Ok(String::from_utf8_lossy(&buffer[..len])
                    .replace('\n', "\\n")
                    .replace('\r', "\\r"))
            }
            ["seek", handle] => {
                sys::seek(&*self.file(handle)?, 0, libc::SEEK_CUR).map(|at| at.to_string())
            }
            ["flags", handle] => sys::termios(&*self.file(handle)?)
                .map(|termios| format!("{} {}", termios.c_lflag, termios.c_iflag)),
            ["size", handle] => {
                // SAFETY: zeros are a valid structure.
                let mut size: libc::winsize = unsafe { std::mem::zeroed() };
                sys::ioctl(&*self.file(handle)?, libc::TIOCGWINSZ, &mut size)?;
                Ok(format!("{} {}", size.ws_row, size.ws_col))
            }
            ["status", handle] => {
                let stat = sys::stat(&*self.file(handle)?)?;
                Ok(format!("{} {} {} {}", stat.st_mode, stat.st_ino, stat.st_rdev, stat.st_dev))
            }
            // The file comes home: it must be the very same one.
            ["home", slot, file, handle] => {
                let device = self.device.as_ref().ok_or_else(|| bad("released"))?;
                let home = device.take(number(slot)?, number(file)?, libc::O_RDONLY)?;
                let (home, real) = (sys::stat(&home)?, sys::stat(&*self.file(handle)?)?);
                Ok((home.st_ino == real.st_ino && home.st_dev == real.st_dev).to_string())
            }
            _ => Err(bad("unknown command")),
        }
    }
}
