// What is asked of each page of the book in a browser (`cargo xtask book --browser`). Each answer is a list of problems.
globalThis.checks = (() => {
  "use strict";
  const figures = () => [...document.querySelectorAll("figure.play")];
  const controls = (figure) => [...figure.querySelectorAll("input[type=range], button")];

  // How the page looks: its width, its pictures, its headings, its fonts.
  const look = async () => {
    const problems = [];
    // All of them, and laid out: a formula in another font may be wider.
    await Promise.all([...document.fonts].map((face) => face.load().catch(() => null)));
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const root = document.documentElement;
    const content = document.querySelector(".content");
    const wide = [root, content].filter((element) => element && element.scrollWidth > element.clientWidth + 1);
    if (wide.length) {
      const edge = content.getBoundingClientRect().left + content.clientWidth;
      const culprits = [...document.querySelectorAll("main *")].filter((element) => {
        const scrolls = (at) => at && at !== content && (getComputedStyle(at).overflowX !== "visible" || scrolls(at.parentElement));
        return element.getBoundingClientRect().right > edge + 1 && !scrolls(element.parentElement);
      });
      problems.push("wider than the window: " + [...new Set(culprits.map((c) => c.tagName + "." + c.className))].slice(0, 5).join(", "));
    }
    for (const image of document.querySelectorAll("img")) {
      if (!image.complete || image.naturalWidth === 0) problems.push("missing image " + image.src);
    }
    const silent = document.querySelectorAll("svg[role=img]:not([aria-label]), img:not([alt])");
    if (silent.length) problems.push(silent.length + " pictures without alternative text");
    const levels = [...document.querySelectorAll("main h1, main h2, main h3, main h4")].map((h) => +h.tagName[1]);
    levels.forEach((level, i) => {
      if (i > 0 && level > levels[i - 1] + 1) problems.push(`a heading of level ${level} follows one of level ${levels[i - 1]}`);
    });
    for (const face of document.fonts) if (face.status === "error") problems.push("missing font " + face.family);
    return problems;
  };

  // axe, if its script has been put into the page: its findings in the light theme and in the dark one.
  const axe = async () => {
    const problems = [];
    if (!globalThis.axe) return problems;
    for (const theme of ["light", "navy"]) {
      document.documentElement.classList.remove("light", "navy");
      document.documentElement.classList.add(theme);
      // The themes differ in their colours alone. (The tag for colours would ask for level AAA as well.)
      const rules = theme === "light" ? {} : { runOnly: { type: "rule", values: ["color-contrast", "link-in-text-block"] } };
      const found = await globalThis.axe.run(document, { resultTypes: ["violations"], ...rules });
      for (const { id, impact, nodes } of found.violations) {
        if (!["serious", "critical"].includes(impact)) continue;
        const where = nodes.slice(0, 3).map((node) => node.target.join(" "));
        problems.push(`axe, ${theme}: ${id} (${impact}), ${nodes.length} times: ${where.join("; ")}`);
      }
    }
    return problems;
  };

  // The names of the figures that move.
  const plays = () => figures().map((figure) => figure.id);

  // Puts the focus just before a figure, so that Tab leads into it.
  const before = (i) => {
    document.getElementById("before-play")?.remove();
    const mark = document.createElement("button");
    mark.id = "before-play";
    mark.textContent = "before the figure";
    figures()[i].before(mark);
    mark.focus();
  };

  // What a figure shows and where the focus is.
  const state = (i) => {
    const figure = figures()[i];
    const all = controls(figure);
    const focus = all.indexOf(document.activeElement);
    return {
      picture: [...figure.querySelectorAll("svg > g")].map((part) => part.innerHTML).join(),
      says: figure.querySelector(".says")?.textContent ?? "",
      focus,
      ring: focus >= 0 && getComputedStyle(all[focus]).outlineStyle !== "none",
      controls: all.map((control) => ({
        name: control.ariaLabel ?? control.textContent,
        value: control.type === "range" ? +control.value : null,
        max: control.type === "range" ? +control.max : null,
        text: control.getAttribute("aria-valuetext") ?? control.textContent,
      })),
    };
  };

  // The middle of each knob that can be dragged, in the window.
  const knobs = (i) => {
    const figure = figures()[i];
    figure.scrollIntoView({ block: "center", behavior: "instant" });
    return [...figure.querySelectorAll(".handle circle")].map((knob) => {
      const box = knob.getBoundingClientRect();
      return [box.x + box.width / 2, box.y + box.height / 2];
    });
  };

  // Puts the focus on the first fold of the page; says whether it is open.
  const fold = () => {
    const summary = document.querySelector("main summary");
    if (!summary) return null;
    summary.focus();
    return summary.parentElement.open;
  };

  return { look, axe, plays, before, state, knobs, fold };
})();
