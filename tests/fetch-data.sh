#!/bin/bash
# Fetches the data of the sample WMS and of the tests from the package registries, once:
#   tests/node_modules/   Natural Earth countries (TopoJSON) and a typeface, by npm
#   tests/data/places/    Natural Earth populated places (shapefile), by pip
#   tests/data/schemas/   OGC schemas and DTDs, by pip
# Nothing of it is committed, nothing of it is executed.
set -euo pipefail
cd "$(dirname "$0")"

if [ ! -f node_modules/world-atlas/countries-110m.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    npm ci --no-audit --no-fund --loglevel=error
    touch node_modules/.package-lock.json
fi

if [ ! -f data/complete ] || [ data-requirements.txt -nt data/complete ]; then
    rm -rf data && mkdir data
    python3 -m pip download --quiet --no-deps --only-binary :all: --require-hashes \
        --disable-pip-version-check -r data-requirements.txt -d data/wheels
    python3 - <<'PYTHON'
"""Unpacks the data folders of the wheels."""
import pathlib, zipfile

wanted = {"geopandas/datasets/naturalearth_cities/": "data/places", "mapproxy/test/schemas/": "data/schemas"}
for wheel in pathlib.Path("data/wheels").glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            for prefix, folder in wanted.items():
                if name.startswith(prefix) and not name.endswith("/"):
                    target = pathlib.Path(folder) / name[len(prefix):]
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.read(name))
PYTHON
    rm -r data/wheels
    touch data/complete
fi
