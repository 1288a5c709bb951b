// Sets the theme that this browser chose, before the page is painted.
"use strict";
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("opsrail.theme");
  } catch {
    // storage is off: the system's theme holds
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
