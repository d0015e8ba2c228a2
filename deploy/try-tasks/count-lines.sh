# Counts lines by language into LINES.md. Run by ./deploy/try as a `command` task, inside its worktree.
set -eu
maestro-agent status working --message "Listing files" --progress 0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
git ls-files -z | tr '\0' '\n' > "$tmp/files"
total=$(wc -l < "$tmp/files")
echo "$total files are in the repository"
sed -n 's/.*\.\([A-Za-z0-9_+-]*\)$/\1/p' "$tmp/files" | sort | uniq -c | sort -rn | head -n 12 > "$tmp/kinds"
kinds=$(wc -l < "$tmp/kinds")
{
	echo "# Lines by kind of file"
	echo
	echo "| kind | files | lines |"
	echo "| --- | ---: | ---: |"
} > LINES.md
n=0
while read -r files kind; do
	n=$((n + 1))
	maestro-agent status working --message "Counting .$kind" --file LINES.md --progress $((n * 95 / kinds))
	lines=$(git ls-files -z -- "*.$kind" | xargs -0 cat -- 2>/dev/null | wc -l)
	printf '  \033[36m%-10s\033[0m %6s files %8s lines\n' ".$kind" "$files" "$lines"
	echo "| .$kind | $files | $lines |" >> LINES.md
	sleep 0.4 # so that one can watch it
done < "$tmp/kinds"
printf '\033[1;32mLINES.md is written\033[0m\n'
maestro-agent status complete --message "Counted $kinds kinds of file" --progress 100
