// The live strip: one stream, which the report follows while its range is still running.
import { show } from "./navigate.js";

const REPORT_EVERY_MS = 10_000;
const RETRY_MS = [1000, 2000, 5000, 15_000, 30_000];
const SVG = "http://www.w3.org/2000/svg";
const MINUTES = 30;

function draw(svg, minutes) {
  const known = new Map(minutes.map((m) => [Math.floor(Number(m.at) / 60_000), m]));
  const last = Math.max(Math.floor(Date.now() / 60_000), ...known.keys());
  const most = Math.max(1, ...minutes.map((m) => m.visitors));
  const bars = [];
  for (let i = 0; i < MINUTES; i += 1) {
    const visitors = known.get(last - MINUTES + 1 + i)?.visitors ?? 0;
    const height = visitors ? Math.max(3, (22 * visitors) / most) : 1.5;
    const bar = document.createElementNS(SVG, "rect");
    bar.setAttribute("x", i * 4);
    bar.setAttribute("y", 23 - height);
    bar.setAttribute("width", 3);
    bar.setAttribute("height", height);
    bar.setAttribute("rx", 1);
    if (!visitors) bar.classList.add("none");
    bars.push(bar);
  }
  svg.replaceChildren(...bars);
}

function moment(ms) {
  return new Date(Number(ms)).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

export function startLive() {
  const strip = document.getElementById("live");
  if (!strip) return;
  const report = { at: Date.now(), seen: null, due: 0 };
  let attempts = 0;

  const follow = (state) => {
    const running = document.getElementById("report")?.dataset.running === "yes";
    const moved = JSON.stringify([state.totals, state.published_until]);
    const isFirst = report.seen === null;
    if (moved === report.seen) return;
    report.seen = moved;
    if (isFirst || !running || report.due) return;
    report.due = setTimeout(refresh, Math.max(0, report.at + REPORT_EVERY_MS - Date.now()));
  };
  const refresh = () => {
    report.due = 0;
    const isBusy = document.hidden || document.querySelector("details.menu[open], dialog[open]");
    report.at = Date.now();
    if (isBusy) report.seen = "";
    else show(location.href, { push: false, quiet: true });
  };
  const on = (state) => {
    attempts = 0;
    strip.classList.add("on");
    strip.classList.remove("away");
    const now = state.current_visitors ?? 0;
    document.getElementById("live-now").textContent = now.toLocaleString("en");
    document.getElementById("live-word").textContent = now === 1 ? "current visitor" : "current visitors";
    draw(document.getElementById("live-minutes"), state.minutes ?? []);
    strip.dataset.tip = `Live, as of ${moment(state.as_of)}: people seen in the last 5 minutes; bars: the last 30 minutes.`;
    follow(state);
  };
  const away = (why) => {
    strip.classList.remove("on");
    strip.classList.add("away");
    document.getElementById("live-now").textContent = "–";
    document.getElementById("live-word").textContent = "live is away";
    strip.dataset.tip = why;
  };
  const connect = () => {
    const source = new EventSource(strip.dataset.stream);
    source.addEventListener("live", (event) => on(JSON.parse(event.data)));
    source.addEventListener("away", () => away("The live service is away. Published numbers are shown; this comes back by itself."));
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return;
      source.close();
      away("The live view is not available now. Published numbers are shown; this tries again.");
      setTimeout(connect, RETRY_MS[Math.min(attempts, RETRY_MS.length - 1)]);
      attempts += 1;
    });
    addEventListener("pagehide", () => source.close(), { once: true });
  };
  connect();
}
