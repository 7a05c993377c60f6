//! Loading the module, and saying why it is not there.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const DEVICE: &str = "/dev/holon";
/// Kernel features that the module can't do without; it checks again, this is for the message.
const FEATURES: [&str; 3] =
    ["CONFIG_DEVICE_PRIVATE", "CONFIG_CHECKPOINT_RESTORE", "CONFIG_MEM_SOFT_DIRTY"];

/// Makes sure that the device is there; on failure, why it is not.
pub(crate) fn ensure() -> Result<(), String> {
    if Path::new(DEVICE).exists() {
        return Ok(());
    }
    let output = Command::new("modprobe").arg("holon").stdin(Stdio::null()).output();
    let said = match output {
        Ok(output) if output.status.success() && Path::new(DEVICE).exists() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("can't run modprobe: {error}"),
    };
    let missing = missing_features();
    if !missing.is_empty() {
        return Err(format!("this kernel lacks {}: boot one that has them", missing.join(", ")));
    }
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let said = if said.is_empty() { "modprobe did not make the device".into() } else { said };
    Err(format!("no module holon for kernel {}: {said}", release.trim()))
}

/// Features that the running kernel's configuration file lacks; none if there is no file.
fn missing_features() -> Vec<&'static str> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let Ok(text) = fs::read_to_string(format!("/boot/config-{}", release.trim())) else {
        return Vec::new();
    };
    let has = |name: &&str| text.lines().any(|line| line.strip_prefix(name) == Some("=y"));
    FEATURES.iter().copied().filter(|name| !has(name)).collect()
}
