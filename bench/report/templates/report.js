"use strict";
(() => {
  const text = (row, column) => row.cells[column].textContent.trim();
  const number = (value) => parseFloat(value.replace(/\u2212/g, "-"));

  const compare = (column, direction) => (a, b) => {
    const [one, other] = [text(a, column), text(b, column)];
    if (!one || !other) return one ? -1 : other ? 1 : 0; // blank cells stay last
    const [x, y] = [number(one), number(other)];
    const plain = !a.cells[column].classList.contains("n");
    const order = plain || Number.isNaN(x) || Number.isNaN(y) ? one.localeCompare(other, "en", { numeric: true }) : x - y;
    return direction * order;
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      heading.setAttribute("aria-sort", "none");
      heading.firstElementChild.addEventListener("click", () => {
        const ascending = heading.getAttribute("aria-sort") !== "ascending";
        for (const other of headings) other.setAttribute("aria-sort", "none");
        heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        body.append(...[...body.rows].sort(compare(column, ascending ? 1 : -1)));
      });
    });
  }

  for (const form of document.querySelectorAll(".filters")) {
    const rows = [...document.getElementById(form.dataset.table).tBodies[0].rows];
    const search = form.querySelector("input");
    const selects = [...form.querySelectorAll("select")];
    const told = form.querySelector("output");
    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const content = row.textContent.toLowerCase();
        const fits = selects.every((select) => !select.value || text(row, +select.dataset.column) === select.value);
        row.hidden = !(fits && words.every((word) => content.includes(word)));
        shown += !row.hidden;
      }
      told.textContent = `${shown} of ${rows.length} rows`;
    };
    for (const select of selects) {
      const values = new Set(rows.map((row) => text(row, +select.dataset.column)));
      select.append(...[...values].sort().map((value) => new Option(value, value)));
      select.addEventListener("change", apply);
    }
    search.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
    apply();
  }

  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
    });
  }

  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const details = target && target.closest("details");
    if (details) details.open = true;
    if (target) {
      target.hidden = false;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", open);
  open();
})();
