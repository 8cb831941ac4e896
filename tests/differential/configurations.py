"""Makes a configuration of anywhere one of here: its sources are those of `upstream`, its caches lie in one folder."""
import os
import re

import yaml
from mapproxy.util.yaml import load_yaml_file

# what needs files or machines that are not here
ELSEWHERE = {'base_dir', 'lock_dir', 'tile_lock_dir', 'font_dir', 'ssl_ca_certs', 'ssl_no_cert_checks', 'proj_data_dir',
             'featureinfo_xslt', 'username', 'password', 'datasource', 'where', 'lock_retry', 'cache_dir', 'client_timeout'}
AREA = {'bbox': [0, 40, 20, 60], 'srs': 'EPSG:4326'}


def cleaned(value):
    """The value without what is elsewhere, at any depth."""
    if isinstance(value, dict):
        if 'datasource' in value or 'expire_tiles' in value:
            return {**AREA, **({'clip': value['clip']} if 'clip' in value else {})}
        return {key: cleaned(item) for key, item in value.items() if key not in ELSEWHERE}
    return [cleaned(item) for item in value] if isinstance(value, list) else value


def address(url, upstream, name):
    """The same address at our server, the source's name before its path."""
    return upstream + '/' + re.sub(r'\W', '', str(name)) + re.sub(r'^\w+://[^/]*', '', url)


def source_of_here(name, source, upstream):
    """A source of the same kind, asked here."""
    kind = source.get('type')
    if kind in ('mapserver', 'mapnik'):
        layers = source.get('req', {}).get('layers') or source.get('layers') or 'map'
        source = {'type': 'wms', 'req': {'url': '', 'layers': layers}, 'coverage': source.get('coverage')}
        if source['coverage'] is None:
            del source['coverage']
        kind = 'wms'
    if kind == 'wms':
        source['req'] = {**source['req'], 'url': f'{upstream}/{re.sub(chr(92) + "W", "", str(name))}/wms?'}
        source['req'].pop('sld', None)
    elif kind == 'arcgis':
        source['req'] = {**source['req'], 'url': address(source['req']['url'], upstream, name)}
    elif kind == 'tile':
        source['url'] = address(source['url'], upstream, name)
    for legend in ('legendurl',):
        if legend in source.get('wms_opts', {}):
            source['wms_opts'][legend] = f'{upstream}/legend/wms?request=GetLegendGraphic&format=image/png'
    return source


def of_here(path, upstream, folder):
    """Writes the configuration at `path` into `folder`, for these sources; returns where."""
    document = cleaned(load_yaml_file(str(path)))
    document.pop('base', None)
    document['sources'] = {
        name: source_of_here(name, source, upstream) for name, source in (document.get('sources') or {}).items()
    }
    for cache in (document.get('caches') or {}).values():
        store = cache.pop('cache', None) or {}
        kept = {key: store[key] for key in ('directory_layout', 'use_grid_names') if key in store}
        cache.pop('disable_storage', None)
        if store.get('type') == 'file' and kept:
            cache['cache'] = {'type': 'file', **kept}
        cache.pop('refresh_before', None)
    settings = document.get('globals') or {}
    settings['cache'] = {**(settings.get('cache') or {}), 'base_dir': os.path.join(folder, 'cache_data')}
    # the sources are drawn by the runner, which may be slow where much else runs
    settings['http'] = {**(settings.get('http') or {}), 'client_timeout': 600}
    document['globals'] = settings
    written = os.path.join(folder, 'mapproxy.yaml')
    with open(written, 'w', encoding='utf-8') as file:
        yaml.safe_dump(document, file, sort_keys=False, allow_unicode=True)
    return written
