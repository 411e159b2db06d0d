// What the page does beyond being read: filter, sort, choose columns, tell footnotes and points.
// Without this script everything is there and in order.
"use strict";

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const byId = (id) => document.getElementById(id);

// The filter: rows of tables, points of charts and variants that carry a name.
const filter = byId("filter");

function matches(element, words, family, tag) {
  const { name, family: own, tags } = element.dataset;
  if (family && own !== family) return false;
  if (tag && !tags.split(" ").includes(tag)) return false;
  return !words.length || words.some((word) => name.toLowerCase().includes(word));
}

function applyFilter() {
  const words = byId("filter-text").value.toLowerCase().split(/[\s,]+/).filter(Boolean);
  const family = byId("filter-family").value;
  const tag = byId("filter-tag").value;
  const names = new Set();
  const kept = new Set();
  for (const element of all("[data-name]")) {
    const stays = matches(element, words, family, tag);
    element.classList.toggle("out", !stays);
    if (element.localName !== "tr") continue;
    names.add(element.dataset.name);
    if (stays) kept.add(element.dataset.name);
  }
  byId("filter-said").textContent = `${kept.size} of ${names.size} rows`;
}

filter.addEventListener("input", applyFilter);
filter.addEventListener("reset", () => setTimeout(applyFilter));
filter.addEventListener("submit", (event) => event.preventDefault());
filter.hidden = false;
applyFilter();

// Sorting: within the groups of a table; what is no number comes last.
function keyOf(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = parseFloat(text.replace("\u2212", "-"));
  return { text, number: /^[\u2212-]?[\d.]/.test(text) ? number : NaN };
}

function compare(a, b, sign) {
  const isNumber = [!Number.isNaN(a.number), !Number.isNaN(b.number)];
  if (isNumber[0] && isNumber[1]) return sign * (a.number - b.number);
  if (isNumber[0] !== isNumber[1]) return isNumber[0] ? -1 : 1;
  return sign * a.text.localeCompare(b.text, "en", { numeric: true });
}

function sort(head) {
  const table = head.closest("table");
  const descends = head.getAttribute("aria-sort") === "ascending";
  for (const other of all("th[aria-sort]", table)) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descends ? "descending" : "ascending");
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
    const keyed = rows.map((row) => [keyOf(row, head.cellIndex), row]);
    keyed.sort(([a], [b]) => compare(a, b, descends ? -1 : 1));
    body.append(...keyed.map(([, row]) => row));
  }
}

// No <button>: Chromium repeats a heading that holds one on no further sheet of paper.
function makeSortable(head) {
  const button = document.createElement("span");
  Object.assign(button, { role: "button", tabIndex: 0 });
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => sort(head));
  button.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    sort(head);
  });
}

// Columns: a box a heading, the first stays.
function showColumn(table, index, isShown) {
  for (const row of table.rows) {
    if (!row.classList.contains("group")) row.cells[index].hidden = !isShown;
  }
}

function offerColumns(sheet) {
  const table = sheet.querySelector("table");
  const details = document.createElement("details");
  details.append(Object.assign(document.createElement("summary"), { textContent: "Columns" }));
  all("thead th", table).slice(1).forEach((head, i) => {
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
    box.addEventListener("change", () => showColumn(table, i + 1, box.checked));
    const label = document.createElement("label");
    label.append(box, ` ${head.textContent}`);
    details.append(label);
  });
  const place = sheet.querySelector(".columns");
  place.append(details);
  place.hidden = false;
}

for (const sheet of all(".sheet")) {
  offerColumns(sheet);
  all("thead th", sheet).forEach(makeSortable);
}

// Tips: what a footnote or a point says, under the pointer and at the focus.
const tip = byId("tip");

// The browser's own tip comes late, and not at the focus: ours takes its text.
function textOf(element) {
  const title = element.querySelector(":scope > title");
  const text = title ? title.textContent : element.title;
  if (!text) return element.dataset.tip;
  element.dataset.tip = text;
  element.setAttribute("aria-label", text);
  if (title) title.remove();
  else element.removeAttribute("title");
  return text;
}

let told = null; // what the tip is of

function showTip(element) {
  told = element;
  tip.textContent = textOf(element);
  tip.hidden = false;
  placeTip();
}

function placeTip() {
  if (tip.hidden) return;
  const box = told.getBoundingClientRect();
  const left = Math.min(box.left, document.documentElement.clientWidth - tip.offsetWidth - 8);
  const above = box.top - tip.offsetHeight - 6;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above > 0 ? above : box.bottom + 6}px`;
}

function follow(event) {
  const element = event.target.closest && event.target.closest(".note, .point");
  if (element) showTip(element);
  else if (told !== document.activeElement) hideTip();
}

function hideTip() {
  tip.hidden = true;
}

document.addEventListener("pointerover", follow);
document.addEventListener("focusin", follow);
document.addEventListener("focusout", hideTip);
document.addEventListener("scroll", placeTip, { capture: true, passive: true });
document.addEventListener("keydown", (event) => event.key === "Escape" && hideTip());

// Charts by keyboard: the arrows go from point to point, left to right.
const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

function across(point) {
  return point.transform.baseVal.consolidate().matrix.e;
}

function step(chart, event) {
  const by = STEPS[event.key];
  if (!by) return;
  event.preventDefault();
  const points = all(".point:not(.out)", chart).sort((a, b) => across(a) - across(b));
  const at = points.indexOf(document.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : points.length - 1) : (at + by + points.length) % points.length;
  if (points.length) points[next].focus({ preventScroll: true });
}

for (const chart of all(".chart svg")) chart.addEventListener("keydown", (event) => step(chart, event));

// A link to what is folded opens it; paper shows everything.
function unfold() {
  const target = location.hash.length > 1 && byId(decodeURIComponent(location.hash.slice(1)));
  if (target && target.localName === "details") target.open = true;
}

addEventListener("hashchange", unfold);
unfold();
addEventListener("beforeprint", () => all("details").forEach((one) => (one.open = true)));
