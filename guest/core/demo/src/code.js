// The drawer with code for other programs.
import { copyText, h, ICONS } from './dom.js';
import { snippets } from './snippets.js';
import { SERVICES, title } from './layers.js';

export function createCode({ map, opened }) {
  const root = h('section', { class: 'code', id: 'code', 'aria-label': 'Code', hidden: true });
  document.body.append(root);
  let shown = null;
  let tab = 'OpenLayers';

  function toggle(open = root.hidden) {
    root.hidden = !open;
    document.body.classList.toggle('with-code', open);
    opened(open);
    if (!open) return;
    render();
    root.querySelector('[aria-selected="true"]')?.focus({ preventScroll: true });
  }

  function render() {
    const { layer, state } = shown;
    const found = snippets(layer, state, layer.choices[state.service][state.choice], map.view());
    const names = Object.keys(found);
    const { text, note } = found[tab];
    const hadFocus = root.contains(document.activeElement) && document.activeElement.role === 'tab';
    const pick = (name) => {
      tab = name;
      render();
    };
    const copy = h('button', { type: 'button', class: 'copy', onclick: () => copyText(text, copy) }, ICONS.copy(), 'Copy');
    root.replaceChildren(
      h('header', {},
        h('div', {
          role: 'tablist', class: 'tabs', 'aria-label': 'Program',
          onkeydown: (event) => {
            const step = { ArrowRight: 1, ArrowLeft: names.length - 1 }[event.key];
            if (step) pick(names[(names.indexOf(tab) + step) % names.length]);
          },
        }, names.map((name) => h('button', {
          type: 'button', role: 'tab', 'aria-selected': String(name === tab), tabindex: name === tab ? '0' : '-1', onclick: () => pick(name),
        }, name))),
        text && copy,
        h('button', { type: 'button', class: 'plain', 'aria-label': 'Close', onclick: () => toggle(false) }, ICONS.close())),
      h('p', { class: 'about' }, note ?? `${title(layer)} by ${SERVICES[state.service]}, as it is shown`),
      text && h('pre', { tabindex: '0' }, h('code', {}, text)),
    );
    if (hadFocus) root.querySelector('[aria-selected="true"]').focus({ preventScroll: true });
  }

  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && !root.hidden) toggle(false);
  });
  // the address of the map changes with the view
  map.onMove(() => !root.hidden && tab === 'curl' && shown.state.service === 'wms' && render());

  return {
    toggle,
    isOpen: () => !root.hidden,
    show(layer, state) {
      shown = { layer, state };
      if (!root.hidden) render();
    },
  };
}
