# Sourced by the scripts beside it: sets up the environment .venv of this checkout and leaves us in the checkout.
#
#   environment [EXTRA]     EXTRA: an extra of pyproject.toml, such as `test`
#
# Works on a Debian 12 with only Python 3.11 and pip, without root: pip there refuses to install into the system
# (PEP 668), and venv may come without ensurepip. Nothing outside .venv is touched (TIWEI_VENV: another folder).

checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$checkout"
venv=${TIWEI_VENV:-$checkout/.venv}

die() {
    echo "$*" >&2
    exit 1
}

python=
for one in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
    if "$one" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$one
        break
    fi
done
[ -n "$python" ] || die "Tiwei needs Python 3.11 or newer; set PYTHON to one"

# Runs pip for the environment, whichever pip there is: its own, that of the Python it was made from, or any.
pip_for_venv() {
    if "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        "$venv/bin/python" -m pip "$@"
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip --python "$venv/bin/python" "$@"
    else
        pip --python "$venv/bin/python" "$@"
    fi
}

environment() {
    extra=${1:-}
    wanted="$(cksum <pyproject.toml) $checkout"
    mark="$venv/.tiwei-${extra:-run}"
    # Made by another Python or for another folder, or with dependencies that changed since: made anew.
    if [ "$(cat "$mark" 2>/dev/null)" = "$wanted" ] && "$venv/bin/python" -c 'import monitor' 2>/dev/null; then
        return
    fi
    echo "setting up $venv (the first time this takes a minute)" >&2
    "$venv/bin/python" -c '' 2>/dev/null || "$python" -m venv --clear --without-pip "$venv" ||
        die "no environment can be made in $venv; set TIWEI_VENV to a folder that you can write"
    pip_for_venv install --quiet --disable-pip-version-check --editable ".${extra:+[$extra]}" >&2 ||
        die "the packages cannot be installed"
    echo "$wanted" >"$mark"
}
