"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = id => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";

  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }
  function draw(parent, tag, attributes = {}, text) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  }
  function options(select, pairs) {
    select.replaceChildren(...pairs.map(([value, text]) => make("option", { value }, text)));
  }
  // Repeated calls within one frame run once.
  function inFrame(work) {
    let waiting = false;
    return () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; work(); });
    };
  }

  // The table.
  const body = document.querySelector("#table tbody");
  const heads = [...document.querySelectorAll("#table thead th")];
  function keyOf(row, column) {
    const text = row.cells[column].textContent;
    const number = parseFloat(text);
    return column === 0 ? text : Number.isNaN(number) ? null : number;
  }
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const now = head.getAttribute("aria-sort");
    // Names begin with A, figures with the greatest.
    const first = column === 0 ? "ascending" : "descending";
    const other = column === 0 ? "descending" : "ascending";
    const order = now === first ? other : first;
    heads.forEach(one => one.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...body.rows].map(row => [keyOf(row, column), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
    });
    body.append(...rows.map(([, row]) => row));
  }));

  // Tooltips.
  const tip = byId("tip");
  function showTip(text, x, y) {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = x + 14 + box.width > innerWidth ? x - 14 - box.width : x + 14;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, Math.min(y + 14, innerHeight - box.height - 4))}px`;
  }
  const hideTip = () => { tip.hidden = true; };
  addEventListener("scroll", hideTip, { passive: true });

  // What the reader has chosen; every view is drawn from it.
  const levels = data.levels;
  const state = {
    threshold: data.fixed, level: levels.includes("0.5") ? "0.5" : levels[0],
    model: "", class: "", outcome: "", kind: "all", metric: "max_box_acc_v2",
  };
  const longest = data.models.reduce(
    (best, model) => model.thresholds.length > best.length ? model.thresholds : best, []);
  const digits = longest.length > 100 ? 3 : 2;

  // The greatest threshold of a model that is not above the slider's.
  function indexAt(thresholds, threshold) {
    let low = 0, high = thresholds.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (thresholds[middle] <= threshold + 1e-9) low = middle; else high = middle - 1;
    }
    return low;
  }
  function bestOf(curve) {
    return curve.reduce((best, value, index) => value > curve[best] ? index : best, 0);
  }
  const look = number => `s${number % 6}`;
  const dash = number => `dash${Math.floor(number / 6) % 4}`;

  // Plots.
  function ticks(low, high, count) {
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map(f => f * power).find(s => s >= raw);
    const found = [];
    for (let at = Math.ceil(low / step) * step; at <= high + 1e-9; at += step) found.push(+at.toFixed(9));
    return found;
  }
  const million = value => value >= 1e5 ? `${+(value / 1e6).toPrecision(3)}M` : `${+(value / 1e3).toPrecision(3)}k`;

  function parametersPlot() {
    const holder = document.querySelector("#parameters-plot .chart");
    const metric = state.metric;
    const known = data.models.map((model, number) => ({ ...model, number, y: model.metrics[metric] }))
      .filter(model => model.y !== null && model.y !== undefined && model.parameters !== null);
    const networks = known.filter(model => model.parameters > 0);
    const baselines = known.filter(model => model.parameters === 0);
    if (!networks.length) return;
    const width = Math.max(300, holder.clientWidth || 460), height = 320;
    const left = 44, right = 12, top = 10, bottom = 38;
    const sizes = networks.map(model => model.parameters), values = known.map(model => model.y);
    const ratio = Math.max(Math.max(...sizes) / Math.min(...sizes), 1.6);
    const spare = ratio ** .18, x0 = Math.min(...sizes) / spare, x1 = Math.max(...sizes) * spare;
    const gap = Math.max(...values) - Math.min(...values) || 2;
    const y0 = Math.max(0, Math.min(...values) - gap * .12), y1 = Math.min(100, Math.max(...values) + gap * .12);
    const x = value => left + (width - left - right) * Math.log(value / x0) / Math.log(x1 / x0);
    const y = value => height - bottom - (height - top - bottom) * (value - y0) / (y1 - y0);
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("role", "group");
    svg.setAttribute("aria-label", `${data.metrics[metric]} against parameters`);
    for (const value of ticks(y0, y1, 5)) {
      draw(svg, "line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) });
      draw(svg, "text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, value);
    }
    const decades = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10];
    const marks = (x1 / x0 > 30 ? decades : x1 / x0 > 5 ? decades.flatMap(value => [value, 2 * value, 5 * value]) : ticks(x0, x1, 5))
      .filter(value => value >= x0 && value <= x1);
    for (const value of marks) {
      draw(svg, "line", { class: "grid", x1: x(value), x2: x(value), y1: top, y2: height - bottom });
      draw(svg, "text", { x: x(value), y: height - bottom + 16, "text-anchor": "middle" }, million(value));
    }
    draw(svg, "text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, "Parameters");
    draw(svg, "text", { x: -(height - bottom + top) / 2, y: 11, transform: "rotate(-90)", "text-anchor": "middle" },
      `${data.metrics[metric]} (%)`);
    const front = [];
    for (const model of [...networks].sort((a, b) => a.parameters - b.parameters || b.y - a.y)) {
      if (!front.length || model.y > front.at(-1).y) front.push(model);
    }
    let path = "";
    front.forEach((model, i) => { path += i ? `H${x(model.parameters)}V${y(model.y)}` : `M${x(model.parameters)} ${y(model.y)}`; });
    draw(svg, "path", { class: "front", d: `${path}H${width - right}` });
    for (const model of baselines) {
      draw(svg, "line", { class: `baseline ${look(model.number)}`, x1: left, x2: width - right, y1: y(model.y), y2: y(model.y) });
    }
    holder.replaceChildren(svg);
    const taken = [];
    const overlaps = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
    function label(text, places) {
      const node = draw(svg, "text", { class: "label" }, text);
      for (const [atX, atY, anchor] of places) {
        node.setAttribute("x", atX); node.setAttribute("y", atY); node.setAttribute("text-anchor", anchor);
        const box = node.getBBox();
        const inside = box.x >= left && box.x + box.width <= width && box.y >= 0 && box.y + box.height <= height - bottom;
        if (inside && !taken.some(other => overlaps(box, other))) { taken.push(box); return; }
      }
      node.remove();
    }
    for (const model of networks) {
      const [cx, cy] = [x(model.parameters), y(model.y)];
      taken.push({ x: cx - 6, y: cy - 6, width: 12, height: 12 });
    }
    for (const model of baselines) {
      const text = `${model.name} ${model.y.toFixed(1)}`;
      label(text, [[width - right - 2, y(model.y) - 4, "end"], [left + 4, y(model.y) - 4, "start"],
        [width - right - 2, y(model.y) + 13, "end"], [left + 4, y(model.y) + 13, "start"]]);
    }
    for (const model of networks) {
      const [cx, cy] = [x(model.parameters), y(model.y)];
      const dot = draw(svg, "circle", { class: `dot ${look(model.number)}`, cx, cy, r: 6, tabindex: 0, role: "img" });
      const text = `${model.name}\n${(model.parameters / 1e6).toFixed(2)} M parameters\n${data.metrics[metric]} ${model.y.toFixed(2)}`;
      dot.setAttribute("aria-label", text.replaceAll("\n", ", "));
      const show = () => { const box = dot.getBoundingClientRect(); showTip(text, box.right - 8, box.top - 4); };
      dot.addEventListener("pointerenter", show); dot.addEventListener("focus", show);
      dot.addEventListener("pointerleave", hideTip); dot.addEventListener("blur", hideTip);
      label(model.name, [[cx, cy - 10, "middle"], [cx, cy + 19, "middle"], [cx + 9, cy + 4, "start"],
        [cx - 9, cy + 4, "end"], [cx + 8, cy - 8, "start"], [cx - 8, cy - 8, "end"], [cx + 8, cy + 16, "start"], [cx - 8, cy + 16, "end"]]);
    }
  }

  let crosses = [];
  function thresholdsPlot() {
    const holder = document.querySelector("#thresholds-plot .chart");
    const drawn = data.models.map((model, number) => ({ ...model, number })).filter(model => model.curves[state.kind]);
    const columns = levels.filter(level => drawn.some(model => model.curves[state.kind][level]));
    if (!columns.length) return;
    const whole = Math.max(300, holder.clientWidth || 700);
    const perRow = whole < 480 ? 1 : Math.min(columns.length, 3);
    const rows = Math.ceil(columns.length / perRow);
    const left = 34, gap = 12, top = 22, bottom = 34, high = perRow === 1 ? 190 : 320;
    const panel = (whole - left - 8 - gap * (perRow - 1)) / perRow;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${whole} ${rows * high}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", "Share of images localized at each threshold, by IoU level: " + columns.map(level =>
      `IoU ${level}: ` + drawn.map(model => `${model.name} at best ${Math.max(...model.curves[state.kind][level]).toFixed(1)} %`).join(", ")).join("; "));
    const peak = Math.max(...drawn.flatMap(model => columns.map(level => Math.max(...model.curves[state.kind][level]))));
    const yTop = Math.min(100, Math.ceil((peak + 1) / 10) * 10);
    crosses = [];
    columns.forEach((level, place) => {
      const startX = left + (place % perRow) * (panel + gap), startY = Math.floor(place / perRow) * high;
      const x = value => startX + panel * value, base = startY + high - bottom;
      const y = value => base - (high - top - bottom) * value / yTop;
      draw(svg, "text", { class: "title", x: startX, y: startY + 13 }, `IoU ≥ ${level}`);
      for (const value of ticks(0, yTop, 5)) {
        draw(svg, "line", { class: "grid", x1: startX, x2: startX + panel, y1: y(value), y2: y(value) });
        if (place % perRow === 0) draw(svg, "text", { x: startX - 5, y: y(value) + 4, "text-anchor": "end" }, value);
      }
      for (const value of [0, .25, .5, .75, 1]) {
        const anchor = value === 0 ? "start" : value === 1 ? "end" : "middle";
        draw(svg, "text", { x: x(value), y: base + 14, "text-anchor": anchor }, value);
      }
      draw(svg, "text", { x: startX + panel / 2, y: base + 28, "text-anchor": "middle" }, "Threshold");
      for (const model of drawn) {
        const curve = model.curves[state.kind][level];
        // A point a pixel is enough; the curve is monotone enough in between.
        const every = Math.max(1, Math.floor(curve.length / (panel * 1.5)));
        let path = "";
        for (let i = 0; i < curve.length; i += every) path += `${path ? "L" : "M"}${x(model.thresholds[i]).toFixed(1)} ${y(curve[i]).toFixed(1)}`;
        draw(svg, "path", { class: `series ${look(model.number)} ${dash(model.number)}`, d: path });
      }
      for (const model of drawn) {
        const curve = model.curves[state.kind][level], best = bestOf(curve);
        draw(svg, "circle", { class: `ring ${look(model.number)}`, cx: x(model.thresholds[best]), cy: y(curve[best]), r: 3.6 });
      }
      const line = draw(svg, "line", { class: "cross", y1: startY + top, y2: base });
      const dots = drawn.map(model => draw(svg, "circle", { class: `dot ${look(model.number)}`, r: 3.8 }));
      crosses.push(() => {
        line.setAttribute("x1", x(state.threshold)); line.setAttribute("x2", x(state.threshold));
        drawn.forEach((model, i) => {
          const at = indexAt(model.thresholds, state.threshold);
          dots[i].setAttribute("cx", x(state.threshold)); dots[i].setAttribute("cy", y(model.curves[state.kind][level][at]));
        });
      });
      const area = draw(svg, "rect", { class: "catch", x: startX, y: startY + top, width: panel, height: high - top - bottom });
      const valueAt = event => {
        const box = area.getBoundingClientRect();
        return Math.min(longest.at(-1), Math.max(0, (event.clientX - box.left) / box.width));
      };
      area.addEventListener("pointermove", event => {
        const threshold = valueAt(event);
        const lines = drawn.map(model => [model.curves[state.kind][level][indexAt(model.thresholds, threshold)], model])
          .sort((a, b) => b[0] - a[0]).map(([value, model]) => `${value.toFixed(1)}  ${model.name}`);
        showTip(`IoU ≥ ${level}, threshold ${threshold.toFixed(digits)}\n${lines.join("\n")}`, event.clientX, event.clientY);
        if (event.buttons & 1) moveTo(threshold);
      });
      area.addEventListener("pointerleave", hideTip);
      area.addEventListener("click", event => moveTo(valueAt(event)));
    });
    holder.replaceChildren(svg);
    crosses.forEach(move => move());
  }

  // The gallery.
  const gallery = byId("gallery");
  function bytes(text) {
    const raw = atob(text), array = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) array[i] = raw.charCodeAt(i);
    return array;
  }
  function decoded(example) {
    if (!example.decoded) {
      example.decoded = {
        starts: new Uint16Array(bytes(example.starts).buffer),
        boxes: new Int16Array(bytes(example.boxes).buffer),
        ious: new Float32Array(bytes(example.ious).buffer),
      };
    }
    return example.decoded;
  }
  // The run of thresholds that the slider's belongs to: its box and IoU.
  function runOf(example) {
    const { starts } = decoded(example);
    const at = indexAt(data.models[example.model].thresholds, state.threshold);
    let low = 0, high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= at) low = middle; else high = middle - 1;
    }
    return low;
  }
  // IoUs are kept in single precision, so they are compared with the level in it.
  function verdict(example) {
    const iou = decoded(example).ious[runOf(example)];
    return Number.isNaN(iou) ? null : iou >= Math.fround(+state.level);
  }
  const palette = data.colours ? bytes(data.colours) : null;
  const MAP = 28, FINE = 112;
  function paint(canvas, example) {
    const values = bytes(example.map), context = canvas.getContext("2d");
    canvas.width = canvas.height = FINE;
    const picture = context.createImageData(FINE, FINE);
    for (let y = 0; y < FINE; y++) {
      const fy = Math.min(MAP - 1, Math.max(0, (y + .5) * MAP / FINE - .5)), y0 = Math.min(MAP - 2, Math.floor(fy)), dy = fy - y0;
      for (let x = 0; x < FINE; x++) {
        const fx = Math.min(MAP - 1, Math.max(0, (x + .5) * MAP / FINE - .5)), x0 = Math.min(MAP - 2, Math.floor(fx)), dx = fx - x0;
        const corner = y0 * MAP + x0;
        const value = Math.round((1 - dy) * ((1 - dx) * values[corner] + dx * values[corner + 1]) +
          dy * ((1 - dx) * values[corner + MAP] + dx * values[corner + MAP + 1]));
        const at = 4 * (y * FINE + x);
        picture.data[at] = palette[3 * value]; picture.data[at + 1] = palette[3 * value + 1];
        picture.data[at + 2] = palette[3 * value + 2];
        // What is cold stays visible.
        picture.data[at + 3] = 255 * data.strength * Math.min(1, value / 128);
      }
    }
    context.putImageData(picture, 0, 0);
  }
  function rectangle(svg, kind, [x, y, width, height]) {
    const place = { x, y, width, height };
    return [draw(svg, "rect", { class: `halo`, ...place }), draw(svg, "rect", { class: kind, ...place })];
  }

  const figures = data.examples.map((example, number) => {
    const image = data.images[example.image];
    const figure = make("figure", { "data-example": number });
    const [width, height] = image.size || [1, 1];
    const picture = make("div", { class: "picture" });
    picture.style.aspectRatio = `${width} / ${height}`;
    picture.style[width >= height ? "width" : "height"] = "100%";
    figure.append(make("div", { class: "view" }, picture));
    const verdictText = make("span", { class: "verdict" });
    const caption = make("figcaption", {}, make("b", {}, data.classes[image.class]), " ", verdictText);
    if (example.predicted !== null) {
      const told = example.right ? "recognized" : `taken for ${example.predicted}`;
      caption.append(make("small", {}, `${told} (${Math.round(100 * example.score)} %)`));
    }
    caption.append(make("small", {}, `${data.models[example.model].name} · ${image.id}`));
    figure.append(caption);
    return { example, image, figure, picture, verdictText, filled: false, visible: false, rects: null };
  });
  function fill(item) {
    item.filled = true;
    const { picture, image, example } = item;
    if (image.source) {
      picture.append(make("img", { src: image.source, alt: `${data.classes[image.class]}, ${image.id}`, draggable: "false" }));
      const canvas = make("canvas", { "aria-hidden": "true" });
      paint(canvas, example);
      picture.append(canvas);
    } else {
      picture.append(make("div", { class: "gone" }, make("b", {}, "Image not found"), image.file));
    }
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 1 1");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    image.truth.forEach(box => rectangle(svg, "truth", box));
    item.rects = rectangle(svg, "predicted", [0, 0, 0, 0]);
    picture.append(svg);
  }
  function update(item) {
    const { example } = item, run = runOf(example), { boxes, ious } = decoded(example);
    const [x0, y0, x1, y1] = boxes.subarray(4 * run, 4 * run + 4), [gridX, gridY] = example.grid;
    // 0, 0, 0, 0 stands where nothing lies above the threshold.
    const nothing = !(x0 || y0 || x1 || y1);
    for (const rect of item.rects) {
      rect.setAttribute("visibility", nothing ? "hidden" : "visible");
      rect.setAttribute("x", x0 / gridX); rect.setAttribute("y", y0 / gridY);
      rect.setAttribute("width", (x1 - x0 + 1) / gridX); rect.setAttribute("height", (y1 - y0 + 1) / gridY);
    }
    const right = verdict(example);
    item.verdictText.textContent = right === null ? "no true box" :
      nothing ? "no box ✗" : `IoU ${ious[run].toFixed(2)} ${right ? "✓" : "✗"}`;
    item.verdictText.className = `verdict ${right === null ? "" : right ? "right" : "wrong"}`;
  }
  const watcher = new IntersectionObserver(entries => {
    for (const entry of entries) {
      const item = figures[entry.target.dataset.example];
      item.visible = entry.isIntersecting;
      if (item.visible) {
        if (!item.filled) fill(item);
        update(item);
      }
    }
  }, { rootMargin: "400px 0px" });

  let announced = 0;
  function refresh() {
    const wanted = state.class.trim().toLowerCase();
    const exact = data.classes.some(name => name.toLowerCase() === wanted);
    let shown = 0, correct = 0, judged = 0, matching = 0;
    for (const item of figures) {
      const { example, image } = item, name = data.classes[image.class].toLowerCase();
      let fits = state.model === "" || example.model === +state.model;
      fits = fits && (!wanted || (exact ? name === wanted : name.includes(wanted)));
      const right = fits ? verdict(example) : null;
      if (fits) { matching++; judged += right !== null; correct += right === true; }
      if (state.outcome) fits = fits && right === (state.outcome === "correct");
      if (item.figure.hidden === fits) item.figure.hidden = !fits;
      shown += fits;
      if (fits && item.visible && item.filled) update(item);
    }
    byId("nothing").hidden = shown > 0;
    byId("value").textContent = state.threshold.toFixed(digits);
    const share = judged ? `, ${correct} of ${judged} correct (${(100 * correct / judged).toFixed(1)} %)` : "";
    let text = `${shown} shown of ${matching}${share}`;
    const model = state.model === "" ? null : data.models[state.model];
    const curve = model && model.curves.largest && model.curves.largest[state.level];
    if (curve) text += `; all images: ${curve[indexAt(model.thresholds, state.threshold)].toFixed(1)} %`;
    byId("count").textContent = text;
    byId("threshold").setAttribute("aria-valuetext", `${state.threshold.toFixed(digits)}, ${text}`);
    clearTimeout(announced);
    announced = setTimeout(() => { byId("announcement").textContent = `${text}.`; }, 600);
  }
  const refreshSoon = inFrame(() => { if (gallery) refresh(); crosses.forEach(move => move()); });

  function moveTo(threshold) {
    state.threshold = longest[indexAt(longest, threshold)];
    if (gallery) byId("threshold").value = indexAt(longest, threshold);
    refreshSoon();
  }
  // Of one model, or of all models' mean accuracy, at the chosen IoU level.
  function bestThreshold() {
    const chosen = data.models.filter((model, number) => (state.model === "" ? data.examples.some(e => e.model === number) : +state.model === number) &&
      model.curves.largest && model.curves.largest[state.level]);
    if (!chosen.length) return null;
    const mean = longest.map(threshold => chosen.reduce((sum, model) => sum + model.curves.largest[state.level][indexAt(model.thresholds, threshold)], 0));
    return longest[bestOf(mean)];
  }

  // Controls.
  function plots() {
    const networks = data.models.filter(model => model.parameters > 0);
    const metrics = Object.entries(data.metrics).filter(([name]) => networks.some(model => model.metrics[name] !== null));
    const kinds = [["all", "all (MaxBoxAccV2)"], ["largest", "largest (below)"]].filter(([kind]) => data.models.some(model => model.curves[kind]));
    byId("parameters-plot").hidden = !metrics.length;
    byId("thresholds-plot").hidden = !kinds.length;
    byId("plots").hidden = !metrics.length && !kinds.length;
    options(byId("metric"), metrics);
    options(byId("kind"), kinds);
    if (metrics.length) state.metric = metrics[0][0];
    if (kinds.length) state.kind = kinds[0][0];
    byId("metric").addEventListener("change", event => { state.metric = event.target.value; parametersPlot(); });
    byId("kind").addEventListener("change", event => { state.kind = event.target.value; thresholdsPlot(); });
    data.models.forEach((model, number) => {
      const svg = document.createElementNS(SVG, "svg");
      svg.setAttribute("viewBox", "0 0 26 10"); svg.setAttribute("aria-hidden", "true");
      draw(svg, "path", { class: `series ${look(number)} ${dash(number)}`, d: "M0 5H26" });
      draw(svg, "circle", { class: `dot ${look(number)}`, cx: 13, cy: 5, r: 4 });
      byId("legend").append(make("li", {}, svg, model.name));
    });
    const both = inFrame(() => { parametersPlot(); thresholdsPlot(); });
    both();
    addEventListener("resize", both);
  }
  function controls() {
    byId("gallery-section").hidden = false;
    const slider = byId("threshold");
    slider.min = 0; slider.max = longest.length - 1; slider.step = 1;
    slider.addEventListener("input", () => moveTo(longest[slider.value]));
    byId("fixed").textContent = `Fixed ${data.fixed}`;
    byId("fixed").addEventListener("click", () => moveTo(data.fixed));
    byId("best").addEventListener("click", () => { const best = bestThreshold(); if (best !== null) moveTo(best); });
    options(byId("level"), levels.map(level => [level, `IoU ≥ ${level}`]));
    byId("level").value = state.level;
    // A baseline looks at no picture: begin with a network.
    const shown = new Set(data.examples.map(example => example.model));
    options(byId("model"), [["", "all"], ...data.models.map((model, number) => [number, model.name]).filter(([number]) => shown.has(number))]);
    const network = [...shown].find(number => data.models[number].parameters !== 0);
    state.model = byId("model").value = network === undefined ? "" : String(network);
    byId("classes").append(...[...data.classes].sort().map(value => make("option", { value })));
    for (const name of ["level", "model", "class"]) {
      byId(name).addEventListener("input", event => { state[name] = event.target.value; refreshSoon(); });
    }
    document.querySelectorAll("[name=outcome]").forEach(radio => radio.addEventListener("change", () => {
      state.outcome = radio.value; refreshSoon();
    }));
    byId("overlay").addEventListener("change", event => gallery.classList.toggle("plain", !event.target.checked));
    // What a browser restored of an earlier visit is not what is shown.
    byId("class").value = ""; byId("overlay").checked = true;
    document.querySelector("[name=outcome][value='']").checked = true;
    gallery.append(...figures.map(item => item.figure));
    figures.forEach(item => watcher.observe(item.figure));
  }
  if (gallery) controls();
  plots();
  moveTo(state.threshold);
})();
