// Finds text that is hard to read: runs inside the page and computes WCAG contrasts of all visible text against what is
// painted behind it. Large text needs 3 to 1, other text 4.5 to 1.

/** The worst offenders, in words. */
export function faint() {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const light = (colour) => {
    const [r, g, b] = colour.map((value) =>
      value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4,
    );
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) {
      const layer = rgb(getComputedStyle(at).backgroundColor);
      if (layer[3] > 0) layers.push(layer);
      if (layer[3] === 1) break;
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const found = new Map();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    const words = texts.currentNode.textContent.trim();
    // What is disabled, leaving or out of sight needs no contrast.
    if (!words || node.closest('.gone, .out-of-sight, .skip, :disabled, noscript, title') || !node.checkVisibility())
      continue;
    const style = getComputedStyle(node);
    const svg = node instanceof SVGElement;
    const station = svg && node.closest('.station')?.querySelector('rect');
    const back = station
      ? rgb(getComputedStyle(station).fill).slice(0, 3)
      : behind(svg ? node.closest('svg').parentElement : node);
    const front = over(rgb(svg ? style.fill : style.color), back);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5))
      found.set(`${style.color} ${ratio.toFixed(2)}`, `“${words.slice(0, 40)}” has ${ratio.toFixed(2)} to 1`);
  }
  return [...found.values()];
}
