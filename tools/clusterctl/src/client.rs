//! The connection to `holond`.

use crate::args::Args;
use holon_api::frame::Connection;
use holon_api::request::{Reply, Request};
use holon_api::{ApiError, Code};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;

/// Connects.
pub(crate) fn connect(args: &Args) -> Result<Connection, ApiError> {
    match UnixStream::connect(&args.socket) {
        Ok(socket) => Ok(Connection::new(socket)),
        Err(error) => {
            let why = match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    "it does not run on this node".to_owned()
                }
                _ => error.to_string(),
            };
            Err(ApiError::new(Code::NotReady, "can't reach holond", why)
                .fix("start it with `systemctl start holond`; its log is `journalctl -u holond`"))
        }
    }
}

/// Sends the request, with descriptors.
pub(crate) fn send(
    connection: &Connection,
    request: &Request,
    fds: &[RawFd],
) -> Result<(), ApiError> {
    connection.send_with(request, &[], fds).map_err(lost)
}

/// The next reply; an error reply as an error.
pub(crate) fn receive(connection: &Connection) -> Result<(Reply, Vec<u8>), ApiError> {
    match connection.receive::<Reply>() {
        Ok(Some(frame)) => match frame.value {
            Reply::Error(error) => Err(error),
            reply => Ok((reply, frame.blob)),
        },
        Ok(None) => Err(lost(io::ErrorKind::UnexpectedEof.into())),
        Err(error) => Err(lost(error)),
    }
}

/// Asks and waits for the one reply.
pub(crate) fn ask(args: &Args, request: &Request) -> Result<Reply, ApiError> {
    let connection = connect(args)?;
    send(&connection, request, &[])?;
    receive(&connection).map(|(reply, _)| reply)
}

fn lost(error: io::Error) -> ApiError {
    let why = match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => "it hung up".to_owned(),
        _ => error.to_string(),
    };
    ApiError::new(Code::NotReady, "lost holond", why).fix("see `journalctl -u holond`")
}
