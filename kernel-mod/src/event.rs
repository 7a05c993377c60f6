//! The module's event handler.

use alloc::boxed::Box;

use kapi::{
    chardev::{self, Handle},
    lock_class,
    module::{Event, Module, Unloading},
    sysctl::Table,
    Global, Mutex, Result,
};

use crate::{
    areas::{AREAS, TAKERS},
    control::{held, knobs},
    ioctl::open::OpenFile,
    port::net,
};

pub(crate) struct Holon;

pub(crate) static HOLON: Holon = Holon;

/// What the outside can call as long as it exists.
struct Doors {
    _device: chardev::Registration,
    _tables: [Table; 2],
}

static DOORS: Global<Mutex<Option<Doors>>> = Global::new();

impl Module for Holon {
    fn event(&self, event: Event<'_>) -> Result {
        match event {
            Event::Load => load(),
            Event::Shutdown => {
                AREAS.iter().for_each(|area| (area.shutdown)());
                net::leave();
                Ok(())
            }
            Event::Unload(token) => {
                unload(token);
                Ok(())
            }
        }
    }

    fn open(&self) -> Result<Box<dyn Handle>> {
        knobs::apply();
        Ok(Box::new(OpenFile::new()))
    }
}

fn load() -> Result {
    let doors = DOORS.set(Mutex::new(lock_class!(c"holon-doors"), None)?)?;
    let mut loaded = 0;
    let result = AREAS
        .iter()
        .try_for_each(|area| (area.load)().inspect(|()| loaded += 1))
        .and_then(|()| net::set_takers(&TAKERS))
        .and_then(|()| open_doors());
    match result {
        Ok(open) => {
            *doors.lock() = Some(open);
            log::info!("loaded, kernel {}", kapi::module::kernel_release());
            Ok(())
        }
        Err(errno) => {
            log::error!("cannot load: {errno}");
            kapi::module::abandon(|token| unload_areas(loaded, token));
            Err(errno)
        }
    }
}

fn open_doors() -> Result<Doors> {
    Ok(Doors {
        _tables: [knobs::table()?, crate::control::stats::table()?],
        _device: chardev::Registration::new()?,
    })
}

fn unload(token: &Unloading) {
    if let Some(doors) = DOORS.get() {
        drop(doors.lock().take());
    }
    let held = held::total();
    if held != 0 {
        log::error!("unloaded with {held} things held");
    }
    unload_areas(AREAS.len(), token);
    log::info!("unloaded");
}

/// First the driver ends, so that no message comes any more; then the areas, last first.
fn unload_areas(loaded: usize, token: &Unloading) {
    net::stop();
    AREAS.iter().take(loaded).rev().for_each(|area| (area.unload)(token));
    net::clear(token);
    DOORS.clear(token);
}
