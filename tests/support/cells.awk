# A capture of a terminal (`tmux capture-pane -e -p`) made comparable cell by cell: the same picture can be captured with
# its attributes said in another order, in a longer form, or on blank cells after the end of a line. Those are left out,
# coloured or not: tmux captures a blank that was printed and leaves out one that was erased, though they look the same.
# Before each cell whose look differs from the one before it in its row comes the whole look: {1,7,fg 31,bg 44}.
function look(   i, s) {
	s = ""
	for (i = 1; i <= 9; i++) if (on[i] != "") s = s (s == "" ? "" : ",") on[i]
	if (on[53] != "") s = s (s == "" ? "" : ",") "53"
	return s (fg == "" ? "" : ",fg " fg) (bg == "" ? "" : ",bg " bg) (us == "" ? "" : ",us " us)
}
# What follows 38, 48 or 58 at p[at]: sets `colour`, returns the index of its last number.
function extended(at, base) {
	if (p[at + 1] == 5) {
		colour = base != 58 && p[at + 2] < 8 ? base - 8 + p[at + 2] : base != 58 && p[at + 2] < 16 ? base + 44 + p[at + 2] : base ";5;" p[at + 2]
		return at + 2
	}
	colour = base ";2;" p[at + 2] ";" p[at + 3] ";" p[at + 4]
	return at + 4
}
function sgr(text,   n, i, v) {
	n = split(text == "" ? "0" : text, p, ";")
	for (i = 1; i <= n; i++) {
		v = p[i] + 0
		if (v == 0) { split("", on); fg = bg = us = "" }
		else if (v >= 1 && v <= 9 || v == 53) on[v] = p[i]
		else if (v == 38) { i = extended(i, 38); fg = colour }
		else if (v == 48) { i = extended(i, 48); bg = colour }
		else if (v == 58) { i = extended(i, 58); us = colour }
		else if (v == 39) fg = ""
		else if (v == 49) bg = ""
		else if (v == 59) us = ""
		else if (v >= 30 && v <= 37 || v >= 90 && v <= 97) fg = p[i]
		else if (v >= 40 && v <= 47 || v >= 100 && v <= 107) bg = p[i]
		else on[9] = "?" p[i]
	}
}
{
	out = ""; before = ""; line = $0; keep = 0
	while (line != "") {
		if (match(line, /^\033\[[0-9;:]*m/)) {
			sgr(substr(line, 3, RLENGTH - 3))
			line = substr(line, RLENGTH + 1)
			continue
		}
		if (match(line, /^\033[()][A-Z0-9]|^[\016\017]/)) { out = out substr(line, 1, RLENGTH); line = substr(line, RLENGTH + 1); continue }
		now = look()
		if (now != before) out = out "{" now "}"
		before = now
		out = out substr(line, 1, 1)
		if (substr(line, 1, 1) != " " || on[4] != "" || on[7] != "" || on[9] != "" || on[53] != "")
			keep = length(out)
		line = substr(line, 2)
	}
	print substr(out, 1, keep)
}
