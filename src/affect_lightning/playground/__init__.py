"""Playground: a clip of one's own in the browser, what a network sees and hears of it, and its answer as it is written (ours).

`uploads.py` reads a file into memory and deletes it, `asked_networks.py` asks, `pictures.py` draws what is seen and answered,
`page_parts.py` makes HTML of it: all of it without Gradio. `page.py` is the Gradio page over them, `page_guard.py` who may
open it. `command_line/playground_command.py` starts it. Importing this package imports none of them.
"""
