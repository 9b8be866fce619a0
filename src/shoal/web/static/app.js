"use strict";

// --- look: auto, light, dark ---------------------------------------------------------------------

const THEMES = ["auto", "light", "dark"];
const root = document.documentElement;
const themeSwitch = document.querySelector("[data-theme-switch]");

function showTheme() {
  themeSwitch.textContent = `Theme: ${root.dataset.theme || "auto"}`;
  document.dispatchEvent(new Event("theme"));
}

if (themeSwitch) {
  themeSwitch.hidden = false;
  showTheme();
  themeSwitch.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme || "auto") + 1) % THEMES.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem(THEME, next);
    } catch { /* it holds for this page */ }
    showTheme();
  });
}

// --- keys ----------------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  event.preventDefault();
  const search = document.querySelector("[data-search]");
  if (search) search.select();
  else location.href = "/jobs#q";
});
if (location.hash === "#q") document.getElementById("q")?.focus();

// --- what refreshes itself -----------------------------------------------------------------------

const trouble = document.getElementById("trouble");

function isBusy(part) {
  // Not under somebody's hands: a link that has the focus would lose it, a selection too.
  if (part.contains(document.activeElement) && document.activeElement !== part) return true;
  const selection = getSelection();
  if (!selection.isCollapsed && part.contains(selection.anchorNode)) return true;
  return part.hasAttribute("data-hold") && part.querySelector(":hover") !== null;
}

document.body.addEventListener("htmx:beforeRequest", (event) => {
  const part = event.detail.elt;
  if (part.hasAttribute("data-poll") && (document.hidden || isBusy(part))) event.preventDefault();
});
document.body.addEventListener("htmx:configRequest", (event) => {
  const part = event.detail.elt;
  const given = event.detail.parameters;
  if (part.id === "timeline") given.width = part.clientWidth - 16;
  if (part.matches(".search")) {
    // The URL that is left to be kept says only what is special.
    for (const name of ["q", "batch"]) if (!given[name]) delete given[name];
    if (given.order === "newest") delete given.order;
  }
});
document.body.addEventListener("htmx:afterSwap", (event) => {
  const part = event.detail.target;
  if (part.id === "timeline" && !part.dataset.seen) {
    part.dataset.seen = "yes";
    part.scrollLeft = part.scrollWidth; // to what is newest
  }
});
document.body.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful) trouble.hidden = true;
});
document.body.addEventListener("htmx:sendError", () => {
  trouble.hidden = false;
});
document.body.addEventListener("htmx:responseError", (event) => {
  // An error has a page of its own, which says what to do.
  const status = event.detail.xhr.status;
  const page = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
  const said = [...page.querySelectorAll(".message p")].slice(0, 2).map((of) => of.textContent);
  trouble.textContent = said.join(" ") || `The dashboard answers with an error (${status}).`;
  trouble.hidden = false;
});

// --- the output of a job -------------------------------------------------------------------------

const KEPT_CHARS = 512 * 1024;

function followLog(panel) {
  const text = panel.querySelector("[data-log-text]");
  const state = panel.querySelector("[data-log-state]");
  const cut = panel.querySelector("[data-log-cut]");
  const token = panel.querySelector("[data-log-token]");
  let source = null;
  let chars = 0;
  let over = false;

  function say(what, kind) {
    state.textContent = what;
    state.dataset.kind = kind || "";
  }

  function add(piece) {
    if (!piece) return;
    const atEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 40;
    text.append(piece);
    chars += piece.length;
    while (chars > KEPT_CHARS && text.childNodes.length > 1) {
      chars -= text.firstChild.length;
      text.firstChild.remove();
      cut.hidden = false;
    }
    if (atEnd) text.scrollTop = text.scrollHeight;
  }

  function open() {
    source = new EventSource(panel.dataset.log);
    source.addEventListener("start", (event) => {
      const news = JSON.parse(event.data);
      text.textContent = "";
      chars = 0;
      cut.hidden = !news.cut;
      token.textContent = news.token.endsWith(".0") ? "" : `of ${news.token}`;
      say("following", "live");
      add(news.text);
      text.scrollTop = text.scrollHeight;
    });
    source.addEventListener("more", (event) => {
      const news = JSON.parse(event.data);
      if (news.cut) {
        text.textContent = "";
        chars = 0;
        cut.hidden = false;
      }
      add(news.text);
    });
    source.addEventListener("end", () => {
      over = true;
      close();
      say(text.textContent ? "complete" : "it has printed nothing", "");
    });
    source.addEventListener("trouble", (event) => {
      over = true;
      close();
      say(JSON.parse(event.data).text, "bad");
    });
    source.addEventListener("error", () => {
      // After an answer that is an error, a browser does not try again by itself.
      if (source?.readyState === EventSource.CLOSED) {
        close();
        say("no output to be had; load the page again", "bad");
      } else say("no connection, trying again", "bad");
    });
  }

  function close() {
    source?.close();
    source = null;
  }

  // Browsers open few connections to one server, so a page that nobody sees holds none.
  document.addEventListener("visibilitychange", () => {
    if (over) return;
    if (document.hidden) {
      close();
      say("", "");
    } else if (!source) open();
  });
  addEventListener("pagehide", close);
  say("", "");
  if (!document.hidden) open();
}

document.querySelectorAll("[data-log]").forEach(followLog);
