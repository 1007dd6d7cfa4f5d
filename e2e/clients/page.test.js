// The page at `/` in a real browser: what somebody sees who signs in, watches and reviews. CHROMIUM is the browser,
// SALDO_URL the endpoint, SALDO_TOKEN an administrator's access token and SALDO_PASSWORD its password; the tenant
// `acme` has the source `crash` and its contract.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import fs from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

const url = process.env.SALDO_URL.replace(/\/graphql$/, "");
const token = process.env.SALDO_TOKEN;
const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const DESK = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };

let browser;
before(async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: QUIET });
});
after(() => browser?.close());

// A page of its own, and what it should never have: errors, and requests to anybody else.
async function open({ viewport = DESK, locale = "en-US", hash = "", ...rest } = {}) {
  const context = await browser.newContext({ viewport, locale, ...rest });
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  page.on("request", (request) => {
    const asked = new URL(request.url());
    if (asked.protocol !== "data:" && asked.origin !== url) wrong.push(`asked ${asked.origin}`);
  });
  await page.goto(`${url}/${hash}`);
  return { page, wrong, close: () => context.close() };
}

async function signIn(page, password = process.env.SALDO_PASSWORD) {
  await page.locator("input[name=tenant]").fill("acme");
  await page.locator("input[name=email]").fill("ada@acme.test");
  await page.locator("input[name=password]").fill(password);
  await page.locator("#sign-in button").click();
}

const live = (page) => page.locator("#live.on").waitFor();

