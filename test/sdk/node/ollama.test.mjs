// Ollama's client through Hostless.
import { test } from "node:test";
import assert from "node:assert/strict";
import { Ollama } from "ollama";

const client = new Ollama({ host: process.env.HOSTLESS_URL, headers: { Authorization: `Bearer ${process.env.HOSTLESS_TOKEN}` } });
const messages = [{ role: "user", content: "hi <you> é😀" }];
const tools = [{ type: "function", function: { name: "weather", description: "d", parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } } }];

test("every model listed is callable under its listed name", async () => {
  const names = (await client.list()).models.map((m) => m.name ?? m.model);
  for (const want of ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"]) assert.ok(names.includes(want), `${want} is missing in ${names}`);
  for (const model of names.filter((n) => !/embedding|realtime|slow/.test(n))) {
    const r = await client.chat({ model, messages });
    assert.ok(r.message.content.includes("hi <you> é😀"), `${model}: ${r.message.content}`);
    assert.equal(r.done, true);
  }
});
test("stream", async () => {
  let text = "", last;
  for await (const part of await client.chat({ model: "openai/gpt-4o-mini", messages, stream: true })) { text += part.message.content; last = part; }
  assert.equal(text, "You said: hi <you> é😀");
  assert.equal(last.done, true);
  assert.ok(last.eval_count > 0);
});
test("tools", async () => {
  const r = await client.chat({ model: "anthropic/claude-sonnet-4-5", messages: [{ role: "user", content: "weather?" }], tools });
  assert.deepEqual(r.message.tool_calls[0].function.arguments, { city: "Paris" });
});
test("generate, show, embed, ps", async () => {
  assert.equal((await client.generate({ model: "openai/gpt-4o-mini", prompt: "hi" })).response, "You said: hi");
  assert.ok((await client.show({ model: "openai/gpt-4o-mini" })).details);
  assert.equal((await client.embed({ model: "openai/text-embedding-3-small", input: "x" })).embeddings[0].length, 2);
  assert.ok((await client.ps()).models.length > 0);
});
