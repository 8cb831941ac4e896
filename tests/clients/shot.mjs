// A picture of the demo page when everything on it is drawn: node shot.mjs ADDRESS FILE WIDTH HEIGHT [dark] [phone]
import { writeFile } from 'node:fs/promises';
import { open } from './browser.mjs';

const [address, file, width, height, ...looks] = process.argv.slice(2);
const browser = await open({ width: Number(width), height: Number(height), dark: looks.includes('dark'), phone: looks.includes('phone') });
try {
  await browser.go(address);
  let before = null;
  for (let now = null; !before || !now.equals(before);) {
    before = now;
    await browser.until("document.querySelector('#map canvas') && !document.body.classList.contains('busy')");
    await browser.evaluate('new Promise((done) => setTimeout(done, 500))');
    now = await browser.screenshot();
  }
  await writeFile(file, before);
} finally {
  await browser.close();
}
