// Keeps pages fresh. Pages work without it: they are then as fresh as their
// last load, and forms answer with a page.
//
// <div data-live="URL"> holds a part of a page. URL streams the part's HTML
// whenever it changed. What has a data-key is compared with what is shown and
// replaced alone, so that focus, selection and scrolling stay where they are.
// What has a data-label is read out as it changes; what has a data-tell, such as
// where a run stands, when that word is another. Where data-load-again comes, the page
// is another by now, and is gone to anew. None of that is done to a form that is under
// way: what came meanwhile is shown once the form is given back.
"use strict";

// How long what changed stays marked, and how long a stream may be broken
// before the page says so.
const MARKED_MS = 2500;
const BROKEN_MS = 3000;

// How many pixels of a pane's lower edge are faded, so count as unseen.
const FADED = 40;

// How much of a change is read out: values, and characters of each.
const TOLD_MAX = 4;
const TOLD_LENGTH_MAX = 80;

function announce(text) {
  const announcer = document.querySelector("[data-announcer]");
  if (announcer) announcer.textContent = text;
}

class LivePart {
  constructor(element) {
    this.element = element;
    this.shown = new WeakMap();
    for (const part of this.parts(element)) this.shown.set(part, part.outerHTML);
    this.tells = this.telling();
    // A hidden page needs no stream, and browsers open only a few at once.
    document.addEventListener("visibilitychange", () => this.follow());
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", () => this.follow());
    document.addEventListener("givenback", () => this.catchUp());
    this.follow();
  }

  // What is said in words, by the states that it says.
  telling() {
    const told = [...this.element.querySelectorAll("[data-tell]")];
    return new Map(told.map((one) => [one.dataset.tell, one.textContent.replace(/\s+/g, " ").trim()]));
  }

  parts(element) {
    return element.querySelectorAll("[data-key]");
  }

  follow() {
    // It may have made room for a newer one.
    if (document.hidden || !this.element.isConnected) return this.close();
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
    badge.textContent = { live: "This page updates by itself", broken: "Reconnecting…", ended: "Not updated any more. Reload the page" }[name];
    const before = badge.dataset.liveState;
    badge.dataset.liveState = name;
    // That a page begins to be live is no news.
    if (name === before || (name === "live" && !before)) return;
    announce({
      live: "Values are live again.",
      broken: "The connection is lost. Values may be old until it is back.",
      ended: "Values are no longer live. Reload the page to see new ones.",
    }[name]);
  }

  // What a part says, without how it says it: at midnight "today" becomes a
  // date, and nothing has changed.
  facts(part) {
    if (!part.querySelector(".value")) return part.textContent;
    const facts = [...part.querySelectorAll(".value, .kept, time")];
    return facts.map((fact) => fact.dateTime || (fact.querySelector("time") ? "" : fact.textContent)).join("\n");
  }

  // A row in words.
  told(row) {
    const kept = row.querySelector(".kept");
    if (kept) return `${row.dataset.label}: ${kept.textContent}`;
    const cell = row.querySelector(".value");
    const items = [...cell.querySelectorAll("li")].map((item) => item.textContent);
    const value = items.length ? items.join(", ") : cell.textContent.trim();
    const cut = value.length > TOLD_LENGTH_MAX ? `${value.slice(0, TOLD_LENGTH_MAX)}…` : value;
    return `${row.dataset.label} is now ${cut}.`;
  }

