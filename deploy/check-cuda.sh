#!/bin/sh
# Fails, while the image is built, when a library is missing that the CUDA provider needs: a container would compute on the CPU, or not
# at all. The driver's own (libcuda) comes from the host when a container starts.
#
#   deploy/check-cuda.sh [the provider]      with the libraries' folder in LD_LIBRARY_PATH
set -eu
cd "$(dirname "$0")/.."
provider=${1:-node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime_providers_cuda.so}
missing=$(ldd "$provider" "$LD_LIBRARY_PATH"/*.so.* | awk '/not found/ && $1 !~ /^libcuda\.so/ { print $1 }' | sort -u)
# These are loaded by the provider when it needs them: without, what uses them is slow or fails.
for each in libcudnn.so.9 libcufft.so libnvrtc.so; do
  [ -e "$LD_LIBRARY_PATH/$each" ] || missing="$missing $each"
done
[ -n "$missing" ] || exit 0
echo "The CUDA provider of onnxruntime-node needs what deploy/cuda-requirements.txt does not bring:" $missing >&2
exit 1
