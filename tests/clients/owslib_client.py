"""OWSLib reads our capabilities and gets maps, tiles and feature information: owslib_client.py PROXY FOLDER."""

import sys

from owslib.tms import TileMapService
from owslib.wms import WebMapService
from owslib.wmts import WebMapTileService

proxy, folder = sys.argv[1:]
EDGE = 20037508.342789244


def write(name, answer):
    with open(f"{folder}/owslib-{name}.png", "wb") as file:
        file.write(answer.read())


for version in ("1.1.1", "1.3.0"):
    wms = WebMapService(f"{proxy}/service", version=version)
    assert wms.identification.title == "Maps & <b>more</b>", wms.identification.title
    assert list(wms.contents) == ["world", "europe", "a", "b", "c", "d"], list(wms.contents)
    layer = wms["world"]
    assert "EPSG:3857" in layer.crsOptions, layer.crsOptions
    assert layer.queryable == 1
    assert abs(layer.boundingBoxWGS84[0] + 180) < 1e-6, layer.boundingBoxWGS84
    assert "image/png" in wms.getOperationByName("GetMap").formatOptions
    half = EDGE / 2
    write(f"wms-{version}", wms.getmap(
        layers=["world"], srs="EPSG:3857", bbox=(0, 0, half, half), size=(512, 512), format="image/png"))
    # OWSLib turns the axes of 1.3.0 around by itself
    degrees = wms.getmap(layers=["world"], srs="EPSG:4326", bbox=(-90, -45, 90, 45), size=(512, 256), format="image/png")
    write(f"degrees-{version}", degrees)
    info = wms.getfeatureinfo(
        layers=["world"], srs="EPSG:3857", bbox=(0, 0, half, half), size=(512, 512), format="image/png",
        query_layers=["world"], info_format="text/plain", xy=(100, 100))
    assert b"position" in info.read()

for address in (f"{proxy}/wmts/1.0.0/WMTSCapabilities.xml", f"{proxy}/service?SERVICE=WMTS&REQUEST=GetCapabilities"):
    wmts = WebMapTileService(address)
    assert {"world", "europe", "gone"} < set(wmts.contents), list(wmts.contents)
    assert set(wmts["world"].tilematrixsetlinks) == {"webmercator", "geodetic"}
    matrix = wmts.tilematrixsets["webmercator"].tilematrix["03"]
    assert (matrix.matrixwidth, matrix.matrixheight) == (8, 8)
    assert abs(matrix.scaledenominator - 69885283.0036) < 0.1, matrix.scaledenominator
write("wmts", wmts.gettile(layer="world", tilematrixset="webmercator", tilematrix="02", row=1, column=2, format="image/png"))

tms = TileMapService(f"{proxy}/tms/1.0.0/")
names = {name for name in tms.contents}
assert any(name.endswith("world/webmercator") for name in names), names
