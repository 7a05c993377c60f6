//! The frames: ordinary pages by the numbers that the machine knows them by.

use alloc::vec::Vec;

use kapi::{page::Page, page::PAGE_LEN, Result};
use netproto::msg::lodge::Seal;
use vm_remote::lodge::holder::Frame;

/// All frames. Nothing is allocated after [`Frames::new`].
pub(super) struct Frames {
    pages: Vec<Option<Page>>,
    unused: Vec<u32>,
}

impl Frames {
    /// For at most `count` frames.
    pub(super) fn new(count: u32) -> Result<Self> {
        let (mut pages, mut unused) = (Vec::new(), Vec::new());
        pages.try_reserve_exact(count as usize)?;
        unused.try_reserve_exact(count as usize)?;
        pages.resize_with(count as usize, || None);
        unused.extend((0..count).rev());
        Ok(Self { pages, unused })
    }

    /// How many there may be.
    pub(super) fn room(&self) -> u32 {
        self.pages.len() as u32
    }

    /// Takes a page in; hands it back if there is no place for it.
    pub(super) fn put(&mut self, page: Page) -> core::result::Result<Frame, Page> {
        let Some(number) = self.unused.pop() else { return Err(page) };
        self.pages[number as usize] = Some(page);
        Ok(Frame(number))
    }

    /// Gives a page up.
    pub(super) fn take(&mut self, frame: Frame) -> Option<Page> {
        let page = self.pages.get_mut(frame.0 as usize)?.take()?;
        self.unused.push(frame.0);
        Some(page)
    }

    /// The content that a frame was filled with.
    pub(super) fn content(&self, frame: Frame, seal: Seal) -> Option<&[u8]> {
        self.pages.get(frame.0 as usize)?.as_ref()?.bytes().get(..seal.len.into())
    }

    /// Changes the content of all.
    #[cfg(feature = "selftest")]
    pub(super) fn rot(&mut self) {
        for page in self.pages.iter_mut().flatten() {
            page.bytes_mut()[0] ^= 1;
        }
    }

    pub(super) fn bytes_mut(&mut self, frame: Frame) -> Option<&mut [u8; PAGE_LEN]> {
        self.pages.get_mut(frame.0 as usize)?.as_mut().map(Page::bytes_mut)
    }
}
