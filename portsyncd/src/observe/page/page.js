"use strict";
// The table that came with the page is made live: what changes comes from /events, and everything
// is asked for anew when the connection is made again or changes were missed.
performance.setResourceTimingBufferSize(0); // One for each answer would be kept.
const by = id => document.getElementById(id);
const time = ms => ms === null ? "" : new Date(ms).toISOString().slice(0, 19).replace("T", " ");
const element = (name, text, cls) => {
  const made = document.createElement(name);
  made.textContent = text === null ? "" : text;
  if (cls) made.className = cls;
  return made;
};
const cell = (text, cls) => element("td", text, cls);
const row = cells => { const tr = document.createElement("tr"); tr.append(...cells); return tr; };
const fill = (body, rows) => body.replaceChildren(...rows);
const state = p => p.oper === "down" && p.admin === "down" ? "off" : p.oper;
async function get(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(path);
  return answer.json();
}

// Ports: what is known of each, its row and its cell of the grid.
const ports = new Map();
let prefix = 0;
const link = (p, text, cls) => {
  const a = element("a", text, cls);
  a.href = "ports/" + encodeURIComponent(p.port);
  a.dataset.port = p.port;
  return a;
};
function paint(port) {
  const p = port.is, td = port.row.cells;
  td[1].textContent = p.oper; td[1].className = state(p);
  td[2].textContent = p.admin ?? ""; td[3].textContent = p.mtu ?? "";
  td[4].textContent = p.flaps; td[5].textContent = p.flaps_per_hour.toFixed(1);
  td[6].textContent = time(p.changed_ms);
  port.cell.className = "cell " + state(p) + (port.flashes ? " flash" : "");
  port.cell.title = `${p.port}: ${p.oper}, ${p.flaps} flaps`;
  port.row.className = port.flashes ? "flash" : "";
}
function listed(list) {
  const names = list.map(p => p.port), first = names[0] ?? "";
  prefix = Math.max(first.search(/\d/), 0);
  if (!names.every(name => name.startsWith(first.slice(0, prefix)))) prefix = 0;
  ports.clear();
  for (const p of list) {
    const name = cell("");
    name.append(link(p, p.port));
    const numbers = [cell("", "n extra"), cell("", "n"), cell("", "n extra")];
    const port = { is: p, row: row([name, cell(""), cell("", "extra"), ...numbers, cell("")]), cell: link(p, p.port.slice(prefix)), flashes: 0 };
    ports.set(p.port, port);
    paint(port);
  }
  arrange();
}

// Order and filter.
const orders = ["port", "oper", "admin", "mtu", "flaps", "flaps_per_hour", "changed_ms"];
let order = 0, filter = "";
const bad = p => ({ down: 0, missing: 1, off: 2, up: 3 })[state(p)];
const compare = (a, b) => {
  const key = orders[order];
  if (key === "oper") return bad(a.is) - bad(b.is);
  if (key === "admin") return (a.is.admin ?? "").localeCompare(b.is.admin ?? "");
  return (b.is[key] ?? 0) - (a.is[key] ?? 0);
};
function arrange() {
  const passes = p => !filter || p.oper === filter || p.port.toLowerCase().includes(filter);
  let shown = [...ports.values()].filter(port => passes(port.is));
  if (order) shown.sort(compare);
  fill(by("ports"), shown.map(port => port.row));
  fill(by("grid"), shown.map(port => port.cell));
  by("shown").textContent = filter ? `${shown.length} of ${ports.size}` : "";
  [...by("heads").cells].forEach((th, at) => th.classList.toggle("by", at === order));
}
by("filter").addEventListener("input", e => { filter = e.target.value.trim().toLowerCase(); arrange(); });
by("heads").addEventListener("click", e => {
  const th = e.target.closest("th");
  if (th) { order = th.cellIndex; arrange(); }
});

