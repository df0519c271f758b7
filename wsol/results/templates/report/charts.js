// The plots: localization against cost, and accuracy against threshold.
function ticks(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(f => f * power).find(s => s >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + 1e-9; at += step) found.push(+at.toFixed(9));
  return found;
}
function logTicks(low, high) {
  const steps = high / low > 300 ? [1] : high / low > 5 ? [1, 2, 5] : null;
  if (!steps) return ticks(low, high, 4);
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const step of steps) { const value = step * 10 ** power; if (value >= low && value <= high) found.push(value); }
  }
  return found;
}
const short = value => value >= 1e5 ? `${+(value / 1e6).toPrecision(3)}M` : value >= 1e3 ? `${+(value / 1e3).toPrecision(3)}k` : `${+value.toPrecision(3)}`;
const AXES = {
  parameters: { name: "Parameters", text: short }, flops: { name: data.axes.flops, text: value => `${+(value / 1e9).toPrecision(3)}` },
  latency_ms: { name: data.axes.latency_ms, text: value => `${+value.toPrecision(3)}` }, map_area: { name: data.axes.map_area, text: short },
};
const overlap = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
// From a point to a box.
function away(px, py, box) {
  return Math.hypot(Math.max(box.x - px, 0, px - box.x - box.width), Math.max(box.y - py, 0, py - box.y - box.height));
}
// Points of one cost stand side by side around it, and clear of the next cost's.
function sideBySide(points) {
  const columns = [];
  for (const point of [...points].sort((a, b) => a.x - b.x)) {
    const last = columns.at(-1);
    if (last && point.x - last[0].x < 4) last.push(point); else columns.push([point]);
  }
  const middles = columns.map(column => column.reduce((sum, point) => sum + point.x, 0) / column.length);
  columns.forEach((column, i) => {
    if (column.length < 2) return;
    const gap = Math.min(middles[i] - (middles[i - 1] ?? -Infinity), (middles[i + 1] ?? Infinity) - middles[i]);
    const step = Math.min(7, .8 * gap / column.length);
    column.sort((a, b) => a.run.number - b.run.number)
      .forEach((point, place) => { point.x = middles[i] + step * (place - (column.length - 1) / 2); });
  });
  return points;
}

