"""Training of the shipped weights, by recipes: `attune train RECIPE.yaml`."""
