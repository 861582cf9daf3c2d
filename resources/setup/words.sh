# shellcheck shell=bash
# How the setup scripts speak, and what several of them must know. Sourced by them, with the project as current folder.
# Written for bash 3.2 (macOS has no newer one).

# shellcheck disable=SC2034  # used by those who source this
log=build/setup.log

say() { printf '%s\n' "kameng: $*" >&2; }

fail() { say "$*"; exit 1; }

# on_debian: Debian, Ubuntu and their children, where apt-get decides.
on_debian() { [ -f /etc/debian_version ] && command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; }

# good_python PROGRAM: is it there, does it start, is it new enough?
good_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# find_python: the interpreter to build on. The system's own first: its venv module and its wheels are the likeliest
# to work. PYTHON=... overrides the choice.
find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        if good_python "$candidate"; then command -v "$candidate"; return; fi
    done
    return 1
}

# bin_of FOLDER: where a virtual environment keeps its programs (Windows calls it Scripts).
bin_of() { if [ -d "$1/Scripts" ]; then echo "$1/Scripts"; else echo "$1/bin"; fi; }
