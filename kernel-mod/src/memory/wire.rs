//! Page requests and replies out. For the self-test there is a peer that is this node itself.

use kapi::{udp::Scratch, Result};
use netproto::{
    msg::{
        lodge::Seal,
        page::{PageData, PageGet},
        space::Done,
    },
    page::Get,
    piece::Subject,
    Class, Kind, SendError, Slot,
};

use super::target::TargetSpace;
use crate::port::net::{self, Answer, Piece};

/// The slot that stands for this node in the self-test: the last one.
#[cfg(feature = "selftest")]
pub(super) fn loop_slot() -> Option<Slot> {
    Slot::new(netproto::limits::SLOT_COUNT - 1)
}

/// Asks for pages.
pub(super) fn send_get(to: Slot, get: &PageGet) -> Result {
    #[cfg(feature = "selftest")]
    if Some(to) == loop_slot() {
        super::selftest::looped_get(get);
        return Ok(());
    }
    net::send_get(to, &Get::Page(*get))
}

/// Answers by a message.
pub(super) fn send_data(to: Slot, class: Class, pages: &[(PageData, Piece<'_>)]) -> Result {
    #[cfg(feature = "selftest")]
    if Some(to) == loop_slot() {
        pages
            .iter()
            .for_each(|(data, content)| super::selftest::looped_data(data, content.bytes()));
        return Ok(());
    }
    net::send_page_data(to, class, pages)
}

/// Answers what a task waits for; `again` if it had to ask once more.
pub(super) fn send_now(
    to: Slot,
    again: bool,
    data: &PageData,
    content: &[u8],
    scratch: &mut Scratch,
) -> Result {
    #[cfg(feature = "selftest")]
    if Some(to) == loop_slot() {
        super::selftest::looped_data(data, content);
        return Ok(());
    }
    let &PageData { request, space, index, status, page_sum } = data;
    let subject = Subject::Space { space, index, status };
    let seal = match u16::try_from(content.len()) {
        Ok(len) if len != 0 => Seal { sum: page_sum, len },
        _ => Seal::NONE,
    };
    net::send_answer(to, &Answer { request, subject, seal, again, content }, scratch)
}

/// Tells a source that its space is not needed any more.
pub(super) fn send_done(space: &TargetSpace) -> core::result::Result<(), SendError> {
    #[cfg(feature = "selftest")]
    if Some(space.source) == loop_slot() {
        super::selftest::looped_done(space.id);
        return Ok(());
    }
    let done = Done { space: space.id }.encode();
    net::send(space.source, Class::Control, Kind::SPACE_DONE, &[&done])
}

/// Whether the node can be asked at all.
pub(super) fn is_up(slot: Slot) -> bool {
    #[cfg(feature = "selftest")]
    if Some(slot) == loop_slot() {
        return true;
    }
    net::is_up(slot)
}
