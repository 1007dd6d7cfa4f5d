// The clients that partners build with, unchanged, against a running Saldo: queries, mutations and live updates, and
// going on after a break without a gap. SALDO_URL is its endpoint, SALDO_TOKEN an administrator's access token; the
// tenant has the source `crash` and its contract.

import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import test from 'node:test';

import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client/core';
import { createPersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { Client, cacheExchange, fetchExchange, subscriptionExchange } from '@urql/core';
import { OperationTypeNode } from 'graphql';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import WebSocket from 'ws';

const url = process.env.SALDO_URL.replace(/\/graphql$/, '');
const token = process.env.SALDO_TOKEN;
const authorization = `Bearer ${token}`;

const FOLLOW = `subscription Follow($after: String) {
  settlementUpdated(after: $after) { cursor settlement { id transactionCount total { amount currency } } }
}`;
const RECORD = `mutation Record($input: RecordTransactionsInput!) {
  recordTransactions(input: $input) { results { externalId outcome } userErrors { code } }
}`;
const VIEWER = 'query Viewer { viewer { tenant { slug } eventCursor } }';

const aTransaction = () => ({
  source: 'crash',
  transactions: [
    {
      externalId: randomUUID(),
      kind: 'STAKE',
      amount: { amount: '1.00', currency: 'BIT' },
      occurredAt: '2021-11-15T12:00:00Z',
      product: 'crash',
    },
  ],
});

async function ask(query, variables) {
  const headers = { 'content-type': 'application/json', accept: 'application/graphql-response+json', authorization };
  const response = await fetch(`${url}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query, variables }) });
  const answer = await response.json();
  assert.equal(answer.errors, undefined, JSON.stringify(answer));
  return answer.data;
}

const record = () => ask(RECORD, { input: aTransaction() });
const present = async () => (await ask(VIEWER)).viewer.eventCursor;

// Follows with a client that has `iterate`, breaks off, misses two updates and goes on: the counts have no gap.
async function followAndResume(iterate) {
  let after = await present();
  await record();
  const first = await iterate(after).next();
  assert.equal(first.value.errors, undefined, JSON.stringify(first.value));
  const before = first.value.data.settlementUpdated;
  await record();
  await record();
  const again = iterate(before.cursor);
  let update = before;
  while (update.settlement.transactionCount < before.settlement.transactionCount + 2) {
    const next = (await again.next()).value.data.settlementUpdated;
    assert.notEqual(next.cursor, update.cursor, 'no update twice');
    assert.ok(next.settlement.transactionCount >= update.settlement.transactionCount, 'no older state');
    update = next;
  }
  await again.return();
  return update;
}

test('graphql-ws', async () => {
  const client = createWsClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
    retryAttempts: 0,
  });
  const iterate = (after) => client.iterate({ query: FOLLOW, variables: { after } });
  await followAndResume(iterate);
  const { value } = await client.iterate({ query: VIEWER }).next();
  assert.equal(value.data.viewer.tenant.slug, 'acme');
  const { value: recorded } = await client.iterate({ query: RECORD, variables: { input: aTransaction() } }).next();
  assert.equal(recorded.data.recordTransactions.results[0].outcome, 'RECORDED');
  await assert.rejects(client.iterate({ query: '{ nothing }' }).next(), (errors) => errors[0].extensions.code === 'BAD_USER_INPUT');
  await client.dispose();
});

test('graphql-ws with a bad token is refused', async () => {
  const client = createWsClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: 'Bearer nobody' },
    retryAttempts: 0,
  });
  await assert.rejects(client.iterate({ query: FOLLOW }).next(), (closed) => closed.code === 4403);
  await client.dispose();
});

test('graphql-sse', async () => {
  const client = createSseClient({ url: `${url}/graphql/stream`, headers: { authorization }, retryAttempts: 0 });
  const iterate = (after) => client.iterate({ query: FOLLOW, variables: { after } });
  await followAndResume(iterate);
  const { value } = await client.iterate({ query: VIEWER }).next();
  assert.equal(value.data.viewer.tenant.slug, 'acme');
  const { value: refused } = await client.iterate({ query: '{ nothing }' }).next();
  assert.equal(refused.errors[0].extensions.code, 'BAD_USER_INPUT');
  client.dispose();
});

test('urql', async () => {
  const ws = createWsClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
  });
  const client = new Client({
    url: `${url}/graphql`,
    exchanges: [
      cacheExchange,
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: (request) => ({
          subscribe: (sink) => ({
            unsubscribe: ws.subscribe({ query: request.query ?? '', variables: request.variables }, sink),
          }),
        }),
      }),
    ],
    fetchOptions: { headers: { authorization } },
    preferGetMethod: true,
  });
  const viewer = await client.query(VIEWER, {}).toPromise();
  assert.equal(viewer.error, undefined);
  assert.equal(viewer.data.viewer.tenant.slug, 'acme');
  const after = await present();
  const update = new Promise((resolve) => {
    const { unsubscribe } = client.subscription(FOLLOW, { after }).subscribe((result) => {
      queueMicrotask(() => unsubscribe());
      resolve(result);
    });
  });
  const recorded = await client.mutation(RECORD, { input: aTransaction() }).toPromise();
  assert.equal(recorded.error, undefined);
  assert.equal(recorded.data.recordTransactions.results[0].outcome, 'RECORDED');
  const { data, error } = await update;
  assert.equal(error, undefined);
  assert.ok(data.settlementUpdated.settlement.transactionCount > 0);
  const wrong = await client.query('{ nothing }', {}, { requestPolicy: 'network-only' }).toPromise();
  assert.equal(wrong.error.graphQLErrors[0].extensions.code, 'BAD_USER_INPUT');
  await ws.dispose();
});

test('Apollo, with persisted queries by GET', async () => {
  const ws = createWsClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
  });
  const sent = [];
  const http = new HttpLink({
    uri: `${url}/graphql`,
    headers: { authorization },
    fetch: (uri, options) => {
      sent.push({ uri: String(uri), method: options.method ?? 'GET' });
      return fetch(uri, options);
    },
  });
  const persisted = createPersistedQueryLink({
    sha256: (text) => createHash('sha256').update(text).digest('hex'),
    useGETForHashedQueries: true,
  });
  const isLive = ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION;
  const client = new ApolloClient({
    link: ApolloLink.split(isLive, new GraphQLWsLink(ws), persisted.concat(http)),
    cache: new InMemoryCache(),
  });
  const query = gql(VIEWER);
  for (let turn = 0; turn < 2; turn += 1) {
    const { data } = await client.query({ query, fetchPolicy: 'network-only' });
    assert.equal(data.viewer.tenant.slug, 'acme');
  }
  const byHash = sent.filter(({ uri }) => uri.includes('persistedQuery') && !uri.includes('query='));
  assert.ok(byHash.length >= 2, `the second time by hash alone: ${JSON.stringify(sent)}`);
  const after = await present();
  const update = new Promise((resolve, reject) => {
    const live = client.subscribe({ query: gql(FOLLOW), variables: { after } }).subscribe({
      next: (result) => {
        queueMicrotask(() => live.unsubscribe());
        resolve(result);
      },
      error: reject,
    });
  });
  const { data } = await client.mutate({ mutation: gql(RECORD), variables: { input: aTransaction() } });
  assert.equal(data.recordTransactions.results[0].outcome, 'RECORDED');
  assert.ok((await update).data.settlementUpdated.settlement.transactionCount > 0);
  client.stop();
  await ws.dispose();
});
