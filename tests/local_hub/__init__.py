"""A Hugging Face Hub on this machine: the tests' clients push to it and pull from it over HTTP."""
