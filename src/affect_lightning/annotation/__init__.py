"""From descriptions of clips to a filtered data set: stages over tables of clips, and the study that compares descriptions.

Paper: Section 2 (MER-Caption), Appendices E to G, Tables 4, 7 and 10. A stage (`stages.py`) reads one table of clips
(`tables.py`) and gives one with more columns: `lengths.py`, `crowd.py` (votes in `votes.py`, saved outputs as voters in
`members.py`) and `agreement.py`. `exporting` writes the clips that stay as a data set with a datasheet. The blind
pairwise study is `preferences.py`, `rater_statistics.py`, `review_store.py` and `review_server.py`.
`affect-lightning annotate` is the command.
"""
