// Without this file, the page works with reloads. With it, forms update parts of the page, the banner disappears by itself,
// and times are shown as in the reader's region.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);

  // Puts parts of another version of the page into this one, and keeps the focus where it was.
  function swap(html, ids) {
    const page = new DOMParser().parseFromString(html, "text/html");
    if (!page.getElementById("answer")) throw new Error("not the page");
    const focused = document.activeElement?.id;
    const first = page.querySelector("[autofocus]");
    first?.removeAttribute("autofocus"); // which is for a page that was just loaded
    for (const id of ids) {
      const [old, fresh] = [byId(id), page.getElementById(id)];
      if (!old || !fresh || (id === "form" && !fresh.querySelector("form"))) continue; // no form: keep what was entered
      // What is in it is replaced, and not the element: screen readers tell changes of the banner, not a new banner.
      for (const name of old.getAttributeNames()) old.removeAttribute(name);
      for (const { name, value } of fresh.attributes) old.setAttribute(name, value);
      const typed = id === "form" && old.querySelector("form") && new FormData(old.querySelector("form"));
      old.replaceChildren(...document.importNode(fresh, true).childNodes);
      if (typed) enter(typed, old.querySelector("form"));
    }
    times();
    const target = first?.closest("#form") ? byId(first.id) : byId(focused) ?? (first && byId(first.id));
    target?.focus({ preventScroll: target.id === focused });
    return page.title;
  }

  // Enters again what was typed, perhaps after the form was sent.
  function enter(typed, form) {
    for (const field of form.elements) {
      if (field.type === "hidden" || !typed.has(field.name)) continue;
      if (field.type === "radio") field.checked = field.value === typed.get(field.name);
      else field.value = typed.get(field.name);
    }
  }

  async function send(form, button) {
    const body = new URLSearchParams(new FormData(form, button));
    form.setAttribute("aria-busy", "true");
    try {
      const response = await fetch(form.action, { method: "POST", body });
      byId("offline").hidden = true;
      document.title = swap(await response.text(), form.dataset.swap.split(" "));
      byId("answer").scrollIntoView({ block: "nearest" });
    } catch {
      byId("offline").hidden = false;
    } finally {
      form.removeAttribute("aria-busy");
    }
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.swap) return;
    event.preventDefault();
    if (form.getAttribute("aria-busy") !== "true") send(form, event.submitter);
  });

  // While the service is away, or feedback waits, asks how it is.
  setInterval(async () => {
    const banner = document.querySelector("#banner[data-poll]");
    if (!banner) return;
    try {
      const now = await (await fetch("/status")).json();
      const away = banner.dataset.poll === "away";
      if (now.away === away && String(now.waiting) === banner.dataset.waiting) return;
      if (!byId("ask")) return location.reload();
      swap(await (await fetch("/")).text(), ["banner", "history"]);
      if (away && !now.away) byId("banner").textContent = "The service answers again.";
    } catch { /* the next one may work */ }
  }, 2000);

  function times() {
    for (const time of document.querySelectorAll("time")) {
      time.textContent = new Date(time.dateTime).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    }
  }
  times();
})();
