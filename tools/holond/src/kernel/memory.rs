//! Remote memory: the part of the device that tells of it.

use super::Device;
use crate::sys::{address, ioctl_record};
use holon_uapi::base;
use holon_uapi::memory as uapi;
use nix::errno::Errno;
use nix::Result;
use std::collections::HashMap;
use std::os::fd::AsFd;
use zerocopy::FromZeros;

/// Slots of a cluster.
const PEERS_MAX: usize = 64;
/// The module tells of no more.
const PROCESSES_MAX: usize = 4096;

fn count_of(count: u32, room: usize) -> usize {
    usize::try_from(count).unwrap_or(room).min(room)
}

impl Device {
    /// How it is with this node's remote memory.
    pub(crate) fn memory(&self) -> Result<Box<uapi::MemStatus>> {
        let mut record = Box::new(uapi::MemStatus::new_zeroed());
        ioctl_record(self.as_fd(), uapi::MEM_STATUS, &mut *record)?;
        Ok(record)
    }

    /// The nodes that memory is shared with.
    pub(crate) fn memory_peers(&self) -> Result<Vec<uapi::MemPeer>> {
        let mut peers = vec![uapi::MemPeer::new_zeroed(); PEERS_MAX];
        let mut list = base::List { ptr: address(peers.as_mut_ptr()), count: 64, flags: 0 };
        ioctl_record(self.as_fd(), uapi::MEM_PEERS, &mut list)?;
        peers.truncate(count_of(list.count, PEERS_MAX));
        Ok(peers)
    }

    /// Processes here with pages that are only on one node, or with pages anywhere: their numbers
    /// here, and how many pages.
    pub(crate) fn memory_of(&self, only_at: Option<u32>) -> Result<HashMap<u32, u64>> {
        let mut entries = vec![uapi::MemProcess::new_zeroed(); PROCESSES_MAX];
        let mut record = uapi::MemBlast {
            ptr: address(entries.as_mut_ptr()),
            count: u32::try_from(PROCESSES_MAX).unwrap_or(0),
            slot: only_at.unwrap_or(uapi::MEM_ANYWHERE),
        };
        ioctl_record(self.as_fd(), uapi::MEM_BLAST, &mut record)?;
        entries.truncate(count_of(record.count, PROCESSES_MAX));
        Ok(entries.into_iter().map(|entry| (entry.pid, entry.pages)).collect())
    }

    /// For how long programs waited for memory, in hundredths of a per cent of the last interval.
    pub(crate) fn memory_stall(&self, share: u32) -> Result<()> {
        let mut record = uapi::MemStall { share, reserved: 0 };
        ioctl_record(self.as_fd(), uapi::MEM_STALL, &mut record).map(drop)
    }

    /// A node is given up for good, as far as memory goes. False if it has a new life, or none.
    pub(crate) fn give_up(&self, slot: u32) -> Result<bool> {
        let Some((incarnation, base::PEER_DOWN)) = self.life_of(slot)? else { return Ok(false) };
        self.give_up_life(slot, incarnation)
    }

    /// The same for this life of it, though it may be heard of.
    pub(crate) fn give_up_life(&self, slot: u32, incarnation: [u8; 16]) -> Result<bool> {
        let mut record = uapi::PeerDead { slot, reserved: 0, incarnation };
        match ioctl_record(self.as_fd(), uapi::MEM_PEER_DEAD, &mut record) {
            Ok(_) => Ok(true),
            Err(Errno::ESRCH) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// The life of a node that was given up, if it has no new one that is known.
    pub(crate) fn given_up(&self, slot: u32) -> Result<Option<[u8; 16]>> {
        let peers = self.memory_peers()?;
        let life = peers.iter().find(|peer| peer.slot == slot).map(|peer| peer.given_up);
        Ok(life.filter(|life| *life != [0; 16]))
    }

    /// The present or last life of a peer, and its state (`PEER_*`).
    pub(crate) fn life_of(&self, slot: u32) -> Result<Option<([u8; 16], u32)>> {
        let mut peers = vec![base::Peer::new_zeroed(); PEERS_MAX];
        let mut list = base::List { ptr: address(peers.as_mut_ptr()), count: 64, flags: 0 };
        ioctl_record(self.as_fd(), base::PEER_LIST, &mut list)?;
        peers.truncate(count_of(list.count, PEERS_MAX));
        let known = peers.iter().find(|peer| peer.slot == slot && peer.incarnation != [0; 16]);
        Ok(known.map(|peer| (peer.incarnation, peer.state)))
    }
}
