# shellcheck shell=bash disable=SC2034,SC2154
# Section faults: --fault as a user meets it, and the programs of docs/faults.md.

# recover VARIANT SPEC RC: the example under one fault, which is told and is no finding. RC 143 is of one
# that waits for ever: half a second after its fault it still does, and is ended.
recover() {
	local rule=${2//./\\.}
	local -a how=()
	begin "faults: a $1 driver, $2"
	[ "$3" -ne 143 ] || how=(sh "$T/end.sh" "$err")
	run --fault "$2" -- "${how[@]}" "$examples/recover" "$1"
	want_rc "$3"
	want_err "^cbit: fault plan: --fault $rule\$"
	want_err "^cbit: fault 1: ${2%%,*}: device 0000:01:00\\.0: "
	want_err "^cbit: faults: $rule: injected [1-9][0-9]*, of [0-9]+ events\$"
}

faults_recovery() {
	cat >"$T/end.sh" <<-'END'
		told=$1
		shift
		"$@" &
		until grep -q '^cbit: fault 1: ' "$told"; do
			sleep 0.02
		done
		sleep 0.5
		kill -TERM $!
		wait $!
	END
	for spec in lost-interrupt,after=3 stuck-doorbell surprise-removal,after=10; do
		recover careless "$spec" 143
		want_findings mapping-leaked=1
		want_err '^    after:   fault 1, '
		end
	done
	for spec in completion-error,after=3 iommu-fault,after=14; do
		recover careless "$spec" 1
		want_out '^7 of 8 blocks are as they should be$'
		want_findings
		end
	done
	for spec in lost-interrupt,after=3 stuck-doorbell completion-error,after=3 iommu-fault,after=14 \
		delayed-completion,delay=300ms,after=2 link-down,after=10 completion-error,probability=0.3,seed=4; do
		recover careful "$spec" 0
		want_out '^8 of 8 blocks are as they should be$'
		want_findings
		end
	done
	recover careful surprise-removal,after=10 3
	want_out '^the device is gone$'
	want_findings
	end
	begin "faults: neither driver has any trouble without"
	run -- "$examples/recover" careless
	want_rc 0
	want_findings
	want_no_err '^cbit: fault'
	end
}

# The faults of one run of the careful driver.
faults_told() {
	run "$@" -- "$examples/recover" careful
	grep '^cbit: fault [0-9]' "$err" >"$T/told" || true
}

faults_chance() {
	local seed
	begin "faults: a seed is chosen and told, and gives the same faults again"
	faults_told --fault iommu-fault,probability=0.1,count=4
	seed=$(sed -n 's/^cbit: fault plan: --fault iommu-fault,probability=0.1,count=4,seed=\([0-9]*\)$/\1/p' "$err")
	[ -n "$seed" ] || because "no seed was told"
	cp "$T/told" "$T/first"
	faults_told --fault "iommu-fault,probability=0.1,count=4,seed=${seed:-0}"
	cmp -s "$T/first" "$T/told" || because "other faults: $(diff "$T/first" "$T/told" | head -n 4)"
	end
	begin "faults: JSON"
	run --report "json:$T/report" --fault lost-interrupt,every=2 -- "$examples/recover" careful
	want_rc 0
	jq -e '.fault_count == 4 and (.findings | length) == 0 and
		([.faults[] | select(.kind == "lost-interrupt" and .device == "0000:01:00.0" and
		.rule == "lost-interrupt,every=2")] | length) == 4' "$T/report" >/dev/null ||
		because "the JSON report does not have the faults"
	end
}

faults_refused() {
	begin "faults: a SPEC that makes no sense"
	run --fault lost-interrupt,every=0 -- true
	want_rc 125
	want_err 'every=0: must be a number from 1'
	end
	begin "faults: a device that there is not"
	run --fault iommu-fault,device=09:00.0 -- true
	want_rc 125
	want_err "fault 'iommu-fault,device=09:00\\.0': there is no such device"
	end
}

# A driver by others meets them, too.
faults_qemu() {
	if ! command -v qemu-img >/dev/null 2>&1; then
		skip "faults: qemu-img" "no qemu-img here (package qemu-utils)"
		return 0
	fi
	truncate -s 8M "$T/disk.img"
	# Not by iommu-fault: which DMA is the next depends on how QEMU's requests fall together, and a
	# completion that is lost is waited for without end.
	begin "faults: qemu-img sees an error"
	run --device "nvme,file=$T/disk.img" --fault completion-error,queue=1,after=3 -- \
		qemu-img convert -f raw -O raw nvme://0000:01:00.0/1 "$T/out.img"
	want_rc 1
	want_err '^qemu-img: error while reading at byte [0-9]+: Input/output error$'
	want_err '^cbit: fault 1: completion-error: device 0000:01:00\.0: '
	end
	begin "faults: qemu-img does not mind what is late"
	run --device "nvme,file=$T/disk.img" --fault delayed-completion,queue=1,every=3,delay=20ms -- \
		qemu-img convert -f raw -O raw nvme://0000:01:00.0/1 "$T/out.img"
	want_rc 0
	want_err '^cbit: fault 1: delayed-completion: '
	cmp -s "$T/disk.img" "$T/out.img" || because "the copy differs"
	end
}

section_faults() {
	faults_recovery
	faults_chance
	faults_refused
	faults_qemu
}
