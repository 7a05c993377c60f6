//! The guest's disk, kernel and initramfs, made of the root and the recipe's overlay of files.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{bail, Context, Result};

use super::{initramfs, root};
use crate::place::{self, Key};
use crate::ui::Step;
use crate::{host, process};

/// Counts changes of this file that change the image.
const VERSION: &str = "2";
/// The disk's size; blocks that nothing was written to take no room.
const DISK_GB: u32 = 8;

/// What QEMU needs to boot a guest.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// The folder with all of it.
    pub dir: PathBuf,
    /// Its name in the cache.
    pub key: String,
    /// The root that it was made of.
    pub root: root::Root,
}

impl Image {
    /// The disk; only ever the base of overlays.
    pub(crate) fn disk(&self) -> PathBuf {
        self.dir.join("disk.raw")
    }

    /// The kernel.
    pub(crate) fn kernel(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    /// The initramfs.
    pub(crate) fn initramfs(&self) -> PathBuf {
        self.dir.join("initramfs.cpio")
    }
}

/// The key pair that guests let in, made once per cache.
pub(crate) fn ssh_key() -> Result<PathBuf> {
    let path = place::cache()?.join("ssh/id_ed25519");
    let _lock = place::lock("ssh")?;
    if !path.exists() {
        fs::create_dir_all(place::cache()?.join("ssh"))?;
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", "holon-testbed", "-f"]).arg(&path);
        process::output(&mut command)?;
    }
    Ok(path)
}

/// The image of the present recipe, made if it is not there.
pub(crate) fn ensure() -> Result<Image> {
    let root = root::ensure()?;
    let public_key = ssh_key()?.with_extension("pub");
    let recipe = place::recipe();
    let mut key = Key::default();
    key.add(VERSION).add(&root.key).add(&root.kernel);
    key.add_tree(&recipe.join("overlay"))?.add_tree(&recipe.join("init"))?;
    let key = key.add_tree(&public_key)?.finish();
    let dir = place::cache()?.join(format!("image-{key}"));
    let image = Image { dir, key, root };
    let _lock = place::lock("image")?;
    if !image.dir.exists() {
        make(&image)?;
    }
    Ok(image)
}

/// Removes all images and templates: they belong to roots that are about to go.
pub(crate) fn discard() -> Result<()> {
    let _lock = place::lock("image")?;
    for entry in fs::read_dir(place::cache()?)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("image-") || name.starts_with("template-") {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn make(image: &Image) -> Result<()> {
    host::require_root("making the guest's disk")?;
    let step = Step::start("make the guest's disk and initramfs (once)");
    let root = &image.root.path;
    let half_made = image.dir.with_extension("part");
    if half_made.exists() {
        fs::remove_dir_all(&half_made)?;
    }
    fs::create_dir_all(&half_made)?;

    let overlay = place::recipe().join("overlay");
    process::output(
        Command::new("cp").args(["-a", "--no-preserve=ownership"]).arg(overlay.join(".")).arg(root),
    )?;
    let ssh_dir = root.join("root/.ssh");
    fs::create_dir_all(&ssh_dir)?;
    fs::copy(ssh_key()?.with_extension("pub"), ssh_dir.join("authorized_keys"))?;
    process::output(Command::new("chown").args(["-R", "0:0"]).arg(&ssh_dir))?;
    process::output(Command::new("chmod").args(["-R", "go="]).arg(&ssh_dir))?;
    process::output(Command::new("ssh-keygen").args(["-A", "-f"]).arg(root))?;
    let id: String = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    fs::write(root.join("etc/machine-id"), id.replace('-', ""))?;
    fs::write(root.join("etc/hostname"), "template\n")?;
    // Newer than /usr, so that the first boot does not rebuild what depends on it.
    for stamp in ["etc/.updated", "var/.updated"] {
        fs::write(root.join(stamp), "")?;
    }

    index_module(&image.root)?;

    let boot = root.join("boot");
    fs::copy(boot.join(format!("vmlinuz-{}", image.root.kernel)), half_made.join("vmlinuz"))
        .context("copy the kernel")?;
    initramfs::write(&image.root, &half_made.join("initramfs.cpio"))?;

    let disk = half_made.join("disk.raw");
    let mke2fs = ["/usr/sbin/mke2fs", "/sbin/mke2fs"]
        .into_iter()
        .find(|p| fs::exists(p).is_ok_and(|found| found));
    let Some(mke2fs) = mke2fs else { bail!("mke2fs (e2fsprogs) is missing") };
    process::output(
        Command::new(mke2fs)
            .args(["-q", "-F", "-t", "ext4", "-m", "0", "-L", "root", "-E", "lazy_itable_init=1"])
            .args(["-O", "^metadata_csum_seed,^orphan_file", "-d"])
            .arg(root)
            .arg(&disk)
            .arg(format!("{DISK_GB}G")),
    )?;
    fs::rename(&half_made, &image.dir)?;
    step.done();
    Ok(())
}

/// Puts the module into the kernel's index before there is one: installing it is much quicker then.
fn index_module(root: &root::Root) -> Result<()> {
    let library = root.path.join("usr/lib/modules").join(&root.kernel);
    let placeholder = library.join("updates/holon.ko");
    fs::create_dir_all(library.join("updates"))?;
    let source = r#"const char name[] __attribute__((section(".modinfo"))) = "name=holon";"#;
    let source_path = root.path.join("tmp/holon.c");
    fs::write(&source_path, source)?;
    process::output(Command::new("gcc").arg("-c").arg(&source_path).arg("-o").arg(&placeholder))?;
    process::output(Command::new("chroot").arg(&root.path).arg("depmod").arg(&root.kernel))?;
    fs::remove_file(source_path)?;
    fs::remove_file(placeholder)?;
    Ok(())
}
