# Shared by the scripts of this folder; sourced, not run. bash.

say() { printf '%s\n' "$@"; }
die() {
	printf '%s: %s\n' "${0##*/}" "$1" >&2
	[ $# -gt 1 ] && printf '%s\n' "$2" >&2
	exit 1
}

# packages_of KIND...: names from deploy/packages.
packages_of() {
	local kind
	for kind in "$@"; do
		sed -n "s/^$kind: *//p" "$top/deploy/packages" | tr ' ' '\n'
	done
}

# install_packages KIND...: installs what is missing, as root or through sudo. Says what it does.
install_packages() {
	local name missing=() as_root=()
	for name in $(packages_of "$@"); do
		dpkg-query -W -f='${db:Status-Abbrev}' "$name" 2>/dev/null | grep -q '^ii' || missing+=("$name")
	done
	[ ${#missing[@]} -eq 0 ] && return 0
	command -v apt-get >/dev/null || die "these packages are missing: ${missing[*]}" \
		"This script installs them on Debian 12 only. Install their like and run it again."
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || die "these packages are missing: ${missing[*]}" \
			"Run as root: apt-get install ${missing[*]}"
		as_root=(sudo)
	fi
	say "Installing ${#missing[@]} packages: ${missing[*]}"
	if ! { "${as_root[@]}" apt-get -qq update &&
		"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
			"${missing[@]}"; } >"${TMPDIR:-/tmp}/maestro-packages.$$" 2>&1; then
		tail -n 20 "${TMPDIR:-/tmp}/maestro-packages.$$" >&2
		die "the packages could not be installed" "The lines above are apt-get's."
	fi
	rm -f "${TMPDIR:-/tmp}/maestro-packages.$$"
}

# build_in DIR OPTION...: configures (once) and builds; its output is shown only when it fails.
build_in() {
	local dir=$1 log
	shift
	log=$(mktemp)
	if [ ! -f "$dir/build.ninja" ]; then
		meson setup "$dir" "$top" "$@" >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; die "meson setup failed"; }
	fi
	if ! ninja -C "$dir" >"$log" 2>&1; then
		grep -v '^\[' "$log" | tail -n 60 >&2
		rm -f "$log"
		die "the build in $dir failed"
	fi
	rm -f "$log"
}
