"""The framework itself: parameters, passes, layers, losses, optimizers."""
