// An example enlarged: every chosen model's map, and its IoU over the thresholds.
const viewer = byId("viewer");
let opened = null;
function openViewer(image) {
  opened = { image, chosen: chosenModels().filter(number => answers.get(image).has(number)) };
  const told = data.images[image];
  byId("viewer-title").textContent = `${data.classes[told.class]} · ${told.id}`;
  opened.parts = opened.chosen.map(number => {
    const example = answers.get(image).get(number);
    const picture = pictureOf(told, example, 224), words = make("span", { class: "verdict" });
    return { example, picture, words, number };
  });
  byId("viewer-pictures").replaceChildren(...opened.parts.map(({ example, picture, words, number }) =>
    make("figure", {}, make("span", { class: "view" }, picture),
      make("figcaption", {}, make("b", {}, models[number].name), " ", words, " ", make("small", {}, recognized(example)), swatch(runs[models[number].run])))));
  byId("viewer-pictures").classList.toggle("plain", gallery.classList.contains("plain"));
  if (!viewer.open) viewer.showModal();
  viewerChart();
  renewViewer();
}
function viewerChart() {
  const holder = byId("viewer-chart"), width = Math.max(260, holder.clientWidth || 640), height = 170;
  const left = 46, right = 10, top = 8, bottom = 34;
  const x = value => left + (width - left - right) * value, y = value => height - bottom - (height - top - bottom) * value;
  const svg = canvas(width, height, { role: "img", "aria-label": "IoU of the box at each threshold" });
  for (const value of [0, .25, .5, .75, 1]) {
    draw(svg, "line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) });
    draw(svg, "text", { x: left - 5, y: y(value) + 4, "text-anchor": "end" }, value);
    draw(svg, "text", { x: x(value), y: height - bottom + 14, "text-anchor": value === 0 ? "start" : value === 1 ? "end" : "middle" }, value);
  }
  draw(svg, "text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, "Threshold");
  draw(svg, "text", { x: -(height - bottom + top) / 2, y: 10, transform: "rotate(-90)", "text-anchor": "middle" }, "IoU");
  draw(svg, "line", { class: "front", x1: left, x2: width - right, y1: y(+state.level), y2: y(+state.level) });
  for (const { example, number } of opened.parts) {
    const { starts, ious } = decoded(example), { thresholds } = models[number];
    let path = "";
    starts.forEach((start, i) => {
      const from = x(thresholds[start]), at = y(ious[i] || 0);
      path += i ? `H${from.toFixed(1)}V${at.toFixed(1)}` : `M${from.toFixed(1)} ${at.toFixed(1)}`;
    });
    draw(svg, "path", { class: `series ${look(models[number].look)} ${dash(models[number].look)}`, d: `${path}H${x(1)}` });
  }
  opened.cross = draw(svg, "line", { class: "cross", y1: top, y2: height - bottom });
  opened.x = x;
  holder.replaceChildren(svg);
}
function renewViewer() {
  if (!viewer.open || !opened) return;
  opened.parts.forEach(({ picture, words, example }) => renew(picture, words, example));
  opened.cross.setAttribute("x1", opened.x(state.threshold)); opened.cross.setAttribute("x2", opened.x(state.threshold));
  byId("viewer-value").textContent = state.threshold.toFixed(digits);
  byId("viewer-threshold").value = indexAt(longest, state.threshold);
  const at = list.indexOf(opened.image);
  byId("viewer-previous").disabled = at <= 0;
  byId("viewer-next").disabled = at < 0 || at + 1 >= list.length;
}
function step(by) {
  const at = list.indexOf(opened.image) + by;
  if (at >= 0 && at < list.length) openViewer(list[at]);
}
function viewerControls() {
  byId("viewer-close").addEventListener("click", () => viewer.close());
  byId("viewer-previous").addEventListener("click", () => step(-1));
  byId("viewer-next").addEventListener("click", () => step(1));
  viewer.addEventListener("click", event => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener("keydown", event => {
    if (event.target.type === "range") return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  viewer.addEventListener("close", () => {
    const figure = gallery.querySelector(`figure[data-image="${opened.image}"] button`);
    if (figure) figure.focus();
  });
}
