// The connect SDK alone: the test provides everything that a browser provides.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const web = new URL("../../web/", import.meta.url);
const sdk = await import(new URL("connect.js", web));
const { createHostlessClient, HostlessError } = sdk;

const token = "sk_local_0123456789abcdef0123456789abcdef";

function place(href) {
  const url = new URL(href);
  return {
    href,
    origin: url.origin,
    protocol: url.protocol,
    hostname: url.hostname,
    port: url.port,
    pathname: url.pathname,
    search: url.search,
    hash: url.hash,
  };
}

function storage(entries = {}) {
  const map = new Map(Object.entries(entries));
  return {
    map,
    getItem: (key) => map.get(key) ?? null,
    setItem: (key, value) => map.set(key, value),
    removeItem: (key) => map.delete(key),
  };
}

function page(href, options = {}) {
  const seen = { asked: [], urls: [], launched: [] };
  const answers = options.answers ?? [];
  const client = createHostlessClient({
    location: place(href),
    history: { replaceState: (_state, _title, url) => seen.urls.push(url) },
    storage: storage(),
    crypto: { randomUUID: () => "random" },
    fetch: async (url, init) => {
      seen.asked.push({ url, ...init });
      const answer = answers.shift();
      if (!answer) throw new TypeError("fetch failed");
      return answer;
    },
    launcher: (url) => seen.launched.push(url),
    ...options.client,
  });
  return { client, seen };
}

const json = (status, body) => new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });
const approved = () => json(200, { port: 48282, local_url: "http://localhost:48282", token, state: "", expires_in: 3600 });

test("modes", () => {
  for (const [href, connected, want] of [
    ["http://a.localhost:48282/", false, "local-direct"],
    ["http://a.localhost:48282/", true, "local-direct"],
    ["http://A.B.LOCALHOST/", false, "local-direct"],
    ["http://localhost:3000/", false, "remote-handshake"],
    ["https://app.example/", false, "remote-handshake"],
    ["https://app.example/", true, "remote-connected"],
    ["https://localhost.example/", false, "remote-handshake"],
    ["https://evillocalhost/", false, "remote-handshake"],
  ]) {
    assert.equal(sdk.inferHostlessMode(place(href), connected), want, href);
  }
  assert.equal(sdk.buildLocalApiBase(place("https://a.localhost:4711/x")), "https://localhost:4711");
  assert.equal(sdk.buildLocalApiBase(place("http://a.localhost/")), "http://localhost");
});

test("a token is never shown in full", () => {
  assert.equal(sdk.shortToken(token), "sk_local_01234567…");
  assert.equal(sdk.shortToken(""), "none");
  assert.equal(sdk.shortToken("secret"), "…");
});

test("URLs of the handshake", () => {
  const payload = { origin: "https://app.example", callback: "https://app.example/?a=b&c", state: "s&t", allowed_models: ["a", "b*"], rate_limit: 0 };
  const url = new URL(sdk.buildSchemeRegistrationUrl(payload));
  assert.ok(url.href.startsWith("authmatic://register?data="));
  assert.deepEqual(JSON.parse(url.searchParams.get("data")), payload);
  assert.equal(url.searchParams.get("callback"), payload.callback);
  assert.equal(url.searchParams.get("allowed_models"), "a,b*");
  assert.equal(url.searchParams.get("rate_limit"), "0");
  assert.ok(sdk.buildSchemeRegistrationUrl(payload, "hostless://register").startsWith("hostless://register?data="));
  const own = new URL(sdk.buildConnectPageUrl(payload, "http://localhost:4711/"));
  assert.equal(own.origin + own.pathname, "http://localhost:4711/connect");
  assert.equal(own.searchParams.get("state"), "s&t");
  assert.equal(own.searchParams.has("data"), false);
});

test("NAME.localhost connects by fetch", async () => {
  const { client, seen } = page("http://a.localhost:4711/x", { answers: [approved()] });
  assert.deepEqual(client.getConnection(), { token: "", proxyBase: "" });
  assert.equal(client.isConnected(), false);
  const result = await client.connect({ allowedProviders: ["openai"], allowedModels: ["gpt-4o"], rateLimit: 9 });
  assert.equal(seen.asked[0].url, "http://localhost:4711/auth/register");
  assert.deepEqual(JSON.parse(seen.asked[0].body), { origin: "http://a.localhost:4711", allowed_providers: ["openai"], allowed_models: ["gpt-4o"], rate_limit: 9 });
  assert.equal(seen.asked[0].headers.Prefer, undefined);
  assert.deepEqual(result, {
    launched: false,
    mode: "local-direct",
    source: "local-direct",
    connection: { token, proxyBase: "http://localhost:48282", expiresIn: 3600 },
  });
  assert.equal(client.isConnected(), true);
  assert.deepEqual(client.disconnect(), { token: "", proxyBase: "" });
  assert.equal(client.isConnected(), false);
});

