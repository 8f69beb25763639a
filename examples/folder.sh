#!/usr/bin/env sh
# A folder with all below it. What is there already is left alone, so the same command goes on where
# a broken run stopped. The report of every picture goes to report.jsonl.
set -eu
here=$(dirname "$0")
out=${1:-out}
mkdir -p "$out"
moce restore "$here/pictures" -o "$out/pictures" --skip-existing --json > "$out/report.jsonl"
