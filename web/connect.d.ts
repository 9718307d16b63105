/** The version of this module. */
export const version: string;

export type HostlessMode = "local-direct" | "remote-connected" | "remote-handshake";

export type HostlessErrorCode =
  | "denied"
  | "pending"
  | "state_mismatch"
  | "expired"
  | "not_connected"
  | "unreachable"
  | "elsewhere"
  | "refused";

export class HostlessError extends Error {
  constructor(
    code: HostlessErrorCode,
    message: string,
    details?: { approvalId?: string; command?: string; status?: number; cause?: unknown },
  );
  code: HostlessErrorCode;
  /** Of a request that nobody has answered yet. */
  approvalId?: string;
  /** What to type to allow it. */
  command?: string;
  status?: number;
}

export interface Connection {
  token: string;
  proxyBase: string;
  /** Seconds that the token lasts from when this page got it; absent where it did not. */
  expiresIn?: number | null;
}

export interface CallbackData {
  token: string;
  proxyBase: string;
  localUrl: string | null;
  port: string | null;
  state: string | null;
  expiresIn: number | null;
}

export interface RegistrationPayload {
  origin: string;
  callback?: string;
  state?: string;
  allowed_providers?: string[];
  allowed_models?: string[];
  rate_limit?: number;
}

export interface StorageKeys {
  state: string;
  token: string;
  proxyBase: string;
}

export interface PendingApproval {
  approvalId?: string;
  command?: string;
  message: string;
}

type LocationLike = Pick<Location, "href" | "origin" | "protocol" | "hostname" | "port" | "pathname" | "search" | "hash">;
type StorageLike = Pick<Storage, "getItem" | "setItem" | "removeItem">;
type HistoryLike = Pick<History, "replaceState"> & { readonly state?: unknown };
type CryptoLike = Partial<Pick<Crypto, "randomUUID" | "getRandomValues">>;

export interface ClientOptions {
  location?: LocationLike;
  history?: HistoryLike;
  fetch?: typeof globalThis.fetch;
  storage?: StorageLike;
  crypto?: CryptoLike;
  /** Opens the URL of a hosted page's handshake; with it, and without `schemeBase`, that is an `authmatic:` URL. */
  launcher?: (url: string) => void;
  storageKeys?: Partial<StorageKeys>;
  /** The daemon, for the handshake of a hosted page: where this module came from, else http://localhost:48282. */
  base?: string;
  /** Is told what to type when nobody could be asked on the desktop. */
  onPending?: (pending: PendingApproval) => void;
}

export interface ConnectOptions {
  allowedProviders?: string[];
  allowedModels?: string[];
  /** Requests an hour. */
  rateLimit?: number;
  /** Where a hosted page is sent back to; itself by default. */
  callback?: string;
  state?: string;
  /** `authmatic://register` or `hostless://register` for the native handler. */
  schemeBase?: string;
  /** Whether to wait for an answer given in a terminal; true by default. */
  wait?: boolean;
  signal?: AbortSignal;
  onPending?: (pending: PendingApproval) => void;
}

export type ConnectResult =
  | { launched: false; mode: HostlessMode; connection: Connection; source: "local-direct"; url?: undefined }
  | { launched: true; mode: HostlessMode; url: string; source: "remote-handshake"; connection?: undefined };

export interface InitializeResult {
  connection: Connection;
  callbackData: CallbackData | null;
  error: HostlessError | null;
  mode: HostlessMode;
}

export interface SDKOptions {
  baseURL: string;
  apiKey: string;
  fetch: typeof globalThis.fetch;
  dangerouslyAllowBrowser: true;
}

export interface HostlessClient {
  initialize(): InitializeResult;
  connect(options?: ConnectOptions): Promise<ConnectResult>;
  disconnect(): Connection;
  getConnection(): Connection;
  isConnected(): boolean;
  getMode(): HostlessMode;
  fetchWithBridge(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
  storageKeys: StorageKeys;
  /** The options of `new OpenAI(…)`. */
  openai(): SDKOptions;
  /** The options of `new Anthropic(…)`. */
  anthropic(): SDKOptions;
}

export function createHostlessClient(options?: ClientOptions): HostlessClient;
export function inferHostlessMode(location?: Pick<Location, "hostname">, connected?: boolean): HostlessMode;
export function isLocalhostSubdomain(location?: Pick<Location, "hostname">): boolean;
export function buildLocalApiBase(location?: Pick<Location, "protocol" | "port">): string;
export function buildSchemeRegistrationUrl(payload: RegistrationPayload, schemeBase?: string): string;
export function buildConnectPageUrl(payload: RegistrationPayload, base?: string): string;
export function readHostlessCallback(location?: Pick<Location, "search" | "hash">): CallbackData | null;
export function shortToken(token: string | null | undefined): string;
