// Code that uses the layer just as it is shown, for other programs.

const quote = (text) => `'${String(text).replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

// The address of the map that is visible now.
export function getMapUrl(layer, state, view) {
  const wms = layer.services.wms;
  const version = wms.version ?? '1.1.1';
  const flip = version === '1.3.0' && view.srs === 'EPSG:4326';
  const [minx, miny, maxx, maxy] = view.extent.map((v) => Number(v.toPrecision(12)));
  const bbox = flip ? [miny, minx, maxy, maxx] : [minx, miny, maxx, maxy];
  const format = state.format ?? wms.formats?.[0] ?? 'image/png';
  const params = [
    'SERVICE=WMS', `VERSION=${version}`, 'REQUEST=GetMap', `LAYERS=${encodeURIComponent(layer.name)}`, 'STYLES=',
    `${version === '1.3.0' ? 'CRS' : 'SRS'}=${view.srs}`, `BBOX=${bbox.join(',')}`,
    `WIDTH=${Math.round(view.width)}`, `HEIGHT=${Math.round(view.height)}`, `FORMAT=${format}`,
  ];
  if (format.startsWith('image/png')) params.push('TRANSPARENT=TRUE');
  return `${wms.url}${wms.url.includes('?') ? '&' : '?'}${params.join('&')}`;
}

export function tileUrl(choice, z, x, y) {
  return choice.url.replace('{z}', z).replace('{x}', x).replace('{y}', y);
}

// Tabs and their text for one layer, service and choice; a tab is left out where its program cannot do it.
export function snippets(layer, state, choice, view) {
  const { wms, wmts, tiles } = layer.services;
  const mercator = (code) => ['EPSG:3857', 'EPSG:900913', 'EPSG:102100', 'EPSG:102113'].includes(code);
  const grid = (tiles ?? []).find((each) => mercator(each.srs) && Math.abs(each.resolutions[0] - 156543.034) < 1);
  const found = {};
  const format = state.format ?? 'image/png';

  if (state.service === 'wms') {
    found.OpenLayers = `import ImageLayer from 'ol/layer/Image';
import ImageWMS from 'ol/source/ImageWMS';

const layer = new ImageLayer({
  source: new ImageWMS({
    url: ${quote(wms.url)},
    params: { LAYERS: ${quote(layer.name)}, FORMAT: ${quote(format)}, VERSION: ${quote(wms.version ?? '1.1.1')} },
    projection: ${quote(choice.srs)},
  }),
});`;
    if (mercator(choice.srs)) {
      found.Leaflet = `L.tileLayer.wms(${quote(wms.url)}, {
  layers: ${quote(layer.name)},
  format: ${quote(format)},
  transparent: ${format.startsWith('image/png')},
  version: ${quote(wms.version ?? '1.1.1')},
}).addTo(map);`;
      const template = `${wms.url}?SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS=${layer.name}&STYLES=&SRS=EPSG:3857&BBOX={bbox-epsg-3857}&WIDTH=256&HEIGHT=256&FORMAT=${format}`;
      found.MapLibre = maplibre(layer.name, template, 256);
    }
    found.QGIS = `Layer > Add Layer > Add WMS/WMTS Layer… > New

  Name  ${layer.title ?? layer.name}
  URL   ${wms.capabilities ?? `${wms.url}?SERVICE=WMS&REQUEST=GetCapabilities`}

Connect, then pick "${layer.title ?? layer.name}" and ${choice.srs}.`;
    found.curl = `curl -o map.${format.includes('jpeg') ? 'jpg' : 'png'} \\
  ${quote(getMapUrl(layer, state, view))}`;
    return found;
  }

  if (state.service === 'wmts') {
    found.OpenLayers = `import TileLayer from 'ol/layer/Tile';
import WMTS, { optionsFromCapabilities } from 'ol/source/WMTS';
import WMTSCapabilities from 'ol/format/WMTSCapabilities';

const answer = await fetch(${quote(wmts.capabilities)});
const capabilities = new WMTSCapabilities().read(await answer.text());
const layer = new TileLayer({
  source: new WMTS(optionsFromCapabilities(capabilities, {
    layer: ${quote(layer.name)},
    matrixSet: ${quote(choice.name)},
  })),
});`;
    if (grid) addWebTiles(found, layer, grid);
    found.QGIS = `Layer > Add Layer > Add WMS/WMTS Layer… > New

  Name  ${layer.title ?? layer.name}
  URL   ${wmts.capabilities}

Connect, open the tab "Tilesets" and pick "${layer.name}" with ${choice.name}.`;
    found.curl = `curl ${quote(wmts.capabilities)}`;
    return found;
  }

  found.OpenLayers = grid && choice.url === grid.url
    ? `import TileLayer from 'ol/layer/Tile';
import XYZ from 'ol/source/XYZ';

const layer = new TileLayer({
  source: new XYZ({
    url: ${quote(choice.origin === 'nw' ? choice.url : choice.url.replace('{y}', '{-y}'))},
    maxZoom: ${choice.resolutions.length - 1},
  }),
});`
    : `import TileLayer from 'ol/layer/Tile';
import TileImage from 'ol/source/TileImage';
import TileGrid from 'ol/tilegrid/TileGrid';

const layer = new TileLayer({
  source: new TileImage({
    projection: ${quote(choice.srs)},
    tileGrid: new TileGrid({
      extent: ${JSON.stringify(choice.bbox)},
      origin: ${JSON.stringify(choice.origin === 'nw' ? [choice.bbox[0], choice.bbox[3]] : [choice.bbox[0], choice.bbox[1]])},
      resolutions: ${JSON.stringify(choice.resolutions).replaceAll(',', ', ')},
      tileSize: ${JSON.stringify(choice.tile_size ?? [256, 256])},
    }),
    tileUrlFunction: ([z, x, y]) => \`${choice.url.replace('{z}', '${z}').replace('{x}', '${x}').replace('{y}', choice.origin === 'nw' ? '${y}' : '${-y - 1}')}\`,
  }),
});`;
  if (mercator(choice.srs) && Math.abs(choice.resolutions[0] - 156543.034) < 1) addWebTiles(found, layer, choice);
  found.curl = `curl -o tile.${choice.format} \\
  ${quote(tileUrl(choice, 0, 0, 0))}`;
  return found;
}

function addWebTiles(found, layer, grid) {
  const size = grid.tile_size?.[0] ?? 256;
  const tms = grid.origin !== 'nw';
  const options = [`  maxZoom: ${grid.resolutions.length - 1},`];
  if (tms) options.unshift('  tms: true,');
  if (size !== 256) options.unshift(`  tileSize: ${size},`);
  found.Leaflet = `L.tileLayer(${quote(grid.url)}, {\n${options.join('\n')}\n}).addTo(map);`;
  found.MapLibre = maplibre(layer.name, grid.url, size, tms);
  found.QGIS ??= `Layer > Add Layer > Add XYZ Layer… > New

  Name  ${layer.title ?? layer.name}
  URL   ${tms ? grid.url.replace('{y}', '{-y}') : grid.url}`;
}

function maplibre(name, template, size, tms = false) {
  return `map.addSource(${quote(name)}, {
  type: 'raster',
  tiles: [${quote(template)}],
  tileSize: ${size},${tms ? "\n  scheme: 'tms'," : ''}
});
map.addLayer({ id: ${quote(name)}, type: 'raster', source: ${quote(name)} });`;
}
