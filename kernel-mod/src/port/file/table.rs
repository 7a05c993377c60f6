//! The files here that other nodes hold references to.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};

use kapi::{clock, fileref::FileRef, lock_class, Errno, Mutex, Result};
use netproto::{FileId, Slot};

use super::object::Object;

/// References of one node to one file at most: more are a peer's fault.
const REFS_MAX: u32 = 1 << 20;
/// Files served at most.
const FILES_MAX: usize = 1 << 16;

struct Entry {
    object: Arc<Object>,
    /// Sorted by nothing, never with a zero; few nodes share a file.
    refs: Vec<(Slot, u32)>,
}

impl Entry {
    fn count(&mut self, slot: Slot) -> Option<&mut u32> {
        self.refs.iter_mut().find(|(holder, _)| *holder == slot).map(|(_, count)| count)
    }

    fn take(&mut self, slot: Slot) -> Result {
        if let Some(count) = self.count(slot) {
            if *count == REFS_MAX {
                return Err(Errno::EOVERFLOW);
            }
            *count += 1;
            return Ok(());
        }
        self.refs.try_reserve(1)?;
        self.refs.push((slot, 1));
        Ok(())
    }

    fn give(&mut self, slot: Slot, count: u32) {
        if let Some(held) = self.count(slot) {
            *held = held.saturating_sub(count);
        }
        self.refs.retain(|(_, count)| *count != 0);
    }
}

/// # Invariants
/// `by_file` has one entry for each in `by_id`, by its file; each in `by_id` has references.
#[derive(Default)]
struct Inner {
    by_id: BTreeMap<u64, Entry>,
    by_file: BTreeMap<usize, u64>,
}

impl Inner {
    /// Takes entries out whose last reference has gone.
    fn prune(&mut self, ids: &[u64]) -> Vec<Entry> {
        let mut gone = Vec::new();
        for id in ids {
            if self.by_id.get(id).is_some_and(|entry| entry.refs.is_empty()) {
                if let Some(entry) = self.by_id.remove(id) {
                    self.by_file.remove(&entry.object.file().identity());
                    gone.push(entry);
                }
            }
        }
        gone
    }
}

/// Numbers to files.
pub(super) struct Table {
    inner: Mutex<Inner>,
}

impl Table {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { inner: Mutex::new(lock_class!(c"holon-files"), Inner::default())? })
    }

    /// Files in it.
    pub(super) fn len(&self) -> u64 {
        self.inner.lock().by_id.len() as u64
    }

    /// Makes a file available, with a reference for `slot`. One file has one number.
    pub(super) fn add(&self, file: &FileRef, slot: Slot) -> Result<FileId> {
        let mut inner = self.inner.lock();
        if let Some(id) = inner.by_file.get(&file.identity()).copied() {
            let entry = inner.by_id.get_mut(&id).ok_or(Errno::EIO)?;
            return entry.take(slot).map(|()| FileId(id));
        }
        if inner.by_id.len() >= FILES_MAX {
            return Err(Errno::ENOSPC);
        }
        let id = loop {
            let id = u64::from_ne_bytes(clock::random());
            if id != 0 && !inner.by_id.contains_key(&id) {
                break id;
            }
        };
        let mut entry = Entry { object: Object::new(file, FileId(id))?, refs: Vec::new() };
        entry.take(slot)?;
        inner.by_file.insert(file.identity(), id);
        inner.by_id.insert(id, entry);
        Ok(FileId(id))
    }

    /// Takes one more reference for `slot`.
    pub(super) fn take(&self, id: FileId, slot: Slot) -> Result<Arc<Object>> {
        let mut inner = self.inner.lock();
        let entry = inner.by_id.get_mut(&id.0).ok_or(Errno::ESTALE)?;
        entry.take(slot).map(|()| Arc::clone(&entry.object))
    }

    /// Gives references of `slot` back.
    pub(super) fn give(&self, id: FileId, slot: Slot, count: u32) {
        let mut inner = self.inner.lock();
        if let Some(entry) = inner.by_id.get_mut(&id.0) {
            entry.give(slot, count);
        }
        let gone = inner.prune(&[id.0]);
        drop(inner);
        drop(gone);
    }

    /// The file, if `slot` has a reference to it.
    pub(super) fn held_by(&self, id: FileId, slot: Slot) -> Option<Arc<Object>> {
        let mut inner = self.inner.lock();
        let entry = inner.by_id.get_mut(&id.0)?;
        entry.count(slot)?;
        Some(Arc::clone(&entry.object))
    }

    /// The file with a number.
    pub(super) fn get(&self, id: u64) -> Option<Arc<Object>> {
        self.inner.lock().by_id.get(&id).map(|entry| Arc::clone(&entry.object))
    }

    /// Ends all references of a node; gives the files that it had and that others still have.
    pub(super) fn give_all(&self, slot: Slot) -> Vec<Arc<Object>> {
        let mut inner = self.inner.lock();
        let mut kept = Vec::new();
        let mut ids = Vec::new();
        for (id, entry) in &mut inner.by_id {
            if entry.count(slot).is_some() {
                entry.give(slot, u32::MAX);
                ids.push(*id);
                if !entry.refs.is_empty() {
                    kept.push(Arc::clone(&entry.object));
                }
            }
        }
        let gone = inner.prune(&ids);
        drop(inner);
        drop(gone);
        kept
    }
}
