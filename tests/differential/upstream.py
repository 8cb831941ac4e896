"""The servers behind both proxies: WMS, ArcGIS and tiles of any reference system, drawn by rule.

A picture is a function of map coordinates and resolution alone, so both proxies get the same for the same request, and
tiles fit together. Its waves and checks show at any scale whether something was shifted, mirrored or blurred.
"""
import functools
import io
import json
import math
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

import numpy
from PIL import Image

FORMATS = {'png': 'PNG', 'jpeg': 'JPEG', 'jpg': 'JPEG', 'gif': 'GIF', 'tiff': 'TIFF', 'webp': 'WEBP'}
MAX_SIZE = 8192


def draw(bbox, size, transparent, hue):
    """An RGB or RGBA picture of `bbox` (min x, min y, max x, max y)."""
    width, height = size
    res = (bbox[2] - bbox[0]) / width
    wave = 2.0 ** math.ceil(math.log2(res * 64))
    x = bbox[0] + (numpy.arange(width) + 0.5) * res
    y = bbox[3] - (numpy.arange(height) + 0.5) * (bbox[3] - bbox[1]) / height
    pixels = numpy.empty((height, width, 4), dtype=numpy.uint8)
    pixels[:, :, 0] = (127.5 + 120 * numpy.sin(x * (math.tau / wave / 2)))[None, :]
    pixels[:, :, 1] = (127.5 + 120 * numpy.sin(y * (math.tau / wave / 2)))[:, None]
    checks = (numpy.floor(x / wave)[None, :] + numpy.floor(y / wave)[:, None]) % 2
    pixels[:, :, 2] = checks * 160 + hue % 96
    pixels[:, :, 3] = 255
    if not transparent:
        return Image.fromarray(pixels[:, :, :3].copy(), 'RGB')
    pixels[:, :, 3] = numpy.where(numpy.floor(y / wave / 2)[:, None] % 2 * checks == 1, 0, 255)
    # no colours under what is transparent: programs differ in what they keep of them
    pixels *= pixels[:, :, 3:] > 0
    return Image.fromarray(pixels, 'RGBA')


def encoded(image, kind):
    """The picture as a file of this kind."""
    if kind == 'JPEG':
        image = image.convert('RGB')
    file = io.BytesIO()
    # stored, not packed: most of the time of a run goes into these pictures
    image.save(file, kind, quality=92, compress_level=0)
    return file.getvalue()


def answer(target):
    """(status, content type, body) of a request."""
    parts = urlsplit(target)
    params = {name.lower(): value for name, value in parse_qsl(parts.query, keep_blank_values=True)}
    path = unquote(parts.path)
    hue = sum(path.split('/', 2)[1].encode()) if path.count('/') > 1 else 0
    if path.endswith(('/identify', '/export', '/exportImage')):
        return arcgis(path, params, hue)
    if 'request' in params or path.endswith('/wms'):
        return wms(params, hue)
    return tile(path + '?' + parts.query, hue)


# both proxies ask for the same, one soon after the other
@functools.lru_cache(maxsize=32)
def picture(bbox, size, transparent, hue, kind):
    """A picture as an answer. All that is given can be a key."""
    if not (0 < size[0] <= MAX_SIZE and 0 < size[1] <= MAX_SIZE and bbox[0] < bbox[2] and bbox[1] < bbox[3]):
        return 400, 'text/plain', b'no such section'
    return 200, 'image/' + kind.lower(), encoded(draw(bbox, size, transparent and kind == 'PNG', hue), kind)


def kind_of(name):
    """PNG, JPEG, .. of a media type or an ending."""
    return FORMATS.get(re.split('[;+]', name.lower().replace('image/', ''))[0].strip().rstrip('8'), 'PNG')


def wms(params, hue):
    """GetMap, GetFeatureInfo and GetLegendGraphic."""
    hue += sum(params.get('layers', '').encode())
    operation = params.get('request', '').lower()
    kind = kind_of(params.get('format', ''))
    if operation == 'getlegendgraphic':
        return picture((0, 0, 64, 32), (64, 32), False, hue + sum(params.get('layer', '').encode()), kind)
    if operation in ('getfeatureinfo', 'feature_info'):
        i, j = params.get('i', params.get('x')), params.get('j', params.get('y'))
        return info(params.get('info_format', 'text/plain'), f"{params.get('query_layers')} {i} {j}")
    bbox = tuple(float(number) for number in params['bbox'].split(','))
    size = int(params['width']), int(params['height'])
    return picture(bbox, size, params.get('transparent', '').lower() == 'true', hue, kind)


def info(kind, words):
    """Feature information that says what was asked."""
    if 'html' in kind:
        return 200, 'text/html', f'<html><body><p>{words}</p></body></html>'.encode()
    if 'xml' in kind or 'gml' in kind:
        return 200, 'text/xml', f'<?xml version="1.0"?><info><found>{words}</found></info>'.encode()
    if 'json' in kind:
        return 200, 'application/json', json.dumps({'found': [words]}).encode()
    return 200, 'text/plain', f'found {words}'.encode()


def arcgis(path, params, hue):
    """Export of maps and images, and identify."""
    if path.endswith('/identify'):
        return 200, 'text/plain', json.dumps({'results': [params.get('layers'), params.get('imageDisplay')]}).encode()
    bbox = tuple(float(number) for number in params['bbox'].split(','))
    size = tuple(int(number) for number in params['size'].split(','))
    return picture(bbox, size, params.get('transparent', '').lower() == 'true', hue, kind_of(params.get('format', '')))


def tile(target, hue):
    """A tile of any numbering: whatever numbers its address has say where it lies."""
    numbers = [int(number) for number in re.findall(r'(?<![\w.])\d+(?=[./?&]|$)', target)][-3:]
    level, x, y = ([0, 0, 0] + numbers)[-3:]
    ending = re.search(r'\.(png|jpe?g|gif|webp)\b', target)
    bbox = (x * 256, y * 256, x * 256 + 256, y * 256 + 256)
    return picture(bbox, (256, 256), level % 2 == 0, hue + level, kind_of(ending[1] if ending else 'png'))


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = 'HTTP/1.1'

    def do_GET(self):  # noqa: N802, the name is http.server's
        try:
            status, kind, body = answer(self.path)
        except (KeyError, ValueError) as error:
            status, kind, body = 400, 'text/plain', repr(error).encode()
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def start():
    """Serves on a free port; returns `http://127.0.0.1:PORT`."""
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f'http://127.0.0.1:{server.server_address[1]}'
