#!/bin/sh
# The demo in one command: a county of 500 simulated lifts, faults as they come. Arguments go to `tiwei demo`.
set -eu
. "$(dirname -- "$0")/environment.sh"
environment
exec "$venv/bin/tiwei" demo "$@"
