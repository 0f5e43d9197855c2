"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // A row is shown when it has every word of its filter and a severity that is ticked.
  const refresh = (id) => {
    const root = document.getElementById(id);
    if (!root) return;
    const input = document.querySelector(`[data-filter="${id}"]`);
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const severities = new Set(all("input[data-severity]:checked").map((box) => box.dataset.severity));
    const rows = all("[data-row]", root);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const ticked = !row.dataset.severity || severities.has(row.dataset.severity);
      row.hidden = !(ticked && words.every((word) => text.includes(word)));
      shown += !row.hidden;
    }
    const output = document.querySelector(`[data-shown="${id}"]`);
    output.textContent = shown === rows.length ? `${rows.length}` : `${shown} of ${rows.length}`;
  };
  for (const input of all("[data-filter]")) {
    input.addEventListener("input", () => refresh(input.dataset.filter));
    refresh(input.dataset.filter);
  }
  for (const box of all("input[data-severity]")) box.addEventListener("change", () => refresh("places"));
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches && event.target.matches("input, select, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const first = document.querySelector("[data-filter]");
      if (first) {
        event.preventDefault();
        first.focus();
      }
    }
  });

  // Sorting moves whole bodies, so that a place keeps its findings.
  for (const button of all("[data-sort]")) {
    if (button.dataset.sort === "none") {
      button.replaceWith(document.createTextNode(button.textContent));
      continue;
    }
    button.addEventListener("click", () => {
      const header = button.parentElement;
      const table = header.closest("table");
      const column = [...header.parentElement.children].indexOf(header);
      const down = header.getAttribute("aria-sort") === "ascending";
      for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (body) => {
        const cell = body.rows[0].cells[column];
        const text = cell.dataset.value ?? cell.textContent;
        return button.dataset.sort !== "text" ? Number(text) : text;
      };
      const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
      const bodies = [...table.tBodies].map((body) => [key(body), body]);
      bodies.sort((a, b) => (down ? compare(b[0], a[0]) : compare(a[0], b[0])));
      table.append(...bodies.map(([, body]) => body));
    });
  }

  const heat = document.querySelector("svg.heat");
  if (heat) {
    const layers = all(".layer", heat);
    const legends = all("#heat .legend");
    for (const radio of all('input[name="layer"]')) {
      radio.addEventListener("change", () => {
        layers.forEach((layer, at) => layer.toggleAttribute("hidden", String(at) !== radio.value));
        legends.forEach((legend, at) => legend.toggleAttribute("hidden", String(at) !== radio.value));
      });
    }
    const names = (selector) => all(`${selector} title`, heat).map((title) => title.textContent);
    const [rows, columns] = [names(".rows"), names(".columns")];
    const { size, left, top } = heat.dataset;
    const cell = document.getElementById("cell");
    heat.addEventListener("pointermove", (event) => {
      const box = heat.getBoundingClientRect();
      const x = Math.floor((event.clientX - box.left - left) / size);
      const y = Math.floor((event.clientY - box.top - top) / size);
      if (rows[y] === undefined || columns[x] === undefined) return;
      cell.textContent = `${rows[y]} on ${columns[x]}: ${event.target.dataset.range ?? "nothing"}`;
    });
  }

  // A link to a place that is filtered away shows it again; a printed report has everything open.
  window.addEventListener("hashchange", () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target) target.hidden = false;
  });
  window.addEventListener("beforeprint", () => all("details").forEach((part) => (part.open = true)));
})();
