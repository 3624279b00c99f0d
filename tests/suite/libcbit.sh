# shellcheck shell=bash disable=SC2016,SC2034,SC2054,SC2154
# Section libcbit: the library as others meet it: installed into a prefix of its own, its symbols,
# its headers, and programs that are built with what pkg-config says.

lib_root=$(dirname "$here")
lib_examples='bar_dma guest_viommu page_tables foreign_tables'

# want_same WHAT EXPECTED FOUND: two files.
want_same() {
	diff -u "$2" "$3" >"$T/diff" || because "$1 differ (- expected, + found):
$(sed -n '3,20p' "$T/diff")"
}

# The functions that the public headers declare, as the compiler sees them.
lib_declared() {
	gcc -std=c17 -fsyntax-only -x c -I "$1/include" -aux-info "$T/aux" "$1/include/cbit/cbit.h"
	sed -nE 's,^/\* [^ ]*/include/cbit/[^ ]* \*/ extern .*[ *](cbit_[a-z0-9_]+) \(.*,\1,p' "$T/aux" | sort -u
}

# lib_cc NAME SOURCE...: build a program as a user of the installed library would.
lib_cc() {
	local program=$1 flags
	shift
	flags=$(pkg-config --cflags --libs cbit)
	# shellcheck disable=SC2086
	try 60 cc -Wall -Wextra -o "$T/$program" "$@" $flags
	[ "$rc" -eq 0 ] || because "$program does not build"
}

lib_installed() {
	local file
	begin "libcbit: meson install puts program, headers, libraries and cbit.pc in place"
	rm -rf "$prefix"
	try 120 meson install -C "$build-lib" --no-rebuild
	want_rc 0
	for file in bin/cbit lib/libcbit.a lib/libcbit.so lib/pkgconfig/cbit.pc; do
		[ -s "$prefix/$file" ] || because "there is no $file"
	done
	(cd "$lib_root/include/cbit" && ls) >"$T/expected"
	(cd "$prefix/include/cbit" && ls) >"$T/found"
	want_same "headers" "$T/expected" "$T/found"
	end
	begin "libcbit: the installed program runs"
	try 20 "$prefix/bin/cbit" sim "$lib_root/scenarios/type1-bar.yaml"
	want_rc 0
	end
	begin "libcbit: what pkg-config says"
	version=$(sed -n "s/^ *version: '\([0-9.]*\)',\$/\1/p" "$lib_root/meson.build" | head -n 1)
	[ "$(pkg-config --modversion cbit)" = "$version" ] || because "the version is not $version"
	pkg-config --cflags --libs cbit >"$out"
	want_out "^-I$prefix/include -L$prefix/lib -lcbit *$"
	pkg-config --print-requires-private cbit | sed 's/ .*//' | sort | tr '\n' ' ' >"$out"
	want_out '^jansson libcrypto yaml-0.1 $'
	end
}

