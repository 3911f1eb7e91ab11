// Reads the chart's table: a point under the pointer or chosen by arrow keys shows its values.
import { hush, tell } from "./tips.js";

function points() {
  return [...document.querySelectorAll("#chart .values tbody tr")].map((row) => ({
    label: row.children[0].textContent,
    value: row.children[1].querySelector("span").textContent,
    before: row.children[2]?.textContent,
    beforeLabel: row.children[2]?.dataset.when,
    y: row.dataset.y === "" ? null : Number(row.dataset.y),
    tip: row.dataset.tip,
  }));
}

// The line before may be longer than this one; then the points do not fill the width.
function width(plot) {
  return Number(plot.dataset.width || 1);
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

export function startChart() {
  let all = [];
  let at = -1;
  const collect = () => { all = points(); at = -1; };
  collect();
  document.addEventListener("report", collect);

  const choose = (plot, index) => {
    at = Math.max(0, Math.min(all.length - 1, index));
    const point = all[at];
    const share = all.length > 1 ? at / (all.length - 1) : 0.5;
    const x = `${share * 100 * width(plot)}%`;
    const cross = plot.querySelector(".cross");
    const here = plot.querySelector(".here");
    cross.setAttribute("x1", x);
    cross.setAttribute("x2", x);
    cross.setAttribute("visibility", "visible");
    here.setAttribute("visibility", point.y === null ? "hidden" : "visible");
    here.setAttribute("cx", x);
    here.setAttribute("cy", `${point.y ?? 0}%`);
    const content = [element("em", point.label), element("b", point.value)];
    if (point.before) content.push(element("em", `${point.before} · ${point.beforeLabel}`));
    content.push(element("em", point.tip));
    const box = plot.getBoundingClientRect();
    tell(content, box.left + box.width * share * width(plot), box.top + (box.height * (point.y ?? 0)) / 100);
    plot.setAttribute("aria-valuenow", at + 1);
    plot.setAttribute("aria-valuetext", `${point.label}: ${point.value}`);
  };
  const clear = (plot) => {
    plot.querySelectorAll(".cross, .here").forEach((mark) => mark.setAttribute("visibility", "hidden"));
    hush();
  };

  document.addEventListener("pointermove", (event) => {
    const plot = event.target.closest?.(".plot");
    if (!plot || !all.length) return;
    const box = plot.getBoundingClientRect();
    choose(plot, Math.round(((event.clientX - box.left) / (box.width * width(plot))) * (all.length - 1)));
  });
  document.addEventListener("pointerout", (event) => {
    const plot = event.target.closest?.(".plot");
    if (plot && !plot.contains(event.relatedTarget)) clear(plot);
  });
  document.addEventListener("keydown", (event) => {
    const plot = event.target.closest?.(".plot");
    if (!plot || !all.length) return;
    const moves = { ArrowLeft: -1, ArrowRight: 1, PageDown: -7, PageUp: 7, Home: -Infinity, End: Infinity };
    if (!(event.key in moves)) return;
    event.preventDefault();
    choose(plot, at < 0 ? all.length - 1 : at + moves[event.key]);
  });
  document.addEventListener("focusout", (event) => {
    if (event.target.matches?.(".plot")) clear(event.target);
  });
}
