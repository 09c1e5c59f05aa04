#!/bin/sh
# The Debian packages of every image, and the user that the farm runs as. Runs as root in a clean Debian tree.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends python3 ca-certificates tini
rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb /var/log/dpkg.log /var/log/apt
groupadd --gid 10001 cinefarm
useradd --uid 10001 --gid 10001 --home-dir /var/lib/cinefarm --no-create-home --shell /usr/sbin/nologin cinefarm
install -d -o 10001 -g 10001 -m 0750 /var/lib/cinefarm /scratch
