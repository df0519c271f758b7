// The leaderboard's own choices: what is shown of a data set, and the plot of it.
const picked = { convention: "", status: "", word: "" };
filters.push(run => {
  const at = run.number, word = picked.word.trim().toLowerCase();
  return (!picked.convention || data.conventions[at] === picked.convention) && (!picked.status || data.status[at] === picked.status) &&
    (!word || rowOf(at).textContent.toLowerCase().includes(word));
});
function showBoard() {
  document.querySelectorAll(".table-part").forEach(part => { part.hidden = +part.dataset.group !== state.group; });
  let shown = 0;
  runs.forEach((run, number) => {
    const fits = isShown({ ...run, number });
    rowOf(number).hidden = !fits;
    shown += fits;
  });
  byId("shown").textContent = `${shown} rows`;
  const found = shownRuns(), networks = found.filter(run => run.axes.parameters > 0);
  const metrics = Object.entries(data.metrics).filter(([name]) => networks.some(run => run.metrics[name] != null));
  const axes = Object.entries(AXES).filter(([name]) => networks.some(run => run.axes[name]));
  byId("plots").hidden = !metrics.length || !axes.length;
  options(byId("metric"), metrics);
  options(byId("axis"), axes.map(([name, axis]) => [name, axis.name]));
  for (const [name, pairs] of [["metric", metrics], ["axis", axes]]) {
    if (pairs.length && !pairs.some(([value]) => value === state[name])) state[name] = pairs[0][0];
    byId(name).value = state[name];
  }
  if (!byId("plots").hidden) {
    parametersPlot();
    legend(networks.concat(found.filter(isBaseline)));
  }
}
function boardChoices() {
  const here = runs.map((run, number) => number).filter(number => runs[number].group === state.group);
  for (const [name, values] of [["convention", data.conventions], ["status", data.status]]) {
    const found = [...new Set(here.map(number => values[number]))].sort();
    options(byId(name), [["", "all"], ...found.map(value => [value, value])]);
    if (!found.includes(picked[name])) picked[name] = "";
    byId(name).value = picked[name];
  }
  const methods = [...new Set(here.map(number => runs[number].method).filter(Boolean))].sort();
  options(byId("method"), [["", "all"], ...methods.map(name => [name, name])]);
  if (!methods.includes(state.method)) state.method = "";
  byId("method").value = state.method;
  showBoard();
}
columnsControl();
options(byId("group"), data.groups.map((title, number) => [number, title]));
byId("group").addEventListener("change", event => { state.group = +event.target.value; boardChoices(); });
byId("method").addEventListener("change", event => { state.method = event.target.value; showBoard(); });
for (const name of ["convention", "status"]) byId(name).addEventListener("change", event => { picked[name] = event.target.value; showBoard(); });
byId("word").addEventListener("input", inFrame(() => { picked.word = byId("word").value; showBoard(); }));
byId("metric").addEventListener("change", event => { state.metric = event.target.value; parametersPlot(); });
byId("axis").addEventListener("change", event => { state.axis = event.target.value; parametersPlot(); });
addEventListener("resize", inFrame(() => { if (!byId("plots").hidden) parametersPlot(); }));
byId("word").value = "";
byId("controls").hidden = false;
boardChoices();
