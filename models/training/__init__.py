"""How the committed weights were made: backgrounds from free packages, and a training run that can be gone on with."""
