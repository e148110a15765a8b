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
exec python -m pytest -m "not soak"
