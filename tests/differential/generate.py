"""Requests to a configuration, made from what its capabilities offer: right ones of every protocol, and spoiled ones."""
import random
import re
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

from pyproj import Transformer
from pyproj.exceptions import ProjError

VERSIONS = ['1.0.0', '1.1.0', '1.1.1', '1.1.1', '1.3.0', '1.3.0']
SIZES = [(256, 256), (300, 200), (128, 256), (512, 512), (1, 1), (400, 40)]
NONSENSE = ['', '0', '-1', '1.5', 'NaN', '1e309', '99999999999', 'nothing', '%3Ci%3E', '..%2F..%2Fetc', '%0D%0AX:1', '%FF',
            '1,2,3,4', 'EPSG:1', ',', 'image/nothing']
INFO = ['text/plain', 'text/html', 'text/xml', 'application/json', 'application/vnd.ogc.gml']


def tree(body):
    """A document without its namespaces; None if it is none."""
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        return None
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = re.sub('{.*}', '', element.tag)
    return root


def encoded(value):
    """For a query, with what clients leave as it is."""
    return quote(str(value), safe=':/,;@')


def query(**params):
    """`name=value&..`; what is None is left out."""
    return '&'.join(f'{name}={encoded(value)}' for name, value in params.items() if value is not None)


class Offer:
    """What a server offers, from the capabilities that `get(target)` -> (status, headers, body) answers with."""

    def __init__(self, get):
        self.get = get
        self.wms, self.srs, self.formats = [], [], []
        self.wmts, self.matrices, self.templates = [], {}, []
        self.tile_sets = []
        self.read_wms()
        self.read_wmts()
        self.read_tms()

    def document(self, target):
        status, _, body = self.get(target)
        return tree(body) if status == 200 else None

    def read_wms(self):
        root = self.document('/service?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetCapabilities')
        if root is None or root.find('.//Capability/Layer') is None:
            return
        self.formats = [element.text for element in root.findall('.//GetMap/Format')]
        self.srs = sorted({code for element in root.findall('.//Layer/SRS') for code in (element.text or '').split()})
        for layer in root.iter('Layer'):
            name, box = layer.find('Name'), layer.find('LatLonBoundingBox')
            if name is not None:
                bbox = [float(box.get(side)) for side in ('minx', 'miny', 'maxx', 'maxy')] if box is not None else None
                self.wms.append((name.text, bbox or [-180, -85, 180, 85]))

    def read_wmts(self):
        for target in ('/service?SERVICE=WMTS&VERSION=1.0.0&REQUEST=GetCapabilities', '/wmts/1.0.0/WMTSCapabilities.xml'):
            root = self.document(target)
            if root is None or root.find('Contents') is None:
                continue
            for matrix_set in root.findall('Contents/TileMatrixSet'):
                self.matrices[matrix_set.findtext('Identifier')] = [
                    (m.findtext('Identifier'), int(m.findtext('MatrixWidth')), int(m.findtext('MatrixHeight')))
                    for m in matrix_set.findall('TileMatrix')]
            for layer in root.findall('Contents/Layer'):
                sets = [link.findtext('TileMatrixSet') for link in layer.findall('TileMatrixSetLink')]
                entry = layer.findtext('Identifier'), sets, layer.findtext('Format')
                if 'service' in target:
                    self.wmts.append(entry)
                for url in layer.findall('ResourceURL'):
                    path = re.sub(r'^\w+://[^/]*', '', url.get('template'))
                    self.templates.append((path, *entry))

    def read_tms(self):
        root = self.document('/tms/1.0.0/')
        for tile_map in root.iter('TileMap') if root is not None else []:
            path = urlsplit(tile_map.get('href')).path
            described = self.document(path)
            if described is None:
                continue
            box = described.find('BoundingBox')
            spans = [float(box.get('max' + axis)) - float(box.get('min' + axis)) for axis in 'xy']
            ending = described.find('TileFormat').get('extension')
            levels = [float(level.get('units-per-pixel')) for level in described.iter('TileSet')]
            self.tile_sets.append((path.removeprefix('/tms/1.0.0'), spans, levels, ending))


