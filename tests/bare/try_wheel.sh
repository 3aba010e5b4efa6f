#!/usr/bin/env bash
# What a user does with a wheel: try_wheel.sh WHEEL PYTHON installs it alone into a new environment, outside of the
# checkout, and runs the demo there.
set -euo pipefail
wheel=$(realpath -- "$1")
python=$2
examples=$(realpath -- "$(dirname -- "${BASH_SOURCE[0]}")/../../examples")

folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT
cd "$folder"
"$python" -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check "$wheel"
mkdir project
cp -r "$examples" project/examples
cd project

version=$(../env/bin/sgdiff --version)
built=$(basename -- "$wheel")
built=${built#pytest_sgdiff-}
built=${built%%-py3-*}
[[ $version == "pytest-sgdiff $built" ]] || { echo "$built says that it is $version" >&2; exit 1; }
../env/bin/sgdiff cases --check examples/cases/demo.yaml > checked || { cat checked; exit 1; }

# The demo knows what these recordings deserve. The checkout is not in its reach, and so not what is tried.
../env/bin/python examples/demo.py > output 2>&1 || { cat output; exit 1; }
echo "$version is fine with $("$python" --version)"
