"use strict";
(() => {
  const text = (row, column) => row.cells[column].textContent.trim();
  const number = (value) => parseFloat(value.replace(/\u2212/g, "-"));
  const find = (name) => document.getElementById(name);

  const compare = (column, direction, plain) => (a, b) => {
    const [one, other] = [text(a, column), text(b, column)];
    if (!one || !other) return one ? -1 : other ? 1 : 0; // blank cells stay last
    const [x, y] = [number(one), number(other)];
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
        const rows = [...body.rows];
        const numbers = "numbers" in heading.dataset || rows.some((row) => row.cells[column].classList.contains("n"));
        body.append(...rows.sort(compare(column, ascending ? 1 : -1, !numbers)));
      });
    });
  }

  // A word that a cell contains, or <5, >5, =5 for its number.
  const fits = (cell, wanted) => {
    const found = /^([<>=])\s*(-?[\d.]+)$/.exec(wanted);
    if (!found) return cell.toLowerCase().includes(wanted);
    const [value, limit] = [number(cell), parseFloat(found[2])];
    return found[1] === "<" ? value < limit : found[1] === ">" ? value > limit : value === limit;
  };

  const byColumn = {};
  for (const form of document.querySelectorAll(".filters")) {
    const table = find(form.dataset.table);
    const rows = [...table.tBodies[0].rows];
    const search = form.querySelector("input");
    const selects = [...form.querySelectorAll("select")];
    const told = form.querySelector("output");
    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const columns = [...table.querySelectorAll("tr.by-column input")].map((input) => input.value.trim().toLowerCase());
      let shown = 0;
      for (const row of rows) {
        const named = row.cells[0].title;
        const content = `${row.textContent} ${named}`.toLowerCase();
        const chosen = selects.every((select) => !select.value || text(row, +select.dataset.column) === select.value);
        const matches = columns.every((wanted, column) => !wanted || fits(text(row, column), wanted));
        row.hidden = !(chosen && matches && words.every((word) => content.includes(word)));
        shown += !row.hidden;
      }
      told.textContent = `${shown} of ${rows.length} rows`;
    };
    byColumn[form.dataset.table] = apply;
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

  const addColumnFilters = (table, apply) => {
    const row = table.tHead.insertRow();
    row.className = "by-column";
    for (const heading of table.tHead.rows[0].cells) {
      const input = document.createElement("input");
      input.setAttribute("aria-label", `Filter ${heading.textContent}: a word, or < > = and a number`);
      input.addEventListener("input", apply);
      row.insertCell().append(input);
    }
    return row;
  };

  const quoted = (value) => `"${(/^[=+@\t\r-]/.test(value) && Number.isNaN(+value) ? "'" : "") + value.replace(/"/g, '""')}"`;
  const save = (table) => {
    const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
    const lines = [["case", ...[...table.tHead.rows[0].cells].map((cell) => cell.textContent)]];
    for (const row of rows) lines.push([row.cells[0].title, ...[...row.cells].map((cell) => cell.textContent.trim())]);
    const link = document.createElement("a");
    link.download = `${table.id}.csv`;
    link.href = URL.createObjectURL(new Blob([lines.map((line) => line.map(quoted).join(",") + "\r\n").join("")], { type: "text/csv" }));
    link.click();
    URL.revokeObjectURL(link.href);
  };

  for (const tools of document.querySelectorAll(".tools")) {
    const table = find(tools.dataset.table);
    tools.hidden = false;
    tools.querySelector("[data-do=csv]").addEventListener("click", () => save(table));
    const toggle = tools.querySelector("[data-do=columns]");
    toggle.addEventListener("click", () => {
      const row = table.querySelector("tr.by-column") || addColumnFilters(table, byColumn[table.id]);
      const shown = toggle.getAttribute("aria-expanded") !== "true";
      row.hidden = !shown;
      if (!shown) for (const input of row.querySelectorAll("input")) input.value = "";
      toggle.setAttribute("aria-expanded", String(shown));
      byColumn[table.id]();
    });
  }

  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(find(button.dataset.copy).textContent);
      button.textContent = "Copied";
    });
  }

  // Rounds as strips, drawn when they are opened.
  const strip = (samples) => {
    const [low, high] = [Math.min(...samples), Math.max(...samples)];
    const points = samples.map((value, index) => {
      const [x, y] = [index / Math.max(1, samples.length - 1), high > low ? (value - low) / (high - low) : 0.5];
      return `M${(3 + 474 * x).toFixed(1)} ${(57 - 54 * y).toFixed(1)}h0`;
    });
    const holder = document.createElement("span");
    holder.innerHTML = `<svg class="strip wide" viewBox="0 0 480 60" role="img" aria-label="Rounds from ${low} to ${high} ms"><path d="${points.join("")}"/></svg>`;
    return holder;
  };
  for (const details of document.querySelectorAll("details.samples"))
    details.addEventListener("toggle", () => {
      for (const item of details.querySelectorAll("p"))
        if (!item.querySelector("svg")) item.append(strip(item.querySelector("code").textContent.split(" ").map(Number)));
    });

  // Chance of at least this many right by guessing.
  const guessing = (right, trials) => {
    let [sum, ways] = [0, 1];
    for (let k = 0; k <= trials; k++) {
      if (k >= right) sum += ways;
      ways = (ways * (trials - k)) / (k + 1);
    }
    return sum / 2 ** trials;
  };
  for (const form of document.querySelectorAll(".abx")) {
    const player = (role) => new Audio(form.closest("figure").querySelector(`audio[data-role=${role}]`).src);
    let [sounds, hidden, right, trials] = [null, "", 0, 0];
    const draw = () => (hidden = crypto.getRandomValues(new Uint8Array(1))[0] % 2 ? "A" : "B");
    form.hidden = false;
    for (const button of form.querySelectorAll("[data-play]"))
      button.addEventListener("click", () => {
        sounds ??= { A: player("reference"), B: player("test") };
        if (!hidden) draw();
        for (const sound of Object.values(sounds)) sound.pause();
        const sound = sounds[button.dataset.play === "X" ? hidden : button.dataset.play];
        sound.currentTime = 0;
        sound.play();
      });
    for (const button of form.querySelectorAll("[data-guess]"))
      button.addEventListener("click", () => {
        if (!hidden) return;
        trials += 1;
        right += button.dataset.guess === hidden;
        const p = guessing(right, trials);
        const verdict = trials < 10 ? "" : p < 0.05 ? ": you hear a difference" : ": no difference heard so far";
        form.querySelector("output").textContent = `${right} of ${trials} right, p = ${p.toFixed(3)} (binomial)${verdict}`;
        draw();
      });
  }

  const open = () => {
    const target = location.hash && find(decodeURIComponent(location.hash.slice(1)));
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