test("denied, refused, unreachable", async () => {
  for (const [answer, code, text] of [
    [json(403, { error: "User denied access" }), "denied", "User denied access"],
    [json(429, { error: { message: "too often", type: "rate_limit_error" } }), "refused", "too often"],
    [new Response("<b>", { status: 502 }), "refused", "<b>"],
    [json(200, {}), "refused", "{}"],
    [undefined, "unreachable", "Hostless does not answer"],
  ]) {
    const { client } = page("http://a.localhost/", { answers: [answer] });
    await assert.rejects(client.connect(), (e) => e instanceof HostlessError && e.code === code && e.message.includes(text));
    assert.equal(client.isConnected(), false);
  }
});

test("waits for an answer given in a terminal", async () => {
  const pending = () => json(403, { error: "run hostless approvals", approval_id: "id1", command: "hostless approve id1" });
  const shown = [];
  const { client, seen } = page("http://a.localhost/", { answers: [pending(), approved()], client: { onPending: (p) => shown.push(p) } });
  await client.connect();
  assert.equal(client.isConnected(), true);
  assert.match(seen.asked[1].headers.Prefer, /^wait=\d+$/);
  assert.equal(seen.asked[0].body, seen.asked[1].body);
  assert.equal(shown[0].command, "hostless approve id1");

  const impatient = page("http://a.localhost/", { answers: [pending()] });
  await assert.rejects(impatient.client.connect({ wait: false }), (e) => e.code === "pending" && e.approvalId === "id1");
  const unheld = page("http://a.localhost/", { answers: [pending(), pending(), pending()] });
  await assert.rejects(unheld.client.connect(), (e) => e.code === "pending");
  assert.equal(unheld.seen.asked.length, 2, "a daemon that does not hold is not asked for ever");
});

test("a hosted page navigates away and comes back", async () => {
  const kept = storage();
  const first = page("https://app.example/chat?q=1#top", { client: { storage: kept } });
  const result = await first.client.connect({ allowedModels: ["gpt-4o"] });
  assert.equal(result.launched, true);
  assert.equal(result.source, "remote-handshake");
  const url = new URL(first.seen.launched[0]);
  assert.equal(url.protocol, "authmatic:");
  assert.equal(url.searchParams.get("callback"), "https://app.example/chat");
  assert.equal(url.searchParams.get("state"), "random");
  assert.equal(kept.getItem("hostless_state"), "random");

  const back = "https://app.example/chat?q=1&port=48282&local_url=http%3A%2F%2Flocalhost%3A48282&state=random&expires_in=3600#token=" + token;
  const second = page(back, { client: { storage: kept } });
  const init = second.client.initialize();
  assert.equal(init.error, null);
  assert.equal(init.mode, "remote-connected");
  assert.deepEqual(init.connection, { token, proxyBase: "http://localhost:48282", expiresIn: 3600 });
  assert.deepEqual(second.seen.urls, ["/chat?q=1"]);
  assert.equal(kept.getItem("hostless_state"), null);
  assert.equal(page("https://app.example/", { client: { storage: kept } }).client.initialize().mode, "remote-connected");
});

test("without a launcher a hosted page opens the daemon's page", async () => {
  const location = place("https://app.example/");
  const { client } = page("https://app.example/", { client: { location, launcher: undefined } });
  await client.connect({ state: "mine", callback: "https://app.example/back" });
  assert.equal(location.href, "http://localhost:48282/connect?origin=https%3A%2F%2Fapp.example&callback=https%3A%2F%2Fapp.example%2Fback&state=mine");
  const native = place("https://app.example/");
  await page("https://app.example/", { client: { location: native, launcher: undefined } }).client.connect({ schemeBase: "hostless://register" });
  assert.ok(native.href.startsWith("hostless://register?data="));
});

