// The page: signs in, shows settlements as they grow and cases as they are raised, and takes verdicts.

import { caseCard, fillCase, fillSettlement, freshen, place, settlementCard } from "./cards.js";
import { Follower, Refusal, Session } from "./live.js";
import { count, kind, say, speak, spoken } from "./words.js";

const SETTLEMENT = `
  id currency periodStart periodEnd state transactionCount
  partner { name }
  contract { id name }
  total { amount currency }
  held { amount currency }
  lines { code label rateClass rate base { amount currency } amount { amount currency } }
  blockers { code message remedy }`;
const CASE = `
  id state raisedAt transactionCount reviewedAt reviewNote
  title(language: $language)
  reasons { code text(language: $language) }
  source { name }
  product { code }`;
const VIEWER = "query { viewer { tenant { name } member { name role partner { name } } eventCursor } }";
const SETTLEMENTS = `query { settlements(first: 40) { nodes { ${SETTLEMENT} } } }`;
const CYCLES = "query { contracts(first: 100) { nodes { id versions { terms { cycle { timeZone cutOffHour } } } } } }";
const CASES = `query($language: Language!) { anomalyCases(first: 20) { nodes { ${CASE} } } }`;
const ONE_CASE = `query($id: ID!, $language: Language!) { node(id: $id) { ... on AnomalyCase { ${CASE} } } }`;
const FOLLOW_SETTLEMENTS = `subscription($after: String) {
  settlementUpdated(after: $after) { cursor settlement { ${SETTLEMENT} } } }`;
const FOLLOW_CASES = `subscription($after: String, $language: Language!) {
  anomalyRaised(after: $after) { cursor case { ${CASE} } } }`;
const REVIEW = `mutation($input: ReviewAnomalyCaseInput!, $language: Language!) {
  reviewAnomalyCase(input: $input) { case { ${CASE} } userErrors { code message } } }`;

// Of a contract that was made since the page was opened.
const UNKNOWN_CYCLE = { timeZone: "UTC", cutOffHour: 0 };
// So many cases are shown at first, and so many are kept.
const FEW_CASES = 6;
const MOST_CASES = 20;
const REVIEWERS = ["ADMIN", "RISK"];
const LANGUAGE_KEY = "saldo-language";

const at = (id) => document.getElementById(id);
const state = { viewer: null, cycles: new Map(), settlements: new Map(), cases: new Map(), follower: null, live: false,
  allCases: false, wanted: null };
const session = new Session({
  renewed: () => state.follower?.again(),
  ended: () => leave("signedOut"),
});

const variables = () => ({ language: spoken().toUpperCase() });
const mayReview = () => REVIEWERS.includes(state.viewer?.member?.role);
const seesCases = () => Boolean(state.viewer) && !state.viewer.member?.partner;

// What went wrong, in words: the server's own where it has some.
function words(error) {
  if (!(error instanceof Refusal)) {
    // A fault of this page would look the same to whoever reads it.
    console.error(error);
    return say("unreachable");
  }
  return kind(error.code) ?? error.message;
}

// Settlements -----------------------------------------------------------------------------------------------------------

function showSettlement({ view, settlement }) {
  fillSettlement(view, settlement, state.cycles.get(settlement.contract.id) ?? UNKNOWN_CYCLE);
}

function takeSettlement(settlement, isNews) {
  let known = state.settlements.get(settlement.id);
  if (!known) {
    known = { view: settlementCard(settlement) };
    state.settlements.set(settlement.id, known);
  }
  known.settlement = settlement;
  showSettlement(known);
  if (isNews) arrange();
}

// The periods that go on come first, those that are over are folded away.
function arrange() {
  const all = [...state.settlements.values()];
  const order = ({ settlement: a }, { settlement: b }) =>
    a.partner.name.localeCompare(b.partner.name) || a.contract.name.localeCompare(b.contract.name) ||
    b.periodStart.localeCompare(a.periodStart);
  const goesOn = ({ settlement }) => new Date(settlement.periodEnd) > Date.now();
  const present = all.filter(goesOn).sort(order);
  const earlier = all.filter((known) => !goesOn(known)).sort(order);
  place(at("settlements"), present);
  place(at("earlier-settlements"), earlier);
  at("earlier").hidden = earlier.length === 0;
  at("earlier-title").textContent = say("earlier", { count: count(earlier.length) });
  at("no-settlements").hidden = all.length > 0;
}

