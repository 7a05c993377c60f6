//! Mutexes and spin locks, each with a lock class that lockdep knows by name.

use core::{
    cell::UnsafeCell,
    ffi::CStr,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    ptr::NonNull,
};

use crate::{
    errno::{Errno, Result},
    raw,
};

/// All locks made at one place in the code, for lockdep. Made by
/// [`lock_class!`](crate::lock_class).
#[repr(C, align(8))]
pub struct LockClass {
    key: UnsafeCell<[u8; raw::KPI_LOCK_KEY_LEN as usize]>,
    name: &'static CStr,
}

// SAFETY: Rust never looks at the key; lockdep guards it itself.
unsafe impl Sync for LockClass {}

impl LockClass {
    /// For the macro: a class has to be in the module's static memory.
    #[doc(hidden)]
    pub const fn new(name: &'static CStr) -> Self {
        Self { key: UnsafeCell::new([0; raw::KPI_LOCK_KEY_LEN as usize]), name }
    }
}

/// A lock class named by a C string literal, one for each place where it is written.
#[macro_export]
macro_rules! lock_class {
    ($name:literal) => {{
        static CLASS: $crate::lock::LockClass = $crate::lock::LockClass::new($name);
        &CLASS
    }};
}

/// A kernel mutex around a value. Locking may sleep.
///
/// # Invariants
/// `raw` is a live mutex that only this value knows.
pub struct Mutex<T: ?Sized> {
    raw: NonNull<raw::kpi_mutex>,
    data: UnsafeCell<T>,
}

// SAFETY: the mutex lets one task at a time to the data.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// An unlocked mutex, or `ENOMEM`.
    pub fn new(class: &'static LockClass, data: T) -> Result<Self> {
        // SAFETY: name and key live as long as the module.
        let raw = unsafe { raw::kpi_mutex_new(class.name.as_ptr(), class.key.get().cast()) };
        let raw = NonNull::new(raw).ok_or(Errno::ENOMEM)?;
        Ok(Self { raw, data: UnsafeCell::new(data) })
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock. Holders never wait for a peer, so this is bounded.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        // SAFETY: a live mutex.
        unsafe { raw::kpi_mutex_lock(self.raw.as_ptr()) };
        MutexGuard { mutex: self, _task: PhantomData }
    }

    /// Takes the lock if nobody has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        // SAFETY: a live mutex.
        unsafe { raw::kpi_mutex_trylock(self.raw.as_ptr()) }
            .then_some(MutexGuard { mutex: self, _task: PhantomData })
    }

    /// Waits for the lock; `EINTR` if the task is being killed.
    pub fn lock_killable(&self) -> Result<MutexGuard<'_, T>> {
        // SAFETY: a live mutex.
        Errno::check(unsafe { raw::kpi_mutex_lock_killable(self.raw.as_ptr()) })?;
        Ok(MutexGuard { mutex: self, _task: PhantomData })
    }
}

impl<T: ?Sized> Drop for Mutex<T> {
    fn drop(&mut self) {
        // SAFETY: no guard borrows it any more.
        unsafe { raw::kpi_mutex_free(self.raw.as_ptr()) }
    }
}

/// The right to use a mutex's value.
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    // The kernel wants the locking task to unlock.
    _task: PhantomData<*mut ()>,
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock.
        unsafe { &*self.mutex.data.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock.
        unsafe { &mut *self.mutex.data.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: locked by this task when the guard was made.
        unsafe { raw::kpi_mutex_unlock(self.mutex.raw.as_ptr()) }
    }
}

/// A kernel spin lock around a value, with interrupts off while held: never sleep or allocate then.
///
/// # Invariants
/// `raw` is a live spin lock that only this value knows.
pub struct SpinLock<T: ?Sized> {
    raw: NonNull<raw::kpi_spinlock>,
    data: UnsafeCell<T>,
}

// SAFETY: the lock lets one context at a time to the data.
unsafe impl<T: ?Sized + Send> Send for SpinLock<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// An unlocked spin lock, or `ENOMEM`.
    pub fn new(class: &'static LockClass, data: T) -> Result<Self> {
        // SAFETY: name and key live as long as the module.
        let raw = unsafe { raw::kpi_spin_new(class.name.as_ptr(), class.key.get().cast()) };
        let raw = NonNull::new(raw).ok_or(Errno::ENOMEM)?;
        Ok(Self { raw, data: UnsafeCell::new(data) })
    }
}

impl<T: ?Sized> SpinLock<T> {
    /// Takes the lock, from any context.
    pub fn lock(&self) -> SpinGuard<'_, T> {
        // SAFETY: a live spin lock.
        let flags = unsafe { raw::kpi_spin_lock(self.raw.as_ptr()) };
        SpinGuard { lock: self, flags, _cpu: PhantomData }
    }
}

impl<T: ?Sized> Drop for SpinLock<T> {
    fn drop(&mut self) {
        // SAFETY: no guard borrows it any more.
        unsafe { raw::kpi_spin_free(self.raw.as_ptr()) }
    }
}

/// The right to use a spin lock's value.
pub struct SpinGuard<'a, T: ?Sized> {
    lock: &'a SpinLock<T>,
    flags: u64,
    _cpu: PhantomData<*mut ()>,
}

impl<T: ?Sized> Deref for SpinGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> DerefMut for SpinGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T: ?Sized> Drop for SpinGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: locked by this context with these flags.
        unsafe { raw::kpi_spin_unlock(self.lock.raw.as_ptr(), self.flags) }
    }
}
