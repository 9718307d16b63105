import Anthropic from "@anthropic-ai/sdk";
import { createHostlessClient } from "hostless-connect";
import OpenAI from "openai";

const hostless = createHostlessClient();

// The granted access is used with the providers' own SDKs.
window.chat = async () => {
  await hostless.connect();
  const openai = new OpenAI(hostless.openai());
  let text = "";
  for await (const chunk of await openai.chat.completions.create({
    model: "gpt-4o-mini",
    stream: true,
    messages: [{ role: "user", content: "said to openai" }],
  })) {
    text += chunk.choices[0]?.delta?.content ?? "";
  }
  const anthropic = new Anthropic(hostless.anthropic());
  const stream = anthropic.messages.stream({ model: "claude-sonnet-4-5", max_tokens: 100, messages: [{ role: "user", content: "said to anthropic" }] });
  return text + " | " + (await stream.finalText());
};

// A token that was revoked in the meantime is removed.
window.again = async () => {
  const openai = new OpenAI({ ...hostless.openai(), maxRetries: 0 });
  const error = await openai.models.list().then(() => "listed", (e) => e.cause?.code ?? e.code ?? String(e));
  return error + " " + hostless.isConnected();
};
window.ready = true;
