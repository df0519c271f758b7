// The gallery: a figure an image, with the answers of the chosen models beside each other.
const gallery = byId("gallery");
const answers = new Map();  // image to { model: example }
for (const example of data.examples) {
  if (!answers.has(example.image)) answers.set(example.image, new Map());
  answers.get(example.image).set(example.model, example);
}
const answering = [...new Set(data.examples.map(example => example.model))].sort((a, b) => a - b);
const inGroup = () => answering.filter(number => isShown(runs[models[number].run]));
function chosenModels() {
  if (state.model === "") return inGroup();
  return [...new Set([state.model, state.beside].filter(value => value !== "").map(Number))];
}
const CHUNK = 48;
let list = [], limit = CHUNK;
const figures = new Map();

const modelsOf = image => chosenModels().filter(number => answers.get(image).has(number));
const figureKey = image => `${image}:${modelsOf(image).join(",")}`;
function figureOf(image) {
  const chosen = modelsOf(image), key = figureKey(image);
  if (figures.has(key)) return figures.get(key);
  const told = data.images[image], name = data.classes[told.class];
  const figure = make("figure", { "data-image": image });
  const button = make("button", { type: "button", class: "enlarge", "aria-label": `Enlarge ${name}, ${told.id}` });
  button.addEventListener("click", () => openViewer(image));
  const item = { image, figure, button, chosen, parts: null, visible: false };
  figure.item = item;
  const caption = make("figcaption", {}, make("b", {}, name));
  item.words = chosen.map(number => {
    const words = make("span", { class: "verdict" }), example = answers.get(image).get(number);
    const line = make("span", { class: "answer" }, words, " ", make("small", {}, recognized(example)));
    if (chosen.length > 1) line.prepend(make("small", { class: "of" }, swatch(runs[models[number].run]), models[number].name));
    caption.append(line);
    return words;
  });
  caption.append(make("small", { class: "file" }, told.id.split("/").at(-1)));
  if (chosen.length > 1) figure.classList.add("wide");
  button.style.setProperty("--pictures", Math.min(chosen.length, 3));
  figure.append(button, caption);
  figures.set(key, item);
  return item;
}
function fill(item) {
  item.parts = item.chosen.map(number => pictureOf(data.images[item.image], answers.get(item.image).get(number), 56));
  item.button.append(...item.parts.map(part => make("span", { class: "view" }, part)));
}
function renewItem(item) {
  item.chosen.forEach((number, i) => renew(item.parts[i], item.words[i], answers.get(item.image).get(number)));
}
const watcher = new IntersectionObserver(entries => {
  for (const entry of entries) {
    const { item } = entry.target;
    item.visible = entry.isIntersecting;
    if (!item.visible) continue;
    if (!item.parts) fill(item);
    renewItem(item);
  }
}, { rootMargin: "300px 0px" });

const SORTS = {
  class: null, worst: (a, b) => a.iou - b.iou, best: (a, b) => b.iou - a.iou,
  sure: (a, b) => (b.example.score ?? -1) - (a.example.score ?? -1),
  unsure: (a, b) => (a.example.score ?? 2) - (b.example.score ?? 2),
};
const lower = data.classes.map(name => name.toLowerCase());
// Images that fit the filters, in order; the first chosen model's answer decides.
function matching() {
  const wanted = state.class.trim().toLowerCase(), exact = lower.includes(wanted);
  const chosen = chosenModels(), found = [];
  let correct = 0, judged = 0, candidates = 0;
  data.images.forEach((image, number) => {
    const name = lower[image.class];
    if (wanted && !(exact ? name === wanted : name.includes(wanted))) return;
    const own = answers.get(number), model = chosen.find(one => own.has(one));
    if (model === undefined) return;
    const example = own.get(model), right = verdict(example);
    candidates++; judged += right !== null; correct += right === true;
    if (state.outcome === "correct" ? right !== true : state.outcome === "wrong" ? right !== false :
      state.outcome && kindOf(example) !== state.outcome) return;
    found.push({ number, example, iou: iouAt(example, state.threshold) });
  });
  if (SORTS[state.order]) {
    found.sort((a, b) => Number.isNaN(a.iou) - Number.isNaN(b.iou) || SORTS[state.order](a, b) || a.number - b.number);
  }
  return { found: found.map(one => one.number), correct, judged, candidates };
}
let announced = 0, resort = 0, summary = null;
function showList(settled = true) {
  // While the slider moves no figure is made: that would take longer than a frame.
  const items = list.slice(0, limit).filter(image => settled || figures.has(figureKey(image))).map(figureOf);
  const nodes = items.map(item => item.figure), wanted = new Set(nodes);
  for (const node of [...gallery.children]) {
    if (!wanted.has(node)) { watcher.unobserve(node); node.item.visible = false; node.remove(); }
  }
  let at = gallery.firstElementChild;
  for (const node of nodes) {
    if (node === at) at = at.nextElementSibling;
    else { gallery.insertBefore(node, at); watcher.observe(node); }
  }
  for (const item of items) if (item.visible && item.parts) renewItem(item);
  byId("nothing").hidden = list.length > 0;
  byId("end").hidden = list.length <= limit;
}
// While the slider moves, pictures keep their places; they are sorted anew when it rests.
function refresh(settled = true) {
  summary = matching();
  const keepOrder = !settled && (state.order === "worst" || state.order === "best");
  if (!settled && (keepOrder || state.outcome)) {
    clearTimeout(resort);
    resort = setTimeout(() => refresh(), 350);
  }
  if (keepOrder) {
    const fits = new Set(summary.found), kept = list.filter(number => fits.has(number));
    const known = new Set(kept);
    list = [...kept, ...summary.found.filter(number => !known.has(number))];
  } else list = summary.found;
  showList(settled);
  tellCount();
}
function tellCount() {
  const { correct, judged, candidates } = summary;
  byId("value").textContent = state.threshold.toFixed(digits);
  const share = judged ? `, ${correct} of ${judged} correct (${(100 * correct / judged).toFixed(1)} %)` : "";
  let text = `${list.length} shown of ${candidates}${share}`;
  const model = models[chosenModels()[0]];
  const curve = state.model !== "" && model.curves.largest && model.curves.largest[state.level];
  if (curve) text += `; all images: ${curve[indexAt(model.thresholds, state.threshold)].toFixed(1)} %`;
  byId("count").textContent = text;
  byId("threshold").setAttribute("aria-valuetext", `${state.threshold.toFixed(digits)}, ${text}`);
  clearTimeout(announced);
  announced = setTimeout(() => { byId("announcement").textContent = `${text}.`; }, 600);
}
function restart() {
  limit = CHUNK;
  const chosen = chosenModels();
  byId("shown-model").textContent = state.model === "" ? "All models" : chosen.map(number => models[number].name).join(" beside ");
  gallery.classList.toggle("pairs", chosen.length > 1);
  refresh();
}
