// Conn/s over the last two minutes, one point a second, on a scale that is written beside it.

const POINTS = 120, HEIGHT = 100;
const points = [];

// The least of 1, 2, 5, 10, 20, 50 … that is not below *most*.
function ceiling(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= most);
}

// Null where nothing is known: the line has a gap there.
function point(value) {
  points.push(value);
  points.splice(0, points.length - POINTS);
}

function line(top) {
  const start = POINTS - points.length;
  let pen = "M";
  return points.map((value, index) => {
    const drawn = value == null ? "" : `${pen}${start + index} ${(HEIGHT - (value / top) * HEIGHT).toFixed(1)}`;
    pen = value == null ? "M" : "L";
    return drawn;
  }).join("");
}

function graph(node) {
  const known = points.filter((value) => value != null);
  const most = Math.max(0, ...known), top = ceiling(Math.max(1, most));
  node.querySelector(".line").setAttribute("d", line(top));
  const marks = node.querySelectorAll(".scale span");
  [top, top / 2, 0].forEach((value, index) => say(marks[index], String(value)));
  node.setAttribute("aria-label", `Connections per second over the last two minutes: at most ${rate(most)}` +
    (known.length ? `, ${rate(known.at(-1))} at last` : ""));
}
