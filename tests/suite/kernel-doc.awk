# Tells which functions of the public headers have no kernel-doc comment that names them.
#
# The first file is what `gcc -aux-info` writes of the headers (every function with file and line,
# as the compiler sees it); the others are the headers. A function is documented when the lines
# right above it, up to a blank one, end in a comment that starts with two stars and has "NAME()".
# Prints FILE:LINE: NAME for each that is not; the last line is the number of functions.

FNR == 1 {
	header = file++ > 0
	text = ""
	open = 0
}

!header && match($2, /include\/cbit\/[a-z0-9_]+\.h:[0-9]+:/) {
	place = substr($2, RSTART, RLENGTH - 1)
	sub(/.*include\/cbit\//, "", place)
	line = $0
	sub(/^\/\*[^*]*\*\/ /, "", line)
	if (match(line, /cbit_[a-z0-9_]+ \(/))
		name[place] = substr(line, RSTART, RLENGTH - 2)
}

header {
	base = FILENAME
	sub(/.*\//, "", base)
	if ($0 == "")
		text = ""
	if ($0 ~ /^\/\*/) {
		open = 1
		text = ""
	}
	if (open) {
		text = text $0 "\n"
		if ($0 ~ /\*\/$/)
			open = 0
	}
	place = base ":" FNR
	if (place in name) {
		functions++
		if (text !~ /^\/\*\*/ || index(text, name[place] "()") == 0)
			print place ": " name[place]
	}
}

END {
	print functions + 0
}
