// The panel beside the map: layers, how they are asked for, links, and code to copy.
import { snippets, tileUrl } from './snippets.js';

const SVG = 'http://www.w3.org/2000/svg';

// h('div', { class: 'x', onclick: f }, child, …): elements without markup in strings, so that no title can inject any.
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

function icon(...paths) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 20 20');
  svg.setAttribute('aria-hidden', 'true');
  for (const d of paths) {
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('d', d);
    svg.append(path);
  }
  return svg;
}

const ICONS = {
  logo: () => icon('M10 2 2.5 6 10 10l7.5-4L10 2Z', 'm2.5 10 7.5 4 7.5-4', 'm2.5 14 7.5 4 7.5-4'),
  fit: () => icon('M3 7V3h4', 'M13 3h4v4', 'M17 13v4h-4', 'M7 17H3v-4'),
  code: () => icon('m7 6-4 4 4 4', 'm13 6 4 4-4 4'),
  close: () => icon('m5 5 10 10', 'M15 5 5 15'),
  chevron: () => icon('m5 8 5 5 5-5'),
  out: () => icon('M8 4H4v12h12v-4', 'M11 3h6v6', 'm17 3-8 8'),
};

export function createPanel(root, { description, layers, SERVICES, update, map }) {
  let codeOpen = false;
  let tab = null;
  let filter = '';
  let shown = null;

  const list = h('div', { class: 'layers', role: 'listbox', 'aria-label': 'Layers' });
  const controls = h('div', { class: 'controls' });
  const code = h('section', { class: 'code', 'aria-label': 'Code', hidden: true });
  document.body.append(code);

  const search = h('input', {
    class: 'search', type: 'search', placeholder: `Find one of ${layers.length} layers`, 'aria-label': 'Find a layer',
    oninput: (event) => {
      filter = event.target.value.trim().toLowerCase();
      renderList();
    },
  });
  const toggle = h('button', { class: 'toggle', type: 'button', 'aria-label': 'Fold or unfold the panel', onclick: () => root.classList.toggle('folded') }, ICONS.chevron());
  root.append(
    h('header', {},
      h('span', { class: 'logo' }, ICONS.logo()),
      h('div', { class: 'titles' },
        h('h1', {}, description.title || 'MapProxy'),
        h('p', {}, `mapproxy.wasm ${description.version ?? ''}`)),
      toggle),
    h('div', { class: 'body' }, layers.length > 8 ? search : '', list, controls),
  );
  if (window.innerWidth <= 760) root.classList.add('folded');

  function renderList() {
    list.replaceChildren(...layers
      .filter((layer) => `${layer.title} ${layer.name}`.toLowerCase().includes(filter))
      .map((layer) => h('button', {
        class: 'layer', type: 'button', role: 'option', 'aria-selected': String(layer.name === shown?.layer.name),
        onclick: () => update({ layer: layer.name }),
      },
      h('span', { class: 'name' }, layer.title || layer.name),
      h('span', { class: 'id' }, layer.name))));
    if (!list.children.length) list.append(h('p', { class: 'hint' }, 'No such layer.'));
  }

  function segmented(label, options, value, pick) {
    return h('div', { class: 'segmented', role: 'radiogroup', 'aria-label': label },
      options.map(([key, text, off]) => h('button', {
        type: 'button', role: 'radio', 'aria-checked': String(key === value), disabled: off, onclick: () => pick(key),
      }, text)));
  }

  function field(label, control) {
    return h('label', { class: 'field' }, h('span', {}, label), control);
  }

  function select(options, value, pick) {
    const element = h('select', { onchange: (event) => pick(event.target.value) },
      options.map(([key, text]) => h('option', { value: key, selected: String(key) === String(value) }, text)));
    return h('span', { class: 'select' }, element, ICONS.chevron());
  }

  function renderControls() {
    const { layer, state, formats } = shown;
    const choicesHere = layer.choices[state.service];
    const opacity = h('input', {
      type: 'range', min: '0', max: '1', step: '0.05', value: String(state.opacity),
      oninput: (event) => {
        output.textContent = `${Math.round(event.target.value * 100)} %`;
        update({ opacity: Number(event.target.value), keep: true });
      },
    });
    const output = h('output', {}, `${Math.round(state.opacity * 100)} %`);
    controls.replaceChildren(...[
      segmented('Service', Object.entries(SERVICES).map(([key, text]) => [key, text, !layer.choices[key]]), state.service, (service) => update({ service, choice: 0, srs: map.position().srs })),
      field(state.service === 'wms' ? 'Projection' : 'Grid',
        select(choicesHere.map((choice, index) => [index, choice.label]), state.choice, (choice) => update({ choice: Number(choice) }))),
      formats.length > 1 && field('Format', select(formats.map((format) => [format, format.replace('image/', '').toUpperCase()]), state.format, (format) => update({ format }))),
      h('label', { class: 'field' }, h('span', {}, 'Opacity'), h('span', { class: 'range' }, opacity, output)),
      state.service !== 'wms' && h('label', { class: 'check' },
        h('input', { type: 'checkbox', checked: state.outlines, onchange: (event) => update({ outlines: event.target.checked }) }),
        h('span', {}, 'Show tile edges')),
      h('div', { class: 'actions' },
        h('button', { type: 'button', class: 'primary', onclick: () => openCode(!codeOpen) }, ICONS.code(), 'Use this layer'),
        h('button', { type: 'button', onclick: () => map.fit(), 'aria-label': 'Show the whole layer', title: 'Show the whole layer' }, ICONS.fit())),
      h('nav', { class: 'links', 'aria-label': 'Documents' }, links(layer, state)),
    ].filter(Boolean));
  }

  function links(layer, state) {
    const { wms, wmts } = layer.services;
    const choice = layer.choices[state.service][state.choice];
    const entries = [];
    if (wms) entries.push(['WMS capabilities', wms.capabilities ?? `${wms.url}?SERVICE=WMS&REQUEST=GetCapabilities`]);
    if (wmts) entries.push(['WMTS capabilities', wmts.capabilities]);
    if (choice.tms) entries.push(['TMS tile map', choice.tms]);
    if (state.service === 'tiles') entries.push(['First tile', tileUrl(choice, 0, 0, 0)]);
    return entries.map(([text, href]) => h('a', { href, target: '_blank', rel: 'noopener' }, text, ICONS.out()));
  }

  function openCode(open) {
    codeOpen = open;
    code.hidden = !open;
    if (open) renderCode();
  }

  function renderCode() {
    const { layer, state } = shown;
    const choice = layer.choices[state.service][state.choice];
    const found = snippets(layer, state, choice, map.view());
    const names = Object.keys(found);
    if (!found[tab]) tab = names[0];
    const copy = h('button', { type: 'button', class: 'copy', onclick: () => copyText(found[tab], copy) }, 'Copy');
    code.replaceChildren(
      h('header', {},
        h('div', { role: 'tablist', class: 'tabs' }, names.map((name) => h('button', {
          type: 'button', role: 'tab', 'aria-selected': String(name === tab),
          onclick: () => {
            tab = name;
            renderCode();
          },
        }, name))),
        copy,
        h('button', { type: 'button', class: 'plain', 'aria-label': 'Close', onclick: () => openCode(false) }, ICONS.close())),
      h('pre', { tabindex: '0' }, h('code', {}, found[tab])),
    );
  }

  async function copyText(text, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // no clipboard on plain http: select it the old way
      const area = h('textarea', { class: 'offscreen' });
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand('copy');
      area.remove();
    }
    button.textContent = 'Copied';
    setTimeout(() => {
      button.textContent = 'Copy';
    }, 1500);
  }

  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && codeOpen) openCode(false);
  });
  map.onMove(() => codeOpen && tab === 'curl' && shown.state.service === 'wms' && renderCode());

  return {
    render(layer, state, formats) {
      const { keep } = state;
      delete state.keep;
      shown = { layer, state, formats };
      if (keep) return;
      renderList();
      renderControls();
      if (codeOpen) renderCode();
    },
    renderEmpty() {
      list.replaceChildren(h('p', { class: 'hint' }, 'This configuration has no layer that can be shown here.'));
    },
  };
}
