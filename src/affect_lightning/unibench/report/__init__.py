"""Reports of scores: tables, figures and the page, as report.json, .md, .html, .tex, .csv and outcomes.jsonl.

`content.py` is what a report holds, `columns.py` which columns show it, `tables.py` the table model that all renderers
share, `files.py` writes, reads and compares. Importing this package imports nothing heavy; take the names from its modules.
"""
