"use strict";
// Filter, sort and unfold. Without this script the page shows everything, worst first.
(() => {
  const rows = [...document.querySelectorAll(".overview tbody tr")];
  if (!rows.length) return;
  const find = document.getElementById("find");
  const chips = [...document.querySelectorAll(".chip")];
  const unfold = document.getElementById("unfold");
  const section = (row) => document.getElementById(row.dataset.for);
  const words = new Map(rows.map((row) => [row, (row.textContent + " " + section(row).textContent).toLowerCase()]));

  function filter() {
    const wanted = new Set(chips.filter((c) => c.getAttribute("aria-pressed") === "true").map((c) => c.dataset.outcome));
    const terms = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const fits = wanted.has(row.dataset.outcome) && terms.every((term) => words.get(row).includes(term));
      row.hidden = section(row).hidden = !fits;
      shown += fits;
    }
    document.getElementById("shown").textContent = `${shown} of ${rows.length} cases shown`;
  }

  const keys = {
    name: (row) => row.dataset.name,
    outcome: (row) => Number(row.dataset.order),
    change: (row) => -Number(row.dataset.change),
  };
  function sort(header, button) {
    const key = keys[header.dataset.sort];
    const down = header.getAttribute("aria-sort") === "ascending";
    const sign = down ? -1 : 1;
    for (const other of document.querySelectorAll(".overview th[aria-sort]")) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    rows.sort((a, b) => sign * (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
    document.querySelector(".overview tbody").append(...rows);
    button.focus();
  }

  function open() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const folded = target && target.closest("details.case");
    if (folded) {
      folded.open = true;
      folded.querySelector("summary").focus({ preventScroll: true });
      target.scrollIntoView();
    }
  }

  for (const header of document.querySelectorAll(".overview th[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    button.addEventListener("click", () => sort(header, button));
    header.replaceChildren(button);
  }
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      filter();
    });
  }
  unfold.addEventListener("click", () => {
    const all = unfold.getAttribute("aria-expanded") !== "true";
    unfold.setAttribute("aria-expanded", String(all));
    unfold.textContent = all ? "Fold all" : "Unfold all";
    for (const row of rows) section(row).open = all;
  });
  find.addEventListener("input", filter);
  window.addEventListener("hashchange", open);
  document.getElementById("filters").hidden = false;
  filter();
  open();
})();
