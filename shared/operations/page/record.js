
// One record: its state, what became of it, and what can be done to it.

const FACTS = ["status", "status_code", "failure_reason", "error_stream", "targetRestApiOperation", "targetRestApi", "streamKey",
  "reference", "caller", "vaultSecretName", "filteredBy", "createdDate", "lastAttemptDate", "nextAttemptDate"];
const SENT = ["targetRestApiHeaders", "targetRestApiPayload"];
const FINISHED = ["success", "filtered", "cancelled"];
const MOST_PAGES = 10; // of failures that were stored in the same millisecond

let record = {};
let known = {}; // what the fields of the form held when they were filled

async function loadRecord(members) {
  const id = members.get("id") || "";
  if (id !== record.id) clearRecord(id);
  const found = await ask(`${store}/${encodeURIComponent(id)}`);
  const sent = found.status === "failed" ? await sentOf(found) : {};
  return () => {
    record = found;
    showRecord(sent);
    if (!$("edit-box").open) fillEdit(sent);
  };
}

/** Takes away what is shown of another record, before somebody acts on it. */
function clearRecord(id) {
  record = { id };
  $("record-title").textContent = `Record ${id}`;
  $("record-body").replaceChildren();
  for (const part of ["record-replay", "record-cancel", "edit-box"]) $(part).hidden = true;
  $("edit-box").open = false;
  say("record-message", "");
  say("edit-message", "");
}

/** Headers and payload, which only the list of failures shows, and only where the operator turned that on. */
async function sentOf(found) {
  const until = new Date(Date.parse(found.createdDate) + 1).toISOString();
  const query = new URLSearchParams({ from: found.createdDate, to: until, limit: 100 });
  if (found.streamKey) query.set("streamKey", found.streamKey);
  try {
    for (let pages = 0; pages < MOST_PAGES; pages += 1) {
      const answer = await ask(`${here}/failures?${query}`);
      const own = answer.failures.find((one) => one.id === found.id);
      if (own) return Object.fromEntries(SENT.filter((name) => name in own).map((name) => [name, JSON.stringify(own[name], null, 2)]));
      if (!answer.next) break;
      query.set("after", answer.next);
    }
  } catch { /* the record is shown all the same */ }
  return {};
}

function showRecord(sent) {
  const isFinished = FINISHED.includes(record.status);
  $("record-replay").hidden = record.status !== "failed";
  $("record-cancel").hidden = $("edit-box").hidden = isFinished;
  $("record-body").replaceChildren(facts(isFinished), el("h3", {}, "What became of it"), timeline(),
    ...SENT.filter((name) => name in sent).flatMap((name) =>
      [el("h3", {}, name), el("pre", { tabindex: 0, role: "group", "aria-label": name }, sent[name])]));
}

function facts(isFinished) {
  const words = [...FACTS.filter((name) => name in record && record[name] !== null).map((name) => [name, factOf(name)])];
  if (record.dead) words.splice(1, 0, ["dead", "nothing retries it by itself"]);
  if (isFinished) words.push(["finished", "nothing can be changed any more"]);
  return el("dl", { class: "facts" }, ...words.flatMap(([name, shown_]) => [el("dt", {}, name), el("dd", {}, shown_)]));
}

function factOf(name) {
  const value = record[name];
  if (name.endsWith("Date")) return when(value);
  if (name === "status") return el("span", { class: `status-${value}` }, value);
  if (name === "streamKey" || name === "reference") {
    return lines(value, el("a", { href: linkTo("failures", { [name]: value }), "data-key": `all ${name}` }, `failures of this ${name === "reference" ? name : "key"}`));
  }
  return value;
}

/** Everything that is known of it, the latest first. */
function timeline() {
  const events = [{ time: record.createdDate, shown: ["Stored", record.caller && ` by ${record.caller}`] },
    ...(record.attempts || []).map((one) => ({ time: one.time, shown: attempt(one) })),
    ...(record.history || []).map((one) => ({ time: one.time, shown: act(one) }))];
  events.sort((one, other) => other.time.localeCompare(one.time));
  return el("ol", { id: "timeline", reversed: true }, ...events.map(({ time, shown: parts }) =>
    el("li", {}, when(time), " – ", ...parts.filter(Boolean))));
}

