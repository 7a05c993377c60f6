//! What travels and lies at holders for a page: the page, or what LZ4 made of it if that is
//! shorter. Its length says which; the holder never looks (decision 16).

use kapi::{
    pack::{self, Packer, PACKED_MAX},
    page::PAGE_LEN,
};

/// What became of a page that is to go.
pub(super) enum Made {
    /// It is in the buffer, so long.
    Packed(usize),
    /// It goes as it is.
    AsItIs,
}

/// Packs a page if that pays.
pub(super) fn make(packer: &mut Packer, page: &[u8; PAGE_LEN], out: &mut [u8; PACKED_MAX]) -> Made {
    packer.pack(page, out).map_or(Made::AsItIs, Made::Packed)
}

/// Makes the page again. False if it can't be: then `page` has anything.
pub(super) fn take(content: &[u8], page: &mut [u8; PAGE_LEN]) -> bool {
    match <&[u8; PAGE_LEN]>::try_from(content) {
        Ok(content) => {
            *page = *content;
            true
        }
        Err(_) => pack::unpack(content, page),
    }
}
