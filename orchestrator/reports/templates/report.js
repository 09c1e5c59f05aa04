"use strict";
// Sorting and filtering are a help only: the page is complete without this script.
(() => {
  const table = document.getElementById("items");
  if (!table) return;
  const body = table.tBodies[0];
  const text = document.getElementById("filter-text");
  const state = document.getElementById("filter-state");
  const shown = document.getElementById("shown");
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value || -1);
  };
  const compare = (a, b) => typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true });
  const sort = (header) => {
    const down = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].sort((a, b) => compare(value(a, header.cellIndex), value(b, header.cellIndex)));
    body.append(...(down ? rows.reverse() : rows));
  };
  const filter = () => {
    const wanted = text.value.toLowerCase();
    let count = 0;
    for (const row of body.rows) {
      const fits = (!state.value || row.dataset.state === state.value) && row.textContent.toLowerCase().includes(wanted);
      row.hidden = !fits;
      count += fits;
    }
    shown.textContent = `${count} of ${body.rows.length} shown`;
  };
  for (const header of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sort(header));
    header.append(button);
  }
  text.addEventListener("input", filter);
  state.addEventListener("change", filter);
  document.getElementById("tools").hidden = false;
  filter();
})();
