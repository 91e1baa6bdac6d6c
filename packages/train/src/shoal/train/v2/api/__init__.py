"""As in Ray: the trainers of the second generation."""
