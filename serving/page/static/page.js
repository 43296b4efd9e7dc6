// What htmx does not do by itself: draw charts, keep a half-written note, bring the answer into view.
"use strict";
(() => {
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = (label, format) => ({
    label, labelSize: 22, stroke: color("--quiet"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false },
    values: format ? (u, marks) => marks.map(format) : undefined,
  });
  const line = (label, extra) => ({ label, stroke: color("--accent"), width: 2, points: { show: true, size: 8, fill: color("--accent") }, ...extra });

  const charts = {
    calibration(points) {
      const shares = (key) => points.map((point) => point[key]);
      return {
        data: [shares("predicted"), shares("predicted"), shares("observed"), shares("rows")],
        options: {
          scales: { x: { time: false, range: [0, 1] }, y: { range: [0, 1] }, rows: {} },
          axes: [axis("predicted probability"), axis("observed share")],
          series: [
            { label: "predicted", value: (u, v) => (v === null ? "–" : v.toFixed(2)) },
            line("perfect", { stroke: color("--quiet"), width: 1, dash: [4, 4], points: { show: false }, value: () => "" }),
            line("observed", { value: (u, v) => (v === null ? "–" : v.toFixed(2)) }),
            { label: "rows", scale: "rows", show: true, width: 0, points: { show: false }, value: (u, v) => (v === null ? "–" : String(v)) },
          ],
        },
      };
    },
    history(points, figure) {
      return {
        data: [points.map((point) => point[0]), points.map((point) => point[1])],
        options: {
          scales: { x: { time: false, range: (u, low, high) => [low - 0.5, high + 0.5] } },
          axes: [{ ...axis("version", (v) => (Number.isInteger(v) ? String(v) : "")), incrs: [1, 2, 5, 10, 20, 50] }, { ...axis(figure.dataset.name, (v) => (v === null ? "" : String(+v.toPrecision(5)))), size: 76 }],
          series: [{ label: "version" }, line(figure.dataset.name, { value: (u, v) => (v === null ? "–" : v.toPrecision(4)) })],
        },
      };
    },
  };

  function draw(figure) {
    const { data, options } = charts[figure.dataset.chart](JSON.parse(figure.dataset.points), figure);
    figure.querySelector("img")?.remove();
    figure.querySelector(".uplot")?.remove();
    const box = getComputedStyle(figure);
    const width = figure.clientWidth - parseFloat(box.paddingLeft) - parseFloat(box.paddingRight);
    const chart = new uPlot({ width, height: figure.dataset.chart === "history" ? 220 : 300, ...options }, data);
    figure.prepend(chart.root);
  }
  const drawAll = (root) => root.querySelectorAll("[data-chart]").forEach(draw);

  let resized;
  addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(() => drawAll(document), 150); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(document));
  drawAll(document);

  const spans = [[86400, "day"], [3600, "hour"], [60, "minute"]];
  function ago(time) {
    const seconds = (Date.now() - new Date(time.dateTime)) / 1000;
    const [size, unit] = spans.find(([size]) => seconds >= size) ?? [];
    if (!unit) return;
    const count = Math.floor(seconds / size);
    time.textContent = `${count} ${unit}${count > 1 ? "s" : ""} ago`;
  }
  setInterval(() => document.querySelectorAll("time").forEach(ago), 30000);

  document.body.addEventListener("htmx:beforeRequest", (event) => {
    const note = document.getElementById("note");
    const deciding = note && (note.value || document.activeElement?.closest(".challenger"));
    if (event.target.id === "versions" && deciding) event.preventDefault();
    const asking = document.activeElement?.closest(".moment");
    if (event.target.id === "questions" && asking) event.preventDefault();
  });
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status >= 400) event.detail.shouldSwap = false;
  });
  document.body.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id === "versions") drawAll(event.target);
    if (event.target.id === "ask") {
      document.getElementById("answer")?.scrollIntoView({ block: "nearest" });
      return;
    }
    if (event.target.id !== "status") return;
    const ask = document.getElementById("ask");
    const version = event.target.dataset.version;
    if (!version || version === ask.dataset.version) return;
    if (!ask.dataset.version) return location.reload();
    const link = Object.assign(document.createElement("a"), { href: "/", textContent: "Reload the page" });
    event.target.append(link, ".");
  });
})();
