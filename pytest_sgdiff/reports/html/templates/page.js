"use strict";
// Filter, sort and unfold; of a large suite, unpack the sections that are looked at. Without this script the page shows
// everything that is not packed, worst first.
(() => {
  const rows = [...document.querySelectorAll(".overview tbody tr")];
  if (!rows.length) return;
  const find = document.getElementById("find");
  const chips = [...document.querySelectorAll(".chip")];
  const unfold = document.getElementById("unfold");
  const section = (row) => document.getElementById(row.dataset.for);
  const words = new Map();
  function wordsOf(row) {
    if (!words.has(row)) {
      const folded = section(row);
      words.set(row, [row.textContent, folded.textContent, folded.dataset.find].join(" ").toLowerCase());
    }
    return words.get(row);
  }

  // The other half of packed.py: each line of a section with the next numbers of its columns.
  const packs = new Map();
  async function unpack(name) {
    const bytes = Uint8Array.from(atob(document.getElementById("pack-" + name).textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const [lines, joined, shapes] = JSON.parse(await new Response(stream).text());
    const parts = lines.map((line) => line.split("\0"));
    const columns = joined.map((line) => line.map((column) => column.split(" ")));
    const used = lines.map(() => 0);
    const line = (n) => {
      const at = used[n]++;
      return parts[n].map((part, i) => (i ? columns[n][i - 1][at] + part : part)).join("");
    };
    return shapes.map((shape) => shape.map(line).join("\n"));
  }
  async function fill(folded) {
    if (!folded || !folded.dataset.pack) return;
    const [pack, place] = folded.dataset.pack.split(".");
    delete folded.dataset.pack;
    if (!packs.has(pack)) packs.set(pack, unpack(pack));
    try {
      folded.insertAdjacentHTML("beforeend", (await packs.get(pack))[place]);
    } catch (error) {
      folded.append(`This browser cannot unpack the details: ${error}`);
    }
  }
  // A thousand sections may be unfolded at once; only those in sight are filled.
  const near = new WeakSet();
  const watch = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) near.delete(target);
        else near.add(target);
        if (isIntersecting && target.open) fill(target);
      }
    },
    { rootMargin: "600px" },
  );
  for (const folded of document.querySelectorAll("details[data-pack]")) {
    watch.observe(folded);
    folded.addEventListener("toggle", () => folded.open && near.has(folded) && fill(folded));
  }

  function filter() {
    const wanted = new Set(chips.filter((c) => c.getAttribute("aria-pressed") === "true").map((c) => c.dataset.outcome));
    const terms = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const fits = wanted.has(row.dataset.outcome) && terms.every((term) => wordsOf(row).includes(term));
      if (row.hidden === fits) row.hidden = section(row).hidden = !fits;
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

  async function open() {
    const name = decodeURIComponent(location.hash.slice(1));
    // What is packed has no place in the page before it is unpacked.
    const packed = document.getElementById(name.replace(/^trend:/, ""));
    if (packed && packed.dataset.pack) await fill(packed);
    const target = document.getElementById(name) ?? packed;
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
