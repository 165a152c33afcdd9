#!/usr/bin/env bash
# Says which build tool is missing and how to get it, before anything else fails with a riddle.
set -eu
python=${1:-python3}
missing=0

complain() {
    printf 'candlewire: %s\n    remedy: %s\n' "$1" "$2" >&2
    missing=1
}

command -v git >/dev/null || complain 'git is not installed' 'install the package "git" of your system'
command -v cc >/dev/null || complain 'no C compiler (cc) is installed' \
    'install "build-essential" (Debian, Ubuntu) or "gcc" (Fedora)'
if ! command -v "$python" >/dev/null; then
    complain "no Python interpreter '$python'" 'install Python 3.11 to 3.14, or name one: make PYTHON=/path/to/python3 ...'
elif ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))'; then
    complain "$("$python" --version) is outside 3.11 to 3.14" 'name another interpreter: make PYTHON=/path/to/python3 ...'
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    complain "'$python' cannot make virtual environments" 'install "python3-venv" (Debian, Ubuntu)'
fi
if ! command -v cargo >/dev/null; then
    complain 'no Rust toolchain (cargo) is installed' 'install one, 1.92 or newer: https://rustup.rs'
else
    minor=$(rustc --version | sed -E 's/^rustc 1\.([0-9]+).*/\1/')
    [ "$minor" -ge 92 ] 2>/dev/null || complain "$(rustc --version) is older than 1.92" 'run: rustup update stable'
fi
exit "$missing"
