
// The search, and the operators' history.

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const SEARCHED = { reference: "reference", streamKey: "key" };

let found = { member: "", text: "", records: [], next: null };

/** Takes the text for an id, if it looks like one, then for a reference, then for a key. */
async function loadFound(members) {
  const text = members.get("text") || "";
  if (ID.test(text) && await exists(text)) return toRecord(text);
  for (const member of Object.keys(SEARCHED)) {
    const answer = await ask(`${store}?${new URLSearchParams({ [member]: text })}`);
    if (answer.records.length === 1 && !answer.next) return toRecord(answer.records[0].id);
    if (answer.records.length) return () => showFound(member, text, answer.records, answer.next);
  }
  return () => showFound("", text, [], null);
}

async function exists(id) {
  try {
    await ask(`${store}/${id}`);
    return true;
  } catch (error) {
    if (error.status !== 404) throw error;
    return false;
  }
}

/** Shows a record in place of the search, so that going back does not search again. */
function toRecord(id) {
  location.replace(linkTo("record", { id }));
  return () => {};
}

function showFound(member, text, records, next) {
  found = { member, text, records, next };
  $("found-more").hidden = !next;
  $("found-table").replaceChildren(records.length
    ? table(`${next ? "The latest" : "All"} ${many(records.length)} with the ${SEARCHED[member]} ${text}`,
      ["record", "status", "stored", "target"], records.map((one) =>
        [recordLink(one.id), lines(el("span", { class: `status-${one.status}` }, one.status), one.status_code && String(one.status_code)),
          when(one.createdDate), short(one.targetRestApi || "–")]))
    : el("p", {}, `No record has the id, reference or key “${short(text)}”. It must be written in full, with the same capitals; records that were archived are in the archive bucket.`));
}

async function findMore() {
  const { member, text, records, next } = found;
  const answer = await ask(`${store}?${new URLSearchParams({ [member]: text, after: next })}`);
  showFound(member, text, [...records, ...answer.records], answer.next);
}

async function loadHistory() {
  const { history: entries } = await ask(`${here}/history`);
  return () => $("history-table").replaceChildren(entries.length
    ? table(`The last ${many(entries.length)}, the newest first`, ["time", "who", "what"], entries.map((entry) =>
      [when(entry.time), entry.by || "anonymous", historyWords(entry)]))
    : el("p", {}, "Nobody has replayed, cancelled or edited anything yet, nor changed the targets."));
}

function historyWords(entry) {
  if (entry.act === "targets") return `changed the targets: version ${entry.version}`;
  if (entry.act === "cancel") return el("span", {}, "cancelled ", recordLink(entry.record));
  if (entry.act === "edit") return el("span", {}, "edited ", recordLink(entry.record));
  if (entry.act !== "replay") return entry.act;
  const words = Object.entries(entry.filter || {}).map(([name, value]) => {
    if (name === "ids") return counted(value.length, "record that was named", "records that were named");
    return name === "force" ? "dead ones and those not due yet, too" : `${FILTERS[name] || name} ${short(String(value))}`;
  });
  return lines(`replayed ${words.join(", ") || "whatever had failed"}`,
    `${many(entry.processedmessages)} delivered, ${many(entry.failedMessages)} failed again, ${many(entry.skippedMessages)} skipped`);
}
