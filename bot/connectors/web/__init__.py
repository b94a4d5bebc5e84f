"""The local page and the OpenAI-compatible API, on one aiohttp port."""
