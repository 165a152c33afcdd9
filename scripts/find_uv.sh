#!/usr/bin/env bash
# Prints the path of a uv that is new enough; installs one into .uv/ when there is none.
set -eu
python=$1
version=$2

if command -v uv >/dev/null && uv version --help >/dev/null 2>&1; then
    found=$(uv --version | sed -E 's/^uv ([0-9]+)\.([0-9]+).*/\1 \2/')
    read -r major minor <<<"$found"
    if [ "$major" -gt 0 ] || [ "$minor" -ge 8 ]; then
        command -v uv
        exit 0
    fi
fi
if [ ! -x .uv/bin/uv ]; then
    echo "candlewire: installing uv $version into .uv/" >&2
    "$python" -m venv .uv
    .uv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$version"
fi
echo "$PWD/.uv/bin/uv"