lib_symbols() {
	local so=$prefix/lib/libcbit.so abi
	begin "libcbit: soname and symbol versions are those of the ABI"
	abi=${version%.*}
	[ "${version%%.*}" = 0 ] || abi=${version%%.*}
	try 20 readelf -dW "$so"
	want_out "SONAME.*\\[libcbit\\.so\\.$abi\\]"
	[ "$(readlink -f "$so")" = "$prefix/lib/libcbit.so.$version" ] || because "libcbit.so is not $version"
	try 20 nm -D --defined-only "$so"
	! grep -vE " T [a-z0-9_]+@@CBIT_$abi\$| A CBIT_$abi\$" "$out" >"$T/found" ||
		because "of another version or kind: $(head -n 3 "$T/found")"
	end
	begin "libcbit: the shared library exports what the headers declare, no more and no less"
	lib_declared "$prefix" >"$T/expected"
	[ "$(wc -l <"$T/expected")" -ge 200 ] || because "too few declarations found"
	nm -D --defined-only "$so" | sed -n 's/.* T \([^@]*\).*/\1/p' | sort >"$T/found"
	want_same "functions" "$T/expected" "$T/found"
	! grep -v '^cbit_' "$T/found" >"$out" || because "not cbit_: $(head -n 3 "$out")"
	end
	begin "libcbit: so does the static one"
	nm -g --defined-only "$prefix/lib/libcbit.a" | awk 'NF == 3 { print $3 }' | sort >"$T/found"
	want_same "functions" "$T/expected" "$T/found"
	end
	# Tables of constants that hold pointers are in .data.rel.ro, which is read-only once loaded.
	begin "libcbit: no global state"
	objdump -t "$prefix/lib/libcbit.a" >"$T/found"
	[ "$(grep -c '\.text' "$T/found")" -ge 200 ] || because "the symbol table was not read"
	! grep -E '[[:space:]](\.(data|bss|tdata|tbss)|\*COM\*)([.][^[:space:]]*)?[[:space:]]' "$T/found" |
		grep -vE '\.data\.rel\.ro|^[0-9a-f]+ l +d ' >"$out" ||
		because "variables: $(head -n 5 "$out")"
	end
	begin "libcbit: it neither prints nor ends the process"
	try 20 nm -D -u "$so"
	want_out ' memcpy@'
	want_no_out ' (std(in|out|err)|v?printf|v?dprintf|puts|putchar|perror|psignal|v?syslog|v?(err|warn)x?|write)(@|$)'
	want_no_out ' (__v?(f)?printf_chk|fopen|fdopen|open|abort|_?exit|_Exit|quick_exit|__assert_fail|raise|kill)(@|$)'
	end
}

