"use strict";
// Texts from outside only ever go through textContent: a network may be called anything.
const $ = (id) => document.getElementById(id);
const make = (tag, text, kind) => {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (kind) e.className = kind;
  return e;
};
const NAMES = { wifi: "Wi-Fi", broker: "MQTT broker", save: "Settings" };
const TEXTS = { waits: "comes next", busy: "is being tried …", good: "good", skipped: "left out", bad: "failed" };
let known = [];
let polling = 0;

const ask = async (path, body) => {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), 12000);
  try {
    const options = { signal: stop.signal, cache: "no-store", headers: { Accept: "application/json" } };
    if (body !== undefined) Object.assign(options, { method: "POST", body });
    return await (await fetch(path, options)).json();
  } finally {
    clearTimeout(timer);
  }
};

const svg = (path) => {
  const e = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  e.setAttribute("viewBox", "0 0 16 16");
  e.setAttribute("class", "lock");
  e.setAttribute("aria-hidden", "true");
  const p = document.createElementNS("http://www.w3.org/2000/svg", "path");
  p.setAttribute("d", path);
  e.append(p);
  return e;
};

const choose = () => {
  for (const b of $("list").querySelectorAll("button")) b.setAttribute("aria-pressed", b.dataset.ssid === $("ssid").value);
  $("known").hidden = !known.includes($("ssid").value);
};

const networks = async (path) => {
  $("again").disabled = true;
  $("again").textContent = "Looking …";
  try {
    const found = await ask(path);
    $("list").replaceChildren(...found.map(([ssid, rssi, security]) => {
      const item = make("li");
      const button = make("button");
      const bars = make("span", undefined, "bars");
      const strength = rssi > -56 ? 4 : rssi > -67 ? 3 : rssi > -78 ? 2 : 1;
      for (let n = 1; n < 5; n++) {
        const bar = make("i", undefined, n <= strength ? "on" : "");
        bar.style.height = n * 25 + "%";
        bars.append(bar);
      }
      button.type = "button";
      button.dataset.ssid = ssid;
      const locked = security !== "open";
      button.setAttribute("aria-label", ssid + ", signal " + strength + " of 4" + (locked ? ", with password" : ", open"));
      button.append(bars, make("span", ssid));
      if (locked) button.append(svg("M3 7h10v7H3zM5 7V4.5a3 3 0 0 1 6 0V7"));
      button.onclick = () => {
        $("ssid").value = ssid;
        choose();
        if (locked) $("password").focus();
      };
      item.append(button);
      return item;
    }));
    $("found").hidden = false;
    $("list").hidden = !found.length;
    $("again").textContent = found.length ? "Look again" : "No network found. Look again";
  } catch {
    $("found").hidden = false;
    $("again").textContent = "Look again";
  }
  $("again").disabled = false;
  choose();
};

const paragraph = (...parts) => {
  const p = make("p");
  p.append(...parts);
  return p;
};

const show = (trial, state) => {
  $("form").hidden = true;
  $("result").hidden = false;
  $("lost").hidden = true;
  $("title").textContent = trial.busy ? "One moment" : trial.saved ? "Done" : "Not saved yet";
  $("steps").replaceChildren(...trial.steps.map(([name, how, text]) => {
    const item = make("li", undefined, how);
    const mark = make("span", { good: "✓", bad: "!" }[how] || "", "mark");
    mark.setAttribute("aria-hidden", "true");
    const box = make("div");
    box.append(make("b", NAMES[name]), make("span", text || (how === "waits" && !trial.busy ? "not saved" : TEXTS[how])));
    item.append(mark, box);
    return item;
  }));
  const after = [];
  if (!trial.busy && trial.saved) {
    after.push(paragraph("The device now joins ", make("b", trial.ssid), " and this network goes away: put your phone back into your own."));
    if (trial.address) after.push(paragraph("There it has the address ", make("code", trial.address), trial.restart ? " after a restart of some seconds." : "."));
    if (state.host) after.push(paragraph("Its messages are below the topic ", make("code", trial.base), "."));
    after.push(paragraph("If it cannot join, this network comes back by itself."));
  } else if (!trial.busy) {
    after.push(paragraph("Change what is wrong and try again, or save it as it is if you know better: a network or broker that is only off now."));
  }
  $("after").replaceChildren(...after);
  $("anyway").hidden = $("change").hidden = trial.busy || trial.saved;
};

const poll = async () => {
  const me = ++polling;
  for (let fails = 0; me === polling; ) {
    try {
      const state = await ask("/state");
      if (me !== polling || !state.trial) return;
      fails = 0;
      show(state.trial, state);
      if (!state.trial.busy) return;
    } catch {
      if (++fails > 1) $("lost").hidden = false;
    }
    await new Promise((go) => setTimeout(go, 1000));
  }
};

const send = async (path, body) => {
  let answer;
  try {
    answer = await ask(path, body);
  } catch {
    answer = { error: "The device does not answer. Is your phone still in its network?" };
  }
  $("error").hidden = !answer.error;
  $("error").textContent = answer.error || "";
  if (answer.error) $("error").scrollIntoView({ block: "center" });
  else poll();
  return !answer.error;
};

$("form").onsubmit = async (event) => {
  event.preventDefault();
  const button = $("form").querySelector(".main");
  button.disabled = true;
  await send("/try", new URLSearchParams(new FormData($("form"))));
  button.disabled = false;
};
$("anyway").onclick = () => send("/save", new URLSearchParams());
$("change").onclick = () => {
  polling++;
  $("result").hidden = true;
  $("form").hidden = false;
  $("password").focus();
};
$("ssid").oninput = choose;
$("again").onclick = () => networks("/scan");
for (const button of document.querySelectorAll("[data-shows]")) {
  button.onclick = () => {
    const field = $(button.dataset.shows);
    const shown = field.type === "password";
    field.type = shown ? "text" : "password";
    button.textContent = shown ? "Hide" : "Show";
    button.setAttribute("aria-pressed", shown);
  };
}

(async () => {
  try {
    const state = await ask("/state");
    known = state.known;
    $("device").textContent = "Set up " + state.device;
    for (const b of document.querySelectorAll(".ap")) b.textContent = state.ap;
    for (const key of ["name", "host", "port", "user", "base"]) if (!$(key).value) $(key).value = state[key];
    $("tls").checked = state.tls;
    $("kept").hidden = !state.secret;
    $("full").value = "1";
    if (state.trial) {
      $("ssid").value = state.trial.ssid;
      if (state.trial.busy || !state.trial.saved) poll();
    }
  } catch {
    // The form works without what the device would have told.
  }
  networks("/networks");
})();
