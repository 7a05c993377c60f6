//! The module's knobs of remote memory, as this node's configuration has them.

use crate::config::MemoryConfig;
use std::fs;

const DIR: &str = "/proc/sys/holon/lodge";

/// Sets what is configured; what is not stays as the module has it.
pub(crate) fn apply(config: &MemoryConfig) {
    for (name, value) in settings(config) {
        let path = format!("{DIR}/{name}");
        if let Err(error) = fs::write(&path, value.to_string()) {
            log::error!("{path}: {error}: {value} was not set");
        }
    }
}

fn settings(config: &MemoryConfig) -> Vec<(&'static str, u64)> {
    let wanted = [
        ("scope", config.scope.map(|scope| scope.number())),
        ("copies", config.copies),
        ("job_max_mb", config.job_max_mb),
        ("lend_max_mb", config.lend_max_mb),
        ("lend_keep_mb", config.lend_keep_mb),
        ("lend_owner_max_mb", config.lend_owner_max_mb),
    ];
    wanted.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scope;

    #[test]
    fn what_is_configured_is_set_and_nothing_else() {
        assert_eq!(settings(&MemoryConfig::default()), []);
        let some = MemoryConfig {
            scope: Some(Scope::None),
            lend_owner_max_mb: Some(64),
            ..MemoryConfig::default()
        };
        assert_eq!(settings(&some), [("scope", 0), ("lend_owner_max_mb", 64)]);
    }
}
