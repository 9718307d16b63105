// Anthropic's SDK through Hostless, with its own dialect and with other providers.
import { test } from "node:test";
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.env.HOSTLESS_URL, authToken: process.env.HOSTLESS_TOKEN, apiKey: null, maxRetries: 0 });
const withKey = new Anthropic({ baseURL: process.env.HOSTLESS_URL, apiKey: process.env.HOSTLESS_TOKEN, maxRetries: 0 });
const messages = [{ role: "user", content: "hi <you> é😀" }];
const tools = [{ name: "weather", description: "d", input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } }];
const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" } };

for (const model of ["claude-sonnet-4-5", "gpt-4o-mini", "mine/any-model", "gemini-2.5-flash"]) {
  test(`messages on ${model}`, async () => {
    for (const c of [client, withKey]) {
      const m = await c.messages.create({ model, max_tokens: 100, messages });
      assert.equal(m.content[0].text, "You said: hi <you> é😀");
      assert.equal(m.stop_reason, "end_turn");
      assert.ok(m.usage.input_tokens > 0 && m.usage.output_tokens > 0);
    }
  });
  test(`stream on ${model}`, async () => {
    const m = await client.messages.stream({ model, max_tokens: 100, messages }).finalMessage();
    assert.equal(m.content[0].text, "You said: hi <you> é😀");
    assert.equal(m.stop_reason, "end_turn");
  });
  test(`tool round on ${model}`, async () => {
    for (const ask of [(p) => client.messages.create(p), (p) => client.messages.stream(p).finalMessage()]) {
      const turns = [{ role: "user", content: "weather?" }];
      const first = await ask({ model, max_tokens: 100, messages: turns, tools, system: "be brief" });
      assert.equal(first.stop_reason, "tool_use");
      const call = first.content.find((b) => b.type === "tool_use");
      assert.deepEqual(call.input, { city: "Paris" });
      turns.push({ role: "assistant", content: first.content }, { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "sunny" }] });
      const second = await ask({ model, max_tokens: 100, messages: turns, tools });
      assert.match(second.content.at(-1).text, /Tool said: .*sunny/);
    }
  });
  test(`image on ${model}`, async () => {
    const m = await client.messages.create({ model, max_tokens: 100, messages: [{ role: "user", content: [{ type: "text", text: "look" }, image] }] });
    assert.equal(m.content[0].text, "You said: look (+1)");
  });
}

test("thinking passes with its signature", async () => {
  const m = await client.messages.stream({ model: "claude-sonnet-4-5", max_tokens: 4000, thinking: { type: "enabled", budget_tokens: 1024 }, messages }).finalMessage();
  assert.equal(m.content[0].thinking, "Let me think.");
  assert.equal(m.content[0].signature, "c2lnbmF0dXJl");
});

test("count_tokens and models", async () => {
  assert.equal((await client.messages.countTokens({ model: "claude-sonnet-4-5", messages })).input_tokens, 42);
  const ids = [];
  for await (const m of client.models.list()) ids.push(m.id);
  assert.ok(ids.includes("claude-sonnet-4-5"), `${ids}`);
});

test("error classes", async () => {
  const bad = new Anthropic({ baseURL: process.env.HOSTLESS_URL, apiKey: "sk_local_wrong", maxRetries: 0 });
  await assert.rejects(bad.messages.create({ model: "claude-sonnet-4-5", max_tokens: 1, messages }), (e) => e instanceof Anthropic.AuthenticationError && e.error.error.type === "authentication_error");
  await assert.rejects(client.messages.create({ model: "claude-overloaded", max_tokens: 1, messages }), (e) => e.status === 529 && e.error.error.type === "overloaded_error");
  await assert.rejects(client.messages.create({ model: "err-429", max_tokens: 1, messages }), (e) => e instanceof Anthropic.RateLimitError && e.error.type === "error");
});
