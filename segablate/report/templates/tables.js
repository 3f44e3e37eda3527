"use strict";

/* Columns are sorted by their heads. Texts are compared as texts, numbers by data-sort; undefined ones come last. */

function sortBy(table, column, descending) {
  const body = table.tBodies[0];
  const key = (row) => {
    const cell = row.cells[column];
    return cell.dataset.sort === undefined ? cell.textContent.trim() : Number(cell.dataset.sort);
  };
  const numeric = [...body.rows].some((row) => row.cells[column].dataset.sort !== undefined);
  const compare = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if (numeric) {
      const [left, right] = [typeof x === "number", typeof y === "number"];
      if (left !== right) return left ? -1 : 1;
      return left ? (descending ? y - x : x - y) : 0;
    }
    return descending ? y.localeCompare(x) : x.localeCompare(y);
  };
  for (const row of [...body.rows].sort(compare)) {
    row.classList.remove("begins");
    body.append(row);
  }
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const numeric = head.classList.contains("number");
      const before = head.getAttribute("aria-sort");
      const descending = before === null ? numeric : before === "ascending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortBy(table, column, descending);
    });
  });
}

document.querySelectorAll("table.sortable").forEach(makeSortable);
