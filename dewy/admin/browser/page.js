// Where it comes from: one stream of events, which comes back by itself.

const SILENCE = 15000, RETRY = 5000;
let status = null, history = [], source = null, live = false, retry = 0, opened = 0, heard = 0;

function linked(text, name) {
  say($("#link"), text);
  tone($("#link"), name);
}

// Only what matters is read out.
function tell(before) {
  const news = [];
  const version = (it) => (it.running ? it.running.tag : "");
  const step = ({ underway }) => (underway ? `${underway.tag}: ${underway.step}` : "");
  if (step(status) && step(before) !== step(status)) news.push(step(status));
  if (version(before) !== version(status)) news.push(`${version(status)} runs`);
  if (verdict(before)[0] !== verdict(status)[0]) news.push(verdict(status)[0]);
  if (news.length) say($("#news"), news.join(". "));
}

function overview() {
  const [text, name] = verdict(status);
  document.title = status.name + (name === "good" ? "" : ` (${text})`) + " – dewy " + status.mode;
  say($("#name"), status.name);
  say($("#about"), `dewy ${status.mode}, version ${status.dewy}, process ${status.pid}, in ${status.root}`);
  say($("#health"), text);
  tone($("#health"), name);
}

// What is shown is of the last moment that was told; without a connection it stays as it is.
function show() {
  if (!status || !live) return;
  overview();
  problems(status, history);
  for (const part of [deployment, current, traffic, replicas, backends, program, previous, quarantine]) part(status);
  $("#past").hidden = status.mode === "proxy";
  if (history.length) past(history);
}

function draw() {
  point(live && status ? sum(rates(status), "connections_total") : null);
  graph($("#graph"));
}

// Everything greys: nobody takes an old state for the present one.
function lost() {
  live = false;
  const at = heard ? moment(heard / 1000 + ahead) : "";
  linked(at ? `No connection to dewy; what is shown is of ${at}. Trying again …`
    : "No connection to dewy. Trying again …", "warn");
  if (!status) return;
  document.documentElement.dataset.stale = "";
  say($("#health"), `no connection, last data ${at}`);
  tone($("#health"), "none");
  document.title = `${status.name} (no connection) – dewy ${status.mode}`;
}

function found(event) {
  heard = Date.now();
  return JSON.parse(event.data);
}

function take(told) {
  const before = status && status.root === told.root ? status : null;
  if (status && !before) points.length = 0;
  status = told;
  live = true;
  delete document.documentElement.dataset.stale;
  linked("Live", "");
  show();
  if (before) tell(before);
}

function close() {
  clearTimeout(retry);
  if (source) source.close();
  source = null;
}

function listen() {
  close();
  opened = Date.now();
  source = new EventSource("/api/events");
  source.addEventListener("clock", (event) => { ahead = found(event) - Date.now() / 1000; });
  source.addEventListener("status", (event) => take(found(event)));
  source.addEventListener("history", (event) => { history = found(event); show(); });
  source.addEventListener("error", () => {
    lost();
    if (source && source.readyState === EventSource.CLOSED) retry = setTimeout(listen, RETRY);
  });
}

// A tunnel or a dewy that hangs tells of no error: it falls silent.
function watch() {
  if (Date.now() - Math.max(opened, heard) < SILENCE) return;
  lost();
  listen();
}

// Nobody looks at a page in the background.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return close();
  if (Date.now() - heard >= SILENCE) lost();
  listen();
});
setInterval(() => {
  if (document.hidden) return;
  watch();
  draw();
  show();
}, 1000);
say($("#zone"), `Times are local (${zone()}).`);
if (!document.hidden) listen();
