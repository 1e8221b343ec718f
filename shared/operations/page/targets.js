
// Targets with what is live of them, and their pauses.

const POLICIES = `${here}/targets`;
let pauseSaid = {}; // what was last done to a target, to be said in its row

function showTargets(document) {
  const rows = document.live.map((line) => {
    const name = line.name || line.target;
    const policy = document.targets.find((one) => one.name === line.name);
    return [lines(name, policy && el("span", { class: "soft" }, short(policy.targetRestApi))), stateOf(line), many(line.waiting),
      targetFailures(line, policy), lines(pauseButton(line, name), pauseSaid.name === name && pauseSaid.text)];
  });
  $("pause-label").hidden = !rows.length;
  $("targets").replaceChildren(rows.length ? table("Targets, as they are now", ["target", "state", "waiting", "failed", "pause"], rows)
    : el("p", {}, "No target is known yet: each record that is stored brings its own."));
}

function stateOf(line) {
  const states = [];
  if (line.paused) states.push(line.pausedUntil ? el("span", {}, "paused until ", when(line.pausedUntil)) : "paused until somebody resumes it");
  if (line.restingUntil) states.push(el("span", {}, "overloaded, rests until ", when(line.restingUntil)));
  if (line.circuitOpen) states.push("does not answer: its circuit is open");
  if (!states.length) states.push("open");
  if (line.rateUsed !== undefined) states.push(`${many(line.rateUsed)} requests of its rate used`);
  return lines(...states);
}

function targetFailures(line, policy) {
  if (!line.failed) return "0";
  if (!policy) return failuresLinkTo(line);
  return el("a", { href: linkTo("failures", { targetRestApi: policy.targetRestApi }), "aria-label": `${many(line.failed)} failures of ${line.name}` },
    many(line.failed));
}

function failuresLinkTo(line) {
  const link = failuresLink(line.target, "targetRestApi");
  link.textContent = many(line.failed);
  link.setAttribute("aria-label", `${many(line.failed)} failures of ${line.target}`);
  link.dataset.key = `failures ${line.target}`;
  return link;
}

function pauseButton(line, name) {
  const act = () => tried("targets-message", () => line.paused ? resume(line) : pause(line));
  return button(line.paused ? "Resume" : "Pause", act, `pause ${name}`, { "aria-label": `${line.paused ? "Resume" : "Pause"} ${name}` });
}

async function pause(line) {
  const hours = Number($("pause-for").value);
  const paused = hours ? new Date(Date.now() + hours * 3600000).toISOString() : true;
  const bases = line.name ? [] : await basesOf(line.target);
  await changePolicies((policies) => {
    for (const one of policies) if (one.name === line.name) one.paused = paused;
    for (const base of bases) policies.push({ name: nameFor(line.target, base, policies), targetRestApi: base, paused });
  });
  await changed(line.name || nameFor(line.target, bases[0], []), "Paused: its records wait, and no attempt of theirs is counted.");
}

async function resume(line) {
  await changePolicies((policies) => {
    for (const one of policies) if (one.name === line.name) delete one.paused;
  });
  await changed(line.name, "Resumed: the next call to /process sends what waits.");
}

async function changed(name, text) {
  pauseSaid = { name, text };
  say("targets-message", "");
  await refresh();
  say("announcer", `${name}: ${text}`);
}

/** Reads the policies, changes them and writes them, and does so again if somebody else was faster. */
async function changePolicies(change) {
  for (let tries = 1; ; tries += 1) {
    const { answer, tag } = await asked(POLICIES);
    change(answer.targets);
    try {
      await ask(POLICIES, "PUT", { targets: answer.targets }, { "If-Match": tag || `"${answer.version}"` });
      return;
    } catch (error) {
      if (error.status !== 412 || tries === 3) throw error;
    }
  }
}

/** How the URLs of a host (`host:port`) begin. Its port tells the scheme, or a failure of it; else it may be either. */
async function basesOf(origin) {
  const [, host, port] = origin.match(/^(.*):(\d+)$/) || [null, origin, "443"];
  if (port === "443") return [`https://${host}/`];
  if (port === "80") return [`http://${host}/`];
  const bases = [`https://${origin}/`, `http://${origin}/`];
  const found = await Promise.all(bases.map((base) => ask(`${here}/failures?${new URLSearchParams({ targetRestApi: base, limit: 1 })}`)));
  const known = bases.filter((_, place) => found[place].failures.length);
  return known.length ? known : bases;
}

/** A name for a host's own policy, which no other has. */
function nameFor(origin, base, policies) {
  const isTaken = (name) => policies.some((one) => one.name === name);
  const name = origin.slice(0, 50);
  if (!isTaken(name)) return name;
  const other = `${name} ${base.split(":")[0]}`;
  return isTaken(other) ? `${name} ${policies.length}` : other;
}
