//! A request at the holder: what it asks for and how far it has come; one attempt at it.

use alloc::vec::Vec;

use kapi::{
    alloc::{copied_vec, zeroed_vec},
    clock,
    file::{ioctl_arg, At, IoctlArg, IOCTL_LEN_MAX},
    fileref::FileRef,
    Errno, Result,
};
use netproto::{
    limits::CHUNK_LEN_MAX,
    msg::file::{Flags, Op, Request, Status},
    Slot,
};

use super::counters;

/// What a parked request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// Something to read.
    Input,
    /// Room to write.
    Output,
}

/// For what some request of a file waits.
#[derive(Default)]
pub(super) struct Waits {
    input: bool,
    output: bool,
}

impl Waits {
    pub(super) fn add(&mut self, want: Option<Want>) {
        self.input |= want == Some(Want::Input);
        self.output |= want == Some(Want::Output);
    }

    pub(super) fn has(&self, want: Want) -> bool {
        match want {
            Want::Input => self.input,
            Want::Output => self.output,
        }
    }
}

/// What an operation gave.
pub(super) struct Answer {
    pub(super) result: i64,
    pub(super) data: Vec<u8>,
}

impl Answer {
    /// A number alone.
    pub(super) fn number(result: Result<u64>) -> Self {
        let result = match result {
            Ok(value) => i64::try_from(value).unwrap_or(i64::MAX),
            Err(errno) => errno.code().into(),
        };
        Self { result, data: Vec::new() }
    }

    fn bytes(data: Vec<u8>) -> Self {
        Self { result: data.len() as i64, data }
    }

    /// What the file is, and its name where that is asked for.
    pub(super) fn status(file: &FileRef, name: &[u8]) -> Self {
        let info = file.describe();
        let status = Status {
            kind: info.kind.number(),
            mode: info.mode,
            uid: info.uid,
            gid: info.gid,
            rdev: info.rdev,
            dev: info.dev,
            nlink: info.nlink,
            blksize: info.blksize,
            ino: info.ino,
            size: info.size.max(0),
        };
        match copied_vec(&status.encode()) {
            Ok(mut data) => match data.try_reserve(name.len()) {
                Ok(()) => {
                    data.extend_from_slice(name);
                    Self { result: 0, data }
                }
                Err(_) => Self::number(Err(Errno::ENOMEM)),
            },
            Err(errno) => Self::number(Err(errno)),
        }
    }
}

/// What an attempt came to.
pub(super) enum Step {
    /// The end.
    Done(Answer),
    /// It would have to wait for what it wants.
    Wait,
}

/// A request.
pub(super) struct Task {
    pub(super) from: Slot,
    pub(super) head: Request,
    data: Vec<u8>,
    /// Bytes of `data` that are written.
    done: usize,
    /// When a read gives up, in ns.
    pub(super) until_ns: Option<u64>,
    pub(super) cancelled: bool,
    waited: bool,
    /// Counts a file's requests.
    pub(super) number: u64,
}

impl Task {
    pub(super) fn new(from: Slot, head: Request, data: &[u8]) -> Result<Self> {
        let data = copied_vec(data)?;
        Ok(Self {
            from,
            head,
            data,
            done: 0,
            until_ns: None,
            cancelled: false,
            waited: false,
            number: 0,
        })
    }

