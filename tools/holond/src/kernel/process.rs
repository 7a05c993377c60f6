//! Processes: the part of the device that jobs, moves and restores need.

use super::device::{name_field, text_of};
use super::Device;
use crate::sys::{address, ioctl_record, take_fd};
use holon_api::id::SLOTS_MAX;
use holon_uapi::file as file_uapi;
use holon_uapi::gate as gate_uapi;
use holon_uapi::proc as uapi;
use nix::Result;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use zerocopy::FromZeros;

const PROCESSES_MAX: usize = 65_536;
const TEXT_LEN_MAX: usize = 4096;

/// What a job init tells about a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Stopped by this signal.
    Stopped(i32),
    /// Continued.
    Continued,
}

/// What the module knows of an image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image {
    /// The module's number of it.
    pub(crate) id: u64,
    /// Length of its manifest.
    pub(crate) manifest_bytes: u64,
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

impl Device {
    /// Registers a job, whose init runs.
    pub(crate) fn job_add(&self, job: u32, home: u32, init_pid: i32, place: bool) -> Result<()> {
        let flags = if place { uapi::JOB_PLACE } else { 0 };
        let mut record = uapi::JobAdd { job, home, init_pid, flags, reserved: [0; 2] };
        ioctl_record(self.as_fd(), uapi::JOB_ADD, &mut record).map(drop)
    }

    /// Forgets a job.
    pub(crate) fn job_del(&self, job: u32) -> Result<()> {
        let mut record = uapi::JobDel { job, reserved: 0 };
        ioctl_record(self.as_fd(), uapi::JOB_DEL, &mut record).map(drop)
    }

    /// Sets which programs are placed at exec, and the nodes' weights.
    pub(crate) fn place_set(
        &self,
        names: &[String],
        weights: [u16; SLOTS_MAX as usize],
        timeout: Duration,
    ) -> Result<()> {
        let mut list = Vec::new();
        for name in names {
            list.extend_from_slice(name.as_bytes());
            list.push(0);
        }
        let mut record = uapi::PlaceSet {
            names: address(list.as_ptr()),
            names_bytes: u32::try_from(list.len()).unwrap_or(u32::MAX),
            timeout_ms: millis(timeout),
            weights,
        };
        ioctl_record(self.as_fd(), uapi::PLACE_SET, &mut record).map(drop)
    }

    /// Registers the helper for surrogates whose process comes home.
    pub(crate) fn helper_set(&self, binary: BorrowedFd<'_>, device: &Self) -> Result<()> {
        let (exec_fd, dev_fd) = (binary.as_raw_fd(), device.as_fd().as_raw_fd());
        let mut record = uapi::HelperSet { exec_fd, dev_fd, reserved: 0 };
        ioctl_record(self.as_fd(), uapi::HELPER_SET, &mut record).map(drop)
    }

    /// Cordons the node in its kernel, or no longer.
    pub(crate) fn set_cordon(&self, why: Option<&str>) -> Result<()> {
        // What lodges on a node that takes nothing is to leave too: it is about to be switched off.
        let closed = gate_uapi::GATE_CORDONED | gate_uapi::GATE_LEAVING;
        let flags = if why.is_some() { closed } else { 0 };
        let why = name_field(why.unwrap_or_default());
        let mut gate = gate_uapi::Gate { flags, bodies_max: 0, reserved: 0, why };
        ioctl_record(self.as_fd(), gate_uapi::GATE_SET, &mut gate).map(drop)
    }

    /// Why the kernel keeps the node cordoned, if it does.
    pub(crate) fn cordon(&self) -> Result<Option<String>> {
        let mut gate = gate_uapi::Gate::new_zeroed();
        ioctl_record(self.as_fd(), gate_uapi::GATE_GET, &mut gate)?;
        Ok((gate.flags & gate_uapi::GATE_CORDONED != 0).then(|| text_of(&gate.why)))
    }

    /// Has the module look at a process that sleeps in a call; which kinds it knows then.
    pub(crate) fn restart_learn(&self, pid: i32) -> Result<u32> {
        let mut record = uapi::RestartLearn { pid, known: 0 };
        ioctl_record(self.as_fd(), uapi::RESTART_LEARN, &mut record)?;
        Ok(record.known)
    }

    /// Begins a move: the attempt's number, or errno and the reason.
    pub(crate) fn migrate(
        &self,
        job: u32,
        pid: i32,
        target: u32,
        time: Duration,
    ) -> std::result::Result<u64, (nix::errno::Errno, u32)> {
        let mut record = uapi::Migrate {
            job,
            pid,
            target,
            timeout_ms: millis(time),
            attempt: 0,
            reason: 0,
            reserved: 0,
        };
        match ioctl_record(self.as_fd(), uapi::MIGRATE, &mut record) {
            Ok(_) => Ok(record.attempt),
            Err(errno) => Err((errno, record.reason)),
        }
    }

