//! The part of an image that is taken while the process runs.

use alloc::vec::Vec;

use crate::error::{DecodeError, EncodeError, Field};
use crate::image::record::{PartReader, PartWriter};
use crate::image::Part;
use crate::object::creds::Creds;
use crate::object::exec::Exec;
use crate::object::file::Files;
use crate::object::fs::{Exe, Fs};
use crate::object::mm::Mm;
use crate::object::places::Places;
use crate::object::subject::{ImageKind, Subject};
use crate::object::task::Task;
use crate::object::vma::Vmas;

/// What a target needs to make a process ready: sent with PREPARE, read by the target's kernel and
/// by its restore helper.
#[derive(Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Who is moved.
    pub subject: Subject,
    /// Attributes of the task.
    pub task: Task,
    /// Credentials.
    pub creds: Creds,
    /// Working directory and umask.
    pub fs: Fs,
    /// Open files.
    pub files: Files,
    /// What makes the process run there.
    pub body: Body,
}

/// What makes the process run at its target.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    /// The address space of a running process.
    Live(Memory),
    /// A file to execute.
    Exec(Exec),
}

/// The address space of a running process.
#[derive(Debug, PartialEq, Eq)]
pub struct Memory {
    /// Its executable.
    pub exe: Exe,
    /// Bounds and addresses.
    pub mm: Mm,
    /// Mappings.
    pub vmas: Vmas,
    /// Pages that live at the source.
    pub places: Places,
}

impl Manifest {
    /// The address space, if it is an image of a running process.
    pub fn memory(&self) -> Option<&Memory> {
        match &self.body {
            Body::Live(memory) => Some(memory),
            Body::Exec(_) => None,
        }
    }

    /// What to execute, if it is an image of an exec.
    pub fn exec(&self) -> Option<&Exec> {
        match &self.body {
            Body::Live(_) => None,
            Body::Exec(exec) => Some(exec),
        }
    }

    /// Writes it. What it accepts, [`Manifest::decode`] accepts too.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut part = PartWriter::new(Part::Manifest)?;
        part.put(&self.subject)?;
        part.put(&self.task)?;
        part.put(&self.creds)?;
        part.put(&self.fs)?;
        match &self.body {
            Body::Live(memory) => {
                self.expect(ImageKind::Live)?;
                part.put(&memory.exe)?;
                part.put(&self.files)?;
                part.put(&memory.mm)?;
                part.put(&memory.vmas)?;
                part.put(&memory.places)?;
                memory.check_places().map_err(EncodeError::Bound)?;
            }
            Body::Exec(exec) => {
                self.expect(ImageKind::Exec)?;
                part.put(&self.files)?;
                part.put(exec)?;
            }
        }
        part.finish()
    }

    fn expect(&self, kind: ImageKind) -> Result<(), EncodeError> {
        match self.subject.kind == kind {
            true => Ok(()),
            false => Err(EncodeError::Bound(Field::ImageKind)),
        }
    }

    /// Reads and checks it.
    pub fn decode(image: &[u8]) -> Result<Self, DecodeError> {
        let mut part = PartReader::new(image, Part::Manifest)?;
        let subject: Subject = part.need()?;
        let task = part.need()?;
        let creds = part.need()?;
        let fs = part.need()?;
        let (files, body) = match subject.kind {
            ImageKind::Live => {
                let exe = part.need()?;
                let files = part.need()?;
                let memory =
                    Memory { exe, mm: part.need()?, vmas: part.need()?, places: part.need()? };
                memory.check_places().map_err(DecodeError::Bound)?;
                (files, Body::Live(memory))
            }
            ImageKind::Exec => (part.need()?, Body::Exec(part.need()?)),
        };
        part.finish()?;
        Ok(Self { subject, task, creds, fs, files, body })
    }
}

impl Memory {
    /// Each place lies in mappings that can have places.
    fn check_places(&self) -> Result<(), Field> {
        let mut vmas = self.vmas.0.iter().peekable();
        for range in self.places.ranges() {
            let page_len = crate::limits::PAGE_LEN;
            let (mut at, end) = (range.start * page_len, range.end() * page_len);
            while at < end {
                while vmas.next_if(|vma| vma.end <= at).is_some() {}
                match vmas.peek() {
                    Some(vma) if vma.start <= at && vma.has_places() => at = vma.end,
                    _ => return Err(Field::Places),
                }
            }
        }
        Ok(())
    }
}
