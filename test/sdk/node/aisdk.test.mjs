// The AI SDK: its OpenAI provider refers to earlier items instead of sending them,
// and its Google provider treats a model with a slash as a path.
import assert from 'node:assert/strict'
import test from 'node:test'
import { createAnthropic } from '@ai-sdk/anthropic'
import { createGoogleGenerativeAI } from '@ai-sdk/google'
import { createOpenAI } from '@ai-sdk/openai'
import { generateText, stepCountIs, streamText, tool } from 'ai'
import { z } from 'zod'

const apiKey = process.env.HOSTLESS_TOKEN
const api = process.env.HOSTLESS_API
const makers = {
  openai: createOpenAI({ apiKey, baseURL: api }),
  anthropic: createAnthropic({ apiKey, baseURL: api }),
  google: createGoogleGenerativeAI({ apiKey, baseURL: process.env.HOSTLESS_URL + '/v1beta' }),
}
const weather = tool({
  description: 'The weather in a city',
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
})

for (const [name, make] of Object.entries(makers)) {
  for (const id of ['openai/gpt-5', 'claude-sonnet-4-5', 'google/gemini-3-pro', 'mine/gpt-4o-mini']) {
    test(`${name} provider, ${id}`, async () => {
      const model = make(id)
      const plain = await generateText({ model, prompt: 'hello' })
      assert.equal(plain.text, 'You said: hello')
      assert.ok(plain.usage.inputTokens > 0 && plain.usage.outputTokens > 0)

      const streamed = streamText({ model, prompt: 'hello' })
      let text = ''
      for await (const piece of streamed.textStream) text += piece
      assert.equal(text, 'You said: hello')

      const called = await generateText({ model, prompt: 'weather?', tools: { weather }, stopWhen: stepCountIs(3) })
      assert.equal(called.steps.length, 2)
      assert.match(called.text, /^Tool said: .*sunny in Paris/)

      const messages = [{ role: 'user', content: 'hello' }, ...plain.response.messages, { role: 'user', content: 'again' }]
      assert.equal((await generateText({ model, messages })).text, 'You said: again')
    })
  }
}
