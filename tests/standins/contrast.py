"""How well the text of a page can be read, worked out in a browser."""

from __future__ import annotations

# The least contrast of any text with what is behind it (WCAG 2).
CONTRAST = """
(() => {
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const colour = text => text.match(/[\\d.]+/g).map(Number);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const found = colour(getComputedStyle(node).backgroundColor);
      if (found.length < 4 || found[3]) return found;
    }
  };
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let least = 21;
  for (let it; it = words.nextNode();) {
    const node = it.parentElement;
    if (!it.data.trim() || !node.checkVisibility() || node.closest("script, noscript"))
      continue;
    const a = light(colour(getComputedStyle(node).color)), b = light(behind(node));
    least = Math.min(least, (Math.max(a, b) + .05) / (Math.min(a, b) + .05));
  }
  return least;
})()
"""
