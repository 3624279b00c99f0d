# shellcheck shell=bash disable=SC2016,SC2034,SC2054,SC2154
# Sections clients and abi: our own VFIO programs under cbit run.

# run [cbit run's options] -- program and arguments
run() {
	try "${limit:-180}" "$cbit" run "$@"
}
two=(--device ioat --device ioat,membar=1M)

section_abi() {
	local type
	for type in 1 3 limit; do
		begin "abi: client_errno $type"
		run -- "$clients/client_errno" "$type"
		want_rc 0
		want_no_out '^not ok'
		want_out '^1\.\.[1-9]'
		# It makes these on purpose, to see the errno.
		if [ "$type" = limit ]; then
			want_findings
		else
			want_kinds map-before-set-iommu unmapped-nothing
		fi
		end
	done
	begin "abi: client_hostile"
	run --device ioat,membar=64K --device ioat,group=2 \
		--device ioat,group=2,addr=0000:02:00.1 -- "$clients/client_hostile"
	want_rc 0
	want_no_out '^not ok'
	want_out '^1\.\.8'
	end
	get_selftests "abi: test_tables" || return 0
	unit_cases abi "$build/tests/abi/test_tables" \
		env CBIT_CLIENTS="$clients" CBIT_SELFTESTS="$selftests" "$build/tests/abi/test_tables"
}

# want_trace LINE FUNCTION: below such a line of a finding is a backtrace with that function and its
# place in the source.
want_trace() {
	awk -v head="^    $1" -v place="^        #[0-9]+ .*[+]0x[0-9a-f]+ $2 [(].*[.]c:[0-9]+[)]" '
		/^    [a-z]/ { below = $0 ~ head }
		below && $0 ~ place { found = 1 }
		END { exit !found }' "$err" || because "no backtrace with $2 below $1"
}

# Each "expect FUNCTION LINE" of client_trace is in a backtrace.
want_places() {
	local word function line
	want_out '^expect third_place [0-9]+'
	while read -r word function line; do
		[ "$word" = expect ] || continue
		want_err "^        #[0-9]+ .*/client_trace_[a-z]+\\+0x[0-9a-f]+ $function \\(.*client_trace\\.c:$line\\)"
	done <"$out"
}

client_traces() {
	local how thread
	for how in frames optimized static fixed stripped; do
		for thread in '' thread; do
			begin "client: backtraces, $how ${thread:-main}"
			run -- "$clients/client_trace_$how" $thread
			want_rc 0
			# Two places, however often; the third is told by what it left.
			want_findings mapping-leaked=1 unmapped-nothing=2
			want_err '^    mapping: '
			if [ "$how" = stripped ]; then
				want_err '^        #2 .*/client_trace_stripped\+0x[0-9a-f]+$'
				want_no_err 'first_place'
			else
				want_places
				want_err "^        #[0-9]+ .* work \\(.*client_trace\\.c:"
				[ -n "$thread" ] || want_err "^        #[0-9]+ .* main \\(.*client_trace\\.c:"
			fi
			end
		done
	done
	begin "client: no backtraces"
	run --no-backtrace -- "$clients/client_trace_frames"
	want_rc 0
	# Where nobody asks for the place, the range stands for it.
	want_findings mapping-leaked=1 unmapped-nothing=2
	want_no_err '^        #'
	end
	begin "client: backtraces, JSON"
	run --report "json:$T/report" -- "$clients/client_trace_frames"
	want_rc 0
	jq -e '[.findings[] | (.mapping // .call).frames[] | select(.function == "third_place" or
		.function == "second_place") | select((.line | type) == "number" and
		(.file | endswith("client_trace.c")) and (.offset | startswith("0x")) and
		(.module | endswith("client_trace_frames")))] | length == 2' "$T/report" >/dev/null ||
		because "the JSON report lacks frames"
	end
}

