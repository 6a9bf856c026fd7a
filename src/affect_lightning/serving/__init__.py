"""Serving: a trained network behind the chat completions of OpenAI's API, for programs that speak it (ours).

`chat_requests.py` reads a request, `request_media.py` its video, pictures and sound, `clip_model.py` answers it,
`chat_replies.py` writes what is sent back, `requests_under_way.py` bounds how many and how long: plain Python and the network.
`web_app.py` is the only one that knows FastAPI.
`command_line/serve_command.py` starts it.
"""
