// Connect to Hostless: lets a page request a bridge token from the user of this machine
// and use their AI models with it. No dependencies, no build step.
//
// The user answers outside of the page: in a notification, or by typing
// `hostless approve ID`. The page never sees a provider key.

/** The version of this module and of the npm package. */
export const version = "1.0.0";

const defaultStorageKeys = {
  state: "hostless_state",
  token: "hostless_token",
  proxyBase: "hostless_proxy_base",
};

const defaultBase = "http://localhost:48282";
const defaultScheme = "authmatic://register";

/** How long a request can be approved, the same as in the daemon. */
const approvableMs = 5 * 60 * 1000;

/** The query parameters that the daemon adds to a callback. */
const callbackNames = ["port", "local_url", "state", "expires_in"];

/**
 * An error with a `code`: "denied", "pending" (the user has not answered yet),
 * "state_mismatch", "expired" (the token was removed), "not_connected", "unreachable",
 * "elsewhere" (a URL that is not the gateway's) or "refused".
 */
export class HostlessError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {{ approvalId?: string, command?: string, status?: number, cause?: unknown }} [details]
   */
  constructor(code, message, details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "HostlessError";
    this.code = code;
    this.approvalId = details.approvalId;
    this.command = details.command;
    this.status = details.status;
  }
}

/** The part of a token that may be shown. */
export function shortToken(token) {
  if (!token) return "none";
  const shown = "sk_local_".length + 8;
  return token.length > shown ? `${token.slice(0, shown)}…` : "…";
}

/** Whether a page is on NAME.localhost. */
export function isLocalhostSubdomain(location = window.location) {
  return (location.hostname || "").toLowerCase().endsWith(".localhost");
}

/** How a page at a location reaches Hostless. */
export function inferHostlessMode(location = window.location, connected = false) {
  if (isLocalhostSubdomain(location)) return "local-direct";
  return connected ? "remote-connected" : "remote-handshake";
}

/** The gateway's URL for a page on NAME.localhost: the same port on bare localhost. */
export function buildLocalApiBase(location = window.location) {
  const scheme = location.protocol === "https:" ? "https" : "http";
  return `${scheme}://localhost${location.port ? `:${location.port}` : ""}`;
}

function registrationQuery(payload) {
  const query = new URLSearchParams();
  query.set("origin", payload.origin);
  for (const name of ["callback", "state"]) {
    if (payload[name]) query.set(name, payload[name]);
  }
  for (const name of ["allowed_providers", "allowed_models"]) {
    if (payload[name]?.length) query.set(name, payload[name].join(","));
  }
  if (typeof payload.rate_limit === "number") query.set("rate_limit", String(payload.rate_limit));
  return query;
}

/** The URL that passes a registration to the native handler (`hostless url-handler install`). */
export function buildSchemeRegistrationUrl(payload, schemeBase = defaultScheme) {
  const query = new URLSearchParams({ data: JSON.stringify(payload) });
  for (const [name, value] of registrationQuery(payload)) query.set(name, value);
  return `${schemeBase}?${query}`;
}

/** The URL of the daemon's own page, which needs no handler. */
export function buildConnectPageUrl(payload, base = defaultBase) {
  return `${base.replace(/\/+$/, "")}/connect?${registrationQuery(payload)}`;
}