# One device copies into another's BAR by the two ways that Linux has, under two kernels.
client_side_by_side() {
	local way policy what

	begin "client: peer to peer, type1 and dma-buf side by side"
	: >"$T/side"
	for policy in linux-7.2 complete; do
		for way in copy dmabuf; do
			run --platform sme --policy "$policy" "${two[@]}" -- "$examples/p2p_$way"
			what=$(grep -oE 'the bytes arrived|the copy was lost' "$out")
			echo "$policy p2p_$way: $what, exit status $rc, $(tail -n 1 "$err")" >>"$T/side"
		done
	done
	diff "$T/side" - >"$out" <<-END || because "not as expected (<):"$'\n'"$(cat "$out")"
		linux-7.2 p2p_copy: the copy was lost, exit status 1, cbit: 1 finding
		linux-7.2 p2p_dmabuf: the bytes arrived, exit status 0, cbit: no findings
		complete p2p_copy: the bytes arrived, exit status 0, cbit: no findings
		complete p2p_dmabuf: the bytes arrived, exit status 0, cbit: no findings
	END
	end
	begin "client: no dma-buf before Linux 6.19"
	run --policy linux-6.17 "${two[@]}" -- "$examples/p2p_dmabuf"
	want_rc 2
	want_err 'FEATURE_DMA_BUF .*Inappropriate ioctl'
	end
}

client_dmabufs() {
	local tried
	begin "client: a dma-buf's descriptor"
	run "${two[@]}" -- "$clients/client_dmabuf" file
	want_rc 0
	want_findings
	end
	begin "client: more closes than the kernel tells of"
	run --device ioat,membar=64K -- "$clients/client_overflow"
	if [ "$rc" = 77 ]; then
		skip "$name" "$(cat "$out")"
	else
		want_rc 0
		want_out '^all right$'
		want_findings
		end
	fi
	begin "client: dma-bufs are revoked"
	run "${two[@]}" -- "$clients/client_dmabuf" revoke
	want_rc 0
	want_findings dma-buf-revoked=3
	want_err '^    mapping: .* -> offset in a revoked dma-buf 0x0$'
	end
	begin "client: accounts of an iommufd, by user and by process"
	run --memlock 128K --device ioat -- "$clients/client_account"
	want_rc 0
	tried=user
	[ "$(id -u)" != 0 ] || tried="$tried, another user"
	# CAP_SYS_RESOURCE, which root in a container mostly lacks
	! has_capability 24 || tried="$tried, process"
	want_out "^tried: $tried\$"
	want_findings
	end
	for frames in congruent scattered; do
		begin "client: a file in memory by its descriptor, $frames"
		run --stats --frames "$frames" "${two[@]}" -- "$clients/client_dmabuf" memory
		want_rc 0
		want_findings
		want_err '^cbit: stat dma-bytes-by-pointer 131072$'
		end
	done
}

