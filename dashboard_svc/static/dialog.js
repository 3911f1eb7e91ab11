// Full lists open in a dialog; without script their links lead to the same list as a page.

async function open(address) {
  const dialog = document.getElementById("dialog");
  const answer = await fetch(address, { headers: { accept: "text/html" } }).catch(() => null);
  const page = answer && new DOMParser().parseFromString(await answer.text(), "text/html");
  const full = page?.getElementById("full");
  if (!full) {
    location.assign(address);
    return;
  }
  document.getElementById("dialog-body").replaceChildren(document.adoptNode(full));
  if (!dialog.open) dialog.showModal();
  dialog.append(document.getElementById("tip")); // what is not inside a modal dialog lies below it
  dialog.querySelector("[data-find]")?.focus();
}

function find(input) {
  const text = input.value.trim().toLowerCase();
  for (const row of input.closest("#full").querySelectorAll("tbody tr")) {
    row.hidden = !row.querySelector(".name").textContent.toLowerCase().includes(text);
  }
}

export function startDialogs() {
  const dialog = document.getElementById("dialog");
  document.addEventListener("input", (event) => {
    if (event.target.matches?.("[data-find]")) find(event.target);
  });
  if (!dialog) return;
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-dialog], a[data-close]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    if ("close" in link.dataset) dialog.close();
    else open(link.href);
  });
  for (const each of [dialog, document.getElementById("help")]) {
    each.addEventListener("click", (event) => { if (event.target === each) each.close(); });
  }
  dialog.addEventListener("close", () => {
    const tip = document.getElementById("tip");
    tip.hidden = true;
    document.body.append(tip);
  });
  const help = document.getElementById("help");
  document.addEventListener("click", (event) => { if (event.target.closest?.("#keys")) help.showModal(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "?" && !event.target.closest("input, dialog")) help.showModal();
  });
  const reveal = () => { const keys = document.getElementById("keys"); if (keys) keys.hidden = false; };
  document.addEventListener("report", reveal);
  reveal();
}
