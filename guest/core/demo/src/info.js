// Requests of WMS: the map that is visible, what is at a pixel of it, and its legend.

// Parameters and values of a layer's dimensions.
export function chosen(layer, { dimensions }) {
  return (layer.dimensions ?? []).map(({ name }) => [name.toUpperCase(), dimensions[name]]);
}

function common(wms, name, view, more = []) {
  const v130 = wms.version === '1.3.0';
  const [minx, miny, maxx, maxy] = view.extent.map((v) => Number(v.toPrecision(12)));
  const bbox = v130 && wms.systems[view.srs]?.north_first ? [miny, minx, maxy, maxx] : [minx, miny, maxx, maxy];
  return [
    `LAYERS=${encodeURIComponent(name)}`, 'STYLES=', `${v130 ? 'CRS' : 'SRS'}=${view.srs}`, `BBOX=${bbox.join(',')}`,
    `WIDTH=${Math.round(view.width)}`, `HEIGHT=${Math.round(view.height)}`,
    ...more.map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`),
  ];
}

function address(wms, request, params) {
  const first = wms.version === '1.0.0' ? 'WMTVER=1.0.0' : `SERVICE=WMS&VERSION=${wms.version}`;
  return `${wms.url}?${[first, `REQUEST=${request}`, ...params].join('&')}`;
}

// `more`: dimensions, as `chosen` gives them
export function mapUrl(wms, name, view, format, more) {
  const params = [...common(wms, name, view, more), `FORMAT=${encodeURIComponent(format).replaceAll('%2F', '/')}`];
  if (!format.startsWith('image/jpeg')) params.push('TRANSPARENT=TRUE');
  return address(wms, 'GetMap', params);
}

export function infoUrl(wms, name, view, [x, y], more) {
  const [i, j] = wms.version === '1.3.0' ? ['I', 'J'] : ['X', 'Y'];
  return address(wms, 'GetFeatureInfo', [
    ...common(wms, name, view, more), `QUERY_LAYERS=${encodeURIComponent(name)}`, `${i}=${Math.round(x)}`, `${j}=${Math.round(y)}`,
    `INFO_FORMAT=${wms.info}`, 'FEATURE_COUNT=5',
  ]);
}

export function legendUrl(wms, name) {
  return address(wms, 'GetLegendGraphic', [`LAYER=${encodeURIComponent(name)}`, 'FORMAT=image/png', 'STYLE=', 'SLD_VERSION=1.1.0']);
}
