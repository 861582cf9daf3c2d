#!/usr/bin/env bash
# Builds the console's bundle, dist/kameng, in an environment that has only what the console needs: what is installed
# beside it would find its way in.
set -euo pipefail
cd "$(dirname "$0")/../.."
. resources/setup/words.sh
environment=build/venv
stamp=$environment/.desktop
if [ ! -e $stamp ] || [ pyproject.toml -nt $stamp ] || [ constraints.txt -nt $stamp ]; then
    resources/setup/debian.sh build
    resources/setup/venv.sh $environment desktop pyinstaller
    touch $stamp
fi
"$(bin_of $environment)/python" -m PyInstaller --noconfirm --clean --log-level WARN \
    --distpath dist --workpath build/pyinstaller build.spec
say "dist/kameng is ready: $(du -sm dist/kameng | cut -f 1) MB."
