#!/usr/bin/env bash
# Writes constraints.txt anew: the newest versions that pyproject.toml allows, as they install together today.
# Run the tests afterwards, then commit both files.
set -euo pipefail
cd "$(dirname "$0")/../.."
. resources/setup/words.sh
fresh=build/pins
python=$(find_python) || fail "Python 3.11 or newer is needed and none was found."
rm -rf "$fresh"
"$python" -m venv "$fresh"
python=$(bin_of "$fresh")/python
"$python" -m pip install -q --upgrade hatchling editables setuptools
"$python" -m pip install -q --no-build-isolation -e '.[dev]'
{
    echo "# Exact versions of every package that any extra of pyproject.toml brings in. Written by \`make pins\`."
    echo "# Packages of other systems only (Windows, macOS) are not listed: they take the newest version."
    "$python" -m pip list --format freeze --exclude kameng --exclude pip
} >"$fresh/constraints.txt"
mv "$fresh/constraints.txt" constraints.txt
rm -rf "$fresh"
say "constraints.txt has $(grep -c == constraints.txt) versions; run make test, then commit it."
