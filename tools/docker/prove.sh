#!/usr/bin/env bash
# Proves the Dockerfile's target "cpu" where no container engine runs: its steps are read from the Dockerfile and run in a root file
# system made by debootstrap, and the result starts, makes a picture and stops as the image would. Needs root, debootstrap, a network
# and 3 GB. What comes from other images is left out: Node.js is the project's own dependency, and of the CUDA target, prove-cuda.sh.
#
#   sudo tools/docker/prove.sh [folder to work in]
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH=$PWD/node_modules/.bin:$PATH
root=${1:-$(mktemp -d /tmp/ourvidz-image.XXXXXX)}
mkdir -p "$root"

# The instructions of one stage, a line each.
stage() {
  sed -e ':join' -e '/\\$/{N; s/\\\n//; b join' -e '}' Dockerfile |
    awk -v stage="$1" '/^FROM/ { on = ($NF == stage) } on && !/^FROM/ && !/^#/ && NF'
}
of() { stage "$1" | sed -n "s/^$2 //p"; }
inside() { chroot "$root" /usr/bin/env -i "$@"; }

cleanup() {
  umount -l "$root/data" "$root/tmp" "$root" 2>/dev/null || true
  umount -l "$root/proc" "$root/dev" 2>/dev/null || true
  [ "${KEEP:-}" != "" ] || rm -rf --one-file-system "$root"
}
trap cleanup EXIT

release=$(sed -n 's/^FROM debian:\([a-z]*\)-slim AS base$/\1/p' Dockerfile)
echo "== debian $release"
[ -e "$root/bin/sh" ] || debootstrap --variant=minbase "$release" "$root" >"$root.log" 2>&1
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
cp /etc/resolv.conf "$root/etc/"

echo "== RUN of base"
while read -r command; do inside PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive sh -ec "$command" </dev/null; done < <(of base RUN) \
  >>"$root.log" 2>&1

echo "== COPY . . without what .dockerignore names"
mkdir -p "$root/app"
node tools/docker/not-ignored.mjs | tar -c --null -T - | tar -x -C "$root/app" --no-same-owner

echo "== RUN of dependencies"
dependencies=$(mktemp -d)
cp package.json package-lock.json .npmrc "$dependencies/"
while read -r command; do (cd "$dependencies" && sh -ec "$command") </dev/null; done < <(of dependencies RUN) >>"$root.log" 2>&1
rm -rf "$root/app/node_modules"
mv "$dependencies/node_modules" "$root/app/"
rm -rf "$dependencies"

mapfile -t environment < <(of base ENV | xargs -n1 | sed 's|\$PATH|/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin|')
echo "== RUN of cpu"
of cpu RUN | sed 's/^--mount=[^ ]* //' | while read -r command; do
  inside "${environment[@]}" BAKED_MODELS= sh -ec "cd /app; $command" </dev/null
done

# By its number, as Kubernetes' runAsNonRoot requires; the rest is in the image's list of users.
user=$(of cpu USER)
IFS=: read -r name _ _ group _ home _ < <(inside "${environment[@]}" getent passwd "$user")
as_user=(setpriv --reuid="$user" --regid="$group" --clear-groups)
mapfile -t command < <(node -p 'JSON.parse(process.argv[1]).join("\n")' -- "$(of base CMD | tail -1)")
key=$(head -c 24 /dev/urandom | base64 | tr -dc a-z0-9A-Z)
start=("${environment[@]}" HOST=127.0.0.1 PORT=17860 "WAN_WORKER_API_KEY=$key" HOME="$home")

echo "== a picture, as $name ($user)"
inside "${start[@]}" "${as_user[@]}" sh -ec 'cd /app; node cli/ourvidz.js run sdxl_image_fast "a red apple" --config "{\"steps\": 2}" --out /data/out --json' >"$root/result.json"
node -e 'const { status, assets } = JSON.parse(require("fs").readFileSync(process.argv[1])); if (status !== "completed" || assets.length !== 1) process.exit(1);' -- "$root/result.json"

echo "== code that was compiled while the image was built is used, and no other is compiled"
inside "${start[@]}" NODE_DEBUG_NATIVE=COMPILE_CACHE "${as_user[@]}" sh -ec 'cd /app; node cli/ourvidz.js handlers 2>&1' >"$root/compiled.log"
grep -q "was accepted" "$root/compiled.log"
! grep -q "was rejected" "$root/compiled.log"

echo "== ${command[*]}, on a read-only file system"
mount --bind "$root" "$root"
mount --bind "$root/data" "$root/data"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -o remount,bind,ro "$root"
# Without the function: its shell would take the signal.
chroot "$root" /usr/bin/env -i "${start[@]}" "${as_user[@]}" tini -s -- sh -c "cd /app; exec ${command[*]}" >>"$root.log" 2>&1 &
container=$!
health="fetch('http://127.0.0.1:17860/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"
for _ in $(seq 60); do node -e "$health" && break || sleep 1; done
node -e "$health"
echo "== SIGTERM"
kill -TERM "$container"
status=0; wait "$container" || status=$?
[ "$status" = 0 ] || { echo "the container ended with $status"; exit 1; }
echo "the image's steps work"