// One port's journal.
let chosen = null;
const difference = (was, is) => {
  if (!is) return "gone";
  if (!was) return `new: oper ${is.oper}, admin ${is.admin}, mtu ${is.mtu}`;
  const keys = ["oper", "admin", "mtu"].filter(key => was[key] !== is[key]);
  return keys.map(key => `${key} ${was[key]} → ${is[key]}`).join(", ");
};
async function detail() {
  const name = chosen;
  const port = await get("ports/" + encodeURIComponent(name));
  if (name !== chosen) return;
  by("detail-name").textContent = `${port.port}: ${port.oper}, ${port.flaps} flaps`;
  const lines = port.journal.toReversed().map(line => {
    const millis = String(line.at_ms % 1000).padStart(3, "0");
    const what = difference(line.was, line.is);
    return row([cell(time(line.at_ms) + "." + millis), cell(what), cell(line.origin.replace("_", " ")), cell(line.latency_us, "n"), cell(line.times, "n")]);
  });
  fill(by("journal"), lines);
  by("detail").hidden = false;
}
document.addEventListener("click", e => {
  const name = e.target.closest("a")?.dataset.port;
  if (!name || e.ctrlKey || e.metaKey || e.shiftKey) return;
  e.preventDefault();
  chosen = name;
  detail().then(() => by("detail").scrollIntoView({ block: "nearest" })).catch(() => {});
});
by("close").addEventListener("click", () => { chosen = null; by("detail").hidden = true; });

// The whole.
function summary(s) {
  by("health").textContent = s.health.score;
  for (const key of ["up", "down", "missing"]) by(key).textContent = s.ports[key];
  by("p50").textContent = s.latency_us.p50;
  by("p99").textContent = s.latency_us.p99;
  fill(by("lost"), s.health.lost.map(l => element("li", `-${l.points}: ${l.reason}`)));
  fill(by("outages"), s.outages.map(o => row([cell(o.port), cell(time(o.since_ms)), cell((o.lasted_ms / 1000).toFixed(1) + (o.open ? " and lasting" : ""), "n")])));
}
let asked = 0;
async function everything() {
  asked = Date.now();
  const [status, list] = await Promise.all([get("status"), get("ports")]);
  summary(status);
  listed(list.ports);
}
let pending = false;
function soon() {
  if (pending) return;
  pending = true;
  setTimeout(() => {
    pending = false;
    // Flaps an hour are in no event.
    if (Date.now() - asked > 10000) everything().catch(() => {});
    else get("status").then(summary).catch(() => {});
    if (chosen) detail().catch(() => {});
  }, 2000);
}

// Changes are drawn a few times a second, however many come.
const changed = new Map();
function draw() {
  let unknown = false;
  for (const e of changed.values()) {
    const port = ports.get(e.port);
    if (!port || !e.is) { unknown = true; continue; }
    const moved = port.is.oper !== e.is.oper || port.is.admin !== e.is.admin || e.moved;
    Object.assign(port.is, e.is, { flaps: e.flaps });
    if (moved) port.is.changed_ms = e.at_ms;
    port.flashes = 2;
    paint(port);
  }
  changed.clear();
  if (unknown) everything().catch(() => {}); else soon();
}

// Two minutes, a figure a second.
const trace = id => ({ id, past: new Array(120).fill(0), now: 0, quiet: false });
const rate = trace("rate"), slow = trace("slow");
function tick(t) {
  t.past.shift();
  t.past.push(t.now);
  t.now = 0;
  const peak = Math.max(...t.past);
  if (peak === 0 && t.quiet) return;
  t.quiet = peak === 0;
  by(t.id).textContent = t.past[119];
  by(t.id + "-peak").textContent = peak;
  const points = t.past.map((value, x) => `${x},${29 - 28 * value / Math.max(peak, 1)}`);
  by(t.id + "-trace").firstChild.setAttribute("points", points.join(" "));
}
setInterval(() => {
  tick(rate);
  tick(slow);
  for (const port of ports.values()) if (port.flashes && --port.flashes === 0) paint(port);
  if (order && rate.past[119]) arrange();
}, 1000);

document.body.classList.add("live");
const source = new EventSource("events");
source.onopen = () => { by("live").textContent = "live"; everything().catch(() => {}); };
source.onerror = () => { by("live").textContent = "connection lost, trying again"; };
source.addEventListener("port", m => {
  const e = JSON.parse(m.data), before = changed.get(e.port);
  rate.now += e.times;
  slow.now = Math.max(slow.now, e.latency_us ?? 0);
  e.moved = before?.moved || !e.was || !e.is || e.was.oper !== e.is.oper || e.was.admin !== e.is.admin;
  if (!changed.size) setTimeout(draw, 250);
  changed.set(e.port, e);
});
source.addEventListener("missed", m => {
  rate.now += JSON.parse(m.data).missed;
  everything().catch(() => {});
});
