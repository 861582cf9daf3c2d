#!/usr/bin/env bash
# Installs what Debian or Ubuntu lacks, and nothing else:  debian.sh run|test|build|python|PACKAGE...
# Elsewhere, without rights or without a network it says what is missing and goes on: most of Kameng works without.
# No service of the machine is started or left enabled.
set -euo pipefail
cd "$(dirname "$0")/../.."
. resources/setup/words.sh
on_debian || exit 0
mkdir -p build

# What Qt's libraries link against (first line: any window; second: windows on X11), and a font with Chinese.
# "a|b" is one library under its names in different releases.
window='libgl1 libegl1 libx11-6 libxkbcommon0 libfontconfig1 libfreetype6 libglib2.0-0|libglib2.0-0t64 libdbus-1-3
    libzstd1 libbrotli1 libgssapi-krb5-2 fonts-wqy-microhei
    libxcb-cursor0 libxcb-icccm4 libxcb-util1 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0
    libxcb-shape0 libxcb-shm0 libxcb-sync1 libxcb-xfixes0 libxcb-xkb1 libxkbcommon-x11-0 libx11-xcb1'

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
known() { apt-cache show "$1" >/dev/null 2>&1; }
present() { PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null; }

case $1 in
    run) wanted=$window ;;
    test)
        wanted=$window
        ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || present postgres || wanted="$wanted postgresql"
        # The packages without the service: the tests start their own.
        present mariadbd || wanted="$wanted mariadb-server-core|mariadb-server"
        present mariadb-dump || wanted="$wanted mariadb-client"
        # The browser without windows needs half the processor of the other, which will do where there is no such package.
        if ! present chromium-headless-shell; then
            if known chromium-headless-shell; then wanted="$wanted chromium-headless-shell"
            else present chromium || present google-chrome || wanted="$wanted chromium-headless-shell|chromium"; fi
        fi
        # What drives it links against libatomic.
        wanted="$wanted libatomic1"
        # It opens the workbooks that finance exports.
        present soffice || wanted="$wanted libreoffice-calc-nogui|libreoffice-calc"
        ;;
    build)
        wanted=$window
        present objdump || wanted="$wanted binutils"
        # A bundle carries the interpreter as a library; the distribution's own Python keeps it in a package apart.
        case $(find_python || true) in
            /usr/bin/* | /bin/*) wanted="$wanted $("$(find_python)" -c 'import sys; print("libpython%d.%d" % sys.version_info[:2])')" ;;
        esac
        ;;
    python) wanted='python3 python3-venv' ;;
    *) wanted="$*" ;;
esac

# first CONDITION NAMES: the first of "a|b" that fulfils the condition.
first() { for name in ${2//|/ }; do if "$1" "$name"; then echo "$name"; return; fi; done; }

missing=
for names in $wanted; do [ -n "$(first installed "$names")" ] || missing="$missing $names"; done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
        say "These Debian packages are missing and need an administrator:"
        say "    apt-get install$(for names in $missing; do printf ' %s' "$(first known "$names" | grep . || echo "${names%%|*}")"; done)"
        say "Going on without them; what needs them will say so."
        exit 0
    fi
    as_root='sudo -n'
fi
apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" </dev/null >>"$log" 2>&1; }

say "Installing Debian packages:$missing"
: >"$log"
apt update || say "The list of Debian packages could not be renewed (no network?); trying with the one that is here."
chosen=
for names in $missing; do
    choice=$(first known "$names")
    if [ -n "$choice" ]; then chosen="$chosen $choice"; else say "This system has no package $names; going on without it."; fi
done

# Packages with a service start it at once. This file, Debian's own way to say no, is there only meanwhile.
veto=/usr/sbin/policy-rc.d
if [ ! -e $veto ]; then
    trap '$as_root rm -f $veto' EXIT
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $veto >/dev/null
    $as_root chmod 755 $veto
fi
# shellcheck disable=SC2086  # words, not one name
if [ -n "$chosen" ] && ! apt install -y --no-install-recommends $chosen; then
    tail -n 5 "$log" >&2
    say "Some Debian packages could not be installed (details: $log); going on, what needs them will say so."
fi
# ... and they would start it at the next boot.
if [ -d /run/systemd/system ]; then
    for service in postgresql mariadb; do
        case "$chosen " in *" $service"*) $as_root systemctl disable --quiet "$service" 2>>"$log" || true ;; esac
    done
fi
