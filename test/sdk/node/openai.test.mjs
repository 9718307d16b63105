// The OpenAI SDK through Hostless, with only the base URL and the key set.
import { test } from "node:test";
import assert from "node:assert/strict";
import OpenAI, { toFile, NotFoundError, RateLimitError, AuthenticationError, PermissionDeniedError, BadRequestError } from "openai";

const client = new OpenAI({ baseURL: process.env.HOSTLESS_API, apiKey: process.env.HOSTLESS_TOKEN, maxRetries: 0 });
const hi = [{ role: "user", content: "hi <you> é😀" }];
const tools = [{ type: "function", function: { name: "weather", description: "d", parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } } }];
const png = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

// The same client and code with each provider's dialect.
for (const model of ["gpt-4o-mini", "openai/gpt-4o-mini", "mine/any-model", "claude-sonnet-4-5", "anthropic/claude-haiku-4-5", "gemini-2.5-flash", "google/gemini-3-pro"]) {
  test(`chat on ${model}`, async () => {
    const c = await client.chat.completions.create({ model, messages: hi, max_completion_tokens: 100 });
    assert.equal(c.choices[0].message.content, "You said: hi <you> é😀");
    assert.equal(c.choices[0].finish_reason, "stop");
    assert.ok(c.usage.prompt_tokens > 0 && c.usage.total_tokens > 0);
  });
  test(`chat stream on ${model}`, async () => {
    const stream = await client.chat.completions.create({ model, messages: hi, stream: true, stream_options: { include_usage: true } });
    let text = "", finish, usage;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? "";
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, "You said: hi <you> é😀");
    assert.equal(finish, "stop");
    assert.ok(usage.completion_tokens > 0);
  });
  test(`chat stream without usage on ${model}`, async () => {
    const stream = await client.chat.completions.create({ model, messages: hi, stream: true });
    for await (const chunk of stream) assert.ok(!chunk.usage, "an unasked usage chunk reached the client");
  });
  test(`tool round on ${model}`, async () => {
    const messages = [{ role: "user", content: "weather?" }];
    const first = await client.chat.completions.create({ model, messages, tools });
    assert.equal(first.choices[0].finish_reason, "tool_calls");
    const call = first.choices[0].message.tool_calls[0];
    assert.equal(call.function.name, "weather");
    assert.deepEqual(JSON.parse(call.function.arguments), { city: "Paris" });
    messages.push(first.choices[0].message, { role: "tool", tool_call_id: call.id, content: "sunny" });
    const second = await client.chat.completions.create({ model, messages, tools });
    assert.match(second.choices[0].message.content, /Tool said: .*sunny/);
  });
  test(`streamed tool call on ${model}`, async () => {
    const run = client.chat.completions.stream({ model, messages: [{ role: "user", content: "weather?" }], tools });
    const final = await run.finalChatCompletion();
    assert.deepEqual(JSON.parse(final.choices[0].message.tool_calls[0].function.arguments), { city: "Paris" });
    assert.equal(final.choices[0].finish_reason, "tool_calls");
  });
  test(`image on ${model}`, async () => {
    const c = await client.chat.completions.create({ model, messages: [{ role: "user", content: [{ type: "text", text: "look" }, { type: "image_url", image_url: { url: png } }] }] });
    assert.equal(c.choices[0].message.content, "You said: look (+1)");
  });
  test(`responses on ${model}`, async () => {
    const r = await client.responses.create({ model, input: "hi" });
    assert.equal(r.status, "completed");
    assert.equal(r.output_text, "You said: hi");
    const types = [];
    for await (const ev of await client.responses.create({ model, input: "hi", stream: true })) types.push(ev.type);
    assert.equal(types[0], "response.created");
    assert.equal(types.at(-1), "response.completed");
    assert.ok(types.includes("response.output_text.delta"));
  });
  test(`responses tool on ${model}`, async () => {
    const fn = [{ type: "function", name: "weather", parameters: tools[0].function.parameters, strict: false }];
    const stream = client.responses.stream({ model, input: "weather?", tools: fn });
    const r = await stream.finalResponse();
    const call = r.output.find((o) => o.type === "function_call");
    assert.deepEqual(JSON.parse(call.arguments), { city: "Paris" });
    const again = await client.responses.create({ model, tools: fn, input: [{ role: "user", content: "weather?" }, call, { type: "function_call_output", call_id: call.call_id, output: "sunny" }] });
    assert.match(again.output_text, /Tool said: .*sunny/);
  });
}

