#!/bin/sh
# Fills the compile cache while the image is built, for the user that the image runs as: the project's folder is not that user's, so
# each start of a container would compile all of its code anew. Node's cache is one of a user, by number, and is only read later.
#
#   deploy/fill-compile-cache.sh <user>
set -eu
cd "$(dirname "$0")/.."
user=$1
cache=node_modules/.cache/ourvidz
install -d -o "$user" "$cache"
setpriv --reuid="$user" --regid="$user" --clear-groups node deploy/fill-compile-cache.mjs
# Whoever can write the cache decides what runs.
chown -R root:root "$cache"
chmod -R a+rX,go-w "$cache"
