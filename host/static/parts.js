// Sends forms and follows links without loading the whole page again. Without
// this script they do the same by loading it.
//
// <form data-part="ID"> is sent in the background; of the page that comes back,
// the element ID takes the place of the one that is shown. With data-on-input
// that happens while its fields are filled in, too. <a data-part="ID"> likewise.
// Addresses of GETs are kept in the address bar, so that Reload works.
// What is waited for says so: data-waiting has it in words, which are shown and
// read out where it takes longer than a moment.
//
// Any other form loads another page. Until that comes, its button says what is
// waited for (data-waiting, of the button or the form), and no press sends it again.
//
// <input data-enter="ID"> presses that button where Enter is pressed in it.
//
// How long typing may pause before what was typed is sent.
const TYPING_MS = 250;

// How long something may take before it says what it waits for.
const WAITING_MS = 300;

// How long a button waits for another page before it can be pressed again: the
// host answers within half a minute.
const PAGE_MS = 30_000;

// What a button says that has no words of its own for waiting.
const SENDING = "One moment…";

const NO_ANSWER = "The host does not answer. Try again.";

class Part {
  constructor() {
    this.sent = new Map();
    document.addEventListener("submit", (event) => this.submitted(event));
    document.addEventListener("click", (event) => this.clicked(event));
    document.addEventListener("input", (event) => this.typed(event));
  }

  submitted(event) {
    const form = event.target;
    clearTimeout(form.typing);
    if (event.defaultPrevented) return;
    if (!form.matches("[data-part]") || event.submitter?.hasAttribute("data-whole")) return leave(event);
    event.preventDefault();
    this.send(form, event.submitter);
  }

