// No names beyond those that the source files use themselves.
