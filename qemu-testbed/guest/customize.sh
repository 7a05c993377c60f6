#!/bin/sh
# Finishes the new root while its package lists are still there (mmdebstrap's
# customize hook). Arguments: the root, and this recipe's folder.
set -eu
root=$1 recipe=$2

words() { sed -e 's/#.*//' "$recipe/$1" | tr '\n' ' '; }
backports=$(words suites.txt | tr ' ' '\n' | grep -e '-backports$')

# A host without a Debian mirror of its own leaves the release's suite alone: complete it.
list=$root/etc/apt/sources.list
if ! grep -q -e "$backports" "$list"; then
    uri=$(awk '$1 == "deb" { print $2; exit }' "$list")
    for suite in $(words suites.txt); do
        grep -q " $suite " "$list" || echo "deb $uri $suite main" >>"$list"
    done
    echo "deb-src $uri $(words suites.txt | awk '{ print $1 }') main" >>"$list"
    chroot "$root" apt-get update
fi

# The testbed boots with an initramfs of its own, so none is made here.
INITRD=No chroot "$root" apt-get install -y --no-install-recommends \
    -t "$backports" $(words packages-backports.txt)

for source in $(words sources.txt); do
    chroot "$root" sh -ec "cd /usr/src && apt-get source --download-only $source &&
        dpkg-source --no-check -x ${source}_*.dsc"
done

# Nothing may run on its own in the measured guest, nor wait for a device that never comes. The
# peers' servers are started by the benchmark that measures them.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer \
    e2scrub_all.timer man-db.timer systemd-timesyncd.service getty@tty1.service \
    rpc-statd-notify.service redis-server.service nbd-server.service nbd-client.service; do
    chroot "$root" systemctl mask "$unit" >/dev/null 2>&1 || true
done
chroot "$root" systemctl enable ssh.service >/dev/null 2>&1
chroot "$root" passwd -d root >/dev/null
rm -f "$root"/etc/ssh/ssh_host_*_key* "$root/etc/machine-id"
