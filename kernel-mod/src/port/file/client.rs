//! The program's side: open files that stand on another node.

use alloc::{
    sync::{Arc, Weak},
    vec::Vec,
};

use kapi::{
    alloc::zeroed_vec,
    chardev::{Blocking, PollTable},
    file::{ioctl_arg, At, Info, IoctlArg, Kind},
    lock_class,
    rfile::{sigpipe, wake_poll, Buffers, Operations},
    uaccess::UserSlice,
    Errno, Mutex, Result, SpinLock, WaitQueue,
};
use netproto::{
    limits::CHUNK_LEN_MAX,
    msg::file::{Event, Flags, Op, Status},
    FileId, Slot,
};

use super::{
    calls::{self, Answer, Ask, Ends},
    counters, files, FILES,
};

/// `EPOLLERR` and `EPOLLHUP`.
const DEAD: u32 = 0x0018;

/// All remote files that programs here have open.
pub(super) struct Clients {
    open: Mutex<Vec<(Slot, FileId, Weak<Client>)>>,
}

impl Clients {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { open: Mutex::new(lock_class!(c"holon-file-clients"), Vec::new())? })
    }

    pub(super) fn len(&self) -> u64 {
        self.open.lock().len() as u64
    }

    pub(super) fn add(&self, client: &Arc<Client>) -> Result {
        let mut open = self.open.lock();
        open.try_reserve(1)?;
        open.push((client.slot, client.file, Arc::downgrade(client)));
        Ok(())
    }

    fn remove(&self, client: *const Client) {
        self.open.lock().retain(|(_, _, weak)| weak.as_ptr() != client);
    }

    fn select(&self, wanted: impl Fn(Slot, FileId) -> bool) -> Vec<Arc<Client>> {
        let open = self.open.lock();
        let matching = open.iter().filter(|(slot, file, _)| wanted(*slot, *file));
        matching.filter_map(|(_, _, weak)| weak.upgrade()).collect()
    }

    /// A file became ready. On the driver thread.
    pub(super) fn event(&self, from: Slot, event: Event) {
        counters::EVENT_GOT.add(1);
        for client in self.select(|slot, file| slot == from && file == event.file) {
            client.told(event.mask);
        }
    }

    /// All files of a node are lost. On the driver thread.
    pub(super) fn node_lost(&self, lost: Slot) {
        for client in self.select(|slot, _| slot == lost) {
            client.lost();
        }
    }
}

/// What the holder said to a poll.
#[derive(Clone, Copy)]
pub(super) struct Polled {
    pub(super) mask: u32,
    pub(super) events: u32,
}

struct Seen {
    /// What the last answer or event said.
    mask: u32,
    /// The holder will tell when one of these becomes ready; 0: it has, or was not asked.
    armed: u32,
    lost: bool,
}

/// A file of another node, with one reference to it there.
pub(super) struct Client {
    slot: Slot,
    file: FileId,
    info: Info,
    queue: WaitQueue,
    seen: SpinLock<Seen>,
}

impl Client {
    /// Takes over a reference that this node has.
    pub(super) fn new(slot: Slot, file: FileId, info: Info) -> Result<Arc<Self>> {
        let seen = Seen { mask: 0, armed: 0, lost: false };
        let made = WaitQueue::new()
            .and_then(|queue| Ok((queue, SpinLock::new(lock_class!(c"holon-file-seen"), seen)?)));
        match made {
            Ok((queue, seen)) => Ok(Arc::new(Self { slot, file, info, queue, seen })),
            Err(errno) => {
                calls::close(slot, file);
                Err(errno)
            }
        }
    }

    /// The holder answered a poll. On the driver thread, in order with its events.
    pub(super) fn polled(&self, polled: Polled) {
        let mut seen = self.seen.lock();
        seen.mask = polled.mask;
        seen.armed |= polled.events;
    }

    fn told(&self, mask: u32) {
        let mut seen = self.seen.lock();
        seen.mask = mask;
        seen.armed = 0;
        drop(seen);
        wake_poll(&self.queue, mask);
    }

