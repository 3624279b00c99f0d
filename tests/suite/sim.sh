# shellcheck shell=bash disable=SC2016,SC2034,SC2054,SC2154
# Section sim: every scenario file does as it says, and can fail; bad files are refused.

scenarios=$here/../scenarios

# bad NAME PATTERN: stdin is a scenario that is refused with that message.
bad() {
	begin "sim: $1"
	cat >"$T/bad.yaml"
	try 20 "$cbit" sim "$T/bad.yaml"
	want_rc 125
	want_err "^cbit: .*bad\.yaml:$2"
	end
}

section_sim() {
	local file words
	for file in "$scenarios"/*.yaml; do
		begin "sim: $(basename "$file" .yaml), and each expectation can fail"
		try 120 "$cbit" sim --prove "$file"
		want_rc 0
		want_out '^  [0-9]+ steps, all as expected$'
		want_out '^  [1-9][0-9]* expectations, each proven able to fail$'
		end
	done
	begin "sim: a changed copy fails with a difference"
	sed '0,/outcome: lost/s//outcome: plaintext/' "$scenarios/type1-bar.yaml" >"$T/changed.yaml"
	try 20 "$cbit" sim "$T/changed.yaml"
	want_rc 1
	want_out 'NOT AS EXPECTED: outcome: expected plaintext, found lost'
	end
	begin "sim: an expectation that nothing depends on is named"
	sed 's/^      complete: { outcome: plaintext, findings: \[\], c: clear }/      linux-6.17: { c: set }\n      linux-7.2: { c: set }\n&/' \
		"$scenarios/type1-bar.yaml" >"$T/changed.yaml"
	try 20 "$cbit" sim --prove "$T/changed.yaml"
	want_rc 1
	want_out '^.*changed\.yaml:[0-9]+:[0-9]+: c: set -> none: and the scenario still holds$'
	end
	begin "sim: --format json is JSON"
	try 20 "$cbit" sim --format json "$scenarios/type1-bar.yaml"
	want_rc 0
	want_out '"outcome": "lost"'
	cp "$out" "$T/json"
	try 20 python3 -m json.tool "$T/json"
	want_rc 0
	end
	begin "sim: --format json of several files is one JSON text, whatever becomes of them"
	printf 'steps: [{alloc: x}, {write: x, expect: {outcome: lost}}]\n' >"$T/wrong.yaml"
	try 20 "$cbit" sim --format json "$scenarios/tsme.yaml" "$T/none.yaml" "$T/wrong.yaml" "$scenarios/type1-bar.yaml"
	want_rc 125
	cp "$out" "$T/json"
	try 20 python3 -c 'import json, sys
runs = json.load(open(sys.argv[1]))
print([run["failed"] for run in runs])' "$T/json"
	want_rc 0
	want_out '^\[0, 1, 0\]$'
	try 20 "$cbit" sim --format json --quiet "$scenarios/tsme.yaml" "$scenarios/type1-bar.yaml"
	want_rc 0
	want_out '^\[\]$'
	end
	begin "sim: explain tells entries and decisions"
	try 20 "$cbit" explain --policy linux-7.2 "$scenarios/type1-bar.yaml"
	want_rc 0
	want_out 'vfio_iommu_map\(\): prot \| IOMMU_CACHE: IOMMU_MMIO is not passed'
	want_out 'I/O page table level 1, IOVA 0x10001000: entry at SPA 0x[0-9a-f]+ \(host key\) is 0x[0-9a-f]+, C-bit set, a leaf$'
	end
	begin "sim: explain tells a case of the matrix"
	try 20 "$cbit" explain --platform sev-guest --mapper dma-iommu
	want_rc 0
	want_out '^    3\. the page is mapped for device iommu-a by dma-api$'
	want_out 'page table of the vIOMMU level 1, IOVA 0x[0-9a-f]+: entry at GPA 0x[0-9a-f]+ \(host key\)'
	want_out '^        DRAM held '
	end
	begin "sim: explain tells what DRAM held of a bounce, who reads what is given back, and why C is set"
	try 20 "$cbit" explain --platform snp-guest --mapper dma-swiotlb
	want_rc 0
	awk '/^    [0-9]+\./ { step = $2 " " $3 } /^        DRAM held / { print step ": held" }
		/^        [a-z-]+ reads / { print step ": " $1 " reads" }' "$out" >"$T/steps"
	cp "$T/steps" "$out"
	want_out '^dma-write by: held$'
	want_out '^unmap : owner reads$'
	try 20 "$cbit" explain "$scenarios/viommu-shared-set-clear.yaml"
	want_rc 0
	want_out '^      complete: iommu_map\(\): C-bit set on a shared page$'
	[ "$(grep -c 'iommu_map(): C-bit set on a shared page' "$out")" -eq 2 ] || because "not both mappings"
	end
	begin "sim: explain lists what there is"
	try 20 "$cbit" explain --memory rom
	want_rc 125
	want_err "--memory 'rom': one of dram, cxl-ram, coherent, coherent-plain, mmio"
	end
	begin "sim: the matrix has its cells, and in time"
	try_cpu 2 "$cbit" matrix
	want_rc 0
	want_out '^2900 cells, each carried out$'
	want_out '^    device       read abort \(-\) +write lost \(-\)$'
	end
	begin "sim: output that cannot be written is an error"
	for words in --version matrix "explore -n 1" "explain --memory dram" "sim $scenarios/tsme.yaml"; do
		# shellcheck disable=SC2086 # words
		try 20 sh -c 'exec "$@" >/dev/full' sh "$cbit" $words
		want_rc 125
		want_err '^cbit: standard output: No space left on device$'
	done
	end
	begin "sim: README and docs/findings.md name the findings that there are"
	printf 'steps: [{alloc: x, expect: {findings: [x]}}]\n' >"$T/ids.yaml"
	try 20 "$cbit" sim "$T/ids.yaml"
	sed -n 's/.*is not a finding; one of: //p' "$err" | tr -d ' ' | tr ',' '\n' | sort >"$T/ids"
	[ "$(wc -l <"$T/ids")" -ge 20 ] || because "no list of findings"
	for file in README.md docs/findings.md; do
		sed -n '/^## .*[Ff]indings/,/^## Limits/s/^| `\([a-z-]*\)` |.*/\1/p' "$here/../$file" | sort >"$T/named"
		diff "$T/ids" "$T/named" >"$T/diff" || because "$file: $(grep '^[<>]' "$T/diff")"
	done
	end
	bad "no file of YAML" "[0-9]+:[0-9]+: not YAML: " <<<'a: [1'
	bad "an unknown key" "2:1: 'polcy' is not a key of a scenario; one of: name, about, " <<<$'name: x\npolcy: complete\nsteps: []'
	bad "an unknown operation" "2:5: 'aloc' is not an operation .*; one of: alloc, free, " <<<$'steps:\n  - aloc: x'
	bad "a buffer that is not there" "2:12: 'x' is not a buffer; there is none" <<<$'steps:\n  - write: x'
	bad "a number" "3:12: pages: 'many' is not a number such as" <<<$'steps:\n  - alloc: x\n    pages: many'
	bad "an operand of another operation" "3:5: 'via' is not a key of alloc; one of: alloc, region, " <<<$'steps:\n  - alloc: x\n    via: type1'
	bad "a word" "3:24: 'plain' is not a value of outcome; one of: ok, plaintext, " <<<$'steps:\n  - alloc: x\n    expect: { outcome: plain }'
	bad "a range beyond the buffer" "3: write x, offset 4096: offset 0x1000 length 0x40 is not within" <<<$'steps:\n  - alloc: x\n  - write: x\n    offset: 4096'
	bad "a buffer that is gone" "1: read x: there is no buffer" <<<'steps: [{alloc: x}, {free: x}, {read: x}]'
	bad "an APIC id twice" "1:35: an APIC id: 9 is there twice" <<<$'guest: { kind: sev, apic-ids: [9, 9] }\nsteps: [{alloc: x}]'
	bad "an APIC id of another CPU" "1:42: an APIC id: 1 is one of those of vcpus, 0 to 1" \
		<<<$'guest: { kind: sev, vcpus: 2, apic-ids: [1] }\nsteps: [{alloc: x}]'
	bad "a control character" "1:7: name: has a control character in it" <<<$'name: "\\e[2J"\nsteps: [{alloc: x}]'
	bad "a control character is not shown" "1:17: a buffer: '\?\[2J' is not a name" <<<'steps: [{alloc: "\e[2J"}]'
	bad "an ASID of the host" "1:27: asid: from 1 to 15" <<<$'guest: { kind: sev, asid: 0 }\nsteps: [{alloc: x}]'
	bad "a finding twice" "1:58: findings: 'wrong-key' is there twice" \
		<<<'steps: [{alloc: x, expect: {findings: [wrong-key,        wrong-key]}}]'
	bad "a region twice" "1:30: 'ram' is there twice" <<<$'memory: { ram: { size: 1M }, ram: { size: 2M } }\nsteps: [{alloc: x}]'
	bad "a device twice" "1:19: 'nic' is there twice" <<<$'devices: { nic: , nic: { bar: 4K } }\nsteps: [{alloc: x}]'
	bad "a policy twice" "1:20: policy: 'complete' is there twice" <<<$'policy: [complete, complete]\nsteps: [{alloc: x}]'
	bad "a region with the name of a window" "2:24: bar: 'nic.bar' is a region of memory" \
		<<<$'memory: { nic.bar: { size: 1M } }\ndevices: { nic: { bar: 4K } }\nsteps: [{alloc: x}]'
	bad "a region of half a page" "1:24: size: whole pages of 4K" <<<$'memory: { ram: { size: 2050 } }\nsteps: [{alloc: x}]'
	bad "a BAR of three pages" "1:24: bar: a power of two from 4K to 1G" <<<$'devices: { nic: { bar: 12K } }\nsteps: [{alloc: x}]'
	bad "an address twice" "1:47: addr: that of a" \
		<<<$'devices: { a: { addr: "01:00.0" }, b: { addr: "01:00.0" } }\nsteps: [{alloc: x}]'
	bad "regions that overlap" "2: region b: 0x100000000\.\.0x1000fffff overlaps a at " \
		<<<$'name: x\nmemory: { a: { size: 1M, base: 4G }, b: { size: 1M, base: 4G } }\nsteps: [{alloc: x}]'
	bad "an RMP without room" "1: RMP: no room below 2 GiB for the 0x[0-9a-f]+ bytes that memory up to 0x800000000000 needs" \
		<<<$'memory: { ram: { base: 0x7fffff000000 } }\nguest: { kind: sev-snp }\nsteps: [{alloc: x}]'
	bad "a second document" "2:1: a second document: a file is one" <<<$'steps: [{alloc: x}]\n---\nsteps: [{alloc: y}]'
	bad "something behind the document" "3:1: not YAML: " <<<$'steps: [{alloc: x}]\n...\n[[[ garbage'
	bad "aliases that point upward" "1:8: a step is 'OPERATION: NAME' and its operands" <<<'steps: &a [*a]'
	bad "an operand of another mapper" "3:44: offset: type1 has no such thing" \
		<<<$'devices: { nic: }\nsteps: [ {alloc: x},\n  {map: m, buffer: x, device: nic, offset: 64} ]'
	bad "an operand of type1 for the DMA API" "3:56: iova: dma-api has no such thing" \
		<<<$'devices: { nic: }\nsteps: [ {alloc: x},\n  {map: m, buffer: x, device: nic, via: dma-api, iova: 4096} ]'
	bad "a C-bit of a guest's allocation" "2:37: c: of the host's mapping" \
		<<<$'guest: { kind: sev }\nsteps: [{alloc: x, owner: guest, c: clear}]'
	bad "an entry for a message without remapping" "3:59: index: only a remapped message has one" \
		<<<$'guest: { kind: sev, vcpus: 2 }\ndevices: { nic: { owner: guest } }\nsteps: [{msi: nic, format: compatibility, dest: 0, index: 1}]'
	bad "IOVA 0, which nobody would get" "3:42: iova: not 0" \
		<<<$'devices: { nic: }\nsteps: [ {alloc: x},\n  {map: m, buffer: x, device: nic, iova: 0} ]'
	begin "sim: bytes for a terminal are not"
	printf 'steps: [{alloc: x}, {write: x, bytes: "\\e[2J\\n!"}]\n' >"$T/bytes.yaml"
	try 20 "$cbit" sim "$T/bytes.yaml"
	want_rc 0
	want_out 'write x, bytes \?\[2J\?!$'
	end
	begin "sim: a byte order mark, and each expectation can fail"
	printf '\357\273\277name: x\nsteps: [{alloc: x, expect: {outcome: ok}}]\n' >"$T/bom.yaml"
	try 20 "$cbit" sim --prove "$T/bom.yaml"
	want_rc 0
	want_out '^  1 expectations, each proven able to fail$'
	end
	bad "brackets without end, at once" "1:39: nested deeper than 32 levels" < <(printf 'steps: %0100000d' 0 | tr 0 '[')
	bad "braces without end, at once" "1:[0-9]+: nested deeper than 32 levels" < <(printf 'steps: %050000d' 0 | sed 's/0/{a: /g')
}
