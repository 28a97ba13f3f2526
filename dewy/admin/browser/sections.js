// The sections of the page, out of one status and the history.

const STEPS = ["fetch", "before-hook", "unpack", "start", "done"];
const TONES = {
  serving: "good", ready: "busy", starting: "busy", unchecked: "busy", draining: "warn",
  leaving: "warn", paused: "warn", ejected: "bad", gone: "bad", deployed: "good", reloaded: "good",
  adopted: "good", failed: "bad", "rolled back": "bad", died: "bad", "hook failed": "warn",
};
const WORDS = { leaving: "draining" };
const word = (phase) => WORDS[phase] || phase;

// A reason stands in one place only; wherever else it belongs there is a link to that,
// unless it is as short as one.
const SHORT = 40;
const said = new Map();

// The link to where *reason* stands, or null if that is *place*, from now on.
function elsewhere(reason, place, title) {
  if (said.has(reason)) return said.get(reason);
  if (reason && reason.length > SHORT) said.set(reason, { link: place, text: `see ${title}` });
  return null;
}

// A program's own words are for those who may read its logs.
const more = ({ tag, wrote }) => wrote && `\`dewy why ${tag}\` shows what it wrote`;

function again(entry) {
  if (entry.until == null) return `after \`dewy retry ${entry.tag}\``;
  if (entry.not_tried) return entry.not_tried;
  return entry.until > now() ? until(entry.until) : "at the next poll";
}

// The badge.

const DOING = { rollback: "rolling back", reload: "replacing replicas" };

function activity(status) {
  if (status.underway) return DOING[status.underway.action] || "deploying";
  const serving = status.replicas.filter((replica) => replica.phase === "serving");
  if (new Set(serving.map((replica) => replica.version)).size > 1) return "rolling out";
  const phases = [...status.replicas.map((one) => one.phase), ...status.generations.map((one) => one.state)];
  if (phases.some((phase) => TONES[phase] === "busy")) return "starting";
  return status.probation == null ? "" : "on probation";
}

function verdict(status) {
  const doing = activity(status);
  const [word, look] = status.degraded.length ? ["degraded", "bad"]
    : status.attention.length ? [status.paused ? "paused" : "attention", "warn"] : ["", "busy"];
  if (doing) return [[doing, word].filter(Boolean).join(", "), look];
  return word ? [word, look] : ["healthy", "good"];
}

// What is wrong: each phrase with its reason, unless another has said that.

function problem(phrase, status, history) {
  const entry = status.quarantine.find(({ tag }) => phrase.startsWith(`${tag} is in quarantine`));
  if (entry) return [`${entry.tag} is in quarantine, tried again ${again(entry)}`, entry];
  const record = history.find(({ reason }) => reason && phrase.endsWith(`: ${reason}`));
  return record ? [phrase.slice(0, -record.reason.length - 2), record] : [phrase, null];
}

function problems(status, history) {
  said.clear();
  const told = status.degraded.map((phrase) => {
    const [text, entry] = problem(phrase, status, history);
    if (!entry || !entry.reason || said.has(entry.reason)) return text;
    elsewhere(entry.reason, "#problems", "Problems");
    return [`${text}: ${entry.reason}`, more(entry)].filter(Boolean).join("; ");
  });
  $("#problems").hidden = !told.length;
  list($("#problems ul"), told, (text) => prose(make("li"), text));
  $("#attention").hidden = !status.attention.length;
  list($("#attention ul"), status.attention, (text) => prose(make("li"), text));
}

// What runs.

const digest = (release) => ["Digest", release && release.identity.startsWith("sha256:") && release.identity];
const directory = (release) => ["Directory", release && release.directory && `releases/${release.directory}`];

// When its deployment began and ended, where the history still knows.
const deployed = (release) => release && release.ended != null &&
  `${moment(release.began)} – ${ending(release.began, release.ended)}`;

function current(status) {
  if (status.mode === "proxy") return relaying(status);
  say($("#runs-title"), "Current release");
  const { running, underway, follow_up: follow } = status;
  const told = [...status.degraded, running && `${running.tag} runs`];
  const image = status.replicas.find((replica) => running && replica.version === running.tag);
  const back = status.previous ? `; a failure until then leads back to ${status.previous.tag}` : "";
  definitions($("#runs"), [
    ["Version", running ? running.tag : "nothing is deployed yet"],
    ["Image", image && image.image],
    digest(running),
    directory(running),
    ["Since", running && `${moment(running.since)} (${ago(running.since)})`],
    ["Deployed", deployed(running)],
    ["Why", status.why],
    ["Following up", follow && `${follow.tag}: ${follow.step}, for ${span(now() - follow.since)}`],
    ["Probation", status.probation != null && `${span(status.probation)} left${back}`],
    ["Hold", status.hold && "yes: newer releases wait for `dewy unhold`"],
    ["Pause", status.paused && "yes: new connections wait for `dewy resume`"],
    ["Address", status.ports.map((port) => port.address).join(", ")],
    ["Passed over", status.passed_over.map(({ name, reason }) => `${name}: ${kept(name, reason, status)}`).join("; ")],
    ["Registry", !told.includes(status.standing) && !status.last_error && status.standing],
    ["Last poll", ago(status.last_poll)],
    ["Next poll", underway ? "after this deployment" : until(status.next_poll)],
  ]);
}

