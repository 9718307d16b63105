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
  /** The id of a request that the user has not answered yet. */
  approvalId?: string;
  /** The command that approves it. */
  command?: string;
  status?: number;
}

export interface Connection {
  token: string;
  proxyBase: string;
  /** Lifetime of the token in seconds, from when this page received it; absent otherwise. */
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
  /** Opens the URL of a hosted page's handshake. Without `schemeBase` that is then an `authmatic:` URL. */
  launcher?: (url: string) => void;
  storageKeys?: Partial<StorageKeys>;
  /** The daemon for the handshake of a hosted page; by default where this module was loaded from, else http://localhost:48282. */
  base?: string;
  /** Called with the command to type when the user cannot be asked on the desktop. */
  onPending?: (pending: PendingApproval) => void;
}

export interface ConnectOptions {
  allowedProviders?: string[];
  allowedModels?: string[];
  /** Requests an hour. */
  rateLimit?: number;
  /** The URL to which a hosted page returns; by default itself. */
  callback?: string;
  state?: string;
  /** `authmatic://register` or `hostless://register` for the native handler. */
  schemeBase?: string;
  /** Whether to wait for an answer in a terminal; true by default. */
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