function attempt(one) {
  const took = one.durationMs === undefined ? "" : `, took ${many(one.durationMs)} ms`;
  return [`Attempt: ${one.code}${took}${one.reason ? `: ${one.reason}` : ""}`,
    one.answer && el("div", {}, "The target said:", el("pre", { tabindex: 0, role: "group", "aria-label": "The target's answer" }, one.answer))];
}

function act(one) {
  const what = { cancelled: "Cancelled", edited: "Edited", replayed: "Replayed" }[one.act] || one.act;
  return [`${what}${one.by ? ` by ${one.by}` : ""}${one.changed ? `: ${one.changed.join(", ")}` : ""}`,
    one.was && Object.keys(one.was).length > 0 && el("div", {}, "Before:", el("pre", {}, JSON.stringify(one.was, null, 2)))];
}

// What can be done to it

async function replayRecord() {
  say("record-message", "Sending it …");
  const answer = await ask(RETRY, "POST", { ids: [record.id], force: true });
  await refresh();
  say("record-message", replayWords(answer), !answer.processedmessages);
}

function replayWords(answer) {
  if (answer.processedmessages) return "Delivered.";
  if (answer.failedMessages) return `It failed again: ${record.failure_reason || record.status_code}`;
  return "It was not sent: its target is paused or rests, another worker holds it, or an earlier record of its key waits.";
}

function cancelRecord() {
  asking = { one: record.id };
  $("sure-title").textContent = $("sure-yes").textContent = "Cancel this record";
  $("force-label").hidden = true;
  $("sure-of").replaceChildren();
  $("sure-yes").disabled = false;
  say("sure-text", "It will end as cancelled, and is never sent again.");
  $("sure").returnValue = "no";
  $("sure").showModal();
}

async function cancelOne(id) {
  await ask(`${store}/${encodeURIComponent(id)}`, "DELETE");
  await refresh();
  say("record-message", "Cancelled: it is never sent again.");
  $("record-title").focus();
}

function fillEdit(sent) {
  known = { targetRestApi: record.targetRestApi || "", targetRestApiHeaders: "", targetRestApiPayload: "", ...sent };
  for (const [name, text] of Object.entries(known)) $("edit").elements[name].value = text;
  $("edit-hint").textContent = Object.keys(sent).length ? "A field that is emptied is removed from the record."
    : "Headers and payload are not shown here, unless SHOW_PAYLOADS is on. What you write takes their place; what you leave empty stays.";
}

/** Only what was changed is sent, and JSON as it was typed: no number is rounded on its way. */
function editBody() {
  const members = Object.keys(known).map((name) => [name, $("edit").elements[name].value.trim()])
    .filter(([name, text]) => text !== known[name].trim());
  return `{${members.map(([name, text]) => `"${name}":${name === "targetRestApi" ? JSON.stringify(text) : jsonOf(name, text)}`).join()}}`;
}

function jsonOf(name, text) {
  if (!text) return "null";
  try {
    JSON.parse(text);
  } catch (error) {
    throw new Refused(0, `${name} is not JSON: ${error.message}`, [{ pointer: `/${name}` }]);
  }
  return text;
}

async function saveEdit(event) {
  event.preventDefault();
  const fields = $("edit").elements;
  for (const name of Object.keys(known)) fields[name].removeAttribute("aria-invalid");
  try {
    const body = editBody();
    if (body === "{}") return say("edit-message", "Nothing was changed.");
    await ask(`${store}/${encodeURIComponent(record.id)}`, "PATCH", body);
    $("edit-box").open = false;
    await refresh();
    say("record-message", "Saved. Replay sends it as it is now.");
    $("record-replay").focus();
  } catch (error) {
    say("edit-message", error.message, true);
    const wrong = (error.faults || []).map((fault) => fields[fault.pointer.split("/")[1]]).filter(Boolean);
    for (const field of wrong) field.setAttribute("aria-invalid", "true");
    wrong[0]?.focus();
  }
}
