"""What to propose next: one policy a file, each chosen by a yaml in `conf/policy/`."""