  update(html) {
    // The whole page may be another by now.
    if (!this.element.isConnected) return this.close();
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    // What came last is the whole part.
    this.missed = null;
    if (fresh.content.querySelector("[data-load-again]")) return this.loadAgain(html);
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
      // What is being sent says so until its page comes, or it is given back.
      if (old?.querySelector("form[aria-busy]")) {
        this.missed = html;
        before = old;
        continue;
      }
      if (old) this.replace(old, part);
      else if (!this.insert(part, before)) continue;
      this.shown.set(part, source);
      before = part;
      if (old && this.facts(old) === this.facts(part)) continue;
      this.mark(part);
      if (part.dataset.label) changed.push(this.told(part));
    }
    const removed = [];
    for (const old of held.values()) {
      if (old.dataset.label) removed.push(`${old.dataset.label} has no value any more.`);
      old.remove();
    }
    // What says so may have been replaced.
    this.state("live");
    const tells = this.telling();
    const begun = [...tells].filter(([state]) => !this.tells.has(state)).map(([, words]) => `${words}.`);
    this.tells = tells;
    const news = [...begun, ...changed, ...removed];
    const rest = news.length - TOLD_MAX;
    const told = news.slice(0, TOLD_MAX);
    if (rest > 0) told.push(`${rest} more changed.`);
    if (told.length) announce(told.join(" "));
    const first = this.element.querySelector(".is-changed[data-label]");
    if (first) this.reveal(first);
  }

  // The page is asked for by its address, for it may be what came of a form.
  loadAgain(html) {
    if (document.querySelector("form[aria-busy]")) this.missed = html;
    else location.replace(location.pathname + location.search);
  }

  // Shows what came while a form was under way.
  catchUp() {
    if (this.missed) this.update(this.missed);
  }

  // A part that is new stands after the one before it, or first of its kind. So what
  // is the first below a page's head is there from the start, though it be hidden.
  // Returns whether the page has a place for it: beside what has data-alone, such as
  // how a connection stands within the page's title, there is none.
  insert(part, before) {
    const isRow = (one) => Boolean(one.parentElement?.hasAttribute("data-list"));
    if (before && isRow(before) === isRow(part)) {
      if (before.hasAttribute("data-alone")) return false;
      before.after(part);
      return true;
    }
    if (isRow(part)) {
      const list = this.element.querySelector("[data-list]");
      list?.prepend(part);
      return Boolean(list);
    }
    const first = [...this.parts(this.element)].find((one) => !isRow(one));
    if (first && !before) first.before(part);
    else this.element.append(part);
    return true;
  }

  // Where the part stands in a pane that scrolls by itself, what changed comes
  // into sight; a whole page is never scrolled under its reader.
  reveal(part) {
    const pane = this.element.closest("[data-reveal]");
    if (!pane || pane.scrollHeight <= pane.clientHeight) return;
    const [outer, inner] = [pane.getBoundingClientRect(), part.getBoundingClientRect()];
    if (inner.top >= outer.top && inner.bottom <= outer.bottom - FADED) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const top = inner.top - outer.top - (outer.height - inner.height) / 2;
    pane.scrollBy({ top, behavior: calm ? "auto" : "smooth" });
  }

  replace(old, part) {
    // What is open stays open.
    const open = [...old.querySelectorAll("details")].map((one) => one.open);
    [...part.querySelectorAll("details")].forEach((one, at) => (one.open = open[at] ?? one.open));
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

// Follows the live parts of what is shown from now on.
function follow(within) {
  if (within.matches?.("[data-live]")) new LivePart(within);
  for (const element of within.querySelectorAll("[data-live]")) new LivePart(element);
}

follow(document);

// <form data-quiet> is sent without leaving the page; its <output data-outcome>
// says what came of it.
for (const form of document.querySelectorAll("form[data-quiet]")) {
  for (const part of form.querySelectorAll("[data-without-script]")) part.remove();
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
        redirect: "manual",
      });
      // What stands beside the form is about something else now.
      if (answer.status === 205) return location.assign(`${form.action}?saved=true`);
      if (answer.ok) return say("done", "Saved");
      if (answer.type === "opaqueredirect") return say("failed", "You are signed out. Sign in again, then load this page.");
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      say("failed", page.querySelector("main p:not(.brand)")?.textContent || "This could not be saved.");
    } catch {
      say("failed", "The host does not answer. Try again.");
    }
  });
}
