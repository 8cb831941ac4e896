#!/bin/bash
# `make run`: starts the sample WMS and the proxy with etc/mapproxy.yaml, both until Ctrl-C. The cache stays in
# var/demo. Takes MAPPROXY_BIN, SAMPLE_WMS_BIN, and LISTEN (by default 127.0.0.1:8080) from the environment.
set -euo pipefail
cd "$(dirname "$0")/.."
listen=${LISTEN:-127.0.0.1:8080}
mkdir -p var/demo

processes=()
stop() {
    trap - EXIT INT TERM
    for process in "${processes[@]}"; do kill "$process" 2> /dev/null || true; done
    wait
}
trap stop EXIT
trap 'stop; exit 0' INT TERM

# waits for the line `listening on ADDRESS` in a file, and prints the address
address_from() {
    local file=$1 process=$2
    for _ in $(seq 300); do
        if grep -q 'listening on http' "$file"; then
            grep -o 'listening on http[^ "]*' "$file" | head -n 1 | cut -d ' ' -f 3 | sed 's,/$,,'
            return
        fi
        kill -0 "$process" 2> /dev/null || break
        sleep 0.1
    done
    cat "$file" >&2
    return 1
}

"$SAMPLE_WMS_BIN" 127.0.0.1:0 > var/demo/sample-wms.log 2>&1 &
processes+=($!)
sample=$(address_from var/demo/sample-wms.log $!)
sed "s,http://127.0.0.1:8090,$sample," etc/mapproxy.yaml > var/demo/mapproxy.yaml

"$MAPPROXY_BIN" serve var/demo/mapproxy.yaml --listen "$listen" > var/demo/mapproxy.log 2>&1 &
processes+=($!)
proxy=$(address_from var/demo/mapproxy.log $!)

echo
echo "  sample WMS   $sample/service?SERVICE=WMS&REQUEST=GetCapabilities"
echo "  proxy        $proxy/"
echo "  log          var/demo/mapproxy.log"
echo
echo "  Open $proxy/demo/ in a browser. Ctrl-C ends both."
echo
wait -n "${processes[@]}" || true
echo "one of the two has ended, see var/demo/*.log" >&2
exit 1
