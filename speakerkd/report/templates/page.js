"use strict";
// shows and hides a system in every table and picture
for (const box of document.querySelectorAll("input[data-toggle]")) {
  box.addEventListener("change", () => {
    for (const part of document.querySelectorAll(`[data-system="${box.dataset.toggle}"]`)) {
      part.classList.toggle("hidden", !box.checked);
    }
  });
}
for (const choice of document.querySelectorAll('input[name="scheme"]')) {
  choice.addEventListener("change", () => {
    if (choice.value === "auto") delete document.documentElement.dataset.scheme;
    else document.documentElement.dataset.scheme = choice.value;
  });
}
const sayWider = () => {
  for (const box of document.querySelectorAll(".scroll")) {
    box.parentElement.classList.toggle("wider", box.scrollWidth > box.clientWidth + 1);
  }
};
addEventListener("resize", sayWider);
sayWider();
