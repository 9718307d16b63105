// Makes one call with the SDK named in the argument, with its default retries, to a
// gateway that refuses it, and prints the resulting status and message.
import Anthropic from '@anthropic-ai/sdk'
import { createAnthropic } from '@ai-sdk/anthropic'
import { createGoogleGenerativeAI } from '@ai-sdk/google'
import { createOpenAI } from '@ai-sdk/openai'
import { GoogleGenAI } from '@google/genai'
import { generateText } from 'ai'
import { Ollama } from 'ollama'
import OpenAI from 'openai'

const apiKey = process.env.HOSTLESS_TOKEN
const api = process.env.HOSTLESS_API
const url = process.env.HOSTLESS_URL
const messages = [{ role: 'user', content: 'hello' }]
const prompt = 'hello'

const calls = {
  openai: () => new OpenAI({ apiKey, baseURL: api }).chat.completions.create({ model: 'gpt-4o-mini', messages }),
  responses: () => new OpenAI({ apiKey, baseURL: api }).responses.create({ model: 'gpt-4o-mini', input: prompt }),
  anthropic: () => new Anthropic({ apiKey, baseURL: url }).messages.create({ model: 'claude-sonnet-4-5', max_tokens: 9, messages }),
  genai: () => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: url } }).models.generateContent({ model: 'gemini-2.5-flash', contents: prompt }),
  'genai retrying': () => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: url, retryOptions: { attempts: 3 } } }).models.generateContent({ model: 'gemini-2.5-flash', contents: prompt }),
  'aisdk openai': () => generateText({ model: createOpenAI({ apiKey, baseURL: api })('gpt-4o-mini'), prompt }),
  'aisdk anthropic': () => generateText({ model: createAnthropic({ apiKey, baseURL: api })('claude-sonnet-4-5'), prompt }),
  'aisdk google': () => generateText({ model: createGoogleGenerativeAI({ apiKey, baseURL: url + '/v1beta' })('gemini-2.5-flash'), prompt }),
  ollama: () => new Ollama({ host: url, headers: { Authorization: 'Bearer ' + apiKey } }).chat({ model: 'openai/gpt-4o-mini', messages }),
}

try {
  await calls[process.argv[2]]()
  console.log('it was not refused')
} catch (e) {
  const last = e.lastError ?? e
  console.log(last.status ?? last.statusCode ?? last.status_code, last.message)
}
