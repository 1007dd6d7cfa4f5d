// The audits of graphql-http, one test each: what GraphQL over HTTP says a server MUST and SHOULD do.
//
// SALDO_URL is where GraphQL is, SALDO_TOKEN a member's access token.

import assert from "node:assert/strict";
import { test } from "node:test";

import { buildClientSchema, getIntrospectionQuery } from "graphql";
import { serverAudits } from "graphql-http";

const url = process.env.SALDO_URL;
const token = process.env.SALDO_TOKEN;
assert.ok(url && token, "SALDO_URL and SALDO_TOKEN are set");

const signedIn = (target, init = {}) =>
  fetch(target, { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` } });

const audits = serverAudits({ url, fetchFn: signedIn });

test("there are audits of each kind", () => {
  for (const kind of ["MUST", "SHOULD", "MAY"]) {
    assert.ok(audits.some((audit) => audit.name.startsWith(`${kind} `)), kind);
  }
});

for (const audit of audits) {
  test(`${audit.id} ${audit.name}`, async () => {
    const result = await audit.fn();
    assert.equal(result.status, "ok", result.reason);
  });
}

test("the schema reads back as tools read it", async () => {
  const query = getIntrospectionQuery({ specifiedByUrl: true, directiveIsRepeatable: true, oneOf: true });
  const response = await signedIn(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query, operationName: "IntrospectionQuery" }),
  });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined);
  assert.ok(buildClientSchema(data).getQueryType().getFields().viewer);
});

test("a long answer comes compressed and reads back", async () => {
  const query = "{ __schema { types { name description } } }";
  const ask = async (coding) => {
    const response = await signedIn(url, {
      method: "POST",
      headers: { "content-type": "application/json", "accept-encoding": coding },
      body: JSON.stringify({ query }),
    });
    return [response.headers.get("content-encoding"), (await response.json()).data];
  };
  const [none, plain] = await ask("identity");
  assert.equal(none, null);
  assert.ok(plain.__schema.types.length > 10);
  for (const coding of ["gzip", "br"]) assert.deepEqual(await ask(coding), [coding, plain]);
});
