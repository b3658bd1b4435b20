// Interactive figures. All that they show was computed by the crate; here only the frame is picked and drawn.
(() => {
  "use strict";

  const WIDTH = 300;
  const LEFT = 34;
  const TOP = 26;
  const BOTTOM = 34;
  const svg = (name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const html = (name, attributes, text) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  // A minus, not a hyphen.
  const written = (number) => String(+number.toPrecision(6)).replace("-", "−");
  // x_{t−1} and x_0 with their indices below the line.
  const name = (parent, text, make) => {
    for (const [i, part] of text.split(/_\{?([^}\s_,.;]+)\}?/).entries()) {
      if (part === "") continue;
      parent.append(i % 2 ? make("sub", part) : make("text", part));
    }
  };
  const inHtml = (parent, text) =>
    name(parent, text.replace(/-(?=\d)/g, "−"), (kind, part) => (kind === "sub" ? html("sub", {}, part) : document.createTextNode(part)));
  const inSvg = (parent, text) => {
    let after = 0;
    name(parent, text, (kind, part) => {
      const span = svg("tspan", kind === "sub" ? { dy: 3, "font-size": "80%" } : { dy: after }, part);
      after = kind === "sub" ? -3 : 0;
      return span;
    });
  };

  // One pair of axes, and what turns numbers into places.
  const makePanel = (panel, alt) => {
    const height = panel.square ? WIDTH - LEFT - 8 + TOP + BOTTOM : 240;
    const [right, bottom] = [WIDTH - 8, height - BOTTOM];
    const x = (value) => LEFT + ((value - panel.x.from) / (panel.x.to - panel.x.from)) * (right - LEFT);
    const y = (value) => bottom - ((value - panel.y.from) / (panel.y.to - panel.y.from)) * (bottom - TOP);
    const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": alt });
    picture.append(svg("rect", { class: "frame", x: LEFT, y: TOP, width: right - LEFT, height: bottom - TOP }));
    const ticks = ({ from, to }) => (panel.ticks ? [from, (from + to) / 2, to] : []);
    for (const tick of ticks(panel.x)) {
      picture.append(svg("text", { class: "tick", x: x(tick), y: bottom + 13, "text-anchor": "middle" }, written(tick)));
    }
    for (const tick of ticks(panel.y)) {
      picture.append(svg("text", { class: "tick", x: LEFT - 4, y: y(tick) + 3, "text-anchor": "end" }, written(tick)));
    }
    const title = svg("text", { class: "title", x: (LEFT + right) / 2, y: 16, "text-anchor": "middle" });
    inSvg(title, panel.title);
    const label = svg("text", { class: "axis", x: (LEFT + right) / 2, y: height - 6, "text-anchor": "middle" });
    inSvg(label, panel.x.label);
    const clip = `play-${Math.random().toString(36).slice(2)}`;
    const region = svg("clipPath", { id: clip });
    region.append(svg("rect", { x: LEFT, y: TOP, width: right - LEFT, height: bottom - TOP }));
    const fixed = svg("g", { "clip-path": `url(#${clip})` });
    const moving = svg("g", { "clip-path": `url(#${clip})` });
    picture.append(title, label, region, fixed, moving);
    return { picture, fixed, moving, x, y, axis: panel.x, bottom };
  };

  const pairs = (flat) => Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);

  // A grid of squares, a hexadecimal digit each; those of one level are one path.
  const drawPicture = (letters, panel) => {
    const side = Math.sqrt(letters.length);
    const [width, height] = [panel.x(1) - panel.x(0), panel.y(0) - panel.y(1)];
    const group = svg("g", { class: "picture" });
    for (let level = 1; level < 16; level++) {
      const letter = level.toString(16);
      const square = (other, i) => {
        if (other !== letter) return "";
        const [row, column] = [Math.floor(i / side), i % side];
        return `M${panel.x(column).toFixed(2)} ${panel.y(side - row).toFixed(2)}h${width.toFixed(2)}v${height.toFixed(2)}h${(-width).toFixed(2)}z`;
      };
      const d = [...letters].map(square).join("");
      if (d) group.append(svg("path", { d, "fill-opacity": (level / 15).toFixed(2) }));
    }
    return group;
  };

  // A picture, a cloud, a line, or a bell: the shape of all bells, moved and stretched.
  const draw = (mark, panel, shape) => {
    const place = ([x, y]) => `${panel.x(x).toFixed(1)} ${panel.y(y).toFixed(1)}`;
    if (mark.picture) return drawPicture(mark.picture, panel);
    if (mark.cloud) {
      const d = pairs(mark.cloud).map((point) => `M${place(point)}h0`).join("");
      return svg("path", { d, class: `cloud ${mark.colour}` });
    }
    const points = mark.line
      ? pairs(mark.line)
      : shape.map(([u, height]) => [mark.bell[0] + mark.bell[1] * u, mark.bell[2] * height]);
    return svg("path", { d: `M${points.map(place).join("L")}`, class: `line ${mark.colour}` });
  };

  const start = (figure) => {
    const play = JSON.parse(figure.querySelector("script").textContent);
    const stage = figure.querySelector(".stage");
    stage.replaceChildren();
    const panels = play.panels.map((panel) => makePanel(panel, play.alt));
    const pictures = html("div", { class: "panels" });
    pictures.append(...panels.map((panel) => panel.picture));
    for (const mark of play.fixed) panels[mark.panel].fixed.append(draw(mark, panels[mark.panel], play.bell));
    const says = html("p", { class: "says", "aria-live": "polite" });
    const legend = html("p", { class: "legend" });
    const places = play.controls.map((control) => control.start);
    const sliders = [];
    const handles = [];

    const show = () => {
      const index = places.reduce((index, place, i) => index * play.controls[i].values.length + place, 0);
      const frame = play.frames[index];
      for (const panel of panels) panel.moving.replaceChildren();
      for (const mark of frame.marks) panels[mark.panel].moving.append(draw(mark, panels[mark.panel], play.bell));
      says.replaceChildren();
      inHtml(says, frame.says);
      play.controls.forEach((control, i) => {
        const value = control.values[places[i]].replace("-", "−");
        sliders[i].input.value = places[i];
        sliders[i].input.setAttribute("aria-valuetext", value);
        sliders[i].output.textContent = value;
        if (handles[i]) handles[i].setAttribute("transform", `translate(${panels[0].x(control.handle[places[i]])} ${panels[0].bottom})`);
      });
      const seen = new Map([...play.fixed, ...frame.marks].filter((mark) => mark.label).map((mark) => [mark.label, mark.colour]));
      legend.replaceChildren();
      for (const [label, colour] of seen) {
        const entry = html("span", { class: `key ${colour}` });
        inHtml(entry, label);
        legend.append(entry);
      }
    };

    const controls = html("div", { class: "controls" });
    play.controls.forEach((control, i) => {
      const row = html("label", {});
      const title = html("span", { class: "control" });
      inHtml(title, control.label);
      const input = html("input", { type: "range", min: 0, max: control.values.length - 1, step: 1, "aria-label": control.label.replace("_", " ") });
      const output = html("output", {});
      sliders.push({ input, output });
      input.addEventListener("input", () => {
        places[i] = +input.value;
        show();
      });
      row.append(title, input, output);
      controls.append(row);
      if (control.handle) handles[i] = makeHandle(control, i, panels[0], places, show);
      if (control.runs) controls.append(makeButton(control, i, places, show));
    });
    stage.append(pictures, legend, controls, says);
    show();
  };

  // A knob on the axis, to be dragged; the slider does the same for the keyboard.
  const makeHandle = (control, i, panel, places, show) => {
    const handle = svg("g", { class: "handle" });
    handle.append(svg("circle", { r: 7 }));
    const label = svg("text", { y: -11, "text-anchor": "middle" });
    inSvg(label, control.label);
    handle.append(label);
    panel.picture.append(handle);
    handle.addEventListener("pointerdown", (event) => {
      handle.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const box = panel.picture.getBoundingClientRect();
      const at = ((event.clientX - box.left) / box.width) * WIDTH;
      const far = control.handle.map((value) => Math.abs(panel.x(value) - at));
      places[i] = far.indexOf(Math.min(...far));
      show();
    });
    return handle;
  };

  const makeButton = (control, i, places, show) => {
    const button = html("button", { type: "button" }, "▶ run");
    let timer = 0;
    const stop = () => {
      clearInterval(timer);
      timer = 0;
      button.textContent = "▶ run";
    };
    button.addEventListener("click", () => {
      if (timer) return stop();
      if (places[i] === control.values.length - 1) places[i] = 0;
      button.textContent = "⏸ stop";
      timer = setInterval(() => {
        if (places[i] === control.values.length - 1) return stop();
        places[i] += 1;
        show();
      }, 150);
    });
    return button;
  };

  addEventListener("DOMContentLoaded", () => document.querySelectorAll("figure.play").forEach(start));
})();
