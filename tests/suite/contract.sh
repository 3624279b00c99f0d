# shellcheck shell=bash disable=SC2016,SC2034,SC2054,SC2154
# Sections contract and demo: the command line, exit statuses, the demo script.

# contract STATUS NAME COMMAND...
contract() {
	local status=$1
	begin "contract: $2"
	shift 2
	try 60 "$@"
	want_rc "$status"
}

section_contract() {
	contract 0 "the program's status 0" "$cbit" run -- true
	want_findings
	end
	contract 7 "the program's status 7" "$cbit" run -- sh -c 'exit 7'
	want_findings
	end
	contract 143 "a program that a signal ends" "$cbit" run -- sh -c 'kill -TERM $$'
	end
	contract 0 "--strict without findings" "$cbit" run --strict -- true
	want_findings
	end
	contract 3 "--strict with findings" "$cbit" run --strict -- "$clients/client_leak"
	want_findings mapping-leaked=1
	end
	contract 0 "findings without --strict" "$cbit" run -- "$clients/client_leak"
	want_findings mapping-leaked=1
	end
	contract 127 "no such program" "$cbit" run -- /nonexistent/program
	end
	contract 127 "no such program on the path" "$cbit" run -- no-such-program-here
	end
	: >"$T/not-executable"
	contract 126 "a file that is no program" "$cbit" run -- "$T/not-executable"
	end
	contract 125 "an unknown option" "$cbit" run --no-such-option -- true
	want_err '^cbit( run)?: '
	end
	contract 125 "an unknown platform" "$cbit" run --platform vax -- true
	want_err 'vax'
	end
	contract 125 "an unknown policy" "$cbit" run --policy linux-0.01 -- true
	want_err 'linux-0\.01'
	end
	contract 125 "an unknown device" "$cbit" run --device toaster -- true
	want_err 'toaster'
	end
	contract 125 "a BAR size that is no power of two" \
		"$cbit" run --device ioat,membar=3M -- true
	end
	contract 125 "no program" "$cbit" run --device ioat
	end
	contract 2 "--memlock SIZE: beyond it nothing is mapped" \
		"$cbit" run --memlock 64K -- "$clients/client_memory" 2M
	want_err 'MAP_DMA.*errno 12'
	end
	contract 0 "--memlock SIZE: up to it everything is" \
		"$cbit" run --memlock 4M -- "$clients/client_memory" 2M
	want_findings
	end
	# The limit is the program's own, and does not count for who has CAP_IPC_LOCK (14). The lowest that
	# machines have is 64 KiB.
	if has_capability 14; then
		contract 0 "--memlock inherit: CAP_IPC_LOCK" "$cbit" run --memlock inherit -- \
			sh -c 'ulimit -l 64 && exec "$0" 2M' "$clients/client_memory"
		want_findings
		end
	else
		contract 2 "--memlock inherit: RLIMIT_MEMLOCK" "$cbit" run --memlock inherit -- \
			sh -c 'ulimit -l 64 && exec "$0" 2M' "$clients/client_memory"
		want_err 'MAP_DMA.*errno 12'
		end
		contract 0 "--memlock inherit: below RLIMIT_MEMLOCK" "$cbit" run --memlock inherit -- \
			sh -c 'ulimit -l 64 && exec "$0" 4K' "$clients/client_memory"
		want_findings
		end
	fi
	contract 125 "--memlock of more than there can be" "$cbit" run --memlock 18446744073709551615T -- true
	want_err "--memlock '18446744073709551615T'"
	end
	contract 125 "a report for which there is no room" "$cbit" run --report text:/dev/full -- true
	want_err '^cbit: cannot write the report to /dev/full: No space left on device$'
	end
	contract 127 "a program's name is not for the terminal" "$cbit" run -- $'/nonexistent/\033[2J'
	want_err "^cbit: cannot run '/nonexistent/\?\[2J': No such file"
	end
	contract 0 "CBIT_DEVICES" "$cbit" run --device ioat --device ioat -- \
		sh -c 'echo "[$CBIT_DEVICES]"'
	want_out '^\[0000:01:00\.0 0000:02:00\.0\]$'
	end
	contract 0 "groups are numbered from 1" "$cbit" run --device ioat --device ioat -- \
		ls /dev/vfio
	want_out '^1$'
	want_out '^2$'
	want_out '^vfio$'
	end
	contract 0 "sysfs of a device" "$cbit" run --device ioat -- \
		cat /sys/bus/pci/devices/0000:01:00.0/vendor /sys/bus/pci/devices/0000:01:00.0/device
	want_out '^0x8086$'
	want_out '^0x2021$'
	end
	echo words >"$T/words"
	input=$T/words contract 0 "standard input reaches the program" "$cbit" run -- cat
	want_out '^words$'
	end
	contract 125 "standard files that are closed become no others" sh -c 'exec "$@" <&- >&- 2>&-' sh \
		"$cbit" run -- sh -c 'for n in 0 1 2; do readlink "/proc/$PPID/fd/$n"; done >"$0"' "$T/places"
	printf '/dev/null\n/dev/null\n/dev/null\n' | cmp -s - "$T/places" ||
		because "they are $(tr '\n' ' ' <"$T/places")"
	end
	contract 125 "and closed they are for the program" sh -c 'exec "$@" 2>&-' sh \
		"$cbit" run -- sh -c 'readlink "/proc/$PPID/fd/2"; readlink "/proc/self/fd/2" || echo closed'
	want_out '^/dev/null$'
	want_out '^closed$'
	end
	contract 0 "cbit --help" "$cbit" --help
	want_out '^ +run +'
	end
	contract 0 "cbit devices" "$cbit" devices
	for word in ioat dsa nvme lost-interrupt linux-7.2 complete bare sme tsme sev-guest snp-guest; do
		want_out "^ *$word +[a-zA-Z]"
	done
	end
	contract 125 "cbit explore: a guest is no platform" "$cbit" explore --platform sev-guest -n 1
	want_err "--platform 'sev-guest': bare, sme or tsme"
	end
	small_stacks
	install_deps_waits
}

