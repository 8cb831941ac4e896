// Code that uses the layer just as it is shown, for other programs. Where a program cannot do that, the nearest it can.
import { chosen, mapUrl } from './info.js';
import { tileUrl, title } from './layers.js';

const quote = (text) => `'${String(text).replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
// for a shell, where a backslash is nothing special
const shell = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

const isMercator = (code) => ['EPSG:3857', 'EPSG:900913', 'EPSG:102100', 'EPSG:102113', 'EPSG:3785'].includes(code);
// the tiles that web maps take for granted
const isWebGrid = ({ srs, resolutions, bbox }) => isMercator(srs) && Math.abs(resolutions[0] * 256 - 40075016.7) < 1000 && Math.abs(bbox[0] + 20037508.3) < 1;
const transparent = (format) => !format.startsWith('image/jpeg');

export function snippets(layer, state, choice, view) {
  const { wms } = layer.services;
  const found = state.service === 'wms' ? ofWms(layer, state, choice, view)
    : state.service === 'wmts' ? ofWmts(layer, state, choice) : ofTiles(layer, choice);
  const web = state.service === 'wms' ? null : webTiles(layer, choice);
  for (const name of ['Leaflet', 'MapLibre']) {
    const format = state.format ?? wms?.formats[0] ?? 'image/png';
    if (web) found[name] = { text: web[name], note: web.note };
    else if (wms?.srs.some(isMercator)) found[name] = { text: webMap(name, layer, wms, format, chosen(layer, state)), note: isMercator(choice.srs) ? undefined : `${name} shows Web Mercator: the WMS draws the layer there` };
    else found[name] = { note: `${name} shows Web Mercator, which this layer is not offered in.` };
  }
  return Object.fromEntries(['OpenLayers', 'Leaflet', 'MapLibre', 'QGIS', 'curl'].map((name) => [name, typeof found[name] === 'string' ? { text: found[name] } : found[name]]));
}

function ofWms(layer, state, choice, view) {
  const { wms } = layer.services;
  const format = state.format ?? 'image/png';
  return {
    OpenLayers: `import ImageLayer from 'ol/layer/Image';
import ImageWMS from 'ol/source/ImageWMS';

const layer = new ImageLayer({
  source: new ImageWMS({
    url: ${quote(wms.url)},
    params: { LAYERS: ${quote(layer.name)}, FORMAT: ${quote(format)}, VERSION: ${quote(wms.version)}${chosen(layer, state).map(([key, value]) => `, ${key}: ${quote(value)}`).join('')} },
    projection: ${quote(choice.srs)},
  }),
});`,
    QGIS: qgis(layer, wms.capabilities, `Connect, then pick “${title(layer)}” and ${choice.srs}.`),
    curl: `curl -o map.${extension(format)} \\
  ${shell(mapUrl(wms, layer.name, view, format, chosen(layer, state)))}`,
  };
}

function ofWmts(layer, state, choice) {
  const { wmts } = layer.services;
  return {
    OpenLayers: `import TileLayer from 'ol/layer/Tile';
import WMTS, { optionsFromCapabilities } from 'ol/source/WMTS';
import WMTSCapabilities from 'ol/format/WMTSCapabilities';

