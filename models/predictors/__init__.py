"""What `attune evaluate` asks: per task, models by name, each with `predict`.

Every module has `MODELS`, name -> loader of it with the default first, and `load(name_or_folder)`.
"""
