#!/bin/sh
# What an engine would do for the images, without one: the install steps of the Dockerfile run in a clean Debian tree, and then the farm
# runs in it as its own user on a root file system that cannot be written. Needs root, debootstrap, and wheels/ (make wheels).
#   k8s/images/prove.sh [TREE]       TREE: where the tree is made; default: a temporary folder, removed at the end
set -eu
cd "$(dirname "$0")/../.."
suite=$(sed -n 's/^ARG DEBIAN=debian:\([a-z]*\)-.*/\1/p' Dockerfile)
tree=${1:-$(mktemp -d)}
run() { chroot "$tree" /usr/bin/env -i HOME=/tmp LANG=C.UTF-8 PATH=/opt/cinefarm/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
end() {
    for place in proc dev/shm scratch tmp var/lib/cinefarm; do umount -l "$tree/$place" 2>/dev/null || true; done
    umount -l "$tree" 2>/dev/null || true
    test -n "${KEEP:-}" || rm -rf --one-file-system "$tree"
}
trap end EXIT

test -x "$tree/bin/sh" || debootstrap --variant=minbase "$suite" "$tree" ${MIRROR:-} >"$tree.log" 2>&1
cp /etc/resolv.conf "$tree/etc/resolv.conf"
mount -t proc proc "$tree/proc"

echo "== system.sh"
install -d "$tree/build"
cp k8s/images/system.sh "$tree/build/" && run /build/system.sh
rm -r "$tree/build"

echo "== application.sh"
before=$(du -sm --one-file-system "$tree" | cut -f1)
install -d "$tree/build/k8s"
git archive HEAD pyproject.toml README.md LICENSE common orchestrator workers k8s/images | tar -x -C "$tree/build"
cp -r k8s/images/wheels "$tree/build/wheels"
run sh -c 'cd /build && ./k8s/images/application.sh'
rm -r "$tree/build" "$tree/build-env"
echo "$before MB of Debian, $(du -sm "$tree/opt/cinefarm" | cut -f1) MB of the application"

echo "== intel.sh (packages exist; kept out of the tree that runs)"
run sh -c 'apt-get update -qq && apt-get install -s -qq --no-install-recommends intel-media-va-driver libmfx-gen1.2 libva-drm2 libvpl2 >/dev/null'

echo "== the farm, as its own user, on a root that cannot be written"
mount --bind "$tree" "$tree"
mount -o remount,bind,ro "$tree"
for place in scratch tmp var/lib/cinefarm; do mount -t tmpfs -o mode=0755,uid=10001,gid=10001 tmpfs "$tree/$place"; done
mount -t proc proc "$tree/proc"
mount -t tmpfs -o mode=1777 tmpfs "$tree/dev/shm"  # as every engine does
asuser() {
    chroot --userspec=10001:10001 "$tree" /usr/bin/env -i HOME=/tmp LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 \
        PATH=/opt/cinefarm/bin:/usr/bin:/bin CINEFARM_STATE_DIR=/var/lib/cinefarm CINEFARM_SCRATCH_DIR=/scratch \
        CINEFARM_ALIVE_FILE=/scratch/alive sh -c "cd /var/lib/cinefarm && $*"
}
if asuser 'touch /opt/cinefarm/here' 2>/dev/null; then echo "the root can be written" >&2; exit 1; fi
asuser 'tini --version; python --version; cinefarm doctor'
asuser 'python -m workers selftest && cinefarm demo --in /tmp/demo'
asuser 'test -s /opt/cinefarm/sbom.cdx.json && cinefarm --version'
echo "proven: $(date -u +%Y-%m-%d)"
