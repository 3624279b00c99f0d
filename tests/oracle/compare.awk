# Compares the probe's log on Linux with the one under cbit, line by line within each case.
#
# usage: awk -f compare.awk EXPLAINED LINUX CBIT
# EXPLAINED has an entry for each difference that is meant to be, of four lines and an empty one:
#     case REGEX      which cases
#     linux REGEX     what the line is on Linux; "-" for any
#     cbit REGEX      what it is under cbit; "-" for any
#     why TEXT        the reason, which may go on in lines that are indented
# Prints each difference that has no entry, and each entry that no difference needs; the last line
# counts. Exit status 1 when anything was printed before it.

function fail(text) {
	bad++
	if (bad <= 40)
		print text
}

function differ(name, line, other,    i) {
	for (i = 1; i <= entries; i++) {
		if (name ~ cases[i] && (linux[i] == "-" || line ~ linux[i]) && (cbit[i] == "-" || other ~ cbit[i])) {
			used[i]++
			explained++
			return
		}
	}
	fail("in \"" name "\":\n    Linux: " line "\n    cbit:  " other)
}

FNR == 1 { file++ }

file == 1 {
	if ($1 == "case")
		cases[++entries] = substr($0, 6)
	else if ($1 == "linux")
		linux[entries] = substr($0, 7)
	else if ($1 == "cbit")
		cbit[entries] = substr($0, 6)
	else if ($1 == "why")
		why[entries] = substr($0, 5)
	next
}

/^= / { name[file] = substr($0, 3) }

file == 2 {
	here = name[2]
	text[here, ++lines[here]] = $0
	if (/^[0-9]+ calls$/)
		calls = $1
	next
}

{
	here = name[3]
	n = ++seen[here]
	if (n > lines[here])
		fail("in \"" here "\": a line more under cbit: " $0)
	else if (text[here, n] != $0)
		differ(here, text[here, n], $0)
	if (/^[0-9]+ calls$/)
		others = $1
}

END {
	for (here in lines) {
		if (lines[here] > seen[here])
			fail("in \"" here "\": under cbit " (lines[here] - seen[here]) " lines are missing")
	}
	if (calls != others)
		fail("calls: " calls + 0 " on Linux, " others + 0 " under cbit")
	for (i = 1; i <= entries; i++) {
		if (!used[i])
			fail("no difference needs: case " cases[i] ", linux " linux[i] ", cbit " cbit[i])
		if (why[i] == "")
			fail("no reason is given: case " cases[i])
	}
	printf "%d calls compared, %d differences explained by %d entries, %d not explained\n", calls, explained, entries, bad
	exit bad > 0
}