test("the built-in echo", async () => {
  const c = await client.chat.completions.create({ model: "echo/text", messages: [{ role: "user", content: "hello" }] });
  assert.match(c.choices[0].message.content, /hello/);
  let text = "";
  for await (const chunk of await client.chat.completions.create({ model: "echo/text", messages: [{ role: "user", content: "hello" }], stream: true })) text += chunk.choices[0]?.delta?.content ?? "";
  assert.match(text, /hello/);
});

test("an event that nobody knows yet passes", async () => {
  const types = [];
  for await (const ev of await client.responses.create({ model: "gpt-5", input: "hi", stream: true, metadata: { standin: "unknown event" } })) types.push(ev.type);
  assert.ok(types.includes("response.standin_unknown"));
});

test("models.list", async () => {
  const ids = [];
  for await (const m of client.models.list()) ids.push(m.id);
  for (const want of ["gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-flash", "mine/gpt-4o-mini", "echo/text"]) assert.ok(ids.includes(want), `${want} is missing in ${ids}`);
});

test("error classes", async () => {
  const chat = (model, c = client) => c.chat.completions.create({ model, messages: hi });
  await assert.rejects(chat("err-429"), (e) => e instanceof RateLimitError && e.status === 429 && e.requestID === "req_err");
  await assert.rejects(chat("err-404"), NotFoundError);
  await assert.rejects(chat("err-500"), (e) => e.status === 500 && e.type === "standin_error");
  await assert.rejects(chat("gpt-4o-mini", new OpenAI({ baseURL: process.env.HOSTLESS_API, apiKey: "sk_local_wrong", maxRetries: 0 })), (e) => e instanceof AuthenticationError && e.message.includes("Invalid or unknown bridge token"));
  await assert.rejects(chat("gpt-4o-mini", new OpenAI({ baseURL: process.env.HOSTLESS_API, apiKey: process.env.HOSTLESS_SCOPED, maxRetries: 0 })), (e) => e instanceof PermissionDeniedError && e.type === "scope_error");
  await assert.rejects(chat("groq/none"), (e) => e instanceof BadRequestError && e.type === "configuration_error" && e.message.includes("hostless keys add groq"));
  await assert.rejects(chat("claude-overloaded"), (e) => e.status === 529);
  await assert.rejects(chat("gemini-exhausted"), RateLimitError);
  await assert.rejects(client.chat.completions.create({ model: "claude-sonnet-4-5", messages: hi, n: 2 }), (e) => e instanceof BadRequestError && e.param === "n");
});

test("an abort ends the stream", async () => {
  const stream = await client.chat.completions.create({ model: "echo/slow", messages: hi, stream: true });
  for await (const _ of stream) break; // aborts
});

test("the rest of the surface", async () => {
  assert.equal((await client.embeddings.create({ model: "text-embedding-3-small", input: "x", encoding_format: "float" })).data[0].embedding.length, 2);
  assert.equal((await client.moderations.create({ input: "x", model: "omni-moderation-latest" })).results[0].flagged, false);
  const speech = await client.audio.speech.create({ model: "gpt-4o-mini-tts", voice: "alloy", input: "x" });
  assert.equal((await speech.arrayBuffer()).byteLength, 1200);
  const file = await toFile(Buffer.alloc(70000, "a"), "a.wav");
  assert.equal((await client.audio.transcriptions.create({ model: "whisper-1", file })).text, "70000 bytes for whisper-1");
  assert.equal((await client.files.create({ file, purpose: "assistants" })).bytes, 70000);
  assert.equal(await (await client.files.content("file-1")).text(), "content of file-1");
  assert.ok((await client.images.generate({ model: "gpt-image-1", prompt: "x" })).data[0].b64_json);
  assert.equal((await client.responses.retrieve("resp_1")).id, "resp_1");
  await client.responses.delete("resp_1");
});
