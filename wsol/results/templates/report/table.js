// The table: sorting, the columns behind the control, and the row that a dot belongs to.
const tables = [...document.querySelectorAll("table.results")];
function keyOf(cell, isText) {
  const number = parseFloat(cell.textContent);
  if (isText) return cell.textContent === "–" ? null : cell.textContent;
  return Number.isNaN(number) ? null : number;
}
for (const table of tables) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const first = head.dataset.first, other = first === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    heads.forEach(one => one.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const isText = column === 0 || [...body.rows].some(row => row.cells[column].classList.contains("text"));
    const rows = [...body.rows].map(row => [keyOf(row.cells[column], isText), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (isText ? a.localeCompare(b, undefined, { sensitivity: "base", numeric: true }) : a - b);
    });
    body.append(...rows.map(([, row]) => row));
  }));
}
function rowOf(number) { return document.querySelector(`tr[data-run="${number}"]`); }
runs.forEach((run, number) => { const row = rowOf(number); if (row && run.axes.parameters !== null) row.cells[0].prepend(swatch(run)); });
function light(number, on) {
  const row = rowOf(number);
  if (row) row.classList.toggle("lit", on);
}
function columnsControl() {
  const names = new Map();
  for (const table of tables) for (const head of table.tHead.rows[0].cells) {
    if (head.dataset.column !== "model") names.set(head.dataset.column, head.textContent);
  }
  const brief = name => tables.every(table => {
    const head = table.querySelector(`th[data-column="${CSS.escape(name)}"]`);
    return !head || !head.classList.contains("more");
  });
  const menu = document.querySelector("#columns .menu");
  function show(name, on) {
    for (const table of tables) {
      table.querySelectorAll(`[data-column="${CSS.escape(name)}"]`).forEach(cell => cell.classList.toggle("more", !on));
    }
  }
  const boxes = [...names].map(([name, heading]) => {
    const box = make("input", { type: "checkbox" });
    box.checked = brief(name);
    box.addEventListener("change", () => show(name, box.checked));
    menu.append(make("label", { class: "check" }, box, heading));
    return [name, box];
  });
  const all = make("button", { type: "button" }, "All");
  all.addEventListener("click", () => boxes.forEach(([name, box]) => { box.checked = true; show(name, true); }));
  menu.append(all);
  const control = byId("columns");
  control.hidden = !boxes.length;
  control.addEventListener("keydown", event => {
    if (event.key === "Escape" && control.open) { control.open = false; control.firstElementChild.focus(); }
  });
  addEventListener("pointerdown", event => { if (!control.contains(event.target)) control.open = false; });
}
function showRows() {
  document.querySelectorAll(".table-part").forEach(part => { part.hidden = +part.dataset.group !== state.group; });
  runs.forEach((run, number) => { const row = rowOf(number); if (row) row.hidden = !isShown({ ...run, group: state.group }); });
}
