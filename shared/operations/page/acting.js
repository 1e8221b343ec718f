
// Replaying and cancelling many records: first how many and of what, then batch by batch, to be stopped at any.

const RETRY = `${here}/retry`;
const BATCH = 50; // records of a call: after each it says how far it is, and can stop
const MOST_IDS = 100;
const AT_ONCE = 5; // cancellations

const KINDS = {
  replay: {
    title: "Replay", doing: "Replaying", did: "Replayed", will: "will be sent again", would: "replayed",
    steps: (wanted, force) => wanted.ids ? replayOfIds(wanted.ids, force) : replayOfAll(wanted.filters, force),
  },
  cancel: {
    title: "Cancel records", doing: "Cancelling", did: "Ended", will: "will end as cancelled, and are never sent again",
    would: "cancelled", steps: (wanted) => wanted.ids ? cancelOfIds(wanted.ids) : cancelOfAll(wanted.filters),
  },
};

let job = null; // what is being done, or was done last
let asking = null; // what the dialog is about

const isBusy = () => Boolean(job) && !job.isEnded;

// What it is of

async function askFirst(kind) {
  const wanted = selection.isAll ? { filters } : { ids: [...selection.ids] };
  asking = { kind, wanted };
  $("sure-title").textContent = $("sure-yes").textContent = KINDS[kind].title;
  $("force-label").hidden = kind === "cancel"; // which takes whatever has failed
  $("force").checked = kind === "cancel" || Boolean(wanted.ids);
  $("sure").returnValue = "no";
  $("sure").showModal();
  await countFirst();
}

async function countFirst() {
  const mine = asking, kind = KINDS[asking.kind];
  $("sure-yes").disabled = true;
  $("sure-of").replaceChildren();
  say("sure-text", "Counting …");
  await tried("sure-text", async () => {
    const found = await preview(mine.wanted, $("force").checked);
    if (mine !== asking) return;
    mine.total = found.matching;
    $("sure-of").replaceChildren(...[["By code", found.byCode], ["By target", found.byTarget]].filter(([, counts]) =>
      Object.keys(counts).length).map(([title, counts]) =>
      table(title, ["which", "records"], Object.entries(counts).map(([name, number]) => [name, many(number)]))));
    $("sure-yes").disabled = !found.matching;
    say("sure-text", found.matching ? `${counted(found.matching, "failed record matches", "failed records match")} and ${kind.will}.`
      : `No failed record would be ${kind.would}.${$("force").checked ? "" : " Tick the box to include dead records and those not due yet."}`);
  });
}

async function preview({ filters: wanted, ids }, force) {
  const found = { matching: 0, byCode: {}, byTarget: {} };
  for (const part of ids ? chunks(ids) : [null]) {
    const answer = await ask(RETRY, "POST", { ...(part ? { ids: part } : wanted), ...(force && { force }), dryRun: true, breakdown: true });
    found.matching += answer.matchingMessages;
    for (const by of ["byCode", "byTarget"]) {
      for (const [name, number] of Object.entries(answer[by] || {})) found[by][name] = (found[by][name] || 0) + number;
    }
  }
  return found;
}

function chunks(ids) {
  const starts = Array.from({ length: Math.ceil(ids.length / MOST_IDS) }, (_, place) => place * MOST_IDS);
  return starts.map((start) => ids.slice(start, start + MOST_IDS));
}

// Steps: each call of what these return is one, which tells outcomes, and whether it was the last. One that
// failed can be called again.

function replayOfAll(wanted, force) {
  let after = "-1";
  return async () => {
    const answer = await ask(RETRY, "POST", { ...wanted, ...(force && { force }), readAfterOffset: after, noOfMessagesToProcess: BATCH });
    const isStuck = !answer.endOfStream && answer.lastReadOffset === after && !answer.processedmessages;
    if (isStuck) throw new Error("other workers hold the rest, or it is waiting");
    after = later(after, answer.lastReadOffset);
    return { outcomes: outcomesOf(answer), isLast: answer.endOfStream };
  };
}

