// Code of an app in TypeScript. It is compiled but never run.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import {
  buildConnectPageUrl,
  buildLocalApiBase,
  buildSchemeRegistrationUrl,
  createHostlessClient,
  HostlessError,
  inferHostlessMode,
  isLocalhostSubdomain,
  readHostlessCallback,
  shortToken,
  type ConnectResult,
  type HostlessMode,
} from "hostless-connect";
import { ConnectToHostlessButton, useHostlessConnect } from "hostless-connect/react";

const client = createHostlessClient({
  location: window.location,
  history: window.history,
  fetch: window.fetch,
  storage: window.sessionStorage,
  crypto: window.crypto,
  launcher: (url) => window.open(url),
  storageKeys: { token: "mine" },
});
const { connection, callbackData, error, mode } = client.initialize();
const texts: string[] = [connection.token, callbackData?.state ?? "", error?.command ?? "", mode, client.storageKeys.proxyBase];

async function chat(): Promise<ConnectResult> {
  const result = await client.connect({ allowedProviders: ["openai"], allowedModels: ["gpt-4o*"], rateLimit: 10, callback: "/", state: "s", schemeBase: "hostless://register" });
  if (result.launched) texts.push(result.url);
  else texts.push(result.connection.proxyBase);
  const openai = new OpenAI(client.openai());
  const stream = await openai.chat.completions.create({ model: "gpt-4o", messages: [{ role: "user", content: "hi" }], stream: true });
  for await (const chunk of stream) texts.push(chunk.choices[0]?.delta.content ?? "");
  await new Anthropic(client.anthropic()).messages.create({ model: "claude", max_tokens: 1, messages: [] });
  const response: Response = await client.fetchWithBridge("v1/models", { headers: { a: "b" } });
  if (!response.ok) throw new HostlessError("refused", "no");
  return result;
}

const payload = { origin: location.origin, allowed_models: ["a"] };
const how: HostlessMode = inferHostlessMode(location, isLocalhostSubdomain());
texts.push(buildSchemeRegistrationUrl(payload), buildConnectPageUrl(payload), buildLocalApiBase(), shortToken(null), how, readHostlessCallback()?.token ?? "");

// @ts-expect-error a rate is a number
void client.connect({ rateLimit: "10" });
// @ts-expect-error no such code
new HostlessError("other", "x");

export function Screen() {
  const hostless = useHostlessConnect({ onConnected: (c) => texts.push(c.token) });
  void hostless.fetchWithHostless("v1/models");
  return (
    <ConnectToHostlessButton showDisconnect label={hostless.pending?.command} connectOptions={{ allowedModels: ["a"] }} onError={() => void chat()} />
  );
}
