#!/usr/bin/env bash
# Makes a virtual environment with pinned packages, or brings it up to date:  venv.sh FOLDER EXTRAS [PACKAGE...]
# The settings of pip on this machine (PIP_* variables, pip.conf) hold. Ends with one clear sentence when it cannot.
set -euo pipefail
cd "$(dirname "$0")/../.."
. resources/setup/words.sh
folder=$1 extras=$2
shift 2
mkdir -p build

if ! python=$(find_python); then
    resources/setup/debian.sh python || true
    python=$(find_python) || fail "Python 3.11 or newer is needed and none was found; install it and run this again."
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    module=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    resources/setup/debian.sh "$module" || true
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no venv module; install it (Debian: apt-get install $module) and run this again."
fi

# A folder that was moved, or made by a Python that is gone, cannot be repaired: pip's own path is written into it.
if ! good_python "$(bin_of "$folder")/python" || ! "$(bin_of "$folder")/pip" --version >/dev/null 2>&1; then
    say "Making $folder with $("$python" --version)."
    "$python" -m venv --clear "$folder" 2>"$log" >&2 || fail "$folder could not be made: $(tail -n 1 "$log")"
fi
python=$(bin_of "$folder")/python

# pip's own progress is for people; a log wants less.
quiet=-q
if [ -t 1 ]; then quiet=; fi
install() {
    "$python" -m pip install $quiet -c constraints.txt "$@" 2>"$log" && return
    if grep -qiE 'connection|resolution|timed out|unreachable|certificate|no matching distribution' "$log"; then
        fail "The packages could not be fetched: is there a network, and a package index that pip may use? Details: $log"
    fi
    tail -n 15 "$log" >&2
    fail "pip could not install the packages. Details: $log"
}

say "Installing the packages of $extras into $folder; the first time this fetches about 200 MB."
# What builds us, pinned as well, instead of whatever is newest today; and what builds a package that comes as source
# alone: Python brings none from 3.12 on, and one that is too old to do it by itself before.
install hatchling editables setuptools
install --no-build-isolation -e ".[$extras]" "$@"
