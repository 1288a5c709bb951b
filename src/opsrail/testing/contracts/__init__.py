"""What each port promises, as tests: subclass a suite, give it its fixtures, and pytest holds your adapter to it."""
