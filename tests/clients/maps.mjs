// Map libraries in Chromium: node maps.mjs PROXY FOLDER writes a picture for each way that each library has, named
// LIBRARY-SERVICE.png, and fails when one complains or asks another server.
import { createServer } from 'node:http';
import { readFile, writeFile } from 'node:fs/promises';
import { open } from './browser.mjs';

const WAYS = {
  openlayers: ['wms', 'tiled-wms', 'wmts', 'wmts-kvp', 'xyz', 'tms'],
  leaflet: ['wms', 'xyz', 'tms'],
  maplibre: ['wms', 'xyz', 'tms'],
};
const FOLDERS = {
  ol: '../../guest/core/demo/node_modules/ol/dist',
  leaflet: 'node_modules/leaflet/dist',
  maplibre: 'node_modules/maplibre-gl/dist',
};
const TYPES = { html: 'text/html', css: 'text/css', js: 'text/javascript', mjs: 'text/javascript' };

const [proxy, folder] = process.argv.slice(2);
const server = createServer(async ({ url }, answer) => {
  const { pathname } = new URL(url, 'http://localhost');
  const [, first, rest] = /^\/(?:(ol|leaflet|maplibre)\/)?([\w.-]+)$/.exec(pathname) ?? [];
  try {
    const content = await readFile(new URL(first ? `${FOLDERS[first]}/${rest}` : rest, import.meta.url));
    answer.writeHead(200, { 'content-type': TYPES[rest.split('.').pop()] ?? 'application/octet-stream' });
    answer.end(content);
  } catch {
    answer.writeHead(404).end();
  }
});
await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
const here = `http://127.0.0.1:${server.address().port}`;

const browser = await open({ width: 512, height: 512 });
try {
  for (const [library, services] of Object.entries(WAYS)) {
    for (const service of services) {
      await browser.go(`${here}/map.html?${new URLSearchParams({ library, service, proxy })}`);
      await browser.until('window.ready === true');
      await writeFile(`${folder}/${library}-${service}.png`, await browser.screenshot());
      if (browser.problems.length) throw new Error(`${library} ${service}: ${browser.problems.join('\n')}`);
    }
  }
  const foreign = browser.requests.filter((url) => /^https?:/.test(url) && !url.startsWith(here) && !url.startsWith(proxy));
  if (foreign.length) throw new Error(`asked other servers: ${foreign.join(' ')}`);
} finally {
  await browser.close();
  server.close();
  server.closeAllConnections();
}
