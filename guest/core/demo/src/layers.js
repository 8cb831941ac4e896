// What the server says about layers, worked out for the page: each layer with its services, each service with choices.
import { projection } from './projections.js';

// in the order of preference
export const SERVICES = { wmts: 'WMTS', tiles: 'XYZ', tms: 'TMS', wms: 'WMS' };

export function expand(description) {
  const { base, wms, wmts, grids = {} } = description;
  return (description.layers ?? []).map((layer) => {
    const onGrids = (layer.tiles ?? []).map((tiles) => ({ ...grids[tiles.grid], ...tiles, native: grids[tiles.grid]?.origin }));
    const services = {};
    const choices = {};
    if (wmts && onGrids.some((tiles) => tiles.wmts)) {
      services.wmts = layer.dimensions && wmts.kvp ? { capabilities: wmts.kvp } : wmts;
      choices.wmts = onGrids.filter((tiles) => tiles.wmts);
    }
    const tms = onGrids.filter((tiles) => tiles.tms);
    if (tms.length) {
      choices.tiles = tms.map((tiles) => {
        // everyone counts rows from the north; the server does too where it can
        const asks = tiles.tms.origin !== 'nw' && tiles.tms.nw;
        return { ...tiles, url: `${base}/tiles/${tiles.tms.path}/{z}/{x}/{y}.${tiles.format}${asks ? '?origin=nw' : ''}`, origin: asks ? 'nw' : tiles.tms.origin };
      });
      choices.tms = tms.map((tiles) => ({
        ...tiles,
        url: `${base}/tms/1.0.0/${tiles.tms.path}/{z}/{x}/{y}.${tiles.format}`,
        document: `${base}/tms/1.0.0/${tiles.tms.path}`,
        origin: 'sw',
        resolutions: tiles.resolutions.slice(tiles.tms_skips_first ? 1 : 0),
        rows: tiles.rows.slice(tiles.tms_skips_first ? 1 : 0),
      }));
    }
    if (wms && layer.wms) {
      services.wms = { ...wms, ...layer.wms, systems: description.systems };
      choices.wms = wms.srs.map((srs) => ({ srs }));
    }
    const shown = {};
    for (const [service, list] of Object.entries(choices)) {
      const known = list.filter((choice) => projection(choice.srs));
      if (known.length) shown[service] = known;
    }
    const kml = onGrids.find((tiles) => tiles.kml)?.kml;
    return { ...layer, services, choices: shown, kml: kml && base + kml };
  }).filter((layer) => Object.keys(layer.choices).length);
}

// Only these two let a client choose a value.
export function hasDimensions(layer, service) {
  return Boolean(layer.dimensions?.length) && (service === 'wms' || service === 'wmts');
}

// The address of a tile; row counts the way the choice does.
export function tileUrl(choice, z, x, row) {
  return choice.url.replace('{z}', z).replace('{x}', x).replace('{y}', row);
}

export function title(layer) {
  return layer.title || layer.name;
}
