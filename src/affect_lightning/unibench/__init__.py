"""unibench: scoring of responses on MER-UniBench, and its reports.

Paper: Section 4, Table 2 and Table 11. `scoring` reads and keeps responses and scores them, `statistics` adds intervals
and paired tests, `report` writes report.json, .md, .html, .tex and .csv, `callback.py` does all of that at the end of a
Lightning test. Importing this package imports nothing heavy; take the names from its modules.
"""
