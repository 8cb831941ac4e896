// One layer of the proxy in one map library: /map.html?library=leaflet&service=wms&proxy=http://127.0.0.1:8080
// `window.ready` becomes true when everything that was asked for is drawn. The map is 512 pixels wide and high, at the
// resolution of level 3 of Web Mercator, around a corner of its tiles, so that maps of the WMS fit pixel by pixel.
const params = new URLSearchParams(location.search);
const proxy = params.get('proxy');
const service = params.get('service');
const CENTER = [45, 40.979898069620134];
const LEVEL = 3;
const TILES = `${proxy}/tiles/world/webmercator/{z}/{x}/{y}.png`;
// level 0 of a TMS in the profile global-mercator is level 1 of others
const TMS = `${proxy}/tms/1.0.0/world/webmercator`;
const WMS = `${proxy}/service`;

function style(path) {
  const link = document.createElement('link');
  Object.assign(link, { rel: 'stylesheet', href: path });
  document.head.append(link);
  return new Promise((done) => { link.onload = done; });
}

function script(path) {
  const element = document.createElement('script');
  element.src = path;
  document.head.append(element);
  return new Promise((done) => { element.onload = done; });
}

function ready() {
  window.ready = true;
}

const libraries = {
  async openlayers() {
    await script('/ol/ol.js');
    const { ol } = window;
    const view = new ol.View({ center: ol.proj.fromLonLat(CENTER), resolution: 156543.03392804097 / 2 ** LEVEL });
    const layers = {
      wms: () => new ol.layer.Image({ source: new ol.source.ImageWMS({ url: WMS, params: { LAYERS: 'world', VERSION: '1.3.0' }, ratio: 1 }) }),
      'tiled-wms': () => new ol.layer.Tile({ source: new ol.source.TileWMS({ url: WMS, params: { LAYERS: 'world', VERSION: '1.1.1' } }) }),
      xyz: () => new ol.layer.Tile({ source: new ol.source.XYZ({ url: TILES }) }),
      tms: () => new ol.layer.Tile({ source: new ol.source.XYZ({ minZoom: 1, tileUrlFunction: ([z, x, y]) => `${TMS}/${z - 1}/${x}/${2 ** z - 1 - y}.png` }) }),
      wmts: async () => {
        const answer = await fetch(`${proxy}/wmts/1.0.0/WMTSCapabilities.xml`);
        const capabilities = new ol.format.WMTSCapabilities().read(await answer.text());
        return new ol.layer.Tile({ source: new ol.source.WMTS(ol.source.WMTS.optionsFromCapabilities(capabilities, { layer: 'world', matrixSet: 'webmercator' })) });
      },
      'wmts-kvp': async () => {
        const answer = await fetch(`${WMS}?SERVICE=WMTS&REQUEST=GetCapabilities`);
        const capabilities = new ol.format.WMTSCapabilities().read(await answer.text());
        return new ol.layer.Tile({ source: new ol.source.WMTS(ol.source.WMTS.optionsFromCapabilities(capabilities, { layer: 'world', matrixSet: 'webmercator', requestEncoding: 'KVP' })) });
      },
    };
    const map = new ol.Map({ target: 'map', view, controls: [], layers: [await layers[service]()] });
    map.once('rendercomplete', ready);
  },

  async leaflet() {
    await Promise.all([style('/leaflet/leaflet.css'), script('/leaflet/leaflet.js')]);
    const { L } = window;
    const map = L.map('map', { zoomControl: false, attributionControl: false, fadeAnimation: false, zoomAnimation: false });
    map.setView([CENTER[1], CENTER[0]], LEVEL);
    const layers = {
      wms: () => L.tileLayer.wms(WMS, { layers: 'world', format: 'image/png', version: '1.3.0' }),
      xyz: () => L.tileLayer(TILES),
      tms: () => L.tileLayer(`${TMS}/{z}/{x}/{y}.png`, { tms: true, zoomOffset: -1, minZoom: 1 }),
    };
    layers[service]().on('load', ready).addTo(map);
  },

  async maplibre() {
    await style('/maplibre/maplibre-gl.css');
    const { Map: LibreMap } = await import('/maplibre/maplibre-gl.mjs');
    const tiles = {
      wms: `${WMS}?SERVICE=WMS&VERSION=1.3.0&REQUEST=GetMap&LAYERS=world&STYLES=&CRS=EPSG:3857&BBOX={bbox-epsg-3857}&WIDTH=256&HEIGHT=256&FORMAT=image/png`,
      xyz: TILES,
      tms: `${TILES}?origin=sw`,
    }[service];
    const source = { type: 'raster', tiles: [tiles], tileSize: 256, scheme: service === 'tms' ? 'tms' : 'xyz' };
    const map = new LibreMap({
      container: 'map', center: CENTER, zoom: LEVEL - 1, attributionControl: false, fadeDuration: 0,
      style: { version: 8, sources: { world: source }, layers: [{ id: 'world', type: 'raster', source: 'world', paint: { 'raster-fade-duration': 0 } }] },
    });
    map.once('idle', ready);
  },
};

await libraries[params.get('library')]();