const fragment = (location) => new URLSearchParams((location.hash || "").replace(/^#/, ""));

/** The origin of a URL on this machine, or "": a callback's query is not trusted. */
function loopbackBase(text) {
  try {
    const url = new URL(text);
    const local = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
    return local && /^https?:$/.test(url.protocol) && !url.username ? url.origin : "";
  } catch {
    return "";
  }
}

/** The data that the daemon has sent back to this page, or null. */
export function readHostlessCallback(location = window.location) {
  const query = new URLSearchParams(location.search || "");
  const token = fragment(location).get("token");
  const port = query.get("port");
  const localUrl = query.get("local_url");
  const proxyBase = loopbackBase(localUrl || (port ? `http://localhost:${port}` : ""));
  if (!token?.startsWith("sk_local_") || !proxyBase) return null;
  const expiresIn = Number(query.get("expires_in"));
  return { token, proxyBase, localUrl, port, state: query.get("state"), expiresIn: expiresIn > 0 ? expiresIn : null };
}

/** Removes a callback's data from the page's URL. */
function cleanAddress(location, history) {
  const url = new URL(location.href);
  const rest = fragment(location);
  for (const name of callbackNames) url.searchParams.delete(name);
  for (const name of ["token", "error", "state"]) rest.delete(name);
  const hash = rest.toString();
  history.replaceState(history.state ?? null, "", `${url.pathname}${url.search}${hash ? `#${hash}` : ""}`);
}

/** The daemon that this module was loaded from, if it was. */
function ownBase() {
  return loopbackBase(import.meta.url) || defaultBase;
}

/** A storage that always works, even if the browser denies the page its own. */
function memoryOver(storage) {
  const memory = new Map();
  return {
    getItem(key) {
      try {
        return storage().getItem(key);
      } catch {
        return memory.get(key) ?? null;
      }
    },
    setItem(key, value) {
      memory.set(key, value);
      try {
        storage().setItem(key, value);
      } catch {}
    },
    removeItem(key) {
      memory.delete(key);
      try {
        storage().removeItem(key);
      } catch {}
    },
  };
}

function randomState(crypto) {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Removes members that are null or undefined. */
const present = (payload) => Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== undefined && value !== null));

const forgottenTexts = ["Invalid or unknown bridge token", "Bridge token has expired"];

/** Creates the client of a page. */
export function createHostlessClient(options = {}) {
  const location = options.location ?? window.location;
  const history = options.history ?? window.history;
  const fetchImpl = options.fetch ?? ((...args) => globalThis.fetch(...args));
  const storage = memoryOver(() => options.storage ?? window.localStorage);
  const crypto = options.crypto ?? globalThis.crypto;
  const storageKeys = { ...defaultStorageKeys, ...options.storageKeys };
  const base = options.base ?? ownBase();
  let lifetime = {}; // known only for a token that this page has received itself

  const getConnection = () => ({
    token: storage.getItem(storageKeys.token) || "",
    proxyBase: storage.getItem(storageKeys.proxyBase) || "",
    ...lifetime,
  });

  function isConnected() {
    const { token, proxyBase } = getConnection();
    return Boolean(token && proxyBase);
  }

  const getMode = () => inferHostlessMode(location, isConnected());

  function disconnect() {
    for (const key of Object.values(storageKeys)) storage.removeItem(key);
    lifetime = {};
    return getConnection();
  }

  function store(connection) {
    storage.setItem(storageKeys.token, connection.token);
    storage.setItem(storageKeys.proxyBase, connection.proxyBase);
    lifetime = { expiresIn: connection.expiresIn ?? null };
    return getConnection();
  }

  /** Uses the data that the daemon sent back, unless its state is not this page's. */
  function initialize() {
    const back = fragment(location);
    const callback = readHostlessCallback(location);
    const refusal = back.get("error");
    const arrived = back.has("token") || (refusal !== null && back.has("state"));
    let callbackData = null;
    let error = null;
    if (arrived) {
      const expected = storage.getItem(storageKeys.state);
      const state = back.has("token") ? new URLSearchParams(location.search || "").get("state") : back.get("state");
      if (!expected || state !== expected) {
        error = new HostlessError("state_mismatch", "This answer does not belong to a request of this page. Connect again.");
      } else {
        storage.removeItem(storageKeys.state);
        if (callback) {
          callbackData = callback;
          store(callback);
        } else if (refusal !== null) {
          error = new HostlessError("denied", "User denied access");
        } else {
          error = new HostlessError("refused", "The answer holds no usable connection. Connect again.");
        }
      }
      cleanAddress(location, history);
    }
    return { connection: getConnection(), callbackData, error, mode: getMode() };
  }

  async function post(apiBase, payload, wait, signal) {
    let response;
    try {
      response = await fetchImpl(`${apiBase}/auth/register`, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...(wait ? { Prefer: `wait=${wait}` } : {}) },
        body: JSON.stringify(payload),
        signal,
      });
    } catch (cause) {
      if (signal?.aborted) throw cause;
      throw new HostlessError("unreachable", `Hostless does not answer at ${apiBase}. Is it running? (hostless status)`, { cause });
    }
    const text = await response.text();
    let data = null;
    try {
      data = JSON.parse(text);
    } catch {}
    if (response.ok && data?.token) return data;
    const message = String(data?.error?.message || data?.error || text || `Hostless answered ${response.status}`);
    const code = data?.approval_id ? "pending" : message === "User denied access" ? "denied" : "refused";
    throw new HostlessError(code, message, { approvalId: data?.approval_id, command: data?.command, status: response.status });
  }

  /** Sends the request, and repeats it while the user may approve it in a terminal. */
  async function register(apiBase, payload, { wait = true, signal, onPending } = {}) {
    const until = Date.now() + approvableMs;
    for (let held = 0; ; held = 100) {
      const started = Date.now();
      try {
        return await post(apiBase, payload, held, signal);
      } catch (error) {
        if (error.code !== "pending" || !wait || started > until) throw error;
        if (held && Date.now() - started < 1000) throw error; // the daemon does not hold the request
        onPending?.({ approvalId: error.approvalId, command: error.command, message: error.message });
      }
    }
  }

  async function connect(connectOptions = {}) {
    const asked = {
      allowed_providers: connectOptions.allowedProviders,
      allowed_models: connectOptions.allowedModels,
      rate_limit: connectOptions.rateLimit,
    };
    if (isLocalhostSubdomain(location)) {
      const apiBase = buildLocalApiBase(location);
      const data = await register(apiBase, present({ origin: location.origin, ...asked }), {
        wait: connectOptions.wait,
        signal: connectOptions.signal,
        onPending: connectOptions.onPending ?? options.onPending,
      });
      const connection = store({
        token: data.token,
        proxyBase: loopbackBase(data.local_url) || apiBase,
        expiresIn: typeof data.expires_in === "number" ? data.expires_in : null,
      });
      return { launched: false, mode: getMode(), connection, source: "local-direct" };
    }
    const state = connectOptions.state || randomState(crypto);
    const payload = present({
      origin: location.origin,
      callback: connectOptions.callback || `${location.origin}${location.pathname}`,
      state,
      ...asked,
    });
    storage.setItem(storageKeys.state, state);
    // The daemon's page works everywhere; a native handler must be installed first.
    const native = connectOptions.schemeBase || (options.launcher ? defaultScheme : "");
    const url = native ? buildSchemeRegistrationUrl(payload, native) : buildConnectPageUrl(payload, base);
    const launcher = options.launcher ?? ((target) => {
      location.href = target;
    });
    launcher(url);
    return { launched: true, mode: getMode(), url, source: "remote-handshake" };
  }

  /** The URL of a path of the gateway; the token is sent nowhere else. */
  function target(input) {
    const { proxyBase } = getConnection();
    const text = typeof input === "string" ? input : input instanceof URL ? input.href : input.url;
    const url = /^[a-z][a-z0-9+.-]*:/i.test(text) ? new URL(text) : new URL(`/${text.replace(/^\/+/, "")}`, proxyBase);
    if (url.origin !== new URL(proxyBase).origin) {
      throw new HostlessError("elsewhere", `${url.origin} is not the gateway: a bridge token is not sent there`);
    }
    return url.href;
  }

  /** Calls fetch with the bridge token. A token that is no longer valid is removed. */
  async function fetchWithBridge(input, init = {}) {
    if (!isConnected()) {
      throw new HostlessError("not_connected", "Connect to Hostless first to get a bridge token.");
    }
    const url = target(input);
    const { token } = getConnection();
    const request = typeof input === "object" && !(input instanceof URL) ? input : undefined;
    const headers = new Headers(init.headers ?? request?.headers);
    for (const name of ["x-api-key", "x-goog-api-key"]) headers.delete(name);
    headers.set("Authorization", `Bearer ${token}`);
    const response = await (request ? fetchImpl(new Request(request, { ...init, headers })) : fetchImpl(url, { ...init, headers }));
    if (response.status === 401) {
      const text = await response.clone().text();
      if (forgottenTexts.some((known) => text.includes(known))) {
        if (getConnection().token === token) disconnect();
        throw new HostlessError("expired", "Your bridge token is no longer valid. Connect to Hostless again.", { status: 401 });
      }
    }
    return response;
  }

  function sdk(path) {
    const { token, proxyBase } = getConnection();
    if (!token) throw new HostlessError("not_connected", "Connect to Hostless first to get a bridge token.");
    return { baseURL: proxyBase + path, apiKey: token, fetch: fetchWithBridge, dangerouslyAllowBrowser: true };
  }

  return {
    initialize,
    connect,
    disconnect,
    getConnection,
    isConnected,
    getMode,
    fetchWithBridge,
    storageKeys,
    /** The options of `new OpenAI(…)`. */
    openai: () => sdk("/v1"),
    /** The options of `new Anthropic(…)`. */
    anthropic: () => sdk(""),
  };
}