    /// Reasons against a move, one line each; none if it may move.
    pub(crate) fn explain(&self, job: u32, pid: i32) -> Result<Vec<String>> {
        let mut text = vec![0u8; TEXT_LEN_MAX];
        let mut record = uapi::Explain {
            job,
            pid,
            text: address(text.as_mut_ptr()),
            text_bytes_max: u32::try_from(text.len()).unwrap_or(0),
            text_bytes: 0,
            count: 0,
            reserved: 0,
        };
        ioctl_record(self.as_fd(), uapi::EXPLAIN, &mut record)?;
        text.truncate(usize::try_from(record.text_bytes).unwrap_or(0));
        let text = String::from_utf8_lossy(&text);
        let lines = text.trim_end_matches('\0').lines();
        Ok(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    /// All process records of this node.
    pub(crate) fn processes(&self) -> Result<Vec<uapi::ProcInfo>> {
        let mut room = 256;
        loop {
            let mut entries = vec![uapi::ProcInfo::default(); room];
            let mut record = uapi::ProcList {
                entries: address(entries.as_mut_ptr()),
                count_max: u32::try_from(room).unwrap_or(0),
                count: 0,
            };
            ioctl_record(self.as_fd(), uapi::PROC_LIST, &mut record)?;
            let count = usize::try_from(record.count).unwrap_or(usize::MAX);
            if count <= room || room >= PROCESSES_MAX {
                entries.truncate(count);
                return Ok(entries);
            }
            room = count.saturating_add(64).min(PROCESSES_MAX);
        }
    }

    /// Counts for a drain.
    pub(crate) fn counts(&self) -> Result<uapi::ProcCounts> {
        let mut record = uapi::ProcCounts::default();
        ioctl_record(self.as_fd(), uapi::PROC_COUNTS, &mut record)?;
        Ok(record)
    }

    /// A child of the job's init stopped or went on.
    pub(crate) fn body_state(&self, job: u32, pid: i32, stop: Stop) -> Result<()> {
        let (state, signo) = match stop {
            Stop::Stopped(signal) => (1, signal.unsigned_abs()),
            Stop::Continued => (2, 0),
        };
        let mut record = uapi::BodyState { job, pid, state, signo };
        ioctl_record(self.as_fd(), uapi::BODY_STATE, &mut record).map(drop)
    }

    /// Binds the caller to an image.
    pub(crate) fn image_attach(&self, image: u64) -> Result<Image> {
        let mut record =
            uapi::ImageAttach { image, job: 0, pid: 0, kind: 0, source: 0, manifest_bytes: 0 };
        ioctl_record(self.as_fd(), uapi::IMAGE_ATTACH, &mut record)?;
        Ok(Image { id: image, manifest_bytes: record.manifest_bytes })
    }

    /// Reads an image's manifest.
    pub(crate) fn image_read(&self, image: &Image) -> Result<Vec<u8>> {
        let mut bytes = vec![0u8; usize::try_from(image.manifest_bytes).unwrap_or(0)];
        let mut filled = 0;
        while filled < bytes.len() {
            let rest = &mut bytes[filled..];
            let mut record = uapi::ImageRead {
                image: image.id,
                offset: filled.try_into().unwrap_or(u64::MAX),
                data: address(rest.as_mut_ptr()),
                bytes: rest.len().try_into().unwrap_or(0),
            };
            ioctl_record(self.as_fd(), uapi::IMAGE_READ, &mut record)?;
            match usize::try_from(record.bytes).unwrap_or(0) {
                0 => return Err(nix::errno::Errno::ENODATA),
                got => filled += got.min(rest.len()),
            }
        }
        Ok(bytes)
    }

    /// Gives a restore up.
    pub(crate) fn image_fail(&self, image: u64, errno: i32, step: u32) -> Result<()> {
        let mut record = uapi::ImageFail { image, errno: errno.unsigned_abs(), step };
        ioctl_record(self.as_fd(), uapi::IMAGE_FAIL, &mut record).map(drop)
    }

    /// A descriptor for a file that stands on another node (or on this one).
    pub(crate) fn file_open(&self, slot: u32, file: u64, flags: u32) -> Result<OwnedFd> {
        let mut record = file_uapi::FileOpen { slot, flags, file, fd: -1, reserved: 0 };
        ioctl_record(self.as_fd(), file_uapi::FILE_OPEN, &mut record)?;
        take_fd(record.fd).map_err(|_| nix::errno::Errno::EBADF)
    }

    /// Waits for the word to exec.
    pub(crate) fn exec_go(&self, image: u64) -> Result<()> {
        let mut record = uapi::ExecGo { image };
        ioctl_record(self.as_fd(), uapi::EXEC_GO, &mut record).map(drop)
    }
}
