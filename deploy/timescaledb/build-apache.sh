#!/bin/sh
# Build and install the Apache edition of TimescaleDB for a PostgreSQL of Debian 12, from Debian 13's source package.
#
#   build-apache.sh [MAJOR]      MAJOR: the PostgreSQL to build for (15)
#
# For the tests: hypertables, chunks and the extension's planner, without compression and policies, which only the
# community edition has. Needs root, apt and the network. Installed already: nothing is done. Where it cannot be done, it
# says why and ends with status 77, so that a caller can go on without; a build that breaks ends with another one.
set -eu

major=${1:-15}
prefix=/usr/lib/postgresql/$major
mirror=${TIMESCALEDB_MIRROR:-http://deb.debian.org/debian}
suite=trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

skip() {
    echo "build-apache.sh: SKIPPED, TimescaleDB is not built: $1" >&2
    exit 77
}

if [ -e "$prefix/lib/timescaledb.so" ]; then
    echo "build-apache.sh: TimescaleDB is installed for PostgreSQL $major"
    exit 0
fi
[ "$(id -u)" = 0 ] || skip "needs root"
command -v apt-get >/dev/null || skip "needs apt (Debian 12)"
[ -x "$prefix/bin/postgres" ] || skip "no PostgreSQL $major in $prefix"
[ -r "$keyring" ] || skip "no $keyring to check the source package with"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/source"

# A package list of our own, so that the machine's own sources stay as they are.
cat >"$work/sources.list" <<EOF
deb-src [signed-by=$keyring] $mirror $suite main
EOF
apt_source() {
    apt-get -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" \
        -o APT::Sandbox::User=root -o APT::Get::List-Cleanup=0 "$@"
}

echo "build-apache.sh: installing what the build needs"
export DEBIAN_FRONTEND=noninteractive
apt-get -q update >"$work/log" 2>&1 || skip "apt-get update failed: $(tail -n 1 "$work/log")"
apt-get -q -y install --no-install-recommends \
    build-essential cmake dpkg-dev libkrb5-dev libssl-dev "postgresql-server-dev-$major" >"$work/log" 2>&1 ||
    skip "the tools cannot be installed: $(tail -n 1 "$work/log")"

echo "build-apache.sh: fetching the source package from $suite"
apt_source update >"$work/log" 2>&1 || skip "no package list of $suite: $(tail -n 1 "$work/log")"
(cd "$work/source" && apt_source source --only-source timescaledb) >"$work/log" 2>&1 ||
    skip "no source package: $(tail -n 1 "$work/log")"
source=$(find "$work/source" -mindepth 1 -maxdepth 1 -type d | head -n 1)

echo "build-apache.sh: building $(basename "$source") for PostgreSQL $major"
build() {
    cmake -S "$source" -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DAPACHE_ONLY=ON -DREGRESS_CHECKS=OFF \
        -DTAP_CHECKS=OFF -DWARNINGS_AS_ERRORS=OFF -DSEND_TELEMETRY_DEFAULT=OFF \
        -DPG_CONFIG="$prefix/bin/pg_config" &&
        cmake --build "$work/build" --parallel "$(nproc)" &&
        cmake --install "$work/build"
}
if ! build >"$work/log" 2>&1; then
    tail -n 40 "$work/log" >&2
    echo "build-apache.sh: the build failed" >&2
    exit 1
fi
echo "build-apache.sh: installed $(basename "$source"), Apache edition, for PostgreSQL $major"
