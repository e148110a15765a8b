#!/bin/sh
# Every check and test in one command. Arguments go to pytest; with `-m soak` only the slow runs, without the checks.
set -eu
. "$(dirname -- "$0")/environment.sh"
environment test
PATH="$venv/bin:$PATH"
export PATH

if [ $# -gt 0 ]; then
    exec python -m pytest "$@"
fi
ruff check
ruff format --check
mypy
lint-imports
# Two at a time: most tests wait for real servers most of the time.
exec python -m pytest -n 2 --dist loadfile -m "not soak"
