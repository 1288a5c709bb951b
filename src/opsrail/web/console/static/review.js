// The page of one review: boxes and fields light each other up, a reason is asked for where it is needed, and the server
// hears that somebody looks. The page works without it.
"use strict";
(() => {
  const form = document.getElementById("rule");
  const AFTER_MS = 500;  // what a page sends when it goes is there by then

  // -- boxes and fields ----------------------------------------------------------------------------------------------
  function light(id, isOn) {
    for (const part of [document.getElementById(id), document.getElementById(`box-${id}`)]) {
      if (part) part.classList.toggle("lit", isOn);
    }
  }
  for (const each of document.querySelectorAll("[data-lights]")) {
    const id = each.dataset.lights;
    for (const begins of ["mouseenter", "focus"]) each.addEventListener(begins, () => light(id, true));
    for (const ends of ["mouseleave", "blur"]) each.addEventListener(ends, () => light(id, false));
  }
  // A field of the form that bears the name of one that was read lights its box, too.
  const plain = (name) => name.toLowerCase().replace(/[^a-z0-9]/g, "");
  const found = [...document.querySelectorAll(".found li[data-name]")];
  for (const input of form ? form.querySelectorAll("[name^='fields.']") : []) {
    const name = plain(input.name.split(".").pop());
    const twin = found.find((each) => plain(each.dataset.name) === name)
      || found.find((each) => plain(each.dataset.name).length > 2 && name.startsWith(plain(each.dataset.name)));
    if (!twin) continue;
    input.addEventListener("focus", () => light(twin.id, true));
    input.addEventListener("blur", () => light(twin.id, false));
  }

  // -- what was typed, should the session end before it is sent ------------------------------------------------------
  const { typed } = window.opsrail;
  const of = (id) => (name) => name.endsWith(` ${id}`);
  for (const each of document.querySelectorAll("[data-done]")) typed.drop(of(each.dataset.done));
  const here = document.querySelector("[data-about]");
  const parts = form ? [...form.elements].filter((each) => each.name && !["hidden", "submit"].includes(each.type)) : [];
  if (here && parts.length) {
    const about = here.dataset.about;
    const value = (each) => (["checkbox", "radio"].includes(each.type) ? each.checked : each.value);
    const kept = typed.kept(about) || [];
    let isBack = false;
    parts.forEach((each, at) => {
      const [name, was] = kept[at] || [];
      if (name !== each.name || was === value(each)) return;
      if (typeof was === "boolean") each.checked = was;
      else each.value = was;
      isBack = true;
    });
    const told = document.getElementById("back");
    if (isBack) told.hidden = false;
    form.addEventListener("input", () => typed.keep(about, parts.map((each) => [each.name, value(each)])));
  } else if (here && here.dataset.over !== undefined) {
    typed.drop(of(here.dataset.about));  // it was ruled
  }

  // -- a reason where it is needed -----------------------------------------------------------------------------------
  let isLeavingByForm = false;
  for (const each of document.querySelectorAll("form")) {
    each.addEventListener("submit", (event) => {
      isLeavingByForm = true;
      if (each === form && form.dataset.sent !== undefined) event.preventDefault();  // a key held down rules once
      if (each === form) form.dataset.sent = "";
    });
  }
  window.addEventListener("pageshow", () => { isLeavingByForm = false; if (form) delete form.dataset.sent; });
  const reason = form ? form.querySelector("#reason") : null;
  for (const button of reason ? form.querySelectorAll("button[name='verdict']") : []) {
    button.addEventListener("click", () => { reason.required = button.dataset.against !== undefined; });
  }
  for (const each of document.querySelectorAll("input, select, textarea")) {
    each.addEventListener("keydown", (event) => { if (event.key === "Escape") each.blur(); });
  }

  // -- a question, another desk: the key opens it and goes to its first field -------------------------------------------
  for (const each of document.querySelectorAll(".moves details")) {
    each.addEventListener("toggle", () => { if (each.open) each.querySelector("textarea, input:not([type='hidden'])").focus(); });
  }

  // -- the way back, as long as there is one -------------------------------------------------------------------------
  for (const bar of document.querySelectorAll("[data-undo][data-until]")) {
    const told = bar.querySelector(".countdown");
    const tick = () => {
      const leftS = Math.ceil((Number(bar.dataset.until) - Date.now()) / 1000);
      if (leftS > 0) {
        told.textContent = leftS > 90 ? "" : ` (${leftS} s)`;
        return;
      }
      clearInterval(ticking);
      const button = bar.querySelector("button");
      if (button) button.parentElement.remove();
      told.textContent = ": it has gone";
    };
    const ticking = setInterval(tick, 500);
    tick();
  }

  // -- several at once: x ticks the row that is looked at ------------------------------------------------------------
  document.addEventListener("keydown", (event) => {
    if (event.key !== "x" || event.ctrlKey || event.metaKey || event.altKey) return;
    const row = document.activeElement.matches("a[data-row]") ? document.activeElement.closest("tr") : null;
    const box = row && row.querySelector("input[type='checkbox']");
    if (box) box.checked = !box.checked;
  });

  // -- the lease -----------------------------------------------------------------------------------------------------
  const csrf = () => new URLSearchParams({ csrf: document.body.dataset.csrf });
  function lost(why) {
    const told = document.getElementById("lost");
    told.textContent = `${why} What you typed is still here.`;
    told.hidden = false;
    for (const button of form.querySelectorAll("button[name='verdict']")) button.disabled = true;
    const lease = document.getElementById("lease");
    if (lease) lease.remove();
    clearInterval(beating);
    isHeld = false;
  }
  let isHeld = form !== null && form.dataset.mine !== undefined;
  // Who reads or types is there, and their session goes on; a page that is left open keeps the review alone.
  let isAttended = false;
  for (const sign of ["keydown", "pointerdown", "pointermove", "wheel"]) {
    document.addEventListener(sign, () => { isAttended = true; }, { passive: true });
  }
  async function beat() {
    if (!isHeld || isLeavingByForm) return;
    const headers = isAttended ? {} : window.opsrail.unattended;
    isAttended = false;
    let answer;
    try {
      answer = await fetch(`${form.dataset.review}/heartbeat`, { method: "POST", body: csrf(), headers, credentials: "same-origin", redirect: "manual" });
    } catch {
      return;  // the line is down: the next beat tries again
    }
    if (answer.ok) {
      const time = document.querySelector("#lease time");
      const until = (await answer.json()).lease_until_ms;
      if (time && until) {
        time.dataset.ms = until;
        time.title = "";
        time.textContent = new Date(until).toISOString();
        window.opsrail.localise(time.parentElement);
      }
    } else if (answer.status === 409 && !isLeavingByForm) {
      lost("You do not hold this review any more: somebody else has it, or ruled on it.");
    } else if (answer.status === 401 || answer.type === "opaqueredirect") {
      lost("You are signed out. Sign in in another tab, then load this page again.");
    }
  }
  const beating = isHeld ? setInterval(beat, Number(form.dataset.beatMs)) : 0;
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") beat(); });
  window.addEventListener("pagehide", () => {
    // What was passed to this person waits for them, whether or not they looked.
    if (!isHeld || form.dataset.kept !== undefined || isLeavingByForm) return;
    navigator.sendBeacon(`${form.dataset.review}/release`, csrf());
    if (tabs) tabs.postMessage(form.dataset.review);
  });
  // Another tab that shows the same review holds it on, once it has been given back.
  const tabs = isHeld && "BroadcastChannel" in window ? new BroadcastChannel("opsrail.reviews") : null;
  if (tabs) tabs.addEventListener("message", (event) => { if (event.data === form.dataset.review) setTimeout(beat, AFTER_MS); });
})();
