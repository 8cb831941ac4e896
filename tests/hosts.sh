#!/bin/bash
# Runs the component in the real `wasmtime serve` and compares its answers with those of our own host, see
# docs/guides/other-hosts.md. `make test-hosts` calls it with the component; takes MAPPROXY_BIN and SAMPLE_WMS_BIN.
set -euo pipefail
component=$(realpath "$1")
work=$(mktemp -d)
processes=()
stop() {
    for process in "${processes[@]}"; do kill "$process" 2> /dev/null || true; done
    wait
    rm -rf "$work"
}
trap stop EXIT

# address LOG PROCESS: waits for the first address that a program prints
address() {
    for _ in $(seq 600); do
        if grep -q 'http://127' "$1"; then
            grep -o 'http://127[^/ ]*' "$1" | head -n 1
            return
        fi
        kill -0 "$2" 2> /dev/null || break
        sleep 0.1
    done
    cat "$1" >&2
    return 1
}

"$SAMPLE_WMS_BIN" > "$work/sample.log" 2>&1 &
processes+=($!)
sample=$(address "$work/sample.log" $!)
mkdir "$work/etc"
sed "s,http://127.0.0.1:8090,$sample," "$(dirname "$0")/../etc/mapproxy.yaml" > "$work/etc/mapproxy.yaml"

"$MAPPROXY_BIN" --component "$component" serve "$work/etc/mapproxy.yaml" --listen 127.0.0.1:0 > "$work/ours.log" 2>&1 &
processes+=($!)
ours=$(address "$work/ours.log" $!)

# opened under its own path, so that the relative paths of the configuration mean the same
wasmtime serve -S cli --addr 127.0.0.1:0 --dir "$work/etc::$work/etc" --env MAPPROXY_CONFIG="$work/etc/mapproxy.yaml" \
    "$component" > "$work/theirs.log" 2>&1 &
processes+=($!)
theirs=$(address "$work/theirs.log" $!)

passed=0 failed=0
while read -r path; do
    for host in ours theirs; do
        # documents name the host that was asked
        curl --silent --show-error --max-time 120 --header 'Host: maps.example' "${!host}$path" > "$work/$host.body"
    done
    if cmp --silent "$work/ours.body" "$work/theirs.body"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "differs: $path" >&2
        head -c 300 "$work/theirs.body" >&2
    fi
done << 'PATHS'
/
/demo/
/service?SERVICE=WMS&VERSION=1.3.0&REQUEST=GetCapabilities
/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetCapabilities
/wmts/1.0.0/WMTSCapabilities.xml
/wmts/world/webmercator/02/2/1.png
/wmts/terrain/webmercator/02/2/1.jpeg
/tiles/europe/utm32/1/1/1.png
/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS=world&STYLES=&SRS=EPSG:25832&BBOX=0,5000000,1000000,6000000&WIDTH=300&HEIGHT=300&FORMAT=image/png
/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS=countries&STYLES=&SRS=EPSG:4326&BBOX=0,40,20,60&WIDTH=200&HEIGHT=200&FORMAT=image/png
/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS=nothing&STYLES=&SRS=EPSG:4326&BBOX=0,40,20,60&WIDTH=200&HEIGHT=200&FORMAT=image/png
PATHS
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
