"""Small PNGs out of large ones, for the documentation; a browser does the work."""

from __future__ import annotations

import base64
import json
import struct
import zlib

from tests.standins.chromium import Tab

# Every pixel as the number of one of the 256 most frequent colours, the nearest: what
# has another is the edges of letters, mostly.
COUNT = """
(async () => {
  const image = new Image();
  image.src = %s;
  await image.decode();
  const { width, height } = image;
  const canvas = new OffscreenCanvas(width, height).getContext("2d");
  canvas.drawImage(image, 0, 0);
  const pixels = new Uint32Array(canvas.getImageData(0, 0, width, height).data.buffer);
  const counts = new Map();
  for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) || 0) + 1);
  const parts = pixel => [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255];
  const palette = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 256)
    .map(([pixel]) => parts(pixel));
  const nearest = pixel => {
    const far = palette.map(one =>
      parts(pixel).reduce((sum, value, at) => sum + (value - one[at]) ** 2, 0));
    return far.indexOf(Math.min(...far));
  };
  const numbers = new Map([...counts.keys()].map(pixel => [pixel, nearest(pixel)]));
  let text = "";
  for (const pixel of pixels) text += String.fromCharCode(numbers.get(pixel));
  return { width, height, palette, pixels: btoa(text) };
})()
"""


async def small(tab: Tab, png: bytes) -> bytes:
    """*png* in 256 colours, worked out in an empty *tab*."""
    url = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    found = await tab.ask(COUNT % json.dumps(url))
    width, height = found["width"], found["height"]
    pixels = base64.b64decode(found["pixels"])
    starts = range(0, width * height, width)
    lines = b"".join(b"\0" + pixels[start : start + width] for start in starts)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", bytes(value for colour in found["palette"] for value in colour)),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check