function parametersPlot() {
  const holder = document.querySelector("#parameters-plot .chart");
  const { metric, axis } = state;
  const known = shownRuns().map(run => ({ ...run, y: run.metrics[metric], x: run.axes[axis] }))
    .filter(run => run.y !== null && run.y !== undefined);
  const networks = known.filter(run => run.x > 0);
  const baselines = known.filter(isBaseline);
  holder.replaceChildren();
  if (!networks.length) { holder.append(make("p", { class: "note" }, "No network here has both numbers.")); return; }
  const width = Math.max(280, holder.clientWidth || 460), height = 330;
  const left = 44, right = 12, top = 10, bottom = 38;
  const sizes = networks.map(run => run.x);
  const ends = known.flatMap(run => run.ends[metric] || [run.y, run.y]);
  const ratio = Math.max(Math.max(...sizes) / Math.min(...sizes), 1.6);
  const spare = ratio ** .2, x0 = Math.min(...sizes) / spare, x1 = Math.max(...sizes) * spare;
  const gap = Math.max(...ends) - Math.min(...ends) || 2;
  const y0 = Math.max(0, Math.min(...ends) - gap * .14), y1 = Math.min(100, Math.max(...ends) + gap * .14);
  const x = value => left + (width - left - right) * Math.log(value / x0) / Math.log(x1 / x0);
  const y = value => height - bottom - (height - top - bottom) * (value - y0) / (y1 - y0);
  const svg = canvas(width, height, { role: "group", "aria-label": `${data.metrics[metric]} against ${AXES[axis].name}` });
  for (const value of ticks(y0, y1, 5)) {
    draw(svg, "line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) });
    draw(svg, "text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, value);
  }
  let edge = -Infinity;
  for (const value of logTicks(x0, x1)) {
    const text = AXES[axis].text(value), half = 3.6 * text.length;
    draw(svg, "line", { class: "grid", x1: x(value), x2: x(value), y1: top, y2: height - bottom });
    // A number that would touch the last one is left out; its line stays.
    if (x(value) - half > edge + 4 && x(value) + half < width) {
      draw(svg, "text", { x: x(value), y: height - bottom + 16, "text-anchor": "middle" }, text);
      edge = x(value) + half;
    }
  }
  draw(svg, "text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, AXES[axis].name);
  draw(svg, "text", { x: -(height - bottom + top) / 2, y: 11, transform: "rotate(-90)", "text-anchor": "middle" }, `${data.metrics[metric]} (%)`);
  const front = [], taken = [];
  for (const run of [...networks].sort((a, b) => a.x - b.x || b.y - a.y)) if (!front.length || run.y > front.at(-1).y) front.push(run);
  let path = "";
  front.forEach((run, i) => {
    path += i ? `H${x(run.x)}V${y(run.y)}` : `M${x(run.x)} ${y(run.y)}`;
    const next = i + 1 < front.length ? x(front[i + 1].x) : width - right;
    taken.push({ x: x(run.x), y: y(run.y) - 2, width: next - x(run.x), height: 4 });
    if (i + 1 < front.length) taken.push({ x: next - 2, y: y(front[i + 1].y), width: 4, height: y(run.y) - y(front[i + 1].y) });
  });
  draw(svg, "path", { class: "front", d: `${path}H${width - right}` });
  for (const run of baselines) {
    draw(svg, "line", { class: `baseline ${look(run.look)} ${dash(run.look)}`, x1: left, x2: width - right, y1: y(run.y), y2: y(run.y) });
    taken.push({ x: left, y: y(run.y) - 2, width: width - left - right, height: 4 });
  }
  const points = sideBySide(networks.map(run => ({ run, x: x(run.x), y: y(run.y) })));
  for (const point of points) {
    taken.push({ x: point.x - 8, y: point.y - 8, width: 16, height: 16 });
    const whisker = point.run.ends[metric];
    if (whisker) {
      draw(svg, "path", { class: `whisker ${look(point.run.look)}`, d: `M${point.x} ${y(whisker[0])}V${y(whisker[1])}M${point.x - 3} ${y(whisker[0])}h6M${point.x - 3} ${y(whisker[1])}h6` });
      taken.push({ x: point.x - 3, y: y(whisker[1]), width: 6, height: y(whisker[0]) - y(whisker[1]) });
    }
  }
  holder.append(svg);
  // A label stands where nothing crosses it and no other dot is nearly as near; else the list above has it.
  function label(text, places, own) {
    const node = draw(svg, "text", { class: "label", "aria-hidden": "true" }, text);
    for (const [atX, atY, anchor] of places) {
      node.setAttribute("x", atX); node.setAttribute("y", atY); node.setAttribute("text-anchor", anchor);
      const box = node.getBBox();
      const inside = box.x >= left && box.x + box.width <= width - 2 && box.y >= 0 && box.y + box.height <= height - bottom;
      const others = points.filter(point => point !== own).map(point => away(point.x, point.y, box));
      const clear = !own || Math.min(...others, Infinity) > 2 * away(own.x, own.y, box) + 8;
      if (inside && clear && !taken.some(other => overlap(box, other))) { taken.push(box); return; }
    }
    node.remove();
  }
  for (const point of points) {
    const { run } = point, text = describe(run);
    const dot = draw(svg, "path", { class: `dot ${look(run.look)}`, d: shape(run.look, 6), transform: `translate(${point.x} ${point.y})`, tabindex: 0, role: "img" });
    dot.setAttribute("aria-label", text.replaceAll("\n", ", "));
    const show = () => { const box = dot.getBoundingClientRect(); showTip(text, box.right - 8, box.top - 4); light(run.number, true); };
    const hide = () => { hideTip(); light(run.number, false); };
    dot.addEventListener("pointerenter", show); dot.addEventListener("focus", show);
    dot.addEventListener("pointerleave", hide); dot.addEventListener("blur", hide);
    const { x: cx, y: cy } = point;
    label(run.name, [[cx, cy - 11, "middle"], [cx, cy + 20, "middle"], [cx + 11, cy + 4, "start"], [cx - 11, cy + 4, "end"],
      [cx + 8, cy - 9, "start"], [cx - 8, cy - 9, "end"], [cx + 8, cy + 17, "start"], [cx - 8, cy + 17, "end"]], point);
  }
  for (const run of baselines) {
    const text = `${run.name} ${run.y.toFixed(1)}`, at = y(run.y);
    label(text, [[width - right - 2, at - 5, "end"], [left + 4, at - 5, "start"], [width - right - 2, at + 14, "end"], [left + 4, at + 14, "start"]], null);
  }
}
function describe(run) {
  const { metric } = state, lines = [run.name];
  if (run.axes.parameters) lines.push(`${(run.axes.parameters / 1e6).toFixed(2)} M parameters`);
  if (state.axis !== "parameters" && run.axes[state.axis]) lines.push(`${AXES[state.axis].name} ${AXES[state.axis].text(run.axes[state.axis])}`);
  const ends = run.ends[metric] ? ` (${run.ends[metric].map(end => end.toFixed(2)).join(" to ")})` : "";
  lines.push(`${data.metrics[metric]} ${run.metrics[metric].toFixed(2)}${ends}`);
  return lines.join("\n");
}

// The mean curve of a run's repetitions.
function curveOf(run, kind, level) {
  const found = run.models.map(number => models[number].curves[kind] && models[number].curves[kind][level]).filter(Boolean);
  if (!found.length) return null;
  if (found.length === 1) return found[0];
  return found[0].map((_, i) => found.reduce((sum, curve) => sum + curve[i], 0) / found.length);
}
const thresholdsOf = run => models[run.models[0]].thresholds;
function linePath(xs, ys, x, y, room) {
  // A point a pixel is enough.
  const every = Math.max(1, Math.floor(ys.length / (room * 1.5)));
  let path = "";
  for (let i = 0; i < ys.length; i += every) path += `${path ? "L" : "M"}${x(xs[i]).toFixed(1)} ${y(ys[i]).toFixed(1)}`;
  return path;
}
let crosses = [];
function thresholdsPlot() {
  const holder = document.querySelector("#thresholds-plot .chart");
  const drawn = shownRuns().filter(run => levels.some(level => curveOf(run, state.kind, level)))
    .map(run => ({ ...run, xs: thresholdsOf(run), curves: Object.fromEntries(levels.map(level => [level, curveOf(run, state.kind, level)])) }));
  const columns = levels.filter(level => drawn.some(run => run.curves[level]));
  holder.replaceChildren();
  crosses = [];
  if (!columns.length) return;
  const whole = Math.max(280, holder.clientWidth || 700);
  const perRow = whole < 480 ? 1 : Math.min(columns.length, 3);
  const rows = Math.ceil(columns.length / perRow);
  const left = 34, gap = 16, top = 22, bottom = 36, high = perRow === 1 ? 200 : 330;
  const panel = (whole - left - 12 - gap * (perRow - 1)) / perRow;
  const svg = canvas(whole, rows * high, { role: "img" });
  svg.setAttribute("aria-label", "Share of images localized at each threshold, by IoU level: " + columns.map(level =>
    `IoU ${level}: ` + drawn.map(run => `${run.name} at best ${Math.max(...run.curves[level]).toFixed(1)} %`).join(", ")).join("; "));
  const peak = Math.max(...drawn.flatMap(run => columns.map(level => Math.max(...run.curves[level]))));
  const yTop = Math.min(100, Math.ceil((peak + 1) / 10) * 10);
  columns.forEach((level, place) => {
    const startX = left + (place % perRow) * (panel + gap), startY = Math.floor(place / perRow) * high;
    const x = value => startX + panel * value, base = startY + high - bottom;
    const y = value => base - (high - top - bottom) * value / yTop;
    draw(svg, "text", { class: "title", x: startX, y: startY + 13 }, `IoU ≥ ${level}`);
    for (const value of ticks(0, yTop, 5)) {
      draw(svg, "line", { class: "grid", x1: startX, x2: startX + panel, y1: y(value), y2: y(value) });
      if (place % perRow === 0) draw(svg, "text", { x: startX - 5, y: y(value) + 4, "text-anchor": "end" }, value);
    }
    for (const value of panel < 110 ? [0, .5, 1] : [0, .25, .5, .75, 1]) {
      const anchor = value === 0 ? "start" : value === 1 ? "end" : "middle";
      draw(svg, "text", { x: x(value), y: base + 14, "text-anchor": anchor }, value);
    }
    draw(svg, "text", { x: startX + panel / 2, y: base + 29, "text-anchor": "middle" }, "Threshold");
    drawn.forEach((run, number) => {
      const curve = run.curves[level];
      const same = drawn.slice(0, number).some(other => other.curves[level].length === curve.length &&
        other.curves[level].every((value, i) => Math.abs(value - curve[i]) < yTop / 150));
      draw(svg, "path", { class: `series ${look(run.look)} ${same ? "over" : dash(run.look)}`, d: linePath(run.xs, curve, x, y, panel) });
    });
    for (const run of drawn) {
      const best = bestOf(run.curves[level]);
      draw(svg, "circle", { class: `ring ${look(run.look)}`, cx: x(run.xs[best]), cy: y(run.curves[level][best]), r: 3.6 });
    }
    const line = draw(svg, "line", { class: "cross", y1: startY + top, y2: base });
    const dots = drawn.map(run => draw(svg, "circle", { class: `dot ${look(run.look)}`, r: 3.8 }));
    crosses.push(() => {
      line.setAttribute("x1", x(state.threshold)); line.setAttribute("x2", x(state.threshold));
      drawn.forEach((run, i) => {
        dots[i].setAttribute("cx", x(state.threshold));
        dots[i].setAttribute("cy", y(run.curves[level][indexAt(run.xs, state.threshold)]));
      });
    });
    const area = draw(svg, "rect", { class: "catch", x: startX, y: startY + top, width: panel, height: high - top - bottom });
    const valueAt = event => {
      const box = area.getBoundingClientRect();
      return Math.min(longest.at(-1), Math.max(0, (event.clientX - box.left) / box.width));
    };
    area.addEventListener("pointermove", event => {
      const threshold = valueAt(event);
      const lines = drawn.map(run => [run.curves[level][indexAt(run.xs, threshold)], run])
        .sort((a, b) => b[0] - a[0]).map(([value, run]) => `${value.toFixed(1)}  ${run.name}`);
      showTip(`IoU ≥ ${level}, threshold ${threshold.toFixed(digits)}\n${lines.join("\n")}`, event.clientX, event.clientY);
      if (event.buttons & 1) moveTo(threshold);
    });
    area.addEventListener("pointerleave", hideTip);
    area.addEventListener("click", event => moveTo(valueAt(event)));
  });
  holder.append(svg);
  crosses.forEach(move => move());
}
function legend(drawn) {
  byId("legend").replaceChildren(...drawn.map(run => make("li", {}, swatch(run), run.name)));
}
