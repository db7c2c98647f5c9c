// Fetches parts of the page anew. The server makes the HTML; here is nothing but when, and into which place.
"use strict";
const EVERY_MS = 2000;
const place = (id) => document.getElementById(id);
let followed = "";

async function part(path, id, options = {}) {
  const key = place("key")?.value;
  const answer = await fetch(path, { ...options, headers: key ? { "X-API-Key": key } : {}, cache: "no-store" });
  const html = await answer.text();
  const target = place(id);
  if (target && target.dataset.shown !== html) {
    target.innerHTML = html;
    target.dataset.shown = html;
  }
  return answer.ok;
}

const follow = () => part("device?id=" + encodeURIComponent(followed), "followed");

async function refresh() {
  try {
    if (!document.hidden) {
      await part("figures", "figures");
      if (followed && !place("followed").contains(document.activeElement)) await follow();
      say("live");
    }
  } catch {
    say("no answer; the figures are those from before");
  }
  setTimeout(refresh, EVERY_MS);
}

function say(words) {
  if (place("contact").textContent !== words) place("contact").textContent = words;
}

function on(id, event, act) {
  place(id)?.addEventListener(event, async (happened) => {
    if (event === "submit") happened.preventDefault();
    try {
      await act(happened);
    } catch {
      say("no answer; try again");
    }
  });
}

on("follow", "submit", () => {
  followed = place("device").value;
  return follow();
});
on("unlock", "submit", () => part("dead-letters", "letters"));
on("letters", "click", async (happened) => {
  const id = happened.target.dataset.replay;
  if (id === undefined) return;
  await part("dead-letters/replay" + (id ? "?id=" + encodeURIComponent(id) : ""), "letters", { method: "POST" });
  place("letters").focus();
});

followed = place("device")?.value ?? "";
refresh();
