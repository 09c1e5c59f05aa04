#!/bin/sh
# What VAAPI and Quick Sync need beside the kernel's device: Intel's driver and oneVPL runtime. Runs as root.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends intel-media-va-driver libmfx-gen1.2 libva-drm2 libvpl2
rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb /var/log/dpkg.log /var/log/apt