test("responses with another state are ignored", () => {
  const query = "?port=1&local_url=http%3A%2F%2Flocalhost%3A1&state=";
  for (const [why, href, entries, code] of [
    ["another state", `https://app.example/${query}other#token=${token}`, { hostless_state: "mine" }, "state_mismatch"],
    ["no request", `https://app.example/${query}mine#token=${token}`, {}, "state_mismatch"],
    ["no state", `https://app.example/?port=1#token=${token}`, { hostless_state: "mine" }, "state_mismatch"],
    ["a gateway elsewhere", `https://app.example/?local_url=https%3A%2F%2Fevil.example&state=mine#token=${token}`, { hostless_state: "mine" }, "refused"],
    ["a gateway's look-alike", `https://app.example/?local_url=http%3A%2F%2Flocalhost%40evil.example&state=mine#token=${token}`, { hostless_state: "mine" }, "refused"],
    ["no bridge token", `https://app.example/${query}mine#token=x`, { hostless_state: "mine" }, "refused"],
    ["denied", `https://app.example/#error=denied&state=mine`, { hostless_state: "mine" }, "denied"],
    ["denied, another state", `https://app.example/#error=denied&state=other`, { hostless_state: "mine" }, "state_mismatch"],
  ]) {
    const { client, seen } = page(href, { client: { storage: storage(entries) } });
    const { error, callbackData } = client.initialize();
    assert.equal(error?.code, code, why);
    assert.equal(callbackData, null, why);
    assert.equal(client.isConnected(), false, why);
    assert.deepEqual(seen.urls, ["/"], why);
  }
  const { client, seen } = page("https://app.example/?state=open#error=mine");
  assert.equal(client.initialize().error, null);
  assert.deepEqual(seen.urls, [], "the app's own query and fragment stay");
});

const connected = () => storage({ hostless_token: token, hostless_proxy_base: "http://localhost:48282" });

test("fetchWithBridge", async () => {
  const { client, seen } = page("https://app.example/", { answers: [json(200, {}), json(200, {}), json(401, { error: "provider's own" })], client: { storage: connected() } });
  await client.fetchWithBridge("/v1/models");
  await client.fetchWithBridge("http://localhost:48282/v1/chat/completions", { method: "POST", headers: { "x-api-key": "old", "Content-Type": "a/b" } });
  assert.equal(seen.asked[0].url, "http://localhost:48282/v1/models");
  assert.equal(seen.asked[1].headers.get("Authorization"), `Bearer ${token}`);
  assert.equal(seen.asked[1].headers.get("x-api-key"), null);
  assert.equal(seen.asked[1].headers.get("content-type"), "a/b");
  assert.equal((await client.fetchWithBridge("v1/models")).status, 401);
  assert.equal(client.isConnected(), true, "a 401 of a provider's is the caller's");
  for (const elsewhere of ["https://evil.example/v1", "http://localhost:48283/v1", "http://localhost:48282@evil.example/"]) {
    await assert.rejects(client.fetchWithBridge(elsewhere), (e) => e.code === "elsewhere");
  }
  // A path that could be read as another host stays a path.
  const paths = page("https://app.example/", { answers: [json(200, {})], client: { storage: connected() } });
  await paths.client.fetchWithBridge("//evil.example/v1");
  assert.equal(new URL(paths.seen.asked[0].url).origin, "http://localhost:48282");
  await assert.rejects(page("https://app.example/").client.fetchWithBridge("v1/models"), (e) => e.code === "not_connected");
});

test("a token that is no longer valid is removed", async () => {
  for (const text of ["Invalid or unknown bridge token", "Bridge token has expired"]) {
    const { client } = page("https://app.example/", { answers: [json(401, { error: { message: text } })], client: { storage: connected() } });
    await assert.rejects(client.fetchWithBridge("v1/models"), (e) => e.code === "expired");
    assert.equal(client.isConnected(), false);
  }
});

test("SDK options", () => {
  const { client } = page("https://app.example/", { client: { storage: connected() } });
  assert.deepEqual({ ...client.openai(), fetch: 0 }, { baseURL: "http://localhost:48282/v1", apiKey: token, fetch: 0, dangerouslyAllowBrowser: true });
  assert.equal(client.anthropic().baseURL, "http://localhost:48282");
  assert.equal(client.openai().fetch, client.fetchWithBridge);
  client.disconnect();
  assert.throws(() => client.openai(), (e) => e.code === "not_connected");
});

test("a page without storage still connects", async () => {
  const { client } = page("http://a.localhost/", {
    answers: [approved()],
    client: { storage: { getItem() { throw new Error("no"); }, setItem() { throw new Error("no"); }, removeItem() { throw new Error("no"); } } },
  });
  await client.connect();
  assert.equal(client.isConnected(), true);
});

test("the package", () => {
  const pack = JSON.parse(readFileSync(new URL("package.json", web)));
  assert.equal(pack.version, sdk.version);
  const own = createHostlessClient({ location: place("https://app.example/"), history: {}, storage: storage() });
  assert.deepEqual(own.storageKeys, { state: "hostless_state", token: "hostless_token", proxyBase: "hostless_proxy_base" });
  const renamed = createHostlessClient({ location: place("https://app.example/"), history: {}, storage: storage(), storageKeys: { token: "t" } });
  assert.equal(renamed.storageKeys.token, "t");
  assert.equal(renamed.storageKeys.state, "hostless_state");
});
