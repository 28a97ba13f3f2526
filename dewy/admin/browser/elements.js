// Elements, touched only where they differ: focus, selection and readers stay where they are.
// What is shown may come from anybody who can publish a release: it is only ever text.

const shown = new WeakMap();
const $ = (selector) => document.querySelector(selector);

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties))
    if (value !== undefined && value !== "") node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Text with commands in it, which stand between backticks.
function prose(node, text) {
  if (shown.get(node) === text) return node;
  shown.set(node, text);
  node.replaceChildren(...text.split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part)));
  return node;
}

// A list; *draw* is called only where *what* differs from last time.
function list(node, what, draw) {
  const key = JSON.stringify(what);
  if (shown.get(node) === key) return;
  shown.set(node, key);
  node.replaceChildren(...what.map(draw));
}

function tone(node, name) {
  if (name) node.dataset.tone = name; else delete node.dataset.tone;
}

function definitions(node, pairs) {
  const told = pairs.filter(([, text]) => text);
  while (node.children.length > told.length * 2) node.lastChild.remove();
  told.forEach(([term, text], index) => {
    if (!node.children[index * 2]) node.append(make("dt"), make("dd"));
    say(node.children[index * 2], term);
    prose(node.children[index * 2 + 1], text);
  });
}

function figures(node, pairs) {
  pairs.forEach(([term, text], index) => {
    if (!node.children[index]) node.append(make("div", {}, make("dt"), make("dd")));
    say(node.children[index].firstChild, term);
    say(node.children[index].lastChild, text);
  });
}

// A table of rows, each with cells and perhaps a note that stands below them.
// Roles are said, because on phones the table is laid out as a list.
function table(section, columns, rows) {
  section.hidden = !rows.length;
  const place = section.querySelector(".table"), key = JSON.stringify(columns);
  if (shown.get(place) !== key) {
    shown.set(place, key);
    const heads = columns.map(([name, kind, title]) =>
      make("th", { role: "columnheader", scope: "col", class: kind, title }, name));
    place.replaceChildren(make("table", { role: "table", "aria-labelledby": section.getAttribute("aria-labelledby") },
      make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)), make("tbody", { role: "rowgroup" })));
  }
  const body = place.querySelector("tbody");
  while (body.children.length > rows.length * 2) body.lastChild.remove();
  rows.forEach(({ cells, note = "" }, index) => {
    if (!body.children[index * 2]) body.append(blank(columns), below(columns));
    const [row, noted] = [body.children[index * 2], body.children[index * 2 + 1]];
    cells.forEach((cell, at) => fill(row.children[at], cell));
    noted.hidden = !note;
    prose(noted.firstChild, note);
  });
}

function blank(columns) {
  const cells = columns.map(([name, kind], index) => index
    ? make("td", { role: "cell", class: kind, "data-label": name })
    : make("th", { role: "rowheader", scope: "row", class: kind }));
  return make("tr", { role: "row" }, ...cells);
}

function below(columns) {
  return make("tr", { role: "row", class: "note" }, make("td", { role: "cell", colspan: String(columns.length) }));
}

// A cell is text, [text, tone] for a badge, or {link, text} for a place on this page.
function fill(node, cell) {
  if (typeof cell === "string") return void prose(node, cell);
  shown.delete(node);
  const wanted = cell.link ? "A" : "SPAN";
  if (!node.firstElementChild || node.firstElementChild.tagName !== wanted)
    node.replaceChildren(cell.link ? make("a", { href: cell.link }) : make("span", { class: "badge" }));
  say(node.firstElementChild, cell.link ? cell.text : cell[0]);
  if (!cell.link) tone(node.firstElementChild, cell[1]);
}
