// To work on the page: serves script and style from dist/ as they are now, and everything else from a running proxy.
// `npm run build && npm run preview -- http://127.0.0.1:8080`, then open http://127.0.0.1:8091/demo/.
import { createServer, request } from 'node:http';
import { readFile } from 'node:fs/promises';

const proxy = new URL(process.argv[2] ?? 'http://127.0.0.1:8080');
const port = Number(process.argv[3] ?? 8091);

createServer(async ({ url, method, headers }, answer) => {
  const file = /^\/demo\/static\/(demo\.(js|css))$/.exec(url);
  if (file) {
    answer.writeHead(200, { 'content-type': file[2] === 'css' ? 'text/css' : 'text/javascript' });
    answer.end(await readFile(new URL(`dist/${file[1]}`, import.meta.url)));
    return;
  }
  // with our Host, so that addresses on the page lead back here
  const behind = request({ host: proxy.hostname, port: proxy.port, path: url, method, headers }, (from) => {
    answer.writeHead(from.statusCode, from.headers);
    from.pipe(answer);
  });
  behind.on('error', (error) => {
    answer.writeHead(502, { 'content-type': 'text/plain' });
    answer.end(error.message);
  });
  behind.end();
}).listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${port}/demo/`));
