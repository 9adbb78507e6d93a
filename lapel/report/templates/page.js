"use strict";
// Buttons that copy what stands before them, and pictures that open large.
(() => {
  async function copy(element) {
    const range = document.createRange();
    range.selectNodeContents(element);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    try {
      await navigator.clipboard.writeText(element.textContent);
    } catch {
      document.execCommand("copy"); // Where a page from disk has no clipboard of its own.
    }
    getSelection().removeAllRanges();
  }

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      await copy(button.previousElementSibling);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  const large = document.createElement("dialog");
  large.className = "large";
  large.setAttribute("aria-label", "Enlarged picture; Escape or a tap closes it");
  large.addEventListener("click", () => large.close());
  document.body.append(large);
  for (const button of document.querySelectorAll("button.picture")) {
    button.addEventListener("click", () => {
      const image = button.querySelector("img").cloneNode();
      const words = document.createElement("p");
      words.textContent = image.alt;
      large.replaceChildren(image, words);
      large.showModal();
    });
  }
})();
