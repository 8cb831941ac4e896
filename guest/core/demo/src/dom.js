// Elements and icons of the page.
const SVG = 'http://www.w3.org/2000/svg';

// h('div', { class: 'x', onclick: f }, child, …): elements without markup in strings, so that no title can inject any.
export function h(tag, attributes = {}, ...children) {
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

export const ICONS = {
  logo: () => icon('M10 2 2.5 6 10 10l7.5-4L10 2Z', 'm2.5 10 7.5 4 7.5-4', 'm2.5 14 7.5 4 7.5-4'),
  fit: () => icon('M3 7V3h4', 'M13 3h4v4', 'M17 13v4h-4', 'M7 17H3v-4'),
  code: () => icon('m7 6-4 4 4 4', 'm13 6 4 4-4 4'),
  close: () => icon('m5 5 10 10', 'M15 5 5 15'),
  chevron: () => icon('m5 8 5 5 5-5'),
  search: () => icon('M9 3a6 6 0 1 0 0 12A6 6 0 0 0 9 3Z', 'm13.5 13.5 4 4'),
  copy: () => icon('M7 7h10v10H7z', 'M4 13H3V3h10v1'),
  done: () => icon('m4 10.5 4 4 8-9'),
  warning: () => icon('M10 3 2 17h16L10 3Z', 'M10 8v4', 'M10 14.5v.1'),
};

// Puts text on the clipboard and says so on the button.
export async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // no clipboard on plain http: select it the old way
    const area = h('textarea', { class: 'offscreen', 'aria-hidden': 'true' });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
    button.focus();
  }
  const before = [...button.childNodes];
  if (button.classList.contains('done')) return;
  button.classList.add('done');
  button.replaceChildren(ICONS.done(), 'Copied');
  setTimeout(() => {
    button.classList.remove('done');
    button.replaceChildren(...before);
  }, 1500);
}
