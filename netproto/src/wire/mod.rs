//! Bytes on the wire: the datagram header, checked cursors and the checksum.

mod checksum;
pub mod header;
pub mod reader;
pub mod writer;

pub use checksum::checksum;
pub use header::{DatagramKind, Header};
pub use reader::Reader;
pub use writer::Writer;
