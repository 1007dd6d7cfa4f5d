// What the page says, in English and Korean, and how it writes money, numbers and times in each.

const WORDS = {
  en: {
    skip: "Skip to the content",
    language: "Language",
    lead: "What is owed to every partner, to the last digit, while the records still come in.",
    about:
      "Saldo settles revenue shares: an operator of games, bets or lotteries owes a part of what it takes to the " +
      "providers and sellers behind them. Which part, each contract says in its own way.",
    flowRecords: "Records come in",
    flowRecordsText: "Each provider sends what was played or sold, in its own format, currency and time zone. What cannot be read is set aside.",
    flowPriced: "Contracts price them",
    flowPricedText: "Every transaction falls under the rates of its partner's contract, at once and exactly.",
    flowScored: "A detector looks at them",
    flowScoredText: "Odd ones become cases with reasons in words, and people decide.",
    flowSettled: "Settlements grow and close",
    flowSettledText: "One per contract and period, with every line and whatever still stands in the way.",
    signInTitle: "Sign in and watch",
    demoHint: "This is a demo: the terminal that started it shows addresses and passwords. Rita may review cases.",
    tenant: "Tenant",
    email: "E-mail",
    password: "Password",
    signIn: "Sign in",
    signOut: "Sign out",
    signedOut: "The session is over. Sign in again.",
    unreachable: "Saldo does not answer. It will be tried again.",
    live: "Live",
    connecting: "Connecting again …",
    settlements: "Settlements",
    settlementsText: "Running totals of what is owed for the present periods.",
    noSettlements: "There is none yet: the first record that a contract covers opens one.",
    earlier: "Earlier periods ({count})",
    period: "{period}, {zone} time",
    open: "Open",
    closed: "Closed",
    transactions: "{count} transactions",
    held: "Held: {amount}",
    lines: "Lines ({count})",
    blockers: "What stands in the way of closing ({count})",
    noBlockers: "Nothing stands in the way of closing.",
    rate: "{rate} of {base}",
    tiers: "In tiers, of {base}",
    base: "On a base of {base}",
    owedByPartner: "The partner owes this.",
    cases: "Odd transactions",
    casesText: "The latest cases of the detector. A confirmed one holds the lines that it concerns until somebody releases it.",
    noCases: "There is no case yet. They appear here as they are raised.",
    newCase: "New case: {title}",
    from: "{source} · {product}",
    raised: "Raised {time}",
    odd: "odd transactions: {count}",
    moreCases: "Older cases",
    addNote: "Add a note",
    note: "Note (optional)",
    CONFIRMED: "Confirm",
    FALSE_ALARM: "False alarm",
    UNSURE: "Unsure",
    stateOPEN: "Open",
    stateCONFIRMED: "Confirmed",
    stateFALSE_ALARM: "False alarm",
    stateUNSURE: "Unsure",
    reviewed: "Reviewed {time}",
    verdictOf: "Your verdict on: {title}",
    footer: " is where every query can be tried; POST /graphql is the same for programs.",
  },
  ko: {
    skip: "본문으로 건너뛰기",
    language: "언어",
    lead: "원본 레코드가 들어오는 동안, 파트너사마다 정산할 금액을 마지막 자리까지 계산합니다.",
    about:
      "Saldo는 수익 배분을 정산합니다. 게임·베팅·복권 운영사는 매출의 일부를 공급사와 판매 파트너사에 나눕니다. " +
      "얼마를 나눌지는 계약마다 다르게 정해집니다.",
    flowRecords: "원본 레코드 수신",
    flowRecordsText: "공급사마다 자기 형식, 통화, 시간대로 이용·판매 내역을 보냅니다. 읽을 수 없는 레코드는 따로 보관합니다.",
    flowPriced: "계약 요율 적용",
    flowPricedText: "모든 거래에 해당 파트너사 계약의 요율을 즉시, 정확하게 적용합니다.",
    flowScored: "이상 거래 탐지",
    flowScoredText: "이상 거래는 이유가 적힌 심사 건이 되고, 판단은 사람이 합니다.",
    flowSettled: "정산과 마감",
    flowSettledText: "계약과 정산 주기마다 하나씩 쌓이며, 모든 항목과 마감을 막는 사유를 보여 줍니다.",
    signInTitle: "로그인하고 지켜보기",
    demoHint: "데모입니다. 이메일과 비밀번호는 데모를 시작한 터미널에 있습니다. 심사는 rita 계정으로 할 수 있습니다.",
    tenant: "테넌트",
    email: "이메일",
    password: "비밀번호",
    signIn: "로그인",
    signOut: "로그아웃",
    signedOut: "세션이 끝났습니다. 다시 로그인하세요.",
    unreachable: "Saldo가 응답하지 않습니다. 다시 시도합니다.",
    live: "실시간",
    connecting: "다시 연결하는 중 …",
    settlements: "정산",
    settlementsText: "현재 정산 주기에 정산할 금액의 누적 집계입니다.",
    noSettlements: "아직 없습니다. 계약에 해당하는 첫 거래가 들어오면 정산이 시작됩니다.",
    earlier: "지난 정산 주기 ({count})",
    period: "{period} ({zone} 기준)",
    open: "진행 중",
    closed: "마감",
    transactions: "거래 {count}건",
    held: "보류: {amount}",
    lines: "정산 항목 ({count})",
    blockers: "마감을 막는 사유 ({count})",
    noBlockers: "마감을 막는 사유가 없습니다.",
    rate: "{base}의 {rate}",
    tiers: "{base}에 구간 요율 적용",
    base: "기준 금액 {base}",
    owedByPartner: "파트너사가 지급할 금액입니다.",
    cases: "이상 거래",
    casesText: "가장 최근 심사 건입니다. 확정하면 관련 정산 항목이 해제될 때까지 보류됩니다.",
    noCases: "아직 심사 건이 없습니다. 생기는 대로 여기에 나타납니다.",
    newCase: "새 심사 건: {title}",
    from: "{source} · {product}",
    raised: "발생 {time}",
    odd: "이상 거래 {count}건",
    moreCases: "이전 심사 건",
    addNote: "메모 남기기",
    note: "메모 (선택)",
    CONFIRMED: "이상 확정",
    FALSE_ALARM: "오탐",
    UNSURE: "판단 보류",
    stateOPEN: "심사 대기",
    stateCONFIRMED: "이상 확정",
    stateFALSE_ALARM: "오탐",
    stateUNSURE: "판단 보류",
    reviewed: "심사 {time}",
    verdictOf: "심사 의견: {title}",
    footer: "에서 모든 쿼리를 시험할 수 있습니다. 프로그램은 POST /graphql을 사용합니다.",
  },
};

