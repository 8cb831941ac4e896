// The map: one layer of one service at a time, and what happens on it.
import OlMap from 'ol/Map.js';
import View from 'ol/View.js';
import Overlay from 'ol/Overlay.js';
import Zoom from 'ol/control/Zoom.js';
import ScaleLine from 'ol/control/ScaleLine.js';
import ImageLayer from 'ol/layer/Image.js';
import TileLayer from 'ol/layer/Tile.js';
import ImageWMS from 'ol/source/ImageWMS.js';
import TileImage from 'ol/source/TileImage.js';
import WMTS, { optionsFromCapabilities } from 'ol/source/WMTS.js';
import WMTSCapabilities from 'ol/format/WMTSCapabilities.js';
import TileGrid from 'ol/tilegrid/TileGrid.js';
import { applyTransform, containsCoordinate, getIntersection, getTopLeft, getBottomLeft, isEmpty } from 'ol/extent.js';
import { getTransform, transform } from 'ol/proj.js';
import { h, ICONS } from './dom.js';
import { edges } from './edges.js';
import { chosen, infoUrl } from './info.js';
import { tileUrl, title } from './layers.js';
import { isGlobal, isLocal, projection } from './projections.js';
import { reason, textOf } from './reason.js';

const COARSEST = 156543.03392804097;
const byId = (id) => document.getElementById(id);

