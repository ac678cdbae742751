"""Evaluation: a labelled file of a known shape in, figures with their uncertainty out.

One file per task reads and checks the data and asks a predictor; `measure` turns what it said into
figures, intervals and comparisons. Nothing is skipped in silence: rows left out are counted.
"""
