"""QGIS as a client of ours, MapProxy as a client of ours, and ours as a client of MapProxy: `make test-clients`.

Runs with a Python that has MapProxy; QGIS has Debian's own. MAPPROXY_BIN, MAPPROXY_COMPONENT and SAMPLE_WMS_BIN say what
to start. Everything is ended at the end.
"""

import contextlib
import io
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from PIL import Image, ImageChops, ImageStat

HERE = pathlib.Path(__file__).parent
PLACE = "SRS=EPSG:3857&BBOX=0,0,10018754.171394622,10018754.171394622&WIDTH=512&HEIGHT=512"
PATIENCE_S = 120

# Both programs read both configurations as they are.
FIRST = """
services:
  tms: {use_grid_names: true, origin: nw}
  wmts:
  wms: {srs: ['EPSG:3857', 'EPSG:4326'], image_formats: ['image/png'], md: {title: First}}
layers: [{name: world, title: World, sources: [world_cache]}]
caches: {world_cache: {grids: [webmercator], sources: [sample]}}
sources:
  sample:
    type: wms
    wms_opts: {featureinfo: true, legendgraphic: true}
    req: {url: 'UPSTREAM/service', layers: map}
grids: {webmercator: {base: GLOBAL_WEBMERCATOR}}
globals: {cache: {base_dir: BASE, meta_buffer: 0}}
"""
SECOND = """
services:
  wms: {srs: ['EPSG:3857', 'EPSG:4326'], image_formats: ['image/png'], md: {title: Second}}
layers:
  - {name: by_wms, title: WMS, sources: [wms_cache]}
  - {name: by_wms_130, title: 'WMS 1.3.0, not cached', sources: [wms_130]}
  - {name: by_tiles, title: Tiles, sources: [tiles_cache]}
  - {name: by_wmts, title: WMTS, sources: [wmts_cache]}
caches:
  wms_cache: {grids: [webmercator], sources: [wms]}
  tiles_cache: {grids: [webmercator], sources: [tiles]}
  wmts_cache: {grids: [webmercator], sources: [wmts]}
sources:
  wms: {type: wms, wms_opts: {featureinfo: true, legendgraphic: true}, req: {url: 'UPSTREAM/service', layers: world}}
  wms_130: {type: wms, wms_opts: {version: 1.3.0}, supported_srs: ['EPSG:4326', 'EPSG:3857'], req: {url: 'UPSTREAM/service', layers: world}}
  tiles: {type: tile, grid: webmercator, url: 'UPSTREAM/tiles/world/webmercator/%(z)s/%(x)s/%(y)s.png'}
  wmts: {type: tile, grid: webmercator, url: 'UPSTREAM/wmts/world/webmercator/%(z)s/%(x)s/%(y)s.png'}
grids: {webmercator: {base: GLOBAL_WEBMERCATOR}}
globals: {cache: {base_dir: BASE, meta_buffer: 0}}
"""


class Programs:
    """What was started, with its files."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.running = []

    def start(self, name, command, pattern):
        """The address that a program says it listens on."""
        log = self.folder / f"{name}.log"
        with log.open("w") as file:
            self.running.append(subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True))
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and self.running[-1].poll() is None:
            found = re.search(pattern, log.read_text())
            if found:
                return found.group(1).rstrip("/")
            time.sleep(0.1)
        raise SystemExit(f"{name} does not listen:\n{log.read_text()}")

    def configuration(self, name, text, upstream):
        path = self.folder / f"{name}.yaml"
        text = text.replace("UPSTREAM", upstream).replace("SAMPLE", upstream).replace("BASE", str(self.folder / f"{name}_data"))
        path.write_text(text)
        return path

    def ours(self, name, text, upstream):
        path = self.configuration(name, text, upstream)
        command = [os.environ["MAPPROXY_BIN"], "serve", str(path), "--listen", "127.0.0.1:0"]
        return self.start(name, command, r"listening on (http://\S+)")

    def theirs(self, name, text, upstream):
        path = self.configuration(name, text, upstream)
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        program = pathlib.Path(sys.executable).with_name("mapproxy-util")
        return self.start(name, [str(program), "serve-develop", "-b", address, str(path)], r"(http://127[\d.:]+)")

    def stop(self):
        for process in self.running:
            # with its children: MapProxy's server has one that serves
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def get(address):
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{address}: status {error.code}: {error.read()[:500]}")
        except urllib.error.URLError:
            # says that it listens a moment before it does
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def get_map(base, layer):
    query = f"SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS={layer}&STYLES=&FORMAT=image/png&{PLACE}"
    return Image.open(io.BytesIO(get(f"{base}/service?{query}"))).convert("RGB")


def chain(title, first, second):
    """`first` stands before the sample, `second` before `first`: what second draws is what first draws."""
    expected = get_map(first, "world")
    assert len(expected.getcolors(1 << 20)) > 20, "the first map shows nothing"
    wrong = 0
    for layer in ("by_wms", "by_wms_130", "by_tiles", "by_wmts"):
        mean = sum(ImageStat.Stat(ImageChops.difference(expected, get_map(second, layer))).mean) / 3
        wrong += mean > 1
        print(f"{title}, {layer}: differs by {mean:.3f} of 255{' WRONG' if mean > 1 else ''}")
    common = "SERVICE=WMS&VERSION=1.1.1&STYLES="
    info = get(f"{second}/service?{common}&REQUEST=GetFeatureInfo&LAYERS=by_wms&QUERY_LAYERS=by_wms&X=100&Y=100"
               f"&FORMAT=image/png&INFO_FORMAT=text/plain&{PLACE}")
    legend = get(f"{second}/service?{common}&REQUEST=GetLegendGraphic&LAYER=by_wms&FORMAT=image/png")
    told = b"position" in info and legend.startswith(b"\x89PNG")
    print(f"{title}: feature information and legend {'come through' if told else 'WRONG'}")
    return wrong + (not told)


def main():
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)
    with tempfile.TemporaryDirectory() as folder:
        programs = Programs(folder)
        try:
            sample = programs.start("sample", [os.environ["SAMPLE_WMS_BIN"], "127.0.0.1:0"], r"listening on (http://\S+)")
            shown = programs.ours("shown", (HERE / "mapproxy.yaml").read_text(), sample)
            environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": folder, "XDG_RUNTIME_DIR": folder}
            environment.pop("PYTHONPATH", None)
            qgis = subprocess.run(["/usr/bin/python3", HERE / "qgis_client.py", shown, folder], env=environment, timeout=600)
            wrong = int(qgis.returncode != 0)
            ours = programs.ours("ours-first", FIRST, sample)
            theirs = programs.theirs("theirs-first", FIRST, sample)
            wrong += chain("MapProxy as our client", ours, programs.theirs("theirs-second", SECOND, ours))
            wrong += chain("MapProxy as our server", theirs, programs.ours("ours-second", SECOND, theirs))
        finally:
            programs.stop()
    print("all clients are content" if not wrong else f"{wrong} WRONG")
    return int(wrong != 0)


sys.exit(main())
