"""How replay buffers keep steps and choose among them: arrays, and no Python object a step."""
