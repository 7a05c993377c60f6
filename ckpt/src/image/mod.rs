//! The format's frame: header, records, checksums and the cursors that read and write them.

pub mod cursor;
pub mod header;
pub mod record;

pub use cursor::{Reader, Writer};
pub use header::Part;
pub use record::{Kind, Record};
