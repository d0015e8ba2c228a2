# Lists what looks like a test into TESTS.md. Run by ./deploy/try as a `command` task, inside its worktree.
set -eu
maestro-agent status working --message "Looking for tests" --progress 0
{
	echo "# Tests in this repository"
	echo
} > TESTS.md
found=0
seen=0
total=$(git ls-files | wc -l)
for path in $(git ls-files | tr ' ' '?'); do
	seen=$((seen + 1))
	case $path in
	*test*.c | *test*.py | *test*.sh | *test*.js | *test*.ts | *test*.go | *test*.rs | *[Tt]est*.java | *_spec.rb)
		found=$((found + 1))
		echo "- \`$path\` ($(wc -l < "$path" 2>/dev/null || echo 0) lines)" >> TESTS.md
		[ $((found % 10)) -ne 1 ] || {
			printf '  \033[32m%s\033[0m\n' "$path"
			maestro-agent status working --message "$found found" --file "$path" \
				--progress $((seen * 95 / total))
			sleep 0.3 # so that one can watch it
		}
		;;
	esac
done
[ "$found" -gt 0 ] || echo "None was found by its name." >> TESTS.md
echo "$found of $total files look like tests"
maestro-agent status complete --message "$found tests listed" --progress 100