// Codes of lines, blockers and errors. In English the server has words of its own; Korean says what each is.
const KINDS = {
  en: { UNAUTHENTICATED: "The session is over. Sign in again." },
  ko: {
    BASE: "상계 전 기준 금액",
    CARRIED_BASE: "이월된 기준 금액",
    REVENUE_SHARE: "수익 배분",
    CORRECTION: "정정",
    CARRIED_IN: "전기 이월",
    CARRIED_OUT: "차기 이월",
    PERIOD_NOT_ENDED: "정산 주기가 아직 끝나지 않았습니다.",
    EARLIER_PERIOD_OPEN: "같은 계약의 이전 정산 주기가 아직 마감되지 않았습니다. 먼저 마감하세요.",
    IMPORT_RUNNING: "파일을 수신하는 중입니다.",
    QUARANTINED_RECORDS: "읽을 수 없어 격리된 원본 레코드가 있습니다. 정정하거나 사유를 적어 제외하세요.",
    MISSING_DAYS: "연동에서 수신하지 못한 날짜가 있습니다.",
    UNPRICED_TRANSACTIONS: "요율을 적용하지 못한 거래가 있습니다.",
    UNSCORED_TRANSACTIONS: "아직 이상 여부를 확인하지 않은 거래가 있습니다. 곧 자동으로 확인합니다.",
    BAD_CREDENTIALS: "테넌트, 이메일 또는 비밀번호가 올바르지 않습니다.",
    UNAUTHENTICATED: "세션이 끝났습니다. 다시 로그인하세요.",
    FORBIDDEN: "이 작업을 할 권한이 없습니다.",
    RATE_LIMITED: "요청이 너무 많습니다. 잠시 후 다시 시도하세요.",
  },
};