    /// Bytes that it keeps.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    fn at(&self) -> At {
        match self.head.arg1 {
            u64::MAX => At::Position,
            offset => At::Offset(offset.wrapping_add(self.done as u64)),
        }
    }

    fn nowait(&self) -> bool {
        self.head.flags.has(Flags::NOWAIT)
    }

    /// What it waits for, if it is of those that may.
    pub(super) fn want(&self) -> Option<Want> {
        match self.head.op {
            Op::READ => Some(Want::Input),
            Op::WRITE => Some(Want::Output),
            _ => None,
        }
    }

    /// Whether nothing makes it end but what it waits for.
    pub(super) fn can_wait(&self) -> bool {
        !self.nowait() && !self.cancelled && self.until_ns.is_none()
    }

    fn wait(&mut self) -> Step {
        if !self.waited {
            self.waited = true;
            counters::PARKED.add(1);
        }
        Step::Wait
    }

    /// One attempt.
    pub(super) fn step(&mut self, file: &FileRef) -> Step {
        let Request { arg0, arg1, .. } = self.head;
        match self.head.op {
            Op::READ => self.read(file),
            Op::WRITE => self.write(file),
            Op::IOCTL => Step::Done(self.ioctl(file)),
            Op::LSEEK => {
                let whence = u32::try_from(arg1).unwrap_or(u32::MAX);
                Step::Done(Answer::number(file.step_llseek(arg0 as i64, whence)))
            }
            Op::FSYNC => Step::Done(Answer::number(file.step_fsync(arg0 == 1).map(|()| 0))),
            Op::FSTAT => Step::Done(Answer::status(file, &[])),
            _ => Step::Done(Answer::number(Err(Errno::ENOSYS))),
        }
    }

    fn read(&mut self, file: &FileRef) -> Step {
        let len = usize::try_from(self.head.arg0).unwrap_or(usize::MAX).min(CHUNK_LEN_MAX);
        let read = zeroed_vec(len).and_then(|mut buffer| {
            let len = file.step_read(&mut buffer, self.at())?;
            buffer.truncate(len);
            Ok(buffer)
        });
        match read {
            Ok(data) => {
                counters::SERVED_READ_BYTES.add(data.len() as u64);
                Step::Done(Answer::bytes(data))
            }
            Err(Errno::EAGAIN) if self.nowait() => Step::Done(Answer::number(Err(Errno::EAGAIN))),
            Err(Errno::EAGAIN) if self.cancelled => Step::Done(Answer::number(Err(Errno::EINTR))),
            Err(Errno::EAGAIN) if self.patience_is_over(file) => Step::Done(Answer::number(Ok(0))),
            Err(Errno::EAGAIN) => self.wait(),
            Err(errno) => Step::Done(Answer::number(Err(errno))),
        }
    }

    /// Terminals may be set to end a read after a time.
    fn patience_is_over(&mut self, file: &FileRef) -> bool {
        let now = clock::now_ns();
        if self.until_ns.is_none() {
            self.until_ns = file.read_patience_ms().map(|ms| now + ms * 1_000_000);
        }
        self.until_ns.is_some_and(|until| until <= now)
    }

    fn write(&mut self, file: &FileRef) -> Step {
        loop {
            let rest = self.data.get(self.done..).unwrap_or_default();
            let written = file.step_write(rest, self.at());
            if let Ok(len) = written {
                counters::SERVED_WRITE_BYTES.add(len as u64);
                self.done += len;
                if len != 0 && self.done < self.data.len() && !self.nowait() {
                    continue;
                }
                return self.written(Ok(0));
            }
            return match written {
                Err(Errno::EAGAIN) if self.nowait() => self.written(Err(Errno::EAGAIN)),
                Err(Errno::EAGAIN) if self.cancelled => self.written(Err(Errno::EINTR)),
                Err(Errno::EAGAIN) => self.wait(),
                other => self.written(other),
            };
        }
    }

    /// What was written counts; only if that is nothing, how the last attempt ended.
    fn written(&self, last: Result<usize>) -> Step {
        let result = if self.done == 0 { last } else { Ok(self.done) };
        Step::Done(Answer::number(result.map(|len| len as u64)))
    }

    fn ioctl(&self, file: &FileRef) -> Answer {
        self.try_ioctl(file).unwrap_or_else(|errno| Answer::number(Err(errno)))
    }

    fn try_ioctl(&self, file: &FileRef) -> Result<Answer> {
        let cmd = u32::try_from(self.head.arg0).map_err(|_| Errno::ENOTTY)?;
        let kind = ioctl_arg(cmd).ok_or(Errno::ENOTTY)?;
        let mut buffer = [0; IOCTL_LEN_MAX];
        if let IoctlArg::In(len) = kind {
            if self.data.len() != len {
                return Err(Errno::EINVAL);
            }
            buffer[..len].copy_from_slice(&self.data);
        }
        let value = file.step_ioctl(cmd, self.head.arg1, &mut buffer)?;
        let data = match kind {
            IoctlArg::Out(len) => copied_vec(&buffer[..len])?,
            IoctlArg::In(_) | IoctlArg::Number => Vec::new(),
        };
        Ok(Answer { result: i64::try_from(value).unwrap_or(0), data })
    }
}
