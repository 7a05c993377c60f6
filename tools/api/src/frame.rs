//! Frames on a stream socket: a JSON value, raw bytes, and descriptors with the first byte.
//!
//! ```text
//! u32 json length | u32 blob length | json | blob          (little-endian)
//! ```

use crate::sys;
use nix::errno::Errno;
use nix::sys::socket::{sendmsg, ControlMessage, MsgFlags, UnixAddr};
use serde::de::DeserializeOwned;
use serde::Serialize;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

/// Longest JSON part: a `ps` of some ten thousand processes.
pub const JSON_LEN_MAX: usize = 16 << 20;
/// Longest blob.
pub const BLOB_LEN_MAX: usize = 1 << 20;
const HEADER_LEN: usize = 8;

/// A received frame.
#[derive(Debug)]
pub struct Frame<T> {
    /// The JSON part.
    pub value: T,
    /// The bytes beside it.
    pub blob: Vec<u8>,
    /// Descriptors.
    pub fds: Vec<OwnedFd>,
}

/// A connection that several threads may write to and one reads from.
#[derive(Debug)]
pub struct Connection {
    socket: UnixStream,
    writing: Mutex<()>,
}

impl Connection {
    /// Takes a connected socket.
    pub fn new(socket: UnixStream) -> Self {
        Self { socket, writing: Mutex::new(()) }
    }

    /// The socket itself.
    pub fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// Sends a value alone.
    pub fn send<T: Serialize>(&self, value: &T) -> io::Result<()> {
        self.send_with(value, &[], &[])
    }

    /// Sends a value with bytes and descriptors.
    pub fn send_with<T: Serialize>(&self, value: &T, blob: &[u8], fds: &[RawFd]) -> io::Result<()> {
        let json = serde_json::to_vec(value)?;
        let mut bytes = Vec::with_capacity(HEADER_LEN + json.len() + blob.len());
        for (len, limit) in [(json.len(), JSON_LEN_MAX), (blob.len(), BLOB_LEN_MAX)] {
            let len = u32::try_from(len).ok().filter(|_| len <= limit);
            let len = len.ok_or_else(|| io::Error::other("the frame is too long"))?;
            bytes.extend_from_slice(&len.to_le_bytes());
        }
        bytes.extend_from_slice(&json);
        bytes.extend_from_slice(blob);
        let _turn = self.writing.lock().map_err(|_| io::Error::other("a writer panicked"))?;
        self.write_all(&bytes, fds)
    }

    fn write_all(&self, mut bytes: &[u8], fds: &[RawFd]) -> io::Result<()> {
        let rights = [ControlMessage::ScmRights(fds)];
        let mut control: &[ControlMessage<'_>] = if fds.is_empty() { &[] } else { &rights };
        while !bytes.is_empty() {
            let raw = self.socket.as_raw_fd();
            let parts = [IoSlice::new(bytes)];
            match sendmsg::<UnixAddr>(raw, &parts, control, MsgFlags::MSG_NOSIGNAL, None) {
                Ok(sent) => {
                    bytes = &bytes[sent..];
                    control = &[];
                }
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Receives a frame; `None` at the end of the stream.
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<Frame<T>>> {
        self.receive_within(JSON_LEN_MAX)
    }

    /// The same with a shorter JSON part, from somebody who is not trusted.
    pub fn receive_within<T: DeserializeOwned>(
        &self,
        json_len_max: usize,
    ) -> io::Result<Option<Frame<T>>> {
        let mut fds = Vec::new();
        let mut header = [0; HEADER_LEN];
        if !self.read_exact(&mut header, &mut fds)? {
            return Ok(None);
        }
        let (json_len, blob_len) = header.split_at(HEADER_LEN / 2);
        let mut json = vec![0; length(json_len, json_len_max)?];
        let mut blob = vec![0; length(blob_len, BLOB_LEN_MAX)?];
        for part in [&mut json, &mut blob] {
            if !part.is_empty() && !self.read_exact(part, &mut fds)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Some(Frame { value: serde_json::from_slice(&json)?, blob, fds }))
    }

    /// Fills the buffer; false if the stream ended before its first byte.
    fn read_exact(&self, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<bool> {
        let mut filled = 0;
        while filled < buffer.len() {
            match sys::receive(self.socket.as_fd(), &mut buffer[filled..], fds)? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                got => filled += got,
            }
        }
        Ok(true)
    }
}

fn length(bytes: &[u8], limit: usize) -> io::Result<usize> {
    let mut word = [0; HEADER_LEN / 2];
    word.copy_from_slice(bytes);
    let len = usize::try_from(u32::from_le_bytes(word)).unwrap_or(usize::MAX);
    if len > limit {
        return Err(io::Error::other(format!("a frame part of {len} bytes is too long")));
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn pair() -> (Connection, Connection) {
        let (a, b) = UnixStream::pair().expect("a socket pair");
        (Connection::new(a), Connection::new(b))
    }

    #[test]
    fn value_blob_and_descriptor_arrive() {
        let (a, b) = pair();
        let (mut mine, theirs) = UnixStream::pair().expect("a socket pair");
        a.send_with(&"hello", b"blob", &[theirs.as_raw_fd()]).expect("sent");
        drop(theirs);
        let mut frame: Frame<String> = b.receive().expect("received").expect("a frame");
        assert_eq!((frame.value.as_str(), &frame.blob[..]), ("hello", &b"blob"[..]));
        let mut end = UnixStream::from(frame.fds.pop().expect("one descriptor"));
        end.write_all(b"x").expect("written");
        drop(end);
        let mut text = String::new();
        mine.read_to_string(&mut text).expect("read");
        assert_eq!(text, "x");
    }

    #[test]
    fn end_and_garbage_are_told_apart() {
        let (a, b) = pair();
        drop(a);
        assert!(b.receive::<String>().expect("a clean end").is_none());
        let (a, b) = pair();
        a.socket().write_all(&[0xff; 8]).expect("written");
        assert!(b.receive::<String>().is_err(), "lengths beyond the limits");
        let (a, b) = pair();
        a.send(&"longer than allowed").expect("sent");
        assert!(b.receive_within::<String>(8).is_err());
        let (a, b) = pair();
        a.socket().write_all(&[1, 0]).expect("written");
        drop(a);
        assert!(b.receive::<String>().is_err(), "cut in the header");
    }
}
