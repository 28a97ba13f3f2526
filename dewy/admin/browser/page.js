"use strict";
// What is shown may come from anybody who can publish a release: it is only ever text.
(() => {
  const SVG_POINTS = 120, STEPS = ["fetch", "before-hook", "unpack", "start", "done"];
  const TONES = {
    serving: "good", ready: "busy", starting: "busy", unchecked: "busy", draining: "warn",
    leaving: "warn", gone: "bad", deployed: "good", failed: "bad", "rolled back": "bad",
    died: "bad",
  };
  const WORDS = { leaving: "draining" };
  const rates = [], records = new Map(), shown = new WeakMap();
  let status = null, source = null, live = false, retry = 0, ahead = 0;

  const $ = (selector) => document.querySelector(selector);

  function make(tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties))
      if (value !== undefined && value !== "") node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  // Touched only where it differs, so that focus, selection and readers stay where they are.
  function say(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }

  // The same for a list; *make* is called only where *what* differs from last time.
  function list(node, what, make) {
    const key = JSON.stringify(what);
    if (shown.get(node) === key) return;
    shown.set(node, key);
    node.replaceChildren(...what.map(make));
  }

  function tone(node, name) {
    if (name) node.dataset.tone = name; else delete node.dataset.tone;
  }

  // How things are written.

  function span(seconds) {
    const whole = Math.max(0, Math.round(seconds));
    const parts = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
    const first = parts.findIndex(([size]) => whole >= size);
    if (first < 0) return "0s";
    const [size, unit] = parts[first], next = parts[first + 1];
    const rest = next ? Math.floor((whole % size) / next[0]) : 0;
    return Math.floor(whole / size) + unit + (rest ? " " + rest + next[1] : "");
  }

  // By dewy's clock: a browser at the end of a tunnel has another.
  const now = () => Date.now() / 1000 + ahead;
  const ago = (at) => (at == null ? "not yet" : span(now() - at) + " ago");
  const moment = (at) => new Date(at * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });
  const until = (at) => (at == null ? "not planned" : at > now() ? "in " + span(at - now()) : "now");

  function amount(count) {
    for (const unit of ["", "k", "M", "G"]) {
      if (count < 1000) return (count < 10 && unit ? count.toFixed(1) : Math.round(count)) + " " + unit;
      count /= 1000;
    }
    return count.toFixed(1) + " T";
  }

  const bytes = (count) => amount(count) + "B/s";
  const each = (count) => (count && count < 10 ? count.toFixed(1) : String(Math.round(count))) + "/s";

  // The parts of the page.

  function definitions(list, pairs) {
    const told = pairs.filter(([, text]) => text);
    while (list.children.length > told.length * 2) list.lastChild.remove();
    told.forEach(([term, text], index) => {
      if (!list.children[index * 2]) list.append(make("dt"), make("dd"));
      say(list.children[index * 2], term);
      say(list.children[index * 2 + 1], text);
    });
  }

  function figures(list, pairs) {
    pairs.forEach(([term, text], index) => {
      if (!list.children[index]) list.append(make("div", {}, make("dt"), make("dd")));
      say(list.children[index].firstChild, term);
      say(list.children[index].lastChild, text);
    });
  }

  // Roles are said, because on phones the table is laid out as a list.
  function table(section, columns, rows) {
    section.hidden = !rows.length;
    const place = section.querySelector(".table");
    if (!place.firstChild) {
      const heads = columns.map(([name, kind, title]) =>
        make("th", { role: "columnheader", scope: "col", class: kind, title }, name));
      place.append(make("table", { role: "table", "aria-labelledby": section.getAttribute("aria-labelledby") },
        make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)), make("tbody", { role: "rowgroup" })));
    }
    const body = place.querySelector("tbody");
    while (body.children.length > rows.length) body.lastChild.remove();
    rows.forEach((cells, index) => {
      const row = body.children[index] || body.appendChild(blank(columns));
      cells.forEach((cell, at) => fill(row.children[at], cell));
    });
  }

  function blank(columns) {
    const cells = columns.map(([name, kind], index) => index
      ? make("td", { role: "cell", class: kind, "data-label": name })
      : make("th", { role: "rowheader", scope: "row", class: kind }));
    return make("tr", { role: "row" }, ...cells);
  }

  // A cell is text, or [text, tone] for a badge.
  function fill(node, cell) {
    if (!Array.isArray(cell)) return say(node, cell);
    if (!node.firstElementChild) node.replaceChildren(make("span", { class: "badge" }));
    say(node.firstElementChild, cell[0]);
    tone(node.firstElementChild, cell[1]);
  }

  const word = (phase) => WORDS[phase] || phase;

  function overview() {
    const { running, previous, mode } = status;
    document.title = status.name + (status.healthy ? "" : " (degraded)") + " – dewy " + mode;
    say($("#name"), status.name);
    say($("#about"), `dewy ${mode}, version ${status.dewy}, process ${status.pid}, in ${status.root}`);
    say($("#health"), status.healthy ? "healthy" : "degraded");
    tone($("#health"), status.healthy ? "good" : "bad");
    $("#wrong").hidden = status.healthy;
    list($("#wrong ul"), status.degraded, (text) => make("li", {}, text));
    definitions($("#runs"), [
      ["Version", running ? running.tag : "nothing is deployed yet"],
      ["Since", running && `${moment(running.since)} (${ago(running.since)})`],
      ["Directory", running && running.directory],
      ["Before it", previous && previous.tag],
      ["Held", status.hold && "new releases wait for dewy unhold"],
      ["Paused", status.paused && "new connections wait for dewy resume"],
      ["Last poll", ago(status.last_poll)],
      ["Next poll", status.underway ? "after this deployment" : until(status.next_poll)],
      ["Last error", status.last_error],
    ]);
  }

  function underway() {
    const found = status.underway;
    $("#underway").hidden = !found;
    if (!found) return;
    const from = found.previous ? `, after ${found.previous}` : "";
    const verb = found.action === "rollback" ? "Going back to" : "Deploying";
    say($("#underway p"), `${verb} ${found.tag}${from}, for ${span(now() - found.since)}`);
    const all = STEPS.includes(found.step) ? STEPS : [...STEPS, found.step];
    const at = all.indexOf(found.step);
    list($("#underway ol"), all.map((step, index) => [step, Math.sign(index - at)]), ([step, side]) =>
      make("li", { class: "badge", "data-tone": ["good", "busy", ""][side + 1],
        "aria-current": side ? "" : "step" }, step + (side < 0 ? " ✓" : "")));
  }

  function traffic() {
    $("#traffic").hidden = status.mode !== "container";
    if (status.mode !== "container") return;
    const sum = (name) => Object.values(status.rates).reduce((total, rate) => total + rate[name], 0);
    const open = status.replicas.reduce((total, replica) => total + replica.connections, 0);
    figures($("#traffic dl"), [
      ["open now", String(open)], ["new", each(sum("connections_total"))],
      ["to replicas", bytes(sum("bytes_up"))], ["from replicas", bytes(sum("bytes_down"))],
    ]);
  }

  // One point a second, whether or not something was told.
  function draw() {
    const current = live ? Object.values(status.rates) : [];
    rates.push(current.reduce((total, rate) => total + rate.connections_total, 0));
    rates.splice(0, rates.length - SVG_POINTS);
    const most = Math.max(1, ...rates), start = SVG_POINTS - rates.length;
    const points = rates.map((rate, index) => `${start + index},${(29 - (rate / most) * 27).toFixed(1)}`);
    $("#traffic polyline").setAttribute("points", points.join(" "));
  }

  function versions() {
    const groups = new Map();
    for (const replica of status.replicas) {
      const name = replica.version || "without a version";
      groups.set(name, [...(groups.get(name) || []), [word(replica.phase), look(replica)]]);
    }
    list($("#replicas .versions"), [...groups], ([version, replicas]) => {
      const counts = new Map();
      for (const [state] of replicas) counts.set(state, (counts.get(state) || 0) + 1);
      const squares = replicas.map(([, look]) => make("i", { "data-tone": look }));
      return make("li", {}, make("strong", {}, version),
        make("span", { class: "squares", "aria-hidden": "true" }, ...squares),
        make("span", {}, [...counts].map(([name, count]) => `${count} ${name}`).join(", ")));
    });
  }

  const look = (replica) => replica.health === "unhealthy" ? "bad" : TONES[replica.phase] || "";

  // The end of another version in its place says nothing about this one.
  function problems({ problem, restarts, version, last_terminated: last }) {
    const ended = last && last.version === version && `${last.container}: ${last.how}`;
    return [problem, restarts && `restarted ${restarts} times`, ended]
      .filter(Boolean).join("; ");
  }

  // A program's own words are for those who may read its logs.
  const more = (tag) => `dewy why ${tag} shows what it wrote`;

  function parts() {
    table($("#replicas"), [["Name"], ["Version", "tag"], ["State"], ["Open", "number", "connections open now"],
      ["New", "number", "new connections per second"], ["In", "number", "bytes per second to it"],
      ["Out", "number", "bytes per second from it"], ["Reached at", "wide"], ["Problem", "wide why"]],
    status.replicas.map((replica) => {
      const rate = status.rates[replica.id] || { connections_total: 0, bytes_up: 0, bytes_down: 0 };
      const state = replica.health === "unhealthy" ? "unhealthy" : word(replica.phase);
      return [replica.name, replica.version, [state, look(replica)], String(replica.connections),
        each(rate.connections_total), bytes(rate.bytes_up), bytes(rate.bytes_down),
        replica.upstream && `${replica.upstream} (${replica.way})`, problems(replica)];
    }));
    table($("#generations"), [["Generation"], ["Process"], ["State"], ["For"]],
      status.generations.map((one) => [String(one.generation), String(one.pid),
        [one.state, TONES[one.state]], span(now() - one.since)]));
    table($("#quarantine"), [["Version"], ["Why", "wide why"], ["Failures", "number"], ["Tried again"]],
      status.quarantine.map((entry) => [entry.tag, `${entry.reason} (${more(entry.tag)})`, String(entry.failures),
        entry.until == null ? `after dewy retry ${entry.tag}` :
          entry.outdated_by ? `never: ${entry.outdated_by} is newer` :
          entry.until > now() ? until(entry.until) : "at the next poll"]));
  }

  // One that was shown stays, and with it what is selected in it.
  function past(told) {
    const kept = new Map(told.map((record) => [`${record.at} ${record.tag} ${record.outcome}`, record]));
    for (const key of records.keys()) if (!kept.has(key)) records.delete(key);
    for (const [key, record] of kept) if (!records.has(key)) records.set(key, happened(record));
    if (kept.size) $("#history").replaceChildren(...[...kept.keys()].map((key) => records.get(key)));
  }

  function happened(record) {
    const at = make("time", { datetime: new Date(record.at * 1000).toISOString() }, moment(record.at));
    const step = record.outcome !== "deployed" && record.step ? record.step + ": " : "";
    const from = record.previous ? `from ${record.previous}, ` : "";
    const item = make("li", {}, make("div", { class: "line" }, make("strong", {}, record.tag),
      make("span", { class: "badge", "data-tone": TONES[record.outcome] }, record.outcome),
      make("span", { class: "quiet" }, at, ` ${from}took ${span(record.seconds)}`)));
    const hint = record.outcome === "deployed" ? "" : ` (${more(record.tag)})`;
    if (step || record.reason) item.append(make("p", {}, step + record.reason + hint));
    return item;
  }

  // Only what matters is read out.
  function tell(before) {
    const news = [];
    const version = (it) => (it && it.running ? it.running.tag : "");
    if (status.underway && (!before.underway || before.underway.step !== status.underway.step))
      news.push(`${status.underway.tag}: ${status.underway.step}`);
    if (version(before) !== version(status)) news.push(`${version(status)} runs`);
    if (before.healthy !== status.healthy) news.push(status.healthy ? "healthy again" : status.degraded.join("; "));
    if (news.length) say($("#news"), news.join(". "));
  }

  function show() {
    if (!status) return;
    overview();
    underway();
    traffic();
    versions();
    parts();
  }

  // Where it comes from.

  function linked(text, name) {
    say($("#link"), text);
    tone($("#link"), name);
  }

  function listen() {
    clearTimeout(retry);
    source = new EventSource("/api/events");
    source.addEventListener("clock", (event) => { ahead = JSON.parse(event.data) - Date.now() / 1000; });
    source.addEventListener("status", (event) => {
      const before = status;
      status = JSON.parse(event.data);
      live = true;
      linked("Live", "");
      show();
      if (before) tell(before);
    });
    source.addEventListener("history", (event) => past(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      live = false;
      linked("No connection to dewy; what is shown was so when it broke. Trying again …", "warn");
      if (source && source.readyState === EventSource.CLOSED) retry = setTimeout(listen, 5000);
    });
  }

  // Nobody looks at a page in the background.
  document.addEventListener("visibilitychange", () => {
    clearTimeout(retry);
    if (source) source.close();
    source = null;
    live = false;
    if (!document.hidden) listen();
  });
  setInterval(() => { if (!document.hidden) { draw(); show(); } }, 1000);
  if (!document.hidden) listen();
})();
