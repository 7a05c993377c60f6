//! What Holon is measured beside: swap on a network block device whose server keeps it in memory,
//! on compressed memory, on the guest's disk; and the servers on the other node.

use anyhow::{ensure, Result};

use crate::scenario::cluster::{eventually, Cluster, PROGRAMS, SOON};

/// Node 2 tells here how busy it is.
pub(super) const STAT_PORT: u16 = 7797;
/// And echoes here.
pub(super) const ECHO_PORT: u16 = 7798;
/// Node 2's address.
pub(super) const HOLDER: &str = "10.77.0.2";

/// Where memory goes that there is no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Other nodes, by Holon.
    Lodge,
    /// The same, as if nothing could be packed.
    Whole,
    /// Swap on nbd over TCP.
    Nbd,
    /// Swap on zram.
    Zram,
    /// Swap in a file on the virtio disk.
    Disk,
}

impl Side {
    /// As tables call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lodge => "Holon",
            Self::Whole => "Holon, pack 0",
            Self::Nbd => "nbd swap",
            Self::Zram => "zram",
            Self::Disk => "swap on disk",
        }
    }

    /// Makes it what node 1 uses. For Holon, `scope` says whose pages may go.
    pub(super) fn on(self, cluster: &Cluster, scope: Scope) -> Result<()> {
        let line = match self {
            Self::Lodge => format!("echo {} >/proc/sys/holon/lodge/scope", scope as u8),
            Self::Whole => format!(
                "echo 0 >/proc/sys/holon/lodge/pack && echo {} >/proc/sys/holon/lodge/scope",
                scope as u8
            ),
            Self::Nbd => format!(
                "nbd-client {HOLDER} -N swap /dev/nbd0 -swap -persist && udevadm settle && \
                 mkswap -q /dev/nbd0 && swapon /dev/nbd0"
            ),
            Self::Zram => "echo 512M >/sys/block/zram0/disksize && udevadm settle && \
                           mkswap -q /dev/zram0 && swapon /dev/zram0"
                .into(),
            Self::Disk => "swapon /var/tmp/swap".into(),
        };
        cluster.sh(1, &line)?;
        let swaps = cluster.sh(1, "tail -n +2 /proc/swaps | wc -l")?;
        let wanted = if matches!(self, Self::Lodge | Self::Whole) { "0" } else { "1" };
        ensure!(swaps == wanted, "{}: node1 has {swaps} swap devices", self.name());
        Ok(())
    }

    /// The way back.
    pub(super) fn off(self, cluster: &Cluster) -> Result<()> {
        let line = match self {
            Self::Lodge => "echo 0 >/proc/sys/holon/lodge/scope",
            Self::Whole => {
                "echo 0 >/proc/sys/holon/lodge/scope && echo 1 >/proc/sys/holon/lodge/pack"
            }
            Self::Nbd => "swapoff /dev/nbd0 && nbd-client -d /dev/nbd0 && udevadm settle",
            Self::Zram => "swapoff /dev/zram0 && udevadm settle && echo 1 >/sys/block/zram0/reset",
            Self::Disk => "swapoff /var/tmp/swap",
        };
        cluster.sh(1, line).map(|_| ())
    }
}

/// `holon/lodge/scope`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scope {
    /// Pages of jobs.
    Jobs = 1,
    /// Pages of all processes.
    All = 2,
}

const SERVERS: &[&str] = &["bench-stat", "bench-echo", "bench-iperf"];

/// Starts the servers on node 2 and makes the devices of node 1.
pub(super) fn up(cluster: &Cluster) -> Result<()> {
    // Collected: one that ended badly, as iperf3 does when it is stopped, would keep its name.
    let serve = |unit: &str, line: &str| format!("systemd-run -q --collect --unit {unit} {line}");
    cluster.sh(2, &serve("bench-stat", &format!("{PROGRAMS}/pageout stat {STAT_PORT}")))?;
    cluster.sh(2, &serve("bench-echo", &format!("{PROGRAMS}/udpecho serve {ECHO_PORT}")))?;
    cluster.sh(2, &serve("bench-iperf", "iperf3 -s"))?;
    cluster.sh(
        2,
        "mkdir -p /run/nbd && mount -t tmpfs -o size=600M nbd /run/nbd && \
         truncate -s 512M /run/nbd/swap && \
         printf '[generic]\\nuser=root\\ngroup=root\\n[swap]\\nexportname=/run/nbd/swap\\n' \
         >/run/nbd.conf && nbd-server -C /run/nbd.conf -p /run/nbd.pid",
    )?;
    cluster.sh(
        1,
        "modprobe nbd nbds_max=1 && modprobe zram num_devices=1 && udevadm settle && \
         dd if=/dev/zero of=/var/tmp/swap bs=1M count=512 status=none && \
         chmod 600 /var/tmp/swap && mkswap -q /var/tmp/swap",
    )?;
    eventually("the servers", SOON, || {
        let open = cluster.sh(2, "ss -Hlntu")?;
        let ports = [STAT_PORT, ECHO_PORT, 5201, 10809];
        Ok(ports.iter().all(|port| open.contains(&format!(":{port} "))).then_some(()))
    })
}

/// Ends the programs that page, on node 1.
pub(super) fn end_programs(cluster: &Cluster) -> Result<()> {
    let line = "pkill -KILL -x 'workset|pageout|redis-server|cc1plus'; true";
    cluster.sh(1, line).map(|_| ())
}

/// What a failure may have left on node 1. What is not there is no error.
fn reset(cluster: &Cluster) -> Result<()> {
    end_programs(cluster)?;
    cluster.sh(
        1,
        "echo 0 >/proc/sys/holon/lodge/scope; swapoff -a; \
         test -e /sys/block/nbd0/pid && nbd-client -d /dev/nbd0; \
         echo 1 >/sys/block/zram0/reset; umount /run/ballast; \
         for block in /sys/devices/system/memory/memory*/state; do \
         grep -q offline $block && echo online >$block; done; \
         echo 3 >/proc/sys/vm/page-cluster; true",
    )?;
    cluster.sh(2, "pkill -KILL -x redis-server; true").map(|_| ())
}

/// Ends the servers, and what runs still.
pub(super) fn down(cluster: &Cluster) -> Result<()> {
    reset(cluster)?;
    cluster.sh(1, "rm -f /var/tmp/swap; rmmod zram nbd; true")?;
    let servers = SERVERS.join(" ");
    let line =
        format!("systemctl stop {servers}; kill $(cat /run/nbd.pid); umount -l /run/nbd; true");
    cluster.sh(2, &line).map(|_| ())
}