# Whoever starts us may have a small limit on the stack, which threads have for theirs as well.
small_stacks() {
	local tries=60
	contract 3 "a stack of 64 KiB" sh -c 'ulimit -s 64 && exec "$@"' sh \
		"$cbit" run --strict -- sh -c 'ulimit -s && exec "$0"' "$clients/client_leak"
	want_out '^64$'
	want_findings mapping-leaked=1
	want_err '^    mapping: '
	end
	contract 0 "a stack of 64 KiB, ioat" sh -c 'ulimit -s 64 && exec "$@"' sh \
		"$cbit" run --device ioat,membar=64K -- "$clients/client_threads" 20
	want_out 'all right$'
	want_findings
	end
	contract 0 "a stack of 64 KiB, nvme" sh -c 'ulimit -s 64 && exec "$@"' sh \
		"$cbit" run --device nvme,size=64M -- "$clients/client_nvme" verify private
	want_findings
	end
	# Where it begins is random, and so is what of 16 KiB is left for us: until it is too little.
	begin "contract: a stack that is too small"
	while [ "${rc:-0}" = 0 ] && [ "$((tries -= 1))" -ge 0 ]; do
		try 30 env -i sh -c 'ulimit -s 16 && exec "$@"' sh "$cbit" run -- true
	done
	want_rc 125
	want_err '^cbit: the stack is too small: '
	end
}

# install-deps.sh by the real apt-get on directories of our own, where other processes hold the locks:
# it waits for both, and ends with what apt says of packages that no list has.
install_deps_waits() {
	local apt=$T/apt dir
	if ! command -v apt-get >/dev/null 2>&1 || ! command -v python3 >/dev/null 2>&1; then
		skip "contract: install-deps.sh waits for another apt" "no apt-get, or no python3, here"
		return
	fi
	for dir in bin dpkg lists/partial archives/partial etc/apt.conf.d etc/preferences.d \
		etc/sources.list.d etc/trusted.gpg.d log; do
		mkdir -p "$apt/$dir"
	done
	: >"$apt/dpkg/status"
	printf 'Dir::%s "%s";\n' State "$apt" State::status "$apt/dpkg/status" Cache "$apt" \
		Etc "$apt/etc" Log "$apt/log" >"$apt/conf"
	# Nothing is there yet; and whoever is not root may do this all the same.
	printf '#!/bin/sh\nexit 1\n' >"$apt/bin/dpkg-query"
	printf '#!/bin/sh\n[ "$1" != -n ] || shift\nexec "$@"\n' >"$apt/bin/sudo"
	chmod +x "$apt/bin/dpkg-query" "$apt/bin/sudo"
	cat >"$apt/hold.py" <<-'END'
		import fcntl, sys, time
		held = [open(name, 'w') for name in sys.argv[1:]]
		for file in held:
		    fcntl.lockf(file, fcntl.LOCK_EX)
		print('held', flush=True)
		for file in held:
		    time.sleep(2)
		    file.close()
	END
	begin "contract: install-deps.sh waits for another apt"
	: >"$apt/held"
	python3 "$apt/hold.py" "$apt/dpkg/lock-frontend" "$apt/lists/lock" >"$apt/held" &
	until_true 10 grep -qx held "$apt/held" || because "the locks are not held"
	try 60 env APT_CONFIG="$apt/conf" CBIT_APT_WAIT=40 PATH="$apt/bin:$PATH" \
		"$here/../scripts/install-deps.sh" build
	wait "$!" || because "the locks were not held to the end"
	want_rc 1
	want_err '^install-deps: reading the package lists$'
	want_err '^E: Unable to locate package meson$'
	want_no_err '^E: Could not get lock'
	end
}

section_demo() {
	begin "demo"
	try 60 "$here/../scripts/demo.sh" "$build"
	want_rc 0
	want_out '^the copy was lost'
	want_out '^cbit: finding mmio-encrypted:'
	want_out '^the bytes arrived'
	want_out '^cbit: no findings$'
	end
}
