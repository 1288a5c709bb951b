// Makes pages come alive: local times, keys, the theme's switch, live figures. Every page works without it.
"use strict";
(() => {
  const policy = window.trustedTypes
    ? trustedTypes.createPolicy("opsrail", { createHTML: (text) => text })
    : { createHTML: (text) => text };

  // -- times: the viewer's zone, UTC on hover ------------------------------------------------------------------------
  const local = new Intl.DateTimeFormat(undefined, {
    year: "numeric", month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
  });
  function localise(root) {
    for (const time of root.querySelectorAll("time[data-ms]")) {
      const at = new Date(Number(time.dataset.ms));
      if (!time.title) time.title = time.textContent;
      time.textContent = local.format(at);
    }
  }
  // Returns a moment that came as the server writes it, `2026-05-03 14:03:07 UTC`, in the viewer's zone.
  function inZone(text) {
    const at = new Date(`${text.slice(0, 10)}T${text.slice(11, 19)}Z`);
    return Number.isNaN(at.getTime()) ? text : local.format(at);
  }

  // -- saying something to who does not look -------------------------------------------------------------------------
  function say(text) {
    const said = document.getElementById("said");
    if (said) said.textContent = text;
  }

  // -- parts of pages that are fetched again -------------------------------------------------------------------------
  // The server's own HTML, in which all foreign text is escaped; scripts in it would not run: they have no nonce.
  // What a page asks for by itself does not keep its session: nobody may be at it.
  const unattended = { "x-opsrail-unattended": "1" };
  async function refetch(part, address) {
    const answer = await fetch(address, { headers: { accept: "text/html", ...unattended }, credentials: "same-origin" });
    if (!answer.ok || answer.redirected) return false;
    const parsed = new DOMParser().parseFromString(policy.createHTML(await answer.text()), "text/html");
    const fresh = parsed.body.querySelector("[data-part]") || parsed.body;
    part.replaceChildren(...fresh.childNodes);
    localise(part);
    return true;
  }

  // -- live figures --------------------------------------------------------------------------------------------------
  // An element with data-live listens there: an event `figures` holds {name: text} for [data-figure=name] inside it, an
  // event `refresh` has the part at data-fragment fetched again.
  function show(part, figures) {
    for (const [name, text] of Object.entries(figures)) {
      for (const figure of part.querySelectorAll(`[data-figure="${CSS.escape(name)}"]`)) {
        const isMoment = figure.matches("time");
        const shown = isMoment ? inZone(String(text)) : String(text);
        if (isMoment) figure.title = String(text);
        if (figure.textContent !== shown) figure.textContent = shown;
      }
      for (const line of part.querySelectorAll(`[data-points="${CSS.escape(name)}"]`)) line.setAttribute("points", text);
    }
  }
  // It listens while somebody looks: not in a hidden tab, not while paused (WCAG 2.2, 2.2.2).
  function listen(part) {
    const button = document.querySelector("[data-live-switch]");
    let source = null;
    let paused = false;
    const close = () => {
      if (source) source.close();
      source = null;
      part.dataset.state = "paused";
    };
    const open = () => {
      if (source || paused || document.hidden) return;
      source = new EventSource(part.dataset.live);
      source.addEventListener("figures", (event) => show(part, JSON.parse(event.data)));
      source.addEventListener("refresh", () => refetch(part, part.dataset.fragment));
      source.addEventListener("end", (event) => {
        close();
        if (event.data) say(event.data === "signed-out" ? "Live figures ended: sign in again." : "Live figures go on in another tab.");
      });
      source.addEventListener("open", () => { part.dataset.state = "live"; });
      source.addEventListener("error", () => { part.dataset.state = "waiting"; });
    };
    if (button) {
      button.hidden = false;
      button.addEventListener("click", () => {
        paused = !paused;
        button.textContent = paused ? "Go on" : "Pause";
        button.setAttribute("aria-pressed", String(paused));
        if (paused) close();
        else open();
      });
    }
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
    window.addEventListener("pagehide", close);
    open();
  }

  // -- keys ----------------------------------------------------------------------------------------------------------
  // An element with data-key is clicked (a link, a button) or focused (a field) by that key; rows of a list with
  // data-rows are walked by j and k and opened by Enter.
  const isTyping = (target) => target.closest("input, textarea, select, [contenteditable]") !== null
    && !["checkbox", "radio", "button", "submit"].includes(target.type);
  function walk(step) {
    const rows = [...document.querySelectorAll("[data-rows] a[data-row]")];
    if (!rows.length) return;
    const at = rows.indexOf(document.activeElement);
    rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? (step > 0 ? 0 : rows.length - 1) : at + step))].focus();
  }
  function showKeys() {
    const dialog = document.getElementById("keys");
    const list = dialog.querySelector("dl");
    const known = [["?", "show these keys"]];
    if (document.querySelector("[data-rows]")) known.push(["j", "next row"], ["k", "row before"], ["Enter", "open it"]);
    for (const each of document.querySelectorAll("[data-key]")) {
      known.push([each.dataset.key.split(" ").join(" or "), each.dataset.keySays || each.textContent.trim()]);
    }
    list.replaceChildren(...known.flatMap(([key, says]) => {
      const term = document.createElement("dt");
      const written = document.createElement("kbd");
      const meaning = document.createElement("dd");
      written.textContent = key;
      term.append(written);
      meaning.textContent = says;
      return [term, meaning];
    }));
    dialog.showModal();
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    if (event.key === "?") showKeys();
    else if (event.key === "j") walk(1);
    else if (event.key === "k") walk(-1);
    else {
      const target = [...document.querySelectorAll("[data-key]")].find((each) => each.dataset.key.split(" ").includes(event.key) && !each.disabled);
      if (!target) return;
      if (target.matches("a, button, summary")) target.click();
      else target.focus();
    }
    event.preventDefault();
  });

  // -- theme ---------------------------------------------------------------------------------------------------------
  function themeSwitch(button) {
    const root = document.documentElement;
    const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    const label = () => { button.textContent = isDark() ? "Light" : "Dark"; };
    button.hidden = false;
    label();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try {
        localStorage.setItem("opsrail.theme", root.dataset.theme);
      } catch {
        // storage is off: it holds for this page
      }
      label();
    });
  }

  // -- what was typed and not sent -----------------------------------------------------------------------------------
  // A session may end while somebody types. Their words stay in this tab, theirs alone, until they sign out.
  const TYPED = "opsrail.typed";
  const typed = {
    name: (what) => `${TYPED} ${document.body.dataset.actor} ${what}`,
    keep(what, value) {
      try {
        sessionStorage.setItem(typed.name(what), JSON.stringify(value));
      } catch {
        // storage is off or full: nothing is kept
      }
    },
    kept(what) {
      try {
        return JSON.parse(sessionStorage.getItem(typed.name(what)));
      } catch {
        return null;
      }
    },
    drop(isMeant) {
      try {
        for (const name of Object.keys(sessionStorage)) if (name.startsWith(`${TYPED} `) && isMeant(name)) sessionStorage.removeItem(name);
      } catch {
        // storage is off: there is nothing
      }
    },
  };
  const actor = document.body.dataset.actor;
  if (actor.startsWith("user:")) typed.drop((name) => !name.startsWith(`${TYPED} ${actor} `));  // another person sits here now
  const leaving = "BroadcastChannel" in window ? new BroadcastChannel("opsrail.leaving") : null;
  if (leaving) leaving.addEventListener("message", () => typed.drop(() => true));
  for (const each of document.querySelectorAll("form[action='/console/sign-out']")) {
    each.addEventListener("submit", () => {
      typed.drop(() => true);
      if (leaving) leaving.postMessage("");
    });
  }

  document.documentElement.dataset.alive = "";
  localise(document);
  // On a telephone the places are one line that moves sideways: the one we are at is in sight.
  const places = document.querySelector(".top nav");
  const current = places && places.querySelector("[aria-current]");
  if (current) places.scrollLeft = current.offsetLeft - places.offsetLeft - (places.clientWidth - current.offsetWidth) / 2;
  document.querySelectorAll("[data-theme-switch]").forEach(themeSwitch);
  document.querySelectorAll("[data-live]").forEach(listen);
  document.querySelectorAll("[data-keys]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", showKeys);
  });
  for (const each of document.querySelectorAll("form[data-confirm]")) {
    each.addEventListener("submit", (event) => { if (!confirm(each.dataset.confirm)) event.preventDefault(); });
  }
  window.opsrail = { localise, say, refetch, unattended, typed };
})();
