#!/bin/bash
# Installs a Debian package in a fresh system (debootstrap, as root), starts it, and asks for a map.
#
#   packaging/test-deb.sh PACKAGE SAMPLE_WMS [MIRROR]
#
# SAMPLE_WMS is the sample WMS of the tests package, which the packaged configuration points at.
set -euo pipefail
package=$(realpath "$1")
sample=$(realpath "$2")
mirror=${3:-http://deb.debian.org/debian}
root=$(mktemp -d)
chmod 755 "$root"                                         # the user of the package has to enter it
processes=()
stop() {
    for process in "${processes[@]}"; do kill "$process" 2> /dev/null || true; done
    wait
    umount "$root/proc" 2> /dev/null || true
    rm -rf --one-file-system "$root"
}
trap stop EXIT

if [ -n "${CHROOT:-}" ]; then
    cp -a "$CHROOT/." "$root"
else
    debootstrap --variant=minbase --include=adduser,ca-certificates,curl bookworm "$root" "$mirror" > "$root.log"
fi
cp "$package" "$root/mapproxy.deb"
mount -t proc proc "$root/proc"
chroot "$root" dpkg --install /mapproxy.deb
chroot "$root" getent passwd mapproxy > /dev/null

"$sample" 127.0.0.1:8090 > "$root.sample" 2>&1 &
processes+=($!)
chroot --userspec=mapproxy:mapproxy "$root" /usr/bin/env -i XDG_CACHE_HOME=/var/cache/mapproxy \
    /usr/bin/mapproxy serve /etc/mapproxy/mapproxy.yaml --listen 127.0.0.1:8080 > "$root.log" 2>&1 &
processes+=($!)
map='http://127.0.0.1:8080/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS=world&STYLES=&SRS=EPSG:4326&BBOX=-180,-90,180,90&WIDTH=400&HEIGHT=200&FORMAT=image/png'
for _ in $(seq 100); do
    if curl --silent --fail --output "$root/map.png" "$map"; then break; fi
    sleep 0.2
done
head -c 8 "$root/map.png" | grep -q PNG || { cat "$root.log" "$root.sample" >&2; exit 1; }
find "$root/var/cache/mapproxy" -name '*.png' | grep -q . || { echo 'no tiles were kept' >&2; exit 1; }
kill "${processes[1]}"
wait "${processes[1]}"
chroot "$root" dpkg --purge mapproxy-wasm
[ ! -e "$root/var/cache/mapproxy" ] && [ ! -e "$root/usr/bin/mapproxy" ]
rm -f "$root.log" "$root.sample"
echo "installed, served a map of $(stat -c %s "$root/map.png") bytes, purged"
