#!/usr/bin/env bash
# Build an environment in which DIR/bin/sglang runs the real SGLang Diffusion engine without a GPU (`make test-engine`).
#
#   build_engine.sh DIR          ENGINE_PYTHON=... names another Python 3.11 than python3.11
#
# 3.3 GB and a few minutes with wheels at hand. A finished environment is kept until a file that it is made from
# changes. Beside the engine, DIR/parsers/<version> holds the Python files of other releases, and DIR/parsers/imports
# what older ones import besides: not to be run, but their argument parsers are asked whether they accept what the
# plugin writes.
set -euo pipefail

dir=${1:?usage: build_engine.sh DIR}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${ENGINE_PYTHON:-python3.11}
parsers="0.5.8 0.5.9 0.5.10 0.5.11 0.5.12 0.5.13 0.5.14 0.5.15 0.5.16 0.5.23"
parsers_import="av==18.1.0 remote-pdb==2.1.0 trimesh==5.2.0"

made_from=$(cat "$here/build_engine.sh" "$here/requirements-cpu.txt" "$here/torchvision_shim.py" "$here/cpu_cache_shim.py" | sha256sum)
if [ "$(cat "$dir/complete" 2>/dev/null)" = "$made_from" ]; then
    echo "ready: $dir/bin/sglang (built earlier)"
    exit 0
fi

if [ -n "$(ls -A "$dir" 2>/dev/null)" ] && [ ! -e "$dir/pyvenv.cfg" ]; then
    echo "$dir exists and is no environment: not touched" >&2
    exit 2
fi
if [ "$("$python" -c 'import sys; print(*sys.version_info[:2], sep=".")')" != 3.11 ]; then
    echo "$python is not Python 3.11, which the pinned wheels are for; name one with ENGINE_PYTHON=" >&2
    exit 2
fi
echo "building the engine in $dir (3.3 GB)"
rm -rf "$dir"
"$python" -m venv "$dir"
py=$dir/bin/python
"$py" -m pip install -q --no-deps --only-binary=:all: --no-compile -r "$here/requirements-cpu.txt"
for version in $parsers; do
    "$py" -m pip install -q --no-deps --only-binary=:all: --no-compile --target "$dir/parsers/$version" "sglang==$version"
done
# shellcheck disable=SC2086  # several words
"$py" -m pip install -q --no-deps --only-binary=:all: --no-compile --target "$dir/parsers/imports" $parsers_import

site=$("$py" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
for shim in torchvision_shim cpu_cache_shim; do
    cp "$here/$shim.py" "$site/"
    echo "import $shim" > "$site/$shim.pth"
done

"$py" - <<'PY'
import sys

import sglang
import torch
import torchvision

if torch.version.cuda is not None:
    sys.exit(
        f"torch {torch.__version__} is a CUDA build, which needs packages that are left out here: name a source of "
        "CPU wheels with PIP_FIND_LINKS, PIP_INDEX_URL or PIP_EXTRA_INDEX_URL"
    )
print(f"sglang {sglang.__version__}, torch {torch.__version__}, torchvision {torchvision.__version__}")
PY
echo "$made_from" > "$dir/complete"
echo "ready: $dir/bin/sglang"
