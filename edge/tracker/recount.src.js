// The tracker: its options and what it sends are described in docs/tracker.md. The built file has 1,000 bytes of
// brotli to live in, hence one keyword for all declarations, one handler for nearly all events, and lists in the
// order that compresses best.
(() => {
  let script = document.currentScript;
  let options = script.dataset;
  let callsBeforeLoad = self.recount?.q;
  let files = RegExp(`\\.(${options.files || "rar|xlsx?|pptx?|pdf|dmg|gz|mov|zip|7z|mp[34]|txt|exe|docx?|avi|csv"})$`, "i");
  let now = () => performance.now();
  let href = () => location.href.replace("hash" in options ? "" : /#.*/, "").slice(0, 2000);

  let url = href(); // of the page that time, depth and clicks belong to
  let place; // what makes a page another page than the one before; empty until one was seen
  let engaged; // milliseconds of attention not reported yet; not a number until a page was counted
  let since; // start of the running stretch of attention, if there is one
  let unsent = [];
  let depth; // lowest pixel seen

  // A beacon tells nothing of its fate, so an offline browser takes the request that can fail and come again.
  let drain = (isRetry) => {
    let endpoint = options.api || new URL("/v1/events", script.src);
    let batch = unsent;
    let body = JSON.stringify(batch[1] ? batch : batch[0]);
    unsent = [];
    if (body && !(navigator.onLine && navigator.sendBeacon?.(endpoint, body)))
      fetch(endpoint, { body, method: "POST", keepalive: true })
        .then((response) => {
          // Too many requests or a fault of the collector: worth another try. Other refusals are final.
          if (response.status > 428) throw 0;
        })
        .catch(() => {
          unsent = unsent.concat(batch).slice(-32);
          isRetry || setTimeout(drain, 5000, 1);
        });
  };

  let record = (kind, fields) => {
    let moment = now();
    try {
      if (localStorage.recount_optout == 1) return;
    } catch {
      // Storage is out of reach, and so is the visitor's flag.
    }
    if (options.dnt == "respect" && (navigator.doNotTrack == 1 || navigator.globalPrivacyControl)) return;
    unsent.push({
      url,
      site: options.site,
      referrer: document.referrer,
      screen: screen.width + "x" + screen.height,
      kind,
      id: crypto.getRandomValues(new Uint32Array(3)).join(""),
      lang: navigator.language,
      // Worked out each time it is sent: an event that waited says for how long.
      get age_ms() {
        return (now() - moment) | 0;
      },
      ...fields,
    });
    drain();
  };

  let measure = () => {
    if (since) engaged += now() - since;
    since = !document.hidden && document.hasFocus() && now();
    depth = Math.max(depth, scrollY + innerHeight);
  };

  let leave = () => {
    measure();
    let engaged_ms = engaged | 0;
    if (engaged_ms)
      record("engagement", {
        engaged_ms,
        scroll_percent: Math.min(100, Math.round((100 * depth) / document.documentElement.scrollHeight)),
      });
    engaged -= engaged_ms;
    drain();
  };

  let view = (fields) => {
    leave();
    depth = engaged = 0;
    url = fields.url || href();
    record("pageview", fields);
  };

  let look = (event = {}) => {
    if (event.persisted) place = 0;
    measure();
    // A page counts when it is first seen: not while it is prerendered or waits in a background tab.
    if (document.hidden) leave();
    else if (!("manual" in options) && place != (place = href().replace(/\?[^#]*/, ""))) view({});
    let link = event.button < 2 && event.target.closest("a[href]");
    if (link) {
      let name =
        link.attributes.download || files.test(link.pathname)
          ? "download"
          : link.host && link.host != location.host && "outbound";
      if (name && !script.attributes["data-no-" + name])
        record("event", { name, props: { url: link.href.slice(0, 512) } });
    }
  };

  for (let method of "pushState replaceState".split(" ")) {
    let original = history[method];
    history[method] = (...state) => {
      original.apply(history, state);
      look();
    };
  }
  self.recount = (name, fields = {}) =>
    name == "pageview" ? view(fields) : record("event", { name, ...fields });
  for (let type of "popstate auxclick scroll visibilitychange blur pageshow focus click".split(" "))
    addEventListener(type, look, true);
  addEventListener("pagehide", () => {
    leave();
    since = 0; // the hidden state that follows is not time on the page
  });
  look();
  callsBeforeLoad?.map((call) => recount(...call));
})();
