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
    // What scrolls can be reached by the keyboard. All is measured before anything is changed: else the page is laid out
    // again for each region, which takes minutes on the page of the whole book.
    const regions = [...document.querySelectorAll("pre > code, .steps > *, .katex-display")];
    const scrolling = regions.filter((region) => region.scrollWidth > region.clientWidth);
    for (const region of scrolling) region.tabIndex = 0;
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

  // A formula is shown on hover, and stays within the page.
  const formulaOf = (link) => {
    const slug = link.dataset.equation;
    const formula = document.querySelector(`#eq-${slug} .formula, [data-peek="${slug}"]`);
    return formula?.querySelector(".katex-html")?.cloneNode(true);
  };
  const show = (link) => {
    let peek = link.querySelector(".peek");
    if (!peek) {
      const formula = formulaOf(link);
      if (!formula) return;
      peek = document.createElement("span");
      peek.className = "peek";
      peek.setAttribute("aria-hidden", "true");
      const display = document.createElement("span");
      display.className = "katex-display";
      const katex = document.createElement("span");
      katex.className = "katex";
      katex.append(formula);
      display.append(katex);
      const name = document.createElement("span");
      name.className = "peek-name";
      name.textContent = link.dataset.equation;
      peek.append(display, name);
      link.append(peek);
      // The plain letters would only be in the way.
      link.removeAttribute("title");
    }
    peek.style.setProperty("--shift", "0px");
    const box = peek.getBoundingClientRect();
    const frame = document.querySelector(".content").getBoundingClientRect();
    const left = Math.max(0, frame.left + 12 - box.left);
    const right = Math.max(0, box.right + 12 - frame.right);
    peek.style.setProperty("--shift", `${left - right}px`);
  };
  for (const kind of ["mouseover", "focusin"]) {
    document.addEventListener(kind, (event) => {
      const link = event.target.closest?.(".eq-link");
      if (link) show(link);
    });
  }
})();