  clicked(event) {
    const link = event.target.closest("a[data-part]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    this.load(link.dataset.part, link.href, { method: "GET" }, link.dataset.waiting);
  }

  typed(event) {
    const form = event.target.form;
    if (!form?.matches("[data-part][data-on-input]")) return;
    clearTimeout(form.typing);
    form.typing = setTimeout(() => this.send(form, null), TYPING_MS);
  }

  send(form, submitter) {
    clearTimeout(form.typing);
    const data = new URLSearchParams(new FormData(form, submitter));
    const method = (submitter?.getAttribute("formmethod") || form.method || "get").toUpperCase();
    const action = submitter?.getAttribute("formaction") || form.getAttribute("action") || location.href;
    const url = new URL(action, location.href);
    const id = submitter?.dataset.part || form.dataset.part;
    const waiting = submitter?.dataset.waiting || form.dataset.waiting;
    if (method === "GET") {
      url.search = data;
      return this.load(id, url.href, { method }, waiting);
    }
    return this.load(id, url.href, { method, body: data }, waiting);
  }

  async load(id, url, request, waiting) {
    const shown = document.getElementById(id);
    if (!shown) return location.assign(url);
    const before = this.sent.get(id);
    const asked = [request.method, url, request.body ?? ""].join(" ");
    // Pressed again, or asked again by who typed: the answer is on its way.
    if (before?.asked === asked) return;
    // What was asked for before is not wanted any more.
    before?.abort.abort();
    const abort = new AbortController();
    const sent = { abort, asked };
    this.sent.set(id, sent);
    shown.setAttribute("aria-busy", "true");
    const saying = setTimeout(() => this.wait(id, waiting), WAITING_MS);
    try {
      const answer = await fetch(url, { ...request, signal: abort.signal });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById(id);
      // Another page came: an error, the way to sign in, or where it goes on.
      if (!fresh) {
        if (answer.redirected || (answer.ok && request.method === "GET")) return location.assign(answer.url);
        return this.whole(page);
      }
      this.replace(document.getElementById(id), fresh);
      this.remember(request.method === "GET" ? answer.url : answer.redirected && answer.url);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.broken(id);
    } finally {
      clearTimeout(saying);
      if (this.sent.get(id) === sent) this.sent.delete(id);
    }
  }

  // What is shown stays busy, so that what was read is not moved meanwhile.
  wait(id, waiting) {
    const shown = document.getElementById(id);
    if (!shown) return;
    shown.dataset.waits = waiting || "Loading…";
    // While somebody types it is no news.
    if (waiting) announce(waiting);
  }

  // What is shown stays, and says above it that nothing newer came. What comes
  // next takes the place of both.
  broken(id) {
    const shown = document.getElementById(id);
    announce(NO_ANSWER);
    if (!shown) return;
    shown.removeAttribute("aria-busy");
    shown.removeAttribute("data-waits");
    let banner = shown.querySelector(":scope > [data-broken]");
    if (!banner) {
      banner = document.createElement("p");
      banner.className = "banner bad";
      banner.dataset.broken = "";
      banner.textContent = NO_ANSWER;
      shown.prepend(banner);
    }
    banner.scrollIntoView({ block: "nearest" });
  }

  // Reload shows the same again. What stands at an address of its own, such as
  // a part that is loaded later, is no page to come back to.
  remember(address) {
    if (address && new URL(address).pathname === location.pathname) history.replaceState(null, "", address);
  }

  async fetched(id, url) {
    try {
      const answer = await fetch(url);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById(id);
      const shown = document.getElementById(id);
      if (fresh && shown) return this.replace(shown, fresh);
      throw new Error("another page came");
    } catch {
      const waiting = document.querySelector(`#${id} [data-loading]`);
      if (!waiting) return;
      waiting.className = "banner bad";
      waiting.textContent = "This could not be loaded. Load the page again.";
      announce(waiting.textContent);
    }
  }

  // The whole page becomes the one that came.
  whole(page) {
    document.title = page.title;
    document.body.replaceWith(page.body);
    follow(document.body);
    load(document.body);
    document.querySelector("main")?.focus();
  }

  replace(shown, fresh) {
    const active = document.activeElement;
    const held = shown.contains(active) && active.id ? { id: active.id, value: active.value, at: selection(active) } : null;
    shown.replaceWith(fresh);
    follow(fresh);
    load(fresh);
    const said = fresh.querySelector("[data-said]");
    if (said) announce(said.textContent);
    const wanted = fresh.querySelector("[autofocus]");
    if (wanted) return wanted.focus();
    const again = held && document.getElementById(held.id);
    if (!again) return;
    again.focus({ preventScroll: true });
    // What was typed since the form was sent is kept.
    if (held.at && again.value !== held.value) again.value = held.value;
    if (held.at) again.setSelectionRange(...held.at);
  }
}

// Forms that were sent and whose page has not come, each with what makes it as it was.
const leaving = new Map();

function leave(event) {
  const { target: form, submitter: button } = event;
  if (leaving.has(form)) return event.preventDefault();
  // What was asked for while typing would take the place of the form.
  parts.sent.get(form.dataset.part)?.abort.abort();
  const words = button?.dataset.waiting || (form.matches("[data-part]") ? null : form.dataset.waiting) || SENDING;
  const held = button && [...button.childNodes];
  // A browser that is told to stop says so to nobody.
  const timer = setTimeout(() => stay(form), PAGE_MS);
  leaving.set(form, () => {
    clearTimeout(timer);
    form.removeAttribute("aria-busy");
    button?.removeAttribute("aria-disabled");
    button?.replaceChildren(...held);
  });
  form.setAttribute("aria-busy", "true");
  announce(words);
  if (!button) return;
  button.style.minWidth = `${button.offsetWidth}px`;
  button.setAttribute("aria-disabled", "true");
  button.replaceChildren(words);
}

function stay(form) {
  leaving.get(form)?.();
  leaving.delete(form);
  // Parts that are live waited for it.
  document.dispatchEvent(new Event("givenback"));
}

// Who comes back to a page finds its forms as they were.
addEventListener("pageshow", () => [...leaving.keys()].forEach(stay));

document.addEventListener("keydown", (event) => {
  const button = event.key === "Enter" && !event.isComposing && document.getElementById(event.target.dataset?.enter);
  if (!button) return;
  event.preventDefault();
  button.click();
});

// <div id="ID" data-load="URL"> is replaced by the same element of the page at
// URL, which takes longer than a page may. What it waits for is said meanwhile.
function load(within) {
  for (const element of within.querySelectorAll("[data-load]")) {
    const waiting = element.querySelector("[data-loading]");
    if (waiting) waiting.textContent = waiting.dataset.loading;
    if (waiting) announce(waiting.textContent);
    parts.fetched(element.id, element.dataset.load);
  }
}

// Where the cursor stands in a field that has one.
function selection(field) {
  if (!/^(text|search|url|tel|password)$/.test(field.type) && field.tagName !== "TEXTAREA") return null;
  return [field.selectionStart, field.selectionEnd];
}

const parts = new Part();
load(document);

// What has data-once tells of something that has just happened, which the address says
// by that parameter: it is not told again when the page is loaded again.
for (const told of document.querySelectorAll("[data-once]")) {
  const address = new URL(location.href);
  address.searchParams.delete(told.dataset.once);
  history.replaceState(null, "", address);
}

// <select data-here> begins with the time zone of the browser, where it has that.
for (const zones of document.querySelectorAll("select[data-here]")) {
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if ([...zones.options].some((zone) => zone.value === here)) zones.value = here;
}

// Where a row of links is wider than the page, the one that is shown is in sight.
function centre() {
  for (const link of document.querySelectorAll("nav [aria-current]")) {
    const row = link.closest("nav ul");
    for (const box of [row, row?.closest("nav")]) {
      if (!box || box.scrollWidth <= box.clientWidth) continue;
      const [outer, inner] = [box.getBoundingClientRect(), link.getBoundingClientRect()];
      box.scrollLeft += inner.left - outer.left - (outer.width - inner.width) / 2;
    }
  }
}

centre();
addEventListener("resize", centre);

// <button data-copy="ID"> copies the text of a field.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  event.preventDefault();
  const field = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(field.value ?? field.textContent);
    announce("Copied.");
    button.textContent = "Copied";
  } catch {
    field.select?.();
    announce("Press Control and C to copy.");
  }
});
