# Sums up the history into HISTORY.md. Run by ./deploy/try as a `command` task, inside its worktree.
set -eu
maestro-agent status working --message "Reading the history" --progress 0
commits=$(git rev-list --count HEAD)
echo "$commits commits"
{
	echo "# The history in short"
	echo
	echo "- commits: $commits"
	echo "- first: $(git log --format=%as --reverse | head -n 1)"
	echo "- newest: $(git log -1 --format=%as)"
	echo
	echo "## By day"
	echo
	echo "| day | commits |"
	echo "| --- | ---: |"
} > HISTORY.md
maestro-agent status working --message "Counting by day" --file HISTORY.md --progress 30
git log --format=%as | sort | uniq -c | sort -k2 -r | head -n 30 | while read -r count day; do
	printf '  \033[33m%s\033[0m %s commits\n' "$day" "$count"
	echo "| $day | $count |" >> HISTORY.md
	sleep 0.2 # so that one can watch it
done
maestro-agent status working --message "Finding what changes most" --file HISTORY.md --progress 60
{
	echo
	echo "## What changed most often"
	echo
} >> HISTORY.md
git log --name-only --format= | grep . | sort | uniq -c | sort -rn | head -n 10 | while read -r count path; do
	printf '  %4s  \033[35m%s\033[0m\n' "$count" "$path"
	echo "- \`$path\` ($count)" >> HISTORY.md
	sleep 0.2
done
maestro-agent status complete --message "$commits commits summed up" --progress 100
