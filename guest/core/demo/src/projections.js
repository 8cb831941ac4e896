// Reference systems that the page can show: what OpenLayers knows by itself (4326, 3857 and its elder names, all UTM
// zones on WGS 84), and the UTM zones on ETRS89, which lie within a metre of those.
import Projection from 'ol/proj/Projection.js';
import { addCoordinateTransforms, addProjection, get, getTransform } from 'ol/proj.js';

for (let zone = 28; zone <= 38; zone += 1) {
  const code = `EPSG:258${zone}`;
  const twin = `EPSG:326${zone}`;
  if (!get(twin)) continue;
  addProjection(new Projection({ code, units: 'm', extent: get(twin).getExtent() }));
  const there = getTransform('EPSG:4326', twin);
  const back = getTransform(twin, 'EPSG:4326');
  addCoordinateTransforms('EPSG:4326', code, (point) => there(point.slice()), (point) => back(point.slice()));
  const near = getTransform('EPSG:3857', twin);
  const far = getTransform(twin, 'EPSG:3857');
  addCoordinateTransforms('EPSG:3857', code, (point) => near(point.slice()), (point) => far(point.slice()));
}

export function projection(code) {
  try {
    return get(code);
  } catch {
    return null;
  }
}
