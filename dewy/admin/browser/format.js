// How things are written: times by dewy's clock, in this browser's zone.

// A browser at the end of a tunnel has another clock.
let ahead = 0;
const now = () => Date.now() / 1000 + ahead;

function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
  const first = parts.findIndex(([size]) => whole >= size);
  if (first < 0) return "0s";
  const [size, unit] = parts[first], next = parts[first + 1];
  const rest = next ? Math.floor((whole % size) / next[0]) : 0;
  return Math.floor(whole / size) + unit + (rest ? " " + rest + next[1] : "");
}

const ago = (at) => (at == null ? "not yet" : span(now() - at) + " ago");
const until = (at) => (at == null ? "not planned" : at > now() ? "in " + span(at - now()) : "now");
const day = (at) => new Date(at * 1000).toLocaleDateString([], { dateStyle: "medium" });
const hour = (at) => new Date(at * 1000).toLocaleTimeString([], { timeStyle: "medium" });
const moment = (at) => `${day(at)}, ${hour(at)}`;
const ending = (start, end) => (day(start) === day(end) ? hour(end) : moment(end));

// The zone of all times, with its offset of today.
function zone() {
  const format = new Intl.DateTimeFormat("en", { timeZoneName: "longOffset" });
  const offset = format.formatToParts(new Date()).find((part) => part.type === "timeZoneName").value;
  return `${format.resolvedOptions().timeZone}, ${offset}`;
}

function latency(seconds) {
  if (seconds == null) return "";
  const count = seconds * 1000;
  return count >= 1000 ? `${seconds.toFixed(1)} s` : `${count < 10 ? count.toFixed(1) : Math.round(count)} ms`;
}

function amount(count) {
  for (const unit of ["", "k", "M", "G"]) {
    if (count < 1000) return (count < 10 && unit ? count.toFixed(1) : Math.round(count)) + " " + unit;
    count /= 1000;
  }
  return count.toFixed(1) + " T";
}

const bytes = (count) => amount(count) + "B/s";
const rate = (count) => (count && count < 10 ? count.toFixed(1) : String(Math.round(count)));
