"""QGIS without a window loads our WMS, WMTS and tiles, and draws them: qgis_client.py PROXY FOLDER.

What it draws is compared with our own GetMap of the same place, pixel by pixel.
"""

import os
import sys
import urllib.request

from qgis.core import (
    QgsApplication, QgsCoordinateReferenceSystem, QgsMapRendererParallelJob, QgsMapSettings, QgsRaster, QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QImage

proxy, folder = sys.argv[1:]
HALF = 10018754.171394622
SQUARE = (0, 0, HALF, HALF)
DEGREES = (-90, -45, 90, 45)
UTM = (0, 4976000, 1024000, 6000000)

QgsApplication.setPrefixPath("/usr", True)
application = QgsApplication([], False)
application.initQgis()


def draw(layer, code, extent, size):
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(QgsCoordinateReferenceSystem(code))
    settings.setExtent(QgsRectangle(*extent))
    settings.setOutputSize(QSize(*size))
    settings.setOutputDpi(96)
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    assert not job.errors(), [error.message for error in job.errors()]
    return job.renderedImage().convertToFormat(QImage.Format_RGB32)


def own(layer, code, extent, size):
    box = ",".join(str(edge) for edge in extent)
    address = (f"{proxy}/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS={layer}&STYLES=&FORMAT=image/png"
               f"&SRS={code}&BBOX={box}&WIDTH={size[0]}&HEIGHT={size[1]}")
    with urllib.request.urlopen(address) as answer:
        image = QImage.fromData(answer.read())
    return image.convertToFormat(QImage.Format_RGB32)


def difference(a, b):
    """Mean of all channels, of 255, and how many colours the first has."""
    assert a.size() == b.size(), (a.size(), b.size())
    first, second = (image.constBits().asstring(image.sizeInBytes()) for image in (a, b))
    colours = {first[at:at + 3] for at in range(0, len(first), 4)}
    total = sum(abs(p - q) for at, (p, q) in enumerate(zip(first, second)) if at % 4 != 3)
    return total / (len(first) * 3 / 4), len(colours)


WAYS = [
    ("wms-3857", f"crs=EPSG:3857&format=image/png&layers=world&styles=&url={proxy}/service?", "world", "EPSG:3857", SQUARE, (512, 512)),
    ("wms-4326", f"crs=EPSG:4326&format=image/png&layers=world&styles=&url={proxy}/service?", "world", "EPSG:4326", DEGREES, (512, 256)),
    ("wms-32632", f"crs=EPSG:32632&format=image/png&layers=europe&styles=&url={proxy}/service?", "europe", "EPSG:32632", UTM, (512, 512)),
    ("wmts", f"crs=EPSG:3857&format=image/png&layers=world&styles=&tileMatrixSet=webmercator&url={proxy}/wmts/1.0.0/WMTSCapabilities.xml", "world", "EPSG:3857", SQUARE, (512, 512)),
    ("wmts-utm", f"crs=EPSG:32632&format=image/png&layers=europe&styles=&tileMatrixSet=utm32&url={proxy}/wmts/1.0.0/WMTSCapabilities.xml", "europe", "EPSG:32632", UTM, (512, 512)),
    ("xyz", f"type=xyz&zmin=0&zmax=19&url={proxy}/tiles/world/webmercator/%7Bz%7D/%7Bx%7D/%7By%7D.png", "world", "EPSG:3857", SQUARE, (512, 512)),
    ("tms", f"type=xyz&zmin=0&zmax=19&url={proxy}/tiles/world/webmercator/%7Bz%7D/%7Bx%7D/%7B-y%7D.png?origin%3Dsw", "world", "EPSG:3857", SQUARE, (512, 512)),
]
failed = []
for name, uri, layer, code, extent, size in WAYS:
    loaded = QgsRasterLayer(uri, name, "wms")
    if not loaded.isValid():
        failed.append(f"{name}: cannot be loaded: {loaded.error().message()}")
        continue
    drawn = draw(loaded, code, extent, size)
    drawn.save(f"{folder}/qgis-{name}.png")
    mean, colours = difference(drawn, own(layer, code, extent, size))
    print(f"QGIS {name}: differs by {mean:.3f} of 255, {colours} colours")
    if mean > 1 or colours < 20:
        failed.append(f"{name}: differs by {mean:.3f} of 255, {colours} colours")
    if name in ("wms-3857", "wms-4326"):
        window = QgsRectangle(*extent)
        info = loaded.dataProvider().identify(window.center(), QgsRaster.IdentifyFormatText, window, *size)
        if "position" not in str(info.results()):
            failed.append(f"{name}: no feature information: {info.results()} {info.error().message()}")
print(*failed, sep="\n")
sys.stdout.flush()
# the orderly way out hangs or crashes with some versions of Qt
os._exit(1 if failed else 0)
