# shellcheck shell=bash disable=SC2034,SC2154
# Section guard: instructions of the hot paths, counted by callgrind against bench/guard.counts.

section_guard() {
	local line any=
	if ! cc --version | head -n 1 | grep -q ' 12\.'; then
		skip "guard" "the stored counts are of gcc 12, as Debian 12 has it"
		return
	fi
	CC=cc make_build "$build-bench" -Dbuildtype=release -Dbench=true -Dtests=false || return 0
	begin "guard"
	try 900 "$here/../bench/guard.sh" "$build-bench"
	while IFS= read -r line; do
		case $line in
		'guard '*' ok') ok "${line% ok}" ;;
		'guard '*) not_ok "$line" ;;
		*) continue ;;
		esac
		any=1
	done < <(cat "$out")
	# Those that came first may be well, and the rest not have been counted.
	if [ -z "$any" ] || { [ "$rc" -ne 0 ] && ! grep -q '^guard .* more$' "$out"; }; then
		not_ok "guard: the figures are counted, exit status $rc" "$out" "$err"
	fi
}
