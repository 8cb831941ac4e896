// What an answer says in words, and why a part of the map did not arrive.

// Documents are read, never rendered: only their text is shown.
export function textOf(body, type) {
  const kind = /html/.test(type) ? 'text/html' : /xml|gml/.test(type) ? 'text/xml' : null;
  if (/json/.test(type)) {
    try {
      return JSON.stringify(JSON.parse(body), null, 2);
    } catch {
      return body.trim();
    }
  }
  const text = kind ? new DOMParser().parseFromString(body, kind).documentElement.textContent : body;
  return text.split('\n').map((line) => line.trimEnd()).filter((line, at, all) => line || all[at - 1]).join('\n').trim();
}

export async function reason(address) {
  if (!address) return 'The log of the server says why.';
  try {
    const answer = await fetch(address, { cache: 'no-store' });
    const type = answer.headers.get('content-type') ?? '';
    if (answer.ok && type.startsWith('image/')) return 'It works now: try again.';
    const text = type.startsWith('image/') ? '' : textOf(await answer.text(), type).replace(/\s+/g, ' ').slice(0, 300);
    return `The server says: ${text || answer.statusText || 'nothing'} (status ${answer.status})`;
  } catch {
    return 'The server cannot be reached.';
  }
}