# One case of every client, quick enough for a sanitized cbit too.
client_basics() {
	local what

	begin "client: p2p_copy, linux-7.2"
	run --platform sme --policy linux-7.2 "${two[@]}" -- "$examples/p2p_copy"
	want_rc 1
	want_out '^the copy was lost'
	want_findings mmio-encrypted=1
	want_err 'C-bit'
	end

	begin "client: p2p_copy, complete"
	run --platform sme --policy complete "${two[@]}" -- "$examples/p2p_copy"
	want_rc 0
	want_out '^the bytes arrived'
	want_findings
	end

	client_side_by_side

	begin "client: eight threads"
	run --device ioat,membar=64K -- "$clients/client_threads" 60
	want_rc 0
	want_out 'all right$'
	want_findings
	end

	begin "client: 1 kHz timer signal"
	run -- "$clients/client_timer" 2000
	want_rc 0
	want_out 'all right$'
	# It unmaps everything twice: a call that was carried out again would show.
	want_kinds unmapped-nothing
	end

	begin "client: SR-IOV"
	run --device ioat,sriov=4 -- "$clients/client_sriov"
	want_rc 0
	want_out 'all right$'
	want_err "^cbit: write of '4' to .*/sriov_numvfs fails: Device or resource busy$"
	want_findings
	end

	begin "client: a live migration in the middle of a chain"
	run --device ioat,migration=on --device ioat,migration=on -- "$clients/client_migrate"
	want_rc 0
	want_out 'stopped after [0-9]+ of 3000 blocks, .*all right$'
	want_no_out 'stopped after (0|3000) of'
	want_findings
	end

	begin "client: fork and exec"
	run --device ioat --device ioat -- "$clients/client_fork"
	want_rc 0
	want_out 'all right$'
	want_findings
	end

	begin "client: a mapping left behind"
	run -- "$clients/client_leak"
	want_rc 0
	want_findings mapping-leaked=1
	end

	begin "client: memory of many sizes and a BAR"
	run "${two[@]}" -- "$clients/client_memory" 4K 64K 64K@4K 2M 2M@64K bar span
	want_rc 0
	want_findings
	end

	for what in twice reopen path truncate read cdev leader children signals sigbus churn; do
		begin "client: rough handling, $what"
		run "${two[@]}" -- "$clients/client_rough" "$what"
		want_rc 0
		want_out 'all right$'
		want_findings
		end
	done

	begin "client: rough handling, killed"
	run -- "$clients/client_rough" killed
	want_rc 0
	want_out 'all right$'
	end

	for what in dying string beyond eventfd attribute wide flags; do
		begin "client: rude handling, $what"
		run --device ioat,sriov=2 -- "$clients/client_rude" "$what"
		want_rc 0
		want_out 'all right$'
		want_no_err "cannot carry out|ERROR|"$'\033'
		[ "$what" != attribute ] || want_err "^cbit: write of '\?\[2J' to "
		end
	done

	begin "client: rude handling, page"
	run --device ioat,sriov=2 -- "$clients/client_rude" page
	if [ "$rc" = 77 ]; then
		skip "$name" "no userfaultfd for this user"
	else
		want_rc 0
		want_out 'all right$'
		want_findings
		end
	fi

	begin "client: shared and private memory hold the same bytes"
	run --stats -- "$clients/client_shared" equal
	want_rc 0
	want_findings
	# Two of three buffers are shared: what is moved in them goes without a call.
	want_err '^cbit: stat dma-bytes-by-pointer [0-9]{8}$'
	want_err '^cbit: stat dma-bytes-by-call [0-9]{8}$'
	end
	begin "client: files that go after a while in which nothing happened"
	run --device ioat,membar=64K -- "$clients/client_quiet"
	want_rc 0
	want_findings
	end
	begin "client: descriptor numbers that become other files"
	run --device ioat,membar=64K -- "$clients/client_numbers"
	want_rc 0
	want_out 'all right$'
	want_findings
	end
	begin "client: private memory alone goes by call"
	run --stats -- "$clients/client_memory" 2M
	want_rc 0
	want_err '^cbit: stat dma-bytes-by-pointer 0$'
	end
	# 13 MB in private pages of which no two are neighbours: 3200 calls if they were made singly.
	begin "client: scattered pages are moved many in a call"
	run --frames scattered --stats -- "$clients/client_shared" equal
	want_rc 0
	want_err '^cbit: stat dma-calls [0-9]{1,3}$'
	want_findings
	end
	begin "client: a shared file cut short amid DMA"
	run -- "$clients/client_shared" truncate
	want_rc 0
	want_findings client-memory-gone=1
	end

	begin "client: DMA to an IOVA never mapped"
	run -- "$clients/client_faults" unmapped-target
	want_rc 0
	want_findings iova-not-mapped=1
	end
}