    fn lost(&self) {
        self.seen.lock().lost = true;
        wake_poll(&self.queue, DEAD);
    }

    fn is_lost(&self) -> bool {
        self.seen.lock().lost
    }

    fn ask(&self, op: Op, arg0: u64, arg1: u64) -> Ask {
        Ask { slot: self.slot, file: self.file, op, flags: Flags::default(), arg0, arg1 }
    }

    fn call(&self, ask: Ask, data: &[u8], ends: Ends) -> Result<Answer> {
        if self.is_lost() {
            return Err(Errno::EIO);
        }
        match files()?.calls.call(ask, data, ends) {
            // Our reference ended with a session of which the end was told before we were listed.
            Err(Errno::ESTALE) => {
                self.lost();
                Err(Errno::EIO)
            }
            result => result,
        }
    }

    fn positioned(&self) -> bool {
        matches!(self.info.kind, Kind::Regular | Kind::Deleted)
    }

    /// One request of a longer read or write.
    fn piece(&self, op: Op, len: usize, at: At, done: usize, blocking: Blocking) -> Ask {
        let offset = match at {
            At::Position => u64::MAX,
            At::Offset(offset) => offset.wrapping_add(done as u64),
        };
        let mut ask = self.ask(op, len as u64, offset);
        if blocking == Blocking::DontWait {
            ask.flags = Flags::NOWAIT;
        }
        ask
    }

    fn read_piece(&self, to: &mut Buffers<'_>, at: At, done: usize, b: Blocking) -> Result<usize> {
        let len = to.len().min(CHUNK_LEN_MAX);
        let (_, data) = self.call(self.piece(Op::READ, len, at, done, b), &[], Ends::Cancelled)?;
        if data.len() > len {
            return Err(Errno::EPROTO);
        }
        if to.put(&data) == data.len() {
            Ok(data.len())
        } else {
            Err(Errno::EFAULT)
        }
    }

    fn write_piece(&self, data: &[u8], at: At, done: usize, b: Blocking) -> Result<usize> {
        let ask = self.piece(Op::WRITE, data.len(), at, done, b);
        let (len, _) = self.call(ask, data, Ends::Cancelled)?;
        usize::try_from(len).ok().filter(|len| *len <= data.len()).ok_or(Errno::EPROTO)
    }

    fn poll_now(self: &Arc<Self>, events: u32) {
        let ask = self.ask(Op::POLL, events.into(), 0);
        // Without an answer the mask stays: a signal ended the wait, or the node is lost.
        if files().and_then(|files| files.calls.poll(ask, self, events)) == Err(Errno::ESTALE) {
            self.lost();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(files) = FILES.get() {
            files.clients.remove(self);
        }
        if !self.is_lost() {
            calls::close(self.slot, self.file);
        }
    }
}

/// Something done counts more than how the last piece ended.
fn so_far(done: usize, errno: Errno) -> Result<usize> {
    if done == 0 {
        Err(errno)
    } else {
        Ok(done)
    }
}

/// What an open file keeps.
pub(super) struct Handle(pub(super) Arc<Client>);

impl Operations for Handle {
    fn read(&self, to: &mut Buffers<'_>, at: At, blocking: Blocking) -> Result<usize> {
        let mut done = 0;
        while !to.is_empty() {
            let wanted = to.len().min(CHUNK_LEN_MAX);
            match self.0.read_piece(to, at, done, blocking) {
                Ok(len) => {
                    done += len;
                    if len < wanted || !self.0.positioned() {
                        break;
                    }
                }
                Err(errno) => return so_far(done, errno),
            }
        }
        Ok(done)
    }

