// What is shown of a settlement and of a case. Whatever comes from the server is set as text, never as markup.

import { between, count, kind, money, percent, period, say, time } from "./words.js";

export const VERDICTS = ["CONFIRMED", "FALSE_ALARM", "UNSURE"];
const GROWS_FOR = 700;
const still = matchMedia("(prefers-reduced-motion: reduce)");

// An element with text or children.
function part(tag, { name, text, ...rest } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), rest);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  made.append(...children.filter(Boolean));
  return made;
}

// Shows an amount, and lets one that is there already grow into it.
function grow(place, amount) {
  const before = place.shown;
  cancelAnimationFrame(place.frame);
  place.shown = amount;
  const now = (value) => {
    place.textContent = money({ ...amount, amount: value });
  };
  if (!before || before.amount === amount.amount || still.matches || document.hidden) return now(amount.amount);
  const began = performance.now();
  const step = (moment) => {
    const part = Math.min((moment - began) / GROWS_FOR, 1);
    const eased = Math.round(1000 * (1 - (1 - part) ** 3));
    now(part < 1 ? between(before.amount, amount.amount, Math.max(eased, 0)) : amount.amount);
    if (part < 1) place.frame = requestAnimationFrame(step);
  };
  place.frame = requestAnimationFrame(step);
}

export function settlementCard(settlement) {
  const view = {
    partner: part("h3"),
    state: part("span"),
    contract: part("p", { name: "small" }),
    period: part("p", { name: "small" }),
    total: part("p", { name: "total" }),
    owes: part("p", { name: "small" }),
    held: part("p", { name: "held" }),
    count: part("p", { name: "small" }),
    linesTitle: part("summary"),
    lines: part("ul", { name: "lines" }),
    blockersTitle: part("summary"),
    blockers: part("ul", { name: "blockers" }),
  };
  view.details = part("details", {}, view.linesTitle, view.lines);
  view.blocked = part("details", {}, view.blockersTitle, view.blockers);
  view.free = part("p", { name: "small" });
  const { partner, contract, total, owes, held, details, blocked, free } = view;
  view.card = part("article", { name: "card" }, part("header", {}, partner, view.state), contract, view.period, total, owes,
    held, view.count, details, blocked, free);
  view.card.dataset.id = settlement.id;
  return view;
}

export function fillSettlement(view, settlement, cycle) {
  const { currency, lines, blockers, held } = settlement;
  view.partner.textContent = settlement.partner.name;
  view.state.textContent = say(settlement.state === "OPEN" ? "open" : "closed");
  view.state.className = `state ${settlement.state.toLowerCase()}`;
  view.contract.textContent = settlement.contract.name;
  view.period.textContent = say("period", {
    period: period(settlement.periodStart, settlement.periodEnd, cycle),
    zone: cycle.timeZone,
  });
  grow(view.total, settlement.total);
  view.owes.textContent = settlement.total.amount.startsWith("-") ? say("owedByPartner") : "";
  view.owes.hidden = !view.owes.textContent;
  view.held.hidden = !/[1-9]/.test(held.amount);
  view.held.textContent = say("held", { amount: money(held) });
  view.count.textContent = say("transactions", { count: count(settlement.transactionCount) });
  view.linesTitle.textContent = say("lines", { count: count(lines.length) });
  view.lines.replaceChildren(...lines.map((line) => lineItem(line, currency)));
  const open = settlement.state === "OPEN";
  view.blocked.hidden = !open || blockers.length === 0;
  view.free.hidden = !open || blockers.length > 0;
  view.free.textContent = say("noBlockers");
  view.blockersTitle.textContent = say("blockers", { count: count(blockers.length) });
  view.blockers.replaceChildren(...blockers.map(blockerItem));
}

function lineItem({ code, label, rateClass, rate, base, amount }) {
  const own = kind(code);
  const title = own ? [own, rateClass].filter(Boolean).join(", ") : label;
  let how = "";
  if (base && rate) how = say("rate", { rate: percent(rate), base: money(base) });
  else if (base) how = say(code === "REVENUE_SHARE" ? "tiers" : "base", { base: money(base) });
  return part("li", {}, part("span", { text: title }), part("b", { text: money(amount) }),
    how && part("span", { name: "small", text: how }));
}

function blockerItem({ code, message, remedy }) {
  const own = kind(code);
  return part("li", {}, part("span", { text: own ?? message }), !own && part("span", { name: "small", text: remedy }));
}

// `decide` is called with the verdict of whoever may review.
export function caseCard(id, decide) {
  const view = {
    title: part("h3", { tabIndex: -1 }),
    state: part("span"),
    from: part("p", { name: "small" }),
    raised: part("p", { name: "small" }),
    reasons: part("ul", { name: "reasons" }),
    reviewed: part("p", { name: "small" }),
    noteSummary: part("summary"),
    noteTitle: part("span"),
    note: part("input", { maxLength: 500, autocomplete: "off" }),
    failure: part("p", { name: "failure" }),
  };
  view.failure.setAttribute("role", "alert");
  view.buttons = VERDICTS.map((verdict) => {
    const button = part("button", { type: "button" });
    button.addEventListener("click", () => decide(verdict));
    return button;
  });
  view.noted = part("details", {}, view.noteSummary, part("label", {}, view.noteTitle, view.note));
  view.verdict = part("div", { name: "verdict" }, part("div", { name: "buttons" }, ...view.buttons), view.noted, view.failure);
  view.verdict.setAttribute("role", "group");
  view.card = part("article", { name: "card" }, part("header", {}, view.title, view.state), view.from, view.raised,
    view.reasons, view.reviewed, view.verdict);
  view.card.dataset.id = id;
  return view;
}

export function fillCase(view, shown, mayReview) {
  const { source, product, reviewedAt, reviewNote } = shown;
  view.title.textContent = shown.title;
  view.state.textContent = say(`state${shown.state}`);
  view.state.className = `state ${shown.state.toLowerCase()}`;
  view.from.textContent = product ? say("from", { source: source.name, product: product.code }) : source.name;
  const odd = say("odd", { count: count(shown.transactionCount) });
  view.raised.textContent = `${say("raised", { time: time(shown.raisedAt) })} · ${odd}`;
  view.reasons.replaceChildren(...shown.reasons.map(({ text }) => part("li", { text })));
  const verdict = reviewedAt ? say("reviewed", { time: time(reviewedAt) }) : "";
  view.reviewed.textContent = [verdict, reviewNote].filter(Boolean).join(" · ");
  view.reviewed.hidden = !verdict;
  view.verdict.hidden = !mayReview || !["OPEN", "UNSURE"].includes(shown.state);
  view.verdict.setAttribute("aria-label", say("verdictOf", { title: shown.title }));
  view.noteSummary.textContent = say("addNote");
  view.noteTitle.textContent = say("note");
  view.buttons.forEach((button, place) => {
    button.textContent = say(VERDICTS[place]);
  });
}

// Moves only what is not in its place: whatever is open or has the focus stays so.
export function place(list, known) {
  known.forEach(({ view: { card } }, index) => {
    if (list.children[index] !== card) list.insertBefore(card, list.children[index] ?? null);
  });
  while (list.children.length > known.length) list.lastElementChild.remove();
}

export function freshen(card) {
  card.classList.remove("fresh");
  requestAnimationFrame(() => card.classList.add("fresh"));
}