export function createMap(description) {
  const popup = h('div', { class: 'popup', role: 'dialog', 'aria-label': 'What is here' });
  const overlay = new Overlay({ element: popup, positioning: 'bottom-center', offset: [0, -10], stopEvent: true, autoPan: { animation: { duration: 200 }, margin: 24 } });
  const map = new OlMap({
    target: byId('map'),
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
  let failed = 0;

  // the part of the window that the panel leaves free
  function padding() {
    const panel = byId('panel').getBoundingClientRect();
    const wide = window.innerWidth > 760;
    return wide ? [24, 24, 24, panel.right + 24] : [16, 16, window.innerHeight - panel.top + 16, 16];
  }

  function busy(change) {
    running = Math.max(0, running + change);
    byId('progress').classList.toggle('on', running > 0);
    document.body.classList.toggle('busy', running > 0);
  }

  // The card that says what went wrong: once for each layer, until a part of it arrives or it is closed.
  async function complain(summary, why) {
    const mine = generation;
    const card = byId('trouble');
    const text = h('p', {}, 'Asking why …');
    card.replaceChildren(
      ICONS.warning(),
      h('div', {}, h('strong', {}, summary), text,
        h('button', { type: 'button', class: 'again', onclick: () => { calm(); self.reload(); } }, 'Try again')),
      h('button', { type: 'button', class: 'plain', 'aria-label': 'Close', onclick: calm }, ICONS.close()),
    );
    card.hidden = false;
    const answer = await why;
    if (mine === generation) text.textContent = answer;
  }

  function calm() {
    failed = 0;
    byId('trouble').hidden = true;
  }

  function watch(source) {
    const mine = generation;
    const on = (type, listener) => source.on(type, (event) => mine === generation && listener(event));
    for (const kind of ['tile', 'image']) {
      on(`${kind}loadstart`, () => busy(1));
      on(`${kind}loadend`, () => busy(-1));
      on(`${kind}loaderror`, (event) => {
        busy(-1);
        failed += 1;
        const address = addresses.get(event.tile ?? event.image);
        if (failed === 1) complain(`${kind === 'tile' ? 'Some tiles' : 'The map'} could not be drawn`, reason(address));
      });
    }
    return source;
  }

  // what was asked for, to find out why it failed
  const addresses = new WeakMap();
  function load(part, address) {
    addresses.set(part, address);
    part.getImage().src = address;
  }

  // Longitude and latitude to map units, cut to where the projection makes sense.
  function extentOf({ extent: lonlat = [-180, -85.06, 180, 85.06], extents = {} }, choice) {
    if (isLocal(choice.srs)) return extents[choice.srs] ?? choice.bbox ?? [0, 0, 1e6, 1e6];
    const target = projection(choice.srs);
    const world = target.getWorldExtent() ?? [-180, -85.06, 180, 85.06];
    const degrees = target.getUnits() === 'degrees';
    const limit = degrees ? [-180, -90, 180, 90] : [world[0], Math.max(world[1], -85.06), world[2], Math.min(world[3], 85.06)];
    const cut = getIntersection(lonlat, limit);
    const extent = applyTransform(isEmpty(cut) ? limit : cut, getTransform('EPSG:4326', target), undefined, 8);
    return extent.every(Number.isFinite) ? extent : target.getExtent();
  }

  // what to show first of it: of the whole world, where people live
  function interesting(layer, choice) {
    const [west, south, east, north] = layer.extent ?? [];
    const whole = east - west > 350 && north - south > 150 && isGlobal(choice.srs);
    return extentOf(whole ? { extent: [-145, -50, 165, 74] } : layer, choice);
  }

  function wmsSource(layer, state, code) {
    const { name, services: { wms } } = layer;
    const params = { ...Object.fromEntries(chosen(layer, state)), LAYERS: name, FORMAT: state.format ?? 'image/png', STYLES: '', VERSION: wms.version };
    if (!params.FORMAT.startsWith('image/jpeg')) params.TRANSPARENT = 'TRUE';
    return watch(new ImageWMS({ url: wms.url, params, projection: code, ratio: 1.2, serverType: 'mapserver', hidpi: false, imageLoadFunction: load }));
  }

  function tilesSource(choice) {
    const north = choice.native === 'nw';
    const tileGrid = new TileGrid({
      extent: choice.bbox,
      origin: north ? getTopLeft(choice.bbox) : getBottomLeft(choice.bbox),
      resolutions: choice.resolutions,
      tileSize: choice.tile_size,
    });
    return watch(new TileImage({
      projection: choice.srs,
      tileGrid,
      wrapX: isGlobal(choice.srs),
      tileLoadFunction: load,
      tileUrlFunction: ([z, x, y]) => tileUrl(choice, z, x, row(choice, z, y)),
    }));
  }

  // OpenLayers counts rows downwards from its origin, so that rows above a lower left origin are negative.
  function row(choice, z, y) {
    const counted = choice.native === 'nw' ? y : -y - 1;
    return choice.native === choice.origin ? counted : choice.rows[z] - 1 - counted;
  }

  async function wmtsSource(layer, state, choice) {
    const { name, services: { wmts } } = layer;
    const url = wmts.capabilities;
    if (!capabilities.has(url)) {
      const answer = await fetch(url);
      if (!answer.ok) throw new Error(`status ${answer.status} for ${url}`);
      capabilities.set(url, new WMTSCapabilities().read(await answer.text()));
    }
    const options = optionsFromCapabilities(capabilities.get(url), { layer: name, matrixSet: choice.grid, projection: choice.srs });
    if (!options) throw new Error(`no layer ${name} in ${url}`);
    options.wrapX = isGlobal(choice.srs);
    // under the names that the capabilities have, which begin with a capital
    const values = new Map(chosen(layer, state));
    for (const key of Object.keys(options.dimensions ?? {})) options.dimensions[key] = values.get(key.toUpperCase()) ?? options.dimensions[key];
    return watch(new WMTS({ ...options, tileLoadFunction: load }));
  }

  function place(source, Kind, opacity) {
    if (layer) map.removeLayer(layer);
    layer = new Kind({ source, opacity });
    map.getLayers().insertAt(0, layer);
  }

  // Tile edges, with what is asked for written in each.
  function drawOutlines({ choice, state }) {
    if (outlines) map.removeLayer(outlines);
    outlines = null;
    const grid = state.outlines && layer?.getSource()?.getTileGrid?.();
    if (!grid) return;
    const counted = (z, y) => (state.service === 'wmts' ? y : row(choice, z, y));
    outlines = edges(grid, choice.srs, (z, x, y) => `${z} / ${x} / ${counted(z, y)}`);
    map.addLayer(outlines);
  }

  function setView(choice) {
    const view = map.getView();
    const before = view.getProjection();
    const code = projection(choice.srs);
    const options = { projection: code, multiWorld: true, center: [0, 0], resolution: 1 };
    if (isGlobal(choice.srs)) {
      // nothing to see north and south of the world
      const extent = code.getExtent();
      options.extent = [-Infinity, extent[1], Infinity, extent[3]];
      options.maxResolution = (extent[3] - extent[1]) / 256;
    }
    const goesOver = !isLocal(before.getCode()) && !isLocal(choice.srs);
    if (goesOver) {
      options.center = transform(view.getCenter(), before, code);
      options.resolution = (view.getResolution() * before.getMetersPerUnit()) / code.getMetersPerUnit();
    }
    map.setView(new View(options));
    return goesOver;
  }

  function fit(extent, duration) {
    map.updateSize();
    map.getView().fit(extent, { padding: padding(), size: map.getSize(), duration });
  }

  self.show = async (next, state, { fit: move }) => {
    const choice = next.choices[state.service][state.choice];
    const key = JSON.stringify([next.name, state.service, choice, state.format, state.dimensions]);
    const first = !self.shown;
    const same = self.shown?.key === key;
    self.shown = { layer: next, state, choice, key };
    if (same && layer) {
      layer.setOpacity(state.opacity);
      drawOutlines(self.shown);
      return;
    }
    generation += 1;
    const mine = generation;
    running = 0;
    busy(0);
    calm();
    overlay.setPosition(undefined);
    byId('credit').replaceChildren(...credits(next));
    let lost = false;
    if (first || map.getView().getProjection().getCode() !== choice.srs) lost = !setView(choice);
    const extent = extentOf(next, choice);
    if (move || lost || !containsCoordinate(inflate(extent), map.getView().getCenter())) fit(interesting(next, choice), first || lost ? 0 : 350);
    try {
      if (state.service === 'wms') {
        place(wmsSource(next, state, choice.srs), ImageLayer, state.opacity);
      } else if (state.service !== 'wmts') {
        place(tilesSource(choice), TileLayer, state.opacity);
      } else {
        const source = await wmtsSource(next, state, choice);
        if (mine !== generation) return;
        place(source, TileLayer, state.opacity);
      }
      drawOutlines(self.shown);
    } catch (error) {
      if (mine === generation) complain(`“${title(next)}” cannot be shown`, error.message);
    }
  };

  self.reload = () => {
    const { layer: shown, state } = self.shown;
    self.shown.key = null;
    self.show(shown, state, { fit: false });
  };

  function credits({ attribution }) {
    const own = attribution && (/^https?:/.test(attribution.url ?? '') ? h('a', { href: attribution.url, target: '_blank', rel: 'noopener' }, attribution.title) : attribution.title);
    const all = [own, description.attribution].filter(Boolean);
    byId('credit').hidden = !all.length;
    return all.flatMap((part, at) => (at ? [' · ', part] : [part]));
  }

  function inflate([minx, miny, maxx, maxy]) {
    const [w, t] = [(maxx - minx) / 2, (maxy - miny) / 2];
    return [minx - w, miny - t, maxx + w, maxy + t];
  }

  self.fit = () => {
    const { layer: shown, choice } = self.shown;
    fit(interesting(shown, choice), 350);
  };

  // Longitude, latitude (map units where those are out of reach) and a zoom level that means the same everywhere.
  self.position = () => {
    const view = map.getView();
    const code = view.getProjection();
    const center = isLocal(code.getCode()) ? view.getCenter() : transform(view.getCenter(), code, 'EPSG:4326');
    const metres = view.getResolution() * code.getMetersPerUnit();
    return { zoom: Math.log2(COARSEST / metres), center, srs: self.shown?.choice.grid ?? code.getCode() };
  };

  self.moveTo = ({ zoom, center }) => {
    const view = map.getView();
    const code = view.getProjection();
    map.updateSize();
    view.setResolution(COARSEST / 2 ** zoom / code.getMetersPerUnit());
    view.setCenter(isLocal(code.getCode()) ? center : transform(center, 'EPSG:4326', code));
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
    const own = point.map((v) => v.toFixed(code.getUnits() === 'degrees' ? 5 : 0)).join(', ');
    if (isLocal(code.getCode())) {
      byId('coordinates').textContent = own;
      return;
    }
    const [lon, lat] = transform(point, code, 'EPSG:4326');
    const degrees = (value, [plus, minus]) => `${Math.abs(value).toFixed(4)}° ${value < 0 ? minus : plus}`;
    const wrapped = ((((lon + 180) % 360) + 360) % 360) - 180;
    byId('coordinates').textContent = `${degrees(lat, 'NS')}  ${degrees(wrapped, 'EW')}${code.getUnits() === 'degrees' ? '' : `  ·  ${own}`}`;
  }

  // What is here? Only WMS can be asked.
  function tell(coordinate, ...content) {
    popup.replaceChildren(h('button', { type: 'button', class: 'plain', 'aria-label': 'Close', onclick: () => overlay.setPosition(undefined) }, ICONS.close()), ...content);
    overlay.setPosition(coordinate);
  }

  map.on('singleclick', async ({ coordinate, pixel }) => {
    overlay.setPosition(undefined);
    const { layer: shown, choice, state } = self.shown ?? {};
    const wms = shown?.services.wms;
    if (!wms?.queryable || !wms.info || !wms.srs.includes(choice.srs)) return;
    const mine = generation;
    tell(coordinate, h('p', { class: 'wait' }, 'Asking what is here …'));
    let content = null;
    try {
      const answer = await fetch(infoUrl(wms, shown.name, self.view(), pixel, chosen(shown, state)));
      const text = textOf(await answer.text(), answer.headers.get('content-type') ?? '');
      content = answer.ok && text ? h('pre', {}, text) : h('p', { class: 'wait' }, answer.ok ? 'Nothing is known about this place.' : text || `Status ${answer.status}`);
    } catch {
      content = h('p', { class: 'wait' }, 'The server did not answer.');
    }
    if (mine === generation && overlay.getPosition()) tell(coordinate, content);
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') overlay.setPosition(undefined);
  });

  return self;
}
