// The demo page in Chromium: node demo.mjs PROXY FOLDER writes a picture of the map for each service, named
// demo-LAYER-SERVICE.png, uses the page as people do, and fails when it does not do what it should.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { open } from './browser.mjs';

const [proxy, folder] = process.argv.slice(2);
const page = `${proxy}/demo/`;
const drawn = "document.querySelector('#panel h1') && document.querySelector('#map canvas') && !document.body.classList.contains('busy')";

// Level 3 of Web Mercator, and 4000 metres per pixel in Europe, as the map libraries show them.
const VIEWS = { world: 'view=3/40.979898069620134/45', europe: `view=${Math.log2(156543.03392804097 / 4000)}/52/10` };

async function pictures() {
  const browser = await open({ width: 512, height: 512 });
  try {
    for (const [layer, view] of Object.entries(VIEWS)) {
      for (const service of ['wmts', 'tiles', 'tms', 'wms']) {
        const srs = layer === 'world' ? 'EPSG:3857' : 'EPSG:32632';
        await browser.go('about:blank');
        await browser.go(`${page}#layer=${layer}&service=${service}&srs=${srs}&${view}`);
        await browser.until(drawn);
        // what lies on the map, and the fading in of its parts
        await browser.evaluate("document.querySelectorAll('#panel, .ol-overlaycontainer-stopevent, .corner').forEach((each) => { each.style.visibility = 'hidden'; })");
        await settled(browser);
        await writeFile(`${folder}/demo-${layer}-${service}.png`, await browser.screenshot());
      }
    }
    assert.deepEqual(browser.problems, []);
    assert.deepEqual(browser.requests.filter((url) => /^https?:/.test(url) && !url.startsWith(`${proxy}/`)), []);
  } finally {
    await browser.close();
  }
}

// Until two pictures in a row are the same.
async function settled(browser) {
  let before = null;
  for (;;) {
    await browser.until(drawn);
    await browser.evaluate('new Promise((done) => requestAnimationFrame(() => setTimeout(done, 300)))');
    const now = await browser.screenshot();
    if (before?.equals(now)) return;
    before = now;
  }
}

async function use() {
  const browser = await open({ width: 1400, height: 900 });
  const text = (selector) => browser.evaluate(`document.querySelector(${JSON.stringify(selector)})?.textContent ?? ''`);
  try {
    await browser.go(`${page}#layer=world&service=wms&srs=EPSG:4326&view=2/20/10`);
    await browser.until(drawn);

    // code for every program, and the address of curl gives a map
    await browser.evaluate("document.querySelector('.primary').click()");
    for (const name of ['OpenLayers', 'Leaflet', 'MapLibre', 'QGIS', 'curl']) {
      await browser.evaluate(`[...document.querySelectorAll('[role=tab]')].find((tab) => tab.textContent === '${name}').click()`);
      assert.match(await text('.code code'), /world/i, name);
    }
    const address = /'(http[^']*)'/.exec(await text('.code code'))[1];
    const map = await fetch(address);
    assert.equal(map.headers.get('content-type'), 'image/png', address);
    await browser.press('Escape');
    await browser.until("document.querySelector('.code').hidden");

    // what is here
    await browser.click(800, 400);
    await browser.until("document.querySelector('.popup pre')");
    assert.match(await text('.popup pre'), /position/);
    await browser.press('Escape');
    await browser.until("!document.querySelector('.popup')?.offsetParent");

    // find a layer by the keyboard
    await browser.press('/', 'Slash');
    await browser.until("document.activeElement.type === 'search'");
    for (const key of 'euro') await browser.press(key);
    await browser.until("document.querySelectorAll('.layer').length === 1");
    await browser.press('Enter');
    await browser.until("location.hash.includes('layer=europe')");

    // a dimension: what is chosen is asked for, and in the code
    for (const service of ['wms', 'wmts']) {
      await browser.go('about:blank');
      await browser.go(`${page}#layer=d&service=${service}&srs=EPSG:3857&dim.time=2020&view=2/20/10`);
      for (const [value, other] of [['2020', '2021'], ['2021', '2020']]) {
        await settled(browser);
        const select = "[...document.querySelectorAll('.field select')].find((each) => each.closest('.field').textContent.startsWith('Time'))";
        assert.equal(await browser.evaluate(`${select}.value`), value, service);
        const asked = browser.requests.filter((url) => /REQUEST=Get(Map|Tile)/i.test(url) && /LAYERS?=d\b/i.test(url)).at(-1);
        assert.match(asked, new RegExp(`[?&]time=${value}(&|$)`, 'i'));
        await browser.evaluate("document.querySelector('.primary').click()");
        await browser.evaluate("[...document.querySelectorAll('[role=tab]')].find((tab) => tab.textContent === 'OpenLayers').click()");
        assert.match(await text('.code code'), new RegExp(`time'?: '${value}'`, 'i'));
        await browser.press('Escape');
        assert.match(await browser.evaluate('location.hash'), new RegExp(`dim\\.time=${value}`));
        await browser.evaluate(`{ const each = ${select}; each.value = '${other}'; each.dispatchEvent(new Event('change')); }`);
      }
    }

    // a server that is not there
    await browser.go(`${page}#layer=gone`);
    await browser.until("!document.querySelector('#trouble').hidden && document.querySelector('#trouble p').textContent.includes('status')");
    await browser.evaluate("document.querySelector('#trouble .plain').click()");
    await browser.until("document.querySelector('#trouble').hidden");

    // nothing of a title becomes markup
    assert.equal(await browser.evaluate("document.querySelectorAll('#panel img, #panel b, #panel script').length"), 0);
    assert.match(await browser.evaluate("document.querySelector('#panel h1').textContent"), /<b>/);
    const unexpected = browser.problems.filter((problem) => !problem.includes('/gone/'));
    assert.deepEqual(unexpected, []);
  } finally {
    await browser.close();
  }
}

await pictures();
await use();