// Cases -----------------------------------------------------------------------------------------------------------------

function takeCase(shown, isNews) {
  let known = state.cases.get(shown.id);
  const isNew = !known;
  if (!known) {
    known = { view: caseCard(shown.id, (verdict) => review(shown.id, verdict)) };
    state.cases.set(shown.id, known);
  }
  known.shown = shown;
  fillCase(known.view, shown, mayReview());
  if (!isNews) return;
  if (isNew) at("news").textContent = say("newCase", { title: shown.title });
  freshen(known.view.card);
  arrangeCases();
}

function arrangeCases() {
  const isWanted = ({ id }) => Number(id === state.wanted);
  const latest = ({ shown: a }, { shown: b }) =>
    isWanted(b) - isWanted(a) || b.raisedAt.localeCompare(a.raisedAt) || b.id.localeCompare(a.id);
  const all = [...state.cases.values()].sort(latest);
  // One that somebody is writing about stays.
  const kept = all.filter(({ view }, index) => index < MOST_CASES || view.card.contains(document.activeElement));
  const shown = kept.filter(({ view }, index) => {
    return state.allCases || index < FEW_CASES || view.card.contains(document.activeElement);
  });
  state.cases = new Map(kept.map((known) => [known.shown.id, known]));
  place(at("cases"), shown);
  at("more-cases").hidden = shown.length === kept.length;
  at("no-cases").hidden = kept.length > 0;
}

// Mails name a case behind the # of their link: it comes first, however old it is.
async function showWanted() {
  const id = location.hash.slice(1);
  if (!id || !seesCases()) return false;
  const { node } = await session.ask(ONE_CASE, { id, ...variables() }).catch(() => ({}));
  // Something else, or nobody's here.
  if (!node?.title) return false;
  state.wanted = id;
  takeCase(node, false);
  arrangeCases();
  state.cases.get(id).view.title.focus();
  return true;
}

async function review(caseId, verdict) {
  const known = state.cases.get(caseId);
  const { view } = known;
  view.failure.textContent = "";
  view.buttons.forEach((button) => {
    button.disabled = true;
  });
  // The same verdict with the same note is one request, however often it takes to be answered.
  const note = view.note.value.trim();
  const wanted = `${verdict} ${note}`;
  if (known.wanted !== wanted) Object.assign(known, { wanted, key: randomKey() });
  const input = { caseId, verdict, note: note || null, idempotencyKey: known.key };
  try {
    const { reviewAnomalyCase: done } = await session.ask(REVIEW, { input, ...variables() });
    if (done.userErrors.length) throw new Refusal(done.userErrors[0]);
    view.note.value = "";
    view.noted.open = false;
    known.wanted = null;
    takeCase(done.case, true);
    view.title.focus();
  } catch (error) {
    view.failure.textContent = words(error);
  } finally {
    view.buttons.forEach((button) => {
      button.disabled = false;
    });
  }
}

// `crypto.randomUUID` is there on secure origins only.
const randomKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

// Coming and going --------------------------------------------------------------------------------------------------------

async function enter() {
  state.viewer = (await session.ask(VIEWER)).viewer;
  const after = state.viewer.eventCursor;
  await load();
  const reload = (subscription) => async () => {
    const { viewer } = await session.ask(VIEWER);
    await load();
    subscription.after = viewer.eventCursor;
    state.follower.again();
  };
  const settlements = { query: FOLLOW_SETTLEMENTS, variables: () => ({}), after };
  settlements.next = ({ settlement }) => takeSettlement(settlement, true);
  const cases = { query: FOLLOW_CASES, variables, after };
  cases.next = ({ case: raised }) => takeCase(raised, true);
  for (const subscription of [settlements, cases]) subscription.expired = reload(subscription);
  at("door").hidden = true;
  at("desk").hidden = false;
  at("sign-out").hidden = false;
  at("desk").classList.toggle("both", seesCases());
  at("risk").hidden = !seesCases();
  translate();
  state.follower = new Follower(session, seesCases() ? [settlements, cases] : [settlements], (live) => {
    state.live = live;
    showLive();
  });
}

