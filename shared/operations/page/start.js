
// Which view is shown, and when it is read anew.

const REFRESH_SECONDS = 30;
const VIEWS = {
  overview: loadOverview, failures: loadFailures, record: loadRecord, found: loadFound, history: loadHistory,
};

let turn = 0; // counts readings: one that was overtaken by another draws nothing
let isReading = false;
let readAt = 0;

const viewOf = (members) => Object.hasOwn(VIEWS, members.get("view")) ? members.get("view") : "overview";

/** Reads what the address names, and draws it. */
async function refresh() {
  const mine = turn += 1, members = address(), view = viewOf(members), message = $(`${view}-message`);
  isReading = true;
  try {
    const draw = await VIEWS[view](members);
    if (mine !== turn) return;
    keepingFocus($(view), draw);
    $("asof").textContent = `as of ${new Date().toLocaleTimeString()};`;
    if (message.dataset.isOfReading) say(message.id, "");
  } catch (error) {
    if (mine !== turn) return;
    say(message.id, error.message, true);
    message.dataset.isOfReading = "yes";
  } finally {
    if (mine === turn) isReading = false;
    readAt = Date.now();
  }
}

/** Shows the view that the address names, and begins reading at its heading: to whoever hears it, it is a new page. */
async function arrive() {
  const view = viewOf(address()), isOther = $(view).hidden;
  for (const name of Object.keys(VIEWS)) $(name).hidden = name !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const reading = refresh();
  document.title = `${$(`${view}-title`).textContent} – Data Sync`;
  if (isOther) $(`${view}-title`).focus();
  await reading;
}

function refreshIfQuiet() {
  const isQuiet = !isReading && !isBusy() && !$("sure").open && $("found").hidden; // a search is asked for, once
  if (document.visibilityState === "visible" && isQuiet && Date.now() - readAt >= REFRESH_SECONDS * 1000) refresh();
}

function sureClosed() {
  const isSure = $("sure").returnValue === "yes";
  const { one } = asking;
  if (isSure && one) tried("record-message", () => cancelOne(one));
  else if (isSure) begin();
}

const on = (id, event, act) => $(id).addEventListener(event, act);

on("refresh", "click", async () => {
  await refresh();
  say("announcer", `Refreshed, ${$("asof").textContent}`);
});
on("skip", "click", (event) => {
  event.preventDefault(); // the address is the view's
  $("main").focus();
});
on("find", "submit", (event) => {
  event.preventDefault();
  const text = $("find-text").value.trim();
  if (text) go(linkTo("found", { text }));
});
on("filter", "submit", filterSubmitted);
on("sort", "change", () => {
  history.replaceState(null, "", linkTo("failures", { ...filters, sort: $("sort").value }));
  keepingFocus($("failures"), drawFailures);
});
on("older", "click", () => turnPage(true));
on("newer", "click", () => turnPage(false));
on("select-page", "click", selectPage);
on("select-all", "click", selectAll);
on("select-none", "click", selectNone);
on("replay-selected", "click", () => askFirst("replay"));
on("cancel-selected", "click", () => askFirst("cancel"));
on("force", "change", countFirst);
on("sure", "close", sureClosed);
on("job-button", "click", jobPressed);
on("record-replay", "click", () => tried("record-message", replayRecord));
on("record-cancel", "click", cancelRecord);
on("edit", "submit", saveEdit);
on("found-more", "click", () => tried("found-message", findMore));

$("zone").textContent = `times are in ${ZONE}${ZONE === "UTC" ? "" : ", and in UTC on hover"}`;
$("filter-box").open = matchMedia("(min-width: 42rem)").matches;
addEventListener("hashchange", arrive);
addEventListener("resize", showDay);
addEventListener("beforeunload", (event) => {
  if (job?.isRunning) event.preventDefault(); // what runs would stop where it is
});
document.addEventListener("visibilitychange", refreshIfQuiet);
setInterval(refreshIfQuiet, 1000);
arrive();
