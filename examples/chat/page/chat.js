"use strict";

const { api, token } = JSON.parse(document.getElementById("settings").textContent);
const [log, model, text, send, status, form, clear] =
  ["log", "model", "text", "send", "status", "ask", "clear"].map((id) => document.getElementById(id));

let messages = [];
let running = null; // the AbortController of the response in progress

function call(path, init = {}) {
  return fetch(api + path, { ...init, headers: { Authorization: `Bearer ${token}`, ...init.headers } });
}

// failure returns the gateway's error message.
async function failure(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `the gateway answered ${response.status}`;
  }
}

async function loadModels() {
  try {
    const response = await call("/models");
    if (!response.ok) throw new Error(await failure(response));
    const ids = (await response.json()).data.map((m) => m.id);
    model.replaceChildren(...ids.map((id) => new Option(id)));
    model.value = localStorage.getItem("model") ?? "";
    if (!model.value) model.value = ids.find((id) => id === "echo/text") ?? ids[0] ?? "";
    model.disabled = ids.length === 0;
    status.textContent = ids.length === 0 ? "No models: hostless keys add PROVIDER" : "";
  } catch (error) {
    status.textContent = `No models: ${error.message}`;
  }
}

function bubble(role, content) {
  log.querySelector(".hint")?.remove();
  const element = document.createElement("div");
  element.className = `turn ${role}`;
  element.textContent = content;
  log.append(element);
  element.scrollIntoView({ block: "end" });
  return element;
}

// events yields the data of each server-sent event of a response.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      const data = block.split(/\r?\n/).filter((l) => l.startsWith("data:")).map((l) => l.slice(5).trimStart());
      if (data.length > 0) yield data.join("\n");
    }
  }
}

async function ask(question) {
  messages.push({ role: "user", content: question });
  bubble("user", question);
  const answer = bubble("assistant", "");
  answer.classList.add("waiting");
  running = new AbortController();
  send.textContent = "Stop";
  const started = performance.now();
  let usage = null;
  try {
    const response = await call("/chat/completions", {
      method: "POST",
      signal: running.signal,
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ model: model.value, messages, stream: true, stream_options: { include_usage: true } }),
    });
    if (!response.ok) throw new Error(await failure(response));
    for await (const data of events(response)) {
      if (data === "[DONE]") break;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      usage = chunk.usage ?? usage;
      const stay = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
      answer.textContent += chunk.choices?.[0]?.delta?.content ?? "";
      if (stay) answer.scrollIntoView({ block: "end" });
    }
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    status.textContent = `${model.value} · ${seconds} s` + (usage ? ` · ${usage.prompt_tokens} + ${usage.completion_tokens} tokens` : "");
  } catch (error) {
    if (error.name === "AbortError") {
      status.textContent = "Stopped.";
    } else {
      answer.classList.add("failed");
      answer.textContent += (answer.textContent ? "\n\n" : "") + error.message;
    }
  } finally {
    answer.classList.remove("waiting");
    if (answer.classList.contains("failed") || answer.textContent === "") messages.pop();
    else messages.push({ role: "assistant", content: answer.textContent });
    running = null;
    send.textContent = "Send";
    text.focus();
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) return running.abort();
  const question = text.value.trim();
  if (question === "" || model.disabled) return;
  text.value = "";
  ask(question);
});
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    if (!running) form.requestSubmit();
  }
});
model.addEventListener("change", () => localStorage.setItem("model", model.value));
clear.addEventListener("click", () => {
  running?.abort();
  messages = [];
  log.replaceChildren();
  status.textContent = "";
  text.focus();
});
loadModels();
