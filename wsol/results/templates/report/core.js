// The page's data, its choices, and small helpers that every part uses.
const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const byId = id => document.getElementById(id);

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
function canvas(width, height, attributes) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, value);
  return svg;
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

// What the reader has chosen; every view is drawn from it.
const { levels, models, runs } = data;
models.forEach((model, number) => {
  model.run = runs.findIndex(run => run.models.includes(number));
  model.look = model.run < 0 ? 0 : runs[model.run].look;
});
const longest = models.reduce((best, model) => model.thresholds.length > best.length ? model.thresholds : best, []);
const digits = longest.length > 100 ? 3 : 2;
const state = {
  group: 0, method: "", threshold: models.length ? models[0].fixed : 0, level: levels.includes("0.5") ? "0.5" : levels[0],
  kind: "all", metric: "", axis: "parameters",
  model: "", beside: "", class: "", outcome: "", order: "class",
};
// Runs of the chosen convention and method; baselines belong to every method.
const filters = [];
function isShown(run) {
  return run.group === state.group && (state.method === "" || run.method === null || run.method === state.method) &&
    filters.every(fits => fits(run));
}
const shownRuns = () => runs.map((run, number) => ({ ...run, number })).filter(isShown);

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
  let best = 0;
  for (let i = 1; i < curve.length; i++) if (curve[i] > curve[best]) best = i;
  return best;
}

// Looks are of a run's name, whatever its place: six colours, and beyond them another shape and another dash for each six.
const look = number => `s${number % 6}`;
const dash = number => `dash${Math.floor(number / 6) % SHAPES.length}`;
const SHAPES = [
  r => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`,
  r => `M${-r * .88} ${-r * .88}h${r * 1.76}v${r * 1.76}h${-r * 1.76}z`,
  r => `M0 ${-r * 1.2}L${r * 1.2} 0L0 ${r * 1.2}L${-r * 1.2} 0z`,
  r => `M0 ${-r * 1.1}L${r * 1.15} ${r * .9}H${-r * 1.15}z`,
  r => `M0 ${r * 1.1}L${r * 1.15} ${-r * .9}H${-r * 1.15}z`,
  r => `M${-r * .4} ${-r * 1.1}h${r * .8}v${r * .7}h${r * .7}v${r * .8}h${-r * .7}v${r * .7}h${-r * .8}v${-r * .7}h${-r * .7}v${-r * .8}h${r * .7}z`,
];
const shape = (number, r) => SHAPES[Math.floor(number / 6) % SHAPES.length](r);
const isBaseline = run => run.axes.parameters === 0;
// What tells a run in every part of the page: its line and its dot.
function swatch(run) {
  const svg = canvas(26, 12, { class: "swatch", "aria-hidden": "true" });
  draw(svg, "path", { class: `series ${look(run.look)} ${dash(run.look)}${isBaseline(run) ? " baseline" : ""}`, d: "M0 6H26" });
  if (!isBaseline(run)) draw(svg, "path", { class: `dot ${look(run.look)}`, d: shape(run.look, 4.2), transform: "translate(13 6)" });
  return svg;
}

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
addEventListener("keydown", event => { if (event.key === "Escape") hideTip(); });
