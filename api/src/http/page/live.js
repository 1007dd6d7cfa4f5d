// The session and the two ways to the server: requests, and what is followed over a WebSocket.

const SESSION = "accessToken refreshToken expiresAt userErrors { code message }";
const TIMEOUT = 15_000;
// An access token is replaced so long before it ends.
const AHEAD = 60_000;
const PING_EVERY = 20_000;
const [SHORTEST_WAIT, LONGEST_WAIT] = [500, 15_000];

// What a person is told; anything else is a fault of this page or of the way to the server.
export class Refusal extends Error {
  constructor({ message, code, extensions }) {
    super(message);
    this.code = code ?? extensions?.code;
  }
}

// The tokens live in this page's memory only: closed or loaded anew, it asks again.
export class Session {
  #tokens = null;
  #refreshing = null;
  #timer = null;

  // `renewed` is called with each new access token, `ended` when there is no more.
  constructor({ renewed, ended }) {
    this.renewed = renewed;
    this.ended = ended;
  }

  async signIn(input) {
    const query = `mutation($input: SignInInput!) { signIn(input: $input) { ${SESSION} } }`;
    this.#take((await post(query, { input })).signIn);
  }

  async signOut() {
    const tokens = this.#forget();
    const query = "mutation($input: SignOutInput!) { signOut(input: $input) { userErrors { message } } }";
    if (tokens) await post(query, { input: { refreshToken: tokens.refreshToken } });
  }

  async ask(query, variables) {
    return post(query, variables, await this.token());
  }

  // An access token that is good for a while.
  async token() {
    if (!this.#tokens) throw new Refusal({ code: "UNAUTHENTICATED" });
    if (new Date(this.#tokens.expiresAt) - Date.now() < AHEAD / 2) await this.refresh();
    return this.#tokens.accessToken;
  }

  // One at a time: a refresh token is good once, and used twice it ends the session.
  refresh() {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #refresh() {
    const query = `mutation($input: RefreshSessionInput!) { refreshSession(input: $input) { ${SESSION} } }`;
    const refreshToken = this.#tokens?.refreshToken;
    try {
      this.#take((await post(query, { input: { refreshToken } })).refreshSession);
    } catch (error) {
      // Anything else may pass.
      if (error.code === "BAD_CREDENTIALS" && this.#tokens) {
        this.#forget();
        this.ended();
      }
      throw error;
    }
    this.renewed();
  }

  #take(payload) {
    if (!payload.accessToken) throw new Refusal(payload.userErrors[0] ?? {});
    const { accessToken, refreshToken, expiresAt } = payload;
    this.#tokens = { accessToken, refreshToken, expiresAt };
    clearTimeout(this.#timer);
    const wait = Math.max(new Date(expiresAt) - Date.now() - AHEAD, 1_000);
    // What fails here is tried again by whoever needs the token next.
    this.#timer = setTimeout(() => this.refresh().catch(() => {}), wait);
  }

  #forget() {
    clearTimeout(this.#timer);
    const tokens = this.#tokens;
    this.#tokens = null;
    return tokens;
  }
}

async function post(query, variables, token) {
  const response = await fetch("/graphql", {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/graphql-response+json, application/json;q=0.9",
      ...(token ? { authorization: `Bearer ${token}` } : {}),
    },
    body: JSON.stringify({ query, variables }),
    signal: AbortSignal.timeout(TIMEOUT),
  });
  const answer = await response.json();
  if (answer.errors?.length) throw new Refusal(answer.errors[0]);
  return answer.data;
}

// Follows subscriptions of one session over one connection (graphql-transport-ws), and connects again after a break:
// each subscription goes on behind the last cursor that it saw.
export class Follower {
  #session;
  #subscriptions;
  #changed;
  #socket = null;
  #stopped = false;
  #attempts = 0;
  #timers = [];

  // Subscriptions are `{ query, variables(), after, next(data), expired() }`; `changed` hears whether it is connected.
  constructor(session, subscriptions, changed) {
    this.#session = session;
    this.#subscriptions = subscriptions;
    this.#changed = changed;
    this.#connect();
  }

  stop() {
    this.#stopped = true;
    this.#drop();
  }

  // With a new token, or in another language.
  again() {
    this.#attempts = 0;
    this.#drop();
    this.#connect();
  }

  #drop() {
    this.#timers.forEach(clearTimeout);
    this.#timers = [];
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  async #connect() {
    if (this.#stopped) return;
    const turn = {};
    this.#socket = { close() {}, turn };
    let token;
    try {
      token = await this.#session.token();
    } catch {
      if (this.#socket?.turn === turn) this.#retry();
      return;
    }
    // Somebody stopped or began anew meanwhile.
    if (this.#stopped || this.#socket?.turn !== turn) return;
    const socket = new WebSocket(`${location.origin.replace("http", "ws")}/graphql`, "graphql-transport-ws");
    this.#socket = socket;
    const send = (message) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));
    socket.onopen = () => send({ type: "connection_init", payload: { authorization: `Bearer ${token}` } });
    socket.onmessage = ({ data }) => {
      if (this.#socket === socket) this.#hear(JSON.parse(data), send);
    };
    socket.onclose = ({ code }) => {
      if (this.#socket === socket) this.#lost(code);
    };
  }

  #hear(message, send) {
    const subscription = this.#subscriptions[message.id];
    switch (message.type) {
      case "connection_ack":
        this.#attempts = 0;
        this.#changed(true);
        this.#subscriptions.forEach(({ query, variables, after }, place) => {
          send({ id: String(place), type: "subscribe", payload: { query, variables: { ...variables(), after } } });
        });
        this.#beat(send);
        break;
      case "ping":
        send({ type: "pong" });
        break;
      case "pong":
        this.#beat(send);
        break;
      case "next":
        if (subscription && message.payload.data) {
          const [event] = Object.values(message.payload.data);
          subscription.after = event.cursor;
          subscription.next(event);
        }
        break;
      case "error": {
        const { code, cursor } = message.payload[0]?.extensions ?? {};
        if (subscription && cursor) subscription.after = cursor;
        if (subscription && code === "CURSOR_EXPIRED") subscription.expired();
        break;
      }
    }
  }

  // A connection that died without a word is noticed by a ping that has no answer.
  #beat(send) {
    this.#timers.forEach(clearTimeout);
    const ping = () => {
      send({ type: "ping" });
      this.#timers = [setTimeout(() => this.#lost(), TIMEOUT)];
    };
    this.#timers = [setTimeout(ping, PING_EVERY)];
  }

  async #lost(code) {
    this.#drop();
    this.#changed(false);
    // Forbidden: the token ended, or is somebody's whose access has changed.
    if (code === 4403) await this.#session.refresh().catch(() => this.#retry());
    else this.#retry();
  }

  #retry() {
    if (this.#stopped) return;
    this.#changed(false);
    const longest = Math.min(SHORTEST_WAIT * 2 ** this.#attempts, LONGEST_WAIT);
    this.#attempts += 1;
    // Not all at once, when a server comes back.
    this.#timers = [setTimeout(() => this.#connect(), longest * (0.5 + Math.random() / 2))];
  }
}
