#!/bin/sh
# frames.sh OBJECT LIMIT: refuses functions whose stack frame is larger than LIMIT bytes. A kernel
# stack has 16 KiB for everything; the C compiler has such a check of its own, rustc has none.
set -eu
objdump -d --no-show-raw-insn "$1" | awk -v limit="$2" '
function hex(text,   i, value) {
	value = 0
	for (i = 1; i <= length(text); i++)
		value = value * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
	return value
}
/^[0-9a-f]+ <.*>:$/ { name = $2; sum = 0 }
/sub +\$0x[0-9a-f]+,%rsp/ {
	match($0, /\$0x[0-9a-f]+/)
	# A large frame is taken in several steps, each a page.
	sum += hex(substr($0, RSTART + 3, RLENGTH - 3))
	if (sum > worst[name]) worst[name] = sum
}
END {
	for (name in worst)
		if (worst[name] > limit) {
			print "stack frame of " worst[name] " bytes: " name
			bad = 1
		}
	exit bad
}'
