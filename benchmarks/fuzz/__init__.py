"""Coverage-guided fuzzing of everything that reads what others write. docs/fuzzing.md."""
