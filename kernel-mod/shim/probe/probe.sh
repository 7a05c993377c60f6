#!/bin/sh
# Asks the kernel headers in KDIR what they offer. Refuses with the names of missing features;
# writes KOUT/shim/probed.h with one HAVE_* per API whose probe (have_*.c beside this) compiles.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
conf=$KDIR/include/config/auto.conf
[ -f "$conf" ] || { echo "holon: no kernel headers at $KDIR" >&2; exit 1; }

missing=
while read -r name why; do
	case $name in ''|'#') continue ;; esac
	grep -qE "^$name=[ym]$" "$conf" || missing="$missing
  $name ($why)"
done < "$here/config.txt"
if [ -n "$missing" ]; then
	echo "holon: this kernel lacks:$missing" >&2
	exit 1
fi

out=$KOUT/shim/probed.h
stamp=$(cat "$conf" "$here"/*.c "$0" | sha256sum | cut -d' ' -f1)
[ -f "$out" ] && grep -q "$stamp" "$out" && exit 0
work=$KOUT/probe
rm -rf "$work"
mkdir -p "$work" "$KOUT/shim"
cp "$here"/have_*.c "$work"
(cd "$work" && for f in have_*.c; do echo "obj-m += ${f%.c}.o"; done > Kbuild)
objs=$(cd "$work" && for f in have_*.c; do echo "${f%.c}.o"; done)
# shellcheck disable=SC2086 # a list on purpose
make -k -C "$KDIR" M="$work" $objs > "$work/log" 2>&1 || true
{
	echo "/* $stamp: made by shim/probe/probe.sh */"
	cd "$work"
	for f in have_*.c; do
		name=$(echo "${f%.c}" | tr a-z A-Z)
		[ -f "${f%.c}.o" ] && echo "#define $name 1" || echo "/* $name: no */"
	done
} > "$out.tmp"
mv "$out.tmp" "$out"
