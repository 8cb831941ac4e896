// The demo page: reads the description that the server put into the page, see README.md.
import 'ol/ol.css';
import './demo.css';
import { createMap } from './map.js';
import { createPanel } from './panel.js';
import { fromHash, toHash } from './address.js';
import { expand, SERVICES } from './layers.js';
import { register } from './projections.js';

const description = JSON.parse(document.getElementById('mapproxy').textContent);
register(description.systems);
const layers = expand(description);
const byName = new Map(layers.map((layer) => [layer.name, layer]));

const map = createMap(description);
const state = { layer: null, service: null, choice: 0, format: null, dimensions: {}, opacity: 1, outlines: false };

// Brings the state into a shape that the layer can show, then shows it.
function update(change = {}) {
  Object.assign(state, change);
  const layer = byName.get(state.layer) ?? layers[0];
  if (!layer) return;
  const switched = layer.name !== map.shown?.layer.name;
  state.layer = layer.name;
  if (!layer.choices[state.service]) state.service = Object.keys(SERVICES).find((key) => layer.choices[key]);
  const list = layer.choices[state.service];
  if (state.srs) {
    const at = list.findIndex((each) => each.grid === state.srs || each.srs === state.srs);
    state.choice = Math.max(at, 0);
    delete state.srs;
  }
  if (!list[state.choice]) state.choice = 0;
  // a value that another layer had, if this one has it too
  state.dimensions = Object.fromEntries((layer.dimensions ?? [])
    .map(({ name, values, default: usual }) => [name, values.includes(state.dimensions[name]) ? state.dimensions[name] : usual]));
  const formats = state.service === 'wms' ? layer.services.wms.formats : [];
  state.format = formats.find((format) => format === state.format || format === `image/${state.format}`) ?? formats[0] ?? null;
  map.show(layer, state, { fit: switched && !state.view });
  panel.render(layer, state, formats);
  remember();
}

function remember() {
  const hash = toHash(state, map.position());
  if (hash !== location.hash) history.replaceState(null, '', hash);
}

function follow(start) {
  state.view = start.view;
  update(start);
  if (start.view) map.moveTo(start.view);
  delete state.view;
}

const panel = createPanel({ description, layers, update, map });

if (layers.length) {
  follow(location.hash ? fromHash(location.hash) : { ...description.show });
  map.onMove(remember);
  window.addEventListener('hashchange', () => follow(fromHash(location.hash)));
} else {
  panel.renderEmpty();
}
