#!/bin/sh
# Makes a venv with what `keda-py dev` needs, in seconds: with uv, which is had from pip where it is missing.
set -eu
venv=$1 python=$2
echo "making $venv, once" >&2
# Else the first package that wants more is what is told.
"$python" -c "import sys; sys.exit(sys.version_info < (3, 11))" ||
  { echo "$("$python" -V 2>&1) is too old, 3.11 is needed: make run PYTHON=python3.11" >&2; exit 1; }
"$python" -m venv --without-pip "$venv"
if ! uv=$(command -v uv); then
  # The pip that is there will do; a venv's own takes longer to make than all the rest.
  set -- install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements/uv.txt
  "$python" -m pip --python "$venv/bin/python" "$@" 2>/dev/null ||
    { "$python" -m venv "$venv" && "$venv/bin/python" -m pip "$@"; }
  uv=$venv/bin/uv
fi
"$uv" pip install --quiet --python "$venv/bin/python" --require-hashes -r requirements/try.txt
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable .
