"""`python -m hf_crossspec.cli`, which `accelerate launch -m` needs."""

from hf_crossspec.cli import main

main()
