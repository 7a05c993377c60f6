//! Pages that a task waits for, as the module asks for them and answers: outside of the links, by
//! datagrams of `netproto::page` and `piece` that are put together where they arrive.

use netproto::limits::PAGE_LEN;
use netproto::msg::lodge::{BatchFlags, Item, LodgeGet, Seal, Status};
use netproto::page::{self, Addresses, Get, Path};
use netproto::piece::{self, Part, Piece, Subject, FRONT_LEN};
use netproto::{DatagramError, RequestId};
use vm_remote::gather::Gather;
use vm_remote::lodge::owner::OpId;
use vm_remote::lodge::Peer;

use super::node::{peer, slot, Content};
use super::wire::Way;
use super::world::World;

/// A page that comes in parts.
#[derive(Debug)]
pub(super) struct Parts {
    gather: Gather,
    content: Content,
}

impl Parts {
    pub(super) fn new() -> Self {
        // Not zeros: what is left out must not look like a page.
        Self { gather: Gather::new(), content: vec![0xa5; PAGE_LEN].into_boxed_slice() }
    }
}

/// What a holder says of a page.
struct Answer<'a> {
    request: RequestId,
    subject: Subject,
    seal: Seal,
    /// Asked for again: in the shortest parts.
    again: bool,
    content: &'a [u8],
}

impl World {
    /// Between this life of a node and the one of another that it knows to be up.
    fn addresses(&self, node: usize, other: usize) -> Option<Addresses> {
        let life = self.nodes[node].life.as_ref()?;
        let other_life = *life.up.get(&other)?;
        Some(Addresses {
            source: slot(node),
            source_incarnation: peer(node, life.number).incarnation,
            destination: slot(other),
            destination_incarnation: peer(other, other_life).incarnation,
        })
    }

    /// Asks for the first page of a batch. What is not sent is as good as lost.
    pub(super) fn ask(
        &mut self,
        node: usize,
        to: Peer,
        item: &Item,
        head: (RequestId, BatchFlags),
    ) {
        let (request, flags) = head;
        let other = to.slot.index();
        let addresses = self.addresses(node, other);
        let same = |addresses: &Addresses| addresses.destination_incarnation == to.incarnation;
        let Some(addresses) = addresses.filter(same) else {
            return self.saw("not asked: its holder is not up");
        };
        let get = LodgeGet { request, entry: item.entry, generation: item.generation, flags };
        let bytes = page::encode_get(&addresses, &Get::Lodge(get));
        self.saw_times("asked for again", u64::from(flags.contains(BatchFlags::AGAIN)));
        self.wire.send(self.now_ns, (node, other), (Way::Urgent, &bytes), &mut self.rng);
    }

    /// A datagram that is not a link's came. Damaged ones are refused, or found out when the page
    /// is whole.
    pub(super) fn take_urgent(&mut self, node: usize, from: usize, bytes: &[u8]) {
        let taken = match page::classify(bytes) {
            Path::Get => self.take_get(node, from, bytes),
            Path::Piece => self.take_piece(node, from, bytes),
            Path::Link | Path::Bad => Err(DatagramError::WrongPath),
        };
        match taken {
            Ok(()) => (),
            Err(DatagramError::StaleIncarnation) => self.saw("urgent datagram of a former life"),
            Err(DatagramError::UnknownPeer) => self.saw("urgent datagram of one who is not up"),
            Err(_) => self.saw("urgent datagram damaged"),
        }
    }

