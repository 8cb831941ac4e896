"""Differences that are known, and why each is as it is: the table of docs/reference/compatibility.md for the runner."""
import io
import re
from urllib.parse import parse_qsl, urlsplit

from PIL import Image

FAILS = 'MapProxy fails with an internal error; here the request is answered, or refused as its protocol asks'
TIFF = 'MapProxy cannot write this TIFF'
CHARSET = 'XML says its encoding in the content type too'
LOCATOR = 'OWS exceptions name the parameter'
TITLE = 'without a title of its own a service is called by its own name, not `MapProxy WMS` or nothing'
SOURCE_FORMAT = 'tiles have the format of their cache; MapProxy keeps what a tile source sends under the name of another'
BACKGROUND = 'outside of the tiles an opaque, reprojected map has its background colour, not black, and nothing next to it is stretched'
DOUBLED = 'of a parameter that is there twice, the first value counts'
WHOLE = 'an address is matched as a whole, MapProxy looks at its beginning or end'
WMS_100 = 'pictures of errors have a media type in WMS 1.0.0 too'
STATE = 'what an earlier request asked for does not change which versions of the WMS are spoken'
TILE_SETS = 'tile sets of WMS-C name a reference system that the WMS knows, not `OSGEO:41001`'
POLES = 'beyond the poles is nothing'
EDGE = 'a tile of which only a part lies on its layer is drawn; MapProxy asks its source for a box with exchanged sides, or leaves it out of KML'
EXTENT = 'boxes in capabilities are those of the grid or source itself, not turned over by way of degrees, nor those of the first grid'
FIRST = 'a map of tiles that were just made shows them as they are stored, as it will from then on; MapProxy draws it from what came before palette or JPEG'
MESSAGE = 'messages in pictures are in other words'
COLOUR = 'a colour that is none is refused, also where nothing would have it'
OPERATION = 'what a WMTS request lacks, or an operation that there is not, has its code and status'
VERSION = 'a version that is no version is one that was not said'
SCALES = 'scale denominators below 1 are what they are, MapProxy has them ten thousand million times as large'
LINKS = 'links in capabilities point to the service, whatever stood before it in the address'


def reason(kind, target, aspect, detail, theirs, ours):
    """The reason of a difference (see `compare.differences`), or None."""
    params = [(name.lower(), value) for name, value in parse_qsl(urlsplit(target).query, keep_blank_values=True)]
    if theirs[0] == 500 and theirs[2].startswith(b'internal error') and ours[0] != 500:
        return TIFF if re.search('format=image/(geo)?tiff', target, re.I) and b': error(' in theirs[2] else FAILS
    if theirs[2].startswith(b'internal error') and b'Exception' in ours[2]:
        return FAILS
    if theirs[0] == 500 and (b'missing parameters' in theirs[2] or b'unknown WMTS request' in theirs[2]) and ours[0] in (400, 501):
        return OPERATION
    if aspect == 'type parameters' and detail == ' / charset=utf-8':
        return CHARSET
    if aspect == 'document' and re.fullmatch(
            r'-\s+Exception exceptionCode=(\w+) \| \+\s+Exception exceptionCode=\1 locator=\w+', detail):
        return LOCATOR
    if aspect == 'document' and 'capabilities' not in kind and re.fullmatch(r'(- .*[tT]itle.* \| )?\+.*MapProxy TMS.*', detail):
        return TITLE
    if aspect == 'document' and re.fullmatch(r'(-\s+Title  MapProxy WMS \| )?\+\s+Title  MapProxy WM?TM?S', detail):
        return TITLE
    if aspect == 'picture format' and detail == 'JPEG / PNG':
        return SOURCE_FORMAT
    if aspect == 'document' and 'capabilities' in kind and all(
            re.fullmatch(r'- +ScaleDenominator +\S+e\+09|\+ +ScaleDenominator +0\.\d+', part) for part in detail.split(' | ')):
        return SCALES
    if aspect == 'document' and 'capabilities' in kind and all(
            re.search('BoundingBox|Corner|Latitude|ScaleHint', part) for part in detail.split(' | ')):
        return EXTENT
    if aspect == 'background':
        return BACKGROUND
    if kind.startswith('spoiled') and len({name for name, _ in params}) < len(params):
        return DOUBLED
    if kind.startswith('spoiled') and theirs[0] in (200, 400) and ours[0] == 404:
        return WHOLE
    if kind.startswith('spoiled') and aspect == 'document' and re.fullmatch(
            r'(-\s+Title .* \| \+\s+Title .* \| )?(- +Get href=\S+/\S+ \| \+ +Get href=\S+( \| )?)+', detail):
        return LINKS
    if aspect == 'type' and re.match('(gif|png|jpeg) / image/', detail):
        return WMS_100
    if kind.startswith('spoiled') and any(
            name in ('version', 'wmtver') and not re.fullmatch(r'1\.\d\.\d', value) for name, value in params):
        return VERSION
    if b'missing parameters [&#39;version' in ours[2] or aspect == 'document' and re.fullmatch(
            r'-ServiceExceptionReport version=(\S+) \| \+ServiceExceptionReport version=(\S+)', detail):
        return STATE
    if aspect == 'type' and re.search('/ (image/png|application/vnd.ogc.(se|wms)_xml)$', detail) and 'wmtver' in dict(params):
        return STATE
    if aspect == 'document' and re.fullmatch(r'\+\s+Abstract  .*', detail):
        return TITLE
    if aspect == 'status' and detail == '500 / 200' and 'tile' in kind and b'HTTP Error' in theirs[2]:
        return EDGE
    if 'kml' in kind and aspect == 'document' and not re.search(r'(^|\| )-', re.sub(r'-\s+(north|south|east|west)', '', detail)):
        return EDGE
    if 'tiled' in dict(params) and 'OSGEO:41001' in detail:
        return TILE_SETS
    if aspect == 'pixels' and 'inimage' in dict(params).get('exceptions', '').lower() and is_message(theirs[2]) and is_message(ours[2]):
        return MESSAGE
    if aspect in ('status', 'type') and b'invalid bgcolor' in ours[2]:
        return COLOUR
    if aspect in ('pixels', 'opacity') and farthest_latitude(dict(params)) > 90:
        return POLES
    if aspect in ('pixels', 'opacity') and farthest_latitude(dict(params)) > 85.06 and has_black_edge(theirs[2]):
        return BACKGROUND
    return None


def is_message(body):
    """Whether a picture is of one colour but for a little text."""
    picture = Image.open(io.BytesIO(body)).convert('RGB')
    most = max(count for count, _ in picture.getcolors(picture.width * picture.height))
    return most > 0.9 * picture.width * picture.height


def has_black_edge(body):
    """Whether the uppermost or the lowest row of a picture is black."""
    picture = Image.open(io.BytesIO(body)).convert('RGB')
    width, height = picture.size
    rows = [picture.crop((0, y, width, y + 1)) for y in (0, height - 1)]
    return any(max(highest for _, highest in row.getextrema()) < 16 for row in rows)


def farthest_latitude(params):
    """Of a box in degrees the largest latitude, north or south; 0 for any other."""
    code = params.get('srs', params.get('crs', ''))
    first = params.get('version') == '1.3.0' and code != 'CRS:84'
    try:
        latitudes = [float(number) for number in params['bbox'].split(',')][0 if first else 1::2]
    except (KeyError, ValueError):
        return 0
    return max(map(abs, latitudes)) if code in ('EPSG:4326', 'EPSG:4258', 'CRS:84') else 0
