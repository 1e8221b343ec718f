
"use strict";

// What the page is built of. Text from records only ever becomes text: nothing here reads HTML.

const SVG = "http://www.w3.org/2000/svg";
const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
const LONG = 120; // characters of a URL or reason in a table; the record's own view shows all of it
const $ = (id) => document.getElementById(id);

function made(space, tag, attributes, children) {
  const element = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  const shown = children.filter((child) => child !== undefined && child !== null);
  element.append(...shown.map((child) => child instanceof Node ? child : String(child)));
  return element;
}

const el = (tag, attributes, ...children) => made("http://www.w3.org/1999/xhtml", tag, attributes, children);
const svg = (tag, attributes, ...children) => made(SVG, tag, attributes, children);

/** A button; `key` finds it again after the part of the page that it stands in was drawn anew. */
function button(text, act, key, attributes = {}) {
  const element = el("button", { type: "button", "data-key": key, ...attributes }, text);
  element.addEventListener("click", act);
  return element;
}

/** A table whose rows become cards on a narrow screen; its roles are said since cards would lose them. */
function table(caption, heads, rows) {
  const cell = (content, place) => el("td", { role: "cell", "data-label": heads[place] }, el("div", {}, content));
  return el("table", { role: "table", class: "cards" }, el("caption", {}, caption),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" },
      ...heads.map((head) => el("th", { role: "columnheader", scope: "col" }, head)))),
    el("tbody", { role: "rowgroup" }, ...rows.map((row) => el("tr", { role: "row" }, ...row.map(cell)))));
}

const many = (number) => Number(number).toLocaleString();
const counted = (number, one, more) => `${many(number)} ${number === 1 ? one : more}`;
const short = (text) => text.length > LONG ? `${text.slice(0, LONG)}…` : text;
const lines = (...parts) => el("div", {}, ...parts.filter(Boolean).map((part) => el("p", {}, part)));

/** A time in the zone that the page names, with UTC on hover. */
function when(date) {
  const moment = new Date(date || NaN);
  if (Number.isNaN(moment.getTime())) return date || "–";
  const shown = moment.toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });
  return el("time", { datetime: moment.toISOString(), title: `${moment.toISOString().slice(0, 19).replace("T", " ")} UTC` }, shown);
}

function lasting(seconds) {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

/** Writes what is heard, too, only if it changes: else it would be read out at each refreshing. */
function write(place, text) {
  if ($(place).textContent !== text) $(place).textContent = text;
}

/** Says something at a place, which is beside what was acted on. */
function say(place, text, isFailure = false) {
  write(place, text);
  $(place).classList.toggle("failure", isFailure);
  delete $(place).dataset.isOfReading;
}

/** Does something, and says at a place why it did not work. */
async function tried(place, act) {
  try {
    await act();
  } catch (error) {
    say(place, error.message, true);
  }
}

/** Draws a part of the page anew, and leaves the focus on what had it. */
function keepingFocus(part, draw) {
  const key = document.activeElement?.dataset.key;
  draw();
  if (key && document.activeElement?.dataset.key !== key) {
    part.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
  }
}
