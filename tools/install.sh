#!/usr/bin/env bash
# Makes .venv in the checkout from tools/requirements.lock. A second run changes nothing.
# Needs git and Python 3.11 to 3.13 with pip; PYTHON names another interpreter than python3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

uv_version=0.13.8
python=${PYTHON:-python3}
stamp=.venv/.installed
want=$(cat tools/requirements.lock setup.py tools/install.sh | cksum)

if [ -x .venv/bin/speakerkd ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want $PWD" ]; then
    exit 0
fi
command -v "$python" >/dev/null || { echo "install.sh: error: no $python, install Python 3.11 to 3.13, or name one in PYTHON" >&2; exit 1; }
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || {
    echo "install.sh: error: $("$python" --version) found, install Python 3.11 to 3.13, or name one in PYTHON" >&2; exit 1; }

if [ "$(.tools/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$uv_version" ]; then
    "$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --upgrade --target .tools "uv==$uv_version"
fi
uv=.tools/bin/uv
[ -x .venv/bin/python ] || "$uv" venv --quiet --python "$("$python" -c 'import sys; print(sys.executable)')" .venv
echo "install.sh: installing $(grep -c == tools/requirements.lock) packages into .venv"
"$uv" pip sync --quiet --python .venv/bin/python tools/requirements.lock
"$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
echo "$want $PWD" >"$stamp"
echo "install.sh: done; run .venv/bin/speakerkd --help"
