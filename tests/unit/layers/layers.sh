#!/usr/bin/env bash
# Reads the includes of the whole tree and fails on a wrong arrow; compiles every header alone.
# Usage: layers.sh SOURCE_ROOT BUILD_ROOT COMPILER...
set -u
root=$1 build=$2
shift 2
cc=("$@")
passed=0 failed=0
cd "$root" || exit 1

bad() { failed=$((failed + 1)); printf 'not ok %s\n' "$1"; shift; printf '#   %s\n' "$@"; }
ok() { passed=$((passed + 1)); printf 'ok %s\n' "$1"; }

# Who may include whom, by the first folders of the path: FROM may include each of TO (and itself).
allowed='
proto/base:
proto/schema:
proto/wire: proto/base proto/schema
proto/link: proto/base proto/schema proto/wire
coordinator/core: proto/base proto/schema proto/wire
coordinator/store: proto/base proto/schema proto/wire coordinator/core
coordinator/service: proto/base proto/schema proto/wire proto/link coordinator/core coordinator/store
worker/screen: proto/base proto/schema proto/wire
worker/core: proto/base proto/schema proto/wire
worker/session: proto/base proto/schema proto/wire worker/screen
worker/search: proto/base proto/schema proto/wire worker/session
worker/git: proto/base proto/schema proto/wire
worker/agents: proto/base proto/schema proto/wire
worker/service: proto/base proto/schema proto/wire proto/link worker/core worker/session worker/agents worker/screen
console/client: proto/base proto/schema proto/wire proto/link
console/tui: proto/base proto/schema proto/wire proto/link console/client
console/cli: proto/base proto/schema proto/wire proto/link console/client
'
# A library that only one folder may name.
only='
nng/ proto/link
sqlite3.h coordinator/store
git2 worker/git
libssh2 worker/git
ncurses console/tui
curses.h console/tui
'

# arrows FILE...: prints each include that is not allowed.
arrows() {
	local file from to rest header
	grep -HoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<][^">]*[">]' "$@" /dev/null |
		sed -E 's/:[[:space:]]*#[[:space:]]*include[[:space:]]*["<]/ /; s/[">]$//' |
		while read -r file header; do
			from=$(cut -d/ -f1,2 <<< "$file")
			case $from in coordinator/main.c | worker/main.c) continue ;; esac
			while read -r word owner; do
				[ -n "$word" ] && [[ $header == "$word"* ]] && [ "$from" != "$owner" ] &&
					echo "$file includes <$header>, which only $owner may"
			done <<< "$only"
			case $header in proto/* | coordinator/* | worker/* | console/*) ;; *) continue ;; esac
			to=$(cut -d/ -f1,2 <<< "$header")
			[ "$to" = "$from" ] && continue
			rest=$(sed -n "s|^$from: *||p" <<< "$allowed")
			[[ " $rest " == *" $to "* ]] || echo "$file includes \"$header\""
		done
}

mapfile -t files < <(find proto coordinator worker console -name '*.[ch]' | sort)
wrong=$(arrows "${files[@]}")
if [ -n "$wrong" ]; then bad "layers hold" "$wrong"; else ok "layers hold (${#files[@]} files)"; fi

# The reader itself: a wrong arrow must be seen.
probe=$(mktemp -d)
mkdir -p "$probe/console/tui" "$probe/proto/base"
printf '#include "worker/screen/emulator.h"\n#include <nng/nng.h>\n' > "$probe/console/tui/x.c"
printf '#include "proto/wire/names.h"\n' > "$probe/proto/base/y.h"
seen=$(cd "$probe" && arrows console/tui/x.c proto/base/y.h | wc -l)
if [ "$seen" -eq 3 ]; then ok "wrong arrows are seen"; else bad "wrong arrows are seen" "$seen of 3"; fi

alone=0
for header in $(find proto coordinator worker console tests/support -name '*.h' | sort); do
	printf '#include "%s"\nint nothing;\n' "$header" > "$probe/alone.c"
	if out=$("${cc[@]}" -std=gnu17 -D_GNU_SOURCE -DMAESTRO_VERSION='"0"' -Wall -Wextra -Werror -Wno-unused-parameter -fsyntax-only -I"$root" \
		-I"$build" "$probe/alone.c" 2>&1); then
		alone=$((alone + 1))
	else
		bad "$header compiles alone" "$out"
	fi
done
ok "$alone headers compile alone"
rm -rf "$probe"
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
