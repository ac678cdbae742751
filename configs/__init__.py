"""One readable YAML for each use; `attune run configs/NAME.yaml`."""
