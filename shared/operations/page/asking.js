
// What the page asks the functions, and what it makes of answers that are none.

const here = location.pathname.replace(/\/+$/, "");
const store = here.replace(/[^/]*$/, "store");
const WANTS_KEY = "This gateway wants a key: run datasync view.";

class Refused extends Error {
  constructor(status, message, faults) {
    super(message);
    this.status = status;
    this.faults = faults;
  }
}

/** Numbers that JavaScript would round stay as they were written: what is edited must go back exact. */
function exact(_name, value, context) {
  const isRounded = typeof value === "number" && context?.source && String(value) !== context.source;
  return isRounded && JSON.rawJSON ? JSON.rawJSON(context.source) : value;
}

async function ask(path, method = "GET", body = undefined, more = {}) {
  return (await asked(path, method, body, more)).answer;
}

/** Asks, and returns the answer with its entity tag; `body` is an object, or JSON that is written already. */
async function asked(path, method = "GET", body = undefined, more = {}) {
  const options = { method, headers: { Accept: "application/json", ...more }, cache: "no-store" };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = typeof body === "string" ? body : JSON.stringify(body);
  }
  let response, answer;
  try {
    response = await fetch(path, options);
  } catch (error) {
    throw new Refused(0, `The function did not answer: ${navigator.onLine ? error.message : "this machine has no network"}.`);
  }
  try {
    answer = JSON.parse(await response.text(), exact);
  } catch {
    answer = null; // a gateway's own page: its status says enough
  }
  if (!response.ok || answer === null) throw refusal(response, answer || {});
  return { answer, tag: response.headers.get("ETag") };
}

function refusal(response, answer) {
  const { status } = response;
  const faults = answer.errors || [];
  const named = faults.map((fault) => `${fault.pointer} ${fault.detail}`).join("; ");
  if (status === 401 || (status === 403 && !answer.detail)) return new Refused(status, WANTS_KEY, faults);
  if (named || answer.detail) return new Refused(status, `${status}: ${named || answer.detail}`, faults);
  return new Refused(status, `The function did not answer: ${status} ${response.statusText}`.trim(), faults);
}