function replayOfIds(ids, force) {
  const left = chunks(ids);
  let after = "-1", handled = 0;
  return async () => {
    const answer = await ask(RETRY, "POST", {
      ids: left[0], ...(force && { force }), readAfterOffset: after, noOfMessagesToProcess: MOST_IDS,
    });
    const outcomes = outcomesOf(answer);
    const isOver = answer.endOfStream || answer.lastReadOffset === after;
    handled += sum(outcomes);
    after = later(after, answer.lastReadOffset);
    if (isOver) {
      outcomes["not sent: no longer failed, or waiting"] = Math.max(0, left.shift().length - handled);
      after = "-1";
      handled = 0;
    }
    return { outcomes, isLast: !left.length };
  };
}

const sum = (outcomes) => Object.values(outcomes).reduce((total, number) => total + number, 0);

const outcomesOf = (answer) => ({
  delivered: answer.processedmessages, "failed again": answer.failedMessages, "skipped, since they wait": answer.skippedMessages,
});

/** The later of two offsets: ids sort by time as text. */
const later = (one, other) => one === "-1" || (other !== "-1" && other > one) ? other : one;

function cancelOfIds(ids) {
  const left = [...ids];
  return async () => {
    const outcomes = await cancelled(left.slice(0, AT_ONCE));
    left.splice(0, AT_ONCE);
    return { outcomes, isLast: !left.length };
  };
}

function cancelOfAll(wanted) {
  let left = [], after = "", isRead = false;
  return async () => {
    if (!left.length && !isRead) {
      const query = new URLSearchParams({ ...wanted, limit: MOST_IDS, ...(after && { after }) });
      const answer = await ask(`${here}/failures?${query}`);
      left = answer.failures.map((record) => record.id);
      after = answer.next;
      isRead = !after;
    }
    const outcomes = await cancelled(left.slice(0, AT_ONCE));
    left.splice(0, AT_ONCE);
    return { outcomes, isLast: isRead && !left.length };
  };
}

async function cancelled(ids) {
  const outcomes = { cancelled: 0, "finished already": 0 };
  await Promise.all(ids.map(async (id) => {
    try {
      await ask(`${store}/${encodeURIComponent(id)}`, "DELETE");
      outcomes.cancelled += 1;
    } catch (error) {
      if (error.status !== 409 && error.status !== 404) throw error;
      outcomes["finished already"] += 1;
    }
  }));
  return outcomes;
}

// Doing it

function begin() {
  const { kind, wanted, total } = asking;
  job = { kind: KINDS[kind], step: KINDS[kind].steps(wanted, $("force").checked), total, outcomes: {} };
  selectNone();
  return work();
}

async function work() {
  Object.assign(job, { isRunning: true, isStopping: false, trouble: "" });
  showJob();
  $("job-button").focus();
  while (!job.isEnded && !job.isStopping) {
    try {
      const { outcomes, isLast } = await job.step();
      for (const [name, number] of Object.entries(outcomes)) job.outcomes[name] = (job.outcomes[name] || 0) + number;
      job.isEnded = isLast;
    } catch (error) {
      Object.assign(job, { trouble: error.message, isStopping: true });
    }
    showJob();
  }
  job.isRunning = false;
  showJob();
  walked = [""]; // a later page may have come to nothing
  await refresh();
}

function showJob() {
  const { kind, outcomes, total, isEnded, isRunning, isStopping, trouble } = job;
  const done = sum(outcomes);
  const said = Object.entries(outcomes).filter(([name, number], place) => number || (place < 2 && kind === KINDS.replay))
    .map(([name, number]) => `${many(number)} ${name}`).join(", ") || "nothing yet";
  const state = isEnded ? kind.did : isRunning ? isStopping ? "Stopping" : kind.doing : "Stopped";
  $("job").hidden = false;
  $("job-label").textContent = `${kind.title}: ${many(done)} of ${many(Math.max(total, done))}`;
  $("job-bar").max = Math.max(total, done, 1);
  $("job-bar").value = isEnded ? $("job-bar").max : done;
  say("job-text", `${state}: ${said}${trouble ? `; stopped early: ${trouble.replace(/\.$/, "")}` : ""}.`, Boolean(trouble));
  $("job-button").textContent = isEnded ? "Close" : isRunning ? "Stop" : "Go on";
  $("job-button").disabled = isRunning && isStopping;
  showSelection();
}

function jobPressed() {
  if (job.isRunning) {
    job.isStopping = true;
    say("job-text", "Stopping after this batch …");
  } else if (!job.isEnded) {
    work();
  } else {
    job = null;
    $("job").hidden = true;
    $("failures-title").focus();
  }
}
