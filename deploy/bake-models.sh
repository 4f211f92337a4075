#!/bin/sh
# Puts models into the image while it is built: BAKED_MODELS="sdxl=owner/name@revision wan=…"; nothing when it is empty.
set -eu
cd "$(dirname "$0")/.."
for each in ${BAKED_MODELS:-}; do
  case $each in
    ?*=?*) ;;
    *) echo "BAKED_MODELS has \"$each\": write name=owner/name, or name=owner/name@revision" >&2; exit 2 ;;
  esac
  node cli/ourvidz.js models pull "${each#*=}" --as "${each%%=*}"
done
