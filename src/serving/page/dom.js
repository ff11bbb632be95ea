// Makes elements. Text that comes from data goes in as text nodes here and nowhere else, so that a title can never
// become markup; styles are set by class or property, as the content security policy wants it.

const SVG = 'http://www.w3.org/2000/svg';

export const byId = (id) => document.getElementById(id);

/** An element: `h('button', { class: 'quiet', onclick }, 'Retract')`. False and null children are left out. */
export function h(name, props = {}, ...children) {
  return fill(document.createElement(name), props, children);
}

/** The same for SVG. */
export function s(name, props = {}, ...children) {
  return fill(document.createElementNS(SVG, name), props, children);
}

function fill(node, props, children) {
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? '' : String(value));
  }
  node.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Puts these children into an element in place of what it held. */
export function put(node, ...children) {
  node.replaceChildren(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Sets text only where it differs: the cheapest change is none. */
export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

/** What to type, with a button that copies it where the browser lets it. */
export function command(line) {
  const copied = h('button', { type: 'button', class: 'quiet small' }, 'Copy');
  copied.addEventListener('click', async () => {
    await navigator.clipboard?.writeText(line);
    copied.textContent = 'Copied';
    setTimeout(() => {
      copied.textContent = 'Copy';
    }, 1500);
  });
  return h('span', { class: 'command' }, h('code', {}, line), navigator.clipboard ? copied : null);
}

/** An empty state: what is missing, and what to do about it. */
export function empty(words, ...lines) {
  return h(
    'div',
    { class: 'empty' },
    h('p', {}, words),
    lines.map((line) => (typeof line === 'string' ? command(line) : line)),
  );
}

/** An error in words, with what to do. */
export function trouble(problem) {
  return h(
    'div',
    { class: 'empty trouble', role: 'alert' },
    h('p', {}, h('strong', {}, problem.words), ' ', problem.todo),
  );
}

/** Whether things may move about. */
export const still = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

/** Resolves when what was just changed has been painted; soon in any case, as a hidden page paints nothing. */
export function painted() {
  return new Promise((done) => {
    const late = setTimeout(done, 120);
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => {
        clearTimeout(late);
        done();
      };
      channel.port2.postMessage(0);
    });
  });
}
