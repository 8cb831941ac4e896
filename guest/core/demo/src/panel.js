// The panel beside the map: layers, how they are asked for, their legend, and documents.
import { createCode } from './code.js';
import { h, ICONS } from './dom.js';
import { legendUrl } from './info.js';
import { hasDimensions, SERVICES, title } from './layers.js';

// Browsers become slow with more; the search finds the others.
const MAX_LISTED = 400;
// fewer are found by looking
const SEARCHED_FROM = 7;

const HINTS = {
  wmts: 'Web Map Tile Service: tiles, described by a document',
  tiles: 'Tiles by address, rows counted from the north',
  tms: 'Tile Map Service: tiles, rows counted from the south',
  wms: 'Web Map Service: maps of any extent and size',
};

export function createPanel({ description, layers, update, map }) {
  const root = document.getElementById('panel');
  let filter = '';
  let shown = null;

  const list = h('div', { class: 'layers', role: 'listbox', 'aria-label': 'Layers' });
  const controls = h('div', { class: 'controls' });
  const now = h('p', {}, `mapproxy.wasm ${description.version ?? ''}`);
  const code = createCode({ map, opened: (open) => root.querySelector('.primary')?.setAttribute('aria-expanded', String(open)) });

  const search = h('input', {
    type: 'search', placeholder: `Find one of ${layers.length} layers`, 'aria-label': 'Find a layer',
    oninput: (event) => {
      filter = event.target.value.trim().toLowerCase();
      renderList();
    },
    onkeydown: (event) => {
      if (event.key === 'ArrowDown') list.querySelector('.layer')?.focus();
      if (event.key === 'Enter') list.querySelector('.layer')?.click();
      else if (event.key !== 'ArrowDown') return;
      event.preventDefault();
    },
  });
  const toggle = h('button', {
    class: 'toggle', type: 'button', 'aria-label': 'Layers and services', 'aria-expanded': 'true', 'aria-controls': 'body',
    onclick: () => fold(!root.classList.contains('folded')),
  }, ICONS.chevron());
  root.append(
    h('header', { onclick: (event) => event.target.closest('button') || (window.innerWidth <= 760 && toggle.click()) },
      h('span', { class: 'logo', title: `mapproxy.wasm ${description.version ?? ''}` }, ICONS.logo()),
      h('div', { class: 'titles' }, h('h1', {}, description.title || 'MapProxy'), now),
      toggle),
    h('div', { class: 'body', id: 'body' },
      layers.length >= SEARCHED_FROM && h('label', { class: 'search' }, ICONS.search(), search, h('kbd', { 'aria-hidden': 'true' }, '/')),
      list, controls),
  );
  function fold(folded) {
    root.classList.toggle('folded', folded);
    toggle.setAttribute('aria-expanded', String(!folded));
  }
  if (window.innerWidth <= 760) fold(true);

  list.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const all = [...list.querySelectorAll('.layer')];
    const at = all.indexOf(document.activeElement);
    const next = event.key === 'Home' ? all[0] : event.key === 'End' ? all.at(-1) : step && all[at + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });

  function renderList() {
    const found = layers.filter((layer) => `${title(layer)} ${layer.name}`.toLowerCase().includes(filter));
    const hadFocus = list.contains(document.activeElement);
    list.replaceChildren(...found.slice(0, MAX_LISTED).map((layer) => {
      const selected = layer.name === shown?.layer.name;
      return h('button', {
        class: 'layer', type: 'button', role: 'option', 'aria-selected': String(selected), title: layer.abstract || null,
        tabindex: selected ? '0' : '-1', onclick: () => update({ layer: layer.name }),
      },
      h('span', { class: 'name' }, title(layer)),
      layer.name !== title(layer) && h('span', { class: 'id' }, layer.name));
    }));
    if (!found.length) list.append(h('p', { class: 'hint' }, `No layer has “${filter}” in its name.`));
    if (found.length > MAX_LISTED) list.append(h('p', { class: 'hint' }, `${found.length - MAX_LISTED} more: search for a part of the name.`));
    const selected = list.querySelector('[aria-selected="true"]');
    if (!selected) list.querySelector('.layer')?.setAttribute('tabindex', '0');
    selected?.scrollIntoView({ block: 'nearest' });
    if (hadFocus) selected?.focus();
  }

  // radio buttons, so that the keyboard works as everywhere
  function segmented(label, options, value, pick) {
    return h('fieldset', { class: 'segmented', 'aria-label': label },
      options.map(([key, text, off]) => h('label', { title: off ? `This layer is not in the ${text}` : HINTS[key] },
        h('input', { type: 'radio', name: label, value: key, checked: key === value, disabled: off, onchange: () => pick(key) }),
        h('span', {}, text))));
  }

  function field(label, control) {
    return h('label', { class: 'field' }, h('span', {}, label), control);
  }

  function select(options, value, pick) {
    const element = h('select', { onchange: (event) => pick(event.target.value) },
      options.map(([key, text]) => h('option', { value: key, selected: String(key) === String(value) }, text)));
    return h('span', { class: 'select' }, element, ICONS.chevron());
  }

  function labelOf(choice) {
    return choice.grid ? `${choice.grid} (${choice.srs})` : choice.srs;
  }

  // `dim_reference_time` is the parameter's name
  function labelOfDimension(name) {
    const words = name.replace(/^dim_/i, '').replaceAll('_', ' ');
    return words.charAt(0).toUpperCase() + words.slice(1);
  }

  function renderControls() {
    const { layer, state, formats } = shown;
    const choices = layer.choices[state.service];
    const tiled = state.service !== 'wms';
    const focus = document.activeElement?.closest('.controls') && [document.activeElement.tagName, document.activeElement.value];
    const output = h('output', {}, `${Math.round(state.opacity * 100)} %`);
    const opacity = h('input', {
      type: 'range', min: '0', max: '1', step: '0.05', value: String(state.opacity),
      oninput: (event) => {
        output.textContent = `${Math.round(event.target.value * 100)} %`;
        update({ opacity: Number(event.target.value), keep: true });
      },
    });
    const kept = { srs: choices[state.choice].srs };
    controls.replaceChildren(...[
      layer.abstract && h('p', { class: 'abstract' }, layer.abstract),
      segmented('Service', Object.entries(SERVICES).map(([key, text]) => [key, text, !layer.choices[key]]), state.service, (service) => update({ service, choice: 0, ...kept })),
      field(tiled ? 'Grid' : 'System', select(choices.map((choice, index) => [index, labelOf(choice)]), state.choice, (choice) => update({ choice: Number(choice) }))),
      formats.length > 1 && field('Format', select(formats.map((format) => [format, format.replace('image/', '').toUpperCase()]), state.format, (format) => update({ format }))),
      tiled && field('Format', h('span', { class: 'value' }, choices[state.choice].mime.replace('image/', '').toUpperCase())),
      ...(hasDimensions(layer, state.service) ? layer.dimensions : []).map(({ name, values }) => field(labelOfDimension(name),
        select(values.map((value) => [value, value]), state.dimensions[name], (value) => update({ dimensions: { ...state.dimensions, [name]: value } })))),
      field('Opacity', h('span', { class: 'range' }, opacity, output)),
      tiled && h('label', { class: 'check' },
        h('input', { type: 'checkbox', checked: state.outlines, onchange: (event) => update({ outlines: event.target.checked, keep: true }) }),
        h('span', {}, 'Show tile edges and numbers')),
      legend(layer),
      h('div', { class: 'actions' },
        h('button', { type: 'button', class: 'primary', 'aria-expanded': String(code.isOpen()), 'aria-controls': 'code', onclick: () => code.toggle() }, ICONS.code(), 'Use this layer'),
        h('button', { type: 'button', onclick: () => map.fit(), 'aria-label': 'Show the whole layer', title: 'Show the whole layer' }, ICONS.fit())),
      h('nav', { class: 'links', 'aria-label': 'Documents' }, h('span', {}, 'Documents'), links(layer)),
    ].filter(Boolean));
    if (focus) [...controls.querySelectorAll(focus[0])].find((each) => each.value === focus[1])?.focus();
  }

  let legendOpen = false;
  function legend({ name, services: { wms } }) {
    if (!wms?.legend) return null;
    const picture = h('img', { alt: 'Legend', loading: 'lazy', src: legendUrl(wms, name), onerror: () => picture.replaceWith(h('p', { class: 'hint' }, 'The server has no legend now.')) });
    return h('details', { class: 'legend', open: legendOpen, ontoggle: (event) => { legendOpen = event.target.open; } },
      h('summary', {}, 'Legend', ICONS.chevron()), picture);
  }

  // documents, shown readable by the server
  function links({ services: { wms, wmts }, choices, kml }) {
    const page = (query) => `${description.base}/demo/?${query}`;
    const entries = [];
    if (wms) entries.push(['WMS', page('wms_capabilities'), 'Capabilities of the WMS']);
    if (wmts) entries.push(['WMTS', page('wmts_capabilities'), 'Capabilities of the WMTS']);
    if (choices.tms) entries.push(['TMS', page('tms_capabilities'), 'Capabilities of the TMS']);
    if (kml) entries.push(['KML', kml, 'To open in Google Earth']);
    return entries.map(([text, href, hint]) => h('a', { href, title: hint, target: '_blank', rel: 'noopener' }, text));
  }

  document.addEventListener('keydown', (event) => {
    if (event.key !== '/' || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || layers.length < SEARCHED_FROM) return;
    event.preventDefault();
    fold(false);
    search.focus();
  });

  return {
    render(layer, state, formats) {
      const { keep } = state;
      delete state.keep;
      shown = { layer, state, formats };
      if (keep) return;
      now.textContent = `${title(layer)} · ${SERVICES[state.service]}`;
      renderList();
      renderControls();
      code.show(layer, state);
    },
    renderEmpty() {
      fold(false);
      controls.remove();
      list.replaceChildren(h('div', { class: 'empty' },
        h('strong', {}, 'Nothing to show yet'),
        h('p', {}, 'This configuration has no layer for the WMS, the WMTS or the TMS. Add one to '), h('code', {}, 'layers:'), ' and switch on a service.'));
    },
  };
}
