
// Failures: filters, which stand in the address, a page of them at a time, and which of them are selected.

const PAGE = 50;
const MOST_ASKED = 5; // pages that are read for one that is shown, if they hold only a few that match

const selection = { isAll: false, ids: new Set() };
let filters = null; // that are shown; null before any are
let walked = [""]; // what the page and each before it begins behind
let shown = { rows: [], next: null };

async function loadFailures(members) {
  const wanted = filtersOf(members);
  const isNew = JSON.stringify(wanted) !== JSON.stringify(filters);
  if (isNew) {
    filters = wanted;
    walked = [""];
    selectNone();
    fillFilter();
    $("failures-table").replaceChildren(); // what matched another filter is not to be acted on
    $("acts").hidden = $("sort-label").hidden = $("newer").hidden = $("older").hidden = true;
  }
  $("sort").value = members.get("sort") || "";
  const found = await failuresPage(wanted, walked.at(-1));
  return () => {
    shown = found;
    drawFailures();
  };
}

/** Reads on until a page is full, past pages that hold none that match. */
async function failuresPage(wanted, after) {
  const mine = turn, rows = [];
  let next = after;
  for (let asks = 1; ; asks += 1) {
    const query = new URLSearchParams({ ...wanted, limit: PAGE - rows.length });
    if (next) query.set("after", next);
    const answer = await ask(`${here}/failures?${query}`);
    rows.push(...answer.failures);
    next = answer.next;
    const isFull = rows.length >= PAGE || (rows.length && asks >= MOST_ASKED);
    if (!next || isFull || mine !== turn) return { rows, next };
    if (rows.length) continue;
    say("failures-message", "None among the latest; looking further back …");
    $("failures-message").dataset.isOfReading = "yes";
  }
}

// Filters

const toField = (date) => {
  const moment = new Date(date);
  return new Date(moment - moment.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
};

function fillFilter() {
  for (const name of Object.keys(FILTERS)) {
    const value = filters[name] || "";
    $("filter").elements[name].value = value && (name === "from" || name === "to") ? toField(value) : value;
  }
  $("chips").hidden = !Object.keys(filters).length;
  $("chips").replaceChildren(...Object.entries(filters).map(([name, value]) => el("li", {}, chip(name, value))));
}

function chip(name, value) {
  const text = name === "from" || name === "to" ? when(value) : short(value);
  const act = () => go(linkTo("failures", { ...filters, [name]: "", sort: $("sort").value }));
  const element = button("", act, `chip ${name}`);
  element.append(el("span", { class: "unseen" }, "Remove filter "), `${FILTERS[name]}: `, text, el("span", { "aria-hidden": "true" }, " ✕"));
  return element;
}

function filterSubmitted(event) {
  event.preventDefault();
  const wanted = {};
  for (const name of Object.keys(FILTERS)) {
    const text = $("filter").elements[name].value.trim();
    wanted[name] = text && (name === "from" || name === "to") ? new Date(text).toISOString() : text;
  }
  walked = [""];
  go(linkTo("failures", { ...wanted, sort: $("sort").value }));
}

// The table

function sorted(rows) {
  const by = $("sort").value;
  if (!by) return rows;
  const name = by.replace("-", "");
  const inOrder = [...rows].sort((a, b) => (a[name] || "~").localeCompare(b[name] || "~"));
  return by === name ? inOrder : inOrder.reverse();
}

function drawFailures() {
  const rows = sorted(shown.rows);
  $("failures-table").replaceChildren(rows.length
    ? table(`Page ${many(walked.length)}: ${counted(rows.length, "failure", "failures")}${Object.keys(filters).length ? " that match" : ""}`,
      ["select", "record", "last attempt", "code", "target", "state"], rows.map(failureRow))
    : el("p", {}, emptyWords()));
  $("acts").hidden = $("sort-label").hidden = !rows.length;
  $("newer").hidden = walked.length === 1;
  $("older").hidden = !shown.next;
  showSelection();
}

function emptyWords() {
  if (walked.length > 1) return "Nothing more matches. Go a page back, or change the filter.";
  if (Object.keys(filters).length) return "No failed record matches. Remove a filter, or look for a record above, whatever became of it.";
  return "Nothing has failed: there is nothing to do here.";
}

function failureRow(record) {
  const box = el("input", { type: "checkbox", "aria-label": `Select record ${record.id}`, "data-key": `select ${record.id}` });
  box.addEventListener("change", () => select(record.id, box.checked));
  const names = [record.streamKey && `key ${record.streamKey}`, record.reference && `reference ${record.reference}`];
  const code = String(record.status_code);
  return [
    box,
    lines(recordLink(record.id), ...names.filter(Boolean).map((text) => el("span", { class: "soft" }, short(text)))),
    lines(when(record.lastAttemptDate), el("span", { class: "soft" }, "stored ", when(record.createdDate))),
    el("a", { href: linkTo("failures", { ...filters, retryCodes: code }), "data-key": `code ${record.id}`, "aria-label": `Code ${code}: only failures with it` }, code),
    record.targetRestApi ? el("span", { title: record.targetRestApi }, short(record.targetRestApi)) : "–",
    lines(record.dead ? "dead" : el("span", {}, "next attempt ", when(record.nextAttemptDate)),
      el("span", { class: "soft" }, short(record.failure_reason || ""))),
  ];
}

async function turnPage(isOlder) {
  if (isOlder) walked.push(shown.next);
  else walked.pop();
  await refresh();
  $("failures-title").focus();
}

// The selection

function select(id, isSelected) {
  if (selection.isAll) { // one of all is taken out: what is left are those of this page
    selection.isAll = false;
    shown.rows.forEach((record) => selection.ids.add(record.id));
  }
  if (isSelected) selection.ids.add(id);
  else selection.ids.delete(id);
  showSelection();
}

function selectPage() {
  selection.isAll = false;
  shown.rows.forEach((record) => selection.ids.add(record.id));
  showSelection();
}

function selectAll() {
  selection.isAll = true;
  selection.ids.clear();
  showSelection();
}

function selectNone() {
  selection.isAll = false;
  selection.ids.clear();
  showSelection();
}

function showSelection() {
  const { isAll, ids } = selection;
  const isNone = !isAll && !ids.size;
  const all = Object.keys(filters || {}).length ? "All that match are selected, on every page" : "All failures are selected, on every page";
  write("selected", isAll ? all : isNone ? "Nothing is selected" : `${many(ids.size)} selected`);
  for (const id of ["replay-selected", "cancel-selected"]) $(id).disabled = isNone || isBusy();
  $("select-none").disabled = isNone;
  for (const box of $("failures-table").querySelectorAll("input[type=checkbox]")) {
    const row = box.closest("tr");
    box.checked = isAll || ids.has(row.querySelector("[data-id]").dataset.id);
    row.classList.toggle("selected", box.checked);
  }
}