    fn write(&self, from: &mut Buffers<'_>, at: At, blocking: Blocking) -> Result<usize> {
        let mut done = 0;
        let mut buffer = zeroed_vec(from.len().min(CHUNK_LEN_MAX))?;
        while !from.is_empty() {
            let len = from.len().min(CHUNK_LEN_MAX);
            let piece = &mut buffer[..len];
            if from.take(piece) != len {
                return so_far(done, Errno::EFAULT);
            }
            match self.0.write_piece(piece, at, done, blocking) {
                Ok(written) => {
                    done += written;
                    if written < len {
                        break;
                    }
                }
                Err(errno) => {
                    if errno == Errno::EPIPE && matches!(self.0.info.kind, Kind::Pipe | Kind::Fifo)
                    {
                        sigpipe();
                    }
                    return so_far(done, errno);
                }
            }
        }
        Ok(done)
    }

    fn poll(&self, table: &PollTable<'_>, events: u32) -> u32 {
        let client = &self.0;
        table.register(&client.queue);
        let seen = client.seen.lock();
        // Not ready, and we will be told: nothing to ask. What was ready may not be any more.
        let known = seen.armed & events == events && seen.mask & (events | DEAD) == 0;
        let lost = seen.lost;
        drop(seen);
        if !known && !lost {
            client.poll_now(events);
        }
        let seen = client.seen.lock();
        if seen.lost {
            DEAD
        } else {
            seen.mask
        }
    }

    fn ioctl(&self, cmd: u32, arg: u64) -> Result<u64> {
        let ask = self.0.ask(Op::IOCTL, cmd.into(), 0);
        match ioctl_arg(cmd).ok_or(Errno::ENOTTY)? {
            IoctlArg::Number => {
                self.0.call(Ask { arg1: arg, ..ask }, &[], Ends::Killed).map(|(value, _)| value)
            }
            IoctlArg::In(len) => {
                let data = UserSlice::new(arg, len).read_all(len)?;
                self.0.call(ask, &data, Ends::Killed).map(|(value, _)| value)
            }
            IoctlArg::Out(len) => {
                let (value, data) = self.0.call(ask, &[], Ends::Killed)?;
                if data.len() != len {
                    return Err(Errno::EPROTO);
                }
                UserSlice::new(arg, len).write(&data).map(|()| value)
            }
        }
    }

    fn llseek(&self, offset: i64, whence: u32) -> Result<u64> {
        let ask = self.0.ask(Op::LSEEK, offset as u64, whence.into());
        self.0.call(ask, &[], Ends::Killed).map(|(pos, _)| pos)
    }

    fn fsync(&self, data_only: bool) -> Result {
        let ask = self.0.ask(Op::FSYNC, data_only.into(), 0);
        self.0.call(ask, &[], Ends::Killed).map(drop)
    }

    fn stat(&self) -> Result<Info> {
        if !self.0.positioned() {
            return Ok(self.0.info);
        }
        let (_, data) = self.0.call(self.0.ask(Op::FSTAT, 0, 0), &[], Ends::Killed)?;
        let (status, _) = Status::decode(&data).map_err(|_| Errno::EPROTO)?;
        info_of(&status, self.0.info.flags)
    }

    fn origin(&self) -> Info {
        self.0.info
    }

    fn place(&self) -> (u32, u64) {
        (self.0.slot.get().into(), self.0.file.0)
    }
}

/// What a holder says about a file, checked.
pub(super) fn info_of(status: &Status, flags: u32) -> Result<Info> {
    const TYPE: u32 = 0o170_000;
    const TYPES: [u32; 3] = [0o010_000, 0o020_000, 0o100_000];
    let kind = Kind::from_number(status.kind).ok_or(Errno::EPROTO)?;
    if !TYPES.contains(&(status.mode & TYPE)) || status.mode & !0o177_777 != 0 {
        return Err(Errno::EPROTO);
    }
    Ok(Info {
        kind,
        flags,
        readable: flags & 3 != 1,
        writable: flags & 3 != 0,
        steps: false,
        mode: status.mode,
        uid: status.uid,
        gid: status.gid,
        rdev: status.rdev,
        dev: status.dev,
        nlink: status.nlink,
        blksize: status.blksize,
        ino: status.ino,
        size: status.size,
        pos: 0,
    })
}
