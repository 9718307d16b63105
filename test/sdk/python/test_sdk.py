"""OpenAI's and Anthropic's Python SDKs through Hostless, with only the base URL and the key set."""

import os
import unittest

import anthropic
import openai

MODELS = ["gpt-4o-mini", "mine/any-model", "claude-sonnet-4-5", "gemini-2.5-flash", "echo/text"]
HI = [{"role": "user", "content": "hi <you> é😀"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "d", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]


class OpenAI(unittest.TestCase):
    def setUp(self):
        self.client = openai.OpenAI(base_url=os.environ["HOSTLESS_API"], api_key=os.environ["HOSTLESS_TOKEN"], max_retries=0)
        self.addCleanup(self.client.close)

    def test_chat(self):
        for model in MODELS:
            with self.subTest(model):
                c = self.client.chat.completions.create(model=model, messages=HI)
                self.assertIn("hi <you> é😀", c.choices[0].message.content)
                text, finish = "", None
                for chunk in self.client.chat.completions.create(model=model, messages=HI, stream=True):
                    if chunk.choices:
                        text += chunk.choices[0].delta.content or ""
                        finish = chunk.choices[0].finish_reason or finish
                self.assertIn("hi <you> é😀", text)
                self.assertEqual(finish, "stop")

    def test_tools(self):
        for model in MODELS[:-1]:
            with self.subTest(model):
                c = self.client.chat.completions.create(model=model, messages=HI, tools=TOOLS)
                self.assertEqual(c.choices[0].message.tool_calls[0].function.arguments.replace(" ", ""), '{"city":"Paris"}')

    def test_responses(self):
        for model in MODELS[:-1]:
            with self.subTest(model):
                self.assertEqual(self.client.responses.create(model=model, input="hi").output_text, "You said: hi")
                with self.client.responses.stream(model=model, input="hi") as stream:
                    self.assertEqual(stream.get_final_response().output_text, "You said: hi")

    def test_models_and_errors(self):
        ids = [m.id for m in self.client.models.list()]
        self.assertIn("gpt-4o-mini", ids)
        self.assertIn("claude-sonnet-4-5", ids)
        with self.assertRaises(openai.RateLimitError) as caught:
            self.client.chat.completions.create(model="err-429", messages=HI)
        self.assertEqual(caught.exception.request_id, "req_err")
        with self.assertRaises(openai.AuthenticationError):
            self.client.with_options(api_key="sk_local_wrong").chat.completions.create(model="gpt-4o-mini", messages=HI)


class Anthropic(unittest.TestCase):
    def test_messages(self):
        client = anthropic.Anthropic(base_url=os.environ["HOSTLESS_URL"], api_key=os.environ["HOSTLESS_TOKEN"], max_retries=0)
        self.addCleanup(client.close)
        for model in MODELS[:-1]:
            with self.subTest(model):
                m = client.messages.create(model=model, max_tokens=100, messages=HI)
                self.assertEqual(m.content[0].text, "You said: hi <you> é😀")
                with client.messages.stream(model=model, max_tokens=100, messages=HI) as stream:
                    self.assertEqual(stream.get_final_text(), "You said: hi <you> é😀")


if __name__ == "__main__":
    unittest.main()
