// Keys on the page of an export request: j and k for the next and the previous output, v for the reason of the vote.
// Nothing is decided by a key. Without this file the page works the same by links.
"use strict";

function step(by) {
  const links = [...document.querySelectorAll("[data-review] .files a")];
  const now = links.findIndex((one) => one.hasAttribute("aria-current"));
  const next = links[now + by];
  if (next) next.click();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, [contenteditable]")) return;
  if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (event.key === "v") {
    const reason = document.getElementById("f-vote-reason");
    if (reason) {
      event.preventDefault();
      reason.focus();
    }
  }
});
