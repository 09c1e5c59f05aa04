// What htmx does not do: times in the viewer's zone, a pause for what changes by itself, and a word for those who listen.
"use strict";
(() => {
  const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

  function localTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const moment = new Date(time.dateTime);
      if (!Number.isNaN(moment.valueOf())) {
        time.textContent = day.format(moment);
        time.title = exact.format(moment);
      }
    }
  }

  // WCAG 2.2.2: what changes by itself can be stopped
  const button = document.getElementById("pause-updates");
  let paused = false;
  if (button && document.querySelector("[hx-trigger^=every]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      paused = !paused;
      button.setAttribute("aria-pressed", String(paused));
    });
  }

  document.body.addEventListener("htmx:beforeRequest", (event) => {
    const source = event.detail.elt;
    if (source.matches("[hx-trigger^=every]") && (paused || document.hidden)) event.preventDefault();
  });
  // nobody loses the place where they are: a part that holds the focus is replaced next time
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const target = event.detail.target;
    if (event.detail.elt.matches("[hx-trigger^=every]") && target.contains(document.activeElement)) {
      event.detail.shouldSwap = false;
    }
  });
  document.body.addEventListener("htmx:afterSwap", (event) => {
    localTimes(event.detail.target);
    announce(event.detail.target);
  });

  // a change of state is said once; figures that tick are not
  const said = document.getElementById("said");
  let last = null;
  function announce(root) {
    const state = root.querySelector("[data-announce]");
    if (!state || !said) return;
    const text = state.dataset.announce;
    if (last !== null && text !== last) said.textContent = text;
    last = text;
  }

  document.addEventListener("submit", (event) => {
    const question = event.submitter && event.submitter.dataset.confirm;
    if (question && !window.confirm(question)) event.preventDefault();
  });
  document.addEventListener("change", (event) => {
    const all = event.target.closest("[data-tick-all]");
    if (!all) return;
    for (const box of document.querySelectorAll(`input[name="${all.dataset.tickAll}"]`)) box.checked = all.checked;
  });

  localTimes(document);
  announce(document);
})();
