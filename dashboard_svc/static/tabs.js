// Tabs switch lists that are all there already; the choice goes into the address. Rows are walked with arrows.

function choose(tab) {
  const panel = tab.closest("[data-panel]");
  for (const other of panel.querySelectorAll("[role=tab]")) {
    const isChosen = other === tab;
    other.setAttribute("aria-selected", isChosen);
    other.tabIndex = isChosen ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = !isChosen;
  }
  const address = new URL(location.href);
  const isFirst = tab === panel.querySelector("[role=tab]");
  if (isFirst) address.searchParams.delete(panel.dataset.panel);
  else address.searchParams.set(panel.dataset.panel, tab.dataset.tab);
  history.replaceState(null, "", address);
}

export function startTabs() {
  document.addEventListener("click", (event) => {
    const tab = event.target.closest?.("[role=tab]");
    if (!tab || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    choose(tab);
  });
  document.addEventListener("keydown", (event) => {
    const tab = event.target.closest?.("[role=tab]");
    if (!tab) return;
    const all = [...tab.parentNode.querySelectorAll("[role=tab]")];
    const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -all.length, End: all.length, " ": 0 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const wanted = all.indexOf(tab) + moves[event.key];
    const next = event.key.startsWith("Arrow") ? all.at(wanted % all.length) : all[Math.max(0, Math.min(all.length - 1, wanted))];
    choose(next);
    next.focus();
  });
}

export function startRows() {
  document.addEventListener("keydown", (event) => {
    const row = event.target.closest?.(".rows li");
    if (!row || !["ArrowUp", "ArrowDown", "Home", "End"].includes(event.key)) return;
    const all = [...row.parentNode.children];
    const step = { ArrowUp: -1, ArrowDown: 1, Home: -all.length, End: all.length }[event.key];
    const next = all[Math.max(0, Math.min(all.length - 1, all.indexOf(row) + step))];
    event.preventDefault();
    row.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}