// Of a quarantine its own section has the rest.
function kept(name, reason, status) {
  const listed = status.quarantine.some(({ tag }) => tag === name);
  return listed && reason.startsWith(`${name} is in quarantine`) ? "in quarantine" : reason;
}

// A proxy alone deploys nothing.
function relaying(status) {
  say($("#runs-title"), "Proxy");
  const serving = status.backends.filter((backend) => backend.state === "serving");
  definitions($("#runs"), [
    ["Address", status.ports.map((port) => port.address).join(", ")],
    ["Backends", `${serving.length} of ${status.backends.length} serve`],
    ["Pause", status.paused && "yes: new connections wait for `dewy resume`"],
  ]);
}

function previous({ previous: release }) {
  $("#previous").hidden = !release;
  if (!release) return;
  definitions($("#previous dl"), [
    ["Version", release.tag], digest(release), directory(release),
    ["Deployed", deployed(release) || moment(release.since)], ["Go back with", "`dewy rollback`"],
  ]);
}

// What is being deployed, and how far that is.

const VERBS = { rollback: "Going back to", reload: "Replacing the replicas of" };

function deployment(status) {
  const found = status.underway;
  $("#underway").hidden = !found;
  if (!found) return;
  const from = found.previous ? `, replacing ${found.previous}` : "";
  const verb = VERBS[found.action] || "Deploying";
  const why = found.why ? ` (${found.why})` : "";
  say($("#underway p"), `${verb} ${found.tag}${from}${why}, for ${span(now() - found.since)}`);
  const all = STEPS.includes(found.step) ? STEPS : [...STEPS, found.step];
  const at = all.indexOf(found.step);
  list($("#underway ol"), all.map((step, index) => [step, Math.sign(index - at)]), ([step, side]) =>
    make("li", { class: "badge", "data-tone": ["good", "busy", ""][side + 1],
      "aria-current": side ? "" : "step" }, step + (side < 0 ? " ✓" : "")));
  say($("#step"), found.progress || "");
  reached(found, status);
}

// Replicas with other options have the same version: only the step tells how many they are.
function reached({ tag, action }, { replicas, desired_replicas: wanted }) {
  const serving = replicas.filter((one) => one.version === tag && one.phase === "serving").length;
  const some = Boolean(wanted) && action !== "reload" && replicas.some((replica) => replica.version === tag);
  $("#reached").hidden = !some;
  if (!some) return;
  $("#reached progress").max = wanted;
  $("#reached progress").value = Math.min(serving, wanted);
  say($("#reached span"), `${Math.min(serving, wanted)} of ${wanted} replicas of ${tag} serve`);
}

// Clients and what they are given.

const NOTHING = { connections_total: 0, bytes_up: 0, bytes_down: 0 };
const relayed = (status) => status.ports.filter((port) => port.connections_total != null);
const sum = (rows, name) => rows.reduce((total, row) => total + row[name], 0);
const rates = (status) => relayed(status).map((port) => status.rates[port.address] || NOTHING);

function traffic(status) {
  const ports = relayed(status), moving = rates(status);
  $("#traffic").hidden = !ports.length;
  figures($("#traffic dl"), [
    ["Open", String(sum(ports, "connections"))], ["Conn/s", rate(sum(moving, "connections_total"))],
    ["In", bytes(sum(moving, "bytes_up"))], ["Out", bytes(sum(moving, "bytes_down"))],
    ["Errors", String(sum(ports, "errors"))], ["Retries", String(sum(ports, "retries"))],
  ]);
}

// Replicas.

const look = (replica) => (replica.health === "unhealthy" ? "bad" : TONES[replica.phase] || "");

