// The page at hostless.localhost. It exchanges its link for a session, follows the
// request log, and shows what the daemon renders. It is read-only.

const $ = (id) => document.getElementById(id);
const KEY = "hostless-session", MOST = 500, EVERY = 5000;
const rows = $("rows"), flights = $("flights"), filters = $("filters"), plane = $("plane"), detail = $("detail");
let session = sessionStorage.getItem(KEY);
let stream = null; // the AbortController of the live rows
let timer = 0;

/** Fetches with the session. A 401 ends it. */
async function read(path, signal) {
  const answer = await fetch(path, { headers: { "X-Hostless-Session": session }, signal, cache: "no-store" });
  if (answer.status === 401) close("The session has ended: the daemon was restarted, or the page was idle for long.");
  if (!answer.ok) throw new Error((await answer.json()).error.message);
  return answer;
}

/** Parses HTML that the daemon has escaped. */
function fragment(html) {
  const t = document.createElement("template");
  t.innerHTML = html;
  return t.content;
}

function close(why) {
  sessionStorage.removeItem(KEY);
  session = null;
  stream?.abort();
  clearTimeout(timer);
  $("open").hidden = true;
  $("closed").hidden = false;
  $("why").textContent = why;
}

function complain(error) {
  $("notice").textContent = error.message;
  $("notice").hidden = false;
}

function live(word, state) {
  $("live").textContent = word;
  $("live").className = state;
}

/** Replaces a part if it has changed, and keeps open details open. */
function place(part) {
  const at = $(part.dataset.part);
  if (at.last === part.innerHTML) return;
  at.last = part.innerHTML;
  const unfolded = [...at.querySelectorAll("details[open]")].map((d) => d.id);
  const focused = at.contains(document.activeElement) ? document.activeElement.closest("[id]").id : "";
  const scrolled = [...at.querySelectorAll("pre.log")].map((p) => [p.closest("details").id, p.scrollTop, p.scrollHeight - p.clientHeight - p.scrollTop < 4]);
  at.replaceChildren(...part.childNodes);
  for (const id of unfolded) if ($(id)) $(id).open = true;
  for (const [id, top, atEnd] of scrolled) {
    const log = $(id)?.querySelector("pre.log");
    if (log) log.scrollTop = atEnd ? log.scrollHeight : top;
  }
  if (focused && focused !== at.id) $(focused)?.querySelector("summary, a, pre")?.focus();
}

async function refresh() {
  clearTimeout(timer);
  try {
    const text = await (await read("/parts")).text();
    for (const part of fragment(text).querySelectorAll("[data-part]")) place(part);
  } catch (error) {
    if (session && !(error instanceof TypeError)) complain(error);
  }
  if (!document.hidden && session) timer = setTimeout(refresh, EVERY);
}

const typed = () => [...new FormData(filters)].filter(([, value]) => value.trim());

/** Shows the rows that match the filters, newest first, and then each new one. */
async function follow() {
  stream?.abort();
  const mine = (stream = new AbortController());
  const shown = plane.elements.plane.value;
  for (const name of ["model", "provider", "token"]) filters.elements[name].disabled = shown === "apps";
  const query = new URLSearchParams([...typed(), ["plane", shown], ["n", "200"]]);
  let wait = 100, first = true;
  while (session && !mine.signal.aborted) {
    try {
      const body = (await read("/rows?" + query, mine.signal)).body.pipeThrough(new TextDecoderStream()).getReader();
      rows.replaceChildren();
      fly(0, "");
      $("notice").hidden = true;
      live("Live", "on");
      wait = 100;
      let rest = "";
      for (;;) {
        empty();
        const { value, done } = await body.read();
        if (done) break;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        for (const line of lines) if (line[0] === "=") fly(...line.slice(1).split(/=(.*)/));
        add(lines.filter((line) => line && line[0] !== "="));
      }
    } catch (error) {
      if (mine.signal.aborted || !session) return;
      if (!(error instanceof TypeError) && first) { // an error response: the filter is invalid
        rows.replaceChildren();
        complain(error);
        live("Live", "on");
        return empty();
      }
    }
    first = false;
    if (mine.signal.aborted || !session) return;
    if (wait > 100) live("The daemon does not respond. Trying again…", "off"); // a restart is over by then
    await new Promise((done) => setTimeout(done, wait));
    wait = Math.min(wait * 2, 8000);
  }
}

/** Lists the requests in flight. */
function fly(count, html) {
  flights.replaceChildren(fragment(html));
  $("flying").textContent = count > 0 ? count + " in flight" : "";
}

function add(lines) {
  const fresh = fragment(lines.reverse().join("")); // the stream has the newest last
  for (const row of fresh.children) if (rows.children.length) row.classList.add("new");
  const list = $("list"), before = list.scrollHeight;
  rows.prepend(fresh);
  while (rows.children.length > MOST) rows.lastChild.remove();
  if (list.scrollTop > 0) list.scrollTop += list.scrollHeight - before; // keep the scroll position
  if (!rows.querySelector('[tabindex="0"]')) rows.querySelector("button")?.setAttribute("tabindex", "0");
}

function empty() {
  $("none").hidden = rows.children.length + flights.children.length > 0 || typed().length > 0;
}

async function show(row) {
  try {
    detail.replaceChildren(fragment(await (await read("/rows/" + encodeURIComponent(row.dataset.id))).text()));
    if (!detail.open) detail.showModal();
  } catch (error) {
    if (session) complain(error);
  }
}

function focusRow(row) {
  const button = row?.querySelector("button");
  if (!button) return;
  rows.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
  button.setAttribute("tabindex", "0");
  button.focus();
}

rows.addEventListener("click", (e) => {
  const row = e.target.closest("tr");
  if (!row || String(getSelection())) return;
  focusRow(row);
  show(row);
});
rows.addEventListener("keydown", (e) => {
  const row = e.target.closest("tr");
  const to = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling, Home: rows.firstElementChild, End: rows.lastElementChild }[e.key];
  if (to === undefined) return;
  e.preventDefault();
  focusRow(to);
});
detail.addEventListener("click", (e) => { if (e.target === detail) detail.close(); });
addEventListener("keydown", (e) => {
  if (e.key !== "/" || detail.open || e.ctrlKey || e.metaKey || e.altKey || /INPUT|SELECT/.test(document.activeElement.tagName)) return;
  e.preventDefault();
  filters.elements.app.focus();
});
let typing = 0;
filters.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(follow, 250); });
filters.addEventListener("reset", () => setTimeout(follow));
filters.addEventListener("submit", (e) => { e.preventDefault(); follow(); });
plane.addEventListener("input", follow);
document.addEventListener("visibilitychange", () => {
  if (!session) return;
  if (document.hidden) { stream?.abort(); clearTimeout(timer); } else { follow(); refresh(); }
});

async function open() {
  const link = location.hash.slice(1);
  if (/^[A-Z2-7]{40,}$/.test(link)) {
    history.replaceState(null, "", location.pathname); // removes it from the URL and the history
    const answer = await fetch("/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ link }) });
    const body = await answer.json();
    if (!answer.ok) return close("This link does not open the page: " + body.error.message + ".");
    session = body.session;
    sessionStorage.setItem(KEY, session);
  } else if (!$("open").hidden) return; // a link to a section
  if (!session) return;
  $("closed").hidden = true;
  $("open").hidden = false;
  follow();
  refresh();
}
addEventListener("hashchange", open); // a new link in the same tab
open();
