// Draw the charts, sort and filter the tables. Without it the page still holds every figure.
(() => {
  "use strict";
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const column = ([values, places]) => (places ? places.map((place) => values[place]) : values);
  const rows = (packed) => {
    const fields = Object.entries(packed).map(([field, data]) => [field, column(data)]);
    const count = fields.length ? fields[0][1].length : 0;
    const row = (_, at) => Object.fromEntries(fields.map(([field, values]) => [field, values[at]]));
    return Array.from({ length: count }, row);
  };
  const unpack = (spec) => {
    if (Array.isArray(spec)) return spec.map(unpack);
    if (spec === null || typeof spec !== "object") return spec;
    const entries = Object.entries(spec);
    const inner = ([k, v]) => [k, k === "values" && !Array.isArray(v) ? rows(v) : unpack(v)];
    return Object.fromEntries(entries.map(inner));
  };
  const specs = read("specs");
  const options = {
    actions: false, renderer: "svg", tooltip: true, config: read("look"),
    logLevel: 1, // what Vega calls Error
  };
  const drawn = Object.entries(specs).map(([name, spec]) => {
    const place = document.getElementById("chart-" + name);
    const width = () => place.clientWidth;
    return window.vegaEmbed(place, { ...unpack(spec), width: width() }, options).then(({ view }) => {
      window.addEventListener("resize", () => view.width(width()).runAsync());
    }).catch((error) => {
      const failed = document.querySelector("footer").dataset.failed;
      place.textContent = failed + " " + error.message;
      console.error(name, error);
    });
  });
  Promise.all(drawn).then(() => document.documentElement.setAttribute("data-drawn", drawn.length));

  const compare = (a, b) => {
    const [x, y] = [Number(a), Number(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return a.localeCompare(b, "en", { numeric: true });
    return x < y ? -1 : x > y ? 1 : 0;
  };
  const key = (body, column) => {
    const cell = body.rows[0].cells[column];
    // Python writes an unknown figure as -inf.
    return (cell.dataset.key ?? cell.textContent).replace("-inf", "-Infinity");
  };

  // What unfolds below a trial is made when it is asked for; its texts are kept once for all trials.
  const more = read("more");
  const element = (name, ...children) => {
    const made = document.createElement(name);
    made.append(...children);
    return made;
  };
  const details = (table, at, columns) => {
    const cell = element("td");
    cell.colSpan = columns;
    const [outcome, reasons, server, load, raw] = more.trials[table][at];
    const text = (place) => more.texts[place];
    if (text(outcome)) cell.append(element("p", text(outcome)));
    for (const [code, said] of reasons) {
      cell.append(element("p", element("b", text(code)), ": ", text(said)));
    }
    for (const [name, place] of [[more.names[0], server], [more.names[1], load]]) {
      if (text(place)) cell.append(element("p", name + ": ", element("code", text(place))));
    }
    if (raw) cell.append(element("pre", raw));
    const row = element("tr", cell);
    row.className = "details";
    return row;
  };

  for (const table of document.querySelectorAll("table.trials")) {
    const bodies = [...table.tBodies];
    const heads = [...table.tHead.rows[0].cells];
    for (const button of table.tHead.querySelectorAll("button")) {
      const column = Number(button.dataset.column);
      button.addEventListener("click", () => {
        const head = heads[column];
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        bodies.sort((a, b) => (up ? 1 : -1) * compare(key(a, column), key(b, column)));
        table.append(...bodies);
      });
    }
    for (const button of table.querySelectorAll("button.more")) {
      button.addEventListener("click", () => {
        const body = button.closest("tbody");
        if (body.rows.length === 1) {
          body.append(details(table.dataset.host, body.dataset.at, heads.length));
        } else {
          body.rows[1].remove();
        }
        button.setAttribute("aria-expanded", String(body.rows.length > 1));
      });
    }
    const search = document.querySelector(`[data-filter="${table.id}"]`);
    const boxes = [...document.querySelectorAll(`input[data-table="${table.id}"]`)];
    const count = document.querySelector(`[data-count="${table.id}"]`);
    const filter = () => {
      const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const verdicts = new Set(boxes.filter((b) => b.checked).map((b) => b.dataset.verdict));
      let shown = 0;
      for (const body of bodies) {
        const text = body.rows[0].cells[0].textContent.toLowerCase();
        body.hidden = !(verdicts.has(body.dataset.verdict) && wanted.every((w) => text.includes(w)));
        shown += body.hidden ? 0 : 1;
      }
      count.textContent = `${shown} / ${bodies.length}`;
    };
    for (const input of [search, ...boxes]) input.addEventListener("input", filter);
    filter();
  }
  // Paper shows what a click would.
  window.addEventListener("beforeprint", () => {
    for (const chart of document.querySelectorAll(".chart")) chart.style.color = "black";
  });
  window.addEventListener("afterprint", () => {
    for (const chart of document.querySelectorAll(".chart")) chart.style.color = "";
  });
})();
