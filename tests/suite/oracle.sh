# shellcheck shell=bash disable=SC2016,SC2034,SC2054,SC2154
# Section oracle: the probe under cbit against what it met on Linux's own VFIO, and the tables that
# cbit builds against those that Linux built (tests/oracle).

# oracle_log NAME: unpacks the recorded log of that name to $T/linux-NAME.log.
oracle_log() {
	local packed
	packed=$(echo "$here"/oracle/data/linux-*-"$1".log.xz)
	[ -f "$packed" ] || because "there is no record of $1"
	xz -dc "$packed" >"$T/linux-$1.log" || because "$packed cannot be unpacked"
}

section_oracle() {
	local how groups
	for how in 'bare linux-7.2' 'sme complete'; do
		begin "oracle: calls, ${how/ /, }"
		oracle_log calls
		# Groups are numbered as they were there.
		read -r -a groups < <(sed -n 's/^groups //p' "$T/linux-calls.log")
		run --platform "${how% *}" --policy "${how#* }" --no-backtrace --report "text:$T/findings" \
			--device "ioat,group=${groups[0]}" --device "ioat,membar=1M,group=${groups[1]}" \
			--device "ioat,group=${groups[2]},addr=0000:03:00.0" \
			--device "ioat,group=${groups[3]},addr=0000:03:00.1" -- \
			"$build/tests/oracle/probe" "$T/cbit.log"
		want_rc 0
		try 60 awk -f "$here/oracle/compare.awk" "$here/oracle/explained.list" "$T/linux-calls.log" "$T/cbit.log"
		want_rc 0
		want_out '^([2-9][0-9]{4}|[0-9]{6,}) calls compared'
		echo "# $(tail -n 1 "$out")"
		end
	done
	begin "oracle: tables"
	oracle_log tables
	CBIT_ORACLE_TABLES=$T/linux-tables.log try 60 "$build/tests/oracle/test_oracle_tables"
	want_rc 0
	want_out '^# [0-9]+ mappings, [0-9]+ tables, [0-9]+ entries'
	grep '^# ' "$out" || true
	end
}
