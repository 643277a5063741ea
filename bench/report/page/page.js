// Sorting, filtering, enlarging, printing. Without it the page still says everything.
(() => {
  "use strict";

  const absent = (cell) => cell === undefined || cell.classList.contains("none") || cell.querySelector(".none") !== null;
  const valueOf = (cell) => {
    const number = Number(cell.dataset.value ?? cell.textContent.trim());
    return Number.isNaN(number) ? cell.textContent.trim().toLowerCase() : number;
  };

  // --- sorting: the first press puts the best on top, or A; what is absent stays at the end

  const order = (left, right) =>
    typeof left === "number" && typeof right === "number"
      ? left - right
      : String(left).localeCompare(String(right), undefined, { numeric: true });

  function sort(table, heading) {
    const column = Number(heading.dataset.column);
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const known = rows.filter((row) => !absent(row.cells[column]));
    const numeric = known.length > 0 && known.every((row) => typeof valueOf(row.cells[column]) === "number");
    const was = heading.getAttribute("aria-sort");
    const first = numeric ? "descending" : "ascending";
    const other = numeric ? "ascending" : "descending";
    const now = was === first ? other : first;
    const sign = now === "ascending" ? 1 : -1;
    known.sort((a, b) => sign * order(valueOf(a.cells[column]), valueOf(b.cells[column])));
    body.append(...known, ...rows.filter((row) => !known.includes(row)));
    for (const each of table.querySelectorAll("th[aria-sort]")) each.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", now);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const heading of table.querySelectorAll("th[data-column]")) {
      heading.querySelector("button").addEventListener("click", () => sort(table, heading));
    }
  }

  // --- filters (a form's own attributes are asked for by name: a control named «dataset» hides `dataset`)

  const holds = (text, part) => text.toLowerCase().includes(part.trim().toLowerCase());

  function filterBoard(form) {
    const table = document.getElementById(form.getAttribute("data-board"));
    const asked = (name) => form.elements[name]?.value ?? "";
    const reported = form.elements.reported?.checked ?? true;
    const headings = [...table.tHead.rows[1].cells];
    for (const heading of headings) {
      const { dataset, task } = heading.dataset;
      heading.hidden = (asked("dataset") && dataset !== asked("dataset")) || (asked("task") && task !== asked("task"));
    }
    for (const group of table.querySelectorAll("th.group")) {
      const of = headings.filter((heading) => heading.dataset.dataset === group.dataset.dataset && !heading.hidden);
      group.hidden = of.length === 0;
      group.colSpan = Math.max(of.length, 1);
    }
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      let scores = 0;
      for (const heading of headings) {
        const cell = row.cells[Number(heading.dataset.column)];
        cell.hidden = heading.hidden;
        scores += !heading.hidden && !absent(cell);
      }
      const who = [...row.cells].slice(0, row.cells.length - headings.length).map((cell) => cell.textContent).join(" ");
      row.hidden = !holds(who, asked("system")) || scores === 0 || (!reported && row.classList.contains("reported"));
      shown += !row.hidden;
    }
    form.querySelector("output").textContent = `${shown} of ${table.tBodies[0].rows.length} systems`;
  }

  function filterRows(form) {
    const rows = [...document.getElementById(form.getAttribute("data-rows")).tBodies[0].rows];
    for (const row of rows) row.hidden = !holds(row.cells[0].textContent, form.elements.row.value);
    form.querySelector("output").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
  }

  for (const form of document.querySelectorAll("form.filters")) {
    const filter = form.hasAttribute("data-board") ? filterBoard : filterRows;
    form.hidden = false;
    form.addEventListener("input", () => filter(form));
    form.addEventListener("submit", (event) => event.preventDefault());
    filter(form);
  }

  // --- pictures

  const dialog = document.getElementById("enlarged");
  const pictures = [...document.querySelectorAll(".picture")];
  let current = -1;

  function show(index) {
    current = (index + pictures.length) % pictures.length;
    const small = pictures[current].querySelector("img");
    const large = dialog.querySelector("img");
    large.src = small.src;
    large.alt = small.alt;
    dialog.querySelector("p").textContent = small.alt;
    if (!dialog.open) dialog.showModal();
  }

  pictures.forEach((picture, index) => picture.addEventListener("click", () => show(index)));
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") show(current + 1);
    if (event.key === "ArrowLeft") show(current - 1);
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => pictures[current]?.focus());

  // --- links into folds, and paper, which has no folds

  const unfold = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let fold = target; fold; fold = fold.parentElement) if (fold.tagName === "DETAILS") fold.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", unfold);
  unfold();

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const fold of folded) fold.open = true;
  });
  addEventListener("afterprint", () => { for (const fold of folded) fold.open = false; });
})();