section_clients() {
	local policy platform
	client_basics

	for policy in linux-7.2 linux-6.17; do
		begin "client: static p2p_copy, $policy"
		run --policy "$policy" "${two[@]}" -- "$clients/p2p_copy_static"
		want_rc 1
		want_out '^the copy was lost'
		want_findings mmio-encrypted=1
		end
	done
	begin "client: static p2p_copy, the defaults"
	run "${two[@]}" -- "$clients/p2p_copy_static"
	want_rc 0
	want_findings
	end
	# Where the kernel sets no C-bit, the same policy does no harm.
	for platform in bare tsme; do
		begin "client: p2p_copy on $platform, linux-7.2"
		run --platform "$platform" --policy linux-7.2 "${two[@]}" -- "$examples/p2p_copy"
		want_rc 0
		want_out '^the bytes arrived'
		want_findings
		end
	done
	begin "client: p2p_copy, addresses and groups as given"
	run --device ioat,addr=0000:41:00.0,group=7 --device ioat,membar=64K,addr=0000:42:00.0,group=9 \
		-- "$examples/p2p_copy"
	want_rc 0
	want_out 'device A 0000:41:00\.0 \(group 7\) .* device B 0000:42:00\.0 \(group 9\)'
	want_findings
	end

	begin "client: eight threads, 500 rounds"
	run --device ioat,membar=64K -- "$clients/client_threads" 500
	want_rc 0
	want_findings
	end
	begin "client: 1 GiB of memory"
	run -- "$clients/client_memory" 1G shared:64M shared:1G
	want_rc 0
	want_findings
	end
	begin "client: static, memory and a BAR"
	run "${two[@]}" -- "$clients/client_memory_static" 4K shared:64K file:64K private:64K 2M bar span
	want_rc 0
	want_findings
	end
	begin "client: one mapping across memory and a BAR, linux-7.2"
	run --policy linux-7.2 "${two[@]}" -- "$clients/client_memory" span
	want_rc 1
	want_out "^span: the memory's half arrived, the BAR's half lost"
	want_findings mmio-encrypted=1
	want_trace mapping: main
	end
	# A patch that was posted for it: it clears the C-bit of the memory as well.
	begin "client: one mapping across memory and a BAR, posted-mmio"
	run --policy posted-mmio "${two[@]}" -- "$clients/client_memory" span
	want_rc 1
	want_out "^span: the memory's half lost, the BAR's half arrived"
	want_findings wrong-key=1
	want_trace mapping: main
	end
	for what in '' doorbell; do
		begin "client: idle for five seconds${what:+, its $what mapped}"
		# shellcheck disable=SC2086 # none or one
		run --device ioat,membar=64K -- "$clients/client_idle" $what
		want_rc 0
		want_findings
		end
	done
	begin "client: shared memory of large pages"
	run --stats -- "$clients/client_shared" huge
	if [ "$rc" = 77 ]; then
		skip "$name" "no huge pages here"
	else
		want_rc 0
		want_err '^cbit: stat dma-bytes-by-pointer 2097152$'
		want_findings
		end
	fi
	begin "client: files in memory are let go of"
	run --stats -- "$clients/client_shared" files
	want_rc 0
	want_err '^cbit: stat dma-bytes-by-pointer 245760$'
	want_findings
	end
	begin "client: three mappings left behind"
	run -- "$clients/client_leak" 3
	want_rc 0
	want_only_findings mapping-leaked
	end

	for what in unmap-nothing unmap-inside exists set-iommu; do
		begin "client: misuse, $what"
		run -- "$clients/client_misuse" "$what"
		want_rc 0
		case $what in
		unmap-*)
			want_findings unmapped-nothing=1
			want_trace call: main
			want_err '^    (below|above):   mapping call [0-9]+: IOVA 0x1'
			;;
		exists)
			want_findings map-exists-ignored=1
			want_trace mapping: exists
			want_trace call: exists
			want_err '^    call:    VFIO_IOMMU_MAP_DMA .* length 0x2000 rw .*refused \(EEXIST\)'
			want_err '^    dma:     device 0000:01:00.0 write IOVA 0x20001000 .*older'
			;;
		set-iommu)
			want_findings map-before-set-iommu=3
			want_trace call: set_iommu
			want_err '^    call:    VFIO_IOMMU_MAP_DMA .* has no group'
			want_err '^    call:    VFIO_IOMMU_UNMAP_DMA .* 1 group and no IOMMU'
			;;
		esac
		end
		begin "client: the same done right, $what"
		run -- "$clients/client_misuse" "$what" right
		want_rc 0
		want_findings
		end
	done

	client_traces
	client_dmabufs

	for what in munmap fixed dontneed shrink move over brk shared hole; do
		begin "client: memory given up while mapped, $what"
		run -- "$clients/client_giveup" "$what"
		want_rc 0
		want_findings unmapped-while-mapped=1
		want_err '^    mapping: call 1 of process [0-9]+: IOVA 0x10000000 length 0x4000 rw'
		want_err '^    call:    .*: client address 0x[0-9a-f]+ length 0x3000$'
		want_trace mapping: main
		want_trace call: give_up
		end
		begin "client: memory given up after the unmap, $what"
		run -- "$clients/client_giveup" "$what" right
		want_rc 0
		want_findings
		end
	done
	begin "client: memory given up while mapped, scattered frames"
	run --frames scattered -- "$clients/client_giveup" fixed
	want_rc 0
	want_findings unmapped-while-mapped=1
	end
	begin "client: memory given up, and nobody looks"
	run --no-watch-memory -- "$clients/client_giveup" shared
	want_rc 0
	want_findings
	end

	begin "client: DMA from an IOVA never mapped"
	run -- "$clients/client_faults" unmapped-source
	want_rc 0
	want_findings iova-not-mapped=1
	end
	begin "client: DMA after the unmap"
	run -- "$clients/client_faults" stale
	want_rc 0
	want_findings iova-not-mapped=1
	end
	begin "client: DMA write to a read-only mapping"
	run -- "$clients/client_faults" read-only
	want_rc 0
	want_findings write-to-read-only=1
	want_trace mapping: main
	end
	begin "client: DMA with bus mastering off"
	run -- "$clients/client_faults" bus-master
	want_rc 0
	want_findings bus-master-off=1
	want_err '^    mapping: call [0-9]+ of process [0-9]+: IOVA 0x1000000 '
	want_trace mapping: main
	end
}
