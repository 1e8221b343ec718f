
// The address says what is shown: a view, and what of it. It stands behind the #, which browsers keep to
// themselves, so that no key or reference comes into a gateway's log by being looked at.

const FILTERS = {
  retryCodes: "code", streamOCIDToRetry: "error stream", targetRestApi: "target", streamKey: "key",
  reference: "reference", from: "stored from", to: "stored before",
};

const address = () => new URLSearchParams(location.hash.slice(1));

function linkTo(view, members = {}) {
  const named = Object.entries(members).filter(([, value]) => value);
  return `#${new URLSearchParams([["view", view], ...named])}`;
}

function filtersOf(members) {
  return Object.fromEntries(Object.keys(FILTERS).filter((name) => members.get(name)).map((name) => [name, members.get(name)]));
}

function recordLink(id) {
  return el("a", { href: linkTo("record", { id }), "data-id": id, "data-key": `record ${id}` }, id);
}

/** Goes to an address, also if it is the one that is shown. */
function go(link) {
  if (location.hash === link) arrive();
  else location.hash = link;
}
