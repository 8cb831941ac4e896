// Bundles the demo page's JavaScript and style, with OpenLayers, into dist/.
import { build } from 'esbuild';

await build({
  entryPoints: { demo: 'src/main.js' },
  outdir: 'dist',
  bundle: true,
  minify: true,
  format: 'iife',
  target: ['es2022'],
  legalComments: 'none',
  banner: { js: '/* OpenLayers, BSD-2-Clause, openlayers.org */' },
  logLevel: 'warning',
});
