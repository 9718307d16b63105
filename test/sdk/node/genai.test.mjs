// Google's GenAI SDK through Hostless, with Gemini's own dialect.
import { test } from "node:test";
import assert from "node:assert/strict";
import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({ apiKey: process.env.HOSTLESS_TOKEN, httpOptions: { baseUrl: process.env.HOSTLESS_URL } });
const model = "gemini-2.5-flash";
const declaration = { name: "weather", description: "d", parametersJsonSchema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } };

test("generateContent", async () => {
  const r = await ai.models.generateContent({ model, contents: "hi <you> é😀" });
  assert.equal(r.text, "You said: hi <you> é😀");
});
test("generateContentStream", async () => {
  let text = "";
  for await (const chunk of await ai.models.generateContentStream({ model, contents: "hi" })) text += chunk.text ?? "";
  assert.equal(text, "You said: hi");
});
test("tools", async () => {
  const r = await ai.models.generateContent({ model, contents: "weather?", config: { tools: [{ functionDeclarations: [declaration] }] } });
  assert.equal(r.functionCalls[0].name, "weather");
  assert.deepEqual(r.functionCalls[0].args, { city: "Paris" });
});
test("image", async () => {
  const r = await ai.models.generateContent({ model, contents: [{ role: "user", parts: [{ text: "look" }, { inlineData: { mimeType: "image/png", data: "iVBORw0KGgo=" } }] }] });
  assert.equal(r.text, "You said: look (+1)");
});
test("countTokens, embedContent, models.list", async () => {
  assert.equal((await ai.models.countTokens({ model, contents: "hi" })).totalTokens, 42);
  assert.equal((await ai.models.embedContent({ model: "gemini-embedding-001", contents: "hi" })).embeddings[0].values.length, 2);
  const names = [];
  for await (const m of await ai.models.list()) names.push(m.name);
  assert.ok(names.some((n) => n.endsWith("gemini-2.5-flash")), `${names}`);
});
test("errors", async () => {
  await assert.rejects(ai.models.generateContent({ model: "gemini-exhausted", contents: "x" }), (e) => e.status === 429);
  const bad = new GoogleGenAI({ apiKey: "sk_local_wrong", httpOptions: { baseUrl: process.env.HOSTLESS_URL } });
  await assert.rejects(bad.models.generateContent({ model, contents: "x" }), (e) => e.status === 401 && e.message.includes("Invalid or unknown bridge token"));
});
