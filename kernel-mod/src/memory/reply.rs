//! Answers on their way out: gathered into messages, or at once if a task waits.

use alloc::vec::Vec;

use kapi::{
    alloc::zeroed_vec,
    page::{PeekedPage, PAGE_LEN},
    still::StillPage,
    udp::Scratch,
    Result,
};
use netproto::{
    limits::REPLY_PAGES_MAX,
    msg::page::{GetFlags, HeldPage, PageData, PageStatus},
    Class, RequestId, SpaceId,
};

use super::{serve::Request, stats, wire};
use crate::port::net::{page_checksum, Piece};

/// What a thread answers with. Whatever can't be sent is asked for again.
pub(super) struct Reply {
    heads: [PageData; REPLY_PAGES_MAX],
    count: usize,
    /// For each head: where its content is, if it is not in `contents`.
    in_place: [Option<StillPage>; REPLY_PAGES_MAX],
    /// A page for each head.
    contents: Vec<u8>,
    scratch: Scratch,
}

const NO_HEAD: PageData = PageData {
    request: RequestId(0),
    space: SpaceId(0),
    index: 0,
    status: PageStatus::Gone,
    page_sum: 0,
};

impl Reply {
    /// With all the memory that it will need.
    pub(super) fn new() -> Result<Self> {
        let contents = zeroed_vec(REPLY_PAGES_MAX * PAGE_LEN)?;
        let heads = [NO_HEAD; REPLY_PAGES_MAX];
        let in_place = [const { None }; REPLY_PAGES_MAX];
        Ok(Self { heads, count: 0, in_place, contents, scratch: Scratch::new()? })
    }

    /// A page with a content: sent from where it is, or copied.
    pub(super) fn content(
        &mut self,
        request: &Request,
        offset: u64,
        page: core::result::Result<StillPage, PeekedPage>,
    ) {
        let mut page_sum = 0;
        match page {
            Ok(still) => {
                stats::SERVED_IN_PLACE.add(1);
                page_sum = page_checksum(still.bytes());
                if let Some(place) = self.in_place.get_mut(self.count) {
                    *place = Some(still);
                }
            }
            Err(page) => {
                if let Some(place) = self.place().and_then(|place| place.first_chunk_mut()) {
                    page.copy_to(place);
                    page_sum = page_checksum(place);
                }
            }
        }
        self.add(request, offset, PageStatus::Data, page_sum);
    }

    /// A page that the asker keeps itself.
    pub(super) fn held(&mut self, request: &Request, offset: u64, page_sum: u32, page: &HeldPage) {
        if let Some(place) = self.place().and_then(|place| place.first_chunk_mut()) {
            *place = page.encode();
        }
        self.add(request, offset, PageStatus::Held, page_sum);
    }

    /// A page without a content.
    pub(super) fn status(&mut self, request: &Request, offset: u64, status: PageStatus) {
        self.add(request, offset, status, 0);
    }

    /// The same of each page.
    pub(super) fn all(&mut self, request: &Request, status: PageStatus) {
        (0..u64::from(request.get.count)).for_each(|offset| self.status(request, offset, status));
    }

    /// Where the next content goes.
    fn place(&mut self) -> Option<&mut [u8]> {
        self.contents.chunks_exact_mut(PAGE_LEN).nth(self.count)
    }

    fn add(&mut self, request: &Request, offset: u64, status: PageStatus, page_sum: u32) {
        let get = &request.get;
        let index = get.index + offset;
        let head = PageData { request: get.request, space: get.space, index, status, page_sum };
        if let Some(place) = self.heads.get_mut(self.count) {
            *place = head;
            self.count += 1;
        }
        let is_now = get.flags.contains(GetFlags::FAULT) && status != PageStatus::Held;
        if is_now {
            self.send_now(request);
        } else if self.count == REPLY_PAGES_MAX {
            self.flush(request);
        }
    }

    /// Sends the last page at once.
    fn send_now(&mut self, request: &Request) {
        let Some(last) = self.count.checked_sub(1) else { return };
        self.count = last;
        let still = self.in_place.get_mut(last).and_then(Option::take);
        let (Some(head), Some(copied)) =
            (self.heads.get(last), self.contents.chunks_exact(PAGE_LEN).nth(last))
        else {
            return;
        };
        let content = still.as_ref().map_or(copied, |still| still.bytes().as_slice());
        let content = content.get(..head.status.content_len()).unwrap_or_default();
        let again = request.get.flags.contains(GetFlags::AGAIN);
        let _ = wire::send_now(request.from, again, head, content, &mut self.scratch);
    }

    /// Sends what was gathered, all of it for this request.
    pub(super) fn flush(&mut self, request: &Request) {
        let mut pages = [(NO_HEAD, Piece::Bytes(&[])); REPLY_PAGES_MAX];
        let count = core::mem::take(&mut self.count);
        let contents = self.in_place.iter().zip(self.contents.chunks_exact(PAGE_LEN));
        for ((page, head), content) in pages.iter_mut().zip(&self.heads[..count]).zip(contents) {
            let piece = match content {
                (Some(still), _) => Piece::Held(still),
                (None, copied) => {
                    Piece::Bytes(copied.get(..head.status.content_len()).unwrap_or_default())
                }
            };
            *page = (*head, piece);
        }
        let is_fault = request.get.flags.contains(GetFlags::FAULT);
        let class = if is_fault { Class::Fault } else { Class::Bulk };
        if count > 0 {
            let _ = wire::send_data(request.from, class, &pages[..count]);
        }
        // The messages have references of their own.
        self.in_place.fill_with(|| None);
    }
}
