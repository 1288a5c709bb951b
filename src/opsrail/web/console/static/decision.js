// Parts of a page that take their time are fetched beside it; without this, the link in their place leads to them.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  for (const part of document.querySelectorAll("[data-load]")) {
    const link = part.querySelector("a");
    link.setAttribute("aria-busy", "true");
    link.textContent = "Searching\u2026";
    opsrail.refetch(part, part.dataset.load).then((is_there) => {
      if (!is_there) link.textContent = "It was not told; ask again";
      link.removeAttribute("aria-busy");
    }, () => {
      link.textContent = "It was not told; ask again";
      link.removeAttribute("aria-busy");
    });
  }
});
