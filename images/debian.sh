#!/usr/bin/env bash
# A base image's files, from Debian's packages alone, for machines that reach no container registry.
#
#   images/debian.sh FOLDER        (as root; writes FOLDER/root.tar, about 120 MB, in two minutes)
#
# Debian 12 as it was released with its point releases, without bookworm-security: fine for tests and closed networks with
# a mirror of their own; images to publish start from the public base that the Dockerfiles name.
set -euo pipefail

folder=$1
root=$folder/root
mkdir -p "$folder"
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root" >"$folder/debootstrap.log" 2>&1 ||
  { tail -n 20 "$folder/debootstrap.log" >&2; exit 1; }

# What a container never reads. Licences (copyright) stay.
find "$root/usr/share/doc" -type f ! -name copyright -delete
find "$root/usr/share/doc" -type l -delete
find "$root/usr/share/doc" -type d -empty -delete
rm -rf "$root"/usr/share/{locale,man,info,lintian}/* "$root"/var/cache/{apt,debconf}/* "$root"/var/lib/apt/lists/* \
  "$root"/var/log/* "$root"/var/cache/ldconfig/aux-cache "$root"/dev/* "$root"/etc/{resolv.conf,hostname}

# The files keep their own times, as python's byte code names those of its sources.
tar --create --file "$folder/root.tar" --directory "$root" --sort=name --numeric-owner --xattrs .
rm -rf "$root" "$folder/debootstrap.log"