const answer = await fetch(${quote(wmts.capabilities)});
const capabilities = new WMTSCapabilities().read(await answer.text());
const layer = new TileLayer({
  source: new WMTS(optionsFromCapabilities(capabilities, {
    layer: ${quote(layer.name)},
    matrixSet: ${quote(choice.grid)},
  })),
});${wmtsDimensions(layer, state)}`,
    QGIS: qgis(layer, wmts.capabilities, `Connect, open the tab “Tilesets” and pick “${layer.name}” with ${choice.grid}.`),
    curl: { text: `curl ${shell(wmts.capabilities)}`, note: 'The document that says where the tiles are' },
  };
}

// The capabilities' names begin with a capital.
function wmtsDimensions(layer, state) {
  const values = (layer.dimensions ?? []).map(({ name }) => `${quote(name.charAt(0).toUpperCase() + name.slice(1))}: ${quote(state.dimensions[name])}`);
  return values.length ? `\nlayer.getSource().updateDimensions({ ${values.join(', ')} });` : '';
}

function ofTiles(layer, choice) {
  // whole tiles begin at the grid's own corner, whichever one rows are counted from
  const flips = choice.native !== choice.origin;
  const row = choice.native === 'nw' ? (flips ? '${rows[z] - 1 - y}' : '${y}') : (flips ? '${rows[z] + y}' : '${-y - 1}');
  const corner = [choice.bbox[0], choice.bbox[choice.native === 'nw' ? 3 : 1]];
  const plain = isWebGrid(choice);
  return {
    OpenLayers: plain
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
${flips ? `\nconst rows = ${JSON.stringify(choice.rows).replaceAll(',', ', ')};` : ''}
const layer = new TileLayer({
  source: new TileImage({
    projection: ${quote(choice.srs)},
    tileGrid: new TileGrid({
      extent: ${JSON.stringify(choice.bbox).replaceAll(',', ', ')},
      origin: ${JSON.stringify(corner).replaceAll(',', ', ')},
      resolutions: ${JSON.stringify(choice.resolutions).replaceAll(',', ', ')},
      tileSize: ${JSON.stringify(choice.tile_size).replaceAll(',', ', ')},
    }),
    tileUrlFunction: ([z, x, y]) => \`${choice.url.replace('{z}', '${z}').replace('{x}', '${x}').replace('{y}', row)}\`,
  }),
});`,
    QGIS: plain
      ? `Layer > Add Layer > Add XYZ Layer… > New

  Name  ${title(layer)}
  URL   ${choice.origin === 'nw' ? choice.url : choice.url.replace('{y}', '{-y}')}`
      : layer.services.wmts
        ? { text: qgis(layer, layer.services.wmts.capabilities, `Connect, open the tab “Tilesets” and pick “${layer.name}” with ${choice.grid}.`), note: 'QGIS takes tiles of this grid from the WMTS' }
        : layer.services.wms
          ? { text: qgis(layer, layer.services.wms.capabilities, `Connect, then pick “${title(layer)}”.`), note: 'QGIS takes this layer from the WMS' }
          : { note: 'QGIS needs a WMTS or WMS for this grid; switch one on in the configuration.' },
    curl: `curl -o tile.${choice.format} \\
  ${shell(tileUrl(choice, 0, 0, 0))}`,
  };
}

// Tiles for programs that know one grid: those shown, or the layer's others if these are of another grid.
function webTiles(layer, choice) {
  const all = [choice, ...(layer.choices.tiles ?? [])].filter((each) => each.url);
  const grid = all.find((each) => isWebGrid(each) && each.origin === 'nw') ?? all.find(isWebGrid);
  if (!grid) return null;
  const tms = grid.origin !== 'nw';
  const size = grid.tile_size[0];
  // a TMS that begins with the second level calls it 0
  const offset = Math.round(Math.log2(156543.034 / (grid.resolutions[0] * size / 256)));
  const options = [tms && '  tms: true,', size !== 256 && `  tileSize: ${size},`, offset && `  zoomOffset: ${-offset},`, `  maxZoom: ${grid.resolutions.length - 1 + offset},`].filter(Boolean);
  return {
    note: grid === choice || isMercator(choice.srs) ? undefined : `Tiles of ${grid.grid}: web maps show Web Mercator`,
    Leaflet: `L.tileLayer(${quote(grid.url)}, {\n${options.join('\n')}\n}).addTo(map);`,
    MapLibre: maplibre(layer.name, grid.url, size, tms),
  };
}

function webMap(name, layer, wms, format, dimensions) {
  if (name === 'Leaflet') {
    return `L.tileLayer.wms(${quote(wms.url)}, {
  layers: ${quote(layer.name)},
  format: ${quote(format)},
  transparent: ${transparent(format)},
  version: ${quote(wms.version)},${dimensions.map(([key, value]) => `\n  ${key.toLowerCase()}: ${quote(value)},`).join('')}
}).addTo(map);`;
  }
  const axis = wms.version === '1.3.0' ? 'CRS' : 'SRS';
  const code = wms.srs.find((each) => each === 'EPSG:3857') ?? wms.srs.find(isMercator);
  return maplibre(layer.name, `${wms.url}?SERVICE=WMS&VERSION=${wms.version}&REQUEST=GetMap&LAYERS=${encodeURIComponent(layer.name)}&STYLES=&${axis}=${code}&BBOX={bbox-epsg-3857}&WIDTH=512&HEIGHT=512&FORMAT=${format}${transparent(format) ? '&TRANSPARENT=TRUE' : ''}${dimensions.map(([key, value]) => `&${key}=${encodeURIComponent(value)}`).join('')}`, 512);
}

function maplibre(name, template, size, tms = false) {
  return `map.addSource(${quote(name)}, {
  type: 'raster',
  tiles: [${quote(template)}],
  tileSize: ${size},${tms ? "\n  scheme: 'tms'," : ''}
});
map.addLayer({ id: ${quote(name)}, type: 'raster', source: ${quote(name)} });`;
}

function qgis(layer, url, then) {
  return `Layer > Add Layer > Add WMS/WMTS Layer… > New

  Name  ${title(layer)}
  URL   ${url}

${then}`;
}

function extension(format) {
  return { jpeg: 'jpg', png: 'png', gif: 'gif', webp: 'webp' }[format.replace('image/', '').split(';')[0]] ?? 'png';
}
