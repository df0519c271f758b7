// The controls, and what follows from each.
const redrawSoon = inFrame(() => {
  if (gallery) { refresh(false); renewViewer(); }
  crosses.forEach(move => move());
});
function moveTo(threshold) {
  if (!longest.length) return;
  state.threshold = longest[indexAt(longest, threshold)];
  if (gallery) byId("threshold").value = indexAt(longest, threshold);
  redrawSoon();
}
// Of the chosen model, or of all models' mean accuracy, at the chosen IoU level.
function bestThreshold() {
  const curves = chosenModels().slice(0, state.model === "" ? undefined : 1).map(number => models[number])
    .filter(model => model.curves.largest && model.curves.largest[state.level]);
  if (!curves.length) return null;
  const mean = longest.map(threshold => curves.reduce((sum, model) => sum + model.curves.largest[state.level][indexAt(model.thresholds, threshold)], 0));
  return longest[bestOf(mean)];
}
function chooseClass(name) {
  byId("class").value = state.class = name;
  restart();
}
function plotChoices() {
  const found = shownRuns(), networks = found.filter(run => !isBaseline(run));
  const metrics = Object.entries(data.metrics).filter(([name]) => networks.some(run => run.metrics[name] != null));
  const axes = Object.entries(AXES).filter(([name]) => networks.some(run => run.axes[name]));
  const kinds = [["all", "all (MaxBoxAccV2)"], ["largest", "largest (below)"]]
    .filter(([kind]) => found.some(run => levels.some(level => curveOf(run, kind, level))));
  byId("parameters-plot").hidden = !metrics.length || !axes.length;
  byId("thresholds-plot").hidden = !kinds.length;
  byId("plots").hidden = byId("parameters-plot").hidden && !kinds.length;
  options(byId("metric"), metrics);
  options(byId("axis"), axes.map(([name, axis]) => [name, axis.name]));
  options(byId("kind"), kinds);
  for (const [name, pairs] of [["metric", metrics], ["axis", axes], ["kind", kinds]]) {
    if (pairs.length && !pairs.some(([value]) => value === state[name])) state[name] = pairs[0][0];
    byId(name).value = state[name];
  }
}
function modelChoices() {
  const found = inGroup(), pairs = found.map(number => [number, models[number].name]);
  options(byId("model"), [...pairs, ...(found.length > 1 ? [["", "all models"]] : [])]);
  // A baseline looks at no picture: begin with a network.
  const network = found.find(number => !isBaseline(runs[models[number].run]));
  if (!found.includes(+state.model) || state.model === "") state.model = String(network ?? found[0] ?? "");
  byId("model").value = state.model;
  besideChoices();
}
function besideChoices() {
  const pairs = inGroup().filter(number => String(number) !== state.model).map(number => [number, models[number].name]);
  options(byId("beside"), [["", "none"], ...pairs]);
  if (state.model === "" || !pairs.some(([number]) => String(number) === state.beside)) state.beside = "";
  byId("beside").value = state.beside;
  byId("beside").disabled = state.model === "" || !pairs.length;
}
function drawPlots() {
  if (byId("plots").hidden) return;
  legend(shownRuns());
  if (!byId("parameters-plot").hidden) parametersPlot();
  if (!byId("thresholds-plot").hidden) thresholdsPlot();
}
function chooseRuns() {
  showRows();
  plotChoices();
  drawPlots();
  if (byId("classes-section")) classChoices();
  if (gallery) {
    modelChoices();
    const model = models[chosenModels()[0]];
    byId("fixed").textContent = `Fixed ${model.fixed}`;
    restart();
  }
}
function pageControls() {
  columnsControl();
  options(byId("group"), data.groups.map((title, number) => [number, title]));
  byId("group-choice").hidden = data.groups.length < 2;
  byId("group").addEventListener("change", event => { state.group = +event.target.value; chooseRuns(); });
  const methods = [...new Set(runs.map(run => run.method).filter(Boolean))];
  options(byId("method"), [["", "all"], ...methods.map(name => [name, name])]);
  byId("method-choice").hidden = methods.length < 2;
  byId("method").addEventListener("change", event => { state.method = event.target.value; chooseRuns(); });
  byId("metric").addEventListener("change", event => { state.metric = event.target.value; parametersPlot(); });
  byId("axis").addEventListener("change", event => { state.axis = event.target.value; parametersPlot(); });
  byId("kind").addEventListener("change", event => { state.kind = event.target.value; thresholdsPlot(); });
  addEventListener("resize", inFrame(() => { drawPlots(); if (gallery && viewer.open) { viewerChart(); renewViewer(); } }));
  if (byId("classes-section")) {
    byId("class-model").addEventListener("change", () => { classSort = null; classTable(); });
    byId("all-classes").addEventListener("click", () => { allClasses = !allClasses; classTable(); });
  }
}
function galleryControls() {
  byId("gallery-section").hidden = false;
  for (const id of ["threshold", "viewer-threshold"]) {
    const slider = byId(id);
    slider.min = 0; slider.max = longest.length - 1; slider.step = 1;
    slider.addEventListener("input", () => moveTo(longest[slider.value]));
  }
  byId("fixed").addEventListener("click", () => moveTo(models[chosenModels()[0]].fixed));
  byId("best").addEventListener("click", () => { const best = bestThreshold(); if (best !== null) moveTo(best); });
  options(byId("level"), levels.map(level => [level, `IoU ≥ ${level}`]));
  byId("level").value = state.level;
  options(byId("outcome"), [["", "all"], ["correct", "correct"], ["wrong", "wrong"],
    ...Object.entries(KINDS).map(([kind, text]) => [kind, `wrong: ${text}`])]);
  options(byId("order"), [["class", "by class"], ["worst", "IoU, worst first"], ["best", "IoU, best first"],
    ...(data.examples.some(example => example.score !== null) ? [["sure", "confidence, highest first"], ["unsure", "confidence, lowest first"]] : [])]);
  const names = new Set(data.images.map(image => data.classes[image.class]));
  byId("class-names").append(...[...names].sort((a, b) => a.localeCompare(b, undefined, { sensitivity: "base" })).map(value => make("option", { value })));
  for (const name of ["level", "model", "beside", "class", "outcome", "order"]) {
    byId(name).addEventListener("input", event => {
      state[name] = event.target.value;
      if (name === "model") { besideChoices(); byId("fixed").textContent = `Fixed ${models[chosenModels()[0]].fixed}`; }
      if (name === "level" && byId("classes-section")) classTable();
      restart();
    });
  }
  byId("overlay").addEventListener("change", event => {
    gallery.classList.toggle("plain", !event.target.checked);
    byId("viewer-pictures").classList.toggle("plain", !event.target.checked);
  });
  // What a browser restored of an earlier visit is not what is shown.
  byId("class").value = ""; byId("overlay").checked = true;
  new IntersectionObserver(entries => {
    if (entries.some(entry => entry.isIntersecting) && list.length > limit) { limit += CHUNK; showList(); }
  }, { rootMargin: "900px 0px" }).observe(byId("end"));
  viewerControls();
}
pageControls();
if (gallery) galleryControls();
chooseRuns();
moveTo(state.threshold);
