
// Counts, the last day, what fails and why, and who works.

const NAMES = {
  not_processed: "not processed", success: "delivered", dead: "of these dead", held: "of these held",
};
const DAY_HEIGHT = 130;

let day = []; // as it was drawn, to be drawn again at another width

async function loadOverview() {
  const [report, targets] = await Promise.allSettled([ask(here), ask(`${here}/targets`)]);
  if (report.status === "rejected") throw report.reason;
  return () => {
    showCounts(report.value);
    day = report.value.lastDay;
    showDay();
    showReasons(report.value.failed);
    showWork(report.value);
    if (targets.status === "fulfilled") showTargets(targets.value);
    else say("targets-message", targets.reason.message, true);
  };
}

function showCounts(report) {
  const tiles = Object.entries(report.counts).map(([name, number]) => [NAMES[name] || name, many(number)]);
  const oldest = el("span", {}, report.oldestDueDate ? lasting(report.oldestDueSeconds) : "–");
  if (report.oldestDueDate) oldest.title = when(report.oldestDueDate).title;
  const failed = tiles.find(([name]) => name === "failed");
  if (report.counts.failed) failed[1] = el("a", { href: linkTo("failures"), "aria-label": `${failed[1]} failures` }, failed[1]);
  tiles.push(["due now", many(report.due)], ["oldest due for", oldest]);
  $("counts").replaceChildren(...tiles.map(([name, text]) => el("div", {}, el("dt", {}, name), el("dd", {}, text))));
}

const hourName = (hour) => new Date(hour).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

/** Draws as wide as the screen is, so that labels keep their size. */
function showDay() {
  if (!day.length || !$("day").clientWidth) return; // nothing to draw yet, or another view is shown
  const most = Math.max(1, ...day.map((hour) => hour.delivered + hour.failed));
  const total = (name) => many(day.reduce((sum, hour) => sum + hour[name], 0));
  const width = Math.max(260, $("day").clientWidth);
  const left = 12 + 8 * many(most).length;
  const step = (width - left - 24) / day.length;
  const every = Math.ceil(56 / step); // hours from label to label
  const bars = day.flatMap((hour, place) => dayBar(hour, left + place * step, step, most, place % every === 0));
  const label = `${total("delivered")} deliveries and ${total("failed")} failures in the last 24 hours`;
  $("day").replaceChildren(svg("svg", {
    viewBox: `0 0 ${width} ${DAY_HEIGHT + 40}`, height: DAY_HEIGHT + 40, role: "img", "aria-label": label,
  },
  svg("line", { class: "axis", x1: left, x2: width - 4, y1: DAY_HEIGHT + 14.5, y2: DAY_HEIGHT + 14.5 }),
  svg("text", { x: left - 6, y: 18, "text-anchor": "end" }, many(most)),
  svg("text", { x: left - 6, y: DAY_HEIGHT + 18, "text-anchor": "end" }, 0), ...bars));
  $("day-table").replaceChildren(table("Deliveries and failed attempts by the hour", ["hour", "delivered", "failed", "dead"],
    day.map((hour) => [when(hour.hour), many(hour.delivered), many(hour.failed), many(hour.dead)])));
}

function dayBar(hour, x, step, most, hasLabel) {
  const good = DAY_HEIGHT * hour.delivered / most, bad = DAY_HEIGHT * hour.failed / most;
  const foot = DAY_HEIGHT + 14, width = step * .75;
  const bar = svg("g", {}, svg("title", {}, `${hourName(hour.hour)}: ${hour.delivered} delivered, ${hour.failed} failed`),
    svg("rect", { class: "good", x, y: foot - good, width, height: good }),
    svg("rect", { class: "bad", x, y: foot - good - bad, width, height: bad }));
  if (!hasLabel) return [bar];
  return [bar, svg("text", { x: x + width / 2, y: foot + 18, "text-anchor": "middle" }, hourName(hour.hour))];
}

function showReasons(failed) {
  const kinds = [["By code", failed.byCode, "retryCodes"], ["By error stream", failed.byStream, "streamOCIDToRetry"],
    ["By target", failed.byTarget, "targetRestApi"]];
  const shown = kinds.filter(([, counts]) => Object.keys(counts).length);
  $("reasons").replaceChildren(...(shown.length ? shown.map((kind) => reasons(...kind)) : [el("p", {}, "Nothing has failed.")]));
}

function reasons(title, counts, member) {
  const most = Math.max(1, ...Object.values(counts));
  const rows = Object.entries(counts).sort((a, b) => b[1] - a[1]).map(([name, number]) => {
    const bar = svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "bad", width: Math.max(1, 100 * number / most), height: 10 }));
    return [lines(failuresLink(name, member), bar), many(number)];
  });
  return table(title, ["which", "records"], rows);
}

/** What leads to the failures of a code, an error stream or a host. */
function failuresLink(name, member) {
  if (member !== "targetRestApi") return el("a", { href: linkTo("failures", { [member]: name }) }, name);
  const act = () => tried("targets-message", async () => go(linkTo("failures", { targetRestApi: (await basesOf(name))[0] })));
  return button(name, act, `host ${name}`, { class: "link" });
}

function showWork(report) {
  const leases = report.leases.map((lease) => [lease.worker, lease.partitions, lease.inFlight,
    lease.expired ? "stopped renewing" : when(lease.until)]);
  $("work").replaceChildren(
    leases.length ? table("Workers", ["worker", "partitions", "in flight", "until"], leases)
      : el("p", {}, "No worker is running. A schedule, or POST /process, starts one."),
    el("p", {}, report.openCircuits.length ? `Open circuits: ${report.openCircuits.join(", ")}` : "No circuit is open."));
}
