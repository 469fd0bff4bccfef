// The page works without this script. With it the page updates itself, searches
// as you type, shows local times, and follows a run that you started.
"use strict";
(() => {
  const byId = id => document.getElementById(id);

  // Invisible characters are shown by their numbers, as the server does.
  const hidden = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/gu;
  const plain = s => {
    const escaped = ch => [...Array(ch.length).keys()]
      .map(i => "\\u" + ch.charCodeAt(i).toString(16).padStart(4, "0")).join("");
    const shown = [...s];
    return (shown.length > 160 ? shown.slice(0, 160).join("") + "…" : s).replace(hidden, escaped);
  };
  const element = (name, text, attributes = {}) => {
    const e = document.createElement(name);
    e.textContent = text;
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    return e;
  };

  // Times: the page says UTC; the reader sees local time, with UTC as a hint.
  const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const localTimes = root => {
    for (const t of root.querySelectorAll("time[datetime]")) {
      const at = new Date(t.dateTime);
      if (t.title || isNaN(at)) continue;
      t.title = t.textContent;
      t.textContent = local.format(at);
    }
  };

  // Updates. A region is replaced only if the server sends something new for it. So
  // screen readers announce only changes, and focus, selection and half-typed text
  // survive.
  const regions = [...document.querySelectorAll("[data-live]")];
  const shown = new Map(regions.map(r => [r.id, r.innerHTML]));
  localTimes(document);

  const inUse = region => {
    const selection = document.getSelection();
    if (selection && !selection.isCollapsed && region.contains(selection.anchorNode)) return true;
    return [...region.querySelectorAll("input")].some(i =>
      i === document.activeElement || i.checked !== i.defaultChecked || i.value !== i.defaultValue);
  };
  const update = fresh => {
    document.title = fresh.title;
    for (const region of regions) {
      const next = fresh.getElementById(region.id);
      if (!next || next.innerHTML === shown.get(region.id) || inUse(region)) continue;
      shown.set(region.id, next.innerHTML);
      const focused = region.contains(document.activeElement) ? document.activeElement : null;
      region.className = next.className;
      region.replaceChildren(...document.importNode(next, true).childNodes);
      localTimes(region);
      if (focused) {
        const same = focused.id ? byId(focused.id)
          : [...region.querySelectorAll("a")].find(a => a.getAttribute("href") === focused.getAttribute("href"));
        if (!same) region.tabIndex = -1;
        (same ?? region).focus({ preventScroll: true });
      }
    }
  };
  let waiting = 0;
  const refresh = async () => {
    clearTimeout(waiting);
    if (!document.hidden) {
      try {
        const answer = await fetch(location.pathname + location.search, { cache: "no-store", signal: AbortSignal.timeout(10000) });
        if (!answer.ok) throw new Error(answer.statusText);
        update(new DOMParser().parseFromString(await answer.text(), "text/html"));
        byId("offline").textContent = "";
      } catch {
        if (!byId("offline").textContent) {
          byId("offline").textContent = "This page has not been updated since " + local.format(new Date()) + ": the service does not answer.";
        }
      }
    }
    clearTimeout(waiting);
    waiting = setTimeout(refresh, byId("progress") ? 2000 : 5000);
  };
  if (regions.length > 1) {
    waiting = setTimeout(refresh, byId("progress") ? 2000 : 5000);
    document.addEventListener("visibilitychange", () => document.hidden || refresh());
  }

  // Search as you type.
  const q = byId("q"), box = byId("suggestions"), status = byId("suggested");
  let typed = 0, searches = 0;
  const close = () => { // later answers are ignored
    clearTimeout(typed);
    searches++;
    box.hidden = true;
    box.replaceChildren();
    status.textContent = "";
  };
  const search = async text => {
    const mine = ++searches;
    let answer;
    try {
      const response = await fetch("/api/companies?limit=8&q=" + encodeURIComponent(text), { signal: AbortSignal.timeout(5000) });
      answer = response.ok ? await response.json() : null;
    } catch {
      answer = null;
    }
    if (mine !== searches) return; // there is a newer search
    if (!answer) return close(); // the button still works
    const found = answer.companies.map(c => {
      const a = element("a", "", { href: "/companies/" + encodeURIComponent(c.id) });
      const more = element("small", "");
      more.append(element("bdi", plain(c.identifier)), ` #${c.id} · ${plain(c.state)}`);
      a.append(element("bdi", plain(c.name)), " ", more, element("bdi", plain(c.path), { class: "path" }));
      return a;
    });
    if (found.length === 0) found.push(element("p", "no match"));
    else if (answer.more) found.push(element("p", "more; press Enter for all"));
    box.replaceChildren(...found);
    box.hidden = false;
    status.textContent = answer.companies.length === 0 ? "no match" :
      answer.companies.length + (answer.more ? " or more" : "") + " found; use the arrow keys";
  };
  q.addEventListener("input", () => {
    clearTimeout(typed);
    searches++;
    const text = q.value.trim();
    if (!text) return close();
    typed = setTimeout(() => search(text), 150);
  });
  q.form.addEventListener("keydown", event => {
    const stops = [q, ...box.querySelectorAll("a")];
    const at = stops.indexOf(document.activeElement);
    if (event.key === "Escape" && !box.hidden) {
      close();
      q.focus();
    } else if (at >= 0 && stops.length > 1 && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      stops[(at + (event.key === "ArrowDown" ? 1 : stops.length - 1)) % stops.length].focus();
    } else {
      return;
    }
    event.preventDefault();
  });
  box.addEventListener("mousedown", event => event.preventDefault()); // otherwise some browsers remove the focus
  q.form.addEventListener("focusout", event => { if (!q.form.contains(event.relatedTarget)) close(); });

  // Start a run, and follow it.
  const pause = ms => new Promise(done => setTimeout(done, ms));
  const progressOf = asked => {
    if (asked.state === "waiting") return "Requested. Waiting for its turn.";
    if (asked.state === "running") return asked.total ? `Running: ${asked.done ?? 0} of ${asked.total} steps.` : "Running: reading ConnectWise and the vault.";
    return (asked.error ? "Finished: " + plain(asked.error) : "Finished.") + (asked.run ? ` Run ${asked.run}.` : "");
  };
  document.addEventListener("submit", async event => {
    const form = event.target;
    if (!form.matches("[data-resync]")) return;
    event.preventDefault();
    const tell = text => { form.querySelector(".asked").textContent = text; };
    const fields = new FormData(form), request = {};
    if (fields.get("approve")) request.approve = fields.get("approve");
    if (fields.get("companies")) request.companies = [fields.get("companies")];
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      const answer = await fetch("/api/resync", {
        method: "POST", body: JSON.stringify(request), credentials: "omit", signal: AbortSignal.timeout(10000),
        headers: { "Authorization": "Bearer " + fields.get("token"), "Content-Type": "application/json" },
      });
      let asked = await answer.json();
      if (!answer.ok) {
        form.elements.token.select();
        return tell(plain(asked.error ?? answer.statusText));
      }
      form.reset();
      while (asked.state !== "over") {
        tell(progressOf(asked));
        await pause(1000);
        const next = await fetch("/api/resync/" + encodeURIComponent(asked.request), { cache: "no-store", signal: AbortSignal.timeout(10000) });
        if (!next.ok) throw new Error(next.statusText);
        asked = await next.json();
      }
      tell(progressOf(asked));
    } catch {
      tell("The service does not answer.");
    } finally {
      button.disabled = false;
    }
  });
})();
