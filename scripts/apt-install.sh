#!/bin/sh
# Installs packages given as NAME=VERSION. Where the mirror has moved past a version, what it offers is
# taken, and a line in /etc/coldframe/unlocked says so: such an image is not locked.
set -eu
mkdir -p /etc/coldframe; cd /etc/coldframe; touch unlocked; want=
apt-get -q update
for pin; do
    if apt-cache madison "${pin%%=*}" | grep -qF " ${pin#*=} | "; then want="$want $pin"; continue; fi
    want="$want ${pin%%=*}"
    echo "$pin offered: $(apt-cache policy "${pin%%=*}" | sed -n 's/.*Candidate: //p')" | tee -a unlocked
done
# shellcheck disable=SC2086  # a list of words on purpose
apt-get -q install -y --no-install-recommends --allow-downgrades $want
dpkg-query -W -f '${Package}=${Version}\n' >packages
apt-get clean; rm -rf /var/lib/apt/lists/*
