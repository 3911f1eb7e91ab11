// Links and forms marked data-go change the report in place; the address stays the state. Keys press the links.

let asked = 0;

export async function show(address, { push = true, quiet = false } = {}) {
  const mine = ++asked;
  const report = document.getElementById("report");
  if (!quiet) report.setAttribute("aria-busy", "true");
  let answer;
  try {
    answer = await fetch(address, { headers: { accept: "text/html" } });
  } catch {
    report.removeAttribute("aria-busy");
    if (!quiet) say("The dashboard does not answer.");
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("report");
  if (mine !== asked) return;
  if (!fresh) {
    if (quiet) return;
    location.assign(address);
    return;
  }
  const focus = focused();
  document.getElementById("report").replaceWith(document.adoptNode(fresh));
  document.getElementById("picker").replaceWith(document.adoptNode(page.getElementById("picker")));
  document.title = page.title;
  if (push) history.pushState(null, "", address);
  refocus(focus);
  document.dispatchEvent(new CustomEvent("report", { detail: { quiet } }));
  if (!quiet) say(page.title);
}

function focused() {
  const element = document.activeElement;
  if (!element?.closest("#report, #picker")) return null;
  const panel = element.closest("[role=tabpanel]");
  const row = element.closest(".rows li");
  if (panel && row) return { panel: panel.id, row: [...row.parentNode.children].indexOf(row) };
  if (element.id) return { id: element.id };
  for (const name of ["metric", "key"]) if (element.dataset[name]) return { query: `[data-${name}="${element.dataset[name]}"]` };
  if (element.closest(".plot")) return { query: ".plot" };
  return null;
}

function refocus(focus) {
  if (!focus) return;
  const found = focus.id ? document.getElementById(focus.id)
    : focus.query ? document.querySelector(`main ${focus.query}`)
      : document.getElementById(focus.panel)?.querySelectorAll(".rows li")[focus.row];
  found?.closest("details:not([open])")?.querySelector("summary").focus({ preventScroll: true });
  found?.focus({ preventScroll: true });
}

function say(text) {
  document.getElementById("say").textContent = text;
}

function sameTab(event) {
  return event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
}

// A panel's tab is switched without asking, so a link made earlier does not know of it: the address does.
function withTabs(address) {
  const wanted = new URL(address, location.href);
  const present = new URLSearchParams(location.search);
  for (const panel of document.querySelectorAll("[data-panel]")) {
    const name = panel.dataset.panel;
    if (present.has(name)) wanted.searchParams.set(name, present.get(name));
    else wanted.searchParams.delete(name);
  }
  return wanted.href;
}

export function startNavigation() {
  if (!document.getElementById("report")) return;
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-go]");
    if (!link || !sameTab(event)) return;
    event.preventDefault();
    link.closest("details")?.removeAttribute("open");
    show(withTabs(link.href));
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-go]")) return;
    event.preventDefault();
    show(withTabs("?" + new URLSearchParams(new FormData(event.target))));
  });
  addEventListener("popstate", () => show(location.href, { push: false }));
  document.addEventListener("click", (event) => {
    document.querySelectorAll("details.menu[open]").forEach((menu) => {
      if (!menu.contains(event.target)) menu.removeAttribute("open");
    });
  });
  document.addEventListener("keydown", onKey);
}

function onKey(event) {
  if (event.metaKey || event.ctrlKey || event.altKey || event.defaultPrevented) return;
  if (event.key === "Escape") {
    const menu = document.querySelector("details.menu[open]");
    menu?.removeAttribute("open");
    menu?.querySelector("summary").focus();
    return;
  }
  if (event.target.closest("input, textarea, select, dialog, [role=tablist], .plot")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const target = /^[1-6]$/.test(key)
    ? document.querySelectorAll(".totals a")[key - 1]
    : document.querySelector(`main [data-key="${CSS.escape(key)}"]`);
  if (!target) return;
  event.preventDefault();
  target.click();
  if (target.tagName === "SUMMARY") target.focus();
}