// The present state; what follows is behind the cursor that was read before.
async function load() {
  const [settlements, contracts, cases] = await Promise.all([
    session.ask(SETTLEMENTS),
    session.ask(CYCLES),
    seesCases() && session.ask(CASES, variables()),
  ]);
  for (const { id, versions } of contracts.contracts.nodes) state.cycles.set(id, versions.at(-1).terms.cycle);
  settlements.settlements.nodes.forEach((settlement) => takeSettlement(settlement, false));
  if (cases) cases.anomalyCases.nodes.forEach((shown) => takeCase(shown, false));
  arrange();
  arrangeCases();
}

function leave(why) {
  state.follower?.stop();
  Object.assign(state, { viewer: null, follower: null, live: false, allCases: false, wanted: null });
  state.settlements.clear();
  state.cases.clear();
  state.cycles.clear();
  for (const list of ["settlements", "earlier-settlements", "cases"]) at(list).replaceChildren();
  at("desk").hidden = true;
  at("sign-out").hidden = true;
  at("who").hidden = true;
  at("door").hidden = false;
  at("failure").textContent = why ? say(why) : "";
  at("sign-in").elements.password.value = "";
  at("sign-in").elements.email.focus();
}

// Language ----------------------------------------------------------------------------------------------------------------

function showLive() {
  at("live").textContent = say(state.live ? "live" : "connecting");
  at("live").classList.toggle("on", state.live);
}

// Everything that is shown, in the language that is spoken.
function translate() {
  document.documentElement.lang = spoken();
  for (const part of document.querySelectorAll("[data-text]")) part.textContent = say(part.dataset.text);
  for (const part of document.querySelectorAll("[data-label]")) part.setAttribute("aria-label", say(part.dataset.label));
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === spoken()));
  }
  if (!state.viewer) return;
  const { tenant, member } = state.viewer;
  at("who").textContent = [member?.name, member?.partner?.name ?? tenant.name].filter(Boolean).join(", ");
  at("who").hidden = false;
  showLive();
  for (const known of state.settlements.values()) showSettlement(known);
  for (const { view, shown } of state.cases.values()) fillCase(view, shown, mayReview());
  arrange();
}

async function choose(language) {
  speak(language);
  // Where a browser keeps nothing, the choice lasts as long as the page.
  try {
    localStorage.setItem(LANGUAGE_KEY, language);
  } catch {}
  translate();
  if (!state.viewer) return;
  // Titles and reasons are the server's words.
  try {
    await load();
    state.follower.again();
  } catch (error) {
    at("news").textContent = words(error);
  }
}

function remembered() {
  try {
    return localStorage.getItem(LANGUAGE_KEY);
  } catch {
    return null;
  }
}

at("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  at("failure").textContent = "";
  try {
    await session.signIn(Object.fromEntries(new FormData(event.target)));
    event.target.elements.password.value = "";
    await enter();
    if (!(await showWanted())) at("settlements-title").focus();
  } catch (error) {
    at("failure").textContent = words(error);
  } finally {
    button.disabled = false;
  }
});
at("sign-out").addEventListener("click", () => {
  session.signOut().catch(() => {});
  leave();
});
addEventListener("hashchange", () => showWanted());
at("more-cases").addEventListener("click", () => {
  const first = at("cases").children.length;
  state.allCases = true;
  arrangeCases();
  // The button is gone: whoever pressed it goes on where the older ones begin.
  at("cases").children[first]?.querySelector("h3").focus();
});
for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => choose(button.dataset.language));
}
const { tenant } = document.body.dataset;
if (tenant) {
  at("sign-in").elements.tenant.value = tenant;
  at("demo-hint").hidden = false;
}
speak(remembered() ?? (navigator.language ?? "").slice(0, 2));
translate();