function versions(status) {
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

const REPLICAS = [["Name", "name"], ["Version", "tag"], ["State"], ["Last check", "number"],
  ["Latency", "number", "of the last check"], ["Restarts", "number"],
  ["Open", "number", "connections open now"], ["Conn/s", "number", "new connections per second"],
  ["In", "number", "bytes per second to it"], ["Out", "number", "bytes per second from it"],
  ["Errors", "number", "connections that it broke"],
  ["Retries", "number", "attempts to connect to it that failed and were made again elsewhere"],
  ["Address", "wide address"]];

// The end of another version in its place says nothing about this one.
function trouble({ problem, version, last_terminated: last }) {
  const ended = last && last.version === version && `before it, ${last.container} ended: ${last.how}`;
  return [problem, ended].filter(Boolean).join("; ");
}

// A good check and a bad one are told apart by a word, not by a colour alone.
function health({ last_check: check }) {
  return check ? [ago(check.at) + (check.ok ? "" : " ✗ failed"), latency(check.latency)] : ["", ""];
}

function counted(one, status) {
  const moving = status.rates[one.id] || NOTHING;
  return [String(one.connections), rate(moving.connections_total), bytes(moving.bytes_up),
    bytes(moving.bytes_down), String(one.broken), String(one.failures)];
}

function replicas(status) {
  versions(status);
  table($("#replicas"), REPLICAS, status.replicas.map((replica) => {
    const state = replica.health === "unhealthy" ? "unhealthy" : word(replica.phase);
    return { note: trouble(replica), cells: [replica.name, replica.version, [state, look(replica)],
      ...health(replica), String(replica.restarts), ...counted(replica, status),
      replica.upstream && `${replica.upstream} (${replica.way})`] };
  }));
}

// The backends of `dewy proxy`, which have counters like those of replicas.

const BACKENDS = [["Address"], ["Port"], ["State"], ...REPLICAS.slice(3, 5), ...REPLICAS.slice(6, -1)];

function backends(status) {
  table($("#backends"), BACKENDS, (status.backends || []).map((backend) => ({ note: backend.problem,
    cells: [backend.address, backend.port, [backend.state, TONES[backend.state]], ...health(backend), ...counted(backend, status)] })));
}

// The program of `dewy server`.

const GENERATIONS = [["Generation"], ["Process"], ["State"], ["For"], ["Last check", "number"], ["Latency", "number"]];

function program({ generations, deaths }) {
  table($("#program"), GENERATIONS, generations.map((one) => ({ cells: [String(one.generation), String(one.pid),
    [one.state, TONES[one.state]], span(now() - one.since), ...health(one)] })));
  const last = deaths && deaths.last;
  const how = last && `; the last ${ago(last.at)}, when generation ${last.generation} ended (${last.how}) after ${span(last.lived)}`;
  say($("#deaths"), deaths ? `Restarts: ${deaths.total}${how || ""}` : "");
}

// What is kept out.

const QUARANTINE = [["Version"], ["Failures", "number"], ["Tried again"], ["Reason", "wide"]];

function quarantine(status) {
  table($("#quarantine"), QUARANTINE, status.quarantine.map((entry) => {
    const place = elsewhere(entry.reason, "#quarantine", "Quarantine");
    return { cells: [entry.tag, String(entry.failures), again(entry),
      place || [entry.reason, more(entry)].filter(Boolean).join("; ")] };
  }));
}

// What was deployed before, newest first. One that was shown stays, and what is selected in it.

const records = new Map();

function past(history) {
  const kept = new Map();
  for (const record of history) {
    const place = elsewhere(record.reason, "#history", "the one above");
    const key = JSON.stringify([record.at, record.tag, record.outcome, place]);
    kept.set(key, records.get(key) || happened(record, place));
  }
  records.clear();
  for (const [key, item] of kept) records.set(key, item);
  const items = [...kept.values()], node = $("#history");
  if (items.some((item, index) => node.children[index] !== item)) node.replaceChildren(...items);
}

function happened(record, place) {
  const start = record.at - record.seconds;
  const time = (at, text) => make("time", { datetime: new Date(at * 1000).toISOString() }, text);
  const went = [record.action === "deploy" ? "" : record.action, record.previous && `from ${record.previous}`];
  const item = make("li", {}, make("div", { class: "line" }, make("strong", {}, record.tag),
    make("span", { class: "badge", "data-tone": TONES[record.outcome] }, record.outcome),
    make("span", { class: "quiet" }, time(start, moment(start)), " – ", time(record.at, ending(start, record.at)),
      [` (${span(record.seconds)})`, ...went].filter(Boolean).join(", "))));
  if (record.reason || TONES[record.outcome] === "bad") item.append(reason(record, place));
  return item;
}

function reason(record, place) {
  const bad = TONES[record.outcome] === "bad", step = bad && record.step ? `at ${record.step}: ` : "";
  if (place)
    return make("p", {}, step, make("a", { href: place.link }, place.text));
  return prose(make("p"), step + [record.reason, bad && more(record)].filter(Boolean).join("; "));
}
