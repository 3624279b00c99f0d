# shellcheck shell=sh disable=SC2154
# Sourced by what fetches programs and packages: the cache directory, and packages of another Debian suite than
# this machine's. The mirror and its key are those that this machine's apt uses; apt's own state is not touched.
# The caller sets $work, an empty directory of its own, and defines log MESSAGE, cannot MESSAGE, which ends it
# with status 77, and failed MESSAGE LOG STATUS.

# suite_cache [DIR]: makes it the working cache directory, $cache, by its whole path. The caller defines log.
suite_cache() {
	cache=${1:-${CBIT_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/cbit}}
	if ! mkdir -p "$cache" 2>/dev/null || ! [ -w "$cache" ]; then
		log "cannot write to $cache; set CBIT_CACHE to a directory of yours"
		exit 1
	fi
	cache=$(cd "$cache" && pwd)
}

# patiently COMMAND...: until it succeeds, in CI several times with pauses: what fails there because a mirror is
# being changed or a line is down for a moment fails everything. Elsewhere once: whoever waits can start again.
patiently() {
	pauses=${CI:+10 30 60}
	until "$@"; do
		[ -n "$pauses" ] || return 1
		log "once more in ${pauses%% *} s"
		sleep "${pauses%% *}"
		case $pauses in
		*' '*) pauses=${pauses#* } ;;
		*) pauses= ;;
		esac
	done
}

apt_newer() {
	newer_tool=$1
	shift
	"$newer_tool" -q -o Dir::Etc::sourcelist="$work/newer.sources" -o Dir::Etc::SourceParts=/nonexistent \
		-o Dir::State::Lists="$work/lists" -o Dir::Cache="$work" \
		-o Dir::Cache::Archives="$work/archives" -o APT::Sandbox::User="$(id -un)" \
		-o Acquire::Retries=2 -o Acquire::http::Timeout=60 "$@"
}

# newer_signed_by MIRROR: the key that apt's configuration names for it, as a Signed-By field.
newer_signed_by() {
	eval "$(apt-config shell parts Dir::Etc::sourceparts/d list Dir::Etc::sourcelist/f)"
	for f in "${parts:-/etc/apt/sources.list.d}"/*.sources; do
		[ -f "$f" ] && awk -v mirror="$1" '
			BEGIN { RS = ""; FS = "\n" }
			index($0, mirror) {
				field = 0
				for (i = 1; i <= NF; i++) {
					if ($i ~ /^Signed-By:/) field = 1
					else if ($i !~ /^[ \t]/) field = 0
					if (field) { print $i; found = 1 }
				}
				if (found) exit
			}' "$f"
	done
	for f in "${list:-/etc/apt/sources.list}" "${parts:-/etc/apt/sources.list.d}"/*.list; do
		[ -f "$f" ] && sed -n "\\|^deb .*$1|s/.*signed-by=\([^] ]*\).*/Signed-By: \1/p" "$f"
	done
	return 0
}

newer_read() {
	newer_signed_by "$1" >"$work/signed"
	{
		printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' "$1" "$2"
		awk 'NR == 1 || /^[ \t]/ { print; next } { exit }' "$work/signed"
	} >"$work/newer.sources"
	# An update that reads nothing only warns: look for the list.
	apt_newer apt-get update >"$work/apt.log" 2>&1 && [ -n "$(find "$work/lists" -name '*Packages*')" ]
}

newer_any() {
	for m in $mirrors; do
		newer_read "$m" "$1" && return
	done
	return 1
}

# newer_suite SUITE: reads its package list, for apt_newer.
newer_suite() {
	command -v apt-get >/dev/null 2>&1 || cannot "no apt-get here, so no packages"
	mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/none"
	# The mirrors of this machine, security archives left out: they have no other suites.
	mirrors=$(apt-get -o Dir::State::Lists="$work/none" --print-uris update 2>/dev/null |
		sed -n "s|^'\(.*\)/dists/[^']*/InRelease'.*|\1|p" | grep -v security | sort -u)
	[ -n "$mirrors" ] || cannot "apt has no package mirror configured"
	patiently newer_any "$1" || failed "the package list of $1 cannot be read (no network?)" "$work/apt.log" 77
}
