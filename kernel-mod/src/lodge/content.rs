//! What travels and lies at holders for a page: the page, or what LZ4 made of it if that is
//! shorter. Its length says which; the holder never looks (decision 16).

use kapi::{pack, page::PAGE_LEN};

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
