"""How env runners step environments and keep what came of it: by columns, without an object a step."""