lib_headers() {
	local compiler language header
	begin "libcbit: cbit.h includes every public header"
	(cd "$prefix/include/cbit" && ls) | grep -v '^cbit\.h$' >"$T/expected"
	sed -n 's/^#include <cbit\/\(.*\)>$/\1/p' "$prefix/include/cbit/cbit.h" | sort >"$T/found"
	want_same "headers" "$T/expected" "$T/found"
	end
	begin "libcbit: docs/libcbit.md names every public header"
	grep -vE '^(api|cbit)\.h$' "$T/expected" >"$T/wanted"
	sed -n '/^## The headers/,/^## Rules/p' "$lib_root/docs/libcbit.md" | grep -oE '^\| .*' |
		grep -oE '\[[a-z]+\.h\]' | tr -d '[]' | sort >"$T/found"
	want_same "headers" "$T/wanted" "$T/found"
	end
	for compiler in 'gcc -std=c17' 'clang -std=c17' 'g++ -std=c++11' 'g++ -std=c++20' 'clang++ -std=c++11' 'clang++ -std=c++20'; do
		language=c
		case $compiler in *++*) language=c++ ;; esac
		begin "libcbit: each header alone, $compiler"
		for header in "$prefix"/include/cbit/*.h; do
			# Twice: the guard holds. Its macros are used, as far as they make values.
			printf '#include <cbit/%s>\n' "${header##*/}"{,} >"$T/header.c"
			# shellcheck disable=SC2086
			try 60 $compiler -x $language -Wall -Wextra -Werror -I "$prefix/include" -fsyntax-only "$T/header.c"
			[ "$rc" -eq 0 ] || {
				because "${header##*/} does not compile"
				break
			}
		done
		end
	done
	begin "libcbit: every public function has a kernel-doc comment that names it"
	lib_declared "$prefix" >/dev/null
	try 20 awk -f "$here/suite/kernel-doc.awk" "$T/aux" "$prefix"/include/cbit/*.h
	want_out '^[2-9][0-9][0-9]$'
	[ "$(wc -l <"$out")" -eq 1 ] || because "without one: $(head -n 5 "$out")"
	end
}

lib_programs() {
	local program flags
	for program in $lib_examples; do
		begin "libcbit: example $program, built with pkg-config"
		lib_cc "$program" "$lib_root/examples/$program.c"
		[ "$rc" -ne 0 ] || try 60 env LD_LIBRARY_PATH="$prefix/lib" "$T/$program"
		want_rc 0
		want_same "lines" "$here/data/examples/$program.out" "$out"
		end
	done
	begin "libcbit: the examples of the build tree say the same"
	for program in $lib_examples; do
		try 60 "$examples/$program"
		want_rc 0
		want_same "lines of $program" "$here/data/examples/$program.out" "$out"
	done
	end
	begin "libcbit: the first program of docs/libcbit.md, and its output there"
	awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$lib_root/docs/libcbit.md" >"$T/first.c"
	awk '/^```text$/ { on = 1; next } /^```$/ { on = 0 } on' "$lib_root/docs/libcbit.md" >"$T/first.out"
	lib_cc first "$T/first.c"
	[ "$rc" -ne 0 ] || try 20 env LD_LIBRARY_PATH="$prefix/lib" "$T/first"
	want_rc 0
	want_out 'hello, device$'
	want_same "lines" "$T/first.out" "$out"
	end
	begin "libcbit: linked statically"
	flags=$(pkg-config --cflags --static --libs cbit | sed 's/-lcbit/-l:libcbit.a/')
	# Names of its own that the library has inside.
	printf 'int guest_slot(void);\nint guest_slot(void) { return 0; }\n' >"$T/own.c"
	# shellcheck disable=SC2086
	try 60 cc -o "$T/static" "$lib_root/examples/page_tables.c" "$T/own.c" $flags
	want_rc 0
	try 60 "$T/static"
	want_rc 0
	want_same "lines" "$here/data/examples/page_tables.out" "$out"
	! readelf -dW "$T/static" | grep -q 'NEEDED.*libcbit' || because "it needs the shared library"
	end
	begin "libcbit: a program in C++"
	cat >"$T/plus.cc" <<'END'
#include <cbit/cbit.h>
#include <cstdio>
int main()
{
	cbit_platform p;
	cbit_mem *mem;
	if (cbit_platform_preset("sme", &p) || cbit_mem_create(&p, &mem))
		return 1;
	cbit_bus b = cbit_mem_bus(mem, CBIT_SPA(0x1000), true);
	std::printf("%s 0x%llx %d\n", cbit_version(), (unsigned long long)b.v, cbit_mem_find(mem, CBIT_SPA(0)) != nullptr);
	cbit_mem_destroy(mem);
}
END
	flags=$(pkg-config --cflags --libs cbit)
	# shellcheck disable=SC2086
	try 60 g++ -std=c++11 -Wall -Wextra -Werror -o "$T/plus" "$T/plus.cc" $flags
	want_rc 0
	try 20 env LD_LIBRARY_PATH="$prefix/lib" "$T/plus"
	want_rc 0
	want_out "^$version 0x8000000001000 0\$"
	end
	# The headers' version is compared there with the library's.
	begin "libcbit: machines side by side, built with pkg-config"
	lib_cc side_by_side "$here/unit/test_side_by_side.c" -pthread -lcmocka
	if [ -z "$why" ]; then
		LD_LIBRARY_PATH=$prefix/lib unit_cases libcbit "$T/side_by_side" "$T/side_by_side"
	else
		end
	fi
	begin "libcbit: an example under valgrind"
	try 200 env LD_LIBRARY_PATH="$prefix/lib" valgrind -q --error-exitcode=99 --leak-check=full \
		--show-leak-kinds=all --errors-for-leak-kinds=definite,indirect,possible "$T/guest_viommu"
	want_rc 0
	want_same "lines" "$here/data/examples/guest_viommu.out" "$out"
	end
}

section_libcbit() {
	local prefix=$build-lib/installed version=
	local -x PKG_CONFIG_PATH=$prefix/lib/pkgconfig
	make_build "$build-lib" --prefix="$prefix" --libdir=lib -Dtests=false || return 0
	lib_installed
	lib_symbols
	lib_headers
	lib_programs
}
