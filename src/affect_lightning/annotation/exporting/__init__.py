"""The last step of the annotation: kept clips as a data set that others can train on, with a datasheet.

Paper: Section 2 (what MER-Caption+ is), Figures 2, 7 and 8. `clips.py` reads the kept clips out of a table, `media.py` puts
their files in place, `layouts.py` and `preference_pairs.py` write the formats, `contents.py`, `datasheet.py` and
`datasheet_figures.py` say what is in the data set and how it came about, and `writing.py` does it all in one folder that
appears whole. `affect-lightning annotate export` is the command.
"""
