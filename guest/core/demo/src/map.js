// The map: one layer of one service at a time, and what happens on it.
import OlMap from 'ol/Map.js';
import View from 'ol/View.js';
import Overlay from 'ol/Overlay.js';
import Zoom from 'ol/control/Zoom.js';
import ScaleLine from 'ol/control/ScaleLine.js';
import ImageLayer from 'ol/layer/Image.js';
import TileLayer from 'ol/layer/Tile.js';
import ImageWMS from 'ol/source/ImageWMS.js';
import TileWMS from 'ol/source/TileWMS.js';
import TileDebug from 'ol/source/TileDebug.js';
import TileImage from 'ol/source/TileImage.js';
import WMTS, { optionsFromCapabilities } from 'ol/source/WMTS.js';
import WMTSCapabilities from 'ol/format/WMTSCapabilities.js';
import TileGrid from 'ol/tilegrid/TileGrid.js';
import { applyTransform, containsExtent, getIntersection, getTopLeft, getBottomLeft, isEmpty } from 'ol/extent.js';
import { getTransform, transform } from 'ol/proj.js';
import { projection } from './projections.js';

export function createMap({ target, progress, coordinates, toast }) {
  const popup = document.createElement('div');
  popup.className = 'popup';
  const overlay = new Overlay({ element: popup, positioning: 'bottom-center', offset: [0, -10], stopEvent: true });
  const map = new OlMap({
    target,
    controls: [
      new Zoom({ zoomInTipLabel: 'Zoom in', zoomOutTipLabel: 'Zoom out' }),
      new ScaleLine({ minWidth: 90 }),
    ],
    overlays: [overlay],
    view: new View({ center: [0, 0], zoom: 1, multiWorld: true }),
  });
  const capabilities = new Map();
  const listeners = [];
  const self = { shown: null };
  let layer = null;
  let outlines = null;
  let running = 0;
  let generation = 0;

  // the part of the window that the panel leaves free
  function padding() {
    const panel = document.getElementById('panel').getBoundingClientRect();
    const wide = window.innerWidth > 760;
    return wide ? [24, 24, 24, panel.right + 24] : [16, 16, window.innerHeight - panel.top + 16, 16];
  }

  function busy(change) {
    running = Math.max(0, running + change);
    progress.classList.toggle('on', running > 0);
  }

  function watch(source) {
    const mine = generation;
    const on = (type, listener) => source.on(type, (event) => mine === generation && listener(event));
    for (const kind of ['tile', 'image']) {
      on(`${kind}loadstart`, () => busy(1));
      on(`${kind}loadend`, () => busy(-1));
      on(`${kind}loaderror`, () => {
        busy(-1);
        say('The server did not answer a part of the map. Its log says why.');
      });
    }
    return source;
  }

  let hush = null;
  function say(text) {
    toast.textContent = text;
    toast.classList.add('on');
    clearTimeout(hush);
    hush = setTimeout(() => toast.classList.remove('on'), 5000);
  }

  // Longitude and latitude to map units, cut to where the projection makes sense.
  function extentIn(lonlat, code) {
    const target = projection(code);
    // of the whole world, show first where people live
    if (lonlat[2] - lonlat[0] > 350 && lonlat[3] - lonlat[1] > 150) lonlat = [-145, -52, 165, 76];
    const world = target.getWorldExtent() ?? [-180, -85.06, 180, 85.06];
    const limit = code === 'EPSG:4326' || code === 'CRS:84' ? [-180, -90, 180, 90] : [world[0], Math.max(world[1], -85.06), world[2], Math.min(world[3], 85.06)];
    const cut = getIntersection(lonlat, limit);
    const extent = applyTransform(isEmpty(cut) ? limit : cut, getTransform('EPSG:4326', target), undefined, 8);
    return extent.every(Number.isFinite) ? extent : target.getExtent();
  }

  function wmsSource(layer, state, code) {
    const { url, version } = layer.services.wms;
    const params = { LAYERS: layer.name, FORMAT: state.format, STYLES: '', VERSION: version ?? '1.1.1' };
    if (state.format.startsWith('image/png')) params.TRANSPARENT = 'TRUE';
    return watch(new ImageWMS({ url, params, projection: code, ratio: 1.2, serverType: 'mapserver', hidpi: false }));
  }

  function tilesSource(grid) {
    const north = grid.origin === 'nw';
    const tileGrid = new TileGrid({
      extent: grid.bbox,
      origin: north ? getTopLeft(grid.bbox) : getBottomLeft(grid.bbox),
      resolutions: grid.resolutions,
      tileSize: grid.tile_size ?? [256, 256],
    });
    // OpenLayers counts rows downwards from its origin, so that rows above a lower left origin are negative
    const row = (y) => (north ? y : -y - 1);
    return watch(new TileImage({
      projection: grid.srs,
      tileGrid,
      wrapX: true,
      tileUrlFunction: ([z, x, y]) => grid.url.replace('{z}', z).replace('{x}', x).replace('{y}', row(y)),
    }));
  }

  async function wmtsSource(layer, set) {
    const url = layer.services.wmts.capabilities;
    if (!capabilities.has(url)) {
      const answer = await fetch(url);
      if (!answer.ok) throw new Error(`status ${answer.status} for ${url}`);
      capabilities.set(url, new WMTSCapabilities().read(await answer.text()));
    }
    const options = optionsFromCapabilities(capabilities.get(url), { layer: layer.name, matrixSet: set.name });
    if (!options) throw new Error(`no layer ${layer.name} in ${url}`);
    return watch(new WMTS({ ...options, wrapX: true }));
  }

  function place(source, Kind, opacity) {
    if (layer) map.removeLayer(layer);
    layer = new Kind({ source, opacity });
    map.getLayers().insertAt(0, layer);
  }

  // Tile edges, with what is asked for written in each.
  function drawOutlines(on, source) {
    if (outlines) map.removeLayer(outlines);
    outlines = null;
    const grid = on && source?.getTileGrid?.();
    if (!grid) return;
    outlines = new TileLayer({
      source: new TileDebug({ tileGrid: grid, projection: source.getProjection(), wrapX: false, template: 'z {z}   x {x}   y {y}' }),
      zIndex: 10,
    });
    map.addLayer(outlines);
  }

  function setProjection(code) {
    const view = map.getView();
    const before = view.getProjection();
    if (before.getCode() === code) return;
    const center = transform(view.getCenter(), before, code);
    const scale = projection(code).getMetersPerUnit() / before.getMetersPerUnit();
    map.setView(new View({
      projection: code,
      center,
      resolution: view.getResolution() / scale,
      maxResolution: code === 'EPSG:4326' ? 1.40625 : undefined,
      multiWorld: true,
    }));
  }

  function fit(extent, duration) {
    map.updateSize();
    map.getView().fit(extent, { padding: padding(), size: map.getSize(), duration });
  }

  self.show = async (next, state, { fit: move }) => {
    generation += 1;
    const mine = generation;
    running = 0;
    busy(0);
    overlay.setPosition(undefined);
    const choice = next.choices[state.service][state.choice];
    const first = !self.shown;
    const same = self.shown && self.shown.key === JSON.stringify([next.name, state.service, choice, state.format]);
    self.shown = { layer: next, state, choice, key: JSON.stringify([next.name, state.service, choice, state.format]) };
    if (first || map.getView().getProjection().getCode() !== choice.srs) {
      setProjection(choice.srs);
    }
    const extent = extentIn(next.extent ?? [-180, -85.06, 180, 85.06], choice.srs);
    if (move || !containsExtent(inflate(extent), [...map.getView().getCenter(), ...map.getView().getCenter()])) fit(extent, first ? 0 : 350);
    if (same && layer) {
      layer.setOpacity(state.opacity);
      drawOutlines(state.outlines, layer.getSource());
      return;
    }
    try {
      if (state.service === 'wms') {
        place(wmsSource(next, state, choice.srs), ImageLayer, state.opacity);
      } else if (state.service === 'tiles') {
        place(tilesSource(choice), TileLayer, state.opacity);
      } else {
        const source = await wmtsSource(next, choice);
        if (mine !== generation) return;
        place(source, TileLayer, state.opacity);
      }
      drawOutlines(state.outlines, layer.getSource());
    } catch (error) {
      say(`The layer cannot be shown: ${error.message}`);
    }
  };

  function inflate([minx, miny, maxx, maxy]) {
    const [w, h] = [(maxx - minx) / 2, (maxy - miny) / 2];
    return [minx - w, miny - h, maxx + w, maxy + h];
  }

  self.fit = () => {
    const { layer: shown, choice } = self.shown;
    fit(extentIn(shown.extent ?? [-180, -85.06, 180, 85.06], choice.srs), 350);
  };

  // Longitude, latitude and a zoom level that means the same in every projection.
  self.position = () => {
    const view = map.getView();
    const code = view.getProjection();
    const center = transform(view.getCenter(), code, 'EPSG:4326');
    const metres = view.getResolution() * code.getMetersPerUnit();
    return { zoom: Math.log2(156543.03392804097 / metres), center, srs: self.shown?.choice.srs ?? code.getCode() };
  };

  self.moveTo = ({ zoom, center }) => {
    const view = map.getView();
    view.setCenter(transform(center, 'EPSG:4326', view.getProjection()));
    view.setResolution(156543.03392804097 / 2 ** zoom / view.getProjection().getMetersPerUnit());
  };

  // The visible extent in the view's own reference system and its size, for links and snippets.
  self.view = () => {
    const [width, height] = map.getSize() ?? [800, 600];
    return { extent: map.getView().calculateExtent([width, height]), width, height, srs: map.getView().getProjection().getCode() };
  };

  self.onMove = (listener) => listeners.push(listener);
  map.on('moveend', () => listeners.forEach((listener) => listener()));

  map.on('pointermove', ({ coordinate }) => showCoordinates(coordinate));
  function showCoordinates(point) {
    const code = map.getView().getProjection();
    const [lon, lat] = transform(point, code, 'EPSG:4326');
    const degrees = (value, [plus, minus]) => `${Math.abs(value).toFixed(4)}° ${value < 0 ? minus : plus}`;
    const digits = code.getUnits() === 'degrees' ? 5 : 0;
    const own = code.getUnits() === 'degrees' ? '' : `  ·  ${point.map((v) => v.toFixed(digits)).join(', ')}`;
    const wrapped = ((((lon + 180) % 360) + 360) % 360) - 180;
    coordinates.textContent = `${degrees(lat, 'NS')}  ${degrees(wrapped, 'EW')}${own}`;
  }

  // What is here? Only WMS can be asked.
  map.on('singleclick', async ({ coordinate }) => {
    overlay.setPosition(undefined);
    const { layer: shown, choice } = self.shown ?? {};
    const wms = shown?.services.wms;
    if (!wms?.queryable || !wms.srs.includes(choice.srs)) return;
    const source = new TileWMS({ url: wms.url, params: { LAYERS: shown.name, VERSION: wms.version ?? '1.1.1', STYLES: '' }, projection: choice.srs });
    const url = source.getFeatureInfoUrl(coordinate, map.getView().getResolution(), choice.srs, { INFO_FORMAT: 'text/plain', FEATURE_COUNT: 5 });
    try {
      const answer = await fetch(url);
      const text = (await answer.text()).trim();
      if (!answer.ok || !text || text.startsWith('<')) return;
      popup.textContent = text;
      overlay.setPosition(coordinate);
    } catch {
      say('The server did not answer what is here.');
    }
  });

  return self;
}
