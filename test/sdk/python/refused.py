"""Makes one call with the SDK named in the argument, with its default retries, to a
gateway that refuses it, and prints the resulting status and message."""

import os
import sys

import anthropic
import openai
from google import genai

KEY, API, URL = (os.environ["HOSTLESS_" + name] for name in ("TOKEN", "API", "URL"))
HI = [{"role": "user", "content": "hello"}]


def gemini(**options):
    client = genai.Client(api_key=KEY, http_options={"base_url": URL, **options})
    return client.models.generate_content(model="gemini-2.5-flash", contents="hello")


CALLS = {
    "openai": lambda: openai.OpenAI(base_url=API, api_key=KEY).chat.completions.create(model="gpt-4o-mini", messages=HI),
    "responses": lambda: openai.OpenAI(base_url=API, api_key=KEY).responses.create(model="gpt-4o-mini", input="hello"),
    "anthropic": lambda: anthropic.Anthropic(base_url=URL, api_key=KEY).messages.create(model="claude-sonnet-4-5", max_tokens=9, messages=HI),
    "genai": gemini,
    "genai retrying": lambda: gemini(retry_options={"attempts": 3}),
}

try:
    CALLS[sys.argv[1]]()
    print("it was not refused")
except Exception as e:
    print(getattr(e, "status_code", None) or getattr(e, "code", None), e)