    fn take_get(&mut self, node: usize, from: usize, bytes: &[u8]) -> Result<(), DatagramError> {
        let (header, get) = page::decode_get(bytes)?;
        let ours = self.addresses(node, from).ok_or(DatagramError::UnknownPeer)?;
        page::check_addresses(&header, &ours)?;
        let Get::Lodge(get) = get else {
            self.fail("a request was taken for one of a space");
        };
        let LodgeGet { request, entry, generation, flags } = get;
        let to = Peer { slot: header.source, incarnation: ours.destination_incarnation };
        let seal = Seal::NONE;
        let item = Item { position: 0, status: Status::Ask, entry, seal, generation };
        let life = self.life(node);
        let read = life.holder.fetch(to, &item);
        let read = read.map(|(frame, seal)| (life.frames[&frame].clone(), seal));
        let again = flags.contains(BatchFlags::AGAIN);
        let said = |status| Subject::Lodged { entry, generation, status };
        match read {
            Ok((content, seal)) => {
                let content = self.sent(node, vec![content]).remove(0);
                let (subject, content) = (said(Status::Done), &content[..]);
                self.send_parts(node, &ours, &Answer { request, subject, seal, again, content });
            }
            Err(status) => {
                let subject = said(status);
                let answer = Answer { request, subject, seal, again, content: &[] };
                self.send_parts(node, &ours, &answer);
            }
        }
        Ok(())
    }

    /// Sends an answer, in as many parts as the path makes of it.
    fn send_parts(&mut self, node: usize, addresses: &Addresses, answer: &Answer<'_>) {
        let payload = if answer.again { 0 } else { self.options.payload };
        let parts: Vec<Part> = match answer.content.len() {
            0 => vec![Part::NONE],
            len => Part::all(len, payload).collect(),
        };
        let path = (node, addresses.destination.index());
        for part in parts {
            let &Answer { request, subject, seal, .. } = answer;
            let front = Piece { request, subject, seal, part };
            let mut bytes = piece::encode(addresses, &front).to_vec();
            bytes.extend(answer.content.get(front.range()).unwrap_or_default());
            self.wire.send(self.now_ns, path, (Way::Urgent, &bytes), &mut self.rng);
        }
    }

    fn take_piece(&mut self, node: usize, from: usize, bytes: &[u8]) -> Result<(), DatagramError> {
        let (front, content) = bytes.split_first_chunk().ok_or(DatagramError::TooShort)?;
        let front: &[u8; FRONT_LEN] = front;
        let (header, piece) = piece::decode(front, content.len())?;
        let ours = self.addresses(node, from).ok_or(DatagramError::UnknownPeer)?;
        page::check_addresses(&header, &ours)?;
        let Subject::Lodged { entry, generation, status } = piece.subject else {
            self.fail("a part was taken for one of a space");
        };
        let from = Peer { slot: header.source, incarnation: ours.destination_incarnation };
        let item = Item { position: 0, status, entry, seal: piece.seal, generation };
        let (request, now) = (piece.request, self.now());
        if status != Status::Done {
            self.life(node).owner.handle_page(now, from, request, &item, None);
            return Ok(());
        }
        let Some(op) = self.life(node).owner.awaits(from, request, &item) else {
            self.saw("part nobody waited for");
            return Ok(());
        };
        let Some(whole) = self.gather(node, op, &piece, content) else { return Ok(()) };
        if Seal::of(&whole) == piece.seal {
            self.saw_times("page came in parts", u64::from(piece.part.count > 1));
            self.page_came(node, from, request, (item, Some(&whole)));
        } else {
            self.saw("page damaged on its way");
            self.life(node).owner.came_damaged(now, from, request, &item);
        }
        Ok(())
    }

    /// Puts a part in its place. The content, if that was the last one.
    fn gather(&mut self, node: usize, op: OpId, piece: &Piece, content: &[u8]) -> Option<Content> {
        let before = self.life(node).gathering.get(&op).map(|parts| parts.gather);
        let parts = self.life(node).gathering.get_mut(&op)?;
        parts.content[piece.range()].copy_from_slice(content);
        let is_whole = parts.gather.add(piece.part);
        let whole = parts.content[..piece.seal.len.into()].into();
        let after = parts.gather;
        if is_whole {
            parts.gather = Gather::new();
        }
        self.saw_times("part that came twice", u64::from(before == Some(after)));
        is_whole.then_some(whole)
    }
}
