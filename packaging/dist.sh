#!/bin/bash
# `make dist`: packs a release binary into a tarball and a Debian package, with what belongs to it.
#
#   packaging/dist.sh BINARY COMPONENT OUTPUT
#
# BINARY carries its component (`make release`); man pages and completions are taken from it where it can write them.
set -euo pipefail
binary=$(realpath "$1")
component=$(realpath "$2")
mkdir -p "$3"
output=$(realpath "$3")
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
architecture=$(dpkg --print-architecture 2> /dev/null || uname -m)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# one date for all files: the same commit gives the same packages
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || date +%s)}
export SOURCE_DATE_EPOCH
umask 022

# into DIRECTORY: man pages and completions
generated() {
    local shell
    mkdir -p "$1/man" "$1/completions"
    if "$binary" man --help > /dev/null 2>&1; then "$binary" man "$1/man"; fi
    if "$binary" completions --help > /dev/null 2>&1; then
        for shell in bash zsh fish; do "$binary" completions "$shell" > "$1/completions/mapproxy.$shell"; done
    fi
    rmdir --ignore-fail-on-non-empty "$1/man" "$1/completions"
}

# the tarball
name=mapproxy-$version-$(uname -m)-linux
root=$work/$name
mkdir -p "$root"
install -m 0755 "$binary" "$root/mapproxy"
install -m 0644 "$component" "$root/mapproxy.wasm"
cp -r etc docs README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT "$root"
rm -f "$root/etc/run-demo.sh" "$root/docs/screenshots.sh"
generated "$root"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$work" -czf "$output/$name.tar.gz" "$name"

# the Debian package
deb=$work/deb
install -D -m 0755 "$binary" "$deb/usr/bin/mapproxy"
install -D -m 0644 "$component" "$deb/usr/share/mapproxy/mapproxy.wasm"
install -D -m 0644 etc/systemd/mapproxy.service "$deb/lib/systemd/system/mapproxy.service"
install -D -m 0644 etc/systemd/mapproxy.socket "$deb/lib/systemd/system/mapproxy.socket"
install -d "$deb/etc/mapproxy" "$deb/usr/share/doc/mapproxy/examples" "$deb/DEBIAN"
sed 's,base_dir: cache_data,base_dir: /var/cache/mapproxy,' etc/mapproxy.yaml > "$deb/etc/mapproxy/mapproxy.yaml"
cp etc/seed.yaml "$deb/etc/mapproxy/seed.yaml"
cp -r etc/*.ini etc/nginx etc/lighttpd etc/apache etc/spin.toml etc/wasmcloud etc/kubernetes "$deb/usr/share/doc/mapproxy/examples"
cp -r docs "$deb/usr/share/doc/mapproxy/docs"
rm -f "$deb/usr/share/doc/mapproxy/docs/screenshots.sh"
gzip -9nc CHANGELOG.md > "$deb/usr/share/doc/mapproxy/changelog.gz"
{
    echo 'Licensed under the Apache License, Version 2.0, or the MIT License, at your option.'
    echo
    cat LICENSE-MIT
    echo
    echo 'On Debian systems the Apache License is in /usr/share/common-licenses/Apache-2.0.'
} > "$deb/usr/share/doc/mapproxy/copyright"
generated "$work/generated"
for page in "$work"/generated/man/*; do
    if [ -f "$page" ]; then
        install -d "$deb/usr/share/man/man1"
        gzip -9nc "$page" > "$deb/usr/share/man/man1/$(basename "$page").gz"
    fi
done
completions=$work/generated/completions
if [ -d "$completions" ]; then
    install -D -m 0644 "$completions/mapproxy.bash" "$deb/usr/share/bash-completion/completions/mapproxy"
    install -D -m 0644 "$completions/mapproxy.zsh" "$deb/usr/share/zsh/vendor-completions/_mapproxy"
    install -D -m 0644 "$completions/mapproxy.fish" "$deb/usr/share/fish/vendor_completions.d/mapproxy.fish"
fi
printf '%s\n' /etc/mapproxy/mapproxy.yaml /etc/mapproxy/seed.yaml > "$deb/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 0755 "packaging/debian/$script" "$deb/DEBIAN/$script"; done
cat > "$deb/DEBIAN/control" << CONTROL
Package: mapproxy-wasm
Version: $version
Architecture: $architecture
Maintainer: The mapproxy.wasm developers <mapproxy.wasm@example.org>
Section: web
Priority: optional
Depends: adduser, libc6 (>= 2.34), libgcc-s1
Recommends: ca-certificates
Conflicts: mapproxy
Installed-Size: $(du -sk "$deb" | cut -f 1)
Description: WMS proxy and tile cache, a fresh sandbox for each request
 Stands in front of map servers (WMS, tiles, ArcGIS), caches and reprojects what
 they draw, and speaks WMS, WMTS, TMS and KML. Reads the mapproxy.yaml and the
 tile directories of MapProxy.
CONTROL
find "$deb" -type d -exec chmod 0755 {} +
dpkg-deb --root-owner-group --build -Zxz "$deb" "$output/mapproxy-wasm_${version}_$architecture.deb" > /dev/null
(cd "$output" && sha256sum "$name.tar.gz" "mapproxy-wasm_${version}_$architecture.deb" > SHA256SUMS)
ls -l "$output"
