// The demo page: reads the description that the server put into the page, see README.md.
import 'ol/ol.css';
import './demo.css';
import { createMap } from './map.js';
import { createPanel } from './panel.js';
import { fromHash, toHash } from './address.js';
import { projection } from './projections.js';

const description = JSON.parse(document.getElementById('mapproxy').textContent);

// What the page can show of each layer: the services it has, in the order of preference, with their choices.
const SERVICES = { wmts: 'WMTS', tiles: 'XYZ', wms: 'WMS' };

function choices(layer) {
  const { wms, wmts, tiles } = layer.services ?? {};
  const found = {};
  if (wmts?.matrix_sets?.length) {
    const sets = wmts.matrix_sets.filter((set) => projection(set.srs));
    if (sets.length) found.wmts = sets.map((set) => ({ ...set, label: `${set.name} (${set.srs.replace("EPSG:", "")})` }));
  }
  if (tiles?.length) {
    const grids = tiles.filter((grid) => projection(grid.srs));
    if (grids.length) found.tiles = grids.map((grid) => ({ ...grid, label: `${grid.grid} (${grid.srs.replace("EPSG:", "")})` }));
  }
  if (wms) {
    const known = wms.srs.filter((code) => projection(code));
    if (known.length) found.wms = known.map((code) => ({ srs: code, label: code }));
  }
  return found;
}

const layers = (description.layers ?? [])
  .map((layer) => ({ ...layer, choices: choices(layer) }))
  .filter((layer) => Object.keys(layer.choices).length);

const map = createMap({
  target: document.getElementById('map'),
  progress: document.getElementById('progress'),
  coordinates: document.getElementById('coordinates'),
  toast: document.getElementById('toast'),
});

const state = { layer: null, service: null, choice: 0, format: null, opacity: 1, outlines: false };

// Brings the state into a shape that the layer can show, then shows it.
function update(change = {}) {
  Object.assign(state, change);
  const layer = layers.find((each) => each.name === state.layer) ?? layers[0];
  if (!layer) return;
  const switched = layer.name !== map.shown?.layer.name;
  state.layer = layer.name;
  if (!layer.choices[state.service]) state.service = Object.keys(SERVICES).find((key) => layer.choices[key]);
  const list = layer.choices[state.service];
  if (state.srs) {
    const at = list.findIndex((each) => each.srs === state.srs || each.name === state.srs || each.grid === state.srs);
    state.choice = Math.max(at, 0);
    delete state.srs;
  }
  if (!list[state.choice]) state.choice = 0;
  const formats = state.service === 'wms' ? (layer.services.wms.formats ?? ['image/png']) : [];
  if (!formats.includes(state.format)) state.format = formats[0] ?? null;
  map.show(layer, state, { fit: switched && !state.view });
  panel.render(layer, state, formats);
  remember();
}

function remember() {
  const hash = toHash(state, map.position());
  if (hash !== location.hash) history.replaceState(null, '', hash);
}

const panel = createPanel(document.getElementById('panel'), { description, layers, SERVICES, update, map });

if (layers.length) {
  const start = location.hash ? fromHash(location.hash) : { ...description.show };
  state.view = start.view;
  update(start);
  if (start.view) map.moveTo(start.view);
  delete state.view;
  map.onMove(remember);
} else {
  panel.renderEmpty();
}
