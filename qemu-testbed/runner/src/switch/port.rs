//! One port of the switch: a connection of QEMU's `-netdev stream`, where each frame is preceded
//! by its length in four bytes, big-endian.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::UnixStream;

/// Enough for a burst; a guest sends a frame per system call, so more would hardly be filled.
const READ_LEN: usize = 256 << 10;
/// QEMU's own bound on a frame; what claims more is no frame.
const FRAME_LEN_MAX: usize = 4096 + 65_536;
/// What may wait for a guest that does not read; more is dropped, as a real switch does.
const BACKLOG_LEN_MAX: usize = 8 << 20;

/// A connected guest.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The socket; the switch registers it with its poll.
    pub stream: UnixStream,
    incoming: Vec<u8>,
    incoming_len: usize,
    outgoing: Vec<u8>,
    outgoing_from: usize,
    /// Frames dropped since the guest did not read.
    pub overflowed: u64,
}

impl Connection {
    /// Takes over a connected, non-blocking socket.
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            incoming: vec![0; READ_LEN + FRAME_LEN_MAX],
            incoming_len: 0,
            outgoing: Vec::with_capacity(READ_LEN),
            outgoing_from: 0,
            overflowed: 0,
        }
    }

    /// Reads once and hands each whole frame to `take`. `Ok(false)`: nothing more to read now.
    pub(crate) fn read(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        let len = match self.stream.read(&mut self.incoming[self.incoming_len..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error),
        };
        self.incoming_len += len;
        let mut at = 0;
        while let Some(len) = frame_len(&self.incoming[at..self.incoming_len])? {
            let Some(frame) = self.incoming[..self.incoming_len].get(at + 4..at + 4 + len) else {
                break;
            };
            take(frame);
            at += 4 + len;
        }
        self.incoming.copy_within(at..self.incoming_len, 0);
        self.incoming_len -= at;
        Ok(true)
    }

    /// Queues a frame for `flush`.
    pub(crate) fn queue(&mut self, frame: &[u8]) {
        if self.outgoing.len() - self.outgoing_from > BACKLOG_LEN_MAX {
            self.overflowed += 1;
            return;
        }
        self.outgoing.extend_from_slice(&(frame.len() as u32).to_be_bytes());
        self.outgoing.extend_from_slice(frame);
    }

    /// Writes what it can; the rest waits until the socket is writable again.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.outgoing_from < self.outgoing.len() {
            match self.stream.write(&self.outgoing[self.outgoing_from..]) {
                Ok(len) => self.outgoing_from += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.outgoing_from == self.outgoing.len() {
            self.outgoing.clear();
            self.outgoing_from = 0;
        } else if self.outgoing_from > READ_LEN {
            self.outgoing.drain(..self.outgoing_from);
            self.outgoing_from = 0;
        }
        Ok(())
    }
}

fn frame_len(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(Ok(prefix)) = bytes.get(..4).map(<[u8; 4]>::try_from) else {
        return Ok(None);
    };
    let len = u32::from_be_bytes(prefix) as usize;
    if len > FRAME_LEN_MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    Ok(Some(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_split() {
        let (mut near, far) = std::os::unix::net::UnixStream::pair().expect("socket pair");
        far.set_nonblocking(true).expect("non-blocking");
        let mut port = Connection::new(UnixStream::from_std(far));
        let mut seen: Vec<Vec<u8>> = Vec::new();
        let wire = [&[0, 0, 0, 3][..], b"abc", &[0, 0, 0, 2], b"de"].concat();
        for byte in wire {
            near.write_all(&[byte]).expect("write");
            assert!(port.read(|frame| seen.push(frame.to_vec())).expect("read"));
        }
        assert_eq!(seen, [b"abc".to_vec(), b"de".to_vec()]);
        assert!(!port.read(|_| panic!("nothing sent")).expect("read"));
    }

    #[test]
    fn an_absurd_length_ends_the_connection() {
        let (mut near, far) = std::os::unix::net::UnixStream::pair().expect("socket pair");
        far.set_nonblocking(true).expect("non-blocking");
        near.write_all(&[0xff; 8]).expect("write");
        assert!(Connection::new(UnixStream::from_std(far)).read(|_| ()).is_err());
    }
}
