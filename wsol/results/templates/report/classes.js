// Accuracy by class, the worst first.
const FEW = 12;
let allClasses = false, classSort = null;
const byClass = () => models.map((model, number) => ({ ...model, number })).filter(model => model.classes && isShown(runs[model.run]));
function classTable() {
  const model = models[byId("class-model").value];
  if (!model || !model.classes) return;
  const { classes } = model, names = Object.keys(classes.metrics).filter(name => data.metrics[name] || name.startsWith("box_acc"));
  const main = [`box_acc_largest_${state.level}`, `box_acc_${state.level}`, "gt_known_loc"].find(name => names.includes(name)) || names[0];
  const shown = [main, ...names.filter(name => name !== main && !name.startsWith("box_acc"))];
  const heading = name => name === main && name.startsWith("box_acc") ? `Localized at IoU ${state.level}` : data.metrics[name] || name;
  const sort = classSort || { name: main, sign: 1 };
  const table = byId("class-table"), head = table.tHead.rows[0];
  head.replaceChildren(...["class", "images", ...shown].map(name => {
    const text = name === "class" ? "Class" : name === "images" ? "Images" : heading(name);
    const sorted = sort.name === name ? (sort.sign > 0 ? "ascending" : "descending") : "none";
    const cell = make("th", { scope: "col", "aria-sort": sorted }, make("button", { type: "button" }, text));
    cell.firstElementChild.addEventListener("click", () => {
      classSort = { name, sign: sort.name === name ? -sort.sign : name === "images" ? -1 : 1 };
      classTable();
      head.querySelector('[aria-sort]:not([aria-sort="none"]) button').focus();
    });
    return cell;
  }));
  const value = (name, row) => name === "class" ? data.classes[classes.class[row]] : name === "images" ? classes.images[row] : classes.metrics[name][row];
  const rows = classes.class.map((_, row) => row).sort((a, b) => {
    const one = value(sort.name, a), two = value(sort.name, b);
    if (one === null || two === null) return (one === null) - (two === null);
    const order = typeof one === "string" ? one.localeCompare(two, undefined, { sensitivity: "base" }) : one - two;
    return sort.sign * order || classes.images[b] - classes.images[a] || a - b;
  });
  const seen = new Set(data.images.map(image => image.class));
  table.tBodies[0].replaceChildren(...rows.slice(0, allClasses ? rows.length : FEW).map(row => {
    const name = data.classes[classes.class[row]];
    const cell = make("th", { scope: "row" });
    if (gallery && seen.has(classes.class[row])) {
      const button = make("button", { type: "button", class: "link" }, name);
      button.addEventListener("click", () => { chooseClass(name); byId("gallery-section").scrollIntoView(); byId("class").focus(); });
      cell.append(button);
    } else cell.append(name);
    const figures = shown.map(metric => make("td", {}, classes.metrics[metric][row] === null ? "–" : classes.metrics[metric][row].toFixed(1)));
    return make("tr", {}, cell, make("td", {}, classes.images[row].toLocaleString("en")), ...figures);
  }));
  const button = byId("all-classes");
  button.hidden = rows.length <= FEW;
  button.textContent = allClasses ? `Only ${FEW}` : `All ${rows.length.toLocaleString("en")} classes`;
}
function classChoices() {
  const found = byClass(), before = byId("class-model").value;
  byId("classes-section").hidden = !found.length;
  options(byId("class-model"), found.map(model => [model.number, model.name]));
  const network = found.find(model => !isBaseline(runs[model.run]));
  if (found.some(model => String(model.number) === before)) byId("class-model").value = before;
  else if (network) byId("class-model").value = network.number;
  classTable();
}
