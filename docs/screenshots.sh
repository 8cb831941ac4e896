#!/bin/bash
# Makes the pictures of the documentation from the running product: docs/images/demo.png.
# Called by `make screenshots`, which sets MAPPROXY_BIN and SAMPLE_WMS_BIN.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p docs/images
work=$(mktemp -d)
LISTEN=127.0.0.1:0 etc/run-demo.sh > "$work/run.log" 2>&1 &
run=$!
trap 'kill $run 2> /dev/null; wait $run 2> /dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 300); do
    grep -q '/demo/ in a browser' "$work/run.log" && break
    kill -0 $run 2> /dev/null || { cat "$work/run.log"; exit 1; }
    sleep 0.2
done
demo=$(grep -o 'http://[^ ]*/demo/' "$work/run.log" | head -n 1)

# shot FILE WIDTH HEIGHT FRAGMENT [dark] [phone]
shot() {
    local file=$1 width=$2 height=$3 fragment=$4
    shift 4
    node tests/clients/shot.mjs "$demo$fragment" "docs/images/$file" "$width" "$height" "$@"
    echo "docs/images/$file"
}

shot demo.png 1280 800 '#layer=world&view=2.9/32/5'
