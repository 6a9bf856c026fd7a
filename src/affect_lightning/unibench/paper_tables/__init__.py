"""The paper's tables as work to do: which runs a table needs, what is there, and our figures beside the published ones.

Paper: Tables 2 to 6 and 8, Figure 10. `catalogue.py` knows the rows, `runs.py` trains and tests what is missing,
`seed_means.py` gathers the seeds of a row, `pages.py` writes the table. `affect-lightning table` is the command.
"""
