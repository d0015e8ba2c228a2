#!/usr/bin/env bash
# What `maestro export` writes, in asciinema's own players: its command, from Debian, and its web player, from npm in a fixed
# version. By hand: ./deploy/check --suite players. The first run downloads the web player into MAESTRO_PLAYERS.
. "${MAESTRO_TESTS:?}/support/harness.sh"
versions=(asciinema-player@3.18.0 jsdom@24.1.3)

skip() {
	note "skipped: $*"
	trap - EXIT INT TERM
	cd / && rm -rf "$place"
	echo "0 passed, 0 failed, 1 skipped"
	exit 77
}
for program in npm node asciinema script; do command -v $program > /dev/null || skip "$program is not installed"; done
mkdir -p "${MAESTRO_PLAYERS:?}" && cp "$MAESTRO_TESTS/players/play.mjs" "$MAESTRO_PLAYERS/"
[ -d "$MAESTRO_PLAYERS/node_modules/asciinema-player" ] ||
	HOME=$MAESTRO_PLAYERS npm install --prefix "$MAESTRO_PLAYERS" --no-audit --no-fund "${versions[@]}" > "$place/npm.log" 2>&1 ||
	skip "npm cannot install ${versions[*]}: $(tail -n 3 "$place/npm.log")"

make_repo repo
start_coordinator
start_worker w1
check "project add" maestro project add repo "$place/repo"
cat > "$place/show" <<'S'
printf '\033]0;a title\007\033[1;31mred\033[0m \342\202\254 \360\237\230\200 \033[38;2;1;2;3mtrue\033[0m\n'
sleep 0.3
stty rows 10 cols 40
printf '\033[?1049h\033[2J\033[Hon the other screen'
sleep 0.3
printf '\033[?1049l'
printf 'last line\n'
S
id=$(maestro run -p repo -a command "sh '$place/show'")
check "it ends" maestro wait "$id"
maestro export "$id" > v2.cast && maestro export "$id" --format asciicast-v3 > v3.cast || fail "export"
printed=$(jq -r 'select(type == "array" and .[1] == "o") | .[2]' v2.cast | tr -d '\n' | sha256sum)
played=$(script -qec "asciinema cat v2.cast" /dev/null | sed 's/\r\r$/\r/' | tr -d '\n' | sha256sum)
is "asciinema $(asciinema --version | cut -d' ' -f2) plays every byte of v2" "$printed" "$played"
for version in v2 v3; do
	check "the web player takes $version" sh -c "node '$MAESTRO_PLAYERS/play.mjs' $version.cast > $version.txt"
	like "and draws its colours' text, wide characters too ($version)" '^red € 😀 ?true$' "$(sed -n 2p $version.txt)"
	like "its last line ($version)" '^last line$' "$(sed -n 3p $version.txt)"
	like "and how long it takes ($version)" '^0\.[6-9]|^[1-9]' "$(sed -n 1p $version.txt)"
done
head -c $(($(stat -c %s v3.cast) / 2)) v3.cast > half.cast
node "$MAESTRO_PLAYERS/play.mjs" half.cast > /dev/null 2>&1 && fail "a broken file is refused by the player (else this shows nothing)" ||
	pass "a broken file is refused by the player"
finish
