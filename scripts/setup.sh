#!/bin/sh
# Makes .venv, the Python environment of the host scripts; brings Python itself where it is missing.
set -e
cd "$(dirname "$0")/.."
ok='import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))'
if ! python3 -c "$ok" 2>/dev/null; then
    [ "$(id -u)" = 0 ] || { echo "error: Python 3.11 or newer with venv is needed: sudo apt-get install python3 python3-venv" >&2; exit 2; }
    echo "Installing python3 with apt ..." >&2; apt-get -qq update; apt-get -qq install -y python3 python3-venv >/dev/null
fi
exec python3 scripts/environment.py
