// Chromium without a window, spoken to through a pipe in its DevTools protocol: no driver has to be installed.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Longest wait for anything; generous, since machines that run tests are busy.
const PATIENCE_MS = 60_000;

export async function open({ width = 800, height = 600, dark = false, phone = false } = {}) {
  const profile = await mkdtemp(join(tmpdir(), 'browser-'));
  const child = spawn('chromium', [
    '--headless', '--no-sandbox', '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--hide-scrollbars', '--use-gl=angle', '--use-angle=swiftshader',
    '--enable-unsafe-swiftshader', '--remote-debugging-pipe', `--user-data-dir=${profile}`, `--window-size=${width},${height}`, 'about:blank',
  ], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const ended = new Promise((done) => { child.on('exit', done); });
  const [, , , to, from] = child.stdio;
  let next = 0;
  let rest = '';
  const waiting = new Map();
  const listeners = [];
  from.setEncoding('utf8');
  from.on('data', (chunk) => {
    const messages = (rest + chunk).split('\0');
    rest = messages.pop();
    for (const message of messages.map((text) => JSON.parse(text))) {
      const answer = waiting.get(message.id);
      waiting.delete(message.id);
      if (!answer) listeners.forEach((listener) => listener(message));
      else if (message.error) answer.reject(new Error(message.error.message));
      else answer.resolve(message.result);
    }
  });
  const send = (method, params = {}, sessionId = undefined) => new Promise((resolve, reject) => {
    next += 1;
    waiting.set(next, { resolve, reject });
    to.write(`${JSON.stringify({ id: next, method, params, sessionId })}\0`);
  });
  const { targetInfos } = await send('Target.getTargets');
  const { sessionId } = await send('Target.attachToTarget', { targetId: targetInfos.find(({ type }) => type === 'page').targetId, flatten: true });
  const page = (method, params) => send(method, params, sessionId);
  const problems = [];
  const requests = [];
  listeners.push(({ method, params }) => {
    if (method === 'Runtime.exceptionThrown') problems.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === 'Log.entryAdded' && params.entry.level === 'error') problems.push(`${params.entry.text} ${params.entry.url ?? ''}`);
    if (method === 'Network.requestWillBeSent') requests.push(params.request.url);
  });
  for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page(`${domain}.enable`);
  await page('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: phone });
  if (phone) await page('Emulation.setTouchEmulationEnabled', { enabled: true });
  await page('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }] });

  const self = {
    problems,
    requests,
    go: (url) => page('Page.navigate', { url }),
    // the value of an expression, awaited
    async evaluate(expression) {
      const { result, exceptionDetails } = await page('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    },
    // until an expression is true
    async until(expression) {
      const end = Date.now() + PATIENCE_MS;
      for (;;) {
        if (await self.evaluate(expression).catch(() => false)) return;
        if (Date.now() > end) throw new Error(`never true: ${expression}\n${problems.join('\n')}`);
        await new Promise((done) => { setTimeout(done, 50); });
      }
    },
    async click(x, y) {
      for (const type of ['mousePressed', 'mouseReleased']) await page('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: 1 });
    },
    async press(key, code = key) {
      const keys = { key, code, text: key.length === 1 ? key : undefined, windowsVirtualKeyCode: { Enter: 13, Tab: 9, Escape: 27, ArrowDown: 40 }[key] };
      for (const type of ['keyDown', 'keyUp']) await page('Input.dispatchKeyEvent', { type, ...keys });
    },
    // PNG
    async screenshot() {
      const { data } = await page('Page.captureScreenshot', { format: 'png' });
      return Buffer.from(data, 'base64');
    },
    async close() {
      child.kill();
      await ended;
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  return self;
}
