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
