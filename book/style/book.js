// Small conveniences; the pages read well without them.
(() => {
  "use strict";

  // What a link leads into may be folded away.
  const unfold = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let at = target; at; at = at.parentElement) {
      if (at.tagName === "DETAILS") at.open = true;
    }
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", unfold);
  addEventListener("DOMContentLoaded", () => location.hash && unfold());

  addEventListener("DOMContentLoaded", () => {
    // What scrolls can be reached by the keyboard.
    for (const code of document.querySelectorAll("pre > code")) {
      if (code.scrollWidth > code.clientWidth) code.tabIndex = 0;
    }
    // The button for the sidebar is a label: say that it is a button, and let keys press it.
    const toggle = document.getElementById("mdbook-sidebar-toggle");
    if (toggle) {
      toggle.setAttribute("role", "button");
      toggle.tabIndex = 0;
      toggle.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        toggle.click();
      });
    }
    document.getElementById("mdbook-menu-bar")?.setAttribute("role", "banner");
  });

  // On paper everything derived is shown, but not the tables of measurements.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open]):not(.report)")];
    opened.forEach((details) => (details.open = true));
  });
  addEventListener("afterprint", () => opened.forEach((details) => (details.open = false)));

  // A formula shown on hover stays within the window.
  document.addEventListener("mouseover", (event) => {
    const peek = event.target.closest && event.target.closest(".eq-link")?.querySelector(".peek");
    if (!peek) return;
    peek.style.setProperty("--shift", "0px");
    const box = peek.getBoundingClientRect();
    const left = Math.max(0, 12 - box.left);
    const right = Math.max(0, box.right + 12 - document.documentElement.clientWidth);
    peek.style.setProperty("--shift", `${left - right}px`);
  });
})();