class Generator:
    """An endless, reproducible supply of requests."""

    def __init__(self, offer, seed):
        self.offer = offer
        self.random = random.Random(seed)
        self.kinds = []
        if offer.wms:
            self.kinds += [(self.get_map, 40), (self.feature_info, 10), (self.legend, 3), (self.wms_capabilities, 1)]
        if offer.wmts:
            self.kinds += [(self.wmts_tile, 12), (self.wmts_info, 4), (self.wmts_capabilities, 1)]
        if offer.templates:
            self.kinds += [(self.rest_tile, 10)]
        if offer.tile_sets:
            self.kinds += [(self.tms_tile, 12), (self.xyz_tile, 10), (self.kml, 5), (self.tms_document, 2)]
        self.kinds += [(self.nowhere, 1)]

    def next(self):
        """(kind, path with query)."""
        makers, weights = zip(*self.kinds)
        maker = self.random.choices(makers, weights)[0]
        name, target = maker.__name__, maker()
        if self.random.random() < 0.15:
            return 'spoiled ' + name, self.spoiled(target)
        return name, target

    def spoiled(self, target):
        """The request with one part missing, doubled or nonsense."""
        path, mark, params = target.partition('?')
        between = '&' if mark else '/'
        parts = (params if mark else path).split(between)
        index = self.random.randrange(len(parts))
        how = self.random.randrange(4)
        if how == 0:
            del parts[index]
        elif how == 1:
            parts.insert(index, parts[index])
        else:
            name, equals, _ = parts[index].partition('=')
            ending = re.search(r'\.\w+$', parts[index]) if not mark and self.random.random() < 0.5 else None
            value = self.random.choice(NONSENSE) + (ending[0] if ending else '')
            parts[index] = name + equals + value if mark else value
        spoilt = between.join(parts)
        return path + mark + spoilt if mark else '/' + spoilt.lstrip('/')

    def section(self, bbox, code, swap):
        """A random section of a WGS 84 box in another system, as BBOX."""
        lon = self.random.uniform(bbox[0], bbox[2])
        lat = self.random.uniform(bbox[1], bbox[3])
        try:
            transformer = Transformer.from_crs('EPSG:4326', code, always_xy=True)
            x, y = transformer.transform(lon, max(-85, min(85, lat)))
        except ProjError:
            x, y = lon, lat
        span = 360 if code in ('EPSG:4326', 'EPSG:4258', 'CRS:84') else 4e7
        span /= 2 ** self.random.uniform(1, 19)
        width, height = self.size = self.random.choice(SIZES)
        half = [span / 2, span / 2 * height / width * self.random.choice([1, 1, 1, 1.3])]
        box = [x - half[0], y - half[1], x + half[0], y + half[1]]
        if swap:
            box = [box[1], box[0], box[3], box[2]]
        return ','.join(repr(round(number, 9)) for number in box)

    def map_params(self, layers=1):
        chosen = self.random.sample(self.offer.wms, min(len(self.offer.wms), layers))
        version = self.random.choice(VERSIONS)
        code = self.random.choice(self.offer.srs)
        swap = version == '1.3.0' and code in ('EPSG:4326', 'EPSG:4258', 'EPSG:31467', 'EPSG:3301', 'EPSG:3034', 'EPSG:3035')
        names = ','.join(name for name, _ in chosen)
        bbox = self.section(chosen[0][1], code, swap)
        return names, version, {
            'SERVICE': 'WMS' if version != '1.0.0' else None,
            'WMTVER' if version == '1.0.0' else 'VERSION': version,
            'LAYERS': names, 'STYLES': '', 'CRS' if version == '1.3.0' else 'SRS': code, 'BBOX': bbox,
            'WIDTH': self.size[0], 'HEIGHT': self.size[1],
        }

    def get_map(self):
        _, version, params = self.map_params(self.random.choice([1, 1, 1, 2, 3]))
        kind = self.random.choice(self.offer.formats)
        if version == '1.0.0':
            kind = self.random.choice(['PNG', 'JPEG', 'GIF'])
        return '/service?' + query(
            REQUEST='map' if version == '1.0.0' else 'GetMap', **params, FORMAT=kind,
            TRANSPARENT=self.random.choice([None, 'true', 'false', 'TRUE']),
            BGCOLOR=self.random.choice([None, None, '0xff8000']),
            EXCEPTIONS=self.random.choice([None] * 6 + ['INIMAGE', 'BLANK', 'application/vnd.ogc.se_inimage']))

    def feature_info(self):
        names, version, params = self.map_params(self.random.choice([1, 1, 2]))
        x, y = ('I', 'J') if version == '1.3.0' else ('X', 'Y')
        return '/service?' + query(
            REQUEST='feature_info' if version == '1.0.0' else 'GetFeatureInfo', **params, FORMAT='image/png',
            QUERY_LAYERS=names, INFO_FORMAT=self.random.choice([None] + INFO),
            **{x: self.random.randrange(self.size[0]), y: self.random.randrange(self.size[1])})

    def legend(self):
        return '/service?' + query(
            SERVICE='WMS', VERSION=self.random.choice(['1.1.1', '1.3.0']), REQUEST='GetLegendGraphic',
            LAYER=self.random.choice(self.offer.wms)[0], FORMAT='image/png', SLD_VERSION='1.1.0')

    def wms_capabilities(self):
        version = self.random.choice([*VERSIONS, '1.2.0', None])
        return '/service?' + query(
            SERVICE='WMS' if version != '1.0.0' else None, REQUEST='GetCapabilities' if version != '1.0.0' else 'capabilities',
            **{'WMTVER' if version == '1.0.0' else 'VERSION': version}, tiled=self.random.choice([None, None, 'true']))

    def wmts_position(self, sets):
        name = self.random.choice(sets)
        matrix, width, height = self.random.choice(self.offer.matrices[name])
        column, row = self.random.randrange(width), self.random.randrange(height)
        if self.random.random() < 0.05:
            row = height + self.random.choice([0, 5])
        return {'TileMatrixSet': name, 'TileMatrix': matrix, 'TileCol': column, 'TileRow': row}

    def wmts_tile(self, **more):
        layer, sets, kind = self.random.choice(self.offer.wmts)
        return '/service?' + query(
            SERVICE='WMTS', VERSION='1.0.0', REQUEST=more.pop('request', 'GetTile'), LAYER=layer, STYLE='',
            FORMAT=kind, **self.wmts_position(sets), **more)

    def wmts_info(self):
        return self.wmts_tile(request='GetFeatureInfo', I=self.random.randrange(256), J=self.random.randrange(256),
                              InfoFormat=self.random.choice(INFO))

    def wmts_capabilities(self):
        return self.random.choice(['/service?SERVICE=WMTS&VERSION=1.0.0&REQUEST=GetCapabilities', '/wmts/1.0.0/WMTSCapabilities.xml'])

    def rest_tile(self):
        path, layer, sets, _ = self.random.choice(self.offer.templates)
        values = {'Layer': layer, 'Style': 'default', 'I': self.random.randrange(256), 'J': self.random.randrange(256),
                  **self.wmts_position(sets)}
        return re.sub(r'{(\w+)}', lambda name: encoded(values.get(name[1], '')), path)

    def tile_address(self):
        path, spans, levels, ending = self.random.choice(self.offer.tile_sets)
        level = self.random.randrange(len(levels))
        count = [max(1, int(span / levels[level] / 256)) for span in spans]
        column, row = (self.random.randrange(number) for number in count)
        if self.random.random() < 0.05:
            column += count[0] + 1
        return path, level, column, row, ending

    def tms_tile(self):
        path, level, column, row, ending = self.tile_address()
        return f'/tms/1.0.0{path}/{level}/{column}/{row}.{ending}'

    def xyz_tile(self):
        path, level, column, row, ending = self.tile_address()
        origin = self.random.choice(['', '', '', '?origin=nw', '?origin=sw'])
        return f'{self.random.choice(["/tiles", "/tiles/1.0.0"])}{path}/{level}/{column}/{row}.{ending}{origin}'

    def kml(self):
        path, level, column, row, ending = self.tile_address()
        return f'/kml{path}/{level}/{column}/{row}.{self.random.choice(["kml", ending])}'

    def tms_document(self):
        return self.random.choice(['/tms', '/tms/1.0.0', '/tms/1.0.0/', '/tms/1.0.0' + self.random.choice(self.offer.tile_sets)[0]])

    def nowhere(self):
        return self.random.choice(['/nothing', '/service', '/service?', '/service?REQUEST=GetCapabilities', '/tiles/', '/wmts/',
                                   '/kml', '/service?SERVICE=WCS', '/service/', '/robots.txt'])
