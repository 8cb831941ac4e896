// The page's state in the address, so that a view can be sent to somebody: #layer=osm&service=wms&srs=EPSG:3857&view=4/52.1/8.2
export function fromHash(hash) {
  const params = new URLSearchParams(hash.replace(/^#/, ''));
  const state = {};
  for (const name of ['layer', 'service', 'srs', 'format']) {
    if (params.get(name)) state[name] = params.get(name);
  }
  // `dim.time=2020`
  const dimensions = [...params].filter(([name]) => name.startsWith('dim.'));
  if (dimensions.length) state.dimensions = Object.fromEntries(dimensions.map(([name, value]) => [name.slice(4), value]));
  const opacity = Number(params.get('opacity') ?? 1);
  if (opacity >= 0 && opacity <= 1) state.opacity = opacity;
  const view = (params.get('view') ?? '').split('/').map(Number);
  if (view.length === 3 && view.every(Number.isFinite)) state.view = { zoom: view[0], center: [view[2], view[1]] };
  return state;
}

export function toHash(state, { zoom, center, srs }) {
  const params = [`layer=${encodeURIComponent(state.layer)}`, `service=${state.service}`, `srs=${encodeURIComponent(srs).replace('%3A', ':')}`];
  if (state.format) params.push(`format=${state.format}`);
  for (const [name, value] of Object.entries(state.dimensions)) params.push(`dim.${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  if (state.opacity < 1) params.push(`opacity=${state.opacity}`);
  params.push(`view=${zoom.toFixed(2)}/${center[1].toFixed(4)}/${center[0].toFixed(4)}`);
  return `#${params.join('&')}`;
}