export const LANGUAGES = Object.keys(WORDS);
let language = "en";

export function speak(wanted) {
  language = LANGUAGES.includes(wanted) ? wanted : "en";
  return language;
}

export const spoken = () => language;

// A text with its {gaps} filled.
export function say(name, gaps = {}) {
  const text = WORDS[language][name] ?? WORDS.en[name] ?? name;
  return text.replace(/\{(\w+)\}/g, (_, gap) => gaps[gap] ?? "");
}

export const kind = (code) => KINDS[language]?.[code];

// Digits of any length: they never pass through floating point, which keeps some sixteen of them.
function digits(text, parts, fraction) {
  const [whole, rest = ""] = text.replace(/^-/, "").split(".");
  const written = new Intl.NumberFormat(language).format(BigInt(whole));
  const kept = fraction && rest ? rest : rest.replace(/0+$/, "");
  const point = parts.find((part) => part.type === "decimal")?.value ?? ".";
  return kept ? `${written}${point}${kept}` : written;
}

export function decimal(text) {
  const minus = text.startsWith("-") ? "-" : "";
  return minus + digits(text, new Intl.NumberFormat(language).formatToParts(0.5), false);
}

export const count = (number) => new Intl.NumberFormat(language).format(number);
export const percent = (rate) => `${decimal(rate)}${language === "en" ? " " : ""}%`;

export function money({ amount, currency }) {
  const minus = amount.startsWith("-") ? "-" : "";
  let parts;
  try {
    // Only the places of currency, sign and point are taken from it.
    parts = new Intl.NumberFormat(language, { style: "currency", currency }).formatToParts(0.5);
  } catch {
    // An asset of the tenant's own whose code is none of a currency.
    return `${minus}${decimal(amount.replace(/^-/, ""))} ${currency}`;
  }
  const number = digits(amount, parts, true);
  const before = parts.findIndex((part) => part.type === "integer");
  const written = parts.map((part, place) => {
    if (place === before) return number;
    return part.type === "currency" || part.type === "literal" ? part.value : "";
  });
  return minus + written.join("");
}

// Between two amounts, in so many thousandths of the way: whole minor units, as their texts have them.
export function between(from, to, thousandths) {
  const places = Math.max(...[from, to].map((text) => (text.split(".")[1] ?? "").length));
  const units = (text) => {
    const [whole, rest = ""] = text.split(".");
    return BigInt(whole + rest.padEnd(places, "0"));
  };
  const [start, end] = [units(from), units(to)];
  const now = start + ((end - start) * BigInt(thousandths)) / 1000n;
  const text = (now < 0n ? -now : now).toString().padStart(places + 1, "0");
  const point = text.length - places;
  return (now < 0n ? "-" : "") + text.slice(0, point) + (places ? `.${text.slice(point)}` : "");
}

export function time(instant) {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" }).format(new Date(instant));
}

// A period is half-open: its last day is that of the moment before its end. A day of the contract that begins at some
// other hour than midnight is named after the date on which it begins.
export function period(start, end, { timeZone, cutOffHour }) {
  const days = new Intl.DateTimeFormat(language, { dateStyle: "long", timeZone });
  const shifted = (instant) => new Date(instant).getTime() - cutOffHour * 3_600_000;
  return days.formatRange(shifted(start), shifted(end) - 1);
}
