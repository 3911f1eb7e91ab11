// One tooltip for everything that carries data-tip, on hover and on focus.

const tip = () => document.getElementById("tip");

export function tell(content, x, y) {
  const box = tip();
  box.replaceChildren(...content);
  box.hidden = false;
  const { width, height } = box.getBoundingClientRect();
  const left = Math.min(Math.max(8, x - width / 2), innerWidth - width - 8);
  const top = y - height - 12 < 8 ? y + 20 : y - height - 12;
  box.style.left = `${left}px`;
  box.style.top = `${top}px`;
}

export function hush() {
  tip().hidden = true;
}

export function startTips() {
  let shown = null;
  const show = (element, x, y) => {
    shown = element;
    tell([element.dataset.tip], x, y);
    element.setAttribute("aria-describedby", "tip");
  };
  const hide = () => {
    shown?.removeAttribute("aria-describedby");
    shown = null;
    hush();
  };
  document.addEventListener("pointerover", (event) => {
    const element = event.target.closest?.("[data-tip]");
    if (event.pointerType === "touch" || element === shown) return;
    if (shown) hide();
    if (!element) return;
    const box = element.getBoundingClientRect();
    show(element, Math.min(event.clientX, box.right), box.top);
  });
  document.addEventListener("focusin", (event) => {
    const element = event.target.closest?.("[data-tip]");
    if (!element || !event.target.matches(":focus-visible")) return;
    const box = element.getBoundingClientRect();
    show(element, box.left + box.width / 2, box.top);
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("report", hide);
  addEventListener("scroll", hide, { passive: true, capture: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
}
