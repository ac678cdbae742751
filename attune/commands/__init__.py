"""What can be asked of `attune`: arguments and their help. The work is done in attune.*."""
