// Keeps pages fresh. Pages work without it: they are then as fresh as their
// last load, and forms answer with a page.
//
// <div data-live="URL"> holds a part of a page. URL streams the part's HTML
// whenever it changed. What has a data-key is compared with what is shown and
// replaced alone, so that focus, selection and scrolling stay where they are.
"use strict";

// How long what changed stays marked, and how long a stream may be broken
// before the page says so.
const MARKED_MS = 2500;
const BROKEN_MS = 3000;

const announcer = document.querySelector("[data-announcer]");

function announce(text) {
  if (announcer) announcer.textContent = text;
}

class LivePart {
  constructor(element) {
    this.element = element;
    this.shown = new WeakMap();
    for (const part of this.parts(element)) this.shown.set(part, part.outerHTML);
    // A hidden page needs no stream, and browsers open only a few at once.
    document.addEventListener("visibilitychange", () => this.follow());
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", () => this.follow());
    this.follow();
  }

  parts(element) {
    return element.querySelectorAll("[data-key]");
  }

  follow() {
    if (document.hidden) return this.close();
    if (this.source && this.source.readyState !== EventSource.CLOSED) return;
    this.source = new EventSource(this.element.dataset.live);
    this.source.addEventListener("open", () => this.state("live"));
    this.source.addEventListener("error", () => this.broken());
    this.source.addEventListener("part", (event) => this.update(JSON.parse(event.data)));
  }

  close() {
    clearTimeout(this.breaking);
    if (this.source) this.source.close();
    this.source = null;
  }

  broken() {
    const ended = this.source && this.source.readyState === EventSource.CLOSED;
    clearTimeout(this.breaking);
    if (ended) this.state("ended");
    else this.breaking = setTimeout(() => this.state("broken"), BROKEN_MS);
  }

  state(name) {
    clearTimeout(this.breaking);
    const badge = this.element.querySelector("[data-live-state]");
    if (!badge) return;
    badge.hidden = false;
    badge.dataset.liveState = name;
    badge.textContent = { live: "Live", broken: "Reconnecting…", ended: "Not live. Reload the page" }[name];
  }

  update(html) {
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    const held = new Map();
    for (const part of this.parts(this.element)) held.set(part.dataset.key, part);
    const changed = [];
    let before = null;
    for (const part of this.parts(fresh.content)) {
      const old = held.get(part.dataset.key);
      held.delete(part.dataset.key);
      const source = part.outerHTML;
      if (old && this.shown.get(old) === source) {
        before = old;
        continue;
      }
      const isRow = part.parentElement && part.parentElement.hasAttribute("data-list");
      this.shown.set(part, source);
      if (old) this.replace(old, part);
      else if (before && isRow && before.parentElement.hasAttribute("data-list")) before.after(part);
      else if (isRow) this.element.querySelector("[data-list]").prepend(part);
      before = part;
      this.mark(part);
      if (part.dataset.label) changed.push(part.dataset.label);
    }
    const removed = [];
    for (const old of held.values()) {
      if (old.dataset.label) removed.push(old.dataset.label);
      old.remove();
    }
    const told = [];
    if (changed.length) told.push(`Updated: ${changed.join(", ")}.`);
    if (removed.length) told.push(`Removed: ${removed.join(", ")}.`);
    if (told.length) announce(told.join(" "));
    const first = this.element.querySelector(".is-changed[data-label]");
    if (first) this.reveal(first);
  }

  // Where the part stands in a pane that scrolls by itself, what changed comes
  // into sight; a whole page is never scrolled under its reader.
  reveal(part) {
    const pane = this.element.closest("[data-reveal]");
    if (!pane || pane.scrollHeight <= pane.clientHeight) return;
    const [outer, inner] = [pane.getBoundingClientRect(), part.getBoundingClientRect()];
    if (inner.top >= outer.top && inner.bottom <= outer.bottom) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const top = inner.top - outer.top - (outer.height - inner.height) / 2;
    pane.scrollBy({ top, behavior: calm ? "auto" : "smooth" });
  }

  replace(old, part) {
    const focusable = "a, button, input, select, textarea, summary";
    const at = [...old.querySelectorAll(focusable)].indexOf(document.activeElement);
    old.replaceWith(part);
    if (at >= 0) part.querySelectorAll(focusable)[at]?.focus({ preventScroll: true });
  }

  mark(part) {
    part.classList.add("is-changed");
    setTimeout(() => part.classList.remove("is-changed"), MARKED_MS);
  }
}

for (const element of document.querySelectorAll("[data-live]")) new LivePart(element);

// <form data-quiet> is sent without leaving the page; its <output data-outcome>
// says what came of it.
for (const form of document.querySelectorAll("form[data-quiet]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const outcome = form.querySelector("[data-outcome]");
    const say = (state, text) => {
      outcome.dataset.outcome = state;
      outcome.textContent = text;
    };
    say("", "Saving…");
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        headers: { "X-Quiet": "1" },
        body: new URLSearchParams(new FormData(form)),
        redirect: "error",
      });
      if (answer.ok) return say("done", "Saved");
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      say("failed", page.querySelector("main p:not(.brand)")?.textContent || "This could not be saved.");
    } catch {
      say("failed", "This could not be saved. Load the page again.");
    }
  });
}
