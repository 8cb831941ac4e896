// Serves the page by itself, to work on it: `npm run build && npm run preview -- http://127.0.0.1:8090` with the address
// of a running sample WMS (`cargo run -p mapproxy-tests --bin sample-wms 127.0.0.1:8090`).
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';

const sample = process.argv[2] ?? 'http://127.0.0.1:8090';
const port = Number(process.argv[3] ?? 8091);
const resolutions = Array.from({ length: 20 }, (_, level) => 156543.03392804097 / 2 ** level);
const edge = 20037508.342789244;
const layer = (name, title, extension) => ({
  name,
  title,
  extent: [-180, -85.06, 180, 85.06],
  services: {
    wms: {
      url: `${sample}/service`,
      version: '1.3.0',
      srs: ['EPSG:3857', 'EPSG:4326', 'EPSG:32632'],
      formats: ['image/png', 'image/jpeg'],
      queryable: true,
    },
    tiles: extension
      ? [{ grid: 'webmercator', srs: 'EPSG:3857', url: `${sample}/tiles/{z}/{x}/{y}.${extension}`, origin: 'nw', bbox: [-edge, -edge, edge, edge], resolutions, tile_size: [256, 256], format: extension }]
      : [],
  },
});
const description = {
  title: 'Sample maps',
  version: '0.1.0',
  layers: [
    layer('map', 'World map', 'png'), layer('photo', 'Terrain', 'jpeg'), layer('countries', 'Countries'),
    layer('borders', 'Borders'), layer('places', 'Places'), layer('graticule', 'Graticule'),
  ],
};

createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  const send = (type, body) => {
    response.writeHead(200, { 'content-type': type });
    response.end(body);
  };
  if (pathname === '/demo/') {
    const page = await readFile(new URL('index.html', import.meta.url), 'utf8');
    const json = JSON.stringify(description).replaceAll('</', '<\\/');
    send('text/html; charset=utf-8', page.replaceAll('{{title}}', description.title).replaceAll('{{base}}', '').replace('{{json}}', () => json));
  } else if (pathname.startsWith('/demo/static/demo.')) {
    const file = await readFile(new URL(`dist/${pathname.split('/').pop()}`, import.meta.url));
    send(pathname.endsWith('.css') ? 'text/css' : 'text/javascript', file);
  } else {
    response.writeHead(404);
    response.end();
  }
}).listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${port}/demo/`));
