// Bundles the demo page's JavaScript and style, with OpenLayers, into dist/.
import { build } from 'esbuild';

// The page has no vector layers; OpenLayers' renderer looks for their declutter groups and would bring all of styles.
const withoutVectors = {
  name: 'without-vectors',
  setup({ onLoad }) {
    onLoad({ filter: /ol\/layer\/BaseVector\.js$/ }, () => ({ contents: 'export default class {}' }));
  },
};

await build({
  entryPoints: { demo: 'src/main.js' },
  outdir: 'dist',
  bundle: true,
  minify: true,
  format: 'iife',
  target: ['es2022'],
  legalComments: 'none',
  plugins: [withoutVectors],
  banner: { js: '/* OpenLayers, BSD-2-Clause, openlayers.org */' },
  logLevel: 'warning',
});