async function ask(query, variables) {
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  const response = await fetch(`${url}/graphql`, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  const answer = await response.json();
  assert.equal(answer.errors, undefined, JSON.stringify(answer));
  return answer.data;
}

// A stake falls under the contract at 8 %. The page tells the period that goes on from those that are over, so it is of now.
async function stake(amount, more = {}) {
  const transaction = { externalId: randomUUID(), kind: "STAKE", product: "crash", occurredAt: new Date().toISOString(), ...more };
  const input = { source: "crash", transactions: [{ ...transaction, amount: { amount, currency: "BIT" } }] };
  const query = `mutation($input: RecordTransactionsInput!) {
    recordTransactions(input: $input) { results { outcome } userErrors { message } } }`;
  const { recordTransactions } = await ask(query, { input });
  assert.deepEqual(recordTransactions.results, [{ outcome: "RECORDED" }]);
}

// The total of the period that goes on, once it is this.
const total = (page, text) => page.locator("#settlements").getByText(text, { exact: true }).and(page.locator(".total")).waitFor();

async function accessible(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  const told = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ target }) => target).join(" ")}`);
  assert.deepEqual(told, [], where);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(wide, 0, `${where}: nothing is beside the screen`);
}

test("amounts keep every digit, in both languages", async () => {
  const { page, close } = await open();
  const written = await page.evaluate(async () => {
    const words = await import("/words.js");
    const all = [];
    for (const language of ["en", "ko"]) {
      words.speak(language);
      for (const [amount, currency] of [
        ["12345678901234567890.12", "EUR"],
        ["-0.05", "USD"],
        ["1234567", "KRW"],
        ["1.234", "KWD"],
        ["-1000.50", "POINTS"],
      ]) all.push(words.money({ amount, currency }).replaceAll("\u00a0", " "));
    }
    const { between, percent } = words;
    return [...all, percent("12.50"), between("0.10", "-0.10", 500), between("-1.5", "98765432109876543210.25", 1000)];
  });
  assert.deepEqual(written, [
    "€12,345,678,901,234,567,890.12", "-$0.05", "₩1,234,567", "KWD 1.234", "-1,000.5 POINTS",
    "€12,345,678,901,234,567,890.12", "-US$0.05", "₩1,234,567", "KWD 1.234", "-1,000.5 POINTS",
    "12.5%", "0.00", "98765432109876543210.25",
  ]);
  await close();
});

test("a total grows live, also after a break, and nothing is kept but the language", async () => {
  const sockets = [];
  const { page, wrong, close } = await open();
  await page.routeWebSocket(/\/graphql$/, (socket) => {
    const server = socket.connectToServer();
    const asked = [];
    socket.onMessage((message) => {
      asked.push(JSON.parse(message));
      server.send(message);
    });
    sockets.push({ socket, asked });
  });
  await stake("100.00");
  await accessible(page, "the door");
  await signIn(page);
  await live(page);
  await total(page, "BIT 8.00");
  await stake("25.00");
  await total(page, "BIT 10.00");
  // Broken off, it goes on behind the last cursor that it saw, and misses nothing.
  const first = sockets[0].asked.find(({ type }) => type === "subscribe").payload.variables.after;
  await stake("12.50");
  await total(page, "BIT 11.00");
  await sockets[0].socket.close({ code: 1012 });
  await stake("50.00");
  await total(page, "BIT 15.00");
  await live(page);
  const again = sockets.at(-1).asked.find(({ type }) => type === "subscribe").payload.variables.after;
  assert.ok(sockets.length > 1 && again && again !== first, "subscribed behind a later cursor");

  await page.locator("#settlements summary").first().click();
  await page.locator("#settlements .lines", { hasText: "BIT 15.00" }).waitFor();
  await page.locator("[data-language=ko]").click();
  await page.locator("#settlements .lines", { hasText: "수익 배분" }).waitFor();
  assert.equal(await page.locator("html").getAttribute("lang"), "ko");
  await accessible(page, "the desk");

  await page.reload();
  assert.equal(await page.locator("#sign-in").isVisible(), true, "tokens are in the page's memory alone");
  assert.equal(await page.locator("[data-language=ko]").getAttribute("aria-pressed"), "true", "the language stays");
  const kept = await page.evaluate(() => [Object.keys(localStorage), Object.keys(sessionStorage), document.cookie]);
  assert.deepEqual(kept, [["saldo-language"], [], ""]);
  assert.deepEqual(wrong, []);
  await close();
});

test("whoever is wrong is told, and whoever leaves has ended the session", async () => {
  const { page, wrong, close } = await open({ locale: "ko-KR" });
  await signIn(page, "not the password");
  await page.locator("#failure", { hasText: "비밀번호가 올바르지 않습니다" }).waitFor();
  await signIn(page);
  await live(page);
  const ended = page.waitForResponse((response) => response.request().postData()?.includes("signOut"));
  await page.locator("#sign-out").click();
  const response = await ended;
  assert.deepEqual((await response.json()).data, { signOut: { userErrors: [] } });
  await page.locator("#sign-in").waitFor();
  assert.equal(await page.locator("#settlements .card").count(), 0, "nothing is left on the page");
  const { refreshToken } = response.request().postDataJSON().variables.input;
  const query = "mutation($input: RefreshSessionInput!) { refreshSession(input: $input) { accessToken } }";
  const { refreshSession } = await ask(query, { input: { refreshToken } });
  assert.equal(refreshSession.accessToken, null);
  assert.deepEqual(wrong, []);
  await close();
});

test("a case arrives with its reasons, is reviewed with the keyboard, and holds what it concerns", async () => {
  const { page, wrong, close } = await open({ viewport: PHONE, colorScheme: "dark" });
  await signIn(page);
  await live(page);
  const rate = { alertRate: "0.2", mostAlertsADay: 1_000_000 };
  await ask("mutation($input: SetAlertRateInput!) { setAlertRate(input: $input) { userErrors { message } } }", { input: rate });
  const card = page.locator("#cases .card").first();
  // What is odd is the detector's affair: stakes that grow like nobody's, until there is a case.
  const cases = async () => (await ask("{ anomalyCases(first: 1) { nodes { id } } }")).anomalyCases.nodes.length;
  for (let n = 0; (await cases()) === 0; n += 1) {
    assert.ok(n < 400, "no case of all these");
    await stake(String(1 + (n % 20) ** 3), { player: `odd ${n % 20}` });
  }
  await card.waitFor();
  await page.locator("#news", { hasText: "New case: " }).waitFor({ state: "attached" });
  assert.match(await card.locator("h3").textContent(), /odd transaction/);
  assert.ok((await card.locator(".reasons li").count()) > 0);
  await accessible(page, "a case on a phone, in the dark");

  await card.locator("summary").press("Enter");
  await card.locator("input").fill("<b>seen</b> & held");
  await card.locator(".buttons button").first().press("Enter");
  await card.locator(".state.confirmed").waitFor();
  assert.equal(await card.locator("h3").evaluate((title) => title === document.activeElement), true, "the focus stays there");
  assert.match(await card.locator(".reviewed, .small", { hasText: "Reviewed" }).textContent(), /<b>seen<\/b> & held/);
  await page.locator("#settlements .held", { hasText: "BIT" }).waitFor();

  await page.locator("[data-language=ko]").press("Enter");
  await page.locator("#cases h3", { hasText: "이상 거래" }).first().waitFor();
  await page.locator("#settlements .held", { hasText: "보류" }).waitFor();
  await accessible(page, "reviewed, in Korean");
  assert.deepEqual(wrong, []);
  const id = await card.getAttribute("data-id");
  await close();

  // As a mail links to it, and for the keyboard to begin there.
  const mailed = await open({ hash: `#${id}` });
  await signIn(mailed.page);
  const title = mailed.page.locator(`#cases .card:first-child[data-id="${id}"] h3`);
  await title.and(mailed.page.locator(":focus")).waitFor();
  await mailed.close();
});
