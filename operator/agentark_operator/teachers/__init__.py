"""Teachers whose weights the operator serves: who asks them, their objects, when they come and go."""
