// Reference systems that the page can show: what OpenLayers knows by itself (4326, 3857 and its elder names, all UTM
// zones on WGS 84), the UTM zones on ETRS89, which lie within a metre of those, and any other one that the server has:
// of those the page does not know where on earth they are, only where the server says that its layers lie.
import Projection from 'ol/proj/Projection.js';
import { addCoordinateTransforms, addProjection, get, getTransform } from 'ol/proj.js';

const local = new Set();

for (let zone = 28; zone <= 38; zone += 1) {
  const code = `EPSG:258${zone}`;
  const twin = `EPSG:326${zone}`;
  if (!get(twin)) continue;
  addProjection(new Projection({ code, units: 'm', extent: get(twin).getExtent() }));
  for (const other of ['EPSG:4326', 'EPSG:3857']) {
    const there = getTransform(other, twin);
    const back = getTransform(twin, other);
    addCoordinateTransforms(other, code, (point) => there(point.slice()), (point) => back(point.slice()));
  }
}

export function register(systems = {}) {
  for (const [code, { degrees, north_first: north }] of Object.entries(systems)) {
    if (projection(code)) continue;
    addProjection(new Projection({ code, units: degrees ? 'degrees' : 'm', axisOrientation: north ? 'neu' : 'enu' }));
    local.add(code);
  }
}

export function projection(code) {
  try {
    return get(code);
  } catch {
    return null;
  }
}

// Whether longitude and latitude are out of reach.
export function isLocal(code) {
  return local.has(code);
}

// Whether the world repeats itself to the east and west, and ends in the north and south.
export function isGlobal(code) {
  return projection(code)?.isGlobal() ?? false;
}
