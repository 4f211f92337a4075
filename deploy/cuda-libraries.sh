#!/bin/sh
# Puts the libraries that the CUDA provider needs into a folder, from PyPI: deploy/cuda-libraries.sh <folder>. Needs pip, and no GPU.
set -eu
requirements=$(cd "$(dirname "$0")" && pwd)/cuda-requirements.txt
[ $# = 1 ] || { echo "usage: $0 <folder>" >&2; exit 2; }
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
pip install --no-cache-dir --no-deps --target "$packages" -r "$requirements"
mkdir -p "$1"
mv "$packages"/nvidia/*/lib/*.so.* "$1"
cd "$1"
# Some are looked for without a version in their name.
for each in *.so.*; do ln -sf "$each" "${each%%.so.*}.so"; done
