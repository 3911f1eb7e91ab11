import { startChart } from "./chart.js";
import { startDialogs } from "./dialog.js";
import { startLive } from "./live.js";
import { startNavigation } from "./navigate.js";
import { startTabs, startRows } from "./tabs.js";
import { startTips } from "./tips.js";

function startTheme() {
  const button = document.getElementById("theme");
  button.hidden = false;
  button.addEventListener("click", () => {
    const root = document.documentElement;
    const now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* holds for this page only */ }
  });
}

function startCopy() {
  const show = () => document.querySelectorAll("[data-copy]").forEach((button) => { button.hidden = false; });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1600);
  });
  document.addEventListener("report", show);
  show();
}

startTheme();
startCopy();
startTips();
startChart();
startTabs();
startRows();
startDialogs();
startNavigation();
startLive();
