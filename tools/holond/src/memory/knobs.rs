//! The module's knobs of remote memory, as this node's configuration has them.

use crate::config::MemoryConfig;
use std::fs;

const DIR: &str = "/proc/sys/holon/lodge";

/// Sets what is configured; what is not stays as the module has it.
pub(crate) fn apply(config: &MemoryConfig) {
    let wanted = [
        ("scope", config.scope.map(|scope| scope.number())),
        ("copies", config.copies),
        ("job_max_mb", config.job_max_mb),
        ("lend_max_mb", config.lend_max_mb),
        ("lend_keep_mb", config.lend_keep_mb),
    ];
    for (name, value) in wanted {
        let Some(value) = value else { continue };
        let path = format!("{DIR}/{name}");
        if let Err(error) = fs::write(&path, value.to_string()) {
            log::error!("{path}: {error}: {value} was not set");
        }
    }
}
