#!/usr/bin/env bash
# Proves that the libraries of the Dockerfile's target "cuda" are those that the CUDA provider needs. The provider itself comes from
# NuGet while the image is built; here it is the one of ONNX Runtime's Python package of the same version. Needs python3 with venv, PyPI
# and 5 GB; no GPU.
#
#   tools/docker/prove-cuda.sh [folder to work in]
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-$(mktemp -d /tmp/ourvidz-cuda.XXXXXX)}
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/pip" -q --disable-pip-version-check "$@"; }
version=$(sed -n 's/.*"onnxruntime-node": "\(.*\)".*/\1/p' package.json)

echo "== the libraries"
PATH="$folder/venv/bin:$PATH" deploy/cuda-libraries.sh "$folder/libraries"

echo "== the provider of onnxruntime-gpu $version"
pip download --no-deps -d "$folder" "onnxruntime-gpu==$version"
"$folder/venv/bin/python" -m zipfile -e "$folder"/onnxruntime_gpu-*.whl "$folder/wheel"
LD_LIBRARY_PATH="$folder/libraries" deploy/check-cuda.sh "$folder/wheel/onnxruntime/capi/libonnxruntime_providers_cuda.so"
echo "the libraries fit"
